//! Where reading of every stream goes on, and the records that could not be read. Never reads a stream.

use serde_json::Value;
use zyklus_model::{At, EventId};

use crate::arg::{Stamp, args};
use crate::column::named;
use crate::error::{Result, StoreError};
use crate::ingest::{Ingest, IngestReport, NewReject, json_text};
use crate::open::Store;
use crate::tx::Tx;

/// The longest rejected record that is kept, in characters.
const LONGEST_RECORD: usize = 20_000;

/// Where reading of one stream stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCursor {
    /// The connector.
    pub connector: String,
    /// Its stream.
    pub stream: String,
    /// The connector's own words.
    pub cursor: Value,
    /// `backfill` or `incremental`.
    pub mode: String,
    /// When there was last nothing more to read.
    pub caught_up_at: Option<At>,
    /// When it last moved.
    pub updated_at: At,
    /// Records seen so far, repeated ones included.
    pub record_count: i64,
    /// Records refused so far, repeated ones included.
    pub reject_count: i64,
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReject {
    /// The connector.
    pub connector: String,
    /// Its stream.
    pub stream: String,
    /// When it last came.
    pub at: At,
    /// What is wrong with it.
    pub problem: String,
    /// The record as it came, cut at 20,000 characters.
    pub record: String,
}

named! {
    struct CursorRow {
        connector: String,
        stream: String,
        cursor_json: String,
        mode: String,
        caught_up_at: Option<Stamp>,
        updated_at: Stamp,
        record_count: i64,
        reject_count: i64,
    }
}

impl CursorRow {
    fn read(self) -> Result<StoredCursor> {
        Ok(StoredCursor {
            cursor: serde_json::from_str(&self.cursor_json)
                .map_err(|e| StoreError::unreadable("cursor", e))?,
            connector: self.connector,
            stream: self.stream,
            mode: self.mode,
            caught_up_at: self.caught_up_at.map(|at| at.0),
            updated_at: self.updated_at.0,
            record_count: self.record_count,
            reject_count: self.reject_count,
        })
    }
}

named! {
    struct RejectRow {
        connector: String,
        stream: String,
        at: Stamp,
        problem: String,
        record: String,
    }
}

impl Store {
    /// Every stream's cursor, by connector and stream.
    ///
    /// # Errors
    /// The database.
    pub async fn cursors(&self) -> Result<Vec<StoredCursor>> {
        let sql = "SELECT connector, stream, cursor_json, mode, caught_up_at, updated_at, record_count, reject_count
                   FROM sync_cursor ORDER BY connector, stream";
        let rows: Vec<CursorRow> = self.peek().await?.fetch(sql, args![]).await?;
        rows.into_iter().map(CursorRow::read).collect()
    }

    /// One stream's cursor.
    ///
    /// # Errors
    /// The database.
    pub async fn cursor(&self, connector: &str, stream: &str) -> Result<Option<StoredCursor>> {
        let sql = "SELECT connector, stream, cursor_json, mode, caught_up_at, updated_at, record_count, reject_count
                   FROM sync_cursor WHERE connector = $1 AND stream = $2";
        let row: Option<CursorRow> = self.peek().await?.first(sql, args![connector, stream]).await?;
        row.map(CursorRow::read).transpose()
    }

    /// The newest records that could not be read.
    ///
    /// # Errors
    /// The database.
    pub async fn rejects(&self, limit: u32) -> Result<Vec<StoredReject>> {
        let sql =
            "SELECT connector, stream, at, problem, record FROM sync_reject ORDER BY at DESC, id LIMIT $1";
        let rows: Vec<RejectRow> = self.peek().await?.fetch(sql, args![i64::from(limit)]).await?;
        let read = |row: RejectRow| StoredReject {
            connector: row.connector,
            stream: row.stream,
            at: row.at.0,
            problem: row.problem,
            record: row.record,
        };
        Ok(rows.into_iter().map(read).collect())
    }
}

/// Stores a page's rejects and moves its cursor.
pub(crate) async fn write(
    tx: &mut Tx,
    ingest: &Ingest,
    rejects: &[NewReject],
    report: &IngestReport,
) -> Result<()> {
    let (connector, stream) = (ingest.connector.as_str(), ingest.stream.as_str());
    let mut rows = std::collections::BTreeMap::new();
    for reject in rejects {
        // PostgreSQL stores no NUL in texts.
        let clean = |text: &str| text.chars().filter(|c| *c != '\0').take(LONGEST_RECORD).collect::<String>();
        let (problem, record) = (clean(&reject.problem), clean(&reject.record));
        // The same bad record read again is the same reject.
        let parts: [&[u8]; 5] =
            [b"reject", connector.as_bytes(), stream.as_bytes(), problem.as_bytes(), record.as_bytes()];
        let id = EventId::derive(&parts);
        rows.insert(id, args![id, connector, stream, ingest.received_at, problem, record]);
    }
    let head = "INSERT INTO sync_reject (id, connector, stream, at, problem, record)";
    tx.insert(head, rows.into_values(), " ON CONFLICT (id) DO UPDATE SET at = excluded.at").await?;
    let Some(next) = &ingest.next else { return Ok(()) };
    let head = "INSERT INTO sync_cursor
        (connector, stream, cursor_json, mode, caught_up_at, updated_at, record_count, reject_count)";
    let tail = " ON CONFLICT (connector, stream) DO UPDATE SET cursor_json = excluded.cursor_json,
        mode = excluded.mode, caught_up_at = coalesce(excluded.caught_up_at, sync_cursor.caught_up_at),
        updated_at = excluded.updated_at, record_count = sync_cursor.record_count + excluded.record_count,
        reject_count = sync_cursor.reject_count + excluded.reject_count";
    let row = args![
        connector,
        stream,
        json_text(&next.cursor)?,
        &next.mode,
        next.caught_up.then_some(ingest.received_at),
        ingest.received_at,
        i64::try_from(report.seen).unwrap_or(i64::MAX),
        i64::try_from(report.rejected).unwrap_or(i64::MAX),
    ];
    tx.insert(head, [row], tail).await.map(drop)
}
