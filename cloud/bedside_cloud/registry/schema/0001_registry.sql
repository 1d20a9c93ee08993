-- The only table with direct identifiers.
CREATE TABLE patients (
    patient_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    birth_date date NOT NULL,
    mrn text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT patients_mrn UNIQUE (mrn)
);

-- A patient has at most one episode of care that has not ended.
CREATE TABLE episodes (
    episode_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    patient_id uuid NOT NULL REFERENCES patients,
    state text NOT NULL CHECK (state IN ('planned', 'active', 'paused', 'ended')),
    planned_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz
);

CREATE UNIQUE INDEX one_open_episode ON episodes (patient_id) WHERE state <> 'ended';

-- Every step of every episode, for those who ask later what was in force when.
CREATE TABLE episode_steps (
    episode_id uuid NOT NULL REFERENCES episodes,
    state text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

-- What the cloud knows of a hub. `session` is that of its newest connection: an older session's will is stale.
CREATE TABLE hubs (
    hub_id text PRIMARY KEY,
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    online boolean NOT NULL DEFAULT false,
    session uuid,
    last_seen_at timestamptz,
    agent_version text NOT NULL DEFAULT '',
    plan_id uuid,
    plan_version bigint
);

-- Which hub serves whom: at most one patient a hub and one hub a patient at a time.
CREATE TABLE placements (
    hub_id text NOT NULL REFERENCES hubs,
    patient_id uuid NOT NULL REFERENCES patients,
    from_at timestamptz NOT NULL DEFAULT now(),
    until_at timestamptz
);

CREATE UNIQUE INDEX one_patient_a_hub ON placements (hub_id) WHERE until_at IS NULL;
CREATE UNIQUE INDEX one_hub_a_patient ON placements (patient_id) WHERE until_at IS NULL;

CREATE TABLE devices (
    device_id text PRIMARY KEY,
    hub_id text REFERENCES hubs,
    profile text NOT NULL DEFAULT '',
    first_seen_at timestamptz NOT NULL DEFAULT now()
);

-- Which device measures whom from when until when. Periods of one device do not overlap (checked under a lock on
-- the device's row).
CREATE TABLE assignments (
    device_id text NOT NULL REFERENCES devices,
    patient_id uuid NOT NULL REFERENCES patients,
    from_at timestamptz NOT NULL,
    until_at timestamptz CHECK (until_at >= from_at),
    PRIMARY KEY (device_id, from_at)
);

CREATE UNIQUE INDEX one_open_assignment ON assignments (device_id) WHERE until_at IS NULL;
CREATE INDEX assignments_of_patient ON assignments (patient_id);

CREATE TABLE care_teams (
    patient_id uuid NOT NULL REFERENCES patients,
    person_id uuid NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (person_id, patient_id)
);

-- The limits that were set for a patient; the newest row is in force.
CREATE TABLE limits (
    limits_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id uuid NOT NULL REFERENCES patients,
    rules jsonb NOT NULL,
    emergency_number text NOT NULL,
    call_back_number text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX limits_of_patient ON limits (patient_id, limits_id);

-- Every plan that was issued, as it was signed. It is sent until the hub has answered it. Versions grow per hub,
-- whomever it serves: that is how the hub knows the newer of two plans.
CREATE TABLE plans (
    issue_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_id uuid NOT NULL,
    hub_id text NOT NULL REFERENCES hubs,
    version bigint NOT NULL,
    patient_id uuid NOT NULL REFERENCES patients,
    active boolean NOT NULL,
    rules jsonb NOT NULL,
    document bytea NOT NULL,
    issued_at timestamptz NOT NULL,
    answered_at timestamptz,
    outcome text CHECK (outcome IN ('applied', 'refused')),
    reason text NOT NULL DEFAULT '',
    CONSTRAINT plans_version UNIQUE (hub_id, version)
);

CREATE INDEX plans_of_patient ON plans (patient_id, issue_id);

-- What hubs reported, each once.
CREATE TABLE hub_events (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    device_id text,
    at timestamptz NOT NULL,
    fields jsonb NOT NULL,
    PRIMARY KEY (hub_id, store_id, seq)
);

-- One row: grows with every change of a snapshot.
CREATE TABLE snapshot_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL DEFAULT 0
);

INSERT INTO snapshot_version DEFAULT VALUES;
