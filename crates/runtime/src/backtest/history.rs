//! Takes a customer's snapshot apart into what was known at an instant and what came to be known after it, fact by
//! fact. Never decides, and invents nothing but the event of a customer's own beginning.
//!
//! A fact that arrived live became known when we heard of it. What came with history (a first sync, an import) became
//! known when it happened, as if the shop had been connected then.

use serde_json::{Map, Value, json};
use zyklus_model::{
    At, Cart, Consent, Event, EventId, Feedback, Mark, MarkKind, Money, Order, OrderState, Origin, Refund,
    Snapshot, Suppression, Tag,
};

/// Labels that journeys put on.
const BY_JOURNEY: &str = "journey";

/// One fact, as it came to be known.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    /// The customer themselves.
    Arrived,
    /// An order, as it was placed.
    Order(Box<Order>),
    /// A later step of an order.
    Step(zyklus_model::OrderId, Mark),
    /// Money back for an order.
    Refund(zyklus_model::OrderId, Refund),
    /// A cart as it stood.
    Cart(Box<Cart>),
    /// A word on consent.
    Consent(Box<Consent>),
    /// A word of the customer.
    Feedback(Box<Feedback>),
    /// An event.
    Event(Box<Event>),
    /// Never contact.
    Suppression(Suppression),
    /// A label.
    Tag(Tag),
}

/// A customer's facts in the order in which they became known, and a snapshot without any.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// The profile and nothing else.
    pub bare: Snapshot,
    /// Facts with the instant at which they became known, earliest first.
    pub facts: Vec<(At, Fact)>,
}

/// When something became known.
fn heard(origin: Origin, at: At, received_at: At) -> At {
    match origin {
        Origin::Live => received_at,
        Origin::History => at,
    }
}

impl History {
    /// Of a snapshot as the store reads it. `scale` is 10 to the power of the reporting currency's decimals; facts
    /// known after `from` are live, whatever they were when they were stored.
    pub(super) fn of(mut snapshot: Snapshot, from: At, scale: f64) -> Self {
        let mut history = Facts { from, scale, facts: Vec::new() };
        let events = std::mem::take(&mut snapshot.events);
        history.carts(std::mem::take(&mut snapshot.carts), &events);
        history.said(&mut snapshot, &events);
        std::mem::take(&mut snapshot.orders).into_iter().for_each(|order| history.order(order));
        for tag in std::mem::take(&mut snapshot.tags) {
            // Those of journeys count only where the window does not decide on them itself.
            if tag.source != BY_JOURNEY || tag.since <= from {
                history.facts.push((tag.since, Fact::Tag(tag)));
            }
        }
        for suppression in std::mem::take(&mut snapshot.suppressions) {
            history.facts.push((suppression.at, Fact::Suppression(suppression)));
        }
        let born = history.born(&snapshot, &events);
        history.facts.push((born, Fact::Arrived));
        events.into_iter().for_each(|event| history.event(event));
        history.facts.sort_by_key(|(at, _)| *at);
        snapshot.runs.clear();
        snapshot.deliveries.clear();
        snapshot.segments.clear();
        snapshot.phase = None;
        History { bare: snapshot, facts: history.facts }
    }
}

struct Facts {
    from: At,
    scale: f64,
    facts: Vec<(At, Fact)>,
}

impl Facts {
    /// When a fact is dated as heard of, and whether it is live: history stays history up to the window.
    fn dated(&self, origin: Origin, at: At, received_at: At) -> (At, Origin) {
        let known_at = heard(origin, at, received_at);
        let origin = if known_at > self.from { Origin::Live } else { origin };
        (known_at, origin)
    }

    /// When the customer became known: live, when we heard of them; with history, when the shop did.
    fn born(&mut self, snapshot: &Snapshot, events: &[Event]) -> At {
        let customer = &snapshot.customer;
        let told = events.iter().find(|e| e.name == "customer.created" && e.origin == Origin::Live);
        if let Some(told) = told {
            return told.received_at;
        }
        let at = customer.created_at;
        if at > self.from {
            // A new customer of the window is told of like any other.
            let data = Map::from_iter([("has_account".to_owned(), Value::Bool(customer.has_account))]);
            let id = EventId::derive(&[b"customer.created", customer.id.uuid().as_bytes()]);
            let (name, origin) = ("customer.created".to_owned(), Origin::Live);
            let event = Event { id, name, occurred_at: at, received_at: at, origin, data };
            self.facts.push((at, Fact::Event(Box::new(event))));
        }
        at
    }

    fn event(&mut self, mut event: Event) {
        (event.received_at, event.origin) = self.dated(event.origin, event.occurred_at, event.received_at);
        self.facts.push((event.received_at, Fact::Event(Box::new(event))));
    }

