//! Experiments on a store: a journey with a better way, lived day by day. Its share grows, the same runs give the same
//! shares, and who has a way keeps it. Sends nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use zyklus_engine::experiment::{Drawn, How, SplitShares, WHOLE};
use zyklus_engine::{Book, Lifecycle, Playbook, Settings};
use zyklus_model::{At, Currency, CustomerRef, EventRecord, Money, OrderRecord, Origin, Rates, Record, Run};
use zyklus_runtime::experiments::{experiment, last_shares, learn_shares};
use zyklus_runtime::{evaluate, starter_files};
use zyklus_store::{Ingest, OpenOptions, Store};

fn day(day: i64) -> At {
    At::from_seconds(1_780_000_000).plus_days(day)
}

fn book(split: &str) -> Book {
    let files: BTreeMap<String, Vec<u8>> = starter_files().into_iter().collect();
    let text = std::str::from_utf8(&files["lifecycles/ecommerce.toml"]).unwrap();
    let (lifecycle, _) = Lifecycle::parse("ecommerce", "lifecycles/ecommerce.toml", text).unwrap();
    let journey = format!(
        "[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"order.placed\" }}\n\
         goal = {{ when = \"event.name == 'order.placed'\", within = \"10d\" }}\n\
         steps = [{{ split = \"s\", {split}, ways = [{{ name = \"plain\", weight = 3, steps = [{{ tag = \"plain\" }}] }}, \
         {{ name = \"good\", steps = [{{ tag = \"good\" }}] }}] }}]\n"
    );
    let (playbook, _) = Playbook::parse("playbooks/p.toml", &journey, &BTreeMap::new()).unwrap();
    let mut book = Book::assemble(lifecycle, vec![playbook], Settings::default(), 2).unwrap();
    book.active_from = book.journeys.iter().map(|journey| (journey.root().to_owned(), day(-1))).collect();
    book
}

struct Shop {
    store: Store,
    book: Book,
    _dir: tempfile::TempDir,
}

