//! Makes facts of what a test gives: real orders, carts, consents, feedback and events, with the events the store
//! notes beside them. Never decides.

use serde_json::{Value as Json, json};
use zyklus_model::{
    At, Cart, CartLine, Channel, Consent, ConsentState, Customer, CustomerId, Delivery, DeliveryId,
    DeliveryKind, DeliveryState, Email, Event, EventId, Feedback, FeedbackId, LegalBasis, Mark, MarkKind,
    Money, Order, OrderId, OrderLine, OrderState, Origin, Purpose, Rates, Refund, Snapshot, Tag,
};

use super::given::object;
use super::{Amount, Fact, Who};

/// The system that facts of tests come from.
const SHOP: &str = "shop";
/// The source of labels that journeys put on.
const BY_JOURNEY: &str = "journey";
/// What an order costs when the test does not say.
const TOTAL: f64 = 50.0;

/// The invented customer, known since an instant, with nothing but a profile and their consent.
pub(super) fn customer(who: &Who, since: At) -> Snapshot {
    let text = |given: &Option<String>, default: &str| given.clone().or_else(|| Some(default.to_owned()));
    let mut snapshot = Snapshot::of(Customer {
        id: CustomerId::derive(&[b"playtest", &who.number.to_be_bytes()]),
        email: who.email.clone().or_else(|| Email::parse("customer@example.org").ok()),
        phone: who.phone.clone(),
        first_name: text(&who.first_name, "Kim"),
        last_name: text(&who.last_name, "Example"),
        locale: who.locale.clone(),
        country: who.country.clone(),
        time_zone: who.time_zone.clone(),
        created_at: since,
        has_account: who.has_account.unwrap_or(true),
        attributes: who.attributes.clone(),
    });
    if who.consent.unwrap_or(true) {
        snapshot.consents.push(consent(Channel::Email, Purpose::Marketing, ConsentState::Granted, since));
    }
    snapshot
}

fn consent(channel: Channel, purpose: Purpose, state: ConsentState, at: At) -> Consent {
    let (source, evidence) = (SHOP.to_owned(), Json::Null);
    Consent { channel, purpose, state, basis: LegalBasis::Consent, at, source, evidence }
}

/// Puts facts into a snapshot, each dated and heard of at its own instant.
#[derive(Debug)]
pub(super) struct Maker {
    /// 10 to the power of the reporting currency's decimals.
    scale: f64,
    rates: Rates,
    origin: Origin,
    numbers: u32,
}

impl Maker {
    pub(super) fn new(decimals: u8, rates: Rates) -> Self {
        Maker { scale: 10f64.powi(i32::from(decimals)), rates, origin: Origin::Live, numbers: 0 }
    }

    pub(super) fn put(&mut self, snapshot: &mut Snapshot, fact: &Fact, at: At, origin: Origin) {
        self.origin = origin;
        match fact {
            Fact::Clock => {}
            Fact::Order { order, total, products, categories, coupons, cart } => {
                let mut placed = self.order(order.as_deref(), *total, at);
                let each = placed.total.amount_minor / i64::try_from(products.len().max(1)).unwrap_or(1);
                placed.lines = products
                    .iter()
                    .map(|product| OrderLine {
                        product: Some(product.clone()),
                        sku: None,
                        title: product.clone(),
                        quantity: 1,
                        total_minor: each,
                        categories: categories.clone(),
                    })
                    .collect();
                placed.coupons.clone_from(coupons);
                placed.cart.clone_from(cart);
                if let Some(cart) = snapshot.carts.iter_mut().find(|c| Some(&c.external_id) == cart.as_ref())
                {
                    (cart.is_open, cart.updated_at) = (false, at);
                }
                snapshot.orders.push(placed);
            }
            Fact::Step { kind, order, amount } => self.step(snapshot, *kind, order.as_deref(), *amount, at),
            Fact::Cart { cart, total, products, is_open } => {
                let cart = self.cart(cart, *total, products, *is_open, at);
                if *is_open {
                    let mut data = object(&[
                        ("cart_id", json!(cart.external_id)),
                        ("currency", json!(cart.total.currency.code())),
                        ("product_ids", json!(products)),
                    ]);
                    if let Some(minor) = cart.total_reporting_minor {
                        data.insert("total".to_owned(), json!(minor as f64 / self.scale));
                    }
                    let event = self.event("cart.updated", data, at);
                    snapshot.events.push(event);
                }
                snapshot.carts.retain(|c| c.external_id != cart.external_id);
                snapshot.carts.push(cart);
            }
            Fact::Consent { channel, purpose, state } => {
                let name = match state {
                    ConsentState::Granted => "consent.granted",
                    ConsentState::Pending => "consent.requested",
                    ConsentState::Withdrawn => "consent.withdrawn",
                };
                let data = object(&[
                    ("channel", json!(channel)),
                    ("purpose", json!(purpose)),
                    ("basis", json!(LegalBasis::Consent)),
                ]);
                let event = self.event(name, data, at);
                snapshot.events.push(event);
                snapshot.consents.push(consent(*channel, *purpose, *state, at));
            }
            Fact::Feedback { kind, score, text, product } => {
                let number = self.number("feedback");
                let data = object(&[
                    ("feedback_id", json!(number)),
                    ("kind", json!(kind)),
                    ("score", json!(score)),
                    ("product", json!(product)),
                ]);
                let event = self.event("feedback.received", data, at);
                snapshot.events.push(event);
                let id = FeedbackId::derive(&[number.as_bytes()]);
                let (text, product) = (text.clone(), product.clone());
                snapshot.feedback.push(Feedback { id, kind: *kind, score: *score, text, product, at });
            }
            Fact::Event { name, data } => {
                let event = self.event(name, data.clone(), at);
                snapshot.events.push(event);
            }
            Fact::Sent(template) => {
                let message = self.sent(snapshot.customer.id, template, at);
                snapshot.deliveries.push(message);
            }
            Fact::Tag { tag, is_on } => {
                snapshot.tags.retain(|t| t.tag != *tag || t.source != BY_JOURNEY);
                if *is_on {
                    let (tag, source) = (tag.clone(), BY_JOURNEY.to_owned());
                    snapshot.tags.push(Tag { tag, since: at, until: None, source });
                }
            }
        }
    }

