//! Deciding for many at once on a store: what one customer's panic does to the others, and what `plan` says when the
//! holdout of all marketing is drawn anew. Sends nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use zyklus_engine::{Book, Lifecycle, Playbook, Settings};
use zyklus_model::{At, Currency, CustomerRef, Money, OrderRecord, Origin, Rates, Record};
use zyklus_runtime::{Plan, PlannedNew, Window, backtest, evaluate, plan, plan_from, starter_files};
use zyklus_store::{Ingest, OpenOptions, Store};

fn at(seconds: i64) -> At {
    At::from_seconds(1_780_000_000 + seconds)
}

fn book(playbook: &str, settings: Settings) -> Book {
    let files: BTreeMap<String, Vec<u8>> = starter_files().into_iter().collect();
    let text = std::str::from_utf8(&files["lifecycles/ecommerce.toml"]).unwrap();
    let (lifecycle, _) = Lifecycle::parse("ecommerce", "lifecycles/ecommerce.toml", text).unwrap();
    let (playbook, _) = Playbook::parse("playbooks/p.toml", playbook, &BTreeMap::new()).unwrap();
    let mut book = Book::assemble(lifecycle, vec![playbook], settings, 2).unwrap();
    book.active_from = book.journeys.iter().map(|journey| (journey.root().to_owned(), at(-100))).collect();
    book
}

