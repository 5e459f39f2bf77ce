//! What is kept when the files change: definitions, messages that say something else, and whose turn it is to be let in.

use std::collections::BTreeSet;

use serde_json::json;
use zyklus_model::{Channel, CustomerId, Delivery, DeliveryState, Purpose, SegmentState};
use zyklus_store::{Admission, Definition, JourneyActivation, Store};

use crate::common::Bed;
use crate::decide::{claim_all, judge, judged, mail, outbox, phase};
use crate::make::{everybody, minute};

on_both![
    definitions_are_kept_by_what_they_say,
    a_waiting_message_is_rewritten_and_a_claimed_one_is_not,
    a_day_has_so_many_places_whoever_asks,
    who_stands_where_is_listed_newest_first,
];

async fn definitions_are_kept_by_what_they_say(bed: Bed) {
    let store = &bed.store;
    let definition = |hash: &str, kind, body: &str| Definition { hash: hash.into(), kind, body: body.into() };
    let first = vec![
        definition("b", "journey", "two"),
        definition("a", "journey", "one"),
        definition("c", "template", "x"),
    ];
    store.keep_definitions(first, minute(1)).await.unwrap();
    // The same hash twice, and one that is there: the last word counts.
    let again = vec![
        definition("a", "journey", "one, with other mails"),
        definition("d", "template", "y"),
        definition("d", "template", "y"),
    ];
    store.keep_definitions(again, minute(2)).await.unwrap();
    store.keep_definitions(Vec::new(), minute(3)).await.unwrap();
    let journeys = store.journey_definitions().await.unwrap();
    assert_eq!(journeys, [("a".into(), "one, with other mails".into()), ("b".into(), "two".into())].into());
    let found = store.definitions(&["c", "d", "missing"]).await.unwrap();
    assert_eq!(found, [("c".into(), "x".into()), ("d".into(), "y".into())].into());
    assert_eq!(store.definitions(&[]).await.unwrap().len(), 0);
}

async fn a_waiting_message_is_rewritten_and_a_claimed_one_is_not(bed: Bed) {
    let store = &bed.store;
    outbox(store, 2).await;
    let claimed = store
        .claim(crate::decide::request("one", minute(11), 1), |_, _| zyklus_store::Judgement::Send)
        .await
        .unwrap();
    let claimed = claimed.claims[0].delivery.id;
    let rewritten = |s: &zyklus_model::Snapshot| Delivery {
        target: "other".into(),
        channel: None,
        connector: None,
        purpose: Purpose::Service,
        capped: false,
        expires_at: minute(90),
        payload: json!({ "with": { "n": 2 } }),
        ..mail(s, "hello", minute(10))
    };
    judge(store, minute(12), |s, d| d.rewritten.push(rewritten(s))).await;
    for snapshot in everybody(store).await {
        let delivery = &snapshot.deliveries[0];
        if delivery.id == claimed {
            assert_eq!((delivery.state, delivery.channel), (DeliveryState::Sending, Some(Channel::Email)));
            assert_eq!(delivery.target, "hello");
        } else {
            assert_eq!(*delivery, rewritten(&snapshot));
        }
    }
    // Rewritten and taken back at once is taken back.
    judge(store, minute(13), |s, d| {
        d.rewritten.push(mail(s, "hello", minute(10)));
        let delivery = s.deliveries[0].id;
        let (state, at) = (DeliveryState::Cancelled, minute(13));
        d.withdrawals.push(zyklus_model::Withdrawal { delivery, state, reason: None, at });
    })
    .await;
    assert_eq!(claim_all(store, "two", minute(14)).await.claims.len(), 0);
}

async fn activate(store: &Store, id: &str) {
    let (id, mode, definition) = (id.to_owned(), "live".to_owned(), "d".to_owned());
    store.activate(&[JourneyActivation { id, mode, definition, enabled: true }], minute(1)).await.unwrap();
}

async fn a_day_has_so_many_places_whoever_asks(bed: Bed) {
    let store = &bed.store;
    judged(store, 20, |_, _| {}).await;
    activate(store, "j").await;
    activate(store, "k").await;
    let customers: Vec<CustomerId> = everybody(store).await.iter().map(|s| s.customer.id).collect();
    let ask = |journey: &str, day: &str, per_day: u32, from: usize| {
        let (journey, day) = (journey.to_owned(), day.to_owned());
        Admission { journey, day, per_day, customers: customers[from..].to_vec() }
    };
    // Many ask at once, with lists of their own.
    let all = futures::future::join_all((0..6).map(|n| store.admit(ask("j", "one", 5, n), minute(20)))).await;
    assert!(all.iter().all(|places| *places.as_ref().unwrap() == 0), "{all:?}");
    let admitted = store.admitted().await.unwrap();
    assert_eq!(admitted["j"].len(), 5);
    // They are due, and nobody else is.
    let due: BTreeSet<CustomerId> = store.customers_due(minute(20), 100).await.unwrap().into_iter().collect();
    assert_eq!(due, admitted["j"]);
    assert_eq!(store.admit(ask("j", "one", 7, 0), minute(21)).await.unwrap(), 0);
    assert_eq!(
        store.admit(ask("j", "two", 30, 18), minute(22)).await.unwrap(),
        28,
        "another day, few who want"
    );
    assert_eq!(store.admit(ask("k", "two", 1, 0), minute(22)).await.unwrap(), 0, "another journey");
    let admitted = store.admitted().await.unwrap();
    assert_eq!((admitted["j"].len(), admitted["k"].len()), (9, 1));
    // It is forgotten after a week.
    let later = minute(20).plus_days(8);
    store.admit(ask("j", "nine", 1, 19), later).await.unwrap();
    assert_eq!(store.admitted().await.unwrap()["j"].len(), 1);
    assert!(store.admit(ask("nobody", "one", 1, 0), later).await.is_err());
}

async fn who_stands_where_is_listed_newest_first(bed: Bed) {
    let store = &bed.store;
    let since = std::sync::atomic::AtomicI64::new(0);
    judged(store, 5, |_, d| {
        let n = since.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        d.phase = Some(phase(if n == 4 { "other" } else { "new" }, minute(n)));
        let (inside, live) = (n != 2, true);
        let state = |segment: &str| SegmentState {
            segment: segment.into(),
            definition: "x".into(),
            inside,
            since: minute(n),
            live,
        };
        d.segments = Some(vec![state("a"), SegmentState { inside: false, ..state("b") }]);
    })
    .await;
    let mut all: Vec<_> = everybody(store).await;
    all.sort_by_key(|s| std::cmp::Reverse(s.phase.as_ref().map(|p| p.since)));
    let ids: Vec<CustomerId> = all.iter().map(|s| s.customer.id).collect();
    let [_, three, two, one, _] = ids[..] else { panic!("five") };
    assert_eq!(store.standing_in("shop", "new", minute(1)).await.unwrap(), [three, two, one]);
    assert_eq!(store.standing_in("else", "new", minute(1)).await.unwrap(), []);
    assert_eq!(store.inside_segment("a", minute(1)).await.unwrap(), [ids[0], three, one]);
    assert_eq!(store.inside_segment("b", minute(0)).await.unwrap(), []);
}
