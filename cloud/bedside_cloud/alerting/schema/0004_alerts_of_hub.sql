-- What a hub that comes back is told.
CREATE INDEX alerts_of_hub ON alerts (hub_id, changed_at);
