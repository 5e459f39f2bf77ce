-- The past: what rows were before they were changed or taken away. `written_at` is when a version was written
-- (`recorded_at`, `marked_at` and `stood_at` are the same for what they stand at), `passed_at` when the next one took
-- its place. So a store can be read as of an instant: the versions written by then that had not passed. Whoever changes
-- a row says when; a version that was there for no time is not kept, and neither is where evaluating stood for those
-- who came in with history, before they were first evaluated. Housekeeping deletes what passed long ago.

CREATE TABLE customer_past (
    bucket SMALLINT NOT NULL, id UUID NOT NULL, email TEXT, phone TEXT, first_name TEXT, last_name TEXT,
    locale TEXT, country TEXT, time_zone TEXT, created_at TIMESTAMPTZ NOT NULL, has_account BOOLEAN NOT NULL,
    attributes TEXT NOT NULL, received_at TIMESTAMPTZ NOT NULL, merged_into UUID, written_at TIMESTAMPTZ NOT NULL,
    passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX customer_past_of ON customer_past (bucket, id);
CREATE FUNCTION customer_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO customer_past (bucket, id, email, phone, first_name, last_name, locale, country, time_zone,
    created_at, has_account, attributes, received_at, merged_into, written_at, passed_at)
    SELECT o.bucket, o.id, o.email, o.phone, o.first_name, o.last_name, o.locale, o.country, o.time_zone,
    o.created_at, o.has_account, o.attributes, o.received_at, o.merged_into, o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER customer_past_keeps AFTER UPDATE ON customer REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION customer_past_keeps();

CREATE TABLE identity_past (
    kind TEXT NOT NULL, value TEXT NOT NULL, system TEXT NOT NULL, bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL, written_at TIMESTAMPTZ NOT NULL, passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX identity_past_of ON identity_past (bucket, customer_id);
CREATE FUNCTION identity_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO identity_past (kind, value, system, bucket, customer_id, written_at, passed_at)
    SELECT o.kind, o.value, o.system, o.bucket, o.customer_id, o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.kind = o.kind AND n.value = o.value AND n.system = o.system
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER identity_past_keeps AFTER UPDATE ON identity REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION identity_past_keeps();

CREATE TABLE consent_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, id UUID NOT NULL, channel TEXT NOT NULL,
    purpose TEXT NOT NULL, state TEXT NOT NULL, basis TEXT NOT NULL, at TIMESTAMPTZ NOT NULL, source TEXT NOT NULL,
    evidence TEXT NOT NULL, received_at TIMESTAMPTZ NOT NULL, written_at TIMESTAMPTZ NOT NULL, passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX consent_past_of ON consent_past (bucket, customer_id);
CREATE FUNCTION consent_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO consent_past (bucket, customer_id, id, channel, purpose, state, basis, at, source, evidence, received_at,
    written_at, passed_at)
    SELECT o.bucket, o.customer_id, o.id, o.channel, o.purpose, o.state, o.basis, o.at, o.source, o.evidence, o.received_at,
    o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER consent_past_keeps AFTER UPDATE ON consent REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION consent_past_keeps();

CREATE TABLE suppression_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, id UUID NOT NULL, address_hash TEXT, channel TEXT,
    all_purposes BOOLEAN NOT NULL, reason TEXT NOT NULL, at TIMESTAMPTZ NOT NULL, written_at TIMESTAMPTZ NOT NULL,
    passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX suppression_past_of ON suppression_past (bucket, customer_id);
CREATE FUNCTION suppression_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO suppression_past (bucket, customer_id, id, address_hash, channel, all_purposes, reason, at,
    written_at, passed_at)
    SELECT o.bucket, o.customer_id, o.id, o.address_hash, o.channel, o.all_purposes, o.reason, o.at, o.written_at,
    n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER suppression_past_keeps AFTER UPDATE ON suppression REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION suppression_past_keeps();

CREATE TABLE orders_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, id UUID NOT NULL, system TEXT NOT NULL,
    external_id TEXT NOT NULL, number TEXT NOT NULL, state TEXT NOT NULL, placed_at TIMESTAMPTZ NOT NULL,
    total_minor BIGINT NOT NULL, currency TEXT NOT NULL, total_reporting_minor BIGINT, item_count BIGINT NOT NULL,
    detail TEXT NOT NULL, received_at TIMESTAMPTZ NOT NULL, origin TEXT NOT NULL, written_at TIMESTAMPTZ NOT NULL,
    passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX orders_past_of ON orders_past (bucket, customer_id);
CREATE FUNCTION orders_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO orders_past (bucket, customer_id, id, system, external_id, number, state, placed_at, total_minor,
    currency, total_reporting_minor, item_count, detail, received_at, origin, written_at, passed_at)
    SELECT o.bucket, o.customer_id, o.id, o.system, o.external_id, o.number, o.state, o.placed_at, o.total_minor,
    o.currency, o.total_reporting_minor, o.item_count, o.detail, o.received_at, o.origin, o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER orders_past_keeps AFTER UPDATE ON orders REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION orders_past_keeps();

CREATE TABLE cart_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, id UUID NOT NULL, system TEXT NOT NULL,
    external_id TEXT NOT NULL, is_open BOOLEAN NOT NULL, updated_at TIMESTAMPTZ NOT NULL,
    total_minor BIGINT NOT NULL, currency TEXT NOT NULL, total_reporting_minor BIGINT, detail TEXT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL, passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX cart_past_of ON cart_past (bucket, customer_id);
CREATE FUNCTION cart_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO cart_past (bucket, customer_id, id, system, external_id, is_open, updated_at, total_minor, currency,
    total_reporting_minor, detail, written_at, passed_at)
    SELECT o.bucket, o.customer_id, o.id, o.system, o.external_id, o.is_open, o.updated_at, o.total_minor,
    o.currency, o.total_reporting_minor, o.detail, o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER cart_past_keeps AFTER UPDATE ON cart REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION cart_past_keeps();

CREATE TABLE feedback_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, id UUID NOT NULL, kind TEXT NOT NULL,
    score DOUBLE PRECISION, body TEXT, product TEXT, at TIMESTAMPTZ NOT NULL, written_at TIMESTAMPTZ NOT NULL,
    passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX feedback_past_of ON feedback_past (bucket, customer_id);
CREATE FUNCTION feedback_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO feedback_past (bucket, customer_id, id, kind, score, body, product, at, written_at, passed_at)
    SELECT o.bucket, o.customer_id, o.id, o.kind, o.score, o.body, o.product, o.at, o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER feedback_past_keeps AFTER UPDATE ON feedback REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION feedback_past_keeps();

CREATE TABLE event_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, id UUID NOT NULL, name TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL, received_at TIMESTAMPTZ NOT NULL, origin TEXT NOT NULL, data TEXT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL, passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX event_past_of ON event_past (bucket, customer_id);
CREATE FUNCTION event_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO event_past (bucket, customer_id, id, name, occurred_at, received_at, origin, data, written_at,
    passed_at)
    SELECT o.bucket, o.customer_id, o.id, o.name, o.occurred_at, o.received_at, o.origin, o.data, o.written_at,
    n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER event_past_keeps AFTER UPDATE ON event REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION event_past_keeps();

CREATE TABLE tag_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, source TEXT NOT NULL, tag TEXT NOT NULL,
    source_customer_id UUID NOT NULL, since TIMESTAMPTZ NOT NULL, until TIMESTAMPTZ,
    written_at TIMESTAMPTZ NOT NULL, passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX tag_past_of ON tag_past (bucket, customer_id);
CREATE FUNCTION tag_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO tag_past (bucket, customer_id, source, tag, source_customer_id, since, until, written_at, passed_at)
    SELECT o.bucket, o.customer_id, o.source, o.tag, o.source_customer_id, o.since, o.until, o.written_at,
    n.written_at
    FROM old_rows o JOIN new_rows n ON n.source = o.source AND n.tag = o.tag AND n.source_customer_id = o.source_customer_id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER tag_past_keeps AFTER UPDATE ON tag REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION tag_past_keeps();

CREATE TABLE transition_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, id UUID NOT NULL, lifecycle TEXT NOT NULL, from_phase TEXT,
    to_phase TEXT NOT NULL, at TIMESTAMPTZ NOT NULL, recorded_at TIMESTAMPTZ NOT NULL, cause TEXT NOT NULL,
    origin TEXT NOT NULL, passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX transition_past_of ON transition_past (bucket, customer_id);
CREATE FUNCTION transition_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO transition_past (bucket, customer_id, id, lifecycle, from_phase, to_phase, at, recorded_at, cause,
    origin, passed_at)
    SELECT o.bucket, o.customer_id, o.id, o.lifecycle, o.from_phase, o.to_phase, o.at, o.recorded_at, o.cause,
    o.origin, n.recorded_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.recorded_at < n.recorded_at;
    RETURN NULL;
END $$;
CREATE TRIGGER transition_past_keeps AFTER UPDATE ON transition REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION transition_past_keeps();

CREATE TABLE run_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, id UUID NOT NULL, source_customer_id UUID NOT NULL, journey TEXT NOT NULL,
    run_key TEXT NOT NULL, occurrence TEXT NOT NULL, definition TEXT NOT NULL, epoch BIGINT NOT NULL,
    ghost BOOLEAN NOT NULL, held TEXT, state TEXT NOT NULL, end_kind TEXT, end_reason TEXT, started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ, queued_at TIMESTAMPTZ, yielded_at TIMESTAMPTZ, step TEXT, reached_at TIMESTAMPTZ NOT NULL, due_at TIMESTAMPTZ, acted TEXT NOT NULL,
    event TEXT NOT NULL, written_at TIMESTAMPTZ NOT NULL, passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX run_past_of ON run_past (bucket, customer_id);
CREATE FUNCTION run_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO run_past (bucket, customer_id, id, source_customer_id, journey, run_key, occurrence, definition, epoch, ghost, held, state,
    end_kind, end_reason, started_at, ended_at, queued_at, yielded_at, step, reached_at,
    due_at, acted, event, written_at, passed_at)
    SELECT o.bucket, o.customer_id, o.id, o.source_customer_id, o.journey, o.run_key, o.occurrence, o.definition, o.epoch, o.ghost, o.held,
    o.state, o.end_kind, o.end_reason, o.started_at, o.ended_at, o.queued_at, o.yielded_at, o.step, o.reached_at, o.due_at, o.acted, o.event,
    o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER run_past_keeps AFTER UPDATE ON run REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION run_past_keeps();

CREATE TABLE delivery_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, id UUID NOT NULL, run_id UUID, journey TEXT NOT NULL,
    step TEXT NOT NULL, kind TEXT NOT NULL, channel TEXT, connector TEXT, target TEXT NOT NULL,
    purpose TEXT NOT NULL, capped BOOLEAN NOT NULL, state TEXT NOT NULL, reason TEXT, outranked_by UUID,
    created_at TIMESTAMPTZ NOT NULL, due_at TIMESTAMPTZ NOT NULL, expires_at TIMESTAMPTZ NOT NULL,
    done_at TIMESTAMPTZ, attempt_count BIGINT NOT NULL, payload TEXT NOT NULL, written_at TIMESTAMPTZ NOT NULL,
    passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX delivery_past_of ON delivery_past (bucket, customer_id);
CREATE FUNCTION delivery_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO delivery_past (bucket, customer_id, id, run_id, journey, step, kind, channel, connector, target,
    purpose, capped, state, reason, outranked_by, created_at, due_at, expires_at, done_at, attempt_count, payload, written_at,
    passed_at)
    SELECT o.bucket, o.customer_id, o.id, o.run_id, o.journey, o.step, o.kind, o.channel, o.connector, o.target,
    o.purpose, o.capped, o.state, o.reason, o.outranked_by, o.created_at, o.due_at, o.expires_at, o.done_at, o.attempt_count,
    o.payload, o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER delivery_past_keeps AFTER UPDATE ON delivery REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION delivery_past_keeps();

CREATE TABLE mark_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, seq BIGINT NOT NULL, evaluated_at TIMESTAMPTZ,
    due_at TIMESTAMPTZ NOT NULL, live_pending BOOLEAN NOT NULL, history_pending BOOLEAN NOT NULL,
    marked_at TIMESTAMPTZ NOT NULL, passed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, passed_at, marked_at)
);
CREATE FUNCTION mark_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO mark_past (bucket, customer_id, seq, evaluated_at, due_at, live_pending, history_pending, marked_at,
    passed_at)
    SELECT o.bucket, o.customer_id, o.seq, o.evaluated_at, o.due_at, o.live_pending, o.history_pending, o.marked_at,
    n.marked_at
    FROM old_rows o JOIN new_rows n ON n.customer_id = o.customer_id
    WHERE o.marked_at < n.marked_at AND (o.evaluated_at IS NOT NULL OR NOT o.history_pending)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER mark_past_keeps AFTER UPDATE ON evaluation REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION mark_past_keeps();

