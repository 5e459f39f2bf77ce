//! The outbox: who gets a delivery, who may end it, and what becomes of one whose daemon died.

use std::collections::BTreeSet;
use std::sync::Arc;

use zyklus_model::{
    At, Channel, DeliveryId, DeliveryState, GuardReason, Record, Suppression, SuppressionReason,
};
use zyklus_store::{
    AttemptEnd, Claim, ClaimRequest, Completion, DeliveryFilter, Judgement, Lost, OpenOptions, Store,
};

use crate::common::Bed;
use crate::decide::{claim_all, completion, judge, judged, mail, outbox, request};
use crate::make::{account, customer, everybody, minute, only, order, take, take_live};
use crate::parity::dump;

on_both![
    claim_takes_what_is_due_oldest_first,
    delivery_is_claimed_once_by_many_claimers,
    customer_to_be_evaluated_first_is_passed_over,
    judge_sees_what_the_same_claim_sends,
    judgements_are_carried_out,
    paused_carrier_does_not_hold_up_others,
    only_named_connectors_are_claimed,
    late_delivery_expires,
    claim_ends_however_many_are_refused,
    completion_ends_the_delivery_and_wakes_the_customer,
    completion_after_a_lost_lease_is_fenced_off,
    somebody_else_cannot_complete,
    retry_waits_and_counts,
    released_try_does_not_count_and_does_not_return,
    handing_over_is_noted_only_for_its_own,
    leases_left_by_the_dead_end_where_one_process_writes,
    lost_lease_is_found_and_settled,
    operator_retries_what_is_over,
    operator_cancels_what_waits,
    suppressed_address_holds_for_whoever_uses_it,
    deliveries_are_listed_page_by_page,
];

fn accepted() -> AttemptEnd {
    AttemptEnd::Accepted { provider_ref: Some("ref-1".to_owned()) }
}

async fn state(store: &Store, id: DeliveryId) -> DeliveryState {
    store.delivery(id).await.unwrap().unwrap().0.state
}

async fn claim_one(store: &Store, owner: &str, at: i64) -> Claim {
    let mut claimed = claim_all(store, owner, minute(at)).await;
    assert_eq!(claimed.claims.len(), 1, "{claimed:?}");
    claimed.claims.remove(0)
}

async fn claim_takes_what_is_due_oldest_first(bed: Bed) {
    let store = &bed.store;
    judged(store, 1, |s, d| {
        d.deliveries = vec![
            mail(s, "third", minute(30)),
            mail(s, "first", minute(11)),
            mail(s, "later", minute(60)),
            mail(s, "second", minute(20)),
        ];
    })
    .await;
    assert_eq!(store.next_delivery_due().await.unwrap(), Some(minute(11)));
    let claimed = store.claim(request("a", minute(30), 2), |_, _| Judgement::Send).await.unwrap();
    let steps: Vec<_> = claimed.claims.iter().map(|c| c.delivery.step.as_str()).collect();
    assert_eq!(steps, ["first", "second"]);
    let claim = &claimed.claims[0];
    assert_eq!((claim.delivery.state, claim.delivery.attempt_count), (DeliveryState::Sending, 1));
    assert_eq!((claim.attempt.number, claim.attempt.owner.as_str()), (1, "a"));
    assert_eq!(claim.attempt.started_at, minute(30));
    let (stored, attempts) = store.delivery(claim.delivery.id).await.unwrap().unwrap();
    assert_eq!(stored, claim.delivery);
    assert_eq!(attempts, std::slice::from_ref(&claim.attempt));
    assert_eq!(claim_all(store, "a", minute(30)).await.claims.len(), 1);
    assert_eq!(claim_all(store, "a", minute(30)).await.claims.len(), 0);
    assert_eq!(store.next_delivery_due().await.unwrap(), Some(minute(60)));
    let counts = store.count_deliveries().await.unwrap();
    assert_eq!(counts[&DeliveryState::Sending], 3);
    assert_eq!(counts[&DeliveryState::Pending], 1);
}

