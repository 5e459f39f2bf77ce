//! Carts on their way in. Never says whether one was abandoned: time does, and the engine counts it.

use serde_json::{Map, Value, json};
use uuid::Uuid;
use zyklus_model::address::clean_text;
use zyklus_model::{At, Cart, CartLine, CustomerId, EventId, Money, Record, bucket_of};

use super::slots::{Fresh, Slots, Stored};
use super::{Batch, content_hash, json_text};
use crate::arg::{Arg, Stamp, args};
use crate::column::named;
use crate::detail::CartDetail;
use crate::error::Result;
use crate::identity::{Who, name_of};
use crate::tx::Tx;

const SELECT: &str = "SELECT id, customer_id, updated_at, content_hash, written_at FROM cart";
const HEAD: &str = "INSERT INTO cart
    (bucket, customer_id, id, source_customer_id, system, external_id, is_open, updated_at, total_minor, currency,
     total_reporting_minor, detail, content_hash, written_at)";

named! {
    struct CartRow {
        id: Uuid,
        customer_id: Uuid,
        updated_at: Stamp,
        content_hash: i64,
        written_at: Stamp,
    }
}

impl Stored for CartRow {
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

struct FreshCart {
    id: Uuid,
    who: Who,
    cart: Cart,
    content_hash: i64,
}

impl Fresh for FreshCart {
    fn customer(&self) -> CustomerId {
        self.who.customer
    }

    fn row(self, written_at: At) -> Result<Vec<Arg<'static>>> {
        let detail = json_text(&CartDetail { lines: self.cart.lines, url: self.cart.url })?;
        Ok(args![
            bucket_of(self.who.customer),
            self.who.customer,
            self.id,
            self.who.source,
            self.cart.system,
            self.cart.external_id,
            self.cart.is_open,
            self.cart.updated_at,
            self.cart.total.amount_minor,
            self.cart.total.currency.code().to_owned(),
            self.cart.total_reporting_minor,
            detail,
            self.content_hash,
            written_at,
        ])
    }
}

impl Batch<'_> {
    pub(super) async fn carts(&mut self, tx: &mut Tx, whose: &[Option<Who>]) -> Result<()> {
        let ingest = self.ingest;
        let system = ingest.connector.as_str();
        let ids = ingest.records.iter().filter_map(|record| match record {
            Record::Cart(r) => Some(cart_id(system, &r.external_id)),
            Record::Deleted(r) if r.kind == "cart" => Some(cart_id(system, &r.external_id)),
            _ => None,
        });
        let mut slots: Slots<CartRow, FreshCart> = match ids.collect::<Vec<_>>() {
            none if none.is_empty() => return Ok(()),
            ids => Slots::load(tx, SELECT, ids.into_iter()).await?,
        };
        for (record, who) in ingest.records.iter().zip(whose) {
            let (cart, who) = match (record, who) {
                (Record::Deleted(r), _) if r.kind == "cart" => {
                    slots.remove(cart_id(system, &r.external_id));
                    continue;
                }
                (Record::Cart(cart), Some(who)) => (cart, self.people.settled(*who)),
                _ => continue,
            };
            if name_of(&cart.external_id).is_none() {
                self.reject("a cart without an id", record);
                continue;
            }
            let reporting = ingest.rates.convert(cart.total);
            if reporting.is_none() {
                *self.report.unrated.entry(cart.total.currency).or_default() += 1;
            }
            let hash = content_hash(cart, reporting)?;
            let id = cart_id(system, &cart.external_id);
            let slot = slots.get(id);
            let known: Option<(i64, At)> = match (&slot.fresh, &slot.stored) {
                (Some(fresh), _) => Some((fresh.content_hash, fresh.cart.updated_at)),
                (None, Some(stored)) if !slot.is_gone => Some((stored.content_hash, stored.updated_at.0)),
                _ => None,
            };
            if known.is_some_and(|(old, _)| old == hash) {
                continue;
            }
            let lines: Vec<CartLine> = (cart.lines.iter())
                .map(|line| CartLine {
                    product: line.product.as_deref().and_then(name_of),
                    title: clean_text(&line.title, 500),
                    quantity: line.quantity,
                    total_minor: line.total_minor,
                    image_url: line.image_url.as_deref().map(|url| clean_text(url, 2000)),
                    url: line.url.as_deref().map(|url| clean_text(url, 2000)),
                })
                .collect();
            // A clock that is ahead must not make every later change look older.
            let updated_at = cart.updated_at.min(ingest.received_at);
            let resolved = Cart {
                system: system.to_owned(),
                external_id: clean_text(&cart.external_id, 255),
                is_open: cart.is_open,
                updated_at,
                total: Money::new(cart.total.amount_minor, cart.total.currency),
                total_reporting_minor: reporting,
                lines,
                url: cart.url.as_deref().map(|url| clean_text(url, 2000)),
            };
            // A cart that was ordered or emptied is no change a customer made to a cart they still have. A page
            // read late still tells of a change, though not of how the cart stands now.
            if cart.is_open {
                let at = cart.updated_at;
                let event = EventId::derive(&[b"cart.updated", id.as_bytes(), &at.as_micros().to_be_bytes()]);
                let data = event_data(&resolved, ingest.rates.reporting.exponent());
                self.event(event, "cart.updated", who, updated_at, data);
            }
            if known.is_none_or(|(_, at)| updated_at >= at) {
                slots.get(id).fresh = Some(FreshCart { id, who, cart: resolved, content_hash: hash });
            }
        }
        let (whose, count) = slots.write(tx, "cart", HEAD, ingest.received_at).await?;
        whose.into_iter().for_each(|customer| self.mark(customer));
        self.report.changed += count;
        Ok(())
    }
}

fn cart_id(system: &str, external_id: &str) -> Uuid {
    EventId::derive(&[b"cart", system.as_bytes(), clean_text(external_id, 255).as_bytes()]).uuid()
}

fn event_data(cart: &Cart, decimals: u8) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("cart_id".into(), json!(cart.external_id));
    if let Some(minor) = cart.total_reporting_minor {
        data.insert("total".into(), json!(minor as f64 / 10f64.powi(i32::from(decimals))));
    }
    data.insert("currency".into(), json!(cart.total.currency.code()));
    let products: Vec<&str> = cart.lines.iter().filter_map(|line| line.product.as_deref()).collect();
    data.insert("product_ids".into(), json!(products));
    data
}
