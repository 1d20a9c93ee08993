-- name: add_store
INSERT INTO stores (number, store_id, opened_hub_ms)
VALUES (max(coalesce((SELECT max(number) FROM stores), 0) + 1, :least), :store_id, :hub_ms);

-- name: stores
SELECT number, store_id, opened_hub_ms FROM stores ORDER BY number;

-- name: drop_store
DELETE FROM stores WHERE number = :store;

-- name: hub_time
SELECT max((SELECT coalesce(max(opened_hub_ms), 0) FROM stores), (SELECT coalesce(max(hub_ms), 0) FROM marks));

-- name: add_readings
INSERT INTO readings (item, payload) VALUES (?, ?);

-- name: add_alarms
INSERT INTO alarms (item, payload) VALUES (?, ?);

-- name: add_events
INSERT INTO events (item, payload) VALUES (?, ?);

-- name: add_waveforms
INSERT INTO waveforms (item, payload) VALUES (?, ?);

-- name: fetch_readings
SELECT item, payload FROM readings
WHERE item BETWEEN coalesce((SELECT max(item) FROM readings WHERE item BETWEEN :base AND :first), :first) AND :last
ORDER BY item;

-- name: fetch_alarms
SELECT item, payload FROM alarms
WHERE item BETWEEN coalesce((SELECT max(item) FROM alarms WHERE item BETWEEN :base AND :first), :first) AND :last
ORDER BY item;

-- name: fetch_events
SELECT item, payload FROM events
WHERE item BETWEEN coalesce((SELECT max(item) FROM events WHERE item BETWEEN :base AND :first), :first) AND :last
ORDER BY item;

-- name: fetch_waveforms
SELECT item, payload FROM waveforms
WHERE item BETWEEN coalesce((SELECT max(item) FROM waveforms WHERE item BETWEEN :base AND :first), :first) AND :last
ORDER BY item;

-- name: first_readings
SELECT item FROM readings WHERE item BETWEEN :first AND :last ORDER BY item LIMIT 1;

-- name: first_alarms
SELECT item FROM alarms WHERE item BETWEEN :first AND :last ORDER BY item LIMIT 1;

-- name: first_events
SELECT item FROM events WHERE item BETWEEN :first AND :last ORDER BY item LIMIT 1;

-- name: first_waveforms
SELECT item FROM waveforms WHERE item BETWEEN :first AND :last ORDER BY item LIMIT 1;

-- name: last_readings
SELECT item, payload FROM readings WHERE item BETWEEN :first AND :last ORDER BY item DESC LIMIT 1;

-- name: last_alarms
SELECT item, payload FROM alarms WHERE item BETWEEN :first AND :last ORDER BY item DESC LIMIT 1;

-- name: last_events
SELECT item, payload FROM events WHERE item BETWEEN :first AND :last ORDER BY item DESC LIMIT 1;

-- name: last_waveforms
SELECT item, payload FROM waveforms WHERE item BETWEEN :first AND :last ORDER BY item DESC LIMIT 1;

-- name: delete_readings
DELETE FROM readings WHERE item = ?;

-- name: delete_alarms
DELETE FROM alarms WHERE item = ?;

-- name: delete_events
DELETE FROM events WHERE item = ?;

-- name: delete_waveforms
DELETE FROM waveforms WHERE item = ?;

-- name: settled
SELECT first_seq, last_seq FROM settled WHERE store = :store AND lane = :lane ORDER BY first_seq;

-- name: clear_settled
DELETE FROM settled WHERE store = :store AND lane = :lane;

-- name: add_settled
INSERT INTO settled (store, lane, first_seq, last_seq) VALUES (:store, :lane, :first, :last);

-- name: mark_all_settled
INSERT INTO marks (store, lane, last_seq, hub_ms)
SELECT store, lane, max(last_seq), :hub_ms FROM settled WHERE true GROUP BY store, lane
ON CONFLICT (store, lane, last_seq) DO NOTHING;

-- name: clear_all_settled
DELETE FROM settled;

-- name: clear_store_settled
DELETE FROM settled WHERE store = :store;

-- name: add_mark
INSERT INTO marks (store, lane, last_seq, hub_ms) VALUES (:store, :lane, :seq, :hub_ms)
ON CONFLICT (store, lane, last_seq) DO NOTHING;

-- name: marks
SELECT last_seq, hub_ms FROM marks WHERE store = :store AND lane = :lane ORDER BY last_seq;

-- name: clear_marks
DELETE FROM marks WHERE store = :store AND lane = :lane AND last_seq < :seq;

-- name: clear_store_marks
DELETE FROM marks WHERE store = :store;

-- name: all_state
SELECT name, value FROM state;

-- name: put_state
INSERT INTO state (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: drop_state
DELETE FROM state WHERE name = :name;

-- name: walk_readings
SELECT item, payload FROM readings WHERE item > :item ORDER BY item LIMIT :rows;

-- name: walk_alarms
SELECT item, payload FROM alarms WHERE item > :item ORDER BY item LIMIT :rows;

-- name: walk_events
SELECT item, payload FROM events WHERE item > :item ORDER BY item LIMIT :rows;

-- name: walk_waveforms
SELECT item, payload FROM waveforms WHERE item > :item ORDER BY item LIMIT :rows;

-- name: salvage_state
INSERT INTO state (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;

-- name: salvage_store
INSERT INTO stores (number, store_id, opened_hub_ms)
VALUES (
    iif(
        :number < :below AND NOT EXISTS (SELECT 1 FROM stores WHERE number = :number),
        :number,
        (SELECT coalesce(max(number), 0) + 1 FROM stores WHERE number < :below)
    ),
    :store_id,
    0
)
ON CONFLICT (store_id) DO NOTHING;

-- name: store_number
SELECT number FROM stores WHERE store_id = :store_id;

-- name: oldest_readings
SELECT item, payload FROM readings WHERE item > 0 ORDER BY item LIMIT :rows;

-- name: newest_readings
SELECT item, payload FROM readings WHERE item > 0 ORDER BY item DESC LIMIT :rows;

-- name: oldest_alarms
SELECT item, payload FROM alarms WHERE item > 0 ORDER BY item LIMIT :rows;

-- name: newest_alarms
SELECT item, payload FROM alarms WHERE item > 0 ORDER BY item DESC LIMIT :rows;

-- name: oldest_events
SELECT item, payload FROM events WHERE item > 0 ORDER BY item LIMIT :rows;

-- name: oldest_waveforms
SELECT item, payload FROM waveforms WHERE item > 0 ORDER BY item LIMIT :rows;

-- name: newest_events
SELECT item, payload FROM events WHERE item > 0 ORDER BY item DESC LIMIT :rows;

-- name: newest_waveforms
SELECT item, payload FROM waveforms WHERE item > 0 ORDER BY item DESC LIMIT :rows;

-- name: count_readings
SELECT count(*) FROM readings;

-- name: count_alarms
SELECT count(*) FROM alarms;

-- name: count_events
SELECT count(*) FROM events;
-- name: count_waveforms
SELECT count(*) FROM waveforms;
