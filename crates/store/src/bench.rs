//! What the benchmarks compare the store with: the orders of one store, inserted into an empty table of the same
//! layout as plainly as sqlx can. Compiled only with the feature `bench`; never part of the product.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, FromRow, SqliteConnection};

use crate::error::Result;

/// Rows a transaction: as many as a page of records has.
const PAGE: usize = 1_000;
/// Rows a statement: fewer values than SQLite's 32,766.
const ROWS: usize = 500;

const LAYOUT: &str =
    "SELECT sql FROM sqlite_master WHERE tbl_name = 'orders' AND sql IS NOT NULL ORDER BY rowid";
const COLUMNS: &str = "bucket, customer_id, id, source_customer_id, system, external_id, number, state, \
    placed_at, updated_at, total_minor, currency, total_reporting_minor, net_reporting_minor, item_count, \
    detail, received_at, origin, content_hash, written_at";

/// A row of `orders`, as the database has it.
#[derive(FromRow)]
struct Row {
    bucket: i64,
    customer_id: Vec<u8>,
    id: Vec<u8>,
    source_customer_id: Vec<u8>,
    system: String,
    external_id: String,
    number: String,
    state: String,
    placed_at: i64,
    updated_at: Option<i64>,
    total_minor: i64,
    currency: String,
    total_reporting_minor: Option<i64>,
    net_reporting_minor: Option<i64>,
    item_count: i64,
    detail: String,
    received_at: i64,
    origin: String,
    content_hash: i64,
    written_at: i64,
}

/// What a bare insert came to.
#[derive(Debug, Clone, Copy)]
pub struct BareInsert {
    /// How many rows.
    pub rows: u64,
    /// How long inserting them took, every commit on the disk; reading them before is not counted.
    pub took: Duration,
}

/// Reads the orders of the store in the file `from`, makes the same table with the same indexes in a new file `to`,
/// and inserts them in the order they were read: 500 rows a statement, 1,000 a transaction, with the pragmas the
/// store writes with. Nothing is looked up, parsed or decided.
///
/// # Errors
/// The database's.
pub async fn insert_bare(from: &Path, to: &Path) -> Result<BareInsert> {
    let mut source =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(from).read_only(true)).await?;
    let layout: Vec<(String,)> = sqlx::query_as(LAYOUT).fetch_all(&mut source).await?;
    // The order they came in: the rows of a file are named by their lines.
    let all = format!("SELECT {COLUMNS} FROM orders ORDER BY LENGTH(external_id), external_id");
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(all)).fetch_all(&mut source).await?;
    source.close().await?;
    let options = SqliteConnectOptions::new()
        .filename(to)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "16000")
        .pragma("cache_size", "-32000");
    let mut target = SqliteConnection::connect_with(&options).await?;
    for (text,) in layout {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut target).await?;
    }
    let began = Instant::now();
    for page in rows.chunks(PAGE) {
        let mut transaction = target.begin().await?;
        for some in page.chunks(ROWS) {
            let values = format!("({})", ["?"; 20].join(", "));
            let text =
                format!("INSERT INTO orders ({COLUMNS}) VALUES {}", vec![values; some.len()].join(", "));
            let mut insert = sqlx::query(AssertSqlSafe(text));
            for row in some {
                insert = insert
                    .bind(row.bucket)
                    .bind(&row.customer_id)
                    .bind(&row.id)
                    .bind(&row.source_customer_id)
                    .bind(&row.system)
                    .bind(&row.external_id)
                    .bind(&row.number)
                    .bind(&row.state)
                    .bind(row.placed_at)
                    .bind(row.updated_at)
                    .bind(row.total_minor)
                    .bind(&row.currency)
                    .bind(row.total_reporting_minor)
                    .bind(row.net_reporting_minor)
                    .bind(row.item_count)
                    .bind(&row.detail)
                    .bind(row.received_at)
                    .bind(&row.origin)
                    .bind(row.content_hash)
                    .bind(row.written_at);
            }
            insert.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }
    let took = began.elapsed();
    target.close().await?;
    Ok(BareInsert { rows: rows.len() as u64, took })
}
