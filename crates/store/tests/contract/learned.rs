//! What learning reads, and what it leaves.

use std::collections::HashMap;

use zyklus_model::{FeedbackRecord, LineRecord, OrderRecord, OrderState, Record, Run};

use crate::common::Bed;
use crate::decide::{judged, run};
use crate::ingest::review;
use crate::make::{account, minute, order, take};

on_both![
    purchases_come_customer_by_customer_and_only_those_that_count,
    what_was_learned_last_counts_and_what_was_known_then_can_be_asked,
    only_the_last_word_about_products_is_kept,
    what_was_learned_long_ago_is_forgotten_but_for_what_was_in_place,
    what_customers_said_comes_page_by_page,
    how_customers_praise_is_kept_beside_what_they_buy,
    shares_hold_from_their_instant_on_until_others_do,
    runs_of_some_journeys_come_customer_by_customer,
];

async fn purchases_come_customer_by_customer_and_only_those_that_count(bed: Bed) {
    let line = |product: Option<&str>, quantity| LineRecord {
        product: product.map(str::to_owned),
        title: "x".into(),
        quantity,
        ..LineRecord::default()
    };
    let bought = |id: &str, who: &str, minutes| OrderRecord {
        lines: vec![line(Some("tea"), 2), line(None, 1), line(Some("pot"), 1)],
        ..order(id, account(who, ""), minutes)
    };
    let mut records: Vec<Record> =
        (0..9i64).map(|n| Record::Order(bought(&n.to_string(), &(n % 3).to_string(), -n))).collect();
    let cancelled = OrderRecord { state: OrderState::Cancelled, ..bought("c", "0", -20) };
    records.extend([Record::Order(cancelled), Record::Order(bought("later", "1", 7))]);
    take(&bed.store, "a", records).await;

    let (mut after, mut found) = (None, Vec::new());
    loop {
        let some = bed.store.purchases_page(minute(0), after, 2).await.unwrap();
        let Some(last) = some.last() else { break };
        after = Some((last.customer, last.id));
        found.extend(some);
    }
    assert_eq!(found.len(), 9, "{found:#?}");
    let mut of: HashMap<_, Vec<usize>> = HashMap::new();
    for (place, purchase) in found.iter().enumerate() {
        of.entry(purchase.customer).or_default().push(place);
        assert_eq!((purchase.net_reporting, purchase.system.as_str()), (Some(1000), "a"));
        assert_eq!(purchase.products, [("tea".to_owned(), 2), ("pot".to_owned(), 1)]);
    }
    assert_eq!(of.len(), 3);
    assert!(of.values().all(|places| places[2] - places[0] == 2), "a customer's come together: {of:?}");
}

async fn what_was_learned_last_counts_and_what_was_known_then_can_be_asked(bed: Bed) {
    let store = &bed.store;
    assert_eq!(store.learned().await.unwrap(), None);
    take(store, "a", vec![Record::Order(order("1", account("1", ""), -9))]).await;
    store.keep_learned(minute(10), "one".into(), String::new()).await.unwrap();
    store.keep_learned(minute(20), "two".into(), String::new()).await.unwrap();
    store.keep_learned(minute(20), "two, again".into(), String::new()).await.unwrap();
    assert_eq!(store.learned().await.unwrap(), Some((minute(20), "two, again".into())));
    let then = store.as_of(minute(19)).await.unwrap();
    assert_eq!(then.learned().await.unwrap(), Some((minute(10), "one".into())));
    assert_eq!(store.as_of(minute(9)).await.unwrap().learned().await.unwrap(), None);
    let between = async |from, to| {
        let all = store.learned_between(minute(from), minute(to)).await.unwrap();
        all.into_iter().map(|(at, _)| at).collect::<Vec<_>>()
    };
    assert_eq!(between(12, 30).await, [minute(10), minute(20)]);
    assert_eq!(between(10, 19).await, [minute(10)]);
    assert_eq!(between(5, 15).await, [minute(10)]);
    assert_eq!(between(25, 30).await, [minute(20)]);
    assert_eq!(between(1, 9).await, []);
}

async fn only_the_last_word_about_products_is_kept(bed: Bed) {
    let store = &bed.store;
    assert_eq!((store.learned_at().await.unwrap(), store.learned_goods().await.unwrap()), (None, None));
    store.keep_learned(minute(2), "y".into(), "tea".into()).await.unwrap();
    // Learned by somebody whose clock is behind: the products are theirs, the shop's figures are those of later.
    store.keep_learned(minute(1), "x".into(), "pots".into()).await.unwrap();
    assert_eq!(store.learned_goods().await.unwrap(), Some((minute(1), "pots".into())));
    assert_eq!(store.learned_at().await.unwrap(), Some(minute(2)));
    store.keep_learned(minute(3), "z".into(), String::new()).await.unwrap();
    assert_eq!(store.learned_goods().await.unwrap(), Some((minute(3), String::new())));
}

