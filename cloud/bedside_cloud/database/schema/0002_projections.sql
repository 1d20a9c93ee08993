-- What a service last heard from another, so that it works while that one is away.
CREATE TABLE projections (
    name text PRIMARY KEY,
    body jsonb NOT NULL,
    heard_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
