-- Two hours of a hundred hubs, nine thousand lanes, and a backlog for alerting.
INSERT INTO readings SELECT 'hub-' || number % 100, repeat('0', 32), number, 'device-' || number % 100,
    CASE WHEN number % 100 < 95 THEN uuid_of(number % 100) END,
    (ARRAY['spo2', 'pulse_rate', 'heart_rate', 'systolic_pressure'])[1 + number / 100 % 4], 90 + number % 10, NULL,
    'continuous', '{}', noon() - (number * '1 s'::interval), 'boot', number * 1000, 'synced', NULL, NULL,
    CASE WHEN number % 2000 < 1 THEN 'quarantined' ELSE 'assigned' END, NULL, now()
FROM generate_series(1, 60000) AS number;
INSERT INTO lanes (hub_id, store_id, lane, stored)
SELECT 'hub-' || number % 1000, lpad(to_hex(number / 3000), 32, '0'),
    (ARRAY['alarms', 'readings', 'events'])[1 + number / 1000 % 3], '{[1,1000)}'
FROM generate_series(0, 8999) AS number;
INSERT INTO outbox (subject, ordering_key, body, urgent)
SELECT 'ingest.stored.readings', 'hub-' || number % 200, '\x00', number % 50 = 0
FROM generate_series(1, 20000) AS number;