async fn what_was_learned_long_ago_is_forgotten_but_for_what_was_in_place(bed: Bed) {
    let store = &bed.store;
    take(store, "a", vec![Record::Order(order("1", account("1", ""), -9))]).await;
    let day = |days: i64| minute(days * 24 * 60);
    for days in [1, 2, 3, 50] {
        store.keep_learned(day(days), format!("of day {days}"), String::new()).await.unwrap();
    }
    store.housekeep(day(40), 30).await.unwrap();
    let then = store.as_of(day(10)).await.unwrap();
    assert_eq!(then.learned().await.unwrap(), Some((day(3), "of day 3".into())));
    store.housekeep(day(33), 30).await.unwrap();
    assert_eq!(store.as_of(day(10)).await.unwrap().learned().await.unwrap().unwrap().0, day(3));
    assert_eq!(store.learned().await.unwrap().unwrap().0, day(50));
}

async fn what_customers_said_comes_page_by_page(bed: Bed) {
    let said = |n: i64| FeedbackRecord {
        customer: account(&(n % 3).to_string(), ""),
        text: (n % 2 == 0).then(|| format!("text {n}")),
        at: minute(n - 9),
        ..review(&n.to_string(), (n % 5 + 1) as f64)
    };
    take(&bed.store, "a", (0..12).map(|n| Record::Feedback(said(n))).collect()).await;

    let (mut after, mut found) = (None, Vec::new());
    loop {
        let some = bed.store.feedback_page(minute(0), after, 4).await.unwrap();
        let Some((customer, last)) = some.last() else { break };
        after = Some((*customer, last.id));
        found.extend(some);
    }
    // What is said later than the instant asked for is left out.
    assert_eq!(found.len(), 10);
    let customers: Vec<_> = found.iter().map(|(customer, _)| *customer).collect();
    let mut together = customers.clone();
    together.dedup();
    assert_eq!(together.len(), 3, "a customer's come together: {customers:?}");
    let mut said_then: Vec<_> = found.iter().map(|(_, f)| (f.at, f.score, f.text.clone())).collect();
    said_then.sort_by_key(|(at, _, _)| *at);
    let expected: Vec<_> = (0..10).map(said).map(|record| (record.at, record.score, record.text)).collect();
    assert_eq!(said_then, expected);
}

async fn how_customers_praise_is_kept_beside_what_they_buy(bed: Bed) {
    let store = &bed.store;
    take(store, "a", vec![Record::Order(order("1", account("1", ""), -9))]).await;
    assert_eq!((store.voice().await.unwrap(), store.voice_at().await.unwrap()), (None, None));
    let day = |days: i64| minute(days * 24 * 60);
    for days in [1, 2, 50] {
        store.keep_voice(day(days), format!("of day {days}")).await.unwrap();
    }
    store.keep_voice(day(50), "of day 50, again".into()).await.unwrap();
    assert_eq!(store.voice().await.unwrap(), Some((day(50), "of day 50, again".into())));
    assert_eq!(store.voice_at().await.unwrap(), Some(day(50)));
    assert_eq!(store.learned_at().await.unwrap(), None);
    store.housekeep(day(40), 30).await.unwrap();
    let then = store.as_of(day(10)).await.unwrap();
    assert_eq!(then.voice().await.unwrap(), Some((day(2), "of day 2".into())));
}

async fn shares_hold_from_their_instant_on_until_others_do(bed: Bed) {
    let store = &bed.store;
    assert_eq!((store.shares_at().await.unwrap(), store.all_shares().await.unwrap()), (None, vec![]));
    take(store, "a", vec![Record::Order(order("1", account("1", ""), -9))]).await;
    let day = |days: i64| minute(days * 24 * 60);
    for (days, body) in [(3, "three"), (1, "one"), (50, "fifty"), (3, "three, again")] {
        store.keep_shares(day(days), body).await.unwrap();
    }
    assert_eq!(store.shares_at().await.unwrap(), Some(day(50)));
    let three = (day(3), "three, again".to_owned());
    let all = [(day(1), "one".to_owned()), three.clone(), (day(50), "fifty".to_owned())];
    assert_eq!(store.all_shares().await.unwrap(), all);
    assert_eq!(store.shares_by(day(1).plus_micros(-1)).await.unwrap(), None);
    assert_eq!(store.shares_by(day(3)).await.unwrap(), Some(three.clone()));
    assert_eq!(store.as_of(day(49)).await.unwrap().shares().await.unwrap(), Some(three.clone()));
    store.housekeep(day(40), 30).await.unwrap();
    assert_eq!(
        store.all_shares().await.unwrap(),
        [three, all[2].clone()],
        "what held at the border is still asked for"
    );
}

async fn runs_of_some_journeys_come_customer_by_customer(bed: Bed) {
    let store = &bed.store;
    judged(store, 4, |s, d| {
        d.runs = ["j", "k", "l"].map(|j| Run { journey: j.into(), ..run(s, j, minute(1)) }).to_vec();
    })
    .await;
    assert_eq!(store.runs_of_page(&[], None, 9).await.unwrap(), []);
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let some = store.runs_of_page(&["l", "j", "x"], after, 3).await.unwrap();
        let Some(last) = some.last() else { break };
        after = Some((last.customer, last.id));
        found.extend(some);
    }
    let all = store.runs_page(None, 99).await.unwrap();
    assert_eq!(all.len(), 12);
    assert_eq!(found, all.into_iter().filter(|run| run.journey != "k").collect::<Vec<_>>());
}