async fn delivery_is_claimed_once_by_many_claimers(bed: Bed) {
    outbox(&bed.store, 120).await;
    let mut stores = vec![bed.store.clone()];
    if !bed.store.is_sqlite() {
        for _ in 0..3 {
            stores.push(Store::open(&bed.url, OpenOptions::default()).await.unwrap());
        }
    }
    let mut tasks = Vec::new();
    for n in 0..8 {
        let store = stores[n % stores.len()].clone();
        tasks.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            let mut empty = 0;
            // What another claimer holds for a moment is passed over, so that one empty claim says little.
            while empty < 20 {
                let request = request(&format!("daemon {n}"), minute(10), 7);
                let claimed = store.claim(request, |_, _| Judgement::Send).await.unwrap();
                empty = if claimed.claims.is_empty() { empty + 1 } else { 0 };
                mine.extend(claimed.claims.into_iter().map(|c| c.delivery.id));
            }
            mine
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    assert_eq!(all.len(), 120);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 120);
    for store in stores.iter().skip(1) {
        store.close().await;
    }
}

async fn customer_to_be_evaluated_first_is_passed_over(bed: Bed) {
    let store = &bed.store;
    outbox(store, 2).await;
    let news = order("new", account("0", "c0@example.com"), 10);
    take_live(store, "shop", 10, vec![Record::Order(news)]).await;
    let claimed = claim_all(store, "a", minute(10)).await;
    assert_eq!((claimed.claims.len(), claimed.unready), (1, 1));
    assert_eq!(claimed.claims[0].snapshot.customer.email.as_ref().unwrap().as_str(), "c1@example.com");
    judge(store, minute(11), |_, _| {}).await;
    let claim = claim_one(store, "a", 11).await;
    assert_eq!(claim.snapshot.orders.len(), 2, "the judge sees what made the customer wait");
}

async fn judge_sees_what_the_same_claim_sends(bed: Bed) {
    let store = &bed.store;
    judged(store, 2, |s, d| {
        d.deliveries =
            vec![mail(s, "one", minute(8)), mail(s, "two", minute(9)), mail(s, "three", minute(10))];
    })
    .await;
    let claimed = store
        .claim(request("a", minute(10), 100), |snapshot, delivery| {
            let sent = snapshot.deliveries.iter().filter(|d| d.id != delivery.id && d.state.counts()).count();
            if sent < 2 { Judgement::Send } else { Judgement::Refuse(GuardReason::Capped) }
        })
        .await
        .unwrap();
    assert_eq!((claimed.claims.len(), claimed.refused), (4, 2));
    for snapshot in everybody(store).await {
        let state = |step: &str| snapshot.deliveries.iter().find(|d| d.step == step).unwrap().state;
        assert_eq!(state("one"), DeliveryState::Sending);
        assert_eq!(state("two"), DeliveryState::Sending);
        assert_eq!(state("three"), DeliveryState::Refused);
    }
}

async fn judgements_are_carried_out(bed: Bed) {
    let store = &bed.store;
    judged(store, 1, |s, d| {
        d.deliveries = vec![
            mail(s, "send", minute(6)),
            mail(s, "wait", minute(7)),
            mail(s, "no", minute(8)),
            mail(s, "absent", minute(9)),
        ];
    })
    .await;
    let claimed = store
        .claim(request("a", minute(10), 100), |snapshot, delivery| match delivery.step.as_str() {
            "send" => Judgement::Send,
            "wait" => Judgement::Postpone {
                until: minute(300),
                reason: GuardReason::Outranked,
                outranked_by: snapshot.deliveries.iter().find(|d| d.step == "send").map(|d| d.id),
            },
            "no" => Judgement::Refuse(GuardReason::NoConsent),
            _ => Judgement::NotNow,
        })
        .await
        .unwrap();
    let counts = (claimed.claims.len(), claimed.refused, claimed.postponed, claimed.expired, claimed.unready);
    assert_eq!(counts, (1, 1, 1, 0, 1));
    let snapshot = only(store).await;
    let by = |step: &str| snapshot.deliveries.iter().find(|d| d.step == step).unwrap();
    assert_eq!((by("wait").state, by("wait").due_at), (DeliveryState::Pending, minute(300)));
    assert_eq!(
        (by("wait").reason, by("wait").outranked_by),
        (Some(GuardReason::Outranked), Some(by("send").id))
    );
    assert_eq!(by("send").reason, None);
    assert_eq!((by("no").state, by("no").reason), (DeliveryState::Refused, Some(GuardReason::NoConsent)));
    assert_eq!(by("no").done_at, Some(minute(10)));
    assert_eq!((by("absent").state, by("absent").due_at), (DeliveryState::Pending, minute(9)));
    assert_eq!(by("absent").attempt_count, 0);
    assert_eq!(snapshot.mark.due_at, minute(10), "a refusal is news for the customer's runs");
}

