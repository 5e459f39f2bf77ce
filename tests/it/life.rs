//! A shop's life through the runtime: history starts nothing, what happens afterwards is answered once. The shop is
//! a folder of CSV files, mails go to a Maildir, the clock is virtual; on SQLite and on PostgreSQL.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use zyklus_cli::registry;
use zyklus_engine::Book;
use zyklus_host::ConfigOptions;
use zyklus_model::{At, DeliveryState};
use zyklus_runtime::{
    Clock, Connectors, Dispatcher, Project, Round, evaluate, open_all, plan, prepare, round, starter_files,
    sync,
};
use zyklus_store::{DeliveryFilter, OpenOptions, Store};
use zyklus_tests::postgres;

/// A configuration folder and everything opened for it.
pub(crate) struct World {
    pub(crate) project: Arc<Project>,
    pub(crate) store: Store,
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) clock: Clock,
}

impl World {
    pub(crate) async fn open(config: &Path, store_url: &str, now: At) -> Self {
        let options = ConfigOptions::new(config.parent().unwrap());
        let project = match Project::load(config, &registry(), &options) {
            Ok(project) => Arc::new(project),
            Err(problems) => panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
        };
        let store = Store::open(store_url, OpenOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Clock::fixed(now);
        let connectors = Arc::new(open_all(&project, registry(), &clock).await.unwrap());
        assert!(connectors.failed.is_empty(), "{:?}", connectors.failed);
        World { project, store, connectors, clock }
    }

    pub(crate) async fn sync(&self) {
        for source in self.connectors.sources() {
            let report = sync(&self.store, source, &self.project, &self.clock, &|_| {}).await;
            assert!(report.is_complete(), "{report:?}");
            assert!(report.streams.iter().all(|s| s.rejected == 0), "{report:?}");
        }
    }

    pub(crate) async fn round(&self, book: &Arc<Book>, dispatcher: &Dispatcher) -> Round {
        round(&self.store, book, dispatcher, &self.clock).await.unwrap()
    }

    pub(crate) fn dispatcher(&self) -> Dispatcher {
        self.dispatcher_until(CancellationToken::new())
    }

    fn dispatcher_until(&self, stop: CancellationToken) -> Dispatcher {
        Dispatcher::new(
            self.store.clone(),
            Arc::clone(&self.project),
            Arc::clone(&self.connectors),
            "test".into(),
            self.clock.clone(),
            stop,
        )
    }
}

pub(crate) fn at(text: &str) -> At {
    text.parse().unwrap()
}

/// The starter configuration around a small shop.
pub(crate) fn write_shop(dir: &Path) -> PathBuf {
    for (path, bytes) in starter_files() {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let config = r#"
[shop]
name = "Teehaus"
url = "https://teehaus.example"
currency = "EUR"
locale = "de"
time_zone = "Europe/Berlin"
legal_name = "Teehaus GmbH"
address_lines = ["Am Markt 1", "20095 Hamburg"]
email = "hallo@teehaus.example"

[consent]
existing_customers = true

[connectors.shop]
type = "csv"
[connectors.shop.orders]
path = "orders.csv"
currency = "EUR"
[connectors.shop.orders.map]
id = "id"
email = "email"
placed_at = "placed_at"
total = "total"

[connectors.mail]
type = "maildir"
path = "mail"
"#;
    let file = dir.join("zyklus.toml");
    std::fs::write(&file, config).unwrap();
    file
}

pub(crate) fn write_orders(dir: &Path, rows: &[&str]) {
    std::fs::write(dir.join("orders.csv"), format!("id,email,placed_at,total\n{}\n", rows.join("\n")))
        .unwrap();
}

pub(crate) fn mails(dir: &Path) -> Vec<String> {
    let folder = dir.join("mail/new");
    let mut mails: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    mails.sort();
    mails
}

async fn first_orders_are_answered_and_history_is_not(store_url: &str, dir: &Path) {
    let config = write_shop(dir);
    let old =
        ["1,anna@example.org,2024-03-01T10:00:00Z,40.00", "2,bert@example.org,2026-02-20T10:00:00Z,25.00"];
    write_orders(dir, &old);
    let world = World::open(&config, store_url, at("2026-03-01T09:00:00Z")).await;
    world.sync().await;
    let book = Arc::new(prepare(&world.store, &world.project, world.clock.now(), true).await.unwrap());
    let dispatcher = world.dispatcher();
    world.round(&book, &dispatcher).await;
    assert_eq!(world.store.count_deliveries().await.unwrap().len(), 0, "history must start nothing");
    let planned = plan(&world.store, &book, world.clock.now(), 3).await.unwrap();
    assert_eq!((planned.customers, planned.due_7d), (2, 0));
    assert!(!planned.inside_without_run.is_empty(), "plan says who is inside a phase without its journey");

    // Somebody buys for the first time while the daemon runs.
    let mut rows = old.to_vec();
    rows.push("3,carla@example.org,2026-03-02T10:00:00Z,30.00");
    write_orders(dir, &rows);
    world.clock.set(at("2026-03-02T10:05:00Z"));
    for _ in 0..60 {
        world.sync().await;
        world.round(&book, &dispatcher).await;
        world.clock.set(world.clock.now().plus_seconds(6 * 3_600));
    }
    let sent = mails(dir);
    assert!(!sent.is_empty(), "the new customer was written to");
    assert!(sent.iter().all(|mail| mail.contains("carla@example.org")), "and nobody else");
    let counted = world.store.count_deliveries().await.unwrap();
    assert_eq!(counted.get(&DeliveryState::Accepted).copied(), Some(sent.len() as u64));

    // The same again: nothing is sent twice.
    world.sync().await;
    world.round(&book, &dispatcher).await;
    assert_eq!(mails(dir).len(), sent.len());
    world.connectors.close().await;
    world.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_orders_are_answered_and_history_is_not_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    first_orders_are_answered_and_history_is_not(&url, dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_orders_are_answered_and_history_is_not_on_postgres() {
    let dir = tempfile::tempdir().unwrap();
    let database = postgres::fresh_database().unwrap();
    first_orders_are_answered_and_history_is_not(&database.url(), dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_changes_no_byte_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_shop(dir.path());
    write_orders(dir.path(), &["1,anna@example.org,2026-02-25T10:00:00Z,40.00"]);
    let path = dir.path().join("zyklus.db");
    let url = format!("sqlite:{}", path.display());
    let now = at("2026-03-01T09:00:00Z");
    let world = World::open(&config, &url, now).await;
    world.sync().await;
    prepare(&world.store, &world.project, now, true).await.unwrap();
    world.store.close().await;
    let before = std::fs::read(&path).unwrap();
    let reader = Store::open(&url, OpenOptions::reading()).await.unwrap();
    let book = zyklus_runtime::book_for_reading(&reader, &world.project).await.unwrap();
    let planned = plan(&reader, &book, now, 3).await.unwrap();
    assert_eq!(planned.moves.len(), 1);
    reader.close().await;
    assert_eq!(before, std::fs::read(&path).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_plan_announces_is_what_the_next_round_does() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_shop(dir.path());
    write_orders(dir.path(), &["1,anna@example.org,2025-12-20T10:00:00Z,40.00"]);
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    let world = World::open(&config, &url, at("2026-03-01T09:00:00Z")).await;
    world.sync().await;
    let book = Arc::new(prepare(&world.store, &world.project, world.clock.now(), true).await.unwrap());
    evaluate(&world.store, &book, world.clock.now(), &|_| {}).await.unwrap();
    let first = |n: u32| format!("{n},new{n}@example.org,2026-03-02T10:00:00Z,30.00");
    let mut rows = vec!["1,anna@example.org,2025-12-20T10:00:00Z,40.00".to_owned()];
    rows.extend((2..12).map(first));
    write_orders(dir.path(), &rows.iter().map(String::as_str).collect::<Vec<_>>());
    let mut checked = 0;
    let dispatcher = world.dispatcher();
    for day in 0..40 {
        world.clock.set(at("2026-03-02T10:05:00Z").plus_seconds(day * 86_400 + 1));
        world.sync().await;
        let now = world.clock.now();
        let planned = plan(&world.store, &book, now, 3).await.unwrap();
        let decided = evaluate(&world.store, &book, now, &|_| {}).await.unwrap();
        let starts: u64 = planned.starts.iter().map(|s| s.customers).sum();
        assert_eq!(starts, decided.started, "{now}");
        let before = mails(dir.path()).len() as u64;
        // A day of rounds, each when something is due.
        let end = now.plus_days(1);
        world.round(&book, &dispatcher).await;
        loop {
            let due = [world.store.next_due().await.unwrap(), world.store.next_delivery_due().await.unwrap()];
            let Some(next) = due.into_iter().flatten().min().filter(|next| *next <= end) else { break };
            world.clock.set(next.max(world.clock.now()));
            world.round(&book, &dispatcher).await;
        }
        assert_eq!(planned.due_24h, mails(dir.path()).len() as u64 - before, "{now}");
        checked += starts + planned.due_24h;
    }
    assert!(checked > 20, "something happened: {checked}");
    world.store.close().await;
}

async fn pending(world: &World) -> Vec<zyklus_model::Delivery> {
    let filter =
        DeliveryFilter { state: Some(DeliveryState::Pending), limit: 1_000, ..DeliveryFilter::default() };
    world.store.deliveries(&filter).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_stopping_claims_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_shop(dir.path());
    write_orders(dir.path(), &[]);
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    let world = World::open(&config, &url, at("2026-03-01T09:00:00Z")).await;
    world.sync().await;
    let book = Arc::new(prepare(&world.store, &world.project, world.clock.now(), true).await.unwrap());
    write_orders(dir.path(), &["1,anna@example.org,2026-03-02T10:00:00Z,40.00"]);
    let stop = CancellationToken::new();
    stop.cancel();
    let (stopping, going) = (world.dispatcher_until(stop), world.dispatcher());
    let mut waited = false;
    for _ in 0..60 {
        world.clock.set(world.clock.now().plus_seconds(12 * 3_600));
        world.sync().await;
        world.round(&book, &stopping).await;
        assert!(mails(dir.path()).is_empty());
        waited |= pending(&world).await.iter().any(|d| d.due_at <= world.clock.now());
        if waited {
            break;
        }
    }
    assert!(waited, "a mail was due");
    world.round(&book, &going).await;
    assert_eq!(mails(dir.path()).len(), 1, "the next daemon sends it");
    world.store.close().await;
}
