-- What people call the hub, and how much it still held when it said so last.
ALTER TABLE hubs ADD COLUMN label text NOT NULL DEFAULT '';
ALTER TABLE hubs ADD COLUMN waiting bigint;
ALTER TABLE hubs ADD COLUMN waiting_at timestamptz;

-- Times in which a hub is out of service: it serves nobody, and what it measures is nobody's until a person says whose.
-- `from_at` is the moment that was meant, `noted_at` the one at which it was entered.
CREATE TABLE retirements (
    hub_id text NOT NULL REFERENCES hubs,
    from_at timestamptz NOT NULL,
    until_at timestamptz CHECK (until_at >= from_at),
    new_hub_id text REFERENCES hubs,
    patient_id uuid REFERENCES patients,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE UNIQUE INDEX one_open_retirement ON retirements (hub_id) WHERE until_at IS NULL;

-- Whom a hub served before is asked of every pair.
CREATE INDEX plans_of_pair ON plans (hub_id, patient_id);