async fn paused_carrier_does_not_hold_up_others(bed: Bed) {
    let store = &bed.store;
    judged(store, 200, |s, d| {
        let mut other = mail(s, "call", minute(10));
        other.connector = Some("crm".to_owned());
        d.deliveries = vec![mail(s, "hello", minute(9)), other];
    })
    .await;
    let claimed = store
        .claim(request("a", minute(10), 5), |_, delivery| match delivery.connector.as_deref() {
            Some("crm") => Judgement::Send,
            _ => Judgement::NotNow,
        })
        .await
        .unwrap();
    assert_eq!(claimed.claims.len(), 5);
    assert!(claimed.claims.iter().all(|c| c.delivery.step == "call"));
    assert_eq!(store.count_deliveries().await.unwrap()[&DeliveryState::Pending], 395);
}

async fn only_named_connectors_are_claimed(bed: Bed) {
    let store = &bed.store;
    judged(store, 1, |s, d| {
        let mut unnamed = mail(s, "unnamed", minute(9));
        unnamed.connector = None;
        d.deliveries = vec![unnamed, mail(s, "named", minute(10))];
    })
    .await;
    let of = |connectors: Option<Vec<String>>| ClaimRequest { connectors, ..request("a", minute(10), 100) };
    let none = store.claim(of(Some(Vec::new())), |_, _| Judgement::Send).await.unwrap();
    assert_eq!(none.claims.len(), 0);
    let other = store.claim(of(Some(vec!["crm".to_owned()])), |_, _| Judgement::Send).await.unwrap();
    assert_eq!(other.claims.len(), 0);
    let named = store.claim(of(Some(vec!["smtp".to_owned()])), |_, _| Judgement::Send).await.unwrap();
    assert_eq!(named.claims.iter().map(|c| c.delivery.step.as_str()).collect::<Vec<_>>(), ["named"]);
    let rest = store.claim(of(None), |_, _| Judgement::Send).await.unwrap();
    assert_eq!(rest.claims.iter().map(|c| c.delivery.step.as_str()).collect::<Vec<_>>(), ["unnamed"]);
}

async fn late_delivery_expires(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let claimed = claim_all(store, "a", minute(10).plus_days(1)).await;
    assert_eq!((claimed.claims.len(), claimed.expired), (0, 1));
    let snapshot = only(store).await;
    assert_eq!(snapshot.deliveries[0].state, DeliveryState::Expired);
    assert_eq!(snapshot.deliveries[0].reason, Some(GuardReason::Expired));
    assert_eq!(snapshot.mark.due_at, minute(10).plus_days(1));
}

async fn claim_ends_however_many_are_refused(bed: Bed) {
    let store = &bed.store;
    outbox(store, 200).await;
    let refuse = |_: &_, _: &_| Judgement::Refuse(GuardReason::Paused);
    let first = store.claim(request("a", minute(10), 5), refuse).await.unwrap();
    assert!(first.more && first.claims.is_empty());
    assert!((50..200).contains(&first.refused), "{}", first.refused);
    let mut refused = first.refused;
    loop {
        let next = store.claim(request("a", minute(10), 5), refuse).await.unwrap();
        refused += next.refused;
        if !next.more {
            break;
        }
        assert!(next.refused > 0, "asking again is worth it");
    }
    assert_eq!(refused, 200);
    // Those nobody carries now are no reason to ask again.
    outbox_again(store).await;
    let absent = store.claim(request("a", minute(20), 1), |_, _| Judgement::NotNow).await.unwrap();
    assert!(!absent.more && absent.claims.is_empty());
}

async fn outbox_again(store: &Store) {
    judge(store, minute(11), |s, d| d.deliveries.push(mail(s, "again", minute(12)))).await;
}

async fn completion_ends_the_delivery_and_wakes_the_customer(bed: Bed) {
    let store = &bed.store;
    let ends = [
        (accepted(), DeliveryState::Accepted),
        (AttemptEnd::Failed { detail: "550 no".to_owned() }, DeliveryState::Failed),
        (AttemptEnd::Unknown { detail: "no answer".to_owned() }, DeliveryState::Unknown),
        (AttemptEnd::Dead { detail: "8 tries".to_owned() }, DeliveryState::Dead),
    ];
    outbox(store, 4).await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    for (claim, (end, expected)) in claims.iter().zip(ends) {
        let seq = claim.snapshot.mark.seq;
        assert!(store.complete(completion(claim, minute(11), end)).await.unwrap());
        let (delivery, attempts) = store.delivery(claim.delivery.id).await.unwrap().unwrap();
        assert_eq!((delivery.state, delivery.done_at), (expected, Some(minute(11))));
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].outcome.as_deref(), Some(expected.as_str()));
        assert_eq!(attempts[0].ended_at, Some(minute(11)));
        let snapshot = store.snapshots(&[delivery.customer]).await.unwrap().remove(0);
        assert_eq!((snapshot.mark.seq, snapshot.mark.due_at), (seq + 1, minute(11)));
        assert!(!snapshot.mark.live_pending && !snapshot.mark.history_pending);
    }
    assert_eq!(claim_all(store, "a", minute(99)).await.claims.len(), 0);
}

