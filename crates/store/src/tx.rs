//! One connection inside one transaction, of either database, and the text builder both share. Never decides
//! what is written.
//!
//! Static statements use `$1`, `$2` …, which both databases understand. Statements of many rows are built with
//! [`Sql`], because SQLite looks numbered names up one after another and plain `?` does not.

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, Postgres, SqlSafeStr, Sqlite};
use uuid::Uuid;
use zyklus_model::{CustomerId, bucket_of};

use crate::arg::{self, Arg};
use crate::direct::{self, Direct};
use crate::error::{Result, StoreError};

/// How many rows a statement of many rows carries at most. 500 rows of 25 columns stay below SQLite's 32,766
/// and PostgreSQL's 65,535 arguments.
pub(crate) const CHUNK: usize = 500;

/// A row that reads from both databases.
pub(crate) trait Load:
    Direct + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}
impl<T> Load for T where T: Direct + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// Something that reads the rows of a built statement.
pub(crate) trait Rows: Send {
    fn dialect(&self) -> Dialect;

    /// Tells of one after another.
    fn each<T: Load>(
        &mut self,
        sql: Sql,
        tell: impl FnMut(T) + Send,
    ) -> impl Future<Output = Result<()>> + Send;

    /// All of them.
    fn rows<T: Load>(&mut self, sql: Sql) -> impl Future<Output = Result<Vec<T>>> + Send {
        async move {
            let mut rows = Vec::new();
            self.each(sql, |row| rows.push(row)).await?;
            Ok(rows)
        }
    }
}

impl Rows for Tx {
    fn dialect(&self) -> Dialect {
        Tx::dialect(self)
    }

    async fn each<T: Load>(&mut self, sql: Sql, tell: impl FnMut(T) + Send) -> Result<()> {
        Tx::rows(self, sql).await?.into_iter().for_each(tell);
        Ok(())
    }
}

/// Which database a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

