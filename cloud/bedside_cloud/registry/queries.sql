-- name: next_version
UPDATE snapshot_version SET version = version + 1 RETURNING version

-- name: put_patient
INSERT INTO patients (name, birth_date, mrn) VALUES (%(name)s, %(birth_date)s, %(mrn)s)
ON CONFLICT (mrn) DO UPDATE SET name = excluded.name, birth_date = excluded.birth_date, changed_at = now()
RETURNING patient_id::text, xmax = 0

-- name: lock_patient
SELECT 1 FROM patients WHERE patient_id = %(patient_id)s FOR UPDATE

-- name: open_episode
SELECT episode_id, state FROM episodes WHERE patient_id = %(patient_id)s AND state <> 'ended'

-- name: insert_episode
INSERT INTO episodes (patient_id, state) VALUES (%(patient_id)s, 'planned') RETURNING episode_id

-- name: move_episode
UPDATE episodes
SET state = %(state)s,
    started_at = CASE WHEN %(state)s = 'active' THEN coalesce(started_at, now()) ELSE started_at END,
    ended_at = CASE WHEN %(state)s = 'ended' THEN now() END
WHERE episode_id = %(episode_id)s

-- name: insert_episode_step
INSERT INTO episode_steps (episode_id, state) VALUES (%(episode_id)s, %(state)s)

-- name: ensure_hub
INSERT INTO hubs (hub_id) VALUES (%(hub_id)s) ON CONFLICT DO NOTHING

-- name: lock_hub
SELECT 1 FROM hubs WHERE hub_id = %(hub_id)s FOR UPDATE

-- name: take_status
UPDATE hubs
SET online = %(online)s,
    session = %(session)s,
    last_seen_at = now(),
    agent_version = %(agent_version)s,
    plan_id = %(plan_id)s,
    plan_version = %(plan_version)s,
    -- A last will was written when its connection began.
    waiting = CASE WHEN %(online)s THEN %(waiting)s ELSE waiting END,
    waiting_at = CASE WHEN %(online)s THEN now() ELSE waiting_at END
WHERE hub_id = %(hub_id)s AND (%(online)s OR session = %(session)s)
RETURNING 1

-- name: boots
SELECT boot_id, earlier_boots FROM hubs WHERE hub_id = %(hub_id)s FOR UPDATE

-- name: set_boots
UPDATE hubs SET boot_id = %(boot_id)s, earlier_boots = %(earlier_boots)s WHERE hub_id = %(hub_id)s

-- name: hubs
SELECT
    hubs.hub_id,
    CASE
        WHEN retirements.hub_id IS NOT NULL THEN 'retired'
        WHEN placements.hub_id IS NULL THEN 'free'
        ELSE 'placed'
    END,
    hubs.online AND hubs.last_seen_at > now() - make_interval(secs => %(offline_after_seconds)s),
    hubs.last_seen_at,
    hubs.agent_version,
    hubs.plan_version,
    hubs.label,
    hubs.waiting,
    hubs.waiting_at,
    retirements.from_at,
    retirements.new_hub_id
FROM hubs
LEFT JOIN placements ON placements.hub_id = hubs.hub_id AND placements.until_at IS NULL
LEFT JOIN retirements ON retirements.hub_id = hubs.hub_id AND retirements.until_at IS NULL
ORDER BY hubs.hub_id

-- name: placement_of_hub
SELECT patient_id::text FROM placements WHERE hub_id = %(hub_id)s AND until_at IS NULL

-- name: placement_of_patient
SELECT hub_id FROM placements WHERE patient_id = %(patient_id)s AND until_at IS NULL

-- name: end_placements
UPDATE placements SET until_at = now()
WHERE until_at IS NULL AND (hub_id = %(hub_id)s OR patient_id = %(patient_id)s)
RETURNING hub_id, patient_id::text

-- name: insert_placement
INSERT INTO placements (hub_id, patient_id) VALUES (%(hub_id)s, %(patient_id)s)

-- name: rename_hub
UPDATE hubs SET label = %(label)s WHERE hub_id = %(hub_id)s AND label <> %(label)s RETURNING 1

-- name: open_retirement
SELECT from_at, new_hub_id, patient_id::text, noted_at FROM retirements
WHERE hub_id = %(hub_id)s AND until_at IS NULL