    /// An order as it was placed, then its steps and refunds.
    fn order(&mut self, mut order: Order) {
        let (known_at, origin) = self.dated(order.origin, order.placed_at, order.received_at);
        (order.received_at, order.origin) = (known_at, origin);
        let marks = std::mem::take(&mut order.marks);
        let refunds = std::mem::take(&mut order.refunds);
        let mut later = Vec::new();
        for refund in refunds {
            let mark = marks.iter().find(|m| m.kind == MarkKind::Refunded && m.at == refund.at);
            let at = mark.map_or(refund.at, |m| heard(m.origin, m.at, m.received_at));
            later.push((at.max(known_at), Fact::Refund(order.id, refund)));
        }
        let mut is_cancelled = order.state == OrderState::Cancelled;
        for mut mark in marks {
            let (at, origin) = self.dated(mark.origin, mark.at, mark.received_at);
            (mark.received_at, mark.origin) = (at.max(known_at), origin);
            is_cancelled &= mark.kind != MarkKind::Cancelled;
            later.push((mark.received_at, Fact::Step(order.id, mark)));
        }
        // Cancelled by a mark, it was placed until then.
        order.state = if is_cancelled { OrderState::Cancelled } else { OrderState::Placed };
        self.facts.push((known_at, Fact::Order(Box::new(order))));
        self.facts.extend(later);
    }

    /// Every state of the carts that is known: what their events tell, and what they are now.
    fn carts(&mut self, carts: Vec<Cart>, events: &[Event]) {
        for cart in carts {
            let of_cart = |e: &&Event| {
                e.name == "cart.updated"
                    && e.data.get("cart_id").and_then(Value::as_str) == Some(cart.external_id.as_str())
            };
            let mut known_at = cart.updated_at;
            for event in events.iter().filter(of_cart) {
                let at = heard(event.origin, event.occurred_at, event.received_at);
                if event.occurred_at == cart.updated_at {
                    known_at = at;
                } else if event.occurred_at < cart.updated_at {
                    self.facts.push((at, Fact::Cart(Box::new(self.earlier(&cart, event)))));
                }
            }
            self.facts.push((known_at, Fact::Cart(Box::new(cart))));
        }
    }

    /// A cart as an event tells of it.
    fn earlier(&self, cart: &Cart, event: &Event) -> Cart {
        let total = event.data.get("total").and_then(Value::as_f64);
        let minor = total.map(|total| (total * self.scale).round() as i64);
        let total = Money::new(minor.unwrap_or_default(), cart.total.currency);
        let at = event.occurred_at;
        Cart { is_open: true, updated_at: at, total, total_reporting_minor: minor, ..cart.clone() }
    }

    /// Consents and feedback, which the store notes beside an event that says when they were heard of.
    fn said(&mut self, snapshot: &mut Snapshot, events: &[Event]) {
        let told = |at: At, names: &str, key: &str, value: &Value| {
            let same = |e: &&Event| {
                e.occurred_at == at && e.name.starts_with(names) && e.data.get(key) == Some(value)
            };
            let event = events.iter().find(same);
            event.map_or(at, |e| heard(e.origin, e.occurred_at, e.received_at))
        };
        for consent in std::mem::take(&mut snapshot.consents) {
            let at = told(consent.at, "consent.", "channel", &json!(consent.channel));
            self.facts.push((at, Fact::Consent(Box::new(consent))));
        }
        for feedback in std::mem::take(&mut snapshot.feedback) {
            let at = told(feedback.at, "feedback.", "kind", &json!(feedback.kind));
            self.facts.push((at, Fact::Feedback(Box::new(feedback))));
        }
    }
}

