-- name: insert_claim
INSERT INTO claims (claim_sha256, hub_id, created_at, expires_at, hub_serial)
VALUES (%(claim_sha256)s, %(hub_id)s, %(now)s, %(expires_at)s, %(hub_serial)s)

-- name: claim_in_force
SELECT hub_serial FROM claims
WHERE claim_sha256 = %(claim_sha256)s
    AND hub_id = %(hub_id)s
    AND used_at IS NULL
    AND expires_at > %(now)s
    AND (hub_serial IS NULL OR hub_serial = %(hub_serial)s)
    AND NOT EXISTS (
        SELECT 1 FROM hubs WHERE hubs.hub_id = claims.hub_id AND hubs.refuse_claims_until >= claims.created_at
    )
FOR UPDATE

-- name: use_claim
UPDATE claims SET used_at = %(now)s WHERE claim_sha256 = %(claim_sha256)s

-- name: claim
SELECT
    claims.hub_id, used_at IS NOT NULL, expires_at, coalesce(hubs.refuse_claims_until >= claims.created_at, false)
FROM claims LEFT JOIN hubs USING (hub_id)
WHERE claim_sha256 = %(claim_sha256)s

-- name: enrol_hub
INSERT INTO hubs (hub_id, access, enrolled_at, refuse_issued_before, adopted_issued_at, changed_at, hub_serial)
VALUES (%(hub_id)s, 'active', %(now)s, %(now)s, %(now)s, %(now)s, %(hub_serial)s)
ON CONFLICT (hub_id) DO UPDATE
SET access = 'active',
    enrolled_at = %(now)s,
    refuse_issued_before = %(now)s,
    adopted_issued_at = %(now)s,
    changed_at = %(now)s,
    hub_serial = excluded.hub_serial

-- name: learn_serial
UPDATE hubs SET hub_serial = %(hub_serial)s WHERE hub_id = %(hub_id)s AND hub_serial IS NULL

-- name: lock_hub
SELECT access, hub_serial FROM hubs WHERE hub_id = %(hub_id)s FOR UPDATE

-- name: adopt
UPDATE hubs SET adopted_issued_at = %(issued_at)s, changed_at = %(now)s
WHERE hub_id = %(hub_id)s AND adopted_issued_at < %(issued_at)s
RETURNING hub_id

-- name: hub_for_renewal
SELECT access, greatest(refuse_issued_before, adopted_issued_at) FROM hubs WHERE hub_id = %(hub_id)s FOR UPDATE

-- name: certificates_since
SELECT count(*) FROM certificates WHERE hub_id = %(hub_id)s AND issued_at > %(since)s

-- name: is_revoked_certificate
SELECT 1 FROM certificates WHERE serial = %(serial)s AND revoked_at IS NOT NULL

-- name: insert_certificate
INSERT INTO certificates (serial, hub_id, issued_at, ends_at, key_sha256, request_sha256)
VALUES (%(serial)s, %(hub_id)s, %(issued_at)s, %(ends_at)s, %(key_sha256)s, %(request_sha256)s)

-- name: revoke_certificates
UPDATE certificates SET revoked_at = %(now)s, revoked_for = %(reason)s
WHERE hub_id = %(hub_id)s AND issued_at < %(issued_before)s AND revoked_at IS NULL AND ends_at > %(now)s
RETURNING serial

-- name: revoked
SELECT serial, revoked_at, revoked_for FROM certificates WHERE revoked_at IS NOT NULL AND ends_at > %(now)s
ORDER BY revoked_at, serial

-- name: access_version
SELECT version FROM access_version

-- name: is_replay
SELECT 1 FROM certificates WHERE request_sha256 = %(request_sha256)s

-- name: is_key_of_another
SELECT 1 FROM certificates WHERE key_sha256 = %(key_sha256)s AND hub_id <> %(hub_id)s

-- name: add_incident
INSERT INTO incidents (hub_id, kind, first_at, last_at) VALUES (%(hub_id)s, %(kind)s, %(now)s, %(now)s)
ON CONFLICT (hub_id, kind) WHERE settled_at IS NULL
DO UPDATE SET last_at = excluded.last_at, times = incidents.times + 1
RETURNING times

-- name: incidents
SELECT incident_id, hub_id, kind, first_at, last_at, times FROM incidents
WHERE settled_at IS NULL ORDER BY last_at DESC, incident_id DESC

-- name: settle_incident
UPDATE incidents SET settled_at = %(now)s WHERE incident_id = %(incident_id)s AND settled_at IS NULL
RETURNING hub_id, kind

-- name: add_deed
INSERT INTO audit.deeds (actor, deed, subject, detail) VALUES (%(actor)s, %(deed)s, %(subject)s, %(detail)s)

-- name: set_access
UPDATE hubs
SET access = %(access)s,
    changed_at = %(now)s,
    refuse_issued_before = CASE
        WHEN %(access)s IN ('revoked', 'wiped') THEN %(now)s ELSE refuse_issued_before
    END,
    refuse_claims_until = CASE
        WHEN %(access)s IN ('retired', 'revoked', 'wiped') THEN %(now)s ELSE refuse_claims_until
    END
WHERE hub_id = %(hub_id)s

-- name: next_version
UPDATE access_version SET version = version + 1 RETURNING version

-- name: hubs
SELECT
    hubs.hub_id,
    hubs.access,
    hubs.enrolled_at,
    coalesce((SELECT max(ends_at) FROM certificates WHERE certificates.hub_id = hubs.hub_id), hubs.enrolled_at),
    hubs.oversized,
    hubs.hub_serial,
    hubs.changed_at
FROM hubs
ORDER BY hubs.hub_id

-- name: snapshot
SELECT (SELECT version FROM access_version), hub_id, access, refuse_issued_before, adopted_issued_at FROM hubs

-- name: snapshot_of_hub
SELECT version, hubs.access, hubs.refuse_issued_before, hubs.adopted_issued_at
FROM access_version LEFT JOIN hubs ON hubs.hub_id = %(hub_id)s

-- name: count_oversized
UPDATE hubs SET oversized = oversized + 1 WHERE hub_id = %(hub_id)s
