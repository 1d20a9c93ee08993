-- name: lock_patient
SELECT pg_advisory_xact_lock(hashtextextended(%(patient_id)s, 0))

-- name: active_alert
SELECT * FROM alerts_with_sources
WHERE patient_id = %(patient_id)s AND condition = %(condition)s AND device_id = %(device_id)s AND test = %(test)s
AND cleared_at IS NULL

-- name: alert_around
SELECT * FROM alerts_with_sources
WHERE patient_id = %(patient_id)s AND condition = %(condition)s AND device_id = %(device_id)s AND test = %(test)s
AND (cleared_at IS NULL OR (onset_at <= %(at)s AND cleared_at >= %(at)s))
ORDER BY cleared_at DESC NULLS FIRST
LIMIT 1

-- name: alert_by_id
SELECT * FROM alerts_with_sources
WHERE alert_id = %(alert_id)s

-- name: alerts_of_patients
SELECT * FROM alerts_with_sources
WHERE patient_id = ANY(%(patient_ids)s)
AND (cleared_at IS NULL OR acknowledged_at IS NULL OR changed_at >= %(since)s)
-- However many there are, an active one is never cut off.
ORDER BY cleared_at IS NOT NULL, acknowledged_at IS NOT NULL, raised_at DESC
LIMIT 500

-- name: alerts_of_hub
SELECT * FROM alerts_with_sources
WHERE hub_id = %(hub_id)s AND (cleared_at IS NULL OR changed_at >= %(since)s)
-- As many as a hub remembers; an active one is never cut off.
ORDER BY cleared_at IS NOT NULL, changed_at DESC
LIMIT 64

-- name: patient_of_alert
SELECT patient_id::text FROM alerts WHERE alert_id = %(alert_id)s

-- name: save_alert
INSERT INTO alerts (
    alert_id, patient_id, condition, kind, priority, version, hub_id, episode, onset_at, raised_at, heard_at, metric,
    side, value, range_flag, limit_value, rule_id, plan_version, cleared_at, acknowledged_at, acknowledged_by,
    acknowledged_name, test, device_id, patient_says_well_at
) VALUES (
    %(alert_id)s, %(patient_id)s, %(condition)s, %(kind)s, %(priority)s, %(version)s, %(hub_id)s, %(episode)s,
    %(onset_at)s, %(raised_at)s, %(heard_at)s, %(metric)s, %(side)s, %(value)s, %(range_flag)s, %(limit_value)s,
    %(rule_id)s, %(plan_version)s, %(cleared_at)s, %(acknowledged_at)s, %(acknowledged_by)s, %(acknowledged_name)s,
    %(test)s, %(device_id)s, %(patient_says_well_at)s
)
ON CONFLICT (alert_id) DO UPDATE SET
    version = excluded.version, priority = excluded.priority, episode = excluded.episode, value = excluded.value,
    range_flag = excluded.range_flag, cleared_at = excluded.cleared_at, acknowledged_at = excluded.acknowledged_at,
    acknowledged_by = excluded.acknowledged_by, acknowledged_name = excluded.acknowledged_name,
    patient_says_well_at = excluded.patient_says_well_at,
    changed_at = clock_timestamp()

-- name: save_source
INSERT INTO alert_sources (alert_id, source, present, said_at, episode)
VALUES (%(alert_id)s, %(source)s, %(present)s, %(said_at)s, %(episode)s)
ON CONFLICT (alert_id, source) DO UPDATE SET
    present = excluded.present, said_at = excluded.said_at, episode = excluded.episode

-- name: save_history
INSERT INTO alert_history (alert_id, version, change, source, by_person)
VALUES (%(alert_id)s, %(version)s, %(change)s, %(source)s, %(by_person)s)

-- name: take_alarm
INSERT INTO taken_alarms (hub_id, store_id, seq) VALUES (%(hub_id)s, %(store_id)s, %(seq)s) ON CONFLICT DO NOTHING

-- name: end_episode
INSERT INTO ended_episodes (episode, ended_at) VALUES (%(episode)s, %(ended_at)s) ON CONFLICT DO NOTHING

-- name: episode_end
SELECT (extract(epoch FROM ended_at) * 1000)::bigint FROM ended_episodes WHERE episode = %(episode)s

-- name: rule_states
SELECT rule_id, rule_version, condition, state FROM rule_states WHERE patient_id = %(patient_id)s

-- name: save_rule_state
INSERT INTO rule_states (patient_id, rule_id, rule_version, condition, state, due_at)
VALUES (%(patient_id)s, %(rule_id)s, %(rule_version)s, %(condition)s, %(state)s, %(due_at)s)
ON CONFLICT (patient_id, rule_id) DO UPDATE SET
    rule_version = excluded.rule_version, condition = excluded.condition, state = excluded.state,
    due_at = excluded.due_at

-- name: forget_rule_states
DELETE FROM rule_states WHERE patient_id = %(patient_id)s AND rule_id = ANY(%(rule_ids)s)

-- name: due_patients
SELECT DISTINCT patient_id::text FROM rule_states WHERE due_at <= %(now)s