async fn store(dir: &tempfile::TempDir) -> Store {
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    let store = Store::open(&url, OpenOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// Somebody buys for so much, just now.
fn order(name: &str, minor: i64) -> Record {
    let email = Some(format!("{name}@customer.example"));
    let customer = CustomerRef { external_id: Some(name.to_owned()), email, email_verified: true };
    Record::Order(OrderRecord::placed(name, customer, at(-10), Money::new(minor, Currency::EUR)))
}

async fn take(store: &Store, records: Vec<Record>) {
    let ingest = Ingest::of("shop", "orders", records, Origin::Live, at(-5), Rates::only(Currency::EUR));
    store.ingest(ingest).await.unwrap();
}

/// Everybody who carries a label.
async fn tagged(store: &Store, tag: &str) -> BTreeSet<String> {
    let ids = store.customer_ids(None, 10_000).await.unwrap();
    let everybody = store.snapshots(&ids).await.unwrap();
    let is_tagged = |s: &&zyklus_model::Snapshot| s.tags.iter().any(|t| t.tag == tag);
    everybody.iter().filter(is_tagged).map(|s| s.orders[0].number.clone()).collect()
}

const TWO: &str = r#"
[journeys.poison]
label = { en = "Poison" }
start = { event = "order.placed", where = "event.total > 100.0" }
steps = [{ wait = "0s" }, { tag = "big" }]

[journeys.plain]
label = { en = "Plain" }
start = { event = "order.placed" }
steps = [{ tag = "seen" }]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whose_decision_panics_is_set_aside_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    take(&store, vec![order("ann", 3_000), order("bob", 20_000), order("eve", 4_000)]).await;
    let whole = book(TWO, Settings::default());
    let mut broken = whole.clone();
    let poison = broken.journeys.iter_mut().find(|journey| &*journey.id == "poison").unwrap();
    // No reader makes such a journey: behind its first step is one that there is not.
    poison.nodes[0].next = Some(99);

    evaluate(&store, &broken, at(0), &|_| {}).await.unwrap();
    assert_eq!(tagged(&store, "seen").await, BTreeSet::from(["ann".to_owned(), "eve".to_owned()]));
    // Nobody tries again at once, and within the hour somebody does.
    let due = store.customers_due(at(3_599), 10).await.unwrap();
    assert!(due.is_empty(), "{due:?}");
    assert_eq!(store.customers_due(at(3_600), 10).await.unwrap().len(), 1);

    evaluate(&store, &whole, at(3_600), &|_| {}).await.unwrap();
    assert_eq!(tagged(&store, "seen").await.len(), 3);
    assert_eq!(tagged(&store, "big").await, BTreeSet::from(["bob".to_owned()]));
}

/// What the database refuses comes back as an error, and never as silence, however many wait for a place in line.
#[tokio::test(flavor = "multi_thread")]
async fn decisions_that_cannot_be_stored_end_the_evaluation_and_come_again() {
    for customers in [1, 2_500] {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir).await;
        take(&store, (0..customers).map(|n| order(&format!("c{n}"), 3_000)).collect()).await;
        let book = book(TWO, Settings::default());
        let rename = |from: &str, to: &str| {
            let file = rusqlite::Connection::open(dir.path().join("zyklus.db")).unwrap();
            file.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
        };
        let soon = std::time::Duration::from_secs(60);

        rename("transition", "hidden");
        let refused = tokio::time::timeout(soon, evaluate(&store, &book, at(0), &|_| {})).await.unwrap();
        let error = refused.unwrap_err();
        assert!(matches!(error, zyklus_runtime::RuntimeError::Store(_)), "{error:?}");
        rename("hidden", "transition");
        assert!(tagged(&store, "seen").await.is_empty());

        // Whoever asks may also stop waiting; then nothing goes on in secret for ever, and closing is not held up.
        let halted = tokio::time::timeout(
            std::time::Duration::from_millis(1),
            evaluate(&store, &book, at(0), &|_| {}),
        );
        drop(halted.await);
        tokio::time::timeout(soon, evaluate(&store, &book, at(1), &|_| {})).await.unwrap().unwrap();
        assert_eq!(tagged(&store, "seen").await.len() as u64, customers);
        tokio::time::timeout(soon, store.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_when_the_holdout_of_all_marketing_is_drawn_anew_and_not_when_its_share_moves() {
    let mail = "[journeys.mail]\nlabel = { en = \"Mail\" }\nstart = { event = \"order.placed\" }\n\
                steps = [{ send = \"hello\" }]\n";
    let held_out = |share, epoch| {
        let mut settings = Settings::default();
        (settings.holdout.share, settings.holdout.epoch) = (share, epoch);
        book(mail, settings)
    };
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    take(&store, (0..80).map(|n| order(&format!("c{n}"), 3_000)).collect()).await;
    evaluate(&store, &held_out(20, 0), at(0), &|_| {}).await.unwrap();
    let planned =
        async |share, epoch| -> Plan { plan(&store, &held_out(share, epoch), at(60), 3).await.unwrap() };
    for (share, epoch) in [(20, 0), (50, 0), (5, 0), (0, 0)] {
        assert_eq!(planned(share, epoch).await.redrawn_globally, None, "{share} {epoch}");
    }
    let redrawn = planned(20, 1).await.redrawn_globally.unwrap();
    // About a fifth of 80 each; a few are drawn both times.
    assert!((4..=30).contains(&redrawn.released) && (4..=30).contains(&redrawn.held), "{redrawn:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_a_new_journey_and_what_begins_it() {
    let text = "[journeys.new-arrivals]\nlabel = { en = \"New\" }\nstart = { event = \"order.placed\" }\n\
                mode = \"shadow\"\nsteps = [{ send = \"hello\" }]\n\
                [journeys.loyal]\nlabel = { en = \"Loyal\" }\nstart = { phase = \"retain\" }\nsteps = [{ send = \"hello\" }]\n\
                [journeys.none]\nlabel = { en = \"None\" }\nstart = { event = \"order.placed\" }\nmode = \"off\"\n\
                steps = [{ send = \"hello\" }]\n";
    let mut book = book(text, Settings::default());
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    assert!(plan(&store, &book, at(60), 3).await.unwrap().new_journeys.is_empty(), "all of them have run");
    book.active_from.clear();
    let new = plan(&store, &book, at(60), 3).await.unwrap().new_journeys;
    let row = |journey: &str, mode: &str, begins_with: &str| PlannedNew {
        journey: journey.to_owned(),
        mode: mode.to_owned(),
        begins_with: begins_with.to_owned(),
    };
    assert_eq!(
        new,
        [
            row("loyal", "live", "entering the phase retain"),
            row("new-arrivals", "shadow", "the next order.placed"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_lets_journeys_of_every_mode_go_live_but_those_switched_off() {
    let journey = |mode: &str| {
        format!(
            "[journeys.in-{mode}]\nlabel = {{ en = \"New\" }}\nstart = {{ event = \"order.placed\" }}\nmode = \"{mode}\"\n\
             steps = [{{ send = \"{mode}\", purpose = \"service\" }}]\n"
        )
    };
    let text: String = ["live", "shadow", "test", "off"].map(journey).concat();
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    take(&store, (0..4).map(|n| order(&format!("c{n}"), 3_000)).collect()).await;
    let window = Window { from: at(-1_000), to: at(86_400) };
    let books = vec![("playbooks".to_owned(), book(&text, Settings::default()))];
    let side = backtest(&store, books, window, &|_| {}).await.unwrap().sides.remove(0);
    let rows: Vec<(&str, u64, u64)> =
        side.journeys.iter().map(|row| (row.journey.as_str(), row.started, row.messages)).collect();
    assert_eq!(rows, [("in-live", 4, 4), ("in-off", 0, 0), ("in-shadow", 4, 4), ("in-test", 4, 4)]);
    assert_eq!((side.messages, side.only_shown), (12, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_a_later_day_plays_forward_and_misses_nothing() {
    let text = "[journeys.care]\nlabel = { en = \"Care\" }\nstart = { event = \"order.placed\" }\n\
                steps = [{ wait = \"3d\" }, { send = \"one\", purpose = \"service\" }, { wait = \"5d\" }, \
                { send = \"two\", purpose = \"service\" }]\n";
    let book = book(text, Settings::default());
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    take(&store, (0..3).map(|n| order(&format!("c{n}"), 3_000)).collect()).await;
    let rows = |planned: &Plan| -> Vec<(String, u64, u64, u64)> {
        let row = |m: &zyklus_runtime::plan::PlannedMessage| {
            (m.target.clone(), m.count_before, m.count_24h, m.count_7d)
        };
        planned.messages.iter().map(row).collect()
    };
    // Nobody is in the journey yet: it starts on the way, writes on the way, and once more in the week after.
    let today = at(60);
    let later = today.plus_days(7).plus_seconds(43_200);
    let planned = plan_from(&store, &book, today, later, 3).await.unwrap();
    assert_eq!((planned.at, planned.played_from), (later, Some(today)));
    assert_eq!(rows(&planned), [("one".to_owned(), 3, 0, 0), ("two".to_owned(), 0, 3, 3)]);
    assert!(planned.refused.is_empty(), "{:?}", planned.refused);
    assert_eq!(planned.starts.iter().map(|start| start.customers).sum::<u64>(), 3);
    // A day that is over when the mails have gone counts them as gone.
    let planned = plan_from(&store, &book, today, today.plus_days(30), 3).await.unwrap();
    assert_eq!(rows(&planned), [("one".to_owned(), 3, 0, 0), ("two".to_owned(), 3, 0, 0)]);
    // Now, and what lies behind, is taken as it is.
    for at in [today, today.plus_days(-1)] {
        assert_eq!(plan_from(&store, &book, today, at, 3).await.unwrap().played_from, None);
    }
}
