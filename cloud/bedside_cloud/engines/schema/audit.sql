-- Who read which patient's data, and who changed whom or what is let in, each as a chain: a row carries the hash of
-- the one before, so that none can be changed or taken out unseen. The platform owns them: the services that add to
-- them can neither change nor remove anything.
CREATE SCHEMA IF NOT EXISTS audit;

CREATE TABLE IF NOT EXISTS audit.reads (
    entry_no bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    person_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    what text NOT NULL CHECK (what ~ '^[a-z_]{1,32}$'),
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL
);

CREATE INDEX IF NOT EXISTS reads_of_patient ON audit.reads (patient_id, entry_no);

-- Number, time and hashes are the database's own, whatever the insert says. One transaction at a time adds to the
-- chain: the lock is held until it ends.
CREATE OR REPLACE FUNCTION audit.link() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit.reads', 0));
    SELECT entry_no, hash INTO last FROM audit.reads ORDER BY entry_no DESC LIMIT 1;
    NEW.entry_no := coalesce(last.entry_no, 0) + 1;
    NEW.at := date_trunc('milliseconds', clock_timestamp());
    NEW.previous_hash := coalesce(last.hash, decode(repeat('00', 32), 'hex'));
    NEW.hash := sha256(convert_to(concat_ws(
        '|', NEW.entry_no, (extract(epoch FROM NEW.at) * 1000)::bigint, NEW.person_id, NEW.patient_id, NEW.what,
        encode(NEW.previous_hash, 'hex')
    ), 'UTF8'));
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION audit.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to';
END
$$;

CREATE OR REPLACE TRIGGER link BEFORE INSERT ON audit.reads FOR EACH ROW EXECUTE FUNCTION audit.link();
CREATE OR REPLACE TRIGGER refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.reads
FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse();

-- What was done to certificates, hubs and claims: by whom (a person's id, a hub's, or `operator`), what, to whom.
CREATE TABLE IF NOT EXISTS audit.deeds (
    entry_no bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL CHECK (actor <> '' AND actor !~ '[|]'),
    deed text NOT NULL CHECK (deed ~ '^[a-z_]{1,32}$'),
    subject text NOT NULL CHECK (subject !~ '[|]'),
    detail text NOT NULL DEFAULT '',
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL
);

CREATE INDEX IF NOT EXISTS deeds_on_subject ON audit.deeds (subject, entry_no);

CREATE OR REPLACE FUNCTION audit.link_deed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit.deeds', 0));
    SELECT entry_no, hash INTO last FROM audit.deeds ORDER BY entry_no DESC LIMIT 1;
    NEW.entry_no := coalesce(last.entry_no, 0) + 1;
    NEW.at := date_trunc('milliseconds', clock_timestamp());
    NEW.previous_hash := coalesce(last.hash, decode(repeat('00', 32), 'hex'));
    NEW.hash := sha256(convert_to(concat_ws(
        '|', NEW.entry_no, (extract(epoch FROM NEW.at) * 1000)::bigint, NEW.actor, NEW.deed, NEW.subject, NEW.detail,
        encode(NEW.previous_hash, 'hex')
    ), 'UTF8'));
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER link BEFORE INSERT ON audit.deeds FOR EACH ROW EXECUTE FUNCTION audit.link_deed();
CREATE OR REPLACE TRIGGER refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.deeds
FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse();
