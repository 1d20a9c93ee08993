-- What must be told to another service. A row is written in the transaction of its cause and lives until the
-- consumer has answered after its own commit.
CREATE TABLE outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    ordering_key text NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0
);

CREATE INDEX outbox_in_order ON outbox (ordering_key, outbox_id);
