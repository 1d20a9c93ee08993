-- name: enqueue
INSERT INTO outbox (subject, ordering_key, body) VALUES (%(subject)s, %(ordering_key)s, %(body)s)

-- name: lease
UPDATE outbox
SET due_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s), attempts = attempts + 1
WHERE outbox_id IN (
    SELECT outbox_id
    FROM (
        SELECT DISTINCT ON (ordering_key) outbox_id, due_at
        FROM outbox
        ORDER BY ordering_key, outbox_id
    ) AS oldest
    WHERE due_at <= clock_timestamp()
    ORDER BY outbox_id
    LIMIT %(most)s
)
AND due_at <= clock_timestamp()
RETURNING outbox_id, subject, body, attempts

-- name: settle
DELETE FROM outbox WHERE outbox_id = %(outbox_id)s

-- name: postpone
UPDATE outbox
SET due_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE outbox_id = %(outbox_id)s

-- name: waiting
SELECT count(*) FROM outbox
