//! Backups and keeping house. Never touches what an operator may still want to see.

use std::path::Path;

use zyklus_model::At;

use crate::arg::args;
use crate::error::{Result, StoreError};
use crate::open::{OpenOptions, Store, sqlite_path};

/// What keeping house came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HousekeepReport {
    /// Reports of unusable records older than 90 days that were deleted.
    pub rejects: u64,
}

impl Store {
    /// Copies an SQLite store, as of one instant, into a new file; the daemon goes on meanwhile.
    ///
    /// # Errors
    /// A file that exists, a full disk, the database's; PostgreSQL, which has its own tools.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        if !self.is_sqlite() {
            return Err(StoreError::Unsupported(
                "a PostgreSQL store is backed up with pg_dump, which sees it as of one instant".to_owned(),
            ));
        }
        if to.exists() {
            return Err(StoreError::Refused(format!("{} exists already; name another file", to.display())));
        }
        let mut tx = self.peek().await?;
        tx.execute("VACUUM INTO $1", args![to.display().to_string()]).await.map(drop)
    }

    /// Puts a backup in the place of an SQLite store that no daemon uses. The store that was there is kept beside
    /// it, ending in `.before-restore`.
    ///
    /// # Errors
    /// A running daemon, a file that is no store or is of a newer version, files that cannot be moved.
    pub async fn restore(from: &Path, to_url: &str) -> Result<()> {
        let Some(to) = sqlite_path(to_url) else {
            return Err(StoreError::Unsupported("a PostgreSQL store is restored with pg_restore".to_owned()));
        };
        // Opening it checks that it is a store, and of a version this program knows.
        let backup = Store::open(&format!("sqlite:{}", from.display()), OpenOptions::reading()).await?;
        backup.customer_count().await?;
        backup.close().await;
        if to.exists() {
            // Opening it for writing takes the lock: a running daemon refuses, and closing empties the log.
            let current = Store::open(
                &format!("sqlite:{}", to.display()),
                OpenOptions { create: false, ..OpenOptions::default() },
            )
            .await?;
            current.close().await;
            let mut kept = to.clone().into_os_string();
            kept.push(".before-restore");
            std::fs::rename(&to, &kept).map_err(|e| StoreError::file("move", &to, e))?;
            for tail in ["-wal", "-shm"] {
                let mut beside = to.clone().into_os_string();
                beside.push(tail);
                if Path::new(&beside).exists() {
                    std::fs::remove_file(&beside).map_err(|e| StoreError::file("remove", &beside, e))?;
                }
            }
        }
        std::fs::copy(from, &to).map_err(|e| StoreError::file("write", &to, e)).map(drop)
    }

    /// Deletes reports of unusable records that are older than 90 days.
    ///
    /// # Errors
    /// The database's.
    pub async fn housekeep(&self, now: At) -> Result<HousekeepReport> {
        self.write(move |tx| {
            Box::pin(async move {
                let rejects =
                    tx.execute("DELETE FROM sync_reject WHERE at < $1", args![now.plus_days(-90)]).await?;
                Ok(HousekeepReport { rejects })
            })
        })
        .await
    }
}
