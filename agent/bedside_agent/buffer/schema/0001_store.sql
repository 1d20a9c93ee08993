-- One row an opening of the store: items keep the store they were born in.
CREATE TABLE stores (
    number INTEGER PRIMARY KEY,
    store_id TEXT NOT NULL UNIQUE,
    opened_hub_ms INTEGER NOT NULL
) STRICT;

-- `item` is the store's number times 2^40 plus the sequence: one tree a lane, appended at its right end, no second index.
CREATE TABLE readings (item INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;
CREATE TABLE alarms (item INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;
CREATE TABLE events (item INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;

-- What receipts cover, as ranges: an item needs no second write when it is stored, and a rewind is one DELETE.
CREATE TABLE settled (
    store INTEGER NOT NULL REFERENCES stores (number),
    lane TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    PRIMARY KEY (store, lane, first_seq)
) STRICT, WITHOUT ROWID;

-- "By this much running time of the hub, this was the newest item": how old a stored item is.
CREATE TABLE marks (
    store INTEGER NOT NULL REFERENCES stores (number),
    lane TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    hub_ms INTEGER NOT NULL,
    PRIMARY KEY (store, lane, last_seq)
) STRICT, WITHOUT ROWID;

-- Texts that repeat in every reading (device, boot), written once.
CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
