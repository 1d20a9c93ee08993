-- An alert with what each of its sources last said: source → [present, said at (UTC ms), episode]. A column that alerts get
-- later has to be added here too (CREATE OR REPLACE).
CREATE VIEW alerts_with_sources AS
SELECT alerts.*, (
    SELECT coalesce(jsonb_object_agg(source, jsonb_build_array(
        present, (extract(epoch FROM said_at) * 1000)::bigint, episode
    )), '{}') FROM alert_sources WHERE alert_sources.alert_id = alerts.alert_id
) AS sources
FROM alerts;
