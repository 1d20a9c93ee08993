-- A device may measure several people, each in a slot of its own; null while nobody said which slot is theirs.
ALTER TABLE assignments ADD COLUMN device_user integer CHECK (device_user >= 0);

ALTER TABLE assignments DROP CONSTRAINT assignments_pkey;
ALTER TABLE assignments ADD CONSTRAINT assignments_of_slot UNIQUE NULLS NOT DISTINCT (device_id, device_user, from_at);

DROP INDEX one_open_assignment;
CREATE UNIQUE INDEX one_open_assignment ON assignments (device_id, device_user) NULLS NOT DISTINCT
WHERE until_at IS NULL;
