-- name: generation
SELECT generation::text FROM platform.generation

-- name: open_lanes
INSERT INTO lanes (hub_id, store_id, lane)
SELECT hub_id, store_id, lane
FROM unnest(%(hub_ids)s::text[], %(store_ids)s::text[], %(lanes)s::text[]) AS wanted (hub_id, store_id, lane)
ORDER BY hub_id, store_id, lane
ON CONFLICT DO NOTHING

-- name: lock_lanes
SELECT lanes.hub_id, lanes.store_id, lanes.lane, lanes.stored, lanes.rejected
FROM unnest(%(hub_ids)s::text[], %(store_ids)s::text[], %(lanes)s::text[]) AS wanted (hub_id, store_id, lane)
JOIN lanes USING (hub_id, store_id, lane)
ORDER BY lanes.hub_id, lanes.store_id, lanes.lane
FOR UPDATE OF lanes

-- name: extend_lanes
UPDATE lanes
SET stored = lanes.stored + added.stored::int8multirange, rejected = lanes.rejected + added.rejected::int8multirange
FROM unnest(
    %(hub_ids)s::text[], %(store_ids)s::text[], %(lanes)s::text[], %(stored)s::text[], %(rejected)s::text[]
) AS added (hub_id, store_id, lane, stored, rejected)
WHERE lanes.hub_id = added.hub_id AND lanes.store_id = added.store_id AND lanes.lane = added.lane
RETURNING lanes.hub_id, lanes.store_id, lanes.lane, lanes.stored + lanes.rejected

-- name: lanes_of_hub
SELECT store_id, lane, stored + rejected FROM lanes WHERE hub_id = %(hub_id)s

-- name: copy_readings
COPY readings (
    hub_id, store_id, seq, device_id, patient_id, metric, value, range_flag, modality, quality, taken_at, boot_id,
    monotonic_ms, clock_quality, device_time, device_user, attribution, measurement_group, stored_at, stated_at,
    quarantine_reason
) FROM STDIN (FORMAT BINARY)

-- name: readings_again
SELECT seq, device_id, metric, value, range_flag, boot_id, monotonic_ms
FROM readings
WHERE hub_id = %(hub_id)s AND store_id = %(store_id)s AND seq = ANY(%(seqs)s)

-- name: alarms_again
SELECT seq, body ->> 'episode', condition, state, body ->> 'boot_id', (body ->> 'monotonic_ms')::bigint
FROM alarms
WHERE hub_id = %(hub_id)s AND store_id = %(store_id)s AND seq = ANY(%(seqs)s)

-- name: events_again
SELECT seq, kind, body ->> 'boot_id', (body ->> 'monotonic_ms')::bigint
FROM events
WHERE hub_id = %(hub_id)s AND store_id = %(store_id)s AND seq = ANY(%(seqs)s)

-- name: waveforms_again
SELECT seq, device_id, signal, samples, boot_id, monotonic_ms
FROM waveforms
WHERE hub_id = %(hub_id)s AND store_id = %(store_id)s AND seq = ANY(%(seqs)s)

-- name: insert_alarm
INSERT INTO alarms (hub_id, store_id, seq, condition, state, body, stored_at)
VALUES (%(hub_id)s, %(store_id)s, %(seq)s, %(condition)s, %(state)s, %(body)s, clock_timestamp())
ON CONFLICT DO NOTHING

-- name: insert_event
INSERT INTO events (hub_id, store_id, seq, kind, body, stored_at)
VALUES (%(hub_id)s, %(store_id)s, %(seq)s, %(kind)s, %(body)s, clock_timestamp())
ON CONFLICT DO NOTHING

-- name: insert_waveform
INSERT INTO waveforms (
    hub_id, store_id, seq, device_id, signal, rate_hz, samples, taken_at, boot_id, monotonic_ms, clock_quality,
    device_time, attribution, stored_at
)
VALUES (
    %(hub_id)s, %(store_id)s, %(seq)s, %(device_id)s, %(signal)s, %(rate_hz)s, %(samples)s, %(taken_at)s, %(boot_id)s,
    %(monotonic_ms)s, %(clock_quality)s, %(device_time)s, %(attribution)s, clock_timestamp()
)
ON CONFLICT DO NOTHING

