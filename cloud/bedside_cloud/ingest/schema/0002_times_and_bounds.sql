-- When the hub says that it took the reading, if that cannot be: then `taken_at` is what can. Null otherwise.
ALTER TABLE readings ADD COLUMN stated_at timestamptz;

-- A device may number its users as high as the wire can carry.
ALTER TABLE readings ALTER COLUMN device_user TYPE bigint;
