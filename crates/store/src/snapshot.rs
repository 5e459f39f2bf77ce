//! Reads all that is known of many customers at one instant of committing: a statement per kind of fact, however
//! many customers. Never computes a figure: the engine does.

use std::collections::HashMap;

use sqlx::FromRow;
use uuid::Uuid;
use zyklus_model::snapshot::Mark;
use zyklus_model::{
    At, Cart, Consent, Customer, CustomerId, Delivery, Email, Event, Feedback, Identity, Money, Order,
    PhaseState, PhoneNumber, Run, RunPosition, SegmentState, Snapshot, Suppression, Tag,
};

use crate::arg::Stamp;
use crate::detail::{CartDetail, OrderDetail};
use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::tx::{Sql, Tx};

/// A stored word back into its type.
macro_rules! word {
    ($type:ty, $text:expr) => {
        <$type>::parse(&$text).ok_or_else(|| StoreError::unreadable(stringify!($type), &$text))?
    };
}
pub(crate) use word;

pub(crate) fn json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::unreadable(what, error))
}

fn at(stamp: Option<Stamp>) -> Option<At> {
    stamp.map(|s| s.0)
}

#[derive(FromRow)]
pub(crate) struct CustomerRow {
    id: Uuid,
    email: Option<String>,
    phone: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    locale: Option<String>,
    country: Option<String>,
    time_zone: Option<String>,
    created_at: Stamp,
    has_account: bool,
    attributes: String,
}

pub(crate) const CUSTOMER_COLUMNS: &str = "c.id, c.email, c.phone, c.first_name, c.last_name, c.locale, c.country, \
     c.time_zone, c.created_at, c.has_account, c.attributes";

impl CustomerRow {
    pub(crate) fn customer(self) -> Result<Customer> {
        Ok(Customer {
            id: CustomerId::from_uuid(self.id),
            email: self.email.map(Email::from_folded),
            phone: self.phone.as_deref().and_then(PhoneNumber::parse),
            first_name: self.first_name,
            last_name: self.last_name,
            locale: self.locale,
            country: self.country,
            time_zone: self.time_zone,
            created_at: self.created_at.0,
            has_account: self.has_account,
            attributes: json("customer's attributes", &self.attributes)?,
        })
    }
}

#[derive(FromRow, Clone)]
pub(crate) struct EvaluationRow {
    pub(crate) customer_id: Uuid,
    pub(crate) seq: i64,
    pub(crate) evaluated_at: Option<Stamp>,
    pub(crate) due_at: Stamp,
    pub(crate) live_pending: bool,
    pub(crate) history_pending: bool,
    pub(crate) lifecycle: Option<String>,
    pub(crate) definition: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) phase_since: Option<Stamp>,
    pub(crate) phase_previous: Option<String>,
    pub(crate) phase_moves: i64,
    pub(crate) phase_live: bool,
    pub(crate) phase_has_live: bool,
    pub(crate) segments: String,
}

pub(crate) const EVALUATION_COLUMNS: &str = "e.customer_id, e.seq, e.evaluated_at, e.due_at, e.live_pending, \
     e.history_pending, e.lifecycle, e.definition, e.phase, e.phase_since, e.phase_previous, e.phase_moves, \
     e.phase_live, e.phase_has_live, e.segments";

impl EvaluationRow {
    fn phase(&self) -> Option<PhaseState> {
        Some(PhaseState {
            lifecycle: self.lifecycle.clone()?,
            definition: self.definition.clone()?,
            phase: self.phase.clone()?,
            since: self.phase_since?.0,
            previous: self.phase_previous.clone(),
            moves: self.phase_moves,
            has_live_moves: self.phase_has_live,
            live: self.phase_live,
        })
    }
}

#[derive(FromRow)]
struct IdentityRow {
    customer_id: Uuid,
    kind: String,
    value: String,
    system: String,
}

