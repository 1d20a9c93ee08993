-- name: enqueue
INSERT INTO outbox (subject, ordering_key, body, urgent)
SELECT subject, ordering_key, body, urgent
FROM unnest(%(subjects)s::text[], %(ordering_keys)s::text[], %(bodies)b::bytea[], %(urgent)s::boolean[])
    WITH ORDINALITY AS due (subject, ordering_key, body, urgent, place)
ORDER BY place

-- name: lazily
SET LOCAL synchronous_commit = off

-- name: lease
-- The oldest row of each key, found by leaping through the index from key to key: the many rows behind cost nothing.
WITH RECURSIVE oldest AS (
    (
        SELECT ordering_key, outbox_id, due_at, urgent
        FROM outbox
        WHERE NOT aside
        ORDER BY ordering_key, outbox_id
        LIMIT 1
    )
    UNION ALL
    SELECT next.*
    FROM oldest
    CROSS JOIN LATERAL (
        SELECT ordering_key, outbox_id, due_at, urgent
        FROM outbox
        WHERE NOT aside AND outbox.ordering_key > oldest.ordering_key
        ORDER BY ordering_key, outbox_id
        LIMIT 1
    ) AS next
),
due AS (
    SELECT outbox_id, urgent FROM oldest WHERE due_at <= clock_timestamp()
    UNION ALL
    (
        SELECT outbox_id, urgent FROM outbox
        WHERE aside AND due_at <= clock_timestamp()
        ORDER BY due_at
        LIMIT %(most)s
    )
),
ranked AS (
    SELECT outbox_id, urgent, row_number() OVER (PARTITION BY urgent ORDER BY outbox_id) AS place FROM due
),
chosen AS (
    SELECT outbox_id FROM outbox
    WHERE outbox_id IN (
        SELECT outbox_id FROM ranked WHERE place <= CASE WHEN urgent THEN %(most)s ELSE %(most_ordinary)s END
    )
    AND due_at <= clock_timestamp()
    ORDER BY outbox_id
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox
SET due_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s), attempts = attempts + 1
FROM chosen
WHERE outbox.outbox_id = chosen.outbox_id
RETURNING outbox.outbox_id, subject, body, attempts, urgent

-- name: settle
DELETE FROM outbox WHERE outbox_id = ANY(%(outbox_ids)s)

-- name: postpone
UPDATE outbox
SET due_at = clock_timestamp() + make_interval(secs => %(seconds)s),
    refusals = refusals + %(refused)s::int,
    aside = aside OR refusals + %(refused)s::int >= %(most_refusals)s
WHERE outbox_id = %(outbox_id)s
