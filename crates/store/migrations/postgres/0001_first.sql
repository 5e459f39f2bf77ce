-- The first schema. Every table about customers begins its key with `bucket`, which is hash(customer) % 1024.
-- Instants: TIMESTAMPTZ. Ids: UUID. JSON is TEXT, stored whole and never filtered.
-- `customer_id` is who a row belongs to now, `source_customer_id` who it came in under: a merge rewrites the
-- first and keeps the second, so that it can be undone.

CREATE TABLE customer (
    bucket SMALLINT NOT NULL,
    id UUID NOT NULL,
    email TEXT,
    phone TEXT,
    first_name TEXT,
    last_name TEXT,
    locale TEXT,
    country TEXT,
    time_zone TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    has_account BOOLEAN NOT NULL,
    attributes TEXT NOT NULL,
    profile_at TIMESTAMPTZ,
    received_at TIMESTAMPTZ NOT NULL,
    merged_into UUID,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, id)
);
CREATE UNIQUE INDEX customer_id ON customer (id);
CREATE INDEX customer_email ON customer (email) WHERE email IS NOT NULL;
CREATE INDEX customer_merged ON customer (merged_into) WHERE merged_into IS NOT NULL;

CREATE TABLE identity (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    system TEXT NOT NULL,
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    source_customer_id UUID NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (kind, value, system)
);
CREATE INDEX identity_customer ON identity (bucket, customer_id);

CREATE TABLE merge (
    id UUID NOT NULL PRIMARY KEY,
    winner UUID NOT NULL,
    loser UUID NOT NULL,
    reason TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    undone_at TIMESTAMPTZ,
    memory TEXT NOT NULL
);
CREATE INDEX merge_winner ON merge (winner);
CREATE INDEX merge_loser ON merge (loser);

CREATE TABLE consent (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    id UUID NOT NULL,
    source_customer_id UUID NOT NULL,
    channel TEXT NOT NULL,
    purpose TEXT NOT NULL,
    state TEXT NOT NULL,
    basis TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    source TEXT NOT NULL,
    address_hash TEXT,
    evidence TEXT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, id)
);
CREATE UNIQUE INDEX consent_id ON consent (id);
CREATE INDEX consent_address ON consent (address_hash) WHERE address_hash IS NOT NULL;

CREATE TABLE suppression (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    id UUID NOT NULL,
    source_customer_id UUID NOT NULL,
    address_hash TEXT,
    channel TEXT,
    all_purposes BOOLEAN NOT NULL,
    reason TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, id)
);
CREATE UNIQUE INDEX suppression_id ON suppression (id);
CREATE INDEX suppression_address ON suppression (address_hash) WHERE address_hash IS NOT NULL;

CREATE TABLE orders (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    id UUID NOT NULL,
    source_customer_id UUID NOT NULL,
    system TEXT NOT NULL,
    external_id TEXT NOT NULL,
    number TEXT NOT NULL,
    state TEXT NOT NULL,
    placed_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ,
    total_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    total_reporting_minor BIGINT,
    net_reporting_minor BIGINT,
    item_count BIGINT NOT NULL,
    detail TEXT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    origin TEXT NOT NULL,
    content_hash BIGINT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, id)
);
CREATE UNIQUE INDEX orders_id ON orders (id);
CREATE INDEX orders_number ON orders (number);
CREATE INDEX orders_unrated ON orders (currency) WHERE total_reporting_minor IS NULL;

CREATE TABLE cart (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    id UUID NOT NULL,
    source_customer_id UUID NOT NULL,
    system TEXT NOT NULL,
    external_id TEXT NOT NULL,
    is_open BOOLEAN NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    total_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    total_reporting_minor BIGINT,
    detail TEXT NOT NULL,
    content_hash BIGINT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, id)
);
CREATE UNIQUE INDEX cart_id ON cart (id);
CREATE INDEX cart_unrated ON cart (currency) WHERE total_reporting_minor IS NULL;

CREATE TABLE product (
    system TEXT NOT NULL,
    external_id TEXT NOT NULL,
    id UUID NOT NULL,
    title TEXT NOT NULL,
    url TEXT,
    image_url TEXT,
    price_minor BIGINT,
    currency TEXT,
    categories TEXT NOT NULL,
    available BOOLEAN NOT NULL,
    updated_at TIMESTAMPTZ,
    content_hash BIGINT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (system, external_id)
);

CREATE TABLE coupon (
    system TEXT NOT NULL,
    external_id TEXT NOT NULL,
    code TEXT,
    name TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    starts_at TIMESTAMPTZ,
    ends_at TIMESTAMPTZ,
    percent DOUBLE PRECISION,
    amount_minor BIGINT,
    currency TEXT,
    used BIGINT,
    content_hash BIGINT NOT NULL,
    PRIMARY KEY (system, external_id)
);

CREATE TABLE feedback (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    id UUID NOT NULL,
    source_customer_id UUID NOT NULL,
    system TEXT NOT NULL,
    external_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    score DOUBLE PRECISION,
    body TEXT,
    product TEXT,
    at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    content_hash BIGINT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, id)
);
CREATE UNIQUE INDEX feedback_id ON feedback (id);

CREATE TABLE event (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    id UUID NOT NULL,
    source_customer_id UUID NOT NULL,
    name TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    origin TEXT NOT NULL,
    data TEXT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, id)
);
CREATE UNIQUE INDEX event_id ON event (id);

CREATE TABLE tag (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    source TEXT NOT NULL,
    tag TEXT NOT NULL,
    source_customer_id UUID NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, source, tag, source_customer_id)
);

