//! Opening and closing a store, and the two ways in: readers, and writes that cannot be cancelled half-way.
//! Never creates tables: `migrate.rs` does.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rusqlite::OpenFlags;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions as _, PgPool, SqlitePool};
use tokio::task::JoinError;
use zyklus_model::At;

use crate::arg::Stamp;
use crate::direct::DirectReaders;
use crate::error::{Result, StoreError};
use crate::place::{Lock, refuse_network};
use crate::tx::{Connection, Dialect, Tx};
use crate::writer::Writer;

/// How SQLite's writer writes: every commit on the disk, the log into the file every 64 MB: a page
/// that is changed again and again is written into the file once each time.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; \
    PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 16000; PRAGMA cache_size = -32000; \
    PRAGMA temp_store = MEMORY;";
/// Ends what the writer keeps of the file in memory.
const SHRINK: &str = "PRAGMA shrink_memory";
/// How many statements it keeps prepared: more than there are texts.
const WRITERS_STATEMENTS: usize = 400;

/// Whose clock says whether a lease still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseClock {
    /// The database's, the only one that all daemons share: their machines may disagree about the time. SQLite has
    /// one machine and one daemon, and goes by what the caller says.
    Database,
    /// The caller's, for tests in which time is told.
    Caller,
}

impl LeaseClock {
    /// The instant leases are measured by, given the caller's.
    pub(crate) async fn now(self, tx: &mut Tx, callers: At) -> Result<At> {
        if self == LeaseClock::Caller || tx.dialect() == Dialect::Sqlite {
            return Ok(callers);
        }
        let row: Option<(Stamp,)> = tx.first("SELECT clock_timestamp()", Vec::new()).await?;
        Ok(row.map_or(callers, |(now,)| now.0))
    }
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Only reading: takes no lock, changes no byte of an SQLite file, works beside a running daemon.
    pub read_only: bool,
    /// For single writes by hand, beside a daemon that may be running: takes SQLite's lock file only if it is free, and
    /// refuses a store of another version. Two writers are what SQLite's own locks are for; the lock file keeps apart
    /// two daemons, which would claim the same deliveries.
    pub beside: bool,
    /// Whether a missing SQLite file is created.
    pub create: bool,
    /// How many reading connections SQLite gets.
    pub readers: u32,
    /// How many connections PostgreSQL gets.
    pub connections: u32,
    /// How long to wait for a lock of another process, or for a free connection.
    pub patience: Duration,
    /// Whose clock leases go by.
    pub leases: LeaseClock,
    /// Prepared statements kept per PostgreSQL connection; 0 behind a PgBouncer older than 1.21.
    pub statements: usize,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            read_only: false,
            beside: false,
            create: true,
            readers: 4,
            connections: 10,
            patience: Duration::from_secs(10),
            leases: LeaseClock::Database,
            statements: 100,
        }
    }
}

impl OpenOptions {
    /// Single writes by hand: for `delivery retry` and `cancel`.
    pub fn by_hand() -> Self {
        OpenOptions { beside: true, create: false, ..OpenOptions::default() }
    }

    /// Only reading: for `plan`, `why`, `report`.
    pub fn reading() -> Self {
        OpenOptions { read_only: true, create: false, ..OpenOptions::default() }
    }
}

/// A customer store in one SQLite file or one PostgreSQL database. Cloning is cheap and shares everything.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) backend: Backend,
    pub(crate) leases: LeaseClock,
    read_only: bool,
}

pub(crate) enum Backend {
    Sqlite { path: PathBuf, readers: SqlitePool, direct: DirectReaders, writer: Option<Writer> },
    Postgres { pool: PgPool },
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.inner.backend {
            Backend::Sqlite { path, .. } => write!(f, "Store(sqlite:{})", path.display()),
            Backend::Postgres { .. } => f.write_str("Store(postgres)"),
        }
    }
}

/// The path in `sqlite:path`.
pub(crate) fn sqlite_path(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    Some(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)))
}

