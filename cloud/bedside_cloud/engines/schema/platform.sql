-- What the platform itself keeps in the database; it runs at every start and changes nothing the second time.
CREATE SCHEMA IF NOT EXISTS platform;

-- One row. The generation changes when the database was restored from a backup: hubs then send again what they hold.
CREATE TABLE IF NOT EXISTS platform.generation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation uuid NOT NULL DEFAULT gen_random_uuid(),
    since timestamptz NOT NULL DEFAULT now()
);

INSERT INTO platform.generation DEFAULT VALUES ON CONFLICT DO NOTHING;
