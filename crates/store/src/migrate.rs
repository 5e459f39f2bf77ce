//! Brings the tables to this program's version. Never goes back: a store from a newer program is refused.

use futures::FutureExt;

use crate::arg::args;
use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::tx::{Dialect, Tx};

/// One step: its name and its text for each database.
struct Migration {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// In order; the version of a store is how many of them it has seen.
const MIGRATIONS: &[Migration] = &[Migration {
    name: "first",
    sqlite: concat!(
        include_str!("../migrations/sqlite/0001_first.sql"),
        include_str!("../migrations/sqlite/0001_past.sql")
    ),
    postgres: concat!(
        include_str!("../migrations/postgres/0001_first.sql"),
        include_str!("../migrations/postgres/0001_past.sql")
    ),
}];

impl Store {
    /// The newest version this program knows.
    pub const KNOWN_VERSION: i64 = MIGRATIONS.len() as i64;

    /// The version of the store; 0 when it is empty.
    pub async fn version(&self) -> Result<i64> {
        version(&mut self.peek().await?).await
    }

    /// Brings the tables up to date and returns the version. Does nothing when they are.
    ///
    /// # Errors
    /// A store of a newer version; whatever keeps the database from being written.
    pub async fn migrate(&self) -> Result<i64> {
        if self.version().await? == Self::KNOWN_VERSION {
            return Ok(Self::KNOWN_VERSION);
        }
        self.write(|tx| migrate(tx).boxed()).await
    }
}

async fn version(tx: &mut Tx) -> Result<i64> {
    let there = match tx.dialect() {
        Dialect::Sqlite => {
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'"
        }
        Dialect::Postgres => {
            "SELECT count(*) FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_name = 'schema_migration'"
        }
    };
    let (there,): (i64,) = tx.first(there, args![]).await?.unwrap_or_default();
    if there == 0 {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM schema_migration";
    let (version,): (i64,) = tx.first(sql, args![]).await?.unwrap_or_default();
    Ok(version)
}

async fn migrate(tx: &mut Tx) -> Result<i64> {
    tx.script("CREATE TABLE IF NOT EXISTS schema_migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL)")
        .await?;
    if tx.dialect() == Dialect::Postgres {
        // Several daemons may start at once; the others wait here and then find the work done.
        tx.script("LOCK TABLE schema_migration IN EXCLUSIVE MODE").await?;
    }
    let found = version(tx).await?;
    let known = Store::KNOWN_VERSION;
    if found > known {
        return Err(StoreError::NewerVersion { found, known });
    }
    for (version, migration) in (1..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        let text = match tx.dialect() {
            Dialect::Sqlite => migration.sqlite,
            Dialect::Postgres => migration.postgres,
        };
        tx.script(text).await?;
        let sql = "INSERT INTO schema_migration (version, name) VALUES ($1, $2)";
        tx.execute(sql, args![version, migration.name]).await?;
    }
    Ok(known)
}