impl Store {
    /// Opens `sqlite:path` or `postgres://…`. Tables are made by [`Store::migrate`].
    ///
    /// # Errors
    /// The address, the file's place, a second writer, a store of a newer version; opened for reading or beside a
    /// daemon also a store of an older version.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self> {
        let backend = if let Some(path) = sqlite_path(url) {
            open_sqlite(path, &options).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            open_postgres(url, &options).await?
        } else {
            return Err(StoreError::Url { url: shown(url), problem: "unknown kind".to_owned() });
        };
        let store = Store {
            inner: Arc::new(Inner { backend, leases: options.leases, read_only: options.read_only }),
        };
        let (found, known) = (store.version().await?, Store::KNOWN_VERSION);
        if found > known {
            store.close().await;
            return Err(StoreError::NewerVersion { found, known });
        }
        if (options.read_only || options.beside) && found < known {
            store.close().await;
            return Err(StoreError::OlderVersion { found, known });
        }
        Ok(store)
    }

    /// Waits for running writes and closes all connections; later calls fail with [`StoreError::Closed`].
    pub async fn close(&self) {
        match &self.inner.backend {
            Backend::Sqlite { readers, direct, writer, .. } => {
                readers.close().await;
                direct.close().await;
                if let Some(writer) = writer {
                    writer.close().await;
                }
            }
            Backend::Postgres { pool } => pool.close().await,
        }
    }

    /// Gives back the memory in which parts of an SQLite file are kept, for a time in which little is asked of it. Whoever
    /// asks next reads them anew. Of PostgreSQL nothing is kept here.
    ///
    /// # Errors
    /// The database's.
    pub async fn relax(&self) -> Result<()> {
        let Backend::Sqlite { readers, direct, writer, .. } = &self.inner.backend else { return Ok(()) };
        direct.relax();
        // Those in use are left alone.
        while let Some(idle) = readers.try_acquire() {
            idle.close().await?;
        }
        match writer {
            Some(writer) => writer.write(|tx| Box::pin(tx.script(SHRINK))).await,
            None => Ok(()),
        }
    }

    /// Whether it lies in an SQLite file.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.inner.backend, Backend::Sqlite { .. })
    }

    /// The SQLite file.
    pub fn path(&self) -> Option<&Path> {
        match &self.inner.backend {
            Backend::Sqlite { path, .. } => Some(path),
            Backend::Postgres { .. } => None,
        }
    }

    /// Readers that see SQLite's own rows.
    pub(crate) fn direct(&self) -> Option<&DirectReaders> {
        match &self.inner.backend {
            Backend::Sqlite { direct, .. } => Some(direct),
            Backend::Postgres { .. } => None,
        }
    }

    /// A connection for single reads.
    pub(crate) async fn peek(&self) -> Result<Tx> {
        Ok(Tx::new(match &self.inner.backend {
            Backend::Sqlite { readers, .. } => Connection::Sqlite(acquire(readers).await?),
            Backend::Postgres { pool } => Connection::Postgres(acquire(pool).await?),
        }))
    }

    /// A connection inside a reading transaction: everything it reads is of one instant of committing.
    pub(crate) async fn reader(&self) -> Result<Tx> {
        let mut tx = self.peek().await?;
        tx.begin_read().await?;
        Ok(tx)
    }

    /// Does `work` in one transaction. It goes on when the caller is dropped: what was begun is committed or
    /// rolled back as a whole. `work` may run again, which is why it is `Fn`: on PostgreSQL when two
    /// transactions got in each other's way, on SQLite when another job of its group failed.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        if self.inner.read_only {
            return Err(StoreError::ReadOnly);
        }
        match &self.inner.backend {
            Backend::Sqlite { writer, .. } => writer.as_ref().ok_or(StoreError::ReadOnly)?.write(work).await,
            Backend::Postgres { pool } => {
                let pool = pool.clone();
                ended(tokio::spawn(async move { write_postgres(&pool, work).await }).await)?
            }
        }
    }
}

