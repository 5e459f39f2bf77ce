//! Backups and keeping house. Never touches what an operator may still want to see.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use zyklus_model::At;

use crate::arg::args;
use crate::error::{Result, StoreError};
use crate::ingest::NOTIFICATION_DAYS;
use crate::open::{Store, sqlite_path};
use crate::past;
use crate::place::{Lock, refuse_network};
use crate::restore::{Restored, settle};

/// How long reports of unusable records are kept.
const REJECT_DAYS: i64 = 90;

/// What keeping house came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HousekeepReport {
    /// Reports of unusable records older than 90 days that were deleted.
    pub rejects: u64,
    /// Versions of rows that passed too long ago and were forgotten.
    pub past: u64,
    /// Whether SQLite's write-ahead log was wholly written into the file, so that it is used again from its
    /// beginning (it keeps its size); a reader may have been in the way.
    /// Always `true` on PostgreSQL, which has no such duty.
    pub is_checkpointed: bool,
}

impl Store {
    /// Copies an SQLite store, as of one instant, into a new file; the daemon goes on meanwhile. The file has its
    /// name only once it is whole, checked and on the disk.
    ///
    /// # Errors
    /// A file that exists, a full disk, the database's; PostgreSQL, which has its own tools.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        let Some(path) = self.path() else {
            return Err(StoreError::Unsupported(
                "a PostgreSQL store is backed up with pg_dump, which sees it as of one instant".to_owned(),
            ));
        };
        if to.exists() {
            return Err(StoreError::Refused(format!("{} exists already; name another file", to.display())));
        }
        copy(path, to).await
    }

    /// Puts a backup in the place of an SQLite store that no daemon uses. The store that was there is kept beside
    /// it, ending in `.before-restore`, even if it is damaged. An older backup is brought up to date by
    /// [`Store::migrate`].
    ///
    /// # Errors
    /// A running daemon, a file that is no store or is of a newer version: the store that was there is in its
    /// place then. Files that cannot be moved: what was moved already ends in `.before-restore`.
    pub async fn restore(from: &Path, to_url: &str) -> Result<()> {
        replace(from, to_url, None).await.map(drop)
    }

    /// The same, and so that a daemon can go on with it: what the store that was there knows to be sent, refused or
    /// withdrawn is taken over; where it cannot be read, advertising whose time had come is held back as `unknown`. What
    /// the streams bring until they have caught up is history once more.
    ///
    /// # Errors
    /// As with [`Store::restore`].
    pub async fn restore_at(from: &Path, to_url: &str, now: At) -> Result<Restored> {
        replace(from, to_url, Some(now)).await
    }

    /// Deletes reports of unusable records that are older than 90 days, ids of notifications as old, and what rows were more than `past_days` ago,
    /// the latter for a 24th of the customers each hour of the day; SQLite also refreshes what it knows of its tables
    /// and writes its write-ahead log into the file.
    ///
    /// # Errors
    /// The database's.
    pub async fn housekeep(&self, now: At, past_days: u32) -> Result<HousekeepReport> {
        let before = now.plus_days(-REJECT_DAYS);
        let sql = "DELETE FROM sync_reject WHERE at < $1";
        let rejects =
            self.write(move |tx| Box::pin(async move { tx.execute(sql, args![before]).await })).await?;
        let before = now.plus_days(-NOTIFICATION_DAYS);
        let sql = "DELETE FROM notification WHERE at < $1";
        self.write(move |tx| Box::pin(async move { tx.execute(sql, args![before]).await })).await?;
        let passed = now.plus_days(-i64::from(past_days));
        let past = self.write(move |tx| Box::pin(async move { past::prune(tx, passed, now).await })).await?;
        let is_checkpointed = match self.path() {
            Some(path) => checkpoint(path).await?,
            None => true,
        };
        Ok(HousekeepReport { rejects, past, is_checkpointed })
    }
}

