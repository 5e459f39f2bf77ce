//! Between claiming and handing over: what is only reserved comes back whole, what is handed over may have gone, and
//! the guards have the last word.

use zyklus_model::{Channel, DeliveryState, GuardReason, Purpose, Record, Suppression, SuppressionReason};
use zyklus_store::{
    AttemptEnd, Claim, Completion, HandOver, Handing, HandingClaim, Judgement, LeaseClock, OpenOptions, Store,
};

use crate::common::Bed;
use crate::decide::{claim_all, completion, judged, mail, outbox, request};
use crate::make::{account, minute, only, order, take_live};

on_both![
    reserved_claim_is_told_from_a_handed_over_one,
    handed_over_for_the_first_time_is_remembered_over_retries,
    news_after_claiming_takes_the_claim_back,
    guard_has_the_last_word_before_handing_over,
    lost_claim_is_not_handed_over,
    tries_that_may_have_arrived_are_counted,
    transactional_deliveries_are_claimed_before_older_ones,
    refusals_are_taken_back_with_their_suppressions,
    skewed_clocks_neither_lose_nor_double,
    operator_writes_beside_a_daemon,
    operator_retries_many_at_once,
];

fn handing(owner: &str, at: i64, claims: &[Claim]) -> Handing {
    Handing {
        owner: owner.to_owned(),
        now: minute(at),
        lease_micros: 60_000_000,
        claims: claims.iter().map(HandingClaim::from).collect(),
    }
}

async fn hand(store: &Store, at: i64, claims: &[Claim]) -> Vec<HandOver> {
    store.hand_over(handing("a", at, claims), |_, _| Judgement::Send).await.unwrap()
}

async fn reserved_claim_is_told_from_a_handed_over_one(bed: Bed) {
    let store = &bed.store;
    outbox(store, 2).await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    assert_eq!(hand(store, 10, &claims[..1]).await, [HandOver::Go { first_at: minute(10) }]);
    let lost = store.expired_leases(minute(11), 10).await.unwrap();
    assert_eq!(lost.len(), 2);
    for lost in lost {
        let is_handed = lost.delivery.id == claims[0].delivery.id;
        assert_eq!(lost.attempt.handed_at, is_handed.then(|| minute(10)));
        if !is_handed {
            let end = AttemptEnd::Release { due_at: lost.delivery.due_at, detail: "not begun".to_owned() };
            assert!(store.settle_lost(lost.delivery.id, 1, end, minute(11)).await.unwrap());
            let (delivery, attempts) = store.delivery(lost.delivery.id).await.unwrap().unwrap();
            assert_eq!((delivery.state, delivery.attempt_count), (DeliveryState::Pending, 0));
            assert_eq!(attempts[0].outcome.as_deref(), Some("lost"));
        }
    }
    let again = claim_all(store, "b", minute(11)).await.claims;
    assert_eq!(again.len(), 1, "what was only reserved goes to the next daemon");
    assert_eq!((again[0].delivery.id, again[0].doubts), (claims[1].delivery.id, 0));
}

async fn handed_over_for_the_first_time_is_remembered_over_retries(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let first = claim_all(store, "a", minute(10)).await.claims;
    assert_eq!(hand(store, 12, &first).await, [HandOver::Go { first_at: minute(12) }]);
    let end = AttemptEnd::Retry { due_at: minute(20), detail: "451".to_owned() };
    assert!(store.complete(completion(&first[0], minute(13), end)).await.unwrap());
    let second = claim_all(store, "a", minute(20)).await.claims;
    assert_eq!(hand(store, 21, &second).await, [HandOver::Go { first_at: minute(12) }]);
}

async fn news_after_claiming_takes_the_claim_back(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    let news = order("new", account("0", "c0@example.com"), 10);
    take_live(store, "shop", 10, vec![Record::Order(news)]).await;
    assert_eq!(hand(store, 11, &claims).await, [HandOver::Released]);
    let delivery = only(store).await.deliveries.remove(0);
    assert_eq!((delivery.state, delivery.due_at), (DeliveryState::Pending, minute(10)));
    assert_eq!(delivery.attempt_count, 0);
    assert!(!store.complete(completion(&claims[0], minute(11), accepted())).await.unwrap());
}

fn accepted() -> AttemptEnd {
    AttemptEnd::Accepted { provider_ref: None }
}