-- name: insert_gap
INSERT INTO gaps (
    hub_id, store_id, lane, first_seq, last_seq, items, reason, first_taken_at, last_taken_at, stored_at
) VALUES (
    %(hub_id)s, %(store_id)s, %(lane)s, %(first_seq)s, %(last_seq)s, %(items)s, %(reason)s, %(first_taken_at)s,
    %(last_taken_at)s, clock_timestamp()
) ON CONFLICT DO NOTHING

-- name: found_after_all
UPDATE gaps SET items = greatest(0, gaps.items - late.items)
FROM (
    SELECT first_seq, count(*) AS items
    FROM gaps JOIN unnest(%(seqs)s::bigint[]) AS seq ON seq BETWEEN first_seq AND last_seq
    WHERE hub_id = %(hub_id)s AND store_id = %(store_id)s AND lane = %(lane)s
    GROUP BY first_seq
) AS late
WHERE hub_id = %(hub_id)s AND store_id = %(store_id)s AND lane = %(lane)s AND gaps.first_seq = late.first_seq

-- name: insert_dead_letter
INSERT INTO dead_letters (hub_id, lane, store_id, seq, sha256, reason, body, heard_at)
VALUES (
    %(hub_id)s, %(lane)s, %(store_id)s, %(seq)s, %(sha256)s, %(reason)s, %(body)s, clock_timestamp()
) ON CONFLICT DO NOTHING

-- name: insert_conflict
INSERT INTO conflicts (hub_id, store_id, lane, seq, sha256, body, heard_at)
VALUES (%(hub_id)s, %(store_id)s, %(lane)s, %(seq)s, %(sha256)s, %(body)s, clock_timestamp())
ON CONFLICT DO NOTHING

-- name: insert_disowned
INSERT INTO disowned (hub_id, store_id, first_seq, said_at)
VALUES (%(hub_id)s, %(store_id)s, %(first_seq)s, %(said_at)s)
ON CONFLICT DO NOTHING

-- name: set_disowned_aside
-- A measurement has few members, and they follow one another.
UPDATE readings SET patient_id = NULL, attribution = 'quarantined', quarantine_reason = %(disowned)s
FROM disowned
WHERE disowned.hub_id = ANY(%(hub_ids)s)
AND readings.hub_id = disowned.hub_id AND readings.store_id = disowned.store_id
AND readings.seq BETWEEN disowned.first_seq AND disowned.first_seq + 31
AND (readings.seq = disowned.first_seq OR readings.measurement_group = disowned.first_seq)
AND readings.attribution = 'assigned'

-- name: lock_attachment
SELECT pg_advisory_xact_lock(hashtextextended('ingest.attachment', 0))

-- name: set_retired_aside
-- Before anything is attached: what a hub that was out of service measured of somebody's device.
UPDATE readings SET attribution = 'quarantined', quarantine_reason = %(hub_retired)s
FROM unnest(%(hub_ids)s::text[], %(retired_from)s::timestamptz[], %(retired_until)s::timestamptz[])
    AS retired (hub_id, from_at, until_at)
WHERE readings.patient_id IS NULL AND readings.hub_id = retired.hub_id
AND readings.taken_at >= retired.from_at AND (retired.until_at IS NULL OR readings.taken_at < retired.until_at)
AND readings.attribution <> 'dismissed'
AND coalesce(readings.quarantine_reason, '') NOT IN ('undated_or_test', 'disowned', %(hub_retired)s)
AND EXISTS (
    SELECT FROM unnest(%(device_ids)s::text[], %(from_at)s::timestamptz[], %(until_at)s::timestamptz[])
        AS assigned (device_id, from_at, until_at)
    WHERE readings.device_id = assigned.device_id
    AND readings.taken_at >= assigned.from_at AND (assigned.until_at IS NULL OR readings.taken_at < assigned.until_at)
)

