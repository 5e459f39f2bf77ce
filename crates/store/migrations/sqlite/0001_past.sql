-- The past: what rows were before they were changed or taken away. `written_at` is when a version was written
-- (`recorded_at`, `marked_at` and `stood_at` are the same for what they stand at), `passed_at` when the next one took
-- its place. So a store can be read as of an instant: the versions written by then that had not passed. Whoever changes
-- a row says when; a version that was there for no time is not kept, and neither is where evaluating stood for those
-- who came in with history, before they were first evaluated. Housekeeping deletes what passed long ago.

CREATE TABLE customer_past (
    bucket INTEGER NOT NULL, id BLOB NOT NULL, email TEXT, phone TEXT, first_name TEXT, last_name TEXT, locale TEXT,
    country TEXT, time_zone TEXT, created_at INTEGER NOT NULL, has_account BOOLEAN NOT NULL,
    attributes TEXT NOT NULL, received_at INTEGER NOT NULL, merged_into BLOB, written_at INTEGER NOT NULL,
    passed_at INTEGER NOT NULL
);
CREATE INDEX customer_past_of ON customer_past (bucket, id);
CREATE TRIGGER customer_past_keeps AFTER UPDATE ON customer
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO customer_past (bucket, id, email, phone, first_name, last_name, locale, country, time_zone,
    created_at, has_account, attributes, received_at, merged_into, written_at, passed_at)
    VALUES (OLD.bucket, OLD.id, OLD.email, OLD.phone, OLD.first_name, OLD.last_name, OLD.locale, OLD.country,
    OLD.time_zone, OLD.created_at, OLD.has_account, OLD.attributes, OLD.received_at, OLD.merged_into,
    OLD.written_at, NEW.written_at);
END;

CREATE TABLE identity_past (
    kind TEXT NOT NULL, value TEXT NOT NULL, system TEXT NOT NULL, bucket INTEGER NOT NULL,
    customer_id BLOB NOT NULL, written_at INTEGER NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX identity_past_of ON identity_past (bucket, customer_id);
CREATE TRIGGER identity_past_keeps AFTER UPDATE ON identity
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO identity_past (kind, value, system, bucket, customer_id, written_at, passed_at)
    VALUES (OLD.kind, OLD.value, OLD.system, OLD.bucket, OLD.customer_id, OLD.written_at, NEW.written_at);
END;

CREATE TABLE consent_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, id BLOB NOT NULL, channel TEXT NOT NULL,
    purpose TEXT NOT NULL, state TEXT NOT NULL, basis TEXT NOT NULL, at INTEGER NOT NULL, source TEXT NOT NULL,
    evidence TEXT NOT NULL, received_at INTEGER NOT NULL, written_at INTEGER NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX consent_past_of ON consent_past (bucket, customer_id);
CREATE TRIGGER consent_past_keeps AFTER UPDATE ON consent
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO consent_past (bucket, customer_id, id, channel, purpose, state, basis, at, source, evidence, received_at,
    written_at, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.id, OLD.channel, OLD.purpose, OLD.state, OLD.basis, OLD.at, OLD.source,
    OLD.evidence, OLD.received_at, OLD.written_at, NEW.written_at);
END;

CREATE TABLE suppression_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, id BLOB NOT NULL, address_hash TEXT, channel TEXT,
    all_purposes BOOLEAN NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL, written_at INTEGER NOT NULL,
    passed_at INTEGER NOT NULL
);
CREATE INDEX suppression_past_of ON suppression_past (bucket, customer_id);
CREATE TRIGGER suppression_past_keeps AFTER UPDATE ON suppression
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO suppression_past (bucket, customer_id, id, address_hash, channel, all_purposes, reason, at,
    written_at, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.id, OLD.address_hash, OLD.channel, OLD.all_purposes, OLD.reason,
    OLD.at, OLD.written_at, NEW.written_at);
END;

CREATE TABLE orders_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, id BLOB NOT NULL, system TEXT NOT NULL,
    external_id TEXT NOT NULL, number TEXT NOT NULL, state TEXT NOT NULL, placed_at INTEGER NOT NULL,
    total_minor INTEGER NOT NULL, currency TEXT NOT NULL, total_reporting_minor INTEGER,
    item_count INTEGER NOT NULL, detail TEXT NOT NULL, received_at INTEGER NOT NULL, origin TEXT NOT NULL,
    written_at INTEGER NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX orders_past_of ON orders_past (bucket, customer_id);
CREATE TRIGGER orders_past_keeps AFTER UPDATE ON orders
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO orders_past (bucket, customer_id, id, system, external_id, number, state, placed_at, total_minor,
    currency, total_reporting_minor, item_count, detail, received_at, origin, written_at, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.id, OLD.system, OLD.external_id, OLD.number, OLD.state, OLD.placed_at,
    OLD.total_minor, OLD.currency, OLD.total_reporting_minor, OLD.item_count, OLD.detail, OLD.received_at,
    OLD.origin, OLD.written_at, NEW.written_at);
END;

