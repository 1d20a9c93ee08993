-- Why nobody can tell by rule whose a reading is; null for one that is not, or no more, in doubt.
ALTER TABLE readings ADD COLUMN quarantine_reason text;

-- What hubs had marked was given to a patient.
UPDATE readings SET patient_id = NULL, quarantine_reason = 'undated_or_test' WHERE attribution = 'quarantined';

CREATE INDEX readings_in_quarantine ON readings (taken_at) WHERE attribution = 'quarantined';

-- What people decided on a measurement, which is named by the sequence of its first reading. Only added to.
CREATE TABLE quarantine_decisions (
    decision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hub_id text NOT NULL,
    store_id text NOT NULL,
    first_seq bigint NOT NULL,
    decision text NOT NULL CHECK (decision IN ('confirmed', 'dismissed')),
    patient_id uuid,
    person_id uuid NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((patient_id IS NOT NULL) = (decision = 'confirmed'))
);

CREATE INDEX decisions_of_measurement ON quarantine_decisions (hub_id, store_id, first_seq);
