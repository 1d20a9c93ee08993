-- Rules beside thresholds, by kind: rates, planned measurements, technical ones.
ALTER TABLE limits ADD COLUMN further jsonb NOT NULL DEFAULT '{}';
