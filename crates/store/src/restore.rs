//! Making a restored SQLite store safe to go on with: what happened after the backup was taken must not happen again.
//! Never moves files: `upkeep.rs` does.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use zyklus_model::At;

use crate::error::Result;
use crate::open::Store;

/// The name of the instant of the last restore among the store's values.
const RESTORED_AT: &str = "restored_at";

/// What a restored store was told of the time between its backup and now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Whether the store that was there before could be read and asked.
    pub is_merged: bool,
    /// Suppressions taken over from it.
    pub suppressions: u64,
    /// Consents, given and withdrawn, taken over from it.
    pub consents: u64,
    /// Deliveries taken over from it that are over or may have gone.
    pub deliveries: u64,
    /// Deliveries whose time had come and of which nobody knows whether they went: they are `unknown` now.
    pub held: u64,
}

impl Store {
    /// When a backup was last put in this store's place. What a stream brings until it has caught up after that is
    /// history once more: it was answered before, by the store that is gone.
    ///
    /// # Errors
    /// The database's.
    pub async fn restored_at(&self) -> Result<Option<At>> {
        Ok(self.get_meta(RESTORED_AT).await?.and_then(|text| text.parse().ok()))
    }
}

/// Tells a restored file what happened since: from the store it replaces where that can be read, else it holds back
/// whatever may have gone.
pub(crate) async fn settle(fresh: &Path, before: Option<&Path>, at: At) -> Result<Restored> {
    let mut connection = SqliteConnectOptions::new().filename(fresh).connect().await?;
    let mut restored = None;
    if let Some(before) = before.filter(|path| path.exists()) {
        match merge(&mut connection, before, at).await {
            Ok(merged) => restored = Some(merged),
            Err(error) => {
                tracing::warn!(%error, "the store that was there before cannot be asked what it did");
                // There may be no transaction any more, and then all is well.
                drop(sqlx::query("ROLLBACK").execute(&mut connection).await);
            }
        }
    }
    let restored = match restored {
        Some(merged) => merged,
        None => hold_back(&mut connection, at).await?,
    };
    connection.close().await?;
    Ok(restored)
}

async fn run(connection: &mut SqliteConnection, sql: &'static str, at: At) -> Result<u64> {
    let mut query = sqlx::query(sql);
    if sql.contains("$1") {
        query = query.bind(at.as_micros());
    }
    Ok(query.execute(connection).await?.rows_affected())
}

async fn mark(connection: &mut SqliteConnection, at: At) -> Result<()> {
    let sql = "INSERT INTO main.meta (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).bind(RESTORED_AT).bind(at.to_string()).execute(connection).await?;
    Ok(())
}

const SUPPRESSIONS: &str = "INSERT OR IGNORE INTO main.suppression \
    (bucket, customer_id, id, source_customer_id, address_hash, channel, all_purposes, reason, at, \
    written_at) \
    SELECT bucket, customer_id, id, source_customer_id, address_hash, channel, all_purposes, reason, at, \
    written_at FROM old.suppression";

const CONSENTS: &str = "INSERT OR IGNORE INTO main.consent \
    (bucket, customer_id, id, source_customer_id, channel, purpose, state, basis, at, source, evidence, received_at, \
    written_at) \
    SELECT c.bucket, c.customer_id, c.id, c.source_customer_id, c.channel, c.purpose, c.state, c.basis, c.at, \
    c.source, c.evidence, c.received_at, c.written_at FROM old.consent c \
    WHERE EXISTS (SELECT 1 FROM main.customer m WHERE m.bucket = c.bucket AND m.id = c.customer_id)";

/// What was being sent may have gone.
const SETTLED: &str = "UPDATE main.delivery SET \
    state = CASE o.state WHEN 'sending' THEN 'unknown' ELSE o.state END, reason = o.reason, \
    done_at = coalesce(o.done_at, $1), due_at = o.due_at, expires_at = o.expires_at, \
    attempt_count = o.attempt_count, owner = NULL, lease_until = NULL, provider_ref = o.provider_ref, \
    last_error = o.last_error, outranked_by = o.outranked_by, written_at = max(main.delivery.written_at, o.written_at) \
    FROM old.delivery o \
    WHERE o.id = main.delivery.id AND o.state <> 'pending' AND o.state <> main.delivery.state";