-- name: last_change_of_service
SELECT max(at) FROM (
    SELECT coalesce(until_at, from_at) AS at FROM placements WHERE hub_id = %(hub_id)s
    UNION ALL
    SELECT until_at FROM retirements WHERE hub_id = %(hub_id)s
) AS changes

-- name: insert_retirement
INSERT INTO retirements (hub_id, from_at, new_hub_id, patient_id)
VALUES (%(hub_id)s, %(at)s, %(new_hub_id)s, %(patient_id)s)

-- name: forget_waiting
UPDATE hubs SET waiting = NULL, waiting_at = NULL WHERE hub_id = %(hub_id)s

-- name: end_retirement
UPDATE retirements SET until_at = greatest(from_at, clock_timestamp())
WHERE hub_id = %(hub_id)s AND until_at IS NULL
RETURNING 1

-- name: end_placement_at
UPDATE placements SET until_at = %(at)s WHERE hub_id = %(hub_id)s AND until_at IS NULL

-- name: insert_placement_at
INSERT INTO placements (hub_id, patient_id, from_at) VALUES (%(new_hub_id)s, %(patient_id)s, %(at)s)

-- name: hand_devices_over
UPDATE devices SET hub_id = %(new_hub_id)s
FROM assignments
WHERE devices.hub_id = %(hub_id)s
    AND assignments.device_id = devices.device_id
    AND assignments.patient_id = %(patient_id)s
    AND assignments.until_at IS NULL

-- name: retirements
SELECT hub_id, from_at, until_at FROM retirements ORDER BY hub_id, from_at

-- name: add_deed
INSERT INTO audit.deeds (actor, deed, subject, detail) VALUES (%(actor)s, %(deed)s, %(subject)s, %(detail)s)

-- name: put_device
INSERT INTO devices (device_id, hub_id, profile) VALUES (%(device_id)s, %(hub_id)s, %(profile)s)
ON CONFLICT (device_id) DO UPDATE
SET hub_id = coalesce(excluded.hub_id, devices.hub_id),
    profile = CASE WHEN excluded.profile = '' THEN devices.profile ELSE excluded.profile END
WHERE devices.hub_id IS DISTINCT FROM coalesce(excluded.hub_id, devices.hub_id)
   OR (excluded.profile <> '' AND devices.profile <> excluded.profile)

-- name: lock_device
SELECT 1 FROM devices WHERE device_id = %(device_id)s FOR UPDATE

-- name: devices
SELECT devices.device_id, devices.hub_id, devices.profile, assignments.patient_id::text, assignments.device_user
FROM devices
LEFT JOIN assignments ON assignments.device_id = devices.device_id AND assignments.until_at IS NULL
ORDER BY devices.device_id, assignments.device_user

-- name: people_of_device
SELECT patient_id::text FROM assignments WHERE device_id = %(device_id)s AND until_at IS NULL

-- name: assignments_of_device
SELECT patient_id::text, from_at, until_at, device_user
FROM assignments
WHERE device_id = %(device_id)s
ORDER BY from_at

-- name: insert_assignment
INSERT INTO assignments (device_id, patient_id, from_at, device_user)
VALUES (%(device_id)s, %(patient_id)s, %(from_at)s, %(device_user)s)

-- name: end_assignment
UPDATE assignments SET until_at = %(until_at)s
WHERE device_id = %(device_id)s AND patient_id = %(patient_id)s AND until_at IS NULL

-- name: assignments
SELECT device_id, patient_id::text, from_at, until_at, device_user FROM assignments ORDER BY device_id, from_at

-- name: devices_of_patient
SELECT device_id, from_at, until_at, device_user FROM assignments
WHERE patient_id = %(patient_id)s AND until_at IS NULL
ORDER BY device_id

-- name: others_on_devices_of_patient
-- Also those who have left meanwhile: records of that time may still come.
SELECT others.device_id, others.from_at, others.until_at, others.device_user
FROM assignments AS own
JOIN assignments AS others ON others.device_id = own.device_id AND others.patient_id <> own.patient_id
WHERE own.patient_id = %(patient_id)s AND own.until_at IS NULL
AND (others.until_at IS NULL OR others.until_at > own.from_at)
ORDER BY others.device_id, others.from_at, others.device_user

-- name: insert_team_member
INSERT INTO care_teams (patient_id, person_id) VALUES (%(patient_id)s, %(person_id)s)
ON CONFLICT DO NOTHING
RETURNING 1