pub(crate) enum Connection {
    /// SQLite's one writer, which has a thread of its own: what it is asked is done when the future is first looked at.
    Writer(rusqlite::Connection),
    /// One of those that read an SQLite file.
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// One connection, inside a transaction while `open`.
pub(crate) struct Tx {
    connection: Connection,
    open: bool,
}

/// Repeats one expression for both databases, and has another for SQLite's writer.
macro_rules! on_backend {
    ($tx:expr, $args:ident => $bound:ident, |$c:ident| $body:expr, |$writer:ident| $written:expr) => {
        match &mut $tx.connection {
            Connection::Writer($writer) => $written,
            Connection::Sqlite(connection) => {
                let $bound = arg::sqlite($args);
                let $c = &mut **connection;
                $body
            }
            Connection::Postgres(connection) => {
                let $bound = arg::postgres($args);
                let $c = &mut **connection;
                $body
            }
        }
    };
}

impl Tx {
    pub(crate) fn new(connection: Connection) -> Self {
        Tx { connection, open: false }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.connection {
            Connection::Writer(_) | Connection::Sqlite(_) => Dialect::Sqlite,
            Connection::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(crate) async fn begin_write(&mut self) -> Result<()> {
        let begin = match self.dialect() {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        self.open = true;
        self.execute(begin, Vec::new()).await.map(drop)
    }

    pub(crate) async fn begin_read(&mut self) -> Result<()> {
        let begin = match self.dialect() {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.open = true;
        self.execute(begin, Vec::new()).await.map(drop)
    }

    pub(crate) async fn commit(&mut self) -> Result<()> {
        self.execute("COMMIT", Vec::new()).await?;
        self.open = false;
        Ok(())
    }

    pub(crate) async fn roll_back(&mut self) -> Result<()> {
        self.execute("ROLLBACK", Vec::new()).await?;
        self.open = false;
        Ok(())
    }

    /// SQLite ends a transaction by itself after some failures: ROLLBACK then fails, and all is well.
    pub(crate) fn forget_transaction(&mut self) {
        self.open = false;
    }

    /// Runs a statement and says how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: impl SqlSafeStr + Send, args: Vec<Arg<'_>>) -> Result<u64> {
        let sql = sql.into_sql_str();
        Ok(on_backend!(
            self,
            args => bound,
            |c| sqlx::query_with(sql, bound).execute(c).await?.rows_affected(),
            |writer| direct::run(writer, sql.as_str(), &args, true, |()| {})?
        ))
    }

    /// All rows of a statement. Complete before anything else happens: a RETURNING is done when this is.
    pub(crate) async fn fetch<T: Load>(
        &mut self,
        sql: impl SqlSafeStr + Send,
        args: Vec<Arg<'_>>,
    ) -> Result<Vec<T>> {
        let sql = sql.into_sql_str();
        Ok(on_backend!(
            self,
            args => bound,
            |c| sqlx::query_as_with(sql, bound).fetch_all(c).await?,
            |writer| direct::rows(writer, sql.as_str(), &args, true)?
        ))
    }

    /// The first row.
    pub(crate) async fn first<T: Load>(
        &mut self,
        sql: impl SqlSafeStr + Send,
        args: Vec<Arg<'_>>,
    ) -> Result<Option<T>> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// Runs statements that follow one another, without arguments.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<()> {
        match &mut self.connection {
            Connection::Writer(connection) => connection.execute_batch(sql)?,
            Connection::Sqlite(connection) => {
                sqlx::raw_sql(sql).execute(&mut **connection).await.map(drop)?
            }
            Connection::Postgres(connection) => {
                sqlx::raw_sql(sql).execute(&mut **connection).await.map(drop)?
            }
        }
        Ok(())
    }

    /// Runs a built statement.
    pub(crate) async fn run(&mut self, sql: Sql) -> Result<u64> {
        let Sql { text, args, keep, .. } = sql;
        Ok(on_backend!(
            self,
            args => bound,
            |c| sqlx::query_with(AssertSqlSafe(text), bound).persistent(keep).execute(c).await?.rows_affected(),
            |writer| direct::run(writer, &text, &args, keep, |()| {})?
        ))
    }

    /// All rows of a built statement.
    pub(crate) async fn rows<T: Load>(&mut self, sql: Sql) -> Result<Vec<T>> {
        let Sql { text, args, keep, .. } = sql;
        Ok(on_backend!(
            self,
            args => bound,
            |c| sqlx::query_as_with(AssertSqlSafe(text), bound).persistent(keep).fetch_all(c).await?,
            |writer| direct::rows(writer, &text, &args, keep)?
        ))
    }

    /// Runs a statement of SQLite's own once for each list of arguments, and says of each whether it touched a row.
    pub(crate) async fn run_for_each(&mut self, text: &str, all: Vec<Vec<Arg<'_>>>) -> Result<Vec<bool>> {
        let mut touched = Vec::with_capacity(all.len());
        match &self.connection {
            Connection::Writer(writer) => {
                direct::run_for_each(writer, text, all, |rows| touched.push(rows > 0))?;
                Ok(touched)
            }
            Connection::Sqlite(_) | Connection::Postgres(_) => Err(StoreError::ReadOnly),
        }
    }

    /// Inserts many rows: `head` ends before VALUES, `tail` follows the rows. One at a time into SQLite, where a
    /// statement costs next to nothing and a list of rows is gone through twice, [`CHUNK`] at a time into PostgreSQL.
    pub(crate) async fn insert<'a, R>(
        &mut self,
        head: &str,
        rows: impl IntoIterator<Item = R>,
        tail: &str,
    ) -> Result<u64>
    where
        R: AsRef<[Arg<'a>]> + IntoIterator<Item = Arg<'a>>,
    {
        let mut rows = rows.into_iter().peekable();
        let mut touched = 0;
        if let Connection::Writer(writer) = &self.connection {
            let Some(width) = rows.peek().map(|row| row.as_ref().len()) else { return Ok(0) };
            let rows = rows.inspect(|row| debug_assert_eq!(row.as_ref().len(), width, "{head}"));
            let places = ["?"].repeat(width).join(", ");
            direct::run_for_each(writer, &format!("{head} VALUES ({places}){tail}"), rows, |n| touched += n)?;
            return Ok(touched);
        }
        while rows.peek().is_some() {
            let mut sql = Sql::new(self.dialect(), head);
            sql.values(rows.by_ref().take(CHUNK));
            sql.push(tail);
            touched += self.run(sql).await?;
        }
        Ok(touched)
    }
}

impl Drop for Tx {
    /// A connection that is dropped inside a transaction never goes back to the pool: the next user would
    /// write into a transaction nobody commits.
    fn drop(&mut self) {
        if self.open {
            match &mut self.connection {
                // Closed with this.
                Connection::Writer(_) => {}
                Connection::Sqlite(connection) => connection.close_on_drop(),
                Connection::Postgres(connection) => connection.close_on_drop(),
            }
        }
    }
}

/// A statement under construction, with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Sql {
    text: String,
    args: Vec<Arg<'static>>,
    dialect: Dialect,
    /// Whether the prepared statement is worth keeping: texts that differ with the number of rows are not.
    keep: bool,
}

impl Sql {
    pub(crate) fn new(dialect: Dialect, text: &str) -> Self {
        Sql { text: text.to_owned(), args: Vec::new(), dialect, keep: true }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(crate) fn bind<'v>(&mut self, value: impl Into<Arg<'v>>) -> &mut Self {
        self.args.push(value.into().into_owned());
        match self.dialect {
            Dialect::Sqlite => self.text.push('?'),
            Dialect::Postgres => {
                use std::fmt::Write as _;
                write!(self.text, "${}", self.args.len()).expect("writing to a String");
            }
        }
        self
    }