CREATE TABLE cart_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, id BLOB NOT NULL, system TEXT NOT NULL,
    external_id TEXT NOT NULL, is_open BOOLEAN NOT NULL, updated_at INTEGER NOT NULL, total_minor INTEGER NOT NULL,
    currency TEXT NOT NULL, total_reporting_minor INTEGER, detail TEXT NOT NULL, written_at INTEGER NOT NULL,
    passed_at INTEGER NOT NULL
);
CREATE INDEX cart_past_of ON cart_past (bucket, customer_id);
CREATE TRIGGER cart_past_keeps AFTER UPDATE ON cart
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO cart_past (bucket, customer_id, id, system, external_id, is_open, updated_at, total_minor, currency,
    total_reporting_minor, detail, written_at, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.id, OLD.system, OLD.external_id, OLD.is_open, OLD.updated_at,
    OLD.total_minor, OLD.currency, OLD.total_reporting_minor, OLD.detail, OLD.written_at, NEW.written_at);
END;

CREATE TABLE feedback_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL, score REAL, body TEXT,
    product TEXT, at INTEGER NOT NULL, written_at INTEGER NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX feedback_past_of ON feedback_past (bucket, customer_id);
CREATE TRIGGER feedback_past_keeps AFTER UPDATE ON feedback
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO feedback_past (bucket, customer_id, id, kind, score, body, product, at, written_at, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.id, OLD.kind, OLD.score, OLD.body, OLD.product, OLD.at, OLD.written_at,
    NEW.written_at);
END;

CREATE TABLE event_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, id BLOB NOT NULL, name TEXT NOT NULL,
    occurred_at INTEGER NOT NULL, received_at INTEGER NOT NULL, origin TEXT NOT NULL, data TEXT NOT NULL,
    written_at INTEGER NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX event_past_of ON event_past (bucket, customer_id);
CREATE TRIGGER event_past_keeps AFTER UPDATE ON event
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO event_past (bucket, customer_id, id, name, occurred_at, received_at, origin, data, written_at,
    passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.id, OLD.name, OLD.occurred_at, OLD.received_at, OLD.origin, OLD.data,
    OLD.written_at, NEW.written_at);
END;

CREATE TABLE tag_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, source TEXT NOT NULL, tag TEXT NOT NULL,
    source_customer_id BLOB NOT NULL, since INTEGER NOT NULL, until INTEGER, written_at INTEGER NOT NULL,
    passed_at INTEGER NOT NULL
);
CREATE INDEX tag_past_of ON tag_past (bucket, customer_id);
CREATE TRIGGER tag_past_keeps AFTER UPDATE ON tag
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO tag_past (bucket, customer_id, source, tag, source_customer_id, since, until, written_at, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.source, OLD.tag, OLD.source_customer_id, OLD.since, OLD.until,
    OLD.written_at, NEW.written_at);
END;

CREATE TABLE transition_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, id BLOB NOT NULL, lifecycle TEXT NOT NULL, from_phase TEXT,
    to_phase TEXT NOT NULL, at INTEGER NOT NULL, recorded_at INTEGER NOT NULL, cause TEXT NOT NULL,
    origin TEXT NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX transition_past_of ON transition_past (bucket, customer_id);
CREATE TRIGGER transition_past_keeps AFTER UPDATE ON transition
WHEN OLD.recorded_at < NEW.recorded_at BEGIN
    INSERT INTO transition_past (bucket, customer_id, id, lifecycle, from_phase, to_phase, at, recorded_at, cause,
    origin, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.id, OLD.lifecycle, OLD.from_phase, OLD.to_phase, OLD.at,
    OLD.recorded_at, OLD.cause, OLD.origin, NEW.recorded_at);
END;

CREATE TABLE run_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, id BLOB NOT NULL, source_customer_id BLOB NOT NULL, journey TEXT NOT NULL,
    run_key TEXT NOT NULL, occurrence TEXT NOT NULL, definition TEXT NOT NULL, epoch INTEGER NOT NULL,
    ghost BOOLEAN NOT NULL, held TEXT, state TEXT NOT NULL, end_kind TEXT, end_reason TEXT, started_at INTEGER NOT NULL,
    ended_at INTEGER, queued_at INTEGER, yielded_at INTEGER, step TEXT, reached_at INTEGER NOT NULL, due_at INTEGER, acted TEXT NOT NULL,
    event TEXT NOT NULL, written_at INTEGER NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX run_past_of ON run_past (bucket, customer_id);
CREATE TRIGGER run_past_keeps AFTER UPDATE ON run
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO run_past (bucket, customer_id, id, source_customer_id, journey, run_key, occurrence, definition, epoch, ghost, held, state,
    end_kind, end_reason, started_at, ended_at, queued_at, yielded_at, step, reached_at,
    due_at, acted, event, written_at, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.id, OLD.source_customer_id, OLD.journey, OLD.run_key, OLD.occurrence, OLD.definition,
    OLD.epoch, OLD.ghost, OLD.held, OLD.state, OLD.end_kind, OLD.end_reason, OLD.started_at, OLD.ended_at, OLD.queued_at,
    OLD.yielded_at, OLD.step,
    OLD.reached_at, OLD.due_at, OLD.acted, OLD.event, OLD.written_at, NEW.written_at);
