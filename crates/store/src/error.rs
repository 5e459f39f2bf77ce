//! What can go wrong in the store, and what to do about it. Never logs.

use std::path::PathBuf;
use std::sync::Arc;

use zyklus_model::At;

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The address of the store is not understood.
    #[error(
        "`{url}` is not the address of a store: {problem}; write sqlite:path/to/zyklus.db or postgres://…"
    )]
    Url {
        /// What was given, without a password.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no database file, and it was not to be created.
    #[error("there is no store at {}; `zyklus db migrate` creates one", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another process writes to the same file.
    #[error("{} is in use by another zyklus{}; stop it first, or use PostgreSQL for several daemons",
        path.display(), pid.map(|p| format!(" (process {p})")).unwrap_or_default())]
    Locked {
        /// The database file.
        path: PathBuf,
        /// The other process, if its lock file says.
        pid: Option<u32>,
    },
    /// SQLite loses data on network file systems.
    #[error("{} is on a network file system ({kind}), where SQLite can lose data; move it to a local disk or use PostgreSQL",
        path.display())]
    NetworkFileSystem {
        /// The database file.
        path: PathBuf,
        /// The file system's type.
        kind: String,
    },
    /// The store was written by a newer program.
    #[error(
        "the store has version {found}, this program knows version {known}; install the newer zyklus, or restore a backup made before the upgrade"
    )]
    NewerVersion {
        /// The version found.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The store was written by an older program and was opened only for reading, or beside a daemon.
    #[error(
        "the store has version {found}, this program needs version {known}; run `zyklus db migrate` (make a backup first)"
    )]
    OlderVersion {
        /// The version found.
        found: i64,
        /// The version this program needs.
        known: i64,
    },
    /// The disk is full; nothing was applied.
    #[error("the disk that holds the store is full; nothing was changed, free some space and it goes on")]
    Full,
    /// The store was opened for reading only.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// The writer is gone: the store was closed.
    #[error("the store is closed")]
    Closed,
    /// The file is damaged.
    #[error("the database is damaged: {0}; restore a backup with `zyklus db restore`")]
    Damaged(String),
    /// Asked for a time whose state is not known.
    #[error("the state as of {at} is not known: {}", match from {
        Some(from) => format!("the store knows how things stood from {from} on"),
        None => "the store has taken nothing in yet; `zyklus sync` does".to_owned(),
    })]
    TooEarly {
        /// As of when.
        at: At,
        /// From when on it is known; `None` = the store is empty.
        from: Option<At>,
    },
    /// Not possible on this kind of database.
    #[error("{0}")]
    Unsupported(String),
    /// Asked for something that cannot be done, for example cancelling what was sent.
    #[error("{0}")]
    Refused(String),
    /// A stored value does not read back: the file was changed by another program.
    #[error("a stored {what} is not readable: {problem}")]
    Unreadable {
        /// What it should have been.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// PostgreSQL is not there, or does not let us in.
    #[error("cannot connect to PostgreSQL at {place}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// Why not.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// The SQLite file could not be read or written.
    #[error("the database could not do it")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// The system has no thread to spare.
    #[error("no thread for writing to the database could be started")]
    Thread(#[source] Arc<std::io::Error>),
    /// The database refused or was not reached.
    #[error("the database could not do it")]
    Database(#[source] Arc<sqlx::Error>),
}

impl StoreError {
    /// Whether trying again later, unchanged, may succeed (a full disk, a lost connection, another process that writes).
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Full => true,
            StoreError::Database(error) => match &**error {
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::Tls(_)
                | sqlx::Error::WorkerCrashed => true,
                // PostgreSQL is being restarted, fails over, or has no connection to spare.
                sqlx::Error::Database(error) => {
                    let code = error.code();
                    let code = code.as_deref().unwrap_or_default();
                    code.starts_with("08") || ["57P01", "57P02", "57P03", "53300"].contains(&code)
                }
                _ => false,
            },
            StoreError::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
            ),
            _ => false,
        }
    }

    /// Whether two transactions got in each other's way and the same work may simply be done again.
    pub(crate) fn is_conflict(&self) -> bool {
        let StoreError::Database(error) = self else { return false };
        let sqlx::Error::Database(error) = &**error else { return false };
        matches!(error.code().as_deref(), Some("40001" | "40P01" | "23505"))
    }

    pub(crate) fn unreadable(what: &'static str, problem: impl ToString) -> Self {
        StoreError::Unreadable { what, problem: problem.to_string() }
    }

    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        StoreError::File { doing, path: path.into(), source: Arc::new(source) }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            // 13 is SQLITE_FULL, 53100 PostgreSQL's disk_full; 11 and 26 say that the file is no database.
            match database.code().as_deref() {
                Some("13" | "53100") => return StoreError::Full,
                Some("8" | "1032") => return StoreError::ReadOnly,
                Some("11" | "26") => return StoreError::Damaged(database.message().to_owned()),
                _ => {}
            }
        }
        StoreError::Database(Arc::new(error))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly};
        match (error.sqlite_error_code(), error) {
            (_, rusqlite::Error::FromSqlConversionFailure(_, _, problem)) => {
                StoreError::unreadable("value", problem)
            }
            (_, error @ rusqlite::Error::InvalidColumnType(..)) => StoreError::unreadable("value", error),
            (Some(DiskFull), _) => StoreError::Full,
            (Some(ReadOnly), _) => StoreError::ReadOnly,
            (Some(DatabaseCorrupt | NotADatabase), error) => StoreError::Damaged(error.to_string()),
            (_, error) => StoreError::Sqlite(Arc::new(error)),
        }
    }
}

/// The result of asking the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
