//! Pages in any order, and several at once: the result is the same.

use zyklus_model::{
    ConsentState, Currency, LineRecord, Money, OrderRecord, OrderState, ProductRecord, Record,
};

use crate::common::Bed;
use crate::ingest::{consent, review};
use crate::make::{account, cart, customer, everybody, guest, minute, order, take, verified};

on_both![
    order_of_pages_does_not_matter_for_facts,
    pages_at_once_make_no_customer_twice,
    best_sellers_are_in_most_orders_and_can_be_bought,
];

/// What is known of everybody, without ids: those follow from which record came first.
async fn known(bed: &Bed) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for mut one in everybody(&bed.store).await {
        one.identities.sort_by_key(|i| (i.kind, i.value.clone()));
        let names: Vec<_> = one.identities.iter().map(|i| (i.kind, &i.value)).collect();
        // Since when a label holds is when it was first seen, so that depends on what was read.
        let mut tags: Vec<&str> = one.tags.iter().map(|t| t.tag.as_str()).collect();
        tags.sort_unstable();
        let events: Vec<_> = one.events.iter().map(|e| (e.occurred_at, &e.name, &e.data)).collect();
        let customer =
            zyklus_model::Customer { id: zyklus_model::CustomerId::derive(&[]), ..one.customer.clone() };
        let facts = (names, customer, &one.orders, &one.carts, events, tags, &one.feedback, &one.consents);
        all.push(serde_json::to_string_pretty(&facts).unwrap());
    }
    all.sort_unstable();
    all
}

async fn order_of_pages_does_not_matter_for_facts(bed: Bed) {
    let mut records =
        vec![Record::Feedback(review("1", 3.0)), Record::Consent(consent(ConsentState::Granted, 7))];
    for n in 0..30i64 {
        let who =
            || if n % 3 == 0 { verified("1", "ann@example.com") } else { account("1", "ann@example.com") };
        records.push(Record::Customer(zyklus_model::CustomerRecord {
            first_name: Some(format!("Name {n}")),
            tags: Some(vec![format!("t{}", n % 4)]),
            updated_at: Some(minute(n - 100)),
            ..customer(who())
        }));
        let mut changed = order(&(n % 4).to_string(), who(), n % 4 - 200);
        changed.updated_at = Some(minute(n - 90));
        changed.total = Money::new(n, Currency::EUR);
        changed.paid_at = (n % 4 == 3).then(|| minute(-50));
        records.push(Record::Order(changed));
        let mut basket = cart("1", guest("ann@example.com"), n - 80);
        basket.is_open = n % 5 != 0;
        records.push(Record::Cart(basket));
    }
    for page in records.chunks(13) {
        take(&bed.store, "a", page.to_vec()).await;
    }
    let expected = known(&bed).await;
    assert_eq!(expected.len(), 1);
    for seed in 0..4 {
        crate::parity::shuffle(&mut records, seed);
        let read = std::sync::Mutex::new(Vec::new());
        crate::common::on_sqlite(async |other: Bed| {
            for page in records.chunks(7) {
                take(&other.store, "a", page.to_vec()).await;
            }
            let known = known(&other).await;
            read.lock().unwrap().extend(known);
        })
        .await;
        let read = read.into_inner().unwrap();
        assert_eq!(read.len(), 1);
        for (line, expected) in read[0].lines().zip(expected[0].lines()) {
            assert_eq!(line, expected, "seed {seed}");
        }
        assert_eq!(read[0].len(), expected[0].len(), "seed {seed}");
    }
}

async fn pages_at_once_make_no_customer_twice(bed: Bed) {
    // A second daemon beside the first; SQLite allows only one.
    let other = if bed.store.is_sqlite() { bed.store.clone() } else { crate::common::open(&bed.url).await };
    let mut running = Vec::new();
    for n in 0..12i64 {
        let store = if n % 2 == 0 { bed.store.clone() } else { other.clone() };
        running.push(tokio::spawn(async move {
            let orders = (0..40).map(|c| {
                Record::Order(order(
                    &format!("{n}-{c}"),
                    verified(&c.to_string(), &format!("m{c}@example.com")),
                    n,
                ))
            });
            take(&store, "a", orders.collect()).await.new_customers
        }));
    }
    let mut new = 0;
    for one in running {
        new += one.await.unwrap();
    }
    assert_eq!(new, 40);
    let all = everybody(&bed.store).await;
    assert_eq!(all.len(), 40);
    assert!(all.iter().all(|s| s.orders.len() == 12 && s.mark.seq == 12));
    if !bed.store.is_sqlite() {
        other.close().await;
    }
}

async fn best_sellers_are_in_most_orders_and_can_be_bought(bed: Bed) {
    let product = |id: &str, available| {
        Record::Product(ProductRecord {
            external_id: id.into(),
            title: id.to_uppercase(),
            url: None,
            image_url: None,
            price: None,
            categories: Vec::new(),
            available,
            updated_at: None,
        })
    };
    let bought = |id: &str, minutes, products: &[&str]| OrderRecord {
        lines: products
            .iter()
            .map(|product| LineRecord {
                product: Some((*product).into()),
                title: "x".into(),
                quantity: 9,
                ..LineRecord::default()
            })
            .collect(),
        ..order(id, account("1", "ann@example.com"), minutes)
    };
    let cancelled = OrderRecord { state: OrderState::Cancelled, ..bought("5", 5, &["rare"]) };
    let records = vec![
        product("rare", true),
        product("tea", true),
        product("pot", true),
        product("gone", false),
        product("never", true),
        Record::Order(bought("1", 1, &["tea", "tea", "gone"])),
        Record::Order(bought("2", 2, &["pot", "tea", "gone", "unknown"])),
        // Twice in one order is one order.
        Record::Order(bought("3", 3, &["rare", "rare", "pot"])),
        Record::Order(bought("4", 4, &["gone", "tea"])),
        Record::Order(cancelled),
        // Too old, and too new.
        Record::Order(bought("6", 0, &["rare"])),
        Record::Order(bought("7", 9, &["rare"])),
    ];
    take(&bed.store, "a", records).await;
    let best = async |limit| {
        let found = bed.store.best_sellers(minute(0), minute(8), limit).await.unwrap();
        found.into_iter().map(|p| p.title).collect::<Vec<_>>()
    };
    assert_eq!(best(9).await, ["TEA", "POT", "RARE"]);
    assert_eq!(best(2).await, ["TEA", "POT"]);
}