END;

CREATE TABLE delivery_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, id BLOB NOT NULL, run_id BLOB, journey TEXT NOT NULL,
    step TEXT NOT NULL, kind TEXT NOT NULL, channel TEXT, connector TEXT, target TEXT NOT NULL,
    purpose TEXT NOT NULL, capped BOOLEAN NOT NULL, state TEXT NOT NULL, reason TEXT, outranked_by BLOB, created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, done_at INTEGER, attempt_count INTEGER NOT NULL,
    payload TEXT NOT NULL, written_at INTEGER NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX delivery_past_of ON delivery_past (bucket, customer_id);
CREATE TRIGGER delivery_past_keeps AFTER UPDATE ON delivery
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO delivery_past (bucket, customer_id, id, run_id, journey, step, kind, channel, connector, target,
    purpose, capped, state, reason, outranked_by, created_at, due_at, expires_at, done_at, attempt_count, payload, written_at,
    passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.id, OLD.run_id, OLD.journey, OLD.step, OLD.kind, OLD.channel,
    OLD.connector, OLD.target, OLD.purpose, OLD.capped, OLD.state, OLD.reason, OLD.outranked_by, OLD.created_at, OLD.due_at,
    OLD.expires_at, OLD.done_at, OLD.attempt_count, OLD.payload, OLD.written_at, NEW.written_at);
END;

CREATE TABLE mark_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, seq INTEGER NOT NULL, evaluated_at INTEGER,
    due_at INTEGER NOT NULL, live_pending BOOLEAN NOT NULL, history_pending BOOLEAN NOT NULL,
    marked_at INTEGER NOT NULL, passed_at INTEGER NOT NULL, PRIMARY KEY (bucket, customer_id, passed_at, marked_at)
) WITHOUT ROWID;
CREATE TRIGGER mark_past_keeps AFTER UPDATE OF marked_at ON evaluation
WHEN OLD.marked_at < NEW.marked_at AND (OLD.evaluated_at IS NOT NULL OR NOT OLD.history_pending) BEGIN
    INSERT INTO mark_past (bucket, customer_id, seq, evaluated_at, due_at, live_pending, history_pending,
    marked_at, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.seq, OLD.evaluated_at, OLD.due_at, OLD.live_pending,
    OLD.history_pending, OLD.marked_at, NEW.marked_at)
    -- Not OR IGNORE: the statement that fires this may say otherwise, and would be heard.
    ON CONFLICT DO NOTHING;
END;

CREATE TABLE standing_past (
    bucket INTEGER NOT NULL, customer_id BLOB NOT NULL, lifecycle TEXT, definition TEXT, phase TEXT,
    phase_since INTEGER, phase_previous TEXT, phase_moves INTEGER NOT NULL, phase_live BOOLEAN NOT NULL,
    phase_has_live BOOLEAN NOT NULL, segments TEXT NOT NULL, stood_at INTEGER NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX standing_past_of ON standing_past (bucket, customer_id);
CREATE TRIGGER standing_past_keeps AFTER UPDATE OF stood_at ON evaluation
WHEN OLD.stood_at < NEW.stood_at AND (OLD.lifecycle IS NOT NULL OR OLD.segments <> '[]') BEGIN
    INSERT INTO standing_past (bucket, customer_id, lifecycle, definition, phase, phase_since, phase_previous,
    phase_moves, phase_live, phase_has_live, segments, stood_at, passed_at)
    VALUES (OLD.bucket, OLD.customer_id, OLD.lifecycle, OLD.definition, OLD.phase, OLD.phase_since,
    OLD.phase_previous, OLD.phase_moves, OLD.phase_live, OLD.phase_has_live, OLD.segments, OLD.stood_at,
    NEW.stood_at);
END;

CREATE TABLE journey_past (
    id TEXT NOT NULL, mode TEXT NOT NULL, active_from INTEGER, definition TEXT NOT NULL,
    written_at INTEGER NOT NULL, passed_at INTEGER NOT NULL
);
CREATE INDEX journey_past_of ON journey_past (id);
CREATE TRIGGER journey_past_keeps AFTER UPDATE ON journey
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO journey_past (id, mode, active_from, definition, written_at, passed_at)
    VALUES (OLD.id, OLD.mode, OLD.active_from, OLD.definition, OLD.written_at, NEW.written_at);
END;

CREATE TABLE product_past (
    system TEXT NOT NULL, external_id TEXT NOT NULL, available BOOLEAN NOT NULL, written_at INTEGER NOT NULL,
    passed_at INTEGER NOT NULL
);
CREATE INDEX product_past_of ON product_past (system, external_id);
CREATE TRIGGER product_past_keeps AFTER UPDATE ON product
WHEN OLD.written_at < NEW.written_at BEGIN
    INSERT INTO product_past (system, external_id, available, written_at, passed_at)
    VALUES (OLD.system, OLD.external_id, OLD.available, OLD.written_at, NEW.written_at);
END;