#[derive(FromRow)]
struct ConsentRow {
    customer_id: Uuid,
    channel: String,
    purpose: String,
    state: String,
    basis: String,
    at: Stamp,
    source: String,
    evidence: String,
}

#[derive(FromRow)]
struct SuppressionRow {
    customer_id: Uuid,
    channel: Option<String>,
    all_purposes: bool,
    reason: String,
    at: Stamp,
}

#[derive(FromRow)]
struct OrderRow {
    customer_id: Uuid,
    id: Uuid,
    system: String,
    external_id: String,
    number: String,
    state: String,
    placed_at: Stamp,
    total_minor: i64,
    currency: String,
    total_reporting_minor: Option<i64>,
    item_count: i64,
    detail: String,
    received_at: Stamp,
    origin: String,
}

#[derive(FromRow)]
struct CartRow {
    customer_id: Uuid,
    system: String,
    external_id: String,
    is_open: bool,
    updated_at: Stamp,
    total_minor: i64,
    currency: String,
    total_reporting_minor: Option<i64>,
    detail: String,
}

#[derive(FromRow)]
struct FeedbackRow {
    customer_id: Uuid,
    id: Uuid,
    kind: String,
    score: Option<f64>,
    body: Option<String>,
    product: Option<String>,
    at: Stamp,
}

#[derive(FromRow)]
struct EventRow {
    customer_id: Uuid,
    id: Uuid,
    name: String,
    occurred_at: Stamp,
    received_at: Stamp,
    origin: String,
    data: String,
}

#[derive(FromRow)]
struct TagRow {
    customer_id: Uuid,
    source: String,
    tag: String,
    since: Stamp,
    until: Option<Stamp>,
}

#[derive(FromRow)]
pub(crate) struct RunRow {
    pub(crate) customer_id: Uuid,
    id: Uuid,
    journey: String,
    run_key: String,
    occurrence: String,
    definition: String,
    epoch: i64,
    ghost: bool,
    state: String,
    end_kind: Option<String>,
    end_reason: Option<String>,
    started_at: Stamp,
    ended_at: Option<Stamp>,
    step: Option<String>,
    reached_at: Stamp,
    due_at: Option<Stamp>,
    acted: String,
    event: String,
}

pub(crate) const RUN_COLUMNS: &str = "r.customer_id, r.id, r.journey, r.run_key, r.occurrence, r.definition, r.epoch, \
     r.ghost, r.state, r.end_kind, r.end_reason, r.started_at, r.ended_at, r.step, r.reached_at, r.due_at, r.acted, \
     r.event";

