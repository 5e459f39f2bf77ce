//! Receipts and the tries they are about, in whatever order they come, and the addresses they are about.

use zyklus_model::{
    Channel, CustomerRecord, DeliveryId, DeliveryState, ReceiptKind, ReceiptRecord, Record, Suppression,
    SuppressionReason,
};
use zyklus_store::{AttemptEnd, Claim, Completion, Store};

use crate::common::Bed;
use crate::decide::{claim_all, completion, judge, outbox};
use crate::make::{account, customer, everybody, minute, only, take_live};
use crate::parity::dump;

on_both![
    bounce_is_about_the_address_that_was_written_to,
    failed_try_is_about_the_address_that_was_written_to,
    one_bounce_is_one_refusal,
    complaint_holds_for_the_customer_whatever_the_address,
    receipt_that_overtakes_its_completion_counts,
    receipt_during_a_lost_try_counts,
    what_arrived_is_not_tried_again,
    receipt_of_an_earlier_try_does_not_end_a_later_one,
    receipt_before_its_reference_is_known_counts,
    receipt_under_a_reference_of_another_connector_is_not_taken_in,
    receipts_and_completions_at_once_miss_nothing,
];

fn receipt(id: &str, kind: ReceiptKind) -> ReceiptRecord {
    ReceiptRecord {
        external_id: id.to_owned(),
        delivery: None,
        provider_ref: None,
        kind,
        detail: None,
        at: minute(12),
    }
}

/// A receipt that names our own id.
fn about(id: &str, kind: ReceiptKind, delivery: DeliveryId) -> Record {
    Record::Receipt(ReceiptRecord { delivery: Some(delivery.to_string()), ..receipt(id, kind) })
}

/// A receipt that names only the provider's reference.
fn under(id: &str, kind: ReceiptKind, reference: &str) -> Record {
    Record::Receipt(ReceiptRecord { provider_ref: Some(reference.to_owned()), ..receipt(id, kind) })
}

fn accepted(reference: &str) -> AttemptEnd {
    AttemptEnd::Accepted { provider_ref: Some(reference.to_owned()) }
}

fn retry(at: i64) -> AttemptEnd {
    AttemptEnd::Retry { due_at: minute(at), detail: "no answer".to_owned() }
}

async fn sending(store: &Store) -> Claim {
    outbox(store, 1).await;
    claim_all(store, "a", minute(10)).await.claims.remove(0)
}

async fn state(store: &Store, claim: &Claim) -> DeliveryState {
    store.delivery(claim.delivery.id).await.unwrap().unwrap().0.state
}

async fn end(store: &Store, claim: &Claim, at: i64, end: AttemptEnd) {
    assert!(store.complete(completion(claim, minute(at), end)).await.unwrap());
}

/// The customer takes another address, and somebody else the old one.
async fn moves(store: &Store) {
    let new = CustomerRecord { updated_at: Some(minute(11)), ..customer(account("0", "new@example.com")) };
    let other = customer(account("x", "c0@example.com"));
    take_live(store, "shop", 11, vec![Record::Customer(new), Record::Customer(other)]).await;
}

/// How many refusals each address is under.
async fn refused(store: &Store) -> Vec<(String, usize)> {
    let mut all: Vec<_> = everybody(store)
        .await
        .iter()
        .map(|s| (s.customer.email.as_ref().unwrap().as_str().to_owned(), s.suppressions.len()))
        .collect();
    all.sort();
    all
}

fn only_the_old() -> Vec<(String, usize)> {
    vec![("c0@example.com".to_owned(), 1), ("new@example.com".to_owned(), 0)]
}

async fn bounce_is_about_the_address_that_was_written_to(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    end(store, &claim, 10, accepted("m1")).await;
    moves(store).await;
    take_live(store, "smtp", 12, vec![under("1", ReceiptKind::Bounced, "m1")]).await;
    assert_eq!(refused(store).await, only_the_old());
}

fn no_such_mailbox() -> Suppression {
    Suppression {
        channel: Some(Channel::Email),
        all_purposes: true,
        reason: SuppressionReason::Bounced,
        at: minute(12),
    }
}

async fn failed_try_is_about_the_address_that_was_written_to(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    moves(store).await;
    let failed = AttemptEnd::Failed { detail: "550 5.1.1".to_owned() };
    let done = Completion { suppress: Some(no_such_mailbox()), ..completion(&claim, minute(12), failed) };
    assert!(store.complete(done).await.unwrap());
    assert_eq!(refused(store).await, only_the_old());
}

async fn one_bounce_is_one_refusal(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    let failed = AttemptEnd::Failed { detail: "550 5.1.1".to_owned() };
    let done = Completion { suppress: Some(no_such_mailbox()), ..completion(&claim, minute(12), failed) };
    assert!(store.complete(done).await.unwrap());
    take_live(store, "smtp", 13, vec![about("1", ReceiptKind::Bounced, claim.delivery.id)]).await;
    assert_eq!(dump(&bed).await["suppression"].len(), 1);
    assert_eq!(only(store).await.suppressions, [no_such_mailbox()]);
}

async fn complaint_holds_for_the_customer_whatever_the_address(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    end(store, &claim, 10, accepted("m1")).await;
    moves(store).await;
    take_live(store, "smtp", 12, vec![under("1", ReceiptKind::Complained, "m1")]).await;
    assert!(refused(store).await.iter().all(|(_, refusals)| *refusals == 1));
}