async fn completion_after_a_lost_lease_is_fenced_off(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let first = claim_one(store, "a", 10).await;
    let end = AttemptEnd::Retry { due_at: minute(12), detail: "lost".to_owned() };
    assert!(store.settle_lost(first.delivery.id, 1, end, minute(12)).await.unwrap());
    let second = claim_one(store, "b", 12).await;
    assert_eq!(second.attempt.number, 2);
    let before = dump(&bed).await;
    assert!(!store.complete(completion(&first, minute(13), accepted())).await.unwrap());
    assert_eq!(dump(&bed).await, before, "a fenced completion writes nothing");
    assert!(store.complete(completion(&second, minute(13), accepted())).await.unwrap());
    assert!(!store.complete(completion(&second, minute(14), accepted())).await.unwrap(), "it has ended");
    let (_, attempts) = store.delivery(first.delivery.id).await.unwrap().unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|a| a.outcome.as_deref()).collect();
    assert_eq!(outcomes, [Some("lost"), Some("accepted")]);
}

async fn somebody_else_cannot_complete(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let claim = claim_one(store, "a", 10).await;
    let theirs = Completion { owner: "b".to_owned(), ..completion(&claim, minute(11), accepted()) };
    assert!(!store.complete(theirs).await.unwrap());
    let other_try = Completion { attempt: 2, ..completion(&claim, minute(11), accepted()) };
    assert!(!store.complete(other_try).await.unwrap());
    assert_eq!(state(store, claim.delivery.id).await, DeliveryState::Sending);
}

async fn retry_waits_and_counts(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    for number in 1..=3 {
        let claim = claim_one(store, "a", 10 * number).await;
        assert_eq!((claim.attempt.number, claim.delivery.attempt_count), (number, number));
        let due_at = minute(10 * number + 10);
        let end = AttemptEnd::Retry { due_at, detail: "451 later".to_owned() };
        assert!(store.complete(completion(&claim, minute(10 * number), end)).await.unwrap());
        assert_eq!(claim_all(store, "a", due_at.plus_micros(-1)).await.claims.len(), 0);
    }
    let claim = claim_one(store, "a", 40).await;
    let dead = AttemptEnd::Dead { detail: "given up".to_owned() };
    assert!(store.complete(completion(&claim, minute(40), dead)).await.unwrap());
    let (delivery, attempts) = store.delivery(claim.delivery.id).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.attempt_count, attempts.len()), (DeliveryState::Dead, 4, 4));
    assert_eq!(attempts[0].detail.as_deref(), Some("451 later"));
}

async fn released_try_does_not_count_and_does_not_return(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let first = claim_one(store, "a", 10).await;
    let release = AttemptEnd::Release { due_at: minute(20), detail: "paused".to_owned() };
    assert!(store.complete(completion(&first, minute(11), release)).await.unwrap());
    assert_eq!(claim_all(store, "a", minute(19)).await.claims.len(), 0);
    let second = claim_one(store, "a", 20).await;
    assert_eq!(second.delivery.attempt_count, 1, "the released try does not count");
    assert_eq!(second.attempt.number, 2, "but its number is used up");
    assert!(!store.complete(completion(&first, minute(21), accepted())).await.unwrap());
    assert!(store.complete(completion(&second, minute(21), accepted())).await.unwrap());
}

