-- A technical alert is about one device: two devices may be silent at once, and each is over by itself. Empty: about the
-- patient, or the hub.
ALTER TABLE alerts ADD COLUMN device_id text NOT NULL DEFAULT '';

DROP INDEX one_active_alert;
CREATE UNIQUE INDEX one_active_alert ON alerts (patient_id, condition, device_id, test) WHERE cleared_at IS NULL;
