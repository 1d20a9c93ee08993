-- What hubs sent, each item once under its identity (hub, store, lane, seq).

CREATE TABLE lanes (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    lane text NOT NULL,
    stored int8multirange NOT NULL DEFAULT '{}',
    rejected int8multirange NOT NULL DEFAULT '{}',
    PRIMARY KEY (hub_id, store_id, lane)
);

CREATE TABLE readings (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    seq bigint NOT NULL,
    device_id text NOT NULL,
    patient_id uuid,
    metric text NOT NULL,
    value double precision,
    range_flag text,
    modality text NOT NULL,
    quality text[] NOT NULL,
    taken_at timestamptz NOT NULL,
    boot_id text NOT NULL,
    monotonic_ms bigint NOT NULL,
    clock_quality text NOT NULL,
    device_time text,
    device_user integer,
    attribution text NOT NULL,
    measurement_group bigint,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (hub_id, store_id, seq),
    CHECK ((value IS NULL) <> (range_flag IS NULL))
);

CREATE INDEX readings_of_patient ON readings (patient_id, metric, taken_at) WHERE patient_id IS NOT NULL;
CREATE INDEX readings_of_nobody ON readings (device_id, taken_at) WHERE patient_id IS NULL;

CREATE TABLE alarms (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    seq bigint NOT NULL,
    condition text NOT NULL,
    state text NOT NULL,
    body jsonb NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (hub_id, store_id, seq)
);

CREATE TABLE events (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    body jsonb NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (hub_id, store_id, seq)
);

-- Items that the hub itself had to drop: their sequences count as settled, their number is known.
CREATE TABLE gaps (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    lane text NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    items bigint NOT NULL,
    reason text NOT NULL,
    first_taken_at timestamptz,
    last_taken_at timestamptz,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (hub_id, store_id, lane, first_seq, last_seq)
);

-- What could not be admitted. `seq` is null when the whole body could not be read.
CREATE TABLE dead_letters (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hub_id text NOT NULL,
    lane text NOT NULL,
    store_id text,
    seq bigint,
    sha256 text NOT NULL,
    reason text NOT NULL,
    body bytea NOT NULL,
    heard_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (hub_id, lane, sha256, store_id, seq)
);

-- The same identity with other content: the first stays, the other is kept here.
CREATE TABLE conflicts (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    lane text NOT NULL,
    seq bigint NOT NULL,
    sha256 text NOT NULL,
    body jsonb NOT NULL,
    heard_at timestamptz NOT NULL,
    PRIMARY KEY (hub_id, store_id, lane, seq, sha256)
);
