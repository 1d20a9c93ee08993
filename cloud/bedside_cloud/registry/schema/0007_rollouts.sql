-- Signed versions of the hub's software. A bundle comes in parts, and is whole when it has its size and its digest.
CREATE TABLE releases (
    sha256 text PRIMARY KEY,
    version text NOT NULL,
    manifest text NOT NULL,
    signature bytea NOT NULL,
    size_bytes bigint NOT NULL,
    has_bytes bigint NOT NULL DEFAULT 0,
    added_at timestamptz NOT NULL
);

CREATE TABLE release_parts (
    sha256 text NOT NULL REFERENCES releases ON DELETE CASCADE,
    at_byte bigint NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (sha256, at_byte)
);

-- Hubs are brought to a version stage by stage. What was rolled out is told also when its bundle is gone.
CREATE TABLE rollouts (
    rollout_id uuid PRIMARY KEY,
    sha256 text NOT NULL,
    version text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'paused', 'stopped', 'halted', 'done')),
    stages int[] NOT NULL,
    stage int NOT NULL DEFAULT 0,
    stage_at timestamptz NOT NULL,
    soak_seconds int NOT NULL,
    within_seconds int NOT NULL,
    most_failing_percent int NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    reason text NOT NULL DEFAULT ''
);

-- Two at once would have one hub told two things.
CREATE UNIQUE INDEX one_open_rollout ON rollouts ((true)) WHERE state IN ('running', 'paused');

CREATE TABLE rollout_hubs (
    rollout_id uuid NOT NULL REFERENCES rollouts,
    hub_id text NOT NULL REFERENCES hubs,
    stage int NOT NULL,
    command_id uuid REFERENCES commands,
    PRIMARY KEY (rollout_id, hub_id)
);
