-- When the patient last said "I am all right" of it. It changes nothing else of an alert.
ALTER TABLE alerts ADD COLUMN patient_says_well_at timestamptz;