    /// ` VALUES (…), (…)`.
    pub(crate) fn values<'v>(
        &mut self,
        rows: impl IntoIterator<Item = impl IntoIterator<Item = Arg<'v>>>,
    ) -> &mut Self {
        self.push(" VALUES ");
        let mut count = 0;
        for row in rows {
            self.push(if count == 0 { "(" } else { ", (" });
            for (n, value) in row.into_iter().enumerate() {
                if n > 0 {
                    self.push(", ");
                }
                self.bind(value);
            }
            self.push(")");
            count += 1;
        }
        self.keep &= count == 1 || count == CHUNK;
        self
    }

    /// `(a, b, c)`, for IN; never empty.
    pub(crate) fn list<'v, A: Into<Arg<'v>>>(&mut self, values: impl IntoIterator<Item = A>) -> &mut Self {
        self.push("(");
        let mut count = 0;
        for value in values {
            if count > 0 {
                self.push(", ");
            }
            self.bind(value);
            count += 1;
        }
        self.push(")");
        self.keep &= count == 1 || count == CHUNK;
        self
    }

    /// `WITH wanted (bucket, id) AS (…) ` for joining on the customers wanted. The text is the same however many
    /// they are, so that it is prepared once.
    pub(crate) fn wanted(dialect: Dialect, customers: &[CustomerId]) -> Self {
        Sql::with(dialect, &Wanted::new(customers))
    }

    /// The same for customers that several statements are about.
    pub(crate) fn with(dialect: Dialect, wanted: &Wanted) -> Self {
        let mut sql = Sql::new(dialect, "WITH wanted (bucket, id) AS (");
        sql.select(wanted).push(") ");
        sql
    }

    /// The text, its arguments, and whether it is worth keeping prepared.
    pub(crate) fn into_parts(self) -> (String, Vec<Arg<'static>>, bool) {
        (self.text, self.args, self.keep)
    }

    /// A SELECT of the buckets and ids of customers.
    pub(crate) fn select(&mut self, wanted: &Wanted) -> &mut Self {
        let (buckets, ids) = wanted.clone().into_args();
        match self.dialect {
            Dialect::Sqlite => {
                self.push("SELECT j.value, substr(").bind(ids).push(", j.key * 16 + 1, 16) FROM json_each(");
                self.bind(buckets).push(") j")
            }
            Dialect::Postgres => {
                self.push("SELECT u.b, u.i FROM unnest(").bind(buckets).push("::int2[], ").bind(ids);
                self.push("::uuid[]) AS u (b, i)")
            }
        }
    }
}

/// Customers that statements are about, with their buckets, which are worth computing once.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    buckets: Vec<i16>,
    ids: Vec<Uuid>,
}

impl Wanted {
    pub(crate) fn new(customers: &[CustomerId]) -> Self {
        Wanted {
            buckets: customers.iter().map(|id| bucket_of(*id)).collect(),
            ids: customers.iter().map(|id| id.uuid()).collect(),
        }
    }

    /// The first and the last of them, if they come in the order of the tables.
    pub(crate) fn span(&self) -> Option<Span> {
        let keys = || self.buckets.iter().copied().zip(self.ids.iter().copied());
        let span = Span { first: keys().next()?, last: keys().next_back()? };
        keys().zip(keys().skip(1)).all(|(one, next)| one < next).then_some(span)
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn into_args(self) -> (Arg<'static>, Arg<'static>) {
        (Arg::Buckets(self.buckets), Arg::Ids(self.ids))
    }
}

/// All customers from one to another, in the order of the tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    first: (i16, Uuid),
    last: (i16, Uuid),
}

impl Span {
    /// The condition that a row with this alias is of one of them.
    pub(crate) fn holds(self, sql: &mut Sql, alias: &str, id: &str) {
        for (how, (bucket, customer)) in [(">=", self.first), ("<=", self.last)] {
            sql.push(if how == ">=" { "(" } else { " AND (" });
            sql.push(alias).push(".bucket, ").push(alias).push(".").push(id).push(") ").push(how);
            sql.push(" (").bind(bucket).push(", ").bind(customer).push(")");
        }
    }
}
