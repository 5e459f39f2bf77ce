//! What is gathered of one customer: messages, answers, sources. What only a store can show is in `tests/kpis.rs`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::json;
use zyklus_model::{
    At, Channel, Consent, ConsentState, Customer, CustomerId, Delivery, DeliveryId, DeliveryKind,
    DeliveryState, Event, EventId, Feedback, FeedbackId, FeedbackKind, LegalBasis, Order, Origin, Purpose,
    Snapshot,
};

use super::*;
use crate::journeys::{Arm, Lift};

fn day(day: i64) -> At {
    At::from_seconds(1_767_225_600).plus_days(day)
}

fn somebody() -> Snapshot {
    Snapshot::of(Customer {
        id: CustomerId::derive(&[b"one"]),
        email: None,
        phone: None,
        first_name: None,
        last_name: None,
        locale: None,
        country: None,
        time_zone: None,
        created_at: day(0),
        has_account: true,
        attributes: BTreeMap::new(),
    })
}

fn mail(snapshot: &mut Snapshot, target: &str, purpose: Purpose, state: DeliveryState, at: At) -> DeliveryId {
    let number = snapshot.deliveries.len().to_string();
    let id = DeliveryId::derive(&[number.as_bytes()]);
    snapshot.deliveries.push(Delivery {
        id,
        customer: snapshot.customer.id,
        run: None,
        journey: "j".into(),
        step: "s".into(),
        kind: DeliveryKind::Message,
        channel: Some(Channel::Email),
        connector: None,
        target: target.into(),
        purpose,
        capped: true,
        state,
        reason: None,
        outranked_by: None,
        created_at: at,
        due_at: at,
        expires_at: at,
        done_at: Some(at),
        attempt_count: 1,
        payload: json!(null),
    });
    id
}

fn taken(snapshot: &Snapshot, now: At) -> Intake {
    let mut intake = Intake::new(now, &TimeZone::UTC, None);
    let orders: Vec<&Order> = snapshot.orders.iter().collect();
    intake.add(snapshot, &orders, Some("new"));
    intake
}

#[test]
fn messages_are_counted_by_what_became_of_them() {
    use DeliveryState::{Accepted, Bounced, Complained, Refused, Shadow};
    let mut one = somebody();
    let first = mail(&mut one, "news", Purpose::Marketing, Accepted, day(10));
    mail(&mut one, "news", Purpose::Marketing, Complained, day(20));
    mail(&mut one, "review-request", Purpose::Service, Accepted, day(30));
    mail(&mut one, "review-request", Purpose::Service, Accepted, day(95));
    mail(&mut one, "news", Purpose::Marketing, Bounced, day(40));
    for state in [Refused, Shadow] {
        mail(&mut one, "news", Purpose::Marketing, state, day(41));
    }
    one.consents.push(Consent {
        channel: Channel::Email,
        purpose: Purpose::Marketing,
        state: ConsentState::Withdrawn,
        basis: LegalBasis::Consent,
        at: day(11),
        source: "mail".into(),
        evidence: json!({ "delivery": first, "receipt": "r" }),
    });
    one.feedback.push(Feedback {
        id: FeedbackId::derive(&[b"f"]),
        kind: FeedbackKind::Review,
        score: Some(4.5),
        text: None,
        product: None,
        at: day(50),
    });
    let intake = taken(&one, day(100));
    let tally = |hits, of| zyklus_insight::interval::Tally::new(hits, of).unwrap();
    assert_eq!(intake.mailed.unsubscribed, tally(1, 2), "service mails are no marketing");
    assert_eq!(intake.mailed.complained, tally(1, 4));
    assert_eq!(intake.mailed.bounced, tally(1, 5));
    assert_eq!(intake.mailed.answered, tally(1, 1), "the second was asked five days ago");
    assert_eq!(intake.stars, tally(1, 1));
    let messages = intake.messages();
    assert!(messages.complaints_notice && messages.complaints_harm);
    // Before any of it, and long after.
    assert_eq!(taken(&one, day(5)).mailed.bounced, tally(0, 0));
    assert_eq!(taken(&one, day(500)).mailed.bounced, tally(0, 0));
}

#[test]
fn a_source_is_an_attribute_or_the_first_events_and_never_guessed() {
    let source = |attribute: Option<&str>, event_at: i64| {
        let mut one = somebody();
        one.customer.attributes.extend(attribute.map(|text| ("utm_source".to_owned(), json!(text))));
        one.events.push(Event {
            id: EventId::derive(&[b"e"]),
            name: "page.viewed".into(),
            occurred_at: day(event_at),
            received_at: day(event_at),
            origin: Origin::Live,
            data: json!({ "utm_source": "Social" }).as_object().cloned().unwrap(),
        });
        let mut intake = Intake::new(day(100), &TimeZone::UTC, None);
        let number = intake.source_of(&one, day(10));
        number.checked_sub(1).map(|place| intake.source_names[usize::from(place)].clone())
    };
    assert_eq!(source(Some(" News "), 1).as_deref(), Some("news"));
    assert_eq!(source(None, 1).as_deref(), Some("social"));
    assert_eq!(source(Some(" "), 11), None, "what came after the first order did not bring it about");
}

#[test]
fn a_lift_says_how_many_it_takes_and_clicks_stand_apart() {
    let arm = |reached, customers| Arm { customers, reached: Some(reached) };
    let row = |treated: Arm, held: Arm| JourneyRow {
        journey: "j".into(),
        label: "J".into(),
        started: 1,
        live: 0,
        ended: BTreeMap::new(),
        treated,
        held,
        held_globally: Arm::default(),
        left_out: 0,
        lift: Lift::of(treated, held),
        shadow: None,
        orders: 3,
        revenue_minor: 500,
        revenue: "5.00".into(),
    };
    let found = effects::effects(&[row(arm(30, 200), arm(20, 200)), row(arm(1, 5), Arm::default())]);
    let lift = found.journeys[0].lift.get().unwrap();
    assert!((lift.value() - 0.05).abs() < 1e-9 && lift.low() < 0.0 && lift.high() > 0.05);
    // Of 15 % against 10 %: (1.959964 √(2 · 0.125 · 0.875) + 0.841621 √(0.15 · 0.85 + 0.1 · 0.9))² / 0.05², twice.
    assert_eq!(found.journeys[0].needs.customers, Some(1_372));
    assert_eq!(found.journeys[0].needs.more, Some(972));
    assert_eq!((found.journeys[0].orders, found.journeys[0].attributed_minor), (3, 500));
    assert_eq!(found.journeys[1].lift.get(), Err(Why::NotHeld));
    assert_eq!(found.journeys[1].needs.more, None);
    assert!((found.overall.get().unwrap().value() - 0.05).abs() < 1e-9);
}