async fn receipt_that_overtakes_its_completion_counts(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    let id = claim.delivery.id;
    let page = vec![about("1", ReceiptKind::Accepted, id), about("2", ReceiptKind::Delivered, id)];
    take_live(store, "smtp", 11, page).await;
    assert_eq!(state(store, &claim).await, DeliveryState::Sending, "only its completion ends a try");
    end(store, &claim, 12, accepted("m1")).await;
    assert_eq!(state(store, &claim).await, DeliveryState::Delivered);
    let (_, tries) = store.delivery(id).await.unwrap().unwrap();
    assert_eq!(tries[0].outcome.as_deref(), Some("accepted"), "the try ended as it ended");
}

async fn receipt_during_a_lost_try_counts(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    take_live(store, "smtp", 11, vec![about("1", ReceiptKind::Delivered, claim.delivery.id)]).await;
    assert!(store.settle_lost(claim.delivery.id, 1, retry(20), minute(20)).await.unwrap());
    let (delivery, _) = store.delivery(claim.delivery.id).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.done_at), (DeliveryState::Delivered, Some(minute(20))));
    judge(store, minute(21), |_, _| {}).await;
    assert_eq!(claim_all(store, "b", minute(21)).await.claims.len(), 0, "it is not sent twice");
}

async fn what_arrived_is_not_tried_again(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    end(store, &claim, 11, retry(20)).await;
    take_live(store, "smtp", 12, vec![about("1", ReceiptKind::Delivered, claim.delivery.id)]).await;
    let (delivery, _) = store.delivery(claim.delivery.id).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.done_at), (DeliveryState::Delivered, Some(minute(12))));
    judge(store, minute(21), |_, _| {}).await;
    assert_eq!(claim_all(store, "b", minute(21)).await.claims.len(), 0, "it is not sent twice");
}

async fn receipt_of_an_earlier_try_does_not_end_a_later_one(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    take_live(store, "smtp", 11, vec![about("1", ReceiptKind::Complained, claim.delivery.id)]).await;
    let dead = AttemptEnd::Failed { detail: "the template was wrong".to_owned() };
    end(store, &claim, 12, dead).await;
    assert!(store.retry_delivery(claim.delivery.id, minute(20), "ann").await.unwrap());
    judge(store, minute(21), |_, _| {}).await;
    let again = claim_all(store, "a", minute(21)).await.claims.remove(0);
    end(store, &again, 22, accepted("m2")).await;
    assert_eq!(state(store, &claim).await, DeliveryState::Accepted);
}

async fn receipt_before_its_reference_is_known_counts(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    let early = vec![
        under("1", ReceiptKind::Clicked, "m1"),
        under("2", ReceiptKind::Unsubscribed, "m1"),
        under("3", ReceiptKind::Delivered, "m2"),
    ];
    take_live(store, "smtp", 11, early.clone()).await;
    assert!(only(store).await.events.iter().all(|e| e.name != "mail.clicked"));
    judge(store, minute(11), |_, _| {}).await;
    end(store, &claim, 12, accepted("m1")).await;
    assert_eq!(state(store, &claim).await, DeliveryState::Delivered);
    let one = only(store).await;
    let names: Vec<&str> = one.events.iter().map(|e| e.name.as_str()).collect();
    assert!(names.contains(&"mail.clicked") && names.contains(&"consent.withdrawn"), "{names:?}");
    assert_eq!((one.consents.len(), one.suppressions.len()), (1, 1));
    assert!(one.mark.live_pending, "it may start something");
    assert_eq!(store.customers_due(minute(12), 10).await.unwrap(), [one.customer.id]);
    let rows = dump(&bed).await["receipt"].clone();
    assert_eq!(rows.iter().filter(|row| row.contains("delivery_id=- ")).count(), 1, "{rows:?}");
    // The same page again is nothing new.
    assert_eq!(take_live(store, "smtp", 13, early).await.changed, 0);
}

async fn receipt_under_a_reference_of_another_connector_is_not_taken_in(bed: Bed) {
    let store = &bed.store;
    let claim = sending(store).await;
    take_live(store, "other", 11, vec![under("1", ReceiptKind::Complained, "m1")]).await;
    end(store, &claim, 12, accepted("m1")).await;
    assert_eq!(state(store, &claim).await, DeliveryState::Accepted);
    assert!(only(store).await.suppressions.is_empty());
}

async fn receipts_and_completions_at_once_miss_nothing(bed: Bed) {
    let store = &bed.store;
    outbox(store, 40).await;
    let claims = claim_all(store, "a", minute(10)).await.claims;
    assert_eq!(claims.len(), 40);
    let mut running = Vec::new();
    for (n, claim) in claims.iter().enumerate() {
        let done = completion(claim, minute(12), accepted(&format!("m{n}")));
        let receipts = vec![under(&n.to_string(), ReceiptKind::Delivered, &format!("m{n}"))];
        let (one, other) = (store.clone(), store.clone());
        running.push(tokio::spawn(async move { assert!(one.complete(done).await.unwrap()) }));
        running.push(tokio::spawn(async move { drop(take_live(&other, "smtp", 12, receipts).await) }));
    }
    for one in running {
        one.await.unwrap();
    }
    assert_eq!(
        store.count_deliveries().await.unwrap().into_iter().collect::<Vec<_>>(),
        [(DeliveryState::Delivered, 40)]
    );
}
