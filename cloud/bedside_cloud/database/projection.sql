-- name: load_projection
SELECT body FROM projections WHERE name = %(name)s

-- name: save_projection
INSERT INTO projections (name, body) VALUES (%(name)s, %(body)s)
ON CONFLICT (name) DO UPDATE SET body = excluded.body, heard_at = clock_timestamp()
