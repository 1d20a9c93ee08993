-- A thousand patients with thirty plans each.
INSERT INTO patients (patient_id, name, birth_date, mrn)
SELECT uuid_of(number), 'Test ' || number, '1950-01-01', 'mrn-' || number FROM generate_series(0, 999) AS number;
INSERT INTO episodes (patient_id, state) SELECT patient_id, 'active' FROM patients;
INSERT INTO episodes (patient_id, state) SELECT patient_id, 'ended' FROM patients, generate_series(1, 5);
INSERT INTO hubs (hub_id) SELECT 'hub-' || number FROM generate_series(0, 999) AS number;
INSERT INTO placements (hub_id, patient_id, until_at)
SELECT 'hub-' || number % 1000, uuid_of(number % 1000), CASE WHEN number >= 1000 THEN now() END
FROM generate_series(0, 4999) AS number;
INSERT INTO care_teams SELECT uuid_of(number), uuid_of(number % 100) FROM generate_series(0, 999) AS number;
INSERT INTO plans (plan_id, hub_id, version, patient_id, active, rules, document, issued_at)
SELECT uuid_of(number % 1000), 'hub-' || number % 1000, number / 1000, uuid_of(number % 1000), true, '[]', '\x00',
    now()
FROM generate_series(0, 29999) AS number;
