//! A daemon that is stopped while it takes what its connector brought. Sends nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zyklus_connect::{
    Check, Connector, Ctx, Cursor, Factory, Manifest, Next, Page, ReadRequest, Result, Source, schemars,
};
use zyklus_host::{ConfigOptions, Registry};
use zyklus_model::{At, Currency, CustomerRef, Money, OrderRecord, Record};
use zyklus_runtime::daemon::Daemon;
use zyklus_runtime::{Clock, Project, open_all, prepare, starter_files};
use zyklus_store::{OpenOptions, Store};

static READ: Notify = Notify::const_new();

#[derive(Deserialize, schemars::JsonSchema)]
struct Config {}

/// Brings one page and then waits for ever.
struct OnePage(Manifest);

#[async_trait]
impl Connector for OnePage {
    fn manifest(&self) -> &Manifest {
        &self.0
    }
    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }
    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }
}

#[async_trait]
impl Factory for OnePage {
    type Config = Config;
    const KIND: &'static str = "one-page";
    fn manifest() -> Manifest {
        let streams = json!([{"name": "orders", "backfill": true, "incremental": true}]);
        serde_json::from_value(json!({
            "kind": Self::KIND, "name": "One page", "description": "", "version": "1", "contract": [1, 0],
            "streams": streams
        }))
        .unwrap()
    }
    async fn open(_: Config, _: Ctx) -> Result<Self> {
        Ok(OnePage(<Self as Factory>::manifest()))
    }
}

#[async_trait]
impl Source for OnePage {
    async fn read(&self, request: ReadRequest) -> Result<Page> {
        if request.cursor.is_some() {
            std::future::pending::<()>().await;
        }
        let customer = CustomerRef {
            external_id: Some("1".to_owned()),
            email: Some("ann@customer.example".to_owned()),
            email_verified: true,
        };
        let placed = At::from_seconds(1_780_000_000);
        let order = OrderRecord::placed("1", customer, placed, Money::new(1_000, Currency::EUR));
        READ.notify_one();
        let next = Next::More { cursor: Cursor(Value::from(1)) };
        Ok(Page { records: vec![Record::Order(order)], rejects: Vec::new(), total: None, next })
    }
}

fn project(dir: &Path, registry: &Registry) -> Project {
    for (path, bytes) in starter_files() {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let shop = "[shop]\nname = \"S\"\nurl = \"https://s.example\"\ncurrency = \"EUR\"\nlocale = \"en\"\n\
                time_zone = \"UTC\"\nlegal_name = \"S\"\naddress_lines = [\"Road 1\"]\nemail = \"s@s.example\"\n\
                [connectors.shop]\ntype = \"one-page\"\n";
    std::fs::write(dir.join("zyklus.toml"), shop).unwrap();
    Project::load(&dir.join("zyklus.toml"), registry, &ConfigOptions::new(dir)).unwrap()
}

/// Stopped between reading a page and storing it, the daemon first stores it: whoever starts in its place, a reloaded
/// connector too, goes on behind it. It does not wait for a page that may never come.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_came_is_stored_before_the_daemon_ends_and_none_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::new().with::<OnePage>();
    let file = dir.path().join("zyklus.db");
    let store = Store::open(&format!("sqlite:{}", file.display()), OpenOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    let project = project(dir.path(), &registry);
    let book = prepare(&store, &project, Clock::System.now(), true).await.unwrap();
    let connectors = Arc::new(open_all(&project, registry, &Clock::System).await.unwrap());
    let daemon = Daemon {
        project: Arc::new(project),
        store: store.clone(),
        connectors: Arc::clone(&connectors),
        book: Arc::new(book),
        clock: Clock::System,
        owner: "one".to_owned(),
        reload: None,
        give_back: || {},
    };

    // Somebody else is writing, so that the page has to wait.
    let writing = rusqlite::Connection::open(&file).unwrap();
    writing.execute_batch("BEGIN IMMEDIATE").unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(daemon.run(stop.clone()));
    READ.notified().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!running.is_finished(), "it ended while its page was waiting");
    writing.execute_batch("COMMIT").unwrap();
    tokio::time::timeout(Duration::from_secs(15), running).await.unwrap().unwrap();
    let known = store.customer_ids(None, 10).await.unwrap();
    assert_eq!(known.len(), 1);
    connectors.close().await;
}