async fn handing_over_is_noted_only_for_its_own(bed: Bed) {
    let store = &bed.store;
    outbox(store, 3).await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    assert!(store.complete(completion(&claims[0], minute(10), accepted())).await.unwrap());
    let begin = async |owner: &str| {
        let handing = zyklus_store::Handing {
            owner: owner.to_owned(),
            now: minute(12),
            lease_micros: 18 * 60_000_000,
            claims: claims.iter().take(2).map(zyklus_store::HandingClaim::from).collect(),
        };
        store.hand_over(handing, |_, _| Judgement::Send).await.unwrap()
    };
    let (lost, go) = (zyklus_store::HandOver::Lost, zyklus_store::HandOver::Go { first_at: minute(12) });
    judge(store, minute(11), |_, _| {}).await;
    assert_eq!(begin("b").await, [lost, lost]);
    assert_eq!(begin("a").await, [lost, go]);
    let lost = store.expired_leases(minute(29), 10).await.unwrap();
    let [waiting] = lost.as_slice() else { panic!("{lost:?}") };
    assert_eq!((waiting.delivery.id, waiting.attempt.handed_at), (claims[2].delivery.id, None));
    // A heartbeat prolongs only its own.
    let ids: Vec<DeliveryId> = claims.iter().map(|c| c.delivery.id).collect();
    let beat = async |owner: &str, ids: &[DeliveryId]| {
        store.heartbeat(owner, ids, minute(29), 60_000_000).await.unwrap()
    };
    assert_eq!(beat("b", &ids).await, 0);
    assert_eq!(beat("a", &[]).await, 0);
    assert_eq!(beat("a", &ids).await, 2);
    let mut lost = store.expired_leases(minute(30), 10).await.unwrap();
    lost.sort_by_key(|lost| lost.attempt.handed_at);
    let begun: Vec<(DeliveryId, Option<At>)> =
        lost.iter().map(|lost| (lost.delivery.id, lost.attempt.handed_at)).collect();
    assert_eq!(begun, [(claims[2].delivery.id, None), (claims[1].delivery.id, Some(minute(12)))]);
    let (_, attempts) = store.delivery(claims[0].delivery.id).await.unwrap().unwrap();
    assert_eq!(attempts[0].handed_at, None, "it had ended");
}

async fn leases_left_by_the_dead_end_where_one_process_writes(bed: Bed) {
    let store = &bed.store;
    outbox(store, 2).await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    let before = minute(10).plus_seconds(1);
    assert_eq!(store.expired_leases(before, 10).await.unwrap(), []);
    let left = store.end_left_leases(before).await.unwrap();
    let expected = if store.is_sqlite() { claims.len() } else { 0 };
    assert_eq!(left, expected as u64);
    assert_eq!(store.expired_leases(before, 10).await.unwrap().len(), expected);
}

async fn lost_lease_is_found_and_settled(bed: Bed) {
    let store = &bed.store;
    outbox(store, 3).await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    assert_eq!(store.expired_leases(minute(10), 10).await.unwrap(), []);
    let lost = store.expired_leases(minute(11), 2).await.unwrap();
    assert_eq!(lost.len(), 2);
    let Lost { delivery, attempt, .. } = &lost[0];
    assert_eq!((delivery.state, attempt.number, attempt.delivery), (DeliveryState::Sending, 1, delivery.id));
    let unknown = || AttemptEnd::Unknown { detail: "the daemon died".to_owned() };
    let settle = |end, at| store.settle_lost(delivery.id, 1, end, minute(at));
    assert!(!settle(unknown(), 10).await.unwrap(), "its lease still holds then");
    // The daemon comes back at the last moment.
    store.heartbeat("a", &[delivery.id], minute(19), 60_000_000).await.unwrap();
    assert!(!settle(unknown(), 11).await.unwrap());
    assert!(settle(unknown(), 20).await.unwrap());
    assert!(!settle(unknown(), 20).await.unwrap());
    let (stored, attempts) = store.delivery(delivery.id).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.done_at), (DeliveryState::Unknown, Some(minute(20))));
    assert_eq!(attempts[0].outcome.as_deref(), Some("lost"));
    assert_eq!(attempts[0].detail.as_deref(), Some("the daemon died"));
    let late = claims.iter().find(|c| c.delivery.id == delivery.id).unwrap();
    assert!(!store.complete(completion(late, minute(21), accepted())).await.unwrap());
}

