-- Tokens of a person carry their series; those of an earlier one are refused. `series_since` is when it grew last.
ALTER TABLE people
    ADD COLUMN disabled boolean NOT NULL DEFAULT false,
    ADD COLUMN series bigint NOT NULL DEFAULT 0,
    ADD COLUMN series_since timestamptz;

-- Log-ins that were ended by themselves, until their tokens are good for nothing anyway.
CREATE TABLE ended_logins (
    login_id uuid PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES people,
    expires_at timestamptz NOT NULL
);

CREATE INDEX ended_logins_of_person ON ended_logins (person_id);
