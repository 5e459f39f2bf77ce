//! What the first learning of a connected shop does, in the daemon's order: sync, decide, learn, decide. Sends nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;

use zyklus_host::{ConfigOptions, Registry};
use zyklus_model::{
    At, Channel, ConsentRecord, ConsentState, Currency, CustomerRef, LegalBasis, LineRecord, Money,
    OrderRecord, Origin, ProductRecord, Purpose, Rates, Record,
};
use zyklus_runtime::learn::{learn_if_due, put_learned_over};
use zyklus_runtime::{
    Project, RuntimeError, book_as_of, book_for_reading, evaluate, learn, prepare, starter_files,
};
use zyklus_store::{Ingest, Lesson, OpenOptions, Store};

const DAY: i64 = 86_400;
/// 2026-06-30, noon.
const NOW: i64 = 1_782_820_800;

fn ago(days: i64) -> At {
    At::from_seconds(NOW - days * DAY)
}

/// Customers who buy at paces of their own and, most of them, stop some time; all of them may be written to.
fn history() -> Vec<Record> {
    let mut state = 11u64;
    let mut roll = move |end: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % end.unsigned_abs()).cast_signed()
    };
    let mut records = Vec::new();
    for number in 0..700 {
        let email = format!("c{number}@customer.example");
        let customer =
            CustomerRef { external_id: Some(number.to_string()), email: Some(email), email_verified: true };
        let (mut day, pace, loyal) = (30 + roll(600), 10 + roll(70), roll(100));
        records.push(Record::Consent(ConsentRecord {
            customer: customer.clone(),
            channel: Channel::Email,
            purpose: Purpose::Marketing,
            state: ConsentState::Granted,
            basis: LegalBasis::Consent,
            at: ago(day),
            undated: false,
            evidence: serde_json::Value::Null,
        }));
        for order in 0.. {
            let total = Money::new(1_000 + roll(5_000), Currency::EUR);
            let id = format!("{number}-{order}");
            records.push(Record::Order(OrderRecord::placed(id, customer.clone(), ago(day), total)));
            day -= 1 + roll(2 * pace);
            if day <= 0 || roll(100) > 40 + loyal / 2 {
                break;
            }
        }
    }
    records
}