impl Shop {
    async fn open(split: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
        let store = Store::open(&url, OpenOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        Shop { store, book: book(split), _dir: dir }
    }

    async fn take(&self, records: Vec<Record>, at: At) {
        let ingest = Ingest::of("shop", "orders", records, Origin::Live, at, Rates::only(Currency::EUR));
        self.store.ingest(ingest).await.unwrap();
        evaluate(&self.store, &self.book, at, &|_| {}).await.unwrap();
    }

    /// All runs, with the number of the customer and the way.
    async fn runs(&self) -> Vec<(u32, Run, Drawn)> {
        let runs = self.store.runs_page(None, 100_000).await.unwrap();
        let taken = runs.into_iter().map(|run| {
            let number = run.event["order_id"].as_str().unwrap().split('-').next().unwrap().parse().unwrap();
            let drawn = Drawn::parse(&run.acted[0].1).unwrap();
            (number, run, drawn)
        });
        taken.collect()
    }

    /// Customers with these numbers place their first order on a day, and do the next day what `then` says of their way.
    async fn live(&self, numbers: std::ops::Range<u32>, on: i64, then: impl Fn(u32, &str) -> Option<Record>) {
        self.take(numbers.clone().map(|n| order(n, "1", 3_000, day(on))).collect(), day(on)).await;
        let runs = self.runs().await;
        let theirs = runs.iter().filter(|(n, ..)| numbers.contains(n));
        let records = theirs.filter_map(|(n, _, drawn)| then(*n, &drawn.way)).collect();
        self.take(records, day(on + 1)).await;
    }

    async fn split(&self, on: i64) -> Option<SplitShares> {
        let shares = experiment(&self.store, &self.book, day(on)).await.unwrap();
        shares.splits.into_iter().next()
    }
}

fn customer(number: u32) -> CustomerRef {
    let email = Some(format!("c{number}@customer.example"));
    CustomerRef { external_id: Some(number.to_string()), email, email_verified: true }
}

fn order(number: u32, which: &str, minor: i64, at: At) -> Record {
    let (id, total) = (format!("{number}-{which}"), Money::new(minor, Currency::EUR));
    Record::Order(OrderRecord::placed(id, customer(number), at.plus_seconds(-60), total))
}

/// Six of ten of those who went the good way do it, two of ten of the others.
fn does(number: u32, way: &str) -> bool {
    number % 10 < if way == "good" { 6 } else { 2 }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_better_way_gets_the_larger_share_and_nobody_changes_theirs() {
    let mut shop = Shop::open("learn = \"goal\"").await;
    shop.live(0..200, 0, |n, way| does(n, way).then(|| order(n, "2", 2_000, day(1)))).await;
    let before = shop.runs().await;
    let written = |way: &str| How::Written(if way == "good" { 2_500 } else { 7_500 });
    assert!(before.iter().all(|(.., drawn)| drawn.how == written(&drawn.way)));
    assert_eq!(shop.split(9).await, None, "no window is over");

    let split = shop.split(11).await.unwrap();
    let ways: BTreeMap<&str, _> = split.ways.iter().map(|way| (way.name.as_str(), way)).collect();
    let counted = |way: &str, hit: bool| {
        let theirs = before.iter().filter(|(n, _, drawn)| drawn.way == way && (!hit || does(*n, way)));
        theirs.count() as u64
    };
    for way in ["plain", "good"] {
        let found = ways[way];
        assert_eq!((found.runs, found.hits), (counted(way, false), counted(way, true)));
        let rate = found.rate.unwrap();
        let expected = found.hits as f64 / found.runs as f64;
        assert!((rate.value - expected).abs() < 1e-9 && rate.low < expected && expected < rate.high);
    }
    assert!(ways["good"].share > 9_000 && ways["good"].best > 0.99, "{ways:?}");
    assert_eq!((ways["plain"].share + ways["good"].share, split.more_runs), (WHOLE, Some(0)));
    assert!(ways["plain"].share >= 500, "so that learning goes on: {ways:?}");
    assert_eq!(shop.split(11).await, Some(split));

    assert_eq!(learn_shares(&shop.store, &shop.book, day(11)).await.unwrap(), 1);
    let kept = last_shares(&shop.store).await.unwrap().unwrap();
    assert_eq!(kept.0, day(11));
    assert_eq!(learn_shares(&shop.store, &shop.book, day(12)).await.unwrap(), 1);
    assert_eq!(last_shares(&shop.store).await.unwrap().unwrap(), kept, "the same shares hold on");

    shop.book.shares = [kept].into();
    shop.live(200..400, 12, |_, _| None).await;
    let after = shop.runs().await;
    assert_eq!(after.iter().filter(|(n, ..)| *n < 200).count(), before.len());
    for (number, run, drawn) in &before {
        let (_, now, taken) = after.iter().find(|(n, ..)| n == number).unwrap();
        assert_eq!((&now.acted, taken), (&run.acted, drawn));
    }
    let new: Vec<_> = after.iter().filter(|(n, ..)| *n >= 200).collect();
    let to_good = new.iter().filter(|(.., drawn)| drawn.way == "good").count();
    assert!(new.iter().all(|(.., drawn)| matches!(drawn.how, How::Learned(_))));
    assert!(new.len() == 200 && to_good > 170, "{to_good} of {}", new.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_week_is_not_taken_for_a_good_way() {
    let mut shop = Shop::open("learn = \"goal\"").await;
    // Both ways are alike. In a bad week, in which nobody does anything, few go the good way; in a good week nearly all.
    shop.live(0..200, 0, |_, _| None).await;
    let mut split = shop.split(11).await.unwrap();
    for way in &mut split.ways {
        way.share = if way.name == "good" { 9_000 } else { 1_000 };
    }
    let shares = zyklus_engine::experiment::Shares { splits: vec![split] };
    shop.book.shares = [(day(11), std::sync::Arc::new(shares))].into();
    shop.live(200..400, 12, |n, _| (n % 2 == 0).then(|| order(n, "2", 2_000, day(13)))).await;
    let found = shop.split(23).await.unwrap();
    let rate = |name: &str| found.ways.iter().find(|way| way.name == name).unwrap();
    let (plain, good) = (rate("plain"), rate("good"));
    let raw = |way: &zyklus_engine::experiment::WayShare| way.hits as f64 / way.runs as f64;
    assert!(raw(good) - raw(plain) > 0.2, "counted alike, the good way looks far better: {found:?}");
    let weighed = good.rate.unwrap().value - plain.rate.unwrap().value;
    assert!(weighed.abs() < 0.15, "weighed, hardly: {weighed} {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_the_value_of_orders_are_learned_by_too() {
    let click = |n: u32| {
        Record::Event(EventRecord {
            external_id: Some(n.to_string()),
            name: "page.liked".to_owned(),
            at: day(1).plus_seconds(-60),
            customer: customer(n),
            data: serde_json::Map::new(),
        })
    };
    let shop = Shop::open("learn = { event = \"page.liked\", within = \"5d\" }").await;
    shop.live(0..200, 0, |n, way| does(n, way).then(|| click(n))).await;
    let split = shop.split(6).await.unwrap();
    let good = split.ways.iter().find(|way| way.name == "good").unwrap();
    assert!(good.share > 9_000 && good.hits * 2 > good.runs, "{split:?}");

    let shop = Shop::open("learn = { orders = \"value\", within = \"5d\" }").await;
    // As many order, but those of the good way for more.
    let worth = |way: &str| if way == "good" { 9_000 } else { 1_000 };
    let again =
        |n: u32, way: &str| n.is_multiple_of(2).then(|| order(n, "2", worth(way) + i64::from(n), day(1)));
    shop.live(0..200, 0, again).await;
    let split = shop.split(6).await.unwrap();
    let good = split.ways.iter().find(|way| way.name == "good").unwrap();
    assert!(good.share > 9_000, "{split:?}");
    let value = good.value.unwrap();
    assert!(value.low < value.value && (3_000.0..6_500.0).contains(&value.value), "{value:?}");
}