CREATE TABLE standing_past (
    bucket SMALLINT NOT NULL, customer_id UUID NOT NULL, lifecycle TEXT, definition TEXT, phase TEXT,
    phase_since TIMESTAMPTZ, phase_previous TEXT, phase_moves BIGINT NOT NULL, phase_live BOOLEAN NOT NULL,
    phase_has_live BOOLEAN NOT NULL, segments TEXT NOT NULL, stood_at TIMESTAMPTZ NOT NULL,
    passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX standing_past_of ON standing_past (bucket, customer_id);
CREATE FUNCTION standing_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO standing_past (bucket, customer_id, lifecycle, definition, phase, phase_since, phase_previous,
    phase_moves, phase_live, phase_has_live, segments, stood_at, passed_at)
    SELECT o.bucket, o.customer_id, o.lifecycle, o.definition, o.phase, o.phase_since, o.phase_previous,
    o.phase_moves, o.phase_live, o.phase_has_live, o.segments, o.stood_at, n.stood_at
    FROM old_rows o JOIN new_rows n ON n.customer_id = o.customer_id
    WHERE o.stood_at < n.stood_at AND (o.lifecycle IS NOT NULL OR o.segments <> '[]');
    RETURN NULL;
END $$;
CREATE TRIGGER standing_past_keeps AFTER UPDATE ON evaluation REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION standing_past_keeps();

CREATE TABLE journey_past (
    id TEXT NOT NULL, mode TEXT NOT NULL, active_from TIMESTAMPTZ, definition TEXT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL, passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX journey_past_of ON journey_past (id);
CREATE FUNCTION journey_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO journey_past (id, mode, active_from, definition, written_at, passed_at)
    SELECT o.id, o.mode, o.active_from, o.definition, o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER journey_past_keeps AFTER UPDATE ON journey REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION journey_past_keeps();

CREATE TABLE product_past (
    system TEXT NOT NULL, external_id TEXT NOT NULL, available BOOLEAN NOT NULL, written_at TIMESTAMPTZ NOT NULL,
    passed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX product_past_of ON product_past (system, external_id);
CREATE FUNCTION product_past_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO product_past (system, external_id, available, written_at, passed_at)
    SELECT o.system, o.external_id, o.available, o.written_at, n.written_at
    FROM old_rows o JOIN new_rows n ON n.system = o.system AND n.external_id = o.external_id
    WHERE o.written_at < n.written_at;
    RETURN NULL;
END $$;
CREATE TRIGGER product_past_keeps AFTER UPDATE ON product REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION product_past_keeps();
