//! Measures taking in as many orders as the public CDNOW log has (69,659 of 23,570 customers), in pages of 1000,
//! against a bare insert of the same rows into a table of the same layout. Never part of the product.
//!
//! `cargo run --release -p zyklus-store --example import`

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};
use zyklus_model::{At, Currency, CustomerRef, LineRecord, Money, OrderRecord, Origin, Rates, Record};
use zyklus_store::{CursorUpdate, Ingest, OpenOptions, Store};

const CUSTOMERS: usize = 23_570;
const ORDERS: usize = 69_659;
const PAGE: usize = 1000;
const COLUMNS: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut ratios = Vec::new();
    for round in 1..=3 {
        let path = folder.path().join(format!("{round}.db"));
        let url = format!("sqlite:{}", path.display());
        let ingesting = ingest(&url).await?;
        let bare_url = format!("sqlite:{}", folder.path().join(format!("{round}-bare.db")).display());
        let bare = bare(&url, &bare_url).await?;
        let ratio = ingesting.as_secs_f64() / bare.as_secs_f64();
        println!("round {round}: ingest {ingesting:.2?}, bare insert {bare:.2?}, ratio {ratio:.2}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2} (at most 4 is wanted)", ratios[1]);
    Ok(())
}

/// The orders, by customer and day as in the log, about three a customer.
fn orders() -> Vec<Record> {
    let day = |n: usize| At::from_seconds(852_076_800).plus_days((n % 540) as i64);
    (0..ORDERS)
        .map(|n| {
            let customer = n * CUSTOMERS / ORDERS;
            let customer =
                CustomerRef { external_id: Some(format!("{customer:05}")), ..CustomerRef::default() };
            let quantity = (n % 5 + 1) as i64;
            let total = Money::new(quantity * 1177 + (n % 97) as i64, Currency::USD);
            let line = LineRecord {
                title: "CDs".to_owned(),
                quantity,
                total_minor: total.amount_minor,
                ..LineRecord::default()
            };
            let placed = OrderRecord::placed(n.to_string(), customer, day(n), total);
            Record::Order(OrderRecord { lines: vec![line], ..placed })
        })
        .collect()
}

async fn ingest(url: &str) -> Result<Duration, Box<dyn std::error::Error>> {
    let records = orders();
    let store = Store::open(url, OpenOptions::default()).await?;
    store.migrate().await?;
    let began = Instant::now();
    for (n, page) in records.chunks(PAGE).enumerate() {
        let cursor = serde_json::json!({ "line": n * PAGE });
        store
            .ingest(Ingest {
                connector: "cdnow".to_owned(),
                stream: "orders".to_owned(),
                records: page.to_vec(),
                rejects: Vec::new(),
                origin: Origin::History,
                received_at: At::from_seconds(899_164_800),
                next: Some(CursorUpdate { cursor, mode: "backfill".to_owned(), caught_up: false }),
                rates: Rates::only(Currency::USD),
            })
            .await?;
    }
    let took = began.elapsed();
    assert_eq!(store.customer_count().await?, CUSTOMERS as u64);
    store.close().await;
    Ok(took)
}

/// Reads the rows back and inserts them into a table of the same layout, 1000 a transaction and 500 a statement.
async fn bare(from: &str, to: &str) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut source = SqliteConnection::connect(from).await?;
    let schema: Vec<(String,)> = sqlx::query_as(
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'orders' AND sql IS NOT NULL ORDER BY rowid",
    )
    .fetch_all(&mut source)
    .await?;
    let rows = sqlx::query(
        "SELECT bucket, customer_id, id, source_customer_id, system, external_id, number, state, placed_at,
             updated_at, total_minor, currency, total_reporting_minor, net_reporting_minor, item_count, detail,
             received_at, origin, content_hash, written_at FROM orders ORDER BY rowid",
    )
    .fetch_all(&mut source)
    .await?;
    source.close().await?;
    assert_eq!(rows.len(), ORDERS);
    let store = Store::open(to, OpenOptions::default()).await?;
    store.close().await;
    let mut target = SqliteConnection::connect(to).await?;
    for pragma in
        ["journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000", "cache_size = -32000"]
    {
        sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).fetch_all(&mut target).await?;
    }
    for (text,) in schema {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut target).await?;
    }
    let began = Instant::now();
    for page in rows.chunks(PAGE) {
        let mut transaction = target.begin().await?;
        for some in page.chunks(500) {
            let row = format!("({})", vec!["?"; COLUMNS].join(", "));
            let text = format!("INSERT INTO orders VALUES {}", vec![row; some.len()].join(", "));
            let mut insert = sqlx::query(AssertSqlSafe(text));
            for row in some {
                insert = insert.bind(row.get::<i64, _>(0));
                for n in 1..4 {
                    insert = insert.bind(row.get::<Vec<u8>, _>(n));
                }
                for n in 4..8 {
                    insert = insert.bind(row.get::<String, _>(n));
                }
                insert = insert.bind(row.get::<i64, _>(8)).bind(row.get::<Option<i64>, _>(9));
                insert = insert.bind(row.get::<i64, _>(10)).bind(row.get::<String, _>(11));
                for n in 12..15 {
                    insert = insert.bind(row.get::<Option<i64>, _>(n));
                }
                insert = insert.bind(row.get::<String, _>(15)).bind(row.get::<i64, _>(16));
                insert = insert.bind(row.get::<String, _>(17)).bind(row.get::<i64, _>(18));
                insert = insert.bind(row.get::<i64, _>(19));
            }
            insert.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }
    let took = began.elapsed();
    target.close().await?;
    Ok(took)
}