impl Fact {
    /// Puts the fact into what is known.
    pub(super) fn put(&self, snapshot: &mut Snapshot) {
        match self {
            Fact::Arrived => {}
            Fact::Order(order) => snapshot.orders.push((**order).clone()),
            Fact::Step(id, mark) => {
                if let Some(order) = snapshot.orders.iter_mut().find(|o| o.id == *id) {
                    order.marks.push(mark.clone());
                    order.marks.sort_by_key(|m| (m.at, m.kind));
                    if mark.kind == MarkKind::Cancelled {
                        order.state = OrderState::Cancelled;
                    }
                }
            }
            Fact::Refund(id, refund) => {
                if let Some(order) = snapshot.orders.iter_mut().find(|o| o.id == *id) {
                    order.refunds.push(refund.clone());
                }
            }
            Fact::Cart(cart) => {
                let same = |c: &Cart| c.system == cart.system && c.external_id == cart.external_id;
                let is_older = snapshot.carts.iter().any(|c| same(c) && c.updated_at > cart.updated_at);
                if !is_older {
                    snapshot.carts.retain(|c| !same(c));
                    snapshot.carts.push((**cart).clone());
                }
            }
            Fact::Consent(consent) => snapshot.consents.push((**consent).clone()),
            Fact::Feedback(feedback) => snapshot.feedback.push((**feedback).clone()),
            Fact::Event(event) => snapshot.events.push((**event).clone()),
            Fact::Suppression(suppression) => snapshot.suppressions.push(suppression.clone()),
            Fact::Tag(tag) => snapshot.tags.push(tag.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use zyklus_model::{Currency, Customer, CustomerId, OrderId};

    use super::*;

    fn at(text: &str) -> At {
        text.parse().unwrap()
    }

    fn snapshot() -> Snapshot {
        Snapshot::of(Customer {
            id: CustomerId::derive(&[b"c"]),
            email: None,
            phone: None,
            first_name: None,
            last_name: None,
            locale: None,
            country: None,
            time_zone: None,
            created_at: at("2026-01-01T00:00:00Z"),
            has_account: true,
            attributes: Default::default(),
        })
    }

    fn order(origin: Origin, placed_at: &str, received_at: &str) -> Order {
        Order {
            id: OrderId::derive(&[placed_at.as_bytes()]),
            system: "shop".into(),
            external_id: placed_at.into(),
            number: placed_at.into(),
            state: OrderState::Cancelled,
            placed_at: at(placed_at),
            total: Money::new(1_000, Currency::EUR),
            total_reporting_minor: Some(1_000),
            refunds: Vec::new(),
            lines: Vec::new(),
            item_count: 1,
            coupons: Vec::new(),
            cart: None,
            marks: vec![Mark {
                kind: MarkKind::Cancelled,
                at: at("2026-03-01T00:00:00Z"),
                received_at: at("2026-03-02T00:00:00Z"),
                origin,
            }],
            received_at: at(received_at),
            origin,
        }
    }

    /// When each fact became known, and of which origin, in words.
    fn told(history: &History) -> Vec<String> {
        let line = |(at, fact): &(At, Fact)| match fact {
            Fact::Order(o) => format!("{at} placed {:?} {:?}", o.state, o.origin),
            Fact::Step(_, m) => format!("{at} {} {:?}", m.kind, m.origin),
            Fact::Event(e) => format!("{at} {} {:?}", e.name, e.origin),
            Fact::Cart(c) => format!("{at} cart {} {}", c.total.amount_minor, c.is_open),
            other => format!("{at} {}", format!("{other:?}").split(['(', ' ']).next().unwrap_or_default()),
        };
        history.facts.iter().map(line).collect()
    }

    #[test]
    fn what_came_live_is_known_when_it_was_heard_of_and_history_when_it_happened() {
        let from = at("2026-02-01T00:00:00Z");
        let mut live = snapshot();
        live.orders = vec![order(Origin::Live, "2026-02-10T00:00:00Z", "2026-02-11T00:00:00Z")];
        assert_eq!(
            told(&History::of(live, from, 100.0)),
            [
                "2026-01-01T00:00:00Z Arrived",
                "2026-02-11T00:00:00Z placed Placed Live",
                "2026-03-02T00:00:00Z cancelled Live"
            ]
        );
        let mut imported = snapshot();
        imported.orders = vec![order(Origin::History, "2026-01-10T00:00:00Z", "2026-06-01T00:00:00Z")];
        assert_eq!(
            told(&History::of(imported, from, 100.0)),
            [
                "2026-01-01T00:00:00Z Arrived",
                "2026-01-10T00:00:00Z placed Placed History",
                "2026-03-01T00:00:00Z cancelled Live"
            ]
        );
    }

    #[test]
    fn a_customer_of_the_window_begins_in_it() {
        let from = at("2025-12-01T00:00:00Z");
        assert_eq!(
            told(&History::of(snapshot(), from, 100.0)),
            ["2026-01-01T00:00:00Z customer.created Live", "2026-01-01T00:00:00Z Arrived"]
        );
    }

    #[test]
    fn a_cart_is_open_until_it_was_ordered() {
        let mut known = snapshot();
        known.carts = vec![Cart {
            system: "shop".into(),
            external_id: "c1".into(),
            is_open: false,
            updated_at: at("2026-02-05T00:00:00Z"),
            total: Money::new(4_000, Currency::EUR),
            total_reporting_minor: Some(4_000),
            lines: Vec::new(),
            url: None,
        }];
        let data = Map::from_iter([("cart_id".to_owned(), json!("c1")), ("total".to_owned(), json!(30.0))]);
        known.events = vec![Event {
            id: EventId::derive(&[b"e"]),
            name: "cart.updated".into(),
            occurred_at: at("2026-02-04T00:00:00Z"),
            received_at: at("2026-06-01T00:00:00Z"),
            origin: Origin::History,
            data,
        }];
        let history = History::of(known, at("2026-02-01T00:00:00Z"), 100.0);
        assert_eq!(
            told(&history)[1..],
            [
                "2026-02-04T00:00:00Z cart 3000 true",
                "2026-02-04T00:00:00Z cart.updated Live",
                "2026-02-05T00:00:00Z cart 4000 false"
            ]
        );
    }
}
