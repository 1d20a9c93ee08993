-- Measurements of which the patient says that somebody else made them. The word may come before the readings do.
CREATE TABLE disowned (
    hub_id text NOT NULL,
    store_id text NOT NULL,
    first_seq bigint NOT NULL,
    said_at timestamptz NOT NULL,
    PRIMARY KEY (hub_id, store_id, first_seq)
);
