-- Urgent rows are delivered before all others. A row that was refused too often stands aside: it comes again, but
-- those behind it no longer wait for it.
ALTER TABLE outbox
    ADD COLUMN urgent boolean NOT NULL DEFAULT false,
    ADD COLUMN refusals integer NOT NULL DEFAULT 0,
    ADD COLUMN aside boolean NOT NULL DEFAULT false;

DROP INDEX outbox_in_order;
CREATE INDEX outbox_in_order ON outbox (ordering_key, outbox_id) WHERE NOT aside;
CREATE INDEX outbox_aside ON outbox (due_at) WHERE aside;