-- name: attach_readings
UPDATE readings SET patient_id = assigned.patient_id, attribution = 'assigned', quarantine_reason = NULL
FROM unnest(
    %(device_ids)s::text[], %(patient_ids)s::uuid[], %(users)s::text[], %(from_at)s::timestamptz[],
    %(until_at)s::timestamptz[]
) AS assigned (device_id, patient_id, users, from_at, until_at)
WHERE readings.patient_id IS NULL AND readings.device_id = assigned.device_id
AND readings.taken_at >= assigned.from_at AND (assigned.until_at IS NULL OR readings.taken_at < assigned.until_at)
AND coalesce(readings.device_user::text, '') = ANY(assigned.users::text[])
AND readings.attribution <> 'dismissed'
AND coalesce(readings.quarantine_reason, '') NOT IN ('undated_or_test', 'hub_retired', 'disowned')

-- name: doubt_readings
UPDATE readings
SET attribution = 'quarantined',
    quarantine_reason = CASE WHEN device_user IS NULL THEN %(user_missing)s ELSE %(user_unknown)s END
FROM unnest(%(device_ids)s::text[], %(users)s::text[], %(from_at)s::timestamptz[], %(until_at)s::timestamptz[])
    AS assigned (device_id, users, from_at, until_at)
WHERE readings.patient_id IS NULL AND readings.device_id = assigned.device_id
AND readings.taken_at >= assigned.from_at AND (assigned.until_at IS NULL OR readings.taken_at < assigned.until_at)
AND NOT coalesce(readings.device_user::text, '') = ANY(assigned.users::text[])
AND readings.attribution NOT IN ('quarantined', 'dismissed')

-- name: latest_readings
SELECT latest.*
FROM unnest(%(patient_ids)s::uuid[]) AS wanted (patient_id)
CROSS JOIN unnest(%(metrics)s::text[]) AS measured (metric)
CROSS JOIN LATERAL (
    SELECT readings.patient_id::text, device_id, readings.metric, value, range_flag, modality,
        (extract(epoch FROM taken_at) * 1000)::bigint, store_id, seq
    FROM readings
    WHERE readings.patient_id = wanted.patient_id AND readings.metric = measured.metric
    ORDER BY taken_at DESC
    LIMIT 1
) AS latest

-- name: trend
SELECT taken_at_ms, value, range_flag
FROM (
    SELECT (extract(epoch FROM taken_at) * 1000)::bigint AS taken_at_ms, value, range_flag
    FROM readings
    WHERE patient_id = %(patient_id)s AND metric = %(metric)s
    AND taken_at >= %(from_at)s AND taken_at < %(until_at)s
    ORDER BY taken_at DESC
    LIMIT %(most)s
) AS newest
ORDER BY taken_at_ms

-- name: trend_extremes
SELECT DISTINCT extreme[2]::bigint AS taken_at_ms,
    CASE WHEN extreme[1] NOT IN ('-Infinity', 'Infinity') THEN extreme[1] END AS value,
    CASE extreme[1] WHEN '-Infinity' THEN 'below' WHEN 'Infinity' THEN 'above' END AS range_flag
FROM (
    SELECT min(ARRAY[held, at_ms]) AS lowest, max(ARRAY[held, at_ms]) AS highest
    FROM (
        SELECT CASE range_flag WHEN 'below' THEN '-Infinity' WHEN 'above' THEN 'Infinity' ELSE value END AS held,
            (extract(epoch FROM taken_at) * 1000)::float8 AS at_ms
        FROM readings
        WHERE patient_id = %(patient_id)s AND metric = %(metric)s
        AND taken_at >= %(from_at)s AND taken_at < %(until_at)s
    ) AS each_reading
    GROUP BY floor((at_ms - %(from_ms)s) / %(column_ms)s)
) AS spans
CROSS JOIN LATERAL (VALUES (lowest), (highest)) AS extremes (extreme)
ORDER BY taken_at_ms

