//! Snapshots, however they are read: one by one, many in the order of the tables or in another, handed on as they are
//! read; and with memory given back in between.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use zyklus_model::{ConsentState, CustomerId, Record, Snapshot};
use zyklus_store::{OpenOptions, Store, StoreError};

use crate::common::Bed;
use crate::ingest::{consent, review};
use crate::make::{account, cart, minute, order, take};

on_both![
    snapshot_is_the_same_however_it_is_read,
    reading_on_ends_when_nobody_takes_anything,
    memory_given_back_is_taken_again,
];

/// Customers with several facts of each kind, dated against the order of their ids; in the order of the tables.
async fn fill(store: &Store) -> Vec<CustomerId> {
    let mut records = Vec::new();
    for n in 0..60i64 {
        let name = n.to_string();
        let who = || account(&name, &format!("c{n}@example.com"));
        for k in 0..1 + n % 4 {
            let mut bought = order(&format!("{n}-{k}"), who(), (n * 7 + k * 31) % 50 - 100);
            bought.paid_at = (k % 2 == 0).then(|| minute(-20));
            records.push(Record::Order(bought));
        }
        records.push(Record::Cart(cart(&name, who(), -n)));
        let mut said = review(&name, 4.0);
        said.customer = who();
        records.push(Record::Feedback(said));
        for minutes in [-7, -9, -8] {
            let mut word = consent(ConsentState::Granted, minutes);
            word.customer = who();
            records.push(Record::Consent(word));
        }
    }
    take(store, "shop", records).await;
    store.customer_ids(None, 1_000).await.unwrap()
}

/// A lot of snapshots as it was seen, with whom it was asked for.
type Lot = (Vec<CustomerId>, Vec<Snapshot>);

async fn snapshot_is_the_same_however_it_is_read(bed: Bed) {
    let store = &bed.store;
    let ids = fill(store).await;
    assert_eq!(ids.len(), 60);
    let mut one_by_one = Vec::new();
    for id in &ids {
        one_by_one.extend(store.snapshots(&[*id]).await.unwrap());
    }
    let facts = |s: &Snapshot| (s.orders.len(), s.carts.len(), s.feedback.len(), s.consents.len());
    assert!(one_by_one.iter().all(|s| facts(s).0 >= 1 && (1, 1, 3) == (facts(s).1, facts(s).2, facts(s).3)));
    assert!(one_by_one.iter().all(|s| s.orders.is_sorted_by_key(|o| o.placed_at)));
    assert!(one_by_one.iter().all(|s| s.consents.is_sorted_by_key(|c| c.at)));
    assert!(one_by_one.iter().all(|s| !s.identities.is_empty()));
    assert_eq!(store.snapshots(&ids).await.unwrap(), one_by_one);
    let backwards: Vec<CustomerId> = ids.iter().rev().copied().collect();
    let mut found = store.snapshots(&backwards).await.unwrap();
    found.reverse();
    assert_eq!(found, one_by_one);
    // So few of so many that their rows are looked up one after another.
    let (first, last) = (ids[0], ids[59]);
    let ends = [one_by_one[0].clone(), one_by_one[59].clone()];
    assert_eq!(store.snapshots(&[first, last]).await.unwrap(), ends);

    let (to, mut lots) = mpsc::channel::<Lot>(2);
    let look = |asked: &[CustomerId], snapshots: Vec<Snapshot>| (asked.to_vec(), snapshots);
    let (read, lots) = tokio::join!(store.stream_snapshots(ids.clone(), 7, look, to), async {
        let mut all = Vec::new();
        while let Some(lot) = lots.recv().await {
            all.push(lot);
        }
        all
    });
    read.unwrap();
    assert!(lots.iter().all(|(asked, _)| asked.len() <= 7));
    assert_eq!(lots.iter().flat_map(|(asked, _)| asked.clone()).collect::<Vec<_>>(), ids);
    let without_names = one_by_one.into_iter().map(|s| Snapshot { identities: Vec::new(), ..s });
    assert_eq!(
        lots.into_iter().flat_map(|(_, snapshots)| snapshots).collect::<Vec<_>>(),
        without_names.collect::<Vec<_>>()
    );
}

async fn reading_on_ends_when_nobody_takes_anything(bed: Bed) {
    let ids = fill(&bed.store).await;
    let seen = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&seen);
    let (to, mut lots) = mpsc::channel::<()>(1);
    let look =
        move |asked: &[CustomerId], _: Vec<Snapshot>| _ = counted.fetch_add(asked.len(), Ordering::SeqCst);
    let store = bed.store.clone();
    let reading = tokio::spawn(async move { store.stream_snapshots(ids, 5, look, to).await });
    lots.recv().await.unwrap();
    // It waits for a place for the third lot by now, or will.
    drop(lots);
    reading.await.unwrap().unwrap();
    assert!((5..=20).contains(&seen.load(Ordering::SeqCst)), "{seen:?}");
    // Nothing is left open behind it.
    take(&bed.store, "shop", vec![Record::Order(order("more", account("1", "c1@example.com"), 1))]).await;
}

async fn memory_given_back_is_taken_again(bed: Bed) {
    let store = &bed.store;
    let ids = fill(store).await;
    let before = store.snapshots(&ids).await.unwrap();
    store.relax().await.unwrap();
    store.relax().await.unwrap();
    assert_eq!(store.snapshots(&ids).await.unwrap(), before);
    assert_eq!(store.customer_count().await.unwrap(), 60);
    take(store, "shop", vec![Record::Order(order("more", account("1", "c1@example.com"), 1))]).await;
    // Beside others who read and write.
    let work = async {
        for _ in 0..20 {
            store.snapshots(&ids).await.unwrap();
            store.set_meta("a", "b").await.unwrap();
            store.customer_count().await.unwrap();
        }
    };
    let relaxing = async {
        for _ in 0..20 {
            store.relax().await.unwrap();
        }
    };
    tokio::join!(work, relaxing);
    let looking = Store::open(&bed.url, OpenOptions::reading()).await.unwrap();
    assert_eq!(looking.snapshots(&ids).await.unwrap().len(), 60);
    looking.relax().await.unwrap();
    assert_eq!(looking.customer_count().await.unwrap(), 60);
    looking.close().await;
    if looking.is_sqlite() {
        assert!(matches!(looking.snapshots(&ids).await, Err(StoreError::Closed)));
    }
    looking.relax().await.unwrap();
}
