//! What the first learning of a connected shop does, in the daemon's order: sync, decide, learn, decide. Sends nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;

use zyklus_host::{ConfigOptions, Registry};
use zyklus_model::{
    At, Channel, ConsentRecord, ConsentState, Currency, CustomerRef, LegalBasis, Money, OrderRecord, Origin,
    Purpose, Rates, Record,
};
use zyklus_runtime::{Project, RuntimeError, evaluate, learn, prepare, starter_files};
use zyklus_store::{Ingest, OpenOptions, Store};

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
