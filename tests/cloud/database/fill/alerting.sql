-- Twenty thousand alerts of five hundred patients, nearly all of them over.
INSERT INTO alerts (alert_id, patient_id, condition, kind, priority, version, hub_id, onset_at, raised_at,
    heard_at, cleared_at, acknowledged_at, test)
SELECT uuid_of(number), uuid_of(number % 500), 'condition_' || number % 7, 'physiological', 'high', 1, 'hub-1', at,
    at, at, CASE WHEN number > 500 THEN at END, CASE WHEN number > 500 THEN at END, false
FROM generate_series(1, 20000) AS number, LATERAL (SELECT noon() - number * '1 min'::interval) AS t (at);
INSERT INTO alert_sources SELECT alert_id, 'hub', cleared_at IS NULL, raised_at FROM alerts;
INSERT INTO taken_alarms SELECT 'hub-' || number % 100, 'store', number FROM generate_series(1, 20000) AS number;
INSERT INTO rule_states (patient_id, rule_id, rule_version, state, due_at)
SELECT uuid_of(number % 1000), 'rule-' || number / 1000, 1, '{}', CASE WHEN number % 500 = 0 THEN noon() END
FROM generate_series(0, 9999) AS number;
