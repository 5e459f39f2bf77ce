//! An SQLite file without sqlx in between: for the one writer, and for the one thing that reads millions of rows, snapshots.
//! sqlx hands every value of every row from its own thread to ours as a copy on the heap, and what is written the other
//! way; measured, that is most of what evaluating everybody costs. Single reads go through sqlx on both databases.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Null, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, Row, Statement, ToSql};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use uuid::Uuid;
use zyklus_model::At;

use crate::arg::{Arg, Stamp, list_text};
use crate::column::{Doc, Word, Words, doc, word};
use crate::error::{Result, StoreError};
use crate::open::ended;
use crate::tx::{Dialect, Load, Rows, Sql};

/// A statement's own arguments are numbered from one.
const FIRST: usize = 1;

const BEGIN: &str = "BEGIN";
const COMMIT: &str = "COMMIT";
/// So many connections wait for the next reader; who comes when none does opens one.
const IDLE: usize = 4;
/// How much of the file a connection keeps, in KiB with SQLite's minus: the upper pages of the trees of a million
/// customers.
const CACHE_KIB: i64 = -16_000;
/// Statements kept by a connection: a snapshot takes about a dozen.
const STATEMENTS: usize = 32;

/// A row that can be read straight from SQLite's own.
pub(crate) trait Direct: Sized {
    fn direct(row: &Row<'_>) -> rusqlite::Result<Self>;
}

/// Of a statement from which no rows are expected.
impl Direct for () {
    fn direct(_: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(())
    }
}

macro_rules! tuples {
    ($(($($column:ident $place:tt),+)),+ $(,)?) => {
        $(impl<$($column: FromSql),+> Direct for ($($column,)+) {
            fn direct(row: &Row<'_>) -> rusqlite::Result<Self> {
                Ok(($(row.get::<_, $column>($place)?,)+))
            }
        })+
    };
}

tuples!(
    (A 0),
    (A 0, B 1),
    (A 0, B 1, C 2),
    (A 0, B 1, C 2, D 3),
    (A 0, B 1, C 2, D 3, E 4),
    (A 0, B 1, C 2, D 3, E 4, F 5),
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6),
);

impl FromSql for Stamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Stamp(At::from_micros(value.as_i64()?)))
    }
}

impl<T: Words> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        word(value.as_str()?).map_err(FromSqlError::Other)
    }
}

impl<T: DeserializeOwned> FromSql for Doc<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        doc(value.as_str()?).map_err(FromSqlError::Other)
    }
}

impl ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match self {
            Arg::Int(v) => (*v).into(),
            Arg::Bool(v) => (*v).into(),
            Arg::Float(v) => (*v).into(),
            Arg::Text(Some(v)) => return Ok(ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes()))),
            Arg::Text(None) => Null.into(),
            Arg::Uuid(Some(v)) => return Ok(ToSqlOutput::Borrowed(ValueRef::Blob(v.as_bytes()))),
            Arg::Uuid(None) => Null.into(),
            Arg::At(v) => v.map(At::as_micros).into(),
            Arg::Buckets(v) => list_text(v).into(),
            Arg::Ids(v) => v.iter().copied().flat_map(Uuid::into_bytes).collect::<Vec<u8>>().into(),
        }))
    }
}