fn project(dir: &Path) -> Project {
    for (path, bytes) in starter_files() {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let shop = "[shop]\nname = \"Teehaus\"\nurl = \"https://teehaus.example\"\ncurrency = \"EUR\"\n\
                locale = \"de\"\ntime_zone = \"Europe/Berlin\"\nlegal_name = \"Teehaus GmbH\"\n\
                address_lines = [\"Am Markt 1\", \"20095 Hamburg\"]\nemail = \"hallo@teehaus.example\"\n";
    std::fs::write(dir.join("zyklus.toml"), shop).unwrap();
    Project::load(&dir.join("zyklus.toml"), &Registry::new(), &ConfigOptions::new(dir)).unwrap()
}

async fn bed(dir: &tempfile::TempDir) -> (Store, Project) {
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    let store = Store::open(&url, OpenOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    let ingest = Ingest::of("shop", "all", history(), Origin::History, ago(0), Rates::only(Currency::EUR));
    store.ingest(ingest).await.unwrap();
    (store, project(dir.path()))
}

async fn phases(store: &Store) -> BTreeMap<String, u64> {
    let ids = store.customer_ids(None, 10_000).await.unwrap();
    let mut phases = BTreeMap::new();
    for snapshot in store.snapshots(&ids).await.unwrap() {
        assert!(snapshot.runs.is_empty() && snapshot.deliveries.is_empty(), "{:?}", snapshot.runs);
        *phases.entry(snapshot.phase.unwrap().phase).or_default() += 1;
    }
    phases
}

/// Moves that come of the measure alone were taken for the customers' doing: everybody who was found to be at risk by
/// the first model was written to.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_learning_moves_customers_and_starts_no_journey() {
    let dir = tempfile::tempdir().unwrap();
    let (store, project) = bed(&dir).await;
    let book = prepare(&store, &project, ago(0), true).await.unwrap();
    evaluate(&store, &book, ago(0), &|_| {}).await.unwrap();
    let by_days = phases(&store).await;

    let learned_at = ago(0).plus_seconds(60);
    assert!(learn(&store, &project, learned_at).await.unwrap().unwrap().is_kept);
    let later = learned_at.plus_seconds(20);
    // Who still has the book of before is told so, instead of judging anybody by it.
    let outdated = evaluate(&store, &book, later, &|_| {}).await;
    assert!(matches!(outdated, Err(RuntimeError::Outdated)), "{outdated:?}");
    let book = prepare(&store, &project, later, true).await.unwrap();
    assert!(book.learned.last().unwrap().1.is_telling());
    let moved = evaluate(&store, &book, later, &|_| {}).await.unwrap();
    assert_eq!((moved.evaluated, moved.started, moved.deliveries), (700, 0, 0));
    let by_model = phases(&store).await;
    assert!(moved.moves > 50 && by_model != by_days, "{by_days:?} {by_model:?}");

    // Who crosses the line afterwards is at risk by what happened, or did not, and that is answered.
    let mut started = 0;
    for day in 1..60 {
        started += evaluate(&store, &book, later.plus_days(day), &|_| {}).await.unwrap().started;
    }
    assert!(started > 10, "{started}");
    store.close().await;
}

/// So many pairs of products go together.
const PAIRS: u32 = 20;

fn product(number: u32, available: bool, at: At) -> Record {
    Record::Product(ProductRecord {
        external_id: format!("p{number}"),
        title: format!("Product {number}"),
        url: None,
        image_url: None,
        price: None,
        categories: Vec::new(),
        available,
        updated_at: Some(at),
    })
}

/// Two customers bought both of each pair, and somebody one of the first.
fn shop_of_pairs() -> Vec<Record> {
    let order = |number: u32, products: &[u32]| {
        let email = format!("b{number}@customer.example");
        let customer =
            CustomerRef { external_id: Some(number.to_string()), email: Some(email), email_verified: true };
        let total = Money::new(1_000, Currency::EUR);
        let line = |product: &u32| LineRecord {
            product: Some(format!("p{product}")),
            title: "x".into(),
            quantity: 1,
            ..LineRecord::default()
        };
        let lines = products.iter().map(line).collect();
        let placed = OrderRecord::placed(number.to_string(), customer, ago(90), total);
        Record::Order(OrderRecord { lines, ..placed })
    };
    let mut records: Vec<Record> = (0..2 * PAIRS).map(|n| product(n, true, ago(95))).collect();
    records.extend((0..2 * PAIRS).map(|n| order(n, &[n / 2 * 2, n / 2 * 2 + 1])));
    records.push(order(1_000, &[0]));
    records
}

async fn take(store: &Store, records: Vec<Record>, at: At) {
    let ingest = Ingest::of("shop", "all", records, Origin::History, at, Rates::only(Currency::EUR));
    store.ingest(ingest).await.unwrap();
}

/// When what goes together was learned, of all that is kept.
async fn kept(store: &Store) -> Vec<At> {
    let all = store.learned_until(Lesson::Pairings, At::MAX).await.unwrap();
    all.into_iter().map(|(at, _)| at).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_together_is_learned_for_whoever_asks_and_has_a_past() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    let store = Store::open(&url, OpenOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    let deaf = project(&dir.path().join("deaf"));
    let folder = dir.path().join("asking");
    std::fs::create_dir_all(folder.join("playbooks")).unwrap();
    let journey = "[journeys.j]\nlabel = { en = \"J\" }\nstart = { segment = \"recommend.count >= 1\" }\n\
                   steps = [{ tag = \"ideas\" }]\n";
    std::fs::write(folder.join("playbooks/90-ideas.toml"), journey).unwrap();
    let asking = project(&folder);
    take(&store, shop_of_pairs(), ago(90)).await;

    // Nobody asks, and nothing is kept but what mails need.
    learn(&store, &deaf, ago(89)).await.unwrap();
    assert_eq!(kept(&store).await, []);
    assert!(prepare(&store, &deaf, ago(88), true).await.unwrap().pairings.is_empty());
    // Whoever looks at what a folder that asks would do sees what its daemon begins with.
    let seen = book_for_reading(&store, &asking).await.unwrap();
    assert_eq!((kept(&store).await, seen.pairings.len(), seen.pairings[0].0), (vec![], 1, ago(89)));
    let book = prepare(&store, &asking, ago(88), true).await.unwrap();
    assert_eq!((kept(&store).await, book.pairings.len()), (vec![ago(88)], 1));
    assert_eq!(book.pairings[0].1, seen.pairings[0].1);
    let first = evaluate(&store, &book, ago(88), &|_| {}).await.unwrap();
    assert_eq!((first.evaluated, first.started), (u64::from(2 * PAIRS + 1), 0));

    // Nights pass, and it stays; one product less of forty is no news, five are.
    let mut book = std::sync::Arc::new(book);
    for days in (81..88).rev() {
        book = learn_if_due(&store, &asking, &book, ago(days)).await.unwrap();
    }
    take(&store, vec![product(39, false, ago(80))], ago(80)).await;
    book = learn_if_due(&store, &asking, &book, ago(79)).await.unwrap();
    assert_eq!(kept(&store).await, [ago(88)]);
    take(&store, (35..40).map(|n| product(n, false, ago(78))).collect(), ago(78)).await;
    let before = std::sync::Arc::clone(&book);
    book = learn_if_due(&store, &asking, &book, ago(77)).await.unwrap();
    assert_eq!(kept(&store).await, [ago(88), ago(77)]);
    // Who still has the book of before is told so, and everybody is due.
    let outdated = evaluate(&store, &before, ago(77), &|_| {}).await;
    assert!(matches!(outdated, Err(RuntimeError::Outdated)), "{outdated:?}");
    let moved = evaluate(&store, &book, ago(77), &|_| {}).await.unwrap();
    assert_eq!((moved.evaluated, moved.started), (u64::from(2 * PAIRS + 1), 0));

    // Four weeks are up, three times; of the past, books have what can still be asked of them.
    for days in (0..77).rev() {
        book = learn_if_due(&store, &asking, &book, ago(days)).await.unwrap();
    }
    let all = [88, 77, 49, 21].map(ago);
    assert_eq!(kept(&store).await, all);
    let known = |book: &zyklus_engine::Book| book.pairings.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(known(&book), all[1..]);
    let past = store.as_of(ago(60)).await.unwrap();
    assert_eq!(known(&book_as_of(&past, &asking).await.unwrap().0), all[..2]);

    // A backtest has all of them, and before the first what the orders would have taught.
    let mut replayed = [asking.book.clone(), deaf.book.clone()];
    put_learned_over(&store, &mut replayed, (ago(150), ago(30))).await.unwrap();
    assert_eq!(known(&replayed[0]), [150, 122, 94, 88, 77, 49].map(ago));
    let count = |lesson: usize| {
        let bought = zyklus_insight::recommend::Bought { system: "shop", product: "p0", day: 0 };
        replayed[0].pairings[lesson].1.count([bought])
    };
    assert_eq!([0, 1, 2, 3].map(count), [0, 0, 0, 1]);
    store.close().await;
}