/// Puts a backup in a store's place; with an instant, it is told what happened since.
async fn replace(from: &Path, to_url: &str, now: Option<At>) -> Result<Restored> {
    let Some(to) = sqlite_path(to_url) else {
        return Err(StoreError::Unsupported(
            "a PostgreSQL store is restored with pg_restore or psql, from what pg_dump wrote".to_owned(),
        ));
    };
    if !from.exists() {
        let message =
            format!("there is no file {}; name a backup that `zyklus db backup` wrote", from.display());
        return Err(StoreError::Refused(message));
    }
    refuse_network(&to)?;
    let lock = Lock::take(&to)?;
    let fresh = beside(&to, ".restoring");
    remove(&fresh)?;
    copy(from, &fresh).await?;
    // A log without its file is put away too: SQLite would play it into the backup.
    let kept = beside(&to, ".before-restore");
    let tails = ["", "-wal"];
    let is_kept = tails.iter().any(|tail| beside(&to, tail).exists());
    if is_kept {
        for tail in tails {
            let (now, then) = (beside(&to, tail), beside(&kept, tail));
            remove(&then)?;
            if now.exists() {
                fs::rename(&now, &then).map_err(|e| StoreError::file("move", &now, e))?;
            }
        }
        remove(&beside(&kept, "-shm"))?;
    }
    remove(&beside(&to, "-shm"))?;
    let restored = match now {
        Some(now) => settle(&fresh, is_kept.then_some(kept.as_path()), now).await?,
        None => Restored::default(),
    };
    fs::rename(&fresh, &to).map_err(|e| StoreError::file("move", &fresh, e))?;
    sync_folder(&to)?;
    drop(lock);
    Ok(restored)
}

/// Outside of any transaction, where alone SQLite does it, on a connection of its own.
async fn checkpoint(path: &Path) -> Result<bool> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(2));
    let mut connection = options.connect().await?;
    let tidy = "PRAGMA analysis_limit = 400; PRAGMA optimize";
    sqlx::raw_sql(tidy).execute(&mut connection).await?;
    let (busy, _, _): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(RESTART)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(busy == 0)
}

/// Copies a store into a file that is complete and checked before it has its name.
async fn copy(from: &Path, to: &Path) -> Result<()> {
    let part = beside(to, ".part");
    remove(&part)?;
    let copied = async {
        let mut source = open(from).await.map_err(|error| no_database(error, from))?;
        check_version(&mut source, from).await.map_err(|error| no_database(error, from))?;
        let name = part.display().to_string();
        sqlx::query("VACUUM INTO ?").bind(name).execute(&mut source).await?;
        source.close().await?;
        let mut written = open(&part).await?;
        let (word,): (String,) = sqlx::query_as("PRAGMA integrity_check(1)").fetch_one(&mut written).await?;
        written.close().await?;
        if word != "ok" {
            return Err(StoreError::Damaged(word));
        }
        let file = File::open(&part).map_err(|e| StoreError::file("open", &part, e))?;
        file.sync_all().map_err(|e| StoreError::file("write", &part, e))?;
        fs::rename(&part, to).map_err(|e| StoreError::file("move", &part, e))?;
        sync_folder(to)
    };
    let done = copied.await;
    if done.is_err() {
        // What went wrong is the news, not that the rest of it stays.
        drop(remove(&part));
    }
    done
}

async fn open(path: &Path) -> Result<SqliteConnection> {
    Ok(SqliteConnectOptions::new().filename(path).read_only(true).connect().await?)
}

/// A file that never was a database is not a damaged one.
fn no_database(error: StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::Damaged(word) if word.contains("not a database") => {
            StoreError::Refused(format!("{} is no database, so no backup of a store", path.display()))
        }
        other => other,
    }
}

async fn check_version(source: &mut SqliteConnection, path: &Path) -> Result<()> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'";
    let (there,): (i64,) = sqlx::query_as(sql).fetch_one(&mut *source).await?;
    if there == 0 {
        return Err(StoreError::Refused(format!("{} is no store of zyklus", path.display())));
    }
    let sql = "SELECT coalesce(max(version), 0) FROM schema_migration";
    let (found,): (i64,) = sqlx::query_as(sql).fetch_one(source).await?;
    let known = Store::KNOWN_VERSION;
    if found > known { Err(StoreError::NewerVersion { found, known }) } else { Ok(()) }
}

fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    PathBuf::from(name)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::file("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Makes a rename last.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| StoreError::file("write", folder, e))
}
