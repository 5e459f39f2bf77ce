//! Orders on their way in. Never adds up a customer's figures: the engine does, from the orders.

use uuid::Uuid;
use zyklus_model::address::clean_text;
use zyklus_model::{
    At, CustomerId, Mark, MarkKind, Money, Order, OrderId, OrderLine, OrderRecord, OrderState, Origin,
    Record, Refund, bucket_of,
};

use super::slots::{Fresh, Slots, Stored};
use super::{Batch, content_hash, json_text};
use crate::arg::{Arg, Stamp, args};
use crate::column::named;
use crate::detail::OrderDetail;
use crate::error::{Result, StoreError};
use crate::identity::{Who, name_of};
use crate::tx::Tx;

const SELECT: &str =
    "SELECT id, customer_id, updated_at, detail, received_at, origin, content_hash, written_at FROM orders";
const HEAD: &str = "INSERT INTO orders
    (bucket, customer_id, id, source_customer_id, system, external_id, number, state, placed_at, updated_at,
     total_minor, currency, total_reporting_minor, net_reporting_minor, item_count, detail, received_at, origin,
     content_hash, written_at)";

named! {
    pub(super) struct OrderRow {
        id: Uuid,
        customer_id: Uuid,
        updated_at: Option<Stamp>,
        detail: String,
        received_at: Stamp,
        origin: String,
        content_hash: i64,
        written_at: Stamp,
    }
}

impl Stored for OrderRow {
    fn id(&self) -> Uuid {
        self.id
    }
    fn customer(&self) -> CustomerId {
        CustomerId::from_uuid(self.customer_id)
    }
    fn written_at(&self) -> At {
        self.written_at.0
    }
}

pub(super) struct FreshOrder {
    who: Who,
    order: Order,
    updated_at: Option<At>,
    content_hash: i64,
}

impl Fresh for FreshOrder {
    fn customer(&self) -> CustomerId {
        self.who.customer
    }

    fn row(self, written_at: At) -> Result<Vec<Arg<'static>>> {
        let net = self.order.net_reporting_minor();
        let Order { id, system, external_id, number, state, placed_at, total, .. } = self.order;
        let reporting = self.order.total_reporting_minor;
        let item_count = self.order.item_count;
        let detail = json_text(&OrderDetail {
            refunds: self.order.refunds,
            lines: self.order.lines,
            coupons: self.order.coupons,
            cart: self.order.cart,
            marks: self.order.marks,
        })?;
        Ok(args![
            bucket_of(self.who.customer),
            self.who.customer,
            id,
            self.who.source,
            system,
            external_id,
            number,
            state.as_str(),
            placed_at,
            self.updated_at,
            total.amount_minor,
            total.currency.code().to_owned(),
            reporting,
            net,
            item_count,
            detail,
            self.order.received_at,
            self.order.origin.as_str(),
            self.content_hash,
            written_at,
        ])
    }
}

/// What is known of an order from before.
struct Known {
    received_at: At,
    origin: Origin,
    refunds: Vec<Refund>,
    marks: Vec<Mark>,
}

impl Batch<'_> {
    pub(super) async fn orders(&mut self, tx: &mut Tx, whose: &[Option<Who>]) -> Result<()> {
        let ingest = self.ingest;
        let system = ingest.connector.as_str();
        let ids = ingest.records.iter().filter_map(|record| match record {
            Record::Order(r) => Some(order_id(system, &r.external_id).uuid()),
            Record::Deleted(r) if r.kind == "order" => Some(order_id(system, &r.external_id).uuid()),
            _ => None,
        });
        let mut slots: Slots<OrderRow, FreshOrder> = match ids.collect::<Vec<_>>() {
            none if none.is_empty() => return Ok(()),
            ids => Slots::load(tx, SELECT, ids.into_iter()).await?,
        };
        for (record, who) in ingest.records.iter().zip(whose) {
            let (order, who) = match (record, who) {
                (Record::Deleted(r), _) if r.kind == "order" => {
                    slots.remove(order_id(system, &r.external_id).uuid());
                    continue;
                }
                (Record::Order(order), Some(who)) => (order, self.people.settled(*who)),
                _ => continue,
            };
            if name_of(&order.external_id).is_none() {
                self.reject("an order without an id", record);
                continue;
            }
            let reporting = ingest.rates.convert(order.total);
            if reporting.is_none() {
                *self.report.unrated.entry(order.total.currency).or_default() += 1;
            }
            let hash = content_hash(order, reporting)?;
            let id = order_id(system, &order.external_id);
            let slot = slots.get(id.uuid());
            let (known_hash, known_at) = match (&slot.fresh, &slot.stored) {
                (Some(fresh), _) => (Some(fresh.content_hash), fresh.updated_at),
                (None, Some(stored)) if !slot.is_gone => {
                    (Some(stored.content_hash), stored.updated_at.map(|at| at.0))
                }
                _ => (None, None),
            };
            // A page read before the shop changed the order must not undo the change; and a clock that is ahead must
            // not make every later change look older.
            let updated_at = order.updated_at.map(|at| at.min(ingest.received_at));
            let is_stale = updated_at.zip(known_at).is_some_and(|(new, old)| new < old);
            if known_hash == Some(hash) || is_stale {
                continue;
            }
            let known = match (&slot.fresh, &slot.stored) {
                (Some(fresh), _) => Some(Known {
                    received_at: fresh.order.received_at,
                    origin: fresh.order.origin,
                    refunds: fresh.order.refunds.clone(),
                    marks: fresh.order.marks.clone(),
                }),
                (None, Some(stored)) if !slot.is_gone => Some(read(stored)?),
                _ => None,
            };
            let known = known.unwrap_or(Known {
                received_at: ingest.received_at,
                origin: ingest.origin,
                refunds: Vec::new(),
                marks: Vec::new(),
            });
            let order = resolved(order, id, system, reporting, known, ingest.received_at, ingest.origin);
            let updated_at = updated_at.max(known_at);
            slot.fresh = Some(FreshOrder { who, order, updated_at, content_hash: hash });
        }
        let (whose, count) = slots.write(tx, "orders", HEAD, ingest.received_at).await?;
        whose.into_iter().for_each(|customer| self.mark(customer));
        self.report.changed += count;
        Ok(())
    }
}