async fn guard_has_the_last_word_before_handing_over(bed: Bed) {
    let store = &bed.store;
    judged(store, 1, |s, d| {
        d.deliveries = vec![mail(s, "no", minute(6)), mail(s, "later", minute(7)), mail(s, "go", minute(8))];
    })
    .await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    let answers = store
        .hand_over(handing("a", 11, &claims), |_, delivery| match delivery.step.as_str() {
            "no" => Judgement::Refuse(GuardReason::NoConsent),
            "later" => Judgement::Postpone {
                until: minute(300),
                reason: GuardReason::QuietHours,
                outranked_by: None,
            },
            _ => Judgement::Send,
        })
        .await
        .unwrap();
    let go = HandOver::Go { first_at: minute(11) };
    assert_eq!(answers, [HandOver::Refused(GuardReason::NoConsent), HandOver::Released, go]);
    let snapshot = only(store).await;
    let by = |step: &str| snapshot.deliveries.iter().find(|d| d.step == step).unwrap();
    assert_eq!((by("no").state, by("no").reason), (DeliveryState::Refused, Some(GuardReason::NoConsent)));
    assert_eq!((by("later").state, by("later").due_at), (DeliveryState::Pending, minute(300)));
    assert_eq!(by("later").reason, Some(GuardReason::QuietHours));
    assert_eq!(by("go").state, DeliveryState::Sending);
    assert_eq!(snapshot.mark.due_at, minute(11), "a refusal is news for the customer's runs");
}

async fn lost_claim_is_not_handed_over(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    let end = AttemptEnd::Release { due_at: minute(10), detail: "not begun".to_owned() };
    assert!(store.settle_lost(claims[0].delivery.id, 1, end, minute(11)).await.unwrap());
    assert_eq!(hand(store, 11, &claims).await, [HandOver::Lost]);
    let again = claim_all(store, "a", minute(12)).await.claims;
    assert_eq!(hand(store, 12, &claims).await, [HandOver::Lost], "the same owner's earlier try");
    assert_eq!(hand(store, 12, &again).await, [HandOver::Go { first_at: minute(12) }]);
}

async fn tries_that_may_have_arrived_are_counted(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    hand(store, 10, &claims).await;
    let end = AttemptEnd::Repeat { due_at: minute(20), detail: "no answer".to_owned() };
    assert!(store.complete(completion(&claims[0], minute(11), end.clone())).await.unwrap());
    let claims = claim_all(store, "a", minute(20)).await.claims;
    assert_eq!(claims[0].doubts, 1);
    hand(store, 20, &claims).await;
    let lost = store.expired_leases(minute(30), 10).await.unwrap().remove(0);
    assert_eq!(lost.doubts, 1, "this one is not counted yet");
    assert!(store.settle_lost(lost.delivery.id, 2, end, minute(30)).await.unwrap());
    let claims = claim_all(store, "a", minute(30)).await.claims;
    assert_eq!((claims[0].doubts, claims[0].delivery.attempt_count), (2, 3));
}

async fn transactional_deliveries_are_claimed_before_older_ones(bed: Bed) {
    let store = &bed.store;
    judged(store, 3, |s, d| {
        let mut receipt = mail(s, "receipt", minute(9));
        receipt.purpose = Purpose::Transactional;
        d.deliveries = vec![mail(s, "offer", minute(6)), receipt];
    })
    .await;
    let claimed = store.claim(request("a", minute(10), 4), |_, _| Judgement::Send).await.unwrap();
    let steps: Vec<_> = claimed.claims.iter().map(|c| c.delivery.step.as_str()).collect();
    assert_eq!(steps, ["receipt", "receipt", "receipt", "offer"]);
}

async fn skewed_clocks_neither_lose_nor_double(bed: Bed) {
    // SQLite has one machine; leases of the database's clock are PostgreSQL's.
    if bed.store.is_sqlite() {
        return;
    }
    let options = || OpenOptions { leases: LeaseClock::Database, ..OpenOptions::default() };
    let (slow, fast) =
        (Store::open(&bed.url, options()).await.unwrap(), Store::open(&bed.url, options()).await.unwrap());
    outbox(&bed.store, 1).await;
    let claims = claim_all(&slow, "slow", minute(10)).await.claims;
    let handing = handing("slow", 10, &claims);
    slow.hand_over(handing, |_, _| Judgement::Send).await.unwrap();
    let year = minute(10).plus_days(365_000);
    assert_eq!(
        fast.expired_leases(year, 10).await.unwrap(),
        [],
        "its lease holds, whatever the other's clock says"
    );
    let lost = || AttemptEnd::Unknown { detail: "lost".to_owned() };
    assert!(!fast.settle_lost(claims[0].delivery.id, 1, lost(), year).await.unwrap());
    assert_eq!(slow.heartbeat("slow", &[claims[0].delivery.id], minute(10), -1).await.unwrap(), 1);
    let found = slow.expired_leases(minute(0), 10).await.unwrap();
    assert_eq!(found.len(), 1, "and ends for one whose clock is behind, too");
    assert!(slow.settle_lost(claims[0].delivery.id, 1, lost(), minute(0)).await.unwrap());
    slow.close().await;
    fast.close().await;
}