CREATE TABLE transition (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    id UUID NOT NULL,
    lifecycle TEXT NOT NULL,
    from_phase TEXT,
    to_phase TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    cause TEXT NOT NULL,
    origin TEXT NOT NULL,
    PRIMARY KEY (bucket, customer_id, id)
);

CREATE TABLE run (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    id UUID NOT NULL,
    source_customer_id UUID NOT NULL,
    journey TEXT NOT NULL,
    run_key TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    definition TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    ghost BOOLEAN NOT NULL,
    held TEXT,
    state TEXT NOT NULL,
    end_kind TEXT,
    end_reason TEXT,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    queued_at TIMESTAMPTZ,
    yielded_at TIMESTAMPTZ,
    step TEXT,
    reached_at TIMESTAMPTZ NOT NULL,
    due_at TIMESTAMPTZ,
    acted TEXT NOT NULL,
    event TEXT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, id)
);
CREATE UNIQUE INDEX run_id ON run (id);
CREATE UNIQUE INDEX run_occurrence ON run (source_customer_id, journey, run_key, occurrence);

CREATE TABLE delivery (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    id UUID NOT NULL,
    source_customer_id UUID NOT NULL,
    run_id UUID,
    journey TEXT NOT NULL,
    step TEXT NOT NULL,
    kind TEXT NOT NULL,
    channel TEXT,
    connector TEXT,
    target TEXT NOT NULL,
    purpose TEXT NOT NULL,
    capped BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    outranked_by UUID,
    created_at TIMESTAMPTZ NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    done_at TIMESTAMPTZ,
    attempt_count BIGINT NOT NULL,
    owner TEXT,
    lease_until TIMESTAMPTZ,
    provider_ref TEXT,
    last_error TEXT,
    payload TEXT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id, id)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX delivery_id ON delivery (id);
CREATE INDEX delivery_pending ON delivery (due_at, id) WHERE state = 'pending';
CREATE INDEX delivery_urgent ON delivery (due_at, id) WHERE state = 'pending' AND purpose = 'transactional';
CREATE INDEX delivery_sending ON delivery (lease_until) WHERE state = 'sending';
CREATE INDEX delivery_reference ON delivery (provider_ref) WHERE provider_ref IS NOT NULL;

CREATE TABLE delivery_attempt (
    bucket SMALLINT NOT NULL,
    delivery_id UUID NOT NULL,
    number BIGINT NOT NULL,
    id UUID NOT NULL,
    owner TEXT NOT NULL,
    address_hash TEXT,
    started_at TIMESTAMPTZ NOT NULL,
    handed_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    outcome TEXT,
    detail TEXT,
    PRIMARY KEY (bucket, delivery_id, number)
);

CREATE TABLE receipt (
    connector TEXT NOT NULL,
    external_id TEXT NOT NULL,
    delivery_id UUID,
    provider_ref TEXT,
    kind TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    detail TEXT,
    PRIMARY KEY (connector, external_id)
);
CREATE INDEX receipt_delivery ON receipt (delivery_id) WHERE delivery_id IS NOT NULL;
CREATE INDEX receipt_reference ON receipt (provider_ref) WHERE delivery_id IS NULL AND provider_ref IS NOT NULL;

CREATE TABLE evaluation (
    bucket SMALLINT NOT NULL,
    customer_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    evaluated_at TIMESTAMPTZ,
    due_at TIMESTAMPTZ NOT NULL,
    live_pending BOOLEAN NOT NULL,
    history_pending BOOLEAN NOT NULL,
    lifecycle TEXT,
    definition TEXT,
    phase TEXT,
    phase_since TIMESTAMPTZ,
    phase_previous TEXT,
    phase_moves BIGINT NOT NULL,
    phase_live BOOLEAN NOT NULL,
    phase_has_live BOOLEAN NOT NULL,
    segments TEXT NOT NULL,
    marked_at TIMESTAMPTZ NOT NULL,
    stood_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (bucket, customer_id)
) WITH (fillfactor = 70);
CREATE INDEX evaluation_due ON evaluation (due_at, bucket, customer_id);

CREATE TABLE sync_cursor (
    connector TEXT NOT NULL,
    stream TEXT NOT NULL,
    cursor_json TEXT NOT NULL,
    mode TEXT NOT NULL,
    caught_up_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL,
    record_count BIGINT NOT NULL,
    reject_count BIGINT NOT NULL,
    PRIMARY KEY (connector, stream)
);

CREATE TABLE sync_reject (
    id UUID NOT NULL PRIMARY KEY,
    connector TEXT NOT NULL,
    stream TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    problem TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX sync_reject_at ON sync_reject (at);

-- Notifications taken, by their sender's own ids: one that comes again is not taken again.
CREATE TABLE notification (
    connector TEXT NOT NULL,
    id TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (connector, id)
);
CREATE INDEX notification_at ON notification (at);

CREATE TABLE journey (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    active_from TIMESTAMPTZ,
    definition TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    written_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE admission (
    journey TEXT NOT NULL,
    day TEXT NOT NULL,
    customer_id UUID NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (journey, day, customer_id)
);

CREATE TABLE definition (
    hash TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL
);

-- What was learned of the shop as a whole, by what it is about (see learned.rs). A version stays as long as the past is
-- kept, so that decisions of then can be explained; of what mails need of products, the last one only.
CREATE TABLE learned (
    kind TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, at)
);

CREATE TABLE audit (
    id UUID NOT NULL PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    actor TEXT NOT NULL,
    what TEXT NOT NULL,
    customer_id UUID,
    detail TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at);

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO meta (name, value) VALUES ('ingest', 'one transaction at a time locks this row');