    /// A marketing e-mail of no journey.
    fn sent(&mut self, customer: CustomerId, template: &str, at: At) -> Delivery {
        Delivery {
            id: DeliveryId::derive(&[self.number("sent").as_bytes()]),
            customer,
            run: None,
            journey: String::new(),
            step: String::new(),
            kind: DeliveryKind::Message,
            channel: Some(Channel::Email),
            connector: None,
            target: template.to_owned(),
            purpose: Purpose::Marketing,
            capped: true,
            state: DeliveryState::Accepted,
            reason: None,
            outranked_by: None,
            created_at: at,
            due_at: at,
            expires_at: at,
            done_at: Some(at),
            attempt_count: 1,
            payload: Json::Null,
        }
    }

    fn number(&mut self, what: &str) -> String {
        self.numbers += 1;
        format!("{what}-{}", self.numbers)
    }

    fn money(&self, amount: Option<Amount>) -> Money {
        match amount.unwrap_or(Amount::Plain(TOTAL)) {
            Amount::Plain(major) => Money::new((major * self.scale).round() as i64, self.rates.reporting),
            Amount::Money(money) => money,
        }
    }

    /// What goes back of an order, in its currency's minor units; `None` when there is no rate to tell it by.
    fn back(&self, amount: Option<Amount>, order: &Order) -> Option<i64> {
        let total = order.total;
        match amount {
            None => Some(total.amount_minor),
            Some(Amount::Plain(major)) => {
                Some((major * 10f64.powi(i32::from(total.currency.exponent()))).round() as i64)
            }
            Some(Amount::Money(money)) if money.currency == total.currency => Some(money.amount_minor),
            Some(Amount::Money(money)) => {
                let (back, of) = (self.rates.convert(money)?, order.total_reporting_minor?);
                Some((total.amount_minor as f64 * back as f64 / of as f64).round() as i64)
            }
        }
    }

    fn event(&mut self, name: &str, data: serde_json::Map<String, Json>, at: At) -> Event {
        let id = EventId::derive(&[self.number("event").as_bytes()]);
        let name = name.to_owned();
        Event { id, name, occurred_at: at, received_at: at, origin: self.origin, data }
    }

    fn order(&mut self, id: Option<&str>, total: Option<Amount>, at: At) -> Order {
        let number = id.map_or_else(|| self.number("order"), str::to_owned);
        let total = self.money(total);
        Order {
            id: OrderId::derive(&[number.as_bytes()]),
            system: SHOP.to_owned(),
            external_id: number.clone(),
            number,
            state: OrderState::Placed,
            placed_at: at,
            total,
            total_reporting_minor: self.rates.convert(total),
            refunds: Vec::new(),
            lines: Vec::new(),
            item_count: 1,
            coupons: Vec::new(),
            cart: None,
            marks: Vec::new(),
            received_at: at,
            origin: self.origin,
        }
    }

    fn step(
        &mut self,
        snapshot: &mut Snapshot,
        kind: MarkKind,
        id: Option<&str>,
        amount: Option<Amount>,
        at: At,
    ) {
        let known = match id {
            Some(id) => snapshot.orders.iter().position(|o| o.external_id == id),
            None => snapshot.orders.len().checked_sub(1),
        };
        let index = known.unwrap_or_else(|| {
            let order = self.order(id, None, at);
            snapshot.orders.push(order);
            snapshot.orders.len() - 1
        });
        let refund = (kind == MarkKind::Refunded).then(|| self.number("refund"));
        let back = self.back(amount, &snapshot.orders[index]);
        let order = &mut snapshot.orders[index];
        order.marks.push(Mark { kind, at, received_at: at, origin: self.origin });
        if let (Some(external_id), Some(amount_minor)) = (refund, back) {
            order.refunds.push(Refund { external_id, at, amount_minor, reason: None });
        }
        if kind == MarkKind::Cancelled {
            order.state = OrderState::Cancelled;
        }
    }

    fn cart(&self, id: &str, total: Option<Amount>, products: &[String], is_open: bool, at: At) -> Cart {
        let total = self.money(total);
        let line = |product: &String| CartLine {
            product: Some(product.clone()),
            title: product.clone(),
            quantity: 1,
            total_minor: total.amount_minor,
            image_url: None,
            url: None,
        };
        Cart {
            system: SHOP.to_owned(),
            external_id: id.to_owned(),
            is_open,
            updated_at: at,
            total,
            total_reporting_minor: self.rates.convert(total),
            lines: products.iter().map(line).collect(),
            url: None,
        }
    }
}