-- name: patients_of_person
SELECT
    patients.patient_id::text,
    patients.name,
    patients.birth_date,
    patients.mrn,
    episodes.state,
    placements.hub_id
FROM care_teams
JOIN patients USING (patient_id)
JOIN episodes ON episodes.patient_id = patients.patient_id AND episodes.state <> 'ended'
LEFT JOIN placements ON placements.patient_id = patients.patient_id AND placements.until_at IS NULL
WHERE care_teams.person_id = %(person_id)s

-- name: all_patients
SELECT
    patients.patient_id::text,
    patients.name,
    patients.birth_date,
    patients.mrn,
    episodes.state,
    placements.hub_id,
    ARRAY(
        SELECT device_id FROM assignments
        WHERE assignments.patient_id = patients.patient_id AND until_at IS NULL
        ORDER BY device_id
    )
FROM patients
LEFT JOIN episodes ON episodes.patient_id = patients.patient_id AND episodes.state <> 'ended'
LEFT JOIN placements ON placements.patient_id = patients.patient_id AND placements.until_at IS NULL
ORDER BY patients.name, patients.mrn

-- name: insert_limits
INSERT INTO limits (patient_id, rules, further, emergency_number, call_back_number)
VALUES (%(patient_id)s, %(rules)s, %(further)s, %(emergency_number)s, %(call_back_number)s)

-- name: limits_in_force
SELECT rules, emergency_number, call_back_number, further
FROM limits
WHERE patient_id = %(patient_id)s
ORDER BY limits_id DESC
LIMIT 1

-- name: newest_version_of_hub
SELECT coalesce(max(version), 0) FROM plans WHERE hub_id = %(hub_id)s

-- name: plan_id_of_pair
SELECT plan_id::text FROM plans WHERE hub_id = %(hub_id)s AND patient_id = %(patient_id)s LIMIT 1

-- name: insert_plan
INSERT INTO plans (plan_id, hub_id, version, patient_id, active, rules, document, issued_at)
VALUES (
    %(plan_id)s, %(hub_id)s, %(version)s, %(patient_id)s, %(active)s, %(rules)s, %(document)s, %(issued_at)s
)

-- name: newest_plan_of_hub
SELECT plan_id::text, version, patient_id::text, document, outcome
FROM plans
WHERE hub_id = %(hub_id)s
ORDER BY version DESC
LIMIT 1

-- name: unanswered_plans
SELECT newest.hub_id, newest.document
FROM hubs
JOIN LATERAL (
    SELECT hub_id, document, answered_at FROM plans
    WHERE plans.hub_id = hubs.hub_id
    ORDER BY version DESC
    LIMIT 1
) AS newest ON newest.answered_at IS NULL
WHERE hubs.online

-- name: answer_plan
UPDATE plans SET answered_at = now(), outcome = %(outcome)s, reason = %(reason)s
WHERE hub_id = %(hub_id)s AND plan_id = %(plan_id)s AND version = %(version)s AND outcome IS DISTINCT FROM %(outcome)s
RETURNING 1

-- name: plans_snapshot
-- The newest of each patient, without looking at the many before it. A hub that served them earlier may be sent a
-- withdrawal at any time, which is none of the patient's affairs.
SELECT newest.*
FROM patients
LEFT JOIN placements ON placements.patient_id = patients.patient_id AND placements.until_at IS NULL
CROSS JOIN LATERAL (
    SELECT plans.patient_id::text, plan_id::text, version, active, plans.hub_id, rules
    FROM plans
    WHERE plans.patient_id = patients.patient_id
    AND (placements.hub_id IS NULL OR plans.hub_id = placements.hub_id)
    ORDER BY issue_id DESC
    LIMIT 1
) AS newest
ORDER BY newest.patient_id

-- name: former_plans
SELECT former.plan_id::text, placements.hub_id, placements.patient_id::text
FROM placements
CROSS JOIN LATERAL (
    SELECT plan_id FROM plans
    WHERE plans.hub_id = placements.hub_id AND plans.patient_id = placements.patient_id
    LIMIT 1
) AS former
WHERE placements.until_at IS NOT NULL
ORDER BY placements.until_at

-- name: snapshot_version
SELECT version FROM snapshot_version

