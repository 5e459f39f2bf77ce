//! Merges and their undoing while deliveries are on their way and decisions are being made.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use sqlx::Connection as _;
use zyklus_model::{DeliveryState, MergeId, PhaseState, Record, Snapshot};
use zyklus_store::{AttemptEnd, Judgement, Store};

use crate::common::Bed;
use crate::decide::{claim_all, completion, judge, mail, phase, quiet, request};
use crate::make::{
    account, customer, deleted, everybody, minute, of_order, only, order, take_live, verified,
};
use crate::parity::{Dump, dump};

on_both![
    completion_that_waits_for_a_merge_is_not_lost,
    undone_merge_gives_the_phase_back,
    whoever_is_forgotten_is_forgotten_by_merges_too,
    decision_on_both_is_stale_once_they_are_two,
    first_decision_on_both_is_stale_once_they_are_two,
    try_claimed_while_a_merge_is_undone_stays_with_its_delivery,
    clock_set_back_around_a_merge_stops_no_decision,
];

/// Two customers with an order each; the second is found to be the first by [`merge`].
async fn two(store: &Store) {
    let first = Record::Customer(customer(verified("1", "ann@example.com")));
    take_live(store, "a", 0, vec![first, Record::Order(order("1", account("1", ""), 0))]).await;
    take_live(store, "a", 1, vec![Record::Order(order("2", account("2", ""), 1))]).await;
    assert_eq!(everybody(store).await.len(), 2);
}

async fn merge(store: &Store, minutes: i64) {
    let both = Record::Customer(customer(verified("2", "ann@example.com")));
    take_live(store, "a", minutes, vec![both]).await;
}

async fn merge_of(store: &Store) -> MergeId {
    store.merges(only(store).await.customer.id).await.unwrap().remove(0).id
}

async fn clock_set_back_around_a_merge_stops_no_decision(bed: Bed) {
    let store = &bed.store;
    two(store).await;
    assert_eq!(judge(store, minute(10), |_, _| {}).await.applied, 2);
    merge(store, 20).await;
    // What stood from minute 10 to minute 20 is kept already when the second stands there once more.
    store.unmerge(merge_of(store).await, "operator", minute(10)).await.unwrap();
    assert_eq!(judge(store, minute(20), |_, _| {}).await.applied, 2);
}

async fn whoever_is_forgotten_is_forgotten_by_merges_too(bed: Bed) {
    let store = &bed.store;
    for (id, minutes) in [("1", 0), ("2", 1)] {
        let mut ann = customer(verified(id, &format!("ann{id}@example.com")));
        (ann.first_name, ann.phone) = (Some("Ann".into()), Some(format!("+49 40 123456{id}")));
        ann.attributes.insert("standing".into(), "cox".into());
        take_live(store, "a", minutes, vec![Record::Customer(ann)]).await;
    }
    // The second is found to be the first.
    take_live(store, "a", 2, vec![Record::Customer(customer(verified("2", "ann1@example.com")))]).await;
    let merge = merge_of(store).await;
    let told = |rows: &Dump| {
        let words = ["example.com", "+49", "Ann", "cox"];
        let all = rows.iter().flat_map(|(table, rows)| rows.iter().map(move |row| format!("{table}: {row}")));
        all.filter(|row| words.iter().any(|word| row.contains(word))).collect::<Vec<_>>()
    };
    assert!(told(&dump(&bed).await).iter().any(|row| row.starts_with("merge: ")), "a merge remembers both");
    take_live(store, "a", 3, vec![deleted("customer", "1"), deleted("customer", "2")]).await;
    assert_eq!(told(&dump(&bed).await), [""; 0]);
    store.unmerge(merge, "test", minute(4)).await.unwrap();
    assert_eq!(everybody(store).await.len(), 2, "they are two again, and nobody knows who");
    assert_eq!(told(&dump(&bed).await), [""; 0]);
}