/// What a task came to: a panic goes on here, and one that was given up had its runtime end under it.
pub(crate) fn ended<T>(task: Result<T, JoinError>) -> Result<T> {
    task.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => StoreError::Closed,
    })
}

async fn acquire<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> Result<sqlx::pool::PoolConnection<DB>> {
    pool.acquire().await.map_err(|error| match error {
        sqlx::Error::PoolClosed => StoreError::Closed,
        other => other.into(),
    })
}

async fn write_postgres<T, F>(pool: &PgPool, work: F) -> Result<T>
where
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
{
    let mut tries = 0;
    loop {
        let mut tx = Tx::new(Connection::Postgres(acquire(pool).await?));
        tx.begin_write().await?;
        let done = match work(&mut tx).await {
            Ok(value) => tx.commit().await.map(|()| value),
            Err(error) => {
                // A lost connection cannot roll back; then the server does.
                drop(tx.roll_back().await);
                Err(error)
            }
        };
        match done {
            Err(error) if error.is_conflict() && tries < 8 => tries += 1,
            other => return other,
        }
    }
}

async fn open_sqlite(path: PathBuf, options: &OpenOptions) -> Result<Backend> {
    let shown = format!("sqlite:{}", path.display());
    if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
        return Err(StoreError::Url { url: shown, problem: "it needs a file".to_owned() });
    }
    if (options.read_only || !options.create) && !path.exists() {
        return Err(StoreError::Missing { path });
    }
    refuse_network(&path)?;
    let base = SqliteConnectOptions::new()
        .filename(&path)
        .busy_timeout(options.patience)
        .foreign_keys(false)
        // A full channel of rows stops SQLite's thread until we come round to it.
        .row_buffer_size(4096);
    let writer = if options.read_only {
        None
    } else {
        let lock = match Lock::take(&path) {
            Err(StoreError::Locked { .. }) if options.beside => None,
            taken => Some(taken?),
        };
        let (path, options) = (path.clone(), options.clone());
        // Making the file and its log may have to wait for the disk; the lock is held as long as that takes.
        let starting = move || Writer::start(writing(&path, &options)?, lock);
        Some(tokio::task::spawn_blocking(starting).await.map_err(|_| StoreError::Closed)??)
    };
    let readers = SqlitePoolOptions::new()
        .max_connections(options.readers.max(1))
        .acquire_timeout(options.patience)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(base.read_only(true).pragma("cache_size", "-4000"));
    let direct = DirectReaders::new(path.clone(), options.patience);
    Ok(Backend::Sqlite { path, readers, direct, writer })
}

/// The connection that writes.
fn writing(path: &Path, options: &OpenOptions) -> Result<rusqlite::Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, options.create);
    let connection = rusqlite::Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(options.patience)?;
    connection.set_prepared_statement_cache_capacity(WRITERS_STATEMENTS);
    connection.execute_batch(PRAGMAS)?;
    Ok(connection)
}

async fn open_postgres(url: &str, options: &OpenOptions) -> Result<Backend> {
    let connect = PgConnectOptions::from_str(url)
        .map_err(|error| StoreError::Url { url: shown(url), problem: error.to_string() })?
        .statement_cache_capacity(options.statements);
    let opening = PgPoolOptions::new()
        .max_connections(options.connections.max(1))
        .acquire_timeout(options.patience)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(connect.clone());
    match opening.await {
        Ok(pool) => Ok(Backend::Postgres { pool }),
        Err(error) => {
            let place = format!("{}:{}", connect.get_host(), connect.get_port());
            // A pool that waited in vain does not say for what; one more try does.
            let again = tokio::time::timeout(options.patience, connect.connect());
            let cause = match error {
                sqlx::Error::PoolTimedOut => again.await.ok().and_then(Result::err).unwrap_or(error),
                other => other,
            };
            Err(StoreError::Unreachable { place, source: Arc::new(cause) })
        }
    }
}

/// The address without user and password.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_owned(),
    }
}
