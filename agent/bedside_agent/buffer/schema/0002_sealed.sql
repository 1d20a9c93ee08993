-- Rows explain themselves and are sealed: `buffer/legacy.py` has written them anew in this same transaction.
DROP TABLE names;