/// Our id of an order.
pub(super) fn order_id(system: &str, external_id: &str) -> OrderId {
    OrderId::derive(&[system.as_bytes(), clean_text(external_id, 255).as_bytes()])
}

fn read(stored: &OrderRow) -> Result<Known> {
    let detail: OrderDetail =
        serde_json::from_str(&stored.detail).map_err(|e| StoreError::unreadable("order", e))?;
    let origin =
        Origin::parse(&stored.origin).ok_or_else(|| StoreError::unreadable("origin", &stored.origin))?;
    Ok(Known { received_at: stored.received_at.0, origin, refunds: detail.refunds, marks: detail.marks })
}

/// The order as it stands now, keeping when we first heard of each step.
fn resolved(
    record: &OrderRecord,
    id: OrderId,
    system: &str,
    total_reporting_minor: Option<i64>,
    known: Known,
    received_at: At,
    origin: Origin,
) -> Order {
    let refunds: Vec<Refund> = (record.refunds.iter())
        .map(|refund| {
            let before = known.refunds.iter().find(|r| r.external_id == refund.external_id);
            Refund {
                external_id: clean_text(&refund.external_id, 255),
                at: refund.at.or(before.map(|r| r.at)).unwrap_or(received_at),
                amount_minor: refund.amount_minor,
                reason: refund.reason.as_deref().map(|text| clean_text(text, 500)),
            }
        })
        .collect();
    let is_cancelled = record.state == OrderState::Cancelled;
    // The engine needs an instant for a cancellation, even when the shop gives none.
    let cancelled_at = record.cancelled_at.or_else(|| {
        let before = known.marks.iter().find(|m| m.kind == MarkKind::Cancelled).map(|m| m.at);
        is_cancelled.then(|| before.or(record.updated_at).unwrap_or(received_at))
    });
    let mut steps: Vec<(MarkKind, At)> = [
        (MarkKind::Paid, record.paid_at),
        (MarkKind::Shipped, record.shipped_at),
        (MarkKind::Delivered, record.delivered_at),
        (MarkKind::Cancelled, cancelled_at.filter(|_| is_cancelled)),
    ]
    .into_iter()
    .filter_map(|(kind, at)| Some((kind, at?)))
    .collect();
    steps.extend(refunds.iter().map(|refund| (MarkKind::Refunded, refund.at)));
    steps.sort_unstable_by_key(|(kind, at)| (*at, *kind));
    steps.dedup();
    let mark = |(kind, at): (MarkKind, At)| {
        let same = |m: &&Mark| m.kind == kind && (kind != MarkKind::Refunded || m.at == at);
        match known.marks.iter().find(same) {
            Some(before) => Mark { kind, at, received_at: before.received_at, origin: before.origin },
            None => Mark { kind, at, received_at, origin },
        }
    };
    Order {
        id,
        system: system.to_owned(),
        external_id: clean_text(&record.external_id, 255),
        number: clean_text(&record.number, 255),
        state: record.state,
        placed_at: record.placed_at,
        total: Money::new(record.total.amount_minor, record.total.currency),
        total_reporting_minor,
        marks: steps.into_iter().map(mark).collect(),
        refunds,
        lines: (record.lines.iter())
            .map(|line| OrderLine {
                product: line.product.as_deref().and_then(name_of),
                sku: line.sku.as_deref().and_then(name_of),
                title: clean_text(&line.title, 500),
                quantity: line.quantity,
                total_minor: line.total_minor,
                categories: line.categories.iter().filter_map(|c| name_of(c)).collect(),
            })
            .collect(),
        item_count: record.item_count.unwrap_or_else(|| {
            record.lines.iter().fold(0, |sum: i64, line| sum.saturating_add(line.quantity))
        }),
        coupons: record.coupons.iter().filter_map(|c| name_of(c)).collect(),
        cart: record.cart.as_deref().and_then(name_of),
        received_at: known.received_at,
        origin: known.origin,
    }
}