impl RunRow {
    pub(crate) fn run(self) -> Result<Run> {
        Ok(Run {
            id: zyklus_model::RunId::from_uuid(self.id),
            customer: CustomerId::from_uuid(self.customer_id),
            journey: self.journey,
            key: self.run_key,
            occurrence: self.occurrence,
            definition: self.definition,
            epoch: self.epoch,
            ghost: self.ghost,
            state: word!(zyklus_model::RunState, self.state),
            end: match self.end_kind {
                Some(end) => Some(word!(zyklus_model::RunEnd, end)),
                None => None,
            },
            end_reason: self.end_reason,
            started_at: self.started_at.0,
            ended_at: at(self.ended_at),
            position: RunPosition { step: self.step, reached_at: self.reached_at.0, due_at: at(self.due_at) },
            acted: json("run's steps", &self.acted)?,
            event: json("run's event", &self.event)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct DeliveryRow {
    customer_id: Uuid,
    id: Uuid,
    run_id: Option<Uuid>,
    journey: String,
    step: String,
    kind: String,
    channel: Option<String>,
    connector: Option<String>,
    target: String,
    purpose: String,
    capped: bool,
    state: String,
    reason: Option<String>,
    created_at: Stamp,
    due_at: Stamp,
    expires_at: Stamp,
    done_at: Option<Stamp>,
    attempt_count: i64,
    payload: String,
}

pub(crate) const DELIVERY_COLUMNS: &str = "d.customer_id, d.id, d.run_id, d.journey, d.step, d.kind, d.channel, \
     d.connector, d.target, d.purpose, d.capped, d.state, d.reason, d.created_at, d.due_at, d.expires_at, d.done_at, \
     d.attempt_count, d.payload";

impl DeliveryRow {
    pub(crate) fn delivery(self) -> Result<Delivery> {
        Ok(Delivery {
            id: zyklus_model::DeliveryId::from_uuid(self.id),
            customer: CustomerId::from_uuid(self.customer_id),
            run: self.run_id.map(zyklus_model::RunId::from_uuid),
            journey: self.journey,
            step: self.step,
            kind: word!(zyklus_model::DeliveryKind, self.kind),
            channel: match self.channel {
                Some(channel) => Some(word!(zyklus_model::Channel, channel)),
                None => None,
            },
            connector: self.connector,
            target: self.target,
            purpose: word!(zyklus_model::Purpose, self.purpose),
            capped: self.capped,
            state: word!(zyklus_model::DeliveryState, self.state),
            reason: match self.reason {
                Some(reason) => Some(word!(zyklus_model::GuardReason, reason)),
                None => None,
            },
            created_at: self.created_at.0,
            due_at: self.due_at.0,
            expires_at: self.expires_at.0,
            done_at: at(self.done_at),
            attempt_count: self.attempt_count,
            payload: json("delivery's payload", &self.payload)?,
        })
    }
}

fn money(minor: i64, currency: &str) -> Result<Money> {
    let currency = currency.parse().map_err(|e| StoreError::unreadable("currency", e))?;
    Ok(Money::new(minor, currency))
}

impl Store {
    /// Snapshots of customers, in the order of the ids; unknown ones and those merged into others are left out.
    ///
    /// # Errors
    /// The database's, and rows another program has made unreadable.
    pub async fn snapshots(&self, ids: &[CustomerId]) -> Result<Vec<Snapshot>> {
        let mut all = Vec::with_capacity(ids.len());
        if ids.is_empty() {
            return Ok(all);
        }
        let mut tx = self.reader().await?;
        for chunk in ids.chunks(2_000) {
            all.extend(load_snapshots(&mut tx, chunk).await?);
        }
        tx.commit().await?;
        Ok(all)
    }
}

/// Where each customer's snapshot stands.
type Places = HashMap<Uuid, usize>;

async fn rows<T: crate::tx::Load>(
    tx: &mut Tx,
    ids: &[CustomerId],
    columns: &str,
    table: &str,
    customer: &str,
    order: &str,
) -> Result<Vec<T>> {
    let mut sql = Sql::wanted(tx.dialect(), ids);
    let alias = &columns[..1];
    sql.push("SELECT ").push(columns).push(" FROM wanted JOIN ").push(table).push(" ").push(alias);
    sql.push(" ON ").push(alias).push(".bucket = wanted.bucket AND ").push(alias).push(".");
    sql.push(customer).push(" = wanted.id").push(order);
    tx.rows(sql).await
}

pub(crate) async fn load_snapshots(tx: &mut Tx, ids: &[CustomerId]) -> Result<Vec<Snapshot>> {
    let mut sql = Sql::wanted(tx.dialect(), ids);
    sql.push("SELECT ").push(CUSTOMER_COLUMNS);
    sql.push(" FROM wanted JOIN customer c ON c.bucket = wanted.bucket AND c.id = wanted.id");
    sql.push(" WHERE c.merged_into IS NULL");
    let customers: Vec<CustomerRow> = tx.rows(sql).await?;
    let mut found: HashMap<Uuid, CustomerRow> = customers.into_iter().map(|c| (c.id, c)).collect();
    let mut places = Places::with_capacity(found.len());
    let mut snapshots = Vec::with_capacity(found.len());
    for id in ids {
        if let Some(row) = found.remove(&id.uuid()) {
            places.insert(row.id, snapshots.len());
            snapshots.push(Snapshot::of(row.customer()?));
        }
    }
    for row in rows::<EvaluationRow>(tx, ids, EVALUATION_COLUMNS, "evaluation", "customer_id", "").await? {
        let Some(place) = places.get(&row.customer_id) else { continue };
        let snapshot = &mut snapshots[*place];
        snapshot.phase = row.phase();
        snapshot.mark = Mark {
            seq: row.seq,
            evaluated_at: at(row.evaluated_at),
            due_at: row.due_at.0,
            live_pending: row.live_pending,
            history_pending: row.history_pending,
        };
        if row.segments != "[]" {
            snapshot.segments = json::<Vec<SegmentState>>("segments", &row.segments)?;
        }
    }
    load_people(tx, ids, &places, &mut snapshots).await?;
    load_trade(tx, ids, &places, &mut snapshots).await?;
    load_contact(tx, ids, &places, &mut snapshots).await?;
    Ok(snapshots)
}

async fn load_people(tx: &mut Tx, ids: &[CustomerId], places: &Places, all: &mut [Snapshot]) -> Result<()> {
    let columns = "i.customer_id, i.kind, i.value, i.system";
    let order = " ORDER BY i.kind, i.system, i.value";
    for row in rows::<IdentityRow>(tx, ids, columns, "identity", "customer_id", order).await? {
        let Some(place) = places.get(&row.customer_id) else { continue };
        let snapshot = &mut all[*place];
        snapshot.identities.push(Identity {
            system: row.system,
            kind: word!(zyklus_model::IdentityKind, row.kind),
            value: row.value,
            customer: snapshot.customer.id,
        });
    }
    let columns = "k.customer_id, k.channel, k.purpose, k.state, k.basis, k.at, k.source, k.evidence";
    for row in rows::<ConsentRow>(tx, ids, columns, "consent", "customer_id", " ORDER BY k.at, k.id").await? {
        let Some(place) = places.get(&row.customer_id) else { continue };
        all[*place].consents.push(Consent {
            channel: word!(zyklus_model::Channel, row.channel),
            purpose: word!(zyklus_model::Purpose, row.purpose),
            state: word!(zyklus_model::ConsentState, row.state),
            basis: word!(zyklus_model::LegalBasis, row.basis),
            at: row.at.0,
            source: row.source,
            evidence: json("consent's evidence", &row.evidence)?,
        });
    }
    let columns = "s.customer_id, s.channel, s.all_purposes, s.reason, s.at";
    let order = " ORDER BY s.at, s.id";
    for row in rows::<SuppressionRow>(tx, ids, columns, "suppression", "customer_id", order).await? {
        let Some(place) = places.get(&row.customer_id) else { continue };
        all[*place].suppressions.push(Suppression {
            channel: match row.channel {
                Some(channel) => Some(word!(zyklus_model::Channel, channel)),
                None => None,
            },
            all_purposes: row.all_purposes,
            reason: word!(zyklus_model::SuppressionReason, row.reason),
            at: row.at.0,
        });
    }
    let columns = "t.customer_id, t.source, t.tag, t.since, t.until";
    let order = " ORDER BY t.source, t.tag, t.source_customer_id";
    for row in rows::<TagRow>(tx, ids, columns, "tag", "customer_id", order).await? {
        let Some(place) = places.get(&row.customer_id) else { continue };
        all[*place].tags.push(Tag {
            tag: row.tag,
            since: row.since.0,
            until: at(row.until),
            source: row.source,
        });
    }
    Ok(())
}

async fn load_trade(tx: &mut Tx, ids: &[CustomerId], places: &Places, all: &mut [Snapshot]) -> Result<()> {
    let columns = "o.customer_id, o.id, o.system, o.external_id, o.number, o.state, o.placed_at, o.total_minor, \
                   o.currency, o.total_reporting_minor, o.item_count, o.detail, o.received_at, o.origin";
    let order = " ORDER BY o.placed_at, o.id";
    for row in rows::<OrderRow>(tx, ids, columns, "orders", "customer_id", order).await? {
        let Some(place) = places.get(&row.customer_id) else { continue };
        let detail: OrderDetail = json("order", &row.detail)?;
        all[*place].orders.push(Order {
            id: zyklus_model::OrderId::from_uuid(row.id),
            system: row.system,
            external_id: row.external_id,
            number: row.number,
            state: word!(zyklus_model::OrderState, row.state),
            placed_at: row.placed_at.0,
            total: money(row.total_minor, &row.currency)?,
            total_reporting_minor: row.total_reporting_minor,
            refunds: detail.refunds,
            lines: detail.lines,
            item_count: row.item_count,
            coupons: detail.coupons,
            cart: detail.cart,
            marks: detail.marks,
            received_at: row.received_at.0,
            origin: word!(zyklus_model::Origin, row.origin),
        });
    }
    let columns = "k.customer_id, k.system, k.external_id, k.is_open, k.updated_at, k.total_minor, k.currency, \
                   k.total_reporting_minor, k.detail";
    for row in
        rows::<CartRow>(tx, ids, columns, "cart", "customer_id", " ORDER BY k.updated_at, k.id").await?
    {
        let Some(place) = places.get(&row.customer_id) else { continue };
        let detail: CartDetail = json("cart", &row.detail)?;
        all[*place].carts.push(Cart {
            system: row.system,
            external_id: row.external_id,
            is_open: row.is_open,
            updated_at: row.updated_at.0,
            total: money(row.total_minor, &row.currency)?,
            total_reporting_minor: row.total_reporting_minor,
            lines: detail.lines,
            url: detail.url,
        });
    }
    let columns = "f.customer_id, f.id, f.kind, f.score, f.body, f.product, f.at";
    for row in
        rows::<FeedbackRow>(tx, ids, columns, "feedback", "customer_id", " ORDER BY f.at, f.id").await?
    {
        let Some(place) = places.get(&row.customer_id) else { continue };
        all[*place].feedback.push(Feedback {
            id: zyklus_model::FeedbackId::from_uuid(row.id),
            kind: word!(zyklus_model::FeedbackKind, row.kind),
            score: row.score,
            text: row.body,
            product: row.product,
            at: row.at.0,
        });
    }
    Ok(())
}

async fn load_contact(tx: &mut Tx, ids: &[CustomerId], places: &Places, all: &mut [Snapshot]) -> Result<()> {
    let columns = "v.customer_id, v.id, v.name, v.occurred_at, v.received_at, v.origin, v.data";
    for row in
        rows::<EventRow>(tx, ids, columns, "event", "customer_id", " ORDER BY v.occurred_at, v.id").await?
    {
        let Some(place) = places.get(&row.customer_id) else { continue };
        all[*place].events.push(Event {
            id: zyklus_model::EventId::from_uuid(row.id),
            name: row.name,
            occurred_at: row.occurred_at.0,
            received_at: row.received_at.0,
            origin: word!(zyklus_model::Origin, row.origin),
            data: json("event", &row.data)?,
        });
    }
    for row in
        rows::<RunRow>(tx, ids, RUN_COLUMNS, "run", "customer_id", " ORDER BY r.started_at, r.id").await?
    {
        let Some(place) = places.get(&row.customer_id) else { continue };
        all[*place].runs.push(row.run()?);
    }
    let order = " ORDER BY d.created_at, d.id";
    for row in rows::<DeliveryRow>(tx, ids, DELIVERY_COLUMNS, "delivery", "customer_id", order).await? {
        let Some(place) = places.get(&row.customer_id) else { continue };
        all[*place].deliveries.push(row.delivery()?);
    }
    Ok(())
}
