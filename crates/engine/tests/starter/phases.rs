//! Customers land in the phases a person expects, however their story came to be known.

use serde_json::json;
use zyklus_model::{ConsentState, FeedbackKind, Mark, MarkKind, OrderState, Origin, Snapshot};

use crate::life::Life;
use crate::people::people;
use crate::person::{Told, ago, now, somebody};
use crate::{MODELS, book, playbooks};

#[test]
fn everybody_lands_in_the_phase_a_person_expects() {
    let mut wrong = Vec::new();
    for (column, model) in MODELS.iter().enumerate() {
        let book = book(model, Vec::new());
        for (who, snapshot, phases) in people() {
            let life = Life::begin(&book, snapshot, now());
            if life.phase() != phases[column] {
                wrong.push(format!("{model}: {who} is in {}, not {}", life.phase(), phases[column]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn history_read_at_once_and_a_life_followed_live_end_in_the_same_phase() {
    for model in MODELS {
        let book = book(model, Vec::new());
        for (who, snapshot, _) in people() {
            let read = Life::begin(&book, snapshot.clone(), now());
            let mut lived = Life::begin(&book, snapshot, ago(401));
            lived.until(now());
            assert_eq!(read.phase(), lived.phase(), "{model}: {who}");
            assert_eq!(read.phases().last(), lived.phases().last(), "{model}: {who}");
        }
    }
}

#[test]
fn a_quiet_customer_is_looked_at_only_when_their_phase_can_change() {
    for model in MODELS {
        let book = book(model, Vec::new());
        for (who, snapshot, _) in people() {
            let mut life = Life::begin(&book, snapshot, now());
            let (decisions, moves) = (life.decisions, life.transitions.len() as u64);
            life.until(now().plus_days(3 * 365));
            let (decisions, moves) = (life.decisions - decisions, life.transitions.len() as u64 - moves);
            assert!(
                decisions <= moves + 4,
                "{model}: {who}: {decisions} decisions for {moves} moves in three years"
            );
        }
    }
}

#[test]
fn the_circle_closes() {
    let book = book("ecommerce", Vec::new());
    let mut life = Life::begin(&book, somebody(0), now());
    let day = |n: i64| now().plus_days(n);
    let granted = |s: Snapshot, n: i64| {
        s.consent(day(n), ConsentState::Granted).event("consent.granted", day(n), Origin::Live, json!({}))
    };
    life.tell(|s| granted(s, 10), day(10));
    life.tell(|s| s.cart(day(12)), day(12));
    for order in [13, 40, 60] {
        life.tell(|s| s.order_from(day(order), Origin::Live), day(order));
    }
    life.tell(|s| s.says(FeedbackKind::Nps, 9.0, day(70)), day(70));
    life.tell(|s| s.order_from(day(400), Origin::Live), day(400));
    life.tell(|s| s.order_from(day(420), Origin::Live).says(FeedbackKind::Nps, 8.0, day(419)), day(420));
    let path: Vec<&str> = life.phases().into_iter().map(|(to, _)| to).collect();
    let wanted = [
        "reach", "acquire", "convert", "develop", "retain", "advocate", "at-risk", "lapsed", "won-back",
        "retain",
    ];
    assert_eq!(path, wanted);
}

#[test]
fn a_cancelled_order_wins_nobody_back() {
    let book = book("ecommerce", Vec::new());
    let mut life = Life::begin(&book, somebody(400).orders(&[400]), ago(1));
    life.tell(|s| s.order_from(now(), Origin::Live), now());
    assert_eq!(life.phase(), "won-back");
    let cancel = now().plus_days(1);
    life.tell(
        |s| {
            s.edit(|s| {
                s.orders[1].state = OrderState::Cancelled;
                let (kind, origin) = (MarkKind::Cancelled, Origin::Live);
                s.orders[1].marks.push(Mark { kind, at: cancel, received_at: cancel, origin });
            })
        },
        cancel,
    );
    assert_eq!(life.phase(), "lapsed");
}

#[test]
fn a_history_starts_no_journey() {
    let book = book("ecommerce", playbooks());
    for (who, snapshot, _) in people() {
        let life = Life::begin(&book, snapshot, now());
        assert!(life.snapshot.runs.is_empty(), "{who}: {:?}", life.snapshot.runs);
    }
}
