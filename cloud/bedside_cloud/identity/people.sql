-- name: put_person
INSERT INTO people (name, role, password_hash, changed_at)
VALUES (%(name)s, %(role)s, %(password_hash)s, %(now)s)
ON CONFLICT (name) DO UPDATE
SET role = excluded.role,
    password_hash = excluded.password_hash,
    changed_at = excluded.changed_at,
    series = people.series + 1,
    series_since = excluded.changed_at
RETURNING person_id::text, role, disabled, series, xmax = 0

-- name: end_logins
UPDATE people SET series = series + 1, series_since = %(now)s WHERE name = %(name)s
RETURNING person_id::text, role, disabled, series

-- name: end_logins_of_id
UPDATE people SET series = series + 1, series_since = %(now)s WHERE person_id = %(person_id)s::uuid
RETURNING series

-- name: set_disabled
UPDATE people
SET changed_at = CASE WHEN disabled = %(disabled)s THEN changed_at ELSE %(now)s END, disabled = %(disabled)s
WHERE name = %(name)s
RETURNING person_id::text, role, disabled, series

-- name: people
SELECT person_id::text, name, role, disabled FROM people ORDER BY name

-- name: person_by_name
SELECT person_id::text, role, password_hash, disabled, series FROM people WHERE name = %(name)s

-- name: end_login
INSERT INTO ended_logins (login_id, person_id, expires_at)
SELECT %(login_id)s::uuid, person_id, %(expires_at)s FROM people WHERE person_id = %(person_id)s::uuid
ON CONFLICT (login_id) DO NOTHING
RETURNING (SELECT name FROM people WHERE person_id = %(person_id)s::uuid)

-- name: count_ended_logins
SELECT count(*) FROM ended_logins WHERE person_id = %(person_id)s::uuid

-- name: forget_ended_logins_of
DELETE FROM ended_logins WHERE person_id = %(person_id)s::uuid

-- name: forget_expired_logins
DELETE FROM ended_logins WHERE expires_at < %(now)s

-- name: ended_logins
SELECT login_id::text, expires_at FROM ended_logins WHERE expires_at >= %(now)s ORDER BY expires_at

-- name: ended_series
SELECT person_id::text, series FROM people WHERE series_since >= %(since)s ORDER BY person_id

-- name: generation_since
SELECT since FROM platform.generation

-- name: failed_logins
SELECT failures, last_at FROM failed_logins WHERE name = %(name)s

-- name: count_failed_login
INSERT INTO failed_logins (name, failures, last_at) VALUES (%(name)s, 1, %(now)s)
ON CONFLICT (name) DO UPDATE SET failures = failed_logins.failures + 1, last_at = excluded.last_at

-- name: forget_failed_logins
DELETE FROM failed_logins WHERE name = %(name)s