/// Waits until so many sessions of this database wait for a lock.
async fn waiting(watch: &mut sqlx::PgConnection, sessions: i64) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
               AND wait_event_type = 'Lock'";
    loop {
        let (found,): (i64,) = sqlx::query_as(sql).fetch_one(&mut *watch).await.unwrap();
        if found >= sessions {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn completion_that_waits_for_a_merge_is_not_lost(bed: Bed) {
    let store = bed.store.clone();
    two(&store).await;
    judge(&store, minute(10), |s, d| d.deliveries.push(mail(s, "hello", minute(10)))).await;
    let claims = claim_all(&store, "a", minute(10)).await.claims;
    let second = of_order(&store, "2").await.customer.id;
    let claim = claims.into_iter().find(|c| c.delivery.customer == second).unwrap();
    let accepted = AttemptEnd::Accepted { provider_ref: None };
    let done = completion(&claim, minute(12), accepted);
    let completed = if bed.store.is_sqlite() {
        merge(&store, 11).await;
        store.complete(done).await.unwrap()
    } else {
        // A third session holds the delivery until the merge and then the completion wait for it.
        let mut holder = sqlx::PgConnection::connect(&bed.url).await.unwrap();
        let mut watch = sqlx::PgConnection::connect(&bed.url).await.unwrap();
        let mut held = holder.begin().await.unwrap();
        let lock = "SELECT id FROM delivery WHERE id = $1 FOR UPDATE";
        sqlx::query(lock).bind(claim.delivery.id.uuid()).execute(&mut *held).await.unwrap();
        let merging = tokio::spawn({
            let store = store.clone();
            async move { merge(&store, 11).await }
        });
        waiting(&mut watch, 1).await;
        let completing = tokio::spawn({
            let store = store.clone();
            async move { store.complete(done).await.unwrap() }
        });
        waiting(&mut watch, 2).await;
        held.commit().await.unwrap();
        merging.await.unwrap();
        completing.await.unwrap()
    };
    assert!(completed, "the mail went out, and that is known");
    let (delivery, tries) = store.delivery(claim.delivery.id).await.unwrap().unwrap();
    assert_eq!(delivery.customer, only(&store).await.customer.id);
    assert_eq!(delivery.state, DeliveryState::Accepted);
    assert_eq!(tries.iter().map(|a| a.outcome.as_deref()).collect::<Vec<_>>(), [Some("accepted")]);
}

async fn undone_merge_gives_the_phase_back(bed: Bed) {
    let store = &bed.store;
    two(store).await;
    let live = PhaseState { live: true, ..phase("regular", minute(3)) };
    judge(store, minute(10), |_, d| d.phase = Some(live.clone())).await;
    merge(store, 11).await;
    store.unmerge(merge_of(store).await, "operator", minute(12)).await.unwrap();
    for number in ["1", "2"] {
        assert_eq!(of_order(store, number).await.phase.as_ref(), Some(&live), "of order {number}");
    }
}

/// A decision on what is known of both, which writes to them about it.
fn joint(snapshot: &Snapshot) -> zyklus_model::Decision {
    assert_eq!(snapshot.orders.len(), 2);
    let mut decision = quiet(snapshot, minute(20));
    decision.deliveries.push(mail(snapshot, "two orders", minute(20)));
    decision
}

async fn is_stale_after_unmerge(store: &Store) {
    let decision = joint(&only(store).await);
    store.unmerge(merge_of(store).await, "operator", minute(19)).await.unwrap();
    let report = store.apply(vec![decision]).await.unwrap();
    assert_eq!((report.applied, report.stale, report.deliveries), (0, 1, 0));
    assert!(everybody(store).await.iter().all(|s| s.deliveries.is_empty()));
    assert_eq!(store.customers_due(minute(20), 10).await.unwrap().len(), 2);
}

async fn decision_on_both_is_stale_once_they_are_two(bed: Bed) {
    let store = &bed.store;
    two(store).await;
    merge(store, 11).await;
    judge(store, minute(12), |_, _| {}).await;
    is_stale_after_unmerge(store).await;
}

async fn first_decision_on_both_is_stale_once_they_are_two(bed: Bed) {
    let store = &bed.store;
    two(store).await;
    merge(store, 11).await;
    is_stale_after_unmerge(store).await;
}

async fn try_claimed_while_a_merge_is_undone_stays_with_its_delivery(bed: Bed) {
    let store = bed.store.clone();
    two(&store).await;
    judge(&store, minute(10), |s, d| d.deliveries.push(mail(s, "hello", minute(20)))).await;
    let loser = of_order(&store, "2").await.customer.id;
    merge(&store, 11).await;
    judge(&store, minute(12), |_, _| {}).await;
    let merge = merge_of(&store).await;
    // The claim waits inside its transaction until the merge is being undone.
    let (go, wait) = mpsc::channel::<()>();
    let (wait, asked) = (std::sync::Mutex::new(wait), Arc::new(AtomicBool::new(false)));
    let claiming = tokio::spawn({
        let (store, asked) = (store.clone(), Arc::clone(&asked));
        async move {
            let judge = move |_: &Snapshot, _: &zyklus_model::Delivery| {
                if !asked.swap(true, Ordering::SeqCst) {
                    tokio::task::block_in_place(|| wait.lock().unwrap().recv().unwrap());
                }
                Judgement::Send
            };
            store.claim(request("a", minute(20), 10), judge).await.unwrap().claims
        }
    });
    while !asked.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    let undoing = tokio::spawn({
        let store = store.clone();
        async move { store.unmerge(merge, "operator", minute(21)).await.unwrap() }
    });
    if !bed.store.is_sqlite() {
        let mut watch = sqlx::PgConnection::connect(&bed.url).await.unwrap();
        waiting(&mut watch, 1).await;
    }
    go.send(()).unwrap();
    let claims = claiming.await.unwrap();
    undoing.await.unwrap();
    assert_eq!(claims.len(), 2);
    for claim in claims {
        let (delivery, tries) = store.delivery(claim.delivery.id).await.unwrap().unwrap();
        assert_eq!(tries.len(), 1, "the try went where its delivery went");
        let end = AttemptEnd::Accepted { provider_ref: None };
        assert!(store.complete(completion(&claim, minute(22), end)).await.unwrap());
        let holder = of_order(&store, "2").await.customer.id;
        assert_eq!(holder, loser);
        assert_eq!(delivery.customer, claim_of(&everybody(&store).await, claim.delivery.id));
    }
}

/// Who has a delivery.
fn claim_of(all: &[Snapshot], delivery: zyklus_model::DeliveryId) -> zyklus_model::CustomerId {
    all.iter().find(|s| s.deliveries.iter().any(|d| d.id == delivery)).unwrap().customer.id
}
