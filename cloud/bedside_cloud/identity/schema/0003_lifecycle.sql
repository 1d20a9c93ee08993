-- What becomes of a certificate: of whose key and of which request it was made, and when and why it ended early.
ALTER TABLE certificates
    ADD COLUMN key_sha256 bytea,
    ADD COLUMN request_sha256 bytea,
    ADD COLUMN revoked_at timestamptz,
    ADD COLUMN revoked_for text CHECK (revoked_for IN ('superseded', 'ceased', 'compromised'));

CREATE UNIQUE INDEX certificates_of_request ON certificates (request_sha256);
CREATE INDEX certificates_of_key ON certificates (key_sha256);

-- Once a hub came with a newer certificate, its older ones are refused.
ALTER TABLE hubs ADD COLUMN adopted_issued_at timestamptz;
UPDATE hubs SET adopted_issued_at = refuse_issued_before;
ALTER TABLE hubs ALTER COLUMN adopted_issued_at SET NOT NULL;

-- The serial number of the computer that a claim is for, where it is known.
ALTER TABLE claims ADD COLUMN hub_serial text;

-- What a technician must look at: somebody used what only one may have. One open row for each kind and hub.
CREATE TABLE incidents (
    incident_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hub_id text NOT NULL,
    kind text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    times bigint NOT NULL DEFAULT 1,
    settled_at timestamptz
);

CREATE UNIQUE INDEX open_incidents ON incidents (hub_id, kind) WHERE settled_at IS NULL;