-- name: waveforms
SELECT device_id, rate_hz, samples, taken_at_ms
FROM (
    SELECT w.device_id, w.rate_hz, w.samples, (extract(epoch FROM w.taken_at) * 1000)::bigint AS taken_at_ms
    FROM unnest(%(device_ids)s::text[], %(owned_from)s::timestamptz[], %(owned_until)s::timestamptz[])
        AS owned (device_id, from_at, until_at)
    JOIN waveforms AS w
        ON w.device_id = owned.device_id
        AND w.taken_at >= owned.from_at
        AND (owned.until_at IS NULL OR w.taken_at < owned.until_at)
    WHERE w.signal = %(signal)s AND w.attribution <> 'quarantined'
    AND NOT EXISTS (
        SELECT FROM unnest(%(retired_hubs)s::text[], %(retired_from)s::timestamptz[], %(retired_until)s::timestamptz[])
            AS retired (hub_id, from_at, until_at)
        WHERE w.hub_id = retired.hub_id
        AND w.taken_at >= retired.from_at AND (retired.until_at IS NULL OR w.taken_at < retired.until_at)
    )
    AND w.taken_at >= %(from_at)s AND w.taken_at < %(until_at)s
    ORDER BY w.taken_at DESC
    LIMIT %(most)s
) AS newest
ORDER BY taken_at_ms, device_id

-- name: unassigned
SELECT hub_id, device_id, count(*), (extract(epoch FROM min(taken_at)) * 1000)::bigint,
    (extract(epoch FROM max(taken_at)) * 1000)::bigint
FROM readings
WHERE patient_id IS NULL AND attribution NOT IN ('quarantined', 'dismissed')
GROUP BY hub_id, device_id
ORDER BY hub_id, device_id

-- name: quarantine
SELECT hub_id, store_id, coalesce(measurement_group, seq) AS first_seq, min(device_id), array_agg(metric ORDER BY seq),
    (extract(epoch FROM max(taken_at)) * 1000)::bigint, min(device_time), min(device_user), min(quarantine_reason)
FROM readings
WHERE attribution = 'quarantined' AND (%(device_id)s::text IS NULL OR device_id = %(device_id)s)
GROUP BY hub_id, store_id, first_seq
ORDER BY max(taken_at) DESC, hub_id, store_id, first_seq
LIMIT %(most)s

-- name: stores_that_begin
SELECT store_id FROM lanes
WHERE hub_id = %(hub_id)s AND lane = 'readings' AND starts_with(store_id, %(begin)s)

-- name: confirm_measurement
-- A measurement has few readings, one after the other from its first.
UPDATE readings
SET patient_id = %(patient_id)s,
    attribution = 'confirmed',
    quarantine_reason = NULL,
    stated_at = CASE WHEN %(taken_at)s::timestamptz IS NULL THEN stated_at ELSE coalesce(stated_at, taken_at) END,
    taken_at = coalesce(%(taken_at)s, taken_at)
WHERE hub_id = %(hub_id)s AND store_id = %(store_id)s AND seq BETWEEN %(first_seq)s AND %(first_seq)s + 255
AND coalesce(measurement_group, seq) = %(first_seq)s AND attribution = 'quarantined'
RETURNING patient_id::text, device_id, metric, value, range_flag, modality,
    (extract(epoch FROM taken_at) * 1000)::bigint, store_id, seq

-- name: dismiss_measurement
UPDATE readings SET patient_id = NULL, attribution = 'dismissed'
WHERE hub_id = %(hub_id)s AND store_id = %(store_id)s AND seq BETWEEN %(first_seq)s AND %(first_seq)s + 255
AND coalesce(measurement_group, seq) = %(first_seq)s AND attribution IN ('quarantined', 'confirmed')
RETURNING seq

-- name: insert_decision
INSERT INTO quarantine_decisions (hub_id, store_id, first_seq, decision, patient_id, person_id)
VALUES (%(hub_id)s, %(store_id)s, %(first_seq)s, %(decision)s, %(patient_id)s, %(person_id)s)