const UNKNOWN_HERE: &str = "INSERT OR IGNORE INTO main.delivery \
    (bucket, customer_id, id, source_customer_id, run_id, journey, step, kind, channel, connector, target, purpose, \
    capped, state, reason, created_at, due_at, expires_at, done_at, attempt_count, provider_ref, last_error, payload, \
    outranked_by, written_at) \
    SELECT o.bucket, o.customer_id, o.id, o.source_customer_id, o.run_id, o.journey, o.step, o.kind, o.channel, \
    o.connector, o.target, o.purpose, o.capped, CASE o.state WHEN 'sending' THEN 'unknown' ELSE o.state END, \
    o.reason, o.created_at, o.due_at, o.expires_at, coalesce(o.done_at, $1), o.attempt_count, o.provider_ref, \
    o.last_error, o.payload, o.outranked_by, o.written_at FROM old.delivery o WHERE o.state <> 'pending' \
    AND EXISTS (SELECT 1 FROM main.customer m WHERE m.bucket = o.bucket AND m.id = o.customer_id)";

const ATTEMPTS: &str = "INSERT OR REPLACE INTO main.delivery_attempt \
    (bucket, delivery_id, number, id, owner, address_hash, started_at, handed_at, ended_at, outcome, detail) \
    SELECT a.bucket, a.delivery_id, a.number, a.id, a.owner, a.address_hash, a.started_at, a.handed_at, \
    coalesce(a.ended_at, $1), coalesce(a.outcome, 'lost'), a.detail FROM old.delivery_attempt a \
    WHERE EXISTS (SELECT 1 FROM main.delivery d WHERE d.id = a.delivery_id AND d.bucket = a.bucket)";

const TOUCHED: &str = "UPDATE main.evaluation SET seq = seq + 1, due_at = min(due_at, $1), \
    marked_at = max(marked_at, $1) \
    WHERE (bucket, customer_id) IN (SELECT bucket, customer_id FROM old.delivery \
    UNION SELECT bucket, customer_id FROM old.suppression)";

async fn merge(connection: &mut SqliteConnection, before: &Path, at: At) -> Result<Restored> {
    sqlx::query("ATTACH DATABASE $1 AS old")
        .bind(before.display().to_string())
        .execute(&mut *connection)
        .await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let restored = Restored {
        is_merged: true,
        suppressions: run(connection, SUPPRESSIONS, at).await?,
        consents: run(connection, CONSENTS, at).await?,
        deliveries: run(connection, SETTLED, at).await? + run(connection, UNKNOWN_HERE, at).await?,
        held: 0,
    };
    run(connection, ATTEMPTS, at).await?;
    run(connection, TOUCHED, at).await?;
    mark(connection, at).await?;
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(restored)
}

/// Nobody knows what went since the backup. A receipt twice does less harm than none, advertising does not.
const HELD: &str = "UPDATE main.delivery SET state = 'unknown', done_at = $1, owner = NULL, lease_until = NULL, \
    last_error = 'it was waiting in the backup that was restored, and may have gone since that was made', \
    written_at = max(written_at, $1) \
    WHERE state IN ('pending', 'sending') AND due_at <= $1 AND purpose <> 'transactional'";

const HELD_TOUCHED: &str = "UPDATE main.evaluation SET seq = seq + 1, due_at = min(due_at, $1), \
    marked_at = max(marked_at, $1) \
    WHERE (bucket, customer_id) IN (SELECT bucket, customer_id FROM main.delivery \
    WHERE state = 'unknown' AND done_at = $1)";

async fn hold_back(connection: &mut SqliteConnection, at: At) -> Result<Restored> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let held = run(connection, HELD, at).await?;
    run(connection, HELD_TOUCHED, at).await?;
    mark(connection, at).await?;
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(Restored { held, ..Restored::default() })
}
