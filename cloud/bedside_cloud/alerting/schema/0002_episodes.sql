-- Which of the hub's occurrences its word is about: the end of an earlier one must not end a later one.
ALTER TABLE alert_sources ADD COLUMN episode uuid;

-- A hub may write any version that the wire can carry.
ALTER TABLE alerts ALTER COLUMN plan_version TYPE bigint;

-- What the rule spoke of, for when it leaves the plan while it is active. Empty: kept before this column was there.
ALTER TABLE rule_states ADD COLUMN condition text NOT NULL DEFAULT '';
