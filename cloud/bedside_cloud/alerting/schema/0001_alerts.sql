-- Alerts and what they follow from. An alert is active until every source that raised it has cleared or is stale.

CREATE TABLE alerts (
    alert_id uuid PRIMARY KEY,
    patient_id uuid NOT NULL,
    condition text NOT NULL,
    kind text NOT NULL,
    priority text NOT NULL,
    version integer NOT NULL,
    hub_id text NOT NULL,
    episode uuid,
    onset_at timestamptz NOT NULL,
    raised_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL,
    metric text,
    side text,
    value double precision,
    range_flag text,
    limit_value double precision,
    rule_id text,
    plan_version integer,
    cleared_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by uuid,
    acknowledged_name text,
    test boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE UNIQUE INDEX one_active_alert ON alerts (patient_id, condition, test) WHERE cleared_at IS NULL;
CREATE INDEX alerts_of_patient ON alerts (patient_id, changed_at);

-- What each source last said of the condition.
CREATE TABLE alert_sources (
    alert_id uuid NOT NULL REFERENCES alerts,
    source text NOT NULL,
    present boolean NOT NULL,
    said_at timestamptz NOT NULL,
    PRIMARY KEY (alert_id, source)
);

-- Every change of an alert, for ever.
CREATE TABLE alert_history (
    alert_id uuid NOT NULL REFERENCES alerts,
    version integer NOT NULL,
    change text NOT NULL,
    source text,
    by_person uuid,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (alert_id, version)
);

-- Hub alarms already taken, so that a delivery that comes twice changes nothing.
CREATE TABLE taken_alarms (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (hub_id, store_id, seq)
);

-- Occurrences that the hub has declared over: a raised that comes after its cleared is history, not an emergency.
CREATE TABLE ended_episodes (
    episode uuid PRIMARY KEY,
    ended_at timestamptz NOT NULL
);

-- State of the cloud's own evaluation. `due_at` is a timer: when it passes, the rule is looked at without a reading.
CREATE TABLE rule_states (
    patient_id uuid NOT NULL,
    rule_id text NOT NULL,
    rule_version integer NOT NULL,
    state jsonb NOT NULL,
    due_at timestamptz,
    PRIMARY KEY (patient_id, rule_id)
);

CREATE INDEX rule_states_due ON rule_states (due_at) WHERE due_at IS NOT NULL;
