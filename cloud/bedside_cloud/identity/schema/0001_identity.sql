-- Hubs that have enrolled. A certificate that was issued before `refuse_issued_before` is refused.
CREATE TABLE hubs (
    hub_id text PRIMARY KEY,
    access text NOT NULL CHECK (access IN ('active', 'suspended', 'revoked')),
    enrolled_at timestamptz NOT NULL,
    refuse_issued_before timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE certificates (
    serial text PRIMARY KEY,
    hub_id text NOT NULL REFERENCES hubs,
    issued_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL
);

CREATE INDEX certificates_of_hub ON certificates (hub_id, ends_at);

-- One-time permissions to enrol: the claim itself is known to the tech alone.
CREATE TABLE claims (
    claim_sha256 bytea PRIMARY KEY,
    hub_id text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE TABLE people (
    person_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('patient', 'family', 'nurse', 'physician', 'tech', 'admin')),
    password_hash text NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT people_name UNIQUE (name)
);

-- Failed log-ins in a row, by the name that was tried, whether or not it is anybody's.
CREATE TABLE failed_logins (
    name text PRIMARY KEY,
    failures integer NOT NULL,
    last_at timestamptz NOT NULL
);

-- One row: grows with every change of who is let in.
CREATE TABLE access_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL DEFAULT 0
);

INSERT INTO access_version DEFAULT VALUES;
