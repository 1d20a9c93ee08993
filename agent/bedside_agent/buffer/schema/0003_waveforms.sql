-- Pieces of waveforms, a row each, sealed like the rows of every lane.
CREATE TABLE waveforms (item INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;