-- name: insert_hub_event
INSERT INTO hub_events (hub_id, store_id, seq, kind, device_id, at, fields)
VALUES (%(hub_id)s, %(store_id)s, %(seq)s, %(kind)s, %(device_id)s, %(at)s, %(fields)s)
ON CONFLICT DO NOTHING
RETURNING 1

-- name: hub_is_known
SELECT 1 FROM hubs WHERE hub_id = %(hub_id)s

-- name: insert_command
INSERT INTO commands (command_id, hub_id, kind, document, given_at, expires_at)
VALUES (%(command_id)s, %(hub_id)s, %(kind)s, %(document)s, %(given_at)s, %(expires_at)s)

-- name: open_command_of_kind
SELECT command_id::text FROM commands
WHERE hub_id = %(hub_id)s AND kind = %(kind)s AND answered_at IS NULL AND expires_at > %(now)s
ORDER BY given_at
LIMIT 1

-- name: unanswered_commands
SELECT commands.hub_id, commands.document
FROM commands
JOIN hubs USING (hub_id)
WHERE commands.answered_at IS NULL AND commands.expires_at > %(now)s AND hubs.online
ORDER BY commands.given_at

-- name: answer_command
UPDATE commands SET answered_at = %(now)s, outcome = %(outcome)s, reason = %(reason)s, content = %(content)s
WHERE hub_id = %(hub_id)s AND command_id = %(command_id)s AND answered_at IS NULL
RETURNING kind

-- name: commands
SELECT command_id::text, hub_id, kind, given_at, expires_at, answered_at, outcome, reason, octet_length(content)
FROM commands
WHERE %(hub_id)s::text IS NULL OR hub_id = %(hub_id)s
ORDER BY given_at DESC
LIMIT %(most)s

-- name: command_content
SELECT kind, content FROM commands WHERE command_id = %(command_id)s

-- name: forget_contents
UPDATE commands SET content = '' WHERE answered_at < %(before)s AND content <> ''

-- name: episodes_of_patient
SELECT state, planned_at, started_at, ended_at FROM episodes WHERE patient_id = %(patient_id)s ORDER BY planned_at DESC

-- name: placements_of_patient
SELECT hub_id, from_at, until_at FROM placements WHERE patient_id = %(patient_id)s ORDER BY from_at DESC

-- name: assignments_of_patient
SELECT device_id, from_at, until_at, device_user FROM assignments
WHERE patient_id = %(patient_id)s
ORDER BY from_at DESC, device_id

-- name: plans_of_patient
SELECT
    plans.hub_id,
    plans.version,
    plans.active,
    jsonb_array_length(plans.rules),
    plans.issued_at,
    plans.answered_at,
    coalesce(plans.outcome, ''),
    plans.reason,
    coalesce(hubs.plan_id = plans.plan_id AND hubs.plan_version = plans.version, false)
FROM plans
JOIN hubs ON hubs.hub_id = plans.hub_id
WHERE plans.patient_id = %(patient_id)s
ORDER BY plans.issue_id DESC
LIMIT %(most)s

-- name: put_release
INSERT INTO releases (sha256, version, manifest, signature, size_bytes, added_at)
VALUES (%(sha256)s, %(version)s, %(manifest)s, %(signature)s, %(size_bytes)s, %(now)s)
ON CONFLICT (sha256) DO UPDATE SET manifest = excluded.manifest, signature = excluded.signature

-- name: lock_release
SELECT sha256, version, manifest, size_bytes, has_bytes, added_at FROM releases WHERE sha256 = %(sha256)s FOR UPDATE

-- name: insert_release_part
INSERT INTO release_parts (sha256, at_byte, content) VALUES (%(sha256)s, %(at_byte)s, %(content)s)

-- name: count_release_bytes
UPDATE releases SET has_bytes = %(has_bytes)s WHERE sha256 = %(sha256)s

-- name: release_parts
SELECT content FROM release_parts WHERE sha256 = %(sha256)s ORDER BY at_byte

-- name: forget_release_parts
DELETE FROM release_parts WHERE sha256 = %(sha256)s

-- name: releases
SELECT sha256, version, manifest, size_bytes, has_bytes, added_at FROM releases ORDER BY added_at DESC, sha256

-- name: releases_named
SELECT sha256, version, manifest, size_bytes, has_bytes, added_at FROM releases
WHERE version = %(name)s OR sha256 = %(name)s
ORDER BY added_at DESC

