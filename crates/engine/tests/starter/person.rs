//! A customer as a test tells of one. Decides nothing.

use std::collections::BTreeMap;

use serde_json::json;
use zyklus_model::{
    At, Cart, Channel, Consent, ConsentState, Currency, Customer, CustomerId, Delivery, DeliveryKind,
    DeliveryState, Email, Event, EventId, Feedback, FeedbackId, FeedbackKind, LegalBasis, Money, Order,
    OrderId, OrderState, Origin, Purpose, Refund, Snapshot,
};

use crate::at;

/// The day everything is looked at: a Tuesday, eight o'clock in Berlin.
pub(crate) fn now() -> At {
    at("2026-03-03T07:00:00Z")
}

pub(crate) fn ago(days: i64) -> At {
    now().plus_days(-days)
}

/// Somebody known for so many days, by name and address only.
pub(crate) fn somebody(days: i64) -> Snapshot {
    Snapshot::of(Customer {
        id: CustomerId::derive(&[b"somebody"]),
        email: Some(Email::parse("anna@example.com").unwrap()),
        phone: None,
        first_name: Some("Anna".into()),
        last_name: None,
        locale: Some("de".into()),
        country: Some("DE".into()),
        time_zone: None,
        created_at: ago(days),
        has_account: false,
        attributes: BTreeMap::new(),
    })
}

pub(crate) trait Told: Sized {
    fn edit(self, change: impl FnOnce(&mut Snapshot)) -> Self;
    fn account(self) -> Self {
        self.edit(|s| s.customer.has_account = true)
    }
    fn consent(self, when: At, state: ConsentState) -> Self {
        self.edit(|s| {
            let (channel, purpose, basis) = (Channel::Email, Purpose::Marketing, LegalBasis::Consent);
            let (source, evidence) = ("shop".to_owned(), json!(null));
            s.consents.push(Consent { channel, purpose, state, basis, at: when, source, evidence });
            s.consents.sort_by_key(|c| c.at);
        })
    }
    fn event(self, name: &str, when: At, origin: Origin, data: serde_json::Value) -> Self {
        self.edit(|s| {
            let id = EventId::derive(&[name.as_bytes(), &when.as_micros().to_be_bytes()]);
            let data = data.as_object().cloned().unwrap_or_default();
            s.events.push(Event {
                id,
                name: name.into(),
                occurred_at: when,
                received_at: when,
                origin,
                data,
            });
            s.events.sort_by_key(|e| e.occurred_at);
        })
    }
    fn order_from(self, when: At, origin: Origin) -> Self {
        self.edit(|s| {
            let name = format!("o{}", s.orders.len() + 1);
            s.orders.push(Order {
                id: OrderId::derive(&[name.as_bytes()]),
                system: "shop".into(),
                external_id: name.clone(),
                number: name,
                state: OrderState::Placed,
                placed_at: when,
                total: Money::new(4_990, Currency::EUR),
                total_reporting_minor: Some(4_990),
                refunds: Vec::new(),
                lines: Vec::new(),
                item_count: 1,
                coupons: Vec::new(),
                cart: None,
                marks: Vec::new(),
                received_at: when,
                origin,
            });
            s.orders.sort_by_key(|o| o.placed_at);
        })
    }
    fn orders(self, days_ago: &[i64]) -> Self {
        days_ago.iter().fold(self, |told, days| told.order_from(ago(*days), Origin::History))
    }
    fn refunded(self, order: usize, days_ago: i64) -> Self {
        self.edit(|s| {
            let amount_minor = s.orders[order].total.amount_minor;
            let refund = Refund { external_id: "r".into(), at: ago(days_ago), amount_minor, reason: None };
            s.orders[order].refunds.push(refund);
        })
    }
    fn cart(self, when: At) -> Self {
        self.edit(|s| {
            s.carts.push(Cart {
                system: "shop".into(),
                external_id: "c1".into(),
                is_open: true,
                updated_at: when,
                total: Money::new(6_000, Currency::EUR),
                total_reporting_minor: Some(6_000),
                lines: Vec::new(),
                url: None,
            });
        })
    }
    fn says(self, kind: FeedbackKind, score: f64, when: At) -> Self {
        self.edit(|s| {
            let id = FeedbackId::derive(&[&when.as_micros().to_be_bytes()]);
            s.feedback.push(Feedback { id, kind, score: Some(score), text: None, product: None, at: when });
            s.feedback.sort_by_key(|f| f.at);
        })
    }
    fn was_sent(self, days_ago: &[i64]) -> Self {
        self.edit(|s| s.deliveries.extend(days_ago.iter().map(|days| news(ago(*days)))))
    }
}

impl Told for Snapshot {
    fn edit(mut self, change: impl FnOnce(&mut Snapshot)) -> Self {
        change(&mut self);
        self
    }
}

pub(crate) fn news(when: At) -> Delivery {
    Delivery {
        id: zyklus_model::DeliveryId::derive(&[&when.as_micros().to_be_bytes()]),
        customer: CustomerId::derive(&[b"somebody"]),
        run: None,
        journey: String::new(),
        step: String::new(),
        kind: DeliveryKind::Message,
        channel: Some(Channel::Email),
        connector: None,
        target: "newsletter".into(),
        purpose: Purpose::Marketing,
        capped: true,
        state: DeliveryState::Accepted,
        reason: None,
        outranked_by: None,
        created_at: when,
        due_at: when,
        expires_at: when.plus_days(1),
        done_at: Some(when),
        attempt_count: 1,
        payload: json!({}),
    }
}

pub(crate) fn signed_up(days: i64) -> Snapshot {
    let granted = json!({ "channel": "email", "purpose": "marketing" });
    somebody(days).account().consent(ago(days), ConsentState::Granted).event(
        "consent.granted",
        ago(days),
        Origin::History,
        granted,
    )
}
