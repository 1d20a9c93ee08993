-- name: insert_claim
INSERT INTO claims (claim_sha256, hub_id, created_at, expires_at)
VALUES (%(claim_sha256)s, %(hub_id)s, %(now)s, %(expires_at)s)

-- name: use_claim
UPDATE claims SET used_at = %(now)s
WHERE claim_sha256 = %(claim_sha256)s AND hub_id = %(hub_id)s AND used_at IS NULL AND expires_at > %(now)s
RETURNING hub_id

-- name: enrol_hub
INSERT INTO hubs (hub_id, access, enrolled_at, refuse_issued_before, changed_at)
VALUES (%(hub_id)s, 'active', %(now)s, %(now)s, %(now)s)
ON CONFLICT (hub_id) DO UPDATE
SET access = 'active', enrolled_at = %(now)s, refuse_issued_before = %(now)s, changed_at = %(now)s

-- name: insert_certificate
INSERT INTO certificates (serial, hub_id, issued_at, ends_at)
VALUES (%(serial)s, %(hub_id)s, %(issued_at)s, %(ends_at)s)

-- name: set_access
UPDATE hubs
SET access = %(access)s,
    changed_at = %(now)s,
    refuse_issued_before = CASE WHEN %(access)s = 'revoked' THEN %(now)s ELSE refuse_issued_before END
WHERE hub_id = %(hub_id)s AND (access <> 'revoked' OR %(access)s = 'revoked')
RETURNING hub_id

-- name: next_version
UPDATE access_version SET version = version + 1 RETURNING version

-- name: hubs
SELECT
    hubs.hub_id,
    hubs.access,
    hubs.enrolled_at,
    coalesce((SELECT max(ends_at) FROM certificates WHERE certificates.hub_id = hubs.hub_id), hubs.enrolled_at),
    hubs.oversized
FROM hubs
ORDER BY hubs.hub_id

-- name: snapshot
SELECT (SELECT version FROM access_version), hub_id, access, refuse_issued_before FROM hubs

-- name: put_person
INSERT INTO people (name, role, password_hash, changed_at)
VALUES (%(name)s, %(role)s, %(password_hash)s, %(now)s)
ON CONFLICT (name) DO UPDATE
SET role = excluded.role, password_hash = excluded.password_hash, changed_at = excluded.changed_at
RETURNING person_id::text, xmax = 0

-- name: people
SELECT person_id::text, name, role FROM people ORDER BY name

-- name: person_by_name
SELECT person_id::text, role, password_hash FROM people WHERE name = %(name)s

-- name: failed_logins
SELECT failures, last_at FROM failed_logins WHERE name = %(name)s

-- name: count_failed_login
INSERT INTO failed_logins (name, failures, last_at) VALUES (%(name)s, 1, %(now)s)
ON CONFLICT (name) DO UPDATE SET failures = failed_logins.failures + 1, last_at = excluded.last_at

-- name: forget_failed_logins
DELETE FROM failed_logins WHERE name = %(name)s

-- name: count_oversized
UPDATE hubs SET oversized = oversized + 1 WHERE hub_id = %(hub_id)s
