//! What learning reads, and what it leaves.

use std::collections::HashMap;

use zyklus_model::{At, FeedbackRecord, LineRecord, OrderRecord, OrderState, Record, Run};
use zyklus_store::{Lesson, Store};

use crate::common::Bed;
use crate::decide::{judged, run};
use crate::ingest::review;
use crate::make::{account, minute, order, take};

on_both![
    purchases_come_customer_by_customer_and_only_those_that_count,
    what_was_learned_last_counts_and_what_was_known_then_can_be_asked,
    only_the_last_word_about_products_is_kept,
    what_is_decided_by_wakes_everybody_with_it,
    what_was_learned_long_ago_is_forgotten_but_for_what_was_in_place,
    what_customers_said_comes_page_by_page,
    each_thing_learned_has_a_past_of_its_own,
    runs_of_some_journeys_come_customer_by_customer,
];

async fn keep(store: &Store, at: At, lesson: Lesson, body: &str) {
    store.keep_learned(at, vec![(lesson, body.to_owned())], false).await.unwrap();
}

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
    assert_eq!(store.learned_by(Lesson::Shop, At::MAX).await.unwrap(), None);
    take(store, "a", vec![Record::Order(order("1", account("1", ""), -9))]).await;
    keep(store, minute(10), Lesson::Shop, "one").await;
    keep(store, minute(20), Lesson::Shop, "two").await;
    keep(store, minute(20), Lesson::Shop, "two, again").await;
    assert_eq!(
        store.learned_by(Lesson::Shop, At::MAX).await.unwrap(),
        Some((minute(20), "two, again".into()))
    );
    let then = store.as_of(minute(19)).await.unwrap();
    assert_eq!(then.learned_until(Lesson::Shop).await.unwrap().pop(), Some((minute(10), "one".into())));
    assert_eq!(store.as_of(minute(9)).await.unwrap().learned_until(Lesson::Shop).await.unwrap().pop(), None);
    let until = async |minutes| {
        let all = store.learned_until(Lesson::Shop, minute(minutes)).await.unwrap();
        all.into_iter().map(|(at, _)| at).collect::<Vec<_>>()
    };
    assert_eq!(until(30).await, [minute(10), minute(20)]);
    assert_eq!(until(10).await, [minute(10)]);
    assert_eq!(until(9).await, []);
    assert_eq!(store.learned_by(Lesson::Shop, minute(19)).await.unwrap(), Some((minute(10), "one".into())));
}

async fn only_the_last_word_about_products_is_kept(bed: Bed) {
    let store = &bed.store;
    let goods = async || store.learned_by(Lesson::Goods, At::MAX).await.unwrap();
    assert_eq!(goods().await, None);
    let both = |shop: &str, goods: &str| vec![(Lesson::Shop, shop.into()), (Lesson::Goods, goods.into())];
    store.keep_learned(minute(2), both("y", "tea"), false).await.unwrap();
    // Learned by somebody whose clock is behind: the products are theirs, the shop's figures are those of later.
    store.keep_learned(minute(1), both("x", "pots"), false).await.unwrap();
    assert_eq!(goods().await, Some((minute(1), "pots".into())));
    assert_eq!(store.learned_at(Lesson::Shop, At::MAX).await.unwrap(), Some(minute(2)));
    store.keep_learned(minute(3), both("z", ""), false).await.unwrap();
    assert_eq!(goods().await, Some((minute(3), String::new())));
}

async fn what_is_decided_by_wakes_everybody_with_it(bed: Bed) {
    let store = &bed.store;
    judged(store, 3, |_, d| d.revisit_at = Some(minute(500))).await;
    assert_eq!(store.customers_due(minute(30), 9).await.unwrap(), []);
    keep(store, minute(29), Lesson::Voice, "nobody asks").await;
    assert_eq!(store.customers_due(minute(30), 9).await.unwrap(), []);
    store.keep_learned(minute(30), vec![(Lesson::Shop, "news".into())], true).await.unwrap();
    assert_eq!(store.customers_due(minute(30), 9).await.unwrap().len(), 3);
}

async fn what_was_learned_long_ago_is_forgotten_but_for_what_was_in_place(bed: Bed) {
    let store = &bed.store;
    take(store, "a", vec![Record::Order(order("1", account("1", ""), -9))]).await;
    let day = |days: i64| minute(days * 24 * 60);
    for days in [1, 2, 3, 50] {
        keep(store, day(days), Lesson::Shop, &format!("of day {days}")).await;
    }
    store.housekeep(day(40), 30).await.unwrap();
    let then = store.as_of(day(10)).await.unwrap();
    assert_eq!(then.learned_until(Lesson::Shop).await.unwrap().pop(), Some((day(3), "of day 3".into())));
    store.housekeep(day(33), 30).await.unwrap();
    assert_eq!(
        store.as_of(day(10)).await.unwrap().learned_until(Lesson::Shop).await.unwrap().pop().unwrap().0,
        day(3)
    );
    assert_eq!(store.learned_by(Lesson::Shop, At::MAX).await.unwrap().unwrap().0, day(50));
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

async fn each_thing_learned_has_a_past_of_its_own(bed: Bed) {
    let store = &bed.store;
    take(store, "a", vec![Record::Order(order("1", account("1", ""), -9))]).await;
    let day = |days: i64| minute(days * 24 * 60);
    for (days, body) in [(3, "three"), (1, "one"), (50, "fifty"), (3, "three, again")] {
        keep(store, day(days), Lesson::Shares, body).await;
    }
    for (days, body) in [(2, "tea"), (30, "tea and pots"), (45, "pots")] {
        keep(store, day(days), Lesson::Pairings, body).await;
    }
    // What mails need of the products has none.
    keep(store, day(46), Lesson::Goods, "of day 46").await;
    for days in [1, 2, 50] {
        keep(store, day(days), Lesson::Voice, &format!("of day {days}")).await;
    }
    assert_eq!(store.learned_at(Lesson::Shop, At::MAX).await.unwrap(), None);
    assert_eq!(store.learned_at(Lesson::Shares, At::MAX).await.unwrap(), Some(day(50)));
    let all = async |lesson| store.learned_until(lesson, day(60)).await.unwrap();
    let shares =
        [(1, "one"), (3, "three, again"), (50, "fifty")].map(|(at, body)| (day(at), body.to_owned()));
    assert_eq!(all(Lesson::Shares).await, shares);
    assert_eq!(store.learned_by(Lesson::Voice, At::MAX).await.unwrap(), Some((day(50), "of day 50".into())));
    store.housekeep(day(40), 30).await.unwrap();
    assert_eq!(all(Lesson::Shares).await, shares[1..], "what held at the border is still asked for");
    let then = store.as_of(day(10)).await.unwrap();
    assert_eq!(then.learned_until(Lesson::Shares).await.unwrap().pop(), Some(shares[1].clone()));
    assert_eq!(then.learned_until(Lesson::Voice).await.unwrap().pop(), Some((day(2), "of day 2".into())));
    assert_eq!(then.learned_until(Lesson::Pairings).await.unwrap(), [(day(2), "tea".to_owned())]);
    let days: Vec<At> = all(Lesson::Pairings).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(days, [2, 30, 45].map(day));
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
