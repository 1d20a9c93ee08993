-- What a technician has hubs do. A command is sent until the hub has answered it or it has expired.
CREATE TABLE commands (
    command_id uuid PRIMARY KEY,
    hub_id text NOT NULL REFERENCES hubs,
    kind text NOT NULL,
    document bytea NOT NULL,
    given_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    answered_at timestamptz,
    outcome text CHECK (outcome IN ('applied', 'refused')),
    reason text NOT NULL DEFAULT '',
    content bytea NOT NULL DEFAULT ''
);

CREATE INDEX open_commands ON commands (expires_at) WHERE answered_at IS NULL;
CREATE INDEX commands_of_hub ON commands (hub_id, given_at);
