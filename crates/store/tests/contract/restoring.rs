//! A restored backup goes on where the store that is gone stopped: nothing it sent is sent again. SQLite's alone:
//! PostgreSQL has its own tools.

use std::path::Path;

use zyklus_model::{Channel, DeliveryState, Suppression, SuppressionReason};
use zyklus_store::{AttemptEnd, Completion, Restored, Store};

use crate::common::open;
use crate::decide::{claim_all, completion, judge, mail, outbox};
use crate::make::{everybody, minute};

/// A store with four waiting mails, of which there is a backup; since then one was sent, one refused the address, one
/// is being sent, and one more was decided and sent.
async fn lived_on(folder: &Path) -> String {
    let url = format!("sqlite:{}", folder.join("a.db").display());
    let store = open(&url).await;
    outbox(&store, 4).await;
    store.backup(&folder.join("backup.db")).await.unwrap();
    let claims =
        store.claim(crate::decide::request("a", minute(10), 3), |_, _| zyklus_store::Judgement::Send);
    let claims = claims.await.unwrap().claims;
    let accepted = || AttemptEnd::Accepted { provider_ref: Some("ref".to_owned()) };
    assert!(store.complete(completion(&claims[0], minute(11), accepted())).await.unwrap());
    let suppress = Some(Suppression {
        channel: Some(Channel::Email),
        all_purposes: true,
        reason: SuppressionReason::Bounced,
        at: minute(11),
    });
    let failed = AttemptEnd::Failed { detail: "550 5.1.1".to_owned() };
    let end = Completion { suppress, ..completion(&claims[1], minute(11), failed) };
    assert!(store.complete(end).await.unwrap());
    let first = claims[0].delivery.customer;
    judge(&store, minute(12), |s, d| {
        if s.customer.id == first {
            d.deliveries.push(mail(s, "later", minute(12)));
        }
    })
    .await;
    for claim in claim_all(&store, "a", minute(12)).await.claims {
        if claim.delivery.step == "later" {
            assert!(store.complete(completion(&claim, minute(13), accepted())).await.unwrap());
        } else {
            let release = AttemptEnd::Release { due_at: minute(10), detail: "not yet".to_owned() };
            assert!(store.complete(completion(&claim, minute(13), release)).await.unwrap());
        }
    }
    store.close().await;
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_store_does_not_send_again_what_the_one_before_it_sent() {
    let folder = tempfile::tempdir().unwrap();
    let url = lived_on(folder.path()).await;
    let restored = Store::restore_at(&folder.path().join("backup.db"), &url, minute(60)).await.unwrap();
    let expected = Restored { is_merged: true, suppressions: 1, consents: 0, deliveries: 4, held: 0 };
    assert_eq!(restored, expected);
    let store = open(&url).await;
    assert_eq!(store.restored_at().await.unwrap(), Some(minute(60)));
    let counts = store.count_deliveries().await.unwrap();
    let count = |state| counts.get(&state).copied().unwrap_or(0);
    assert_eq!(count(DeliveryState::Accepted), 2);
    assert_eq!(count(DeliveryState::Failed), 1);
    assert_eq!(count(DeliveryState::Unknown), 1, "it was being sent");
    assert_eq!(count(DeliveryState::Pending), 1, "it had not gone and still has to");
    assert_eq!(everybody(&store).await.iter().map(|s| s.suppressions.len()).sum::<usize>(), 1);
    // Deciding the same once more brings nothing back.
    judge(&store, minute(61), |s, d| {
        d.deliveries = vec![mail(s, "hello", minute(10)), mail(s, "later", minute(12))];
    })
    .await;
    let sent = claim_all(&store, "b", minute(62)).await.claims;
    assert_eq!(sent.iter().filter(|c| c.delivery.step == "hello").count(), 1);
    let later = sent.iter().filter(|c| c.delivery.step == "later").count();
    assert_eq!(later, 3, "for all but the one who had it");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_store_holds_back_what_may_have_gone_when_nobody_can_tell() {
    let folder = tempfile::tempdir().unwrap();
    let url = lived_on(folder.path()).await;
    std::fs::write(folder.path().join("a.db"), b"this is no database any more, it is a letter").unwrap();
    let restored = Store::restore_at(&folder.path().join("backup.db"), &url, minute(60)).await.unwrap();
    assert_eq!(restored, Restored { held: 4, ..Restored::default() });
    let store = open(&url).await;
    assert_eq!(store.count_deliveries().await.unwrap()[&DeliveryState::Unknown], 4);
    assert_eq!(claim_all(&store, "b", minute(61)).await.claims.len(), 0);
    let retried =
        store.retry_deliveries(Some(DeliveryState::Unknown), None, minute(61), "ann").await.unwrap();
    assert_eq!(retried, 4, "the operator can let them go");
    store.close().await;
}
