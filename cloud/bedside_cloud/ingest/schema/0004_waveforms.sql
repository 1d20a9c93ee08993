-- Pieces of waveforms. Whose they are is asked of the assignments whenever somebody looks.
CREATE TABLE waveforms (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    seq bigint NOT NULL,
    device_id text NOT NULL,
    signal text NOT NULL,
    rate_hz double precision NOT NULL,
    samples integer[] NOT NULL,
    taken_at timestamptz NOT NULL,
    boot_id text NOT NULL,
    monotonic_ms bigint NOT NULL,
    clock_quality text NOT NULL,
    device_time text,
    attribution text NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (hub_id, store_id, seq)
);

CREATE INDEX waveforms_of_device ON waveforms (device_id, signal, taken_at);