async fn operator_retries_what_is_over(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let claim = claim_one(store, "a", 10).await;
    let id = claim.delivery.id;
    assert!(!store.retry_delivery(id, minute(11), "ann").await.unwrap(), "it is being sent");
    let dead = AttemptEnd::Dead { detail: "given up".to_owned() };
    assert!(store.complete(completion(&claim, minute(11), dead)).await.unwrap());
    let later = minute(12).plus_days(5);
    assert!(store.retry_delivery(id, later, "ann").await.unwrap());
    assert!(!store.retry_delivery(id, later, "ann").await.unwrap(), "it waits already");
    let (delivery, _) = store.delivery(id).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.due_at, delivery.done_at), (DeliveryState::Pending, later, None));
    assert_eq!(delivery.expires_at, later.plus_days(1), "as long as it was worth sending before");
    assert_eq!(delivery.attempt_count, 0);
    judge(store, later, |_, _| {}).await;
    let again = store.claim(request("a", later, 10), |_, _| Judgement::Send).await.unwrap().claims.remove(0);
    assert_eq!((again.attempt.number, again.delivery.attempt_count), (2, 1));
    let tables = dump(&bed).await;
    assert_eq!(tables["audit"].iter().filter(|row| row.contains("delivery retried")).count(), 1);
    let unknown: DeliveryId = "dlv_00000000000000000000000000000000".parse().unwrap();
    assert!(!store.retry_delivery(unknown, later, "ann").await.unwrap());
}

async fn operator_cancels_what_waits(bed: Bed) {
    let store = &bed.store;
    outbox(store, 2).await;
    let sending =
        store.claim(request("a", minute(10), 1), |_, _| Judgement::Send).await.unwrap().claims.remove(0);
    assert!(!store.cancel_delivery(sending.delivery.id, minute(11), "ann").await.unwrap());
    let filter = DeliveryFilter { state: Some(DeliveryState::Pending), ..DeliveryFilter::default() };
    let waiting = store.deliveries(&filter).await.unwrap().remove(0);
    assert!(store.cancel_delivery(waiting.id, minute(11), "ann").await.unwrap());
    assert!(!store.cancel_delivery(waiting.id, minute(11), "ann").await.unwrap());
    let (stored, _) = store.delivery(waiting.id).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.done_at), (DeliveryState::Cancelled, Some(minute(11))));
    assert_eq!(store.customers_due(minute(11), 10).await.unwrap(), [waiting.customer]);
}

async fn suppressed_address_holds_for_whoever_uses_it(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let claim = claim_one(store, "a", 10).await;
    let suppression = Suppression {
        channel: Some(Channel::Email),
        all_purposes: true,
        reason: SuppressionReason::Bounced,
        at: minute(11),
    };
    let failed = AttemptEnd::Failed { detail: "550 5.1.1".to_owned() };
    let completion =
        Completion { suppress: Some(suppression.clone()), ..completion(&claim, minute(11), failed) };
    assert!(store.complete(completion).await.unwrap());
    assert_eq!(only(store).await.suppressions, std::slice::from_ref(&suppression));
    // Somebody else in another shop, with the same address and without proof of it.
    take(store, "other", vec![Record::Customer(customer(account("x", "c0@example.com")))]).await;
    take(store, "other", vec![Record::Customer(customer(account("y", "free@example.com")))]).await;
    let all = everybody(store).await;
    assert_eq!(all.len(), 3);
    for snapshot in all {
        let is_same = snapshot.customer.email.as_ref().unwrap().as_str() == "c0@example.com";
        assert_eq!(snapshot.suppressions.len(), usize::from(is_same), "{:?}", snapshot.customer);
    }
}

async fn deliveries_are_listed_page_by_page(bed: Bed) {
    let store = Arc::new(bed.store.clone());
    judged(&store, 23, |s, d| {
        let mut other = mail(s, "other", minute(20));
        other.journey = "other".to_owned();
        d.deliveries = vec![mail(s, "hello", minute(10)), other];
    })
    .await;
    let mut filter = DeliveryFilter { limit: 4, ..DeliveryFilter::default() };
    let mut seen = Vec::new();
    loop {
        let page = store.deliveries(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(last.id);
        seen.extend(page);
    }
    assert_eq!(seen.len(), 46);
    assert_eq!(seen.iter().map(|d| d.id).collect::<BTreeSet<_>>().len(), 46);
    assert!(seen.is_sorted_by_key(|d| d.due_at));
    let all = DeliveryFilter { limit: 1000, ..DeliveryFilter::default() };
    let of_journey = DeliveryFilter { journey: Some("other".to_owned()), ..all.clone() };
    assert_eq!(store.deliveries(&of_journey).await.unwrap().len(), 23);
    let of_customer = DeliveryFilter { customer: Some(seen[0].customer), ..all.clone() };
    assert_eq!(store.deliveries(&of_customer).await.unwrap().len(), 2);
    let early = DeliveryFilter { due_before: Some(minute(20)), ..all };
    assert_eq!(store.deliveries(&early).await.unwrap().len(), 23);
}