async fn refusals_are_taken_back_with_their_suppressions(bed: Bed) {
    let store = &bed.store;
    outbox(store, 1).await;
    let bounce = |at| Suppression {
        channel: Some(Channel::Email),
        all_purposes: true,
        reason: SuppressionReason::Bounced,
        at,
    };
    let claims = claim_all(store, "a", minute(10)).await.claims;
    hand(store, 10, &claims).await;
    let failed = AttemptEnd::Failed { detail: "550 5.1.1".to_owned() };
    let end = Completion { suppress: Some(bounce(minute(11))), ..completion(&claims[0], minute(11), failed) };
    assert!(store.complete(end).await.unwrap());
    assert_eq!(only(store).await.suppressions, [bounce(minute(11))]);
    let id = claims[0].delivery.id;
    assert_eq!(store.take_back(&[id], minute(40), minute(12)).await.unwrap(), 1);
    assert_eq!(store.take_back(&[id], minute(40), minute(12)).await.unwrap(), 0, "it waits already");
    let snapshot = only(store).await;
    assert_eq!(snapshot.suppressions, []);
    let delivery = &snapshot.deliveries[0];
    assert_eq!(
        (delivery.state, delivery.due_at, delivery.attempt_count),
        (DeliveryState::Pending, minute(40), 0)
    );
    assert_eq!(store.next_delivery_after(minute(39)).await.unwrap(), Some(minute(40)));
    assert_eq!(store.next_delivery_after(minute(40)).await.unwrap(), None);
}

async fn operator_writes_beside_a_daemon(bed: Bed) {
    let daemon = &bed.store;
    outbox(daemon, 2).await;
    let claims = claim_all(daemon, "a", minute(10)).await.claims;
    let unknown = AttemptEnd::Unknown { detail: "no answer".to_owned() };
    assert!(daemon.complete(completion(&claims[0], minute(11), unknown)).await.unwrap());
    let hand = Store::open(&bed.url, OpenOptions::by_hand()).await.unwrap();
    // Both write meanwhile, and neither loses anything.
    let busy = tokio::spawn({
        let daemon = daemon.clone();
        async move {
            for n in 0..50 {
                daemon.set_meta("busy", &n.to_string()).await.unwrap();
            }
        }
    });
    assert!(hand.retry_delivery(claims[0].delivery.id, minute(12), "ann").await.unwrap());
    busy.await.unwrap();
    hand.close().await;
    assert_eq!(daemon.get_meta("busy").await.unwrap().as_deref(), Some("49"));
    let (delivery, _) = daemon.delivery(claims[0].delivery.id).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.due_at), (DeliveryState::Pending, minute(12)));
    assert!(daemon.complete(completion(&claims[1], minute(12), accepted())).await.unwrap());
    if daemon.is_sqlite() {
        assert!(
            Store::open(&bed.url, OpenOptions::default()).await.is_err(),
            "a second daemon is still refused"
        );
    }
}

async fn operator_retries_many_at_once(bed: Bed) {
    let store = &bed.store;
    judged(store, 2, |s, d| {
        let mut other = mail(s, "other", minute(8));
        other.journey = "other".to_owned();
        d.deliveries = vec![mail(s, "hello", minute(7)), other, mail(s, "fine", minute(9))];
    })
    .await;
    for claim in claim_all(store, "a", minute(10)).await.claims {
        let detail = "why".to_owned();
        let end = match claim.delivery.step.as_str() {
            "hello" => AttemptEnd::Unknown { detail },
            "other" => AttemptEnd::Failed { detail },
            _ => accepted(),
        };
        assert!(store.complete(completion(&claim, minute(11), end)).await.unwrap());
    }
    let retry =
        async |state, journey| store.retry_deliveries(state, journey, minute(12), "ann").await.unwrap();
    assert_eq!(retry(Some(DeliveryState::Accepted), None).await, 0, "what arrived is not sent again");
    assert_eq!(retry(Some(DeliveryState::Unknown), Some("other")).await, 0);
    assert_eq!(retry(Some(DeliveryState::Unknown), None).await, 2);
    assert_eq!(retry(None, Some("other")).await, 2);
    assert_eq!(retry(None, None).await, 0);
    let counts = store.count_deliveries().await.unwrap();
    assert_eq!((counts[&DeliveryState::Pending], counts[&DeliveryState::Accepted]), (4, 2));
}
