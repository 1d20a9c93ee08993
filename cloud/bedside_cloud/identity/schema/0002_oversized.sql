-- How often the broker cut a hub because of a message above its limit.
ALTER TABLE hubs ADD COLUMN oversized bigint NOT NULL DEFAULT 0;
