-- Which boot of a hub spoke last, and the ones before it, newest first: no computer comes back to an earlier boot.
ALTER TABLE hubs ADD COLUMN boot_id text;
ALTER TABLE hubs ADD COLUMN earlier_boots text[] NOT NULL DEFAULT '{}';
