//! A fresh store for each test, once per database. Never shared between tests, never left out in silence.
//!
//! A test is an `async fn name(bed: Bed)`; `on_both![name, …]` makes `sqlite::name` and `postgres::name` of it.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Executor as _;
use zyklus_store::{LeaseClock, OpenOptions, Store};

/// An empty, migrated store and where it lies.
pub(crate) struct Bed {
    pub(crate) store: Store,
    pub(crate) url: String,
}

/// Makes a test for each database out of each function named.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::common::on_sqlite(super::$name).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::common::on_postgres(super::$name).await;
            })+
        }
    };
}

/// Opens and migrates the store at an address; leases go by what the test says the time is.
pub(crate) async fn open(url: &str) -> Store {
    let options = OpenOptions { leases: LeaseClock::Caller, ..OpenOptions::default() };
    let store = Store::open(url, options).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// Runs a test on a fresh SQLite file.
pub(crate) async fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(Bed) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("zyklus.db").display());
    let store = open(&url).await;
    test(Bed { store: store.clone(), url }).await;
    store.close().await;
}

/// Runs a test on a fresh PostgreSQL database.
pub(crate) async fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Bed) -> F) {
    let server = std::env::var("ZYKLUS_TEST_POSTGRES")
        .expect("ZYKLUS_TEST_POSTGRES is not set: run `cargo xtask test`, which starts a PostgreSQL server");
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("zyklus_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    administrate(&server, &format!("DROP DATABASE IF EXISTS {name}")).await;
    administrate(&server, &format!("CREATE DATABASE {name}")).await;
    let url = format!("{server}/{name}");
    let store = open(&url).await;
    test(Bed { store: store.clone(), url }).await;
    store.close().await;
    administrate(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

async fn administrate(server: &str, statement: &str) {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))).await.unwrap();
    connection.close().await.unwrap();
}