-- name: signature_of_release
SELECT manifest, signature FROM releases WHERE sha256 = %(sha256)s

-- name: delete_release
DELETE FROM releases WHERE sha256 = %(sha256)s

-- name: release_bytes
SELECT size_bytes, coalesce((
    SELECT substr(content, (%(at_byte)s - at_byte)::int + 1)
    FROM release_parts
    WHERE release_parts.sha256 = releases.sha256
        AND at_byte <= %(at_byte)s
        AND at_byte + octet_length(content) > %(at_byte)s
), '')
FROM releases
WHERE sha256 = %(sha256)s AND has_bytes = size_bytes

-- name: open_rollout
SELECT 1 FROM rollouts WHERE state IN ('running', 'paused')

-- name: open_rollout_of_release
SELECT 1 FROM rollouts WHERE state IN ('running', 'paused') AND sha256 = %(sha256)s

-- name: insert_rollout
INSERT INTO rollouts (
    rollout_id, sha256, version, state, stages, stage_at, soak_seconds, within_seconds, most_failing_percent, started_at
)
VALUES (
    %(rollout_id)s, %(sha256)s, %(version)s, 'running', %(stages)s, %(now)s, %(soak_seconds)s, %(within_seconds)s,
    %(most_failing_percent)s, %(now)s
)

-- name: hubs_to_update
SELECT hubs.hub_id FROM hubs
LEFT JOIN retirements ON retirements.hub_id = hubs.hub_id AND retirements.until_at IS NULL
WHERE retirements.hub_id IS NULL AND hubs.agent_version <> %(version)s AND hubs.last_seen_at IS NOT NULL
ORDER BY sha256(convert_to(%(rollout_id)s || hubs.hub_id, 'UTF8'))

-- name: insert_rollout_hub
INSERT INTO rollout_hubs (rollout_id, hub_id, stage) VALUES (%(rollout_id)s, %(hub_id)s, %(stage)s)

-- name: rollouts
SELECT
    rollout_id::text, version, sha256, state, stages, stage,
    (SELECT count(*) FROM rollout_hubs WHERE rollout_hubs.rollout_id = rollouts.rollout_id),
    started_at, ended_at, reason
FROM rollouts
WHERE %(rollout_id)s::uuid IS NULL OR rollout_id = %(rollout_id)s
ORDER BY started_at DESC

-- name: lock_rollout
SELECT state FROM rollouts WHERE rollout_id = %(rollout_id)s FOR UPDATE

-- name: set_rollout
UPDATE rollouts
SET state = %(state)s, ended_at = %(ended_at)s, reason = %(reason)s
WHERE rollout_id = %(rollout_id)s

-- name: running_rollout
SELECT
    rollout_id::text, sha256, version, stages, stage, stage_at, soak_seconds, within_seconds, most_failing_percent
FROM rollouts
WHERE state = 'running'
FOR UPDATE SKIP LOCKED

-- name: rollout_hubs
SELECT
    rollout_hubs.hub_id, rollout_hubs.stage, rollout_hubs.command_id IS NOT NULL, commands.outcome,
    coalesce(commands.reason, ''), commands.answered_at, commands.expires_at, hubs.agent_version,
    hubs.online AND hubs.last_seen_at > %(now)s - make_interval(secs => %(offline_after_seconds)s)
FROM rollout_hubs
JOIN hubs USING (hub_id)
LEFT JOIN commands USING (command_id)
WHERE rollout_id = %(rollout_id)s
ORDER BY rollout_hubs.stage, rollout_hubs.hub_id

-- name: give_to_rollout_hub
UPDATE rollout_hubs SET command_id = %(command_id)s WHERE rollout_id = %(rollout_id)s AND hub_id = %(hub_id)s

-- name: next_stage
UPDATE rollouts SET stage = stage + 1, stage_at = %(now)s WHERE rollout_id = %(rollout_id)s

-- name: withdraw_rollout_commands
-- What a hub was told already it may still do, and its answer is taken.
UPDATE commands SET expires_at = least(expires_at, %(now)s)
FROM rollout_hubs
WHERE rollout_hubs.rollout_id = %(rollout_id)s
    AND rollout_hubs.command_id = commands.command_id
    AND commands.answered_at IS NULL