/// Runs a statement, tells of its rows one after another, and says how many rows it touched.
pub(crate) fn run<T: Direct>(
    connection: &Connection,
    text: &str,
    args: &[Arg<'_>],
    keep: bool,
    tell: impl FnMut(T),
) -> rusqlite::Result<u64> {
    if keep {
        go_through(&mut *connection.prepare_cached(text)?, args, tell)?;
    } else {
        go_through(&mut connection.prepare(text)?, args, tell)?;
    }
    Ok(connection.changes())
}

/// All rows of a statement.
pub(crate) fn rows<T: Direct>(
    connection: &Connection,
    text: &str,
    args: &[Arg<'_>],
    keep: bool,
) -> rusqlite::Result<Vec<T>> {
    let mut rows = Vec::new();
    run(connection, text, args, keep, |row| rows.push(row))?;
    Ok(rows)
}

fn go_through<T: Direct>(
    statement: &mut Statement<'_>,
    args: &[Arg<'_>],
    mut tell: impl FnMut(T),
) -> rusqlite::Result<()> {
    let numbers = numbers(statement);
    bind(statement, &numbers, args)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        tell(T::direct(row)?);
    }
    Ok(())
}

/// Runs a statement once for each list of arguments, and tells how many rows each time touched.
pub(crate) fn run_for_each<'a>(
    connection: &Connection,
    text: &str,
    all: impl IntoIterator<Item = impl AsRef<[Arg<'a>]>>,
    mut tell: impl FnMut(u64),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(text)?;
    let numbers = numbers(&statement);
    for args in all {
        bind(&mut statement, &numbers, args.as_ref())?;
        tell(statement.raw_execute()? as u64);
    }
    Ok(())
}

/// Which argument stands at each place of a statement. `?` are the arguments in their order. `$2` is a name to SQLite: it
/// means the second, wherever it stands.
fn numbers(statement: &Statement<'_>) -> Vec<usize> {
    let number = |place| {
        let named = statement.parameter_name(place).and_then(|name| name.get(1..)?.parse().ok());
        named.unwrap_or(place)
    };
    (FIRST..=statement.parameter_count()).map(number).collect()
}

fn bind(statement: &mut Statement<'_>, numbers: &[usize], args: &[Arg<'_>]) -> rusqlite::Result<()> {
    for (place, number) in (FIRST..).zip(numbers) {
        let arg = number.checked_sub(FIRST).and_then(|index| args.get(index));
        let arg = arg.ok_or(rusqlite::Error::InvalidParameterCount(args.len(), numbers.len()))?;
        statement.raw_bind_parameter(place, arg)?;
    }
    Ok(())
}

/// Connections to one file that only read.
#[derive(Debug, Clone)]
pub(crate) struct DirectReaders {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    patience: Duration,
    /// `None` once the store is closed.
    idle: Mutex<Option<Vec<Connection>>>,
    in_use: watch::Sender<usize>,
}

/// Counts as one reader while it lives.
struct InUse<'r>(&'r watch::Sender<usize>);

impl<'r> InUse<'r> {
    fn count(readers: &'r watch::Sender<usize>) -> Self {
        readers.send_modify(|count| *count += 1);
        InUse(readers)
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl DirectReaders {
    pub(crate) fn new(path: PathBuf, patience: Duration) -> Self {
        let (idle, in_use) = (Mutex::new(Some(Vec::new())), watch::Sender::new(0));
        DirectReaders { inner: Arc::new(Inner { path, patience, idle, in_use }) }
    }

    /// Does `work` in one reading transaction, on a thread that may wait for the disk.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut DirectReader) -> Result<T> + Send + 'static,
    {
        let readers = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _in_use = InUse::count(&readers.inner.in_use);
            let mut reader = DirectReader { connection: readers.take()? };
            reader.batch(BEGIN)?;
            // A connection on which something failed is not used again.
            let done = work(&mut reader)?;
            reader.batch(COMMIT)?;
            readers.give_back(reader.connection);
            Ok(done)
        });
        ended(reading.await)?
    }

    /// Closes those that wait, with what they keep of the file.
    pub(crate) fn relax(&self) {
        let idle =
            self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(std::mem::take);
        drop(idle);
    }

    /// Closes those that wait, and waits as long as for a lock for those in use, which are closed when they are done.
    pub(crate) async fn close(&self) {
        self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut in_use = self.inner.in_use.subscribe();
        if tokio::time::timeout(self.inner.patience, in_use.wait_for(|count| *count == 0)).await.is_err() {
            tracing::warn!("the store is closed while somebody still reads it");
        }
    }

    fn take(&self) -> Result<Connection> {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = idle.as_mut().ok_or(StoreError::Closed)?.pop() {
            return Ok(connection);
        }
        drop(idle);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.inner.path, flags)?;
        connection.busy_timeout(self.inner.patience)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(idle) = idle.as_mut().filter(|idle| idle.len() < IDLE) {
            idle.push(connection);
        }
    }
}

/// One of them, inside a transaction. What it is asked is done when the future is first looked at.
#[derive(Debug)]
pub(crate) struct DirectReader {
    connection: Connection,
}

impl DirectReader {
    /// Does something that may take long outside the transaction, which begins anew with what is committed then.
    pub(crate) fn rest<T>(&mut self, something: impl FnOnce() -> T) -> Result<T> {
        self.batch(COMMIT)?;
        let done = something();
        self.batch(BEGIN)?;
        Ok(done)
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        Ok(self.connection.execute_batch(sql)?)
    }
}

impl Rows for DirectReader {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn each<T: Load>(&mut self, sql: Sql, tell: impl FnMut(T) + Send) -> Result<()> {
        let (text, args, keep) = sql.into_parts();
        run(&self.connection, &text, &args, keep, tell)?;
        Ok(())
    }
}
