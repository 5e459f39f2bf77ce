//! The store as of an instant: what was stored by then and had not been changed or taken away. Every row says when it
//! was written, and its earlier versions lie in the `_past` tables, so that a version is one that was written by then
//! and had not passed. Never looks further back than the past is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::executor::block_on;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;
use zyklus_model::{At, CustomerId, Email, SegmentState, Snapshot, bucket_of};

use crate::arg::{Stamp, args};
use crate::column::{Doc, columns};
use crate::direct::Direct;
use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::past;
use crate::rows::{CUSTOMER_COLUMNS, CustomerRow, EvaluationRow};
use crate::snapshot::{Names, Reach, from_wanted, load_facts};
use crate::tx::{Dialect, Rows, Sql, Tx, Wanted};

/// How many customers one set of statements reads.
const BATCH: usize = 4_000;

/// A store as it was at an instant.
#[derive(Debug, Clone)]
pub struct AsOf {
    store: Store,
    at: At,
}

/// One customer's move from one phase to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastMove {
    /// Whose.
    pub customer: CustomerId,
    /// The phase left; `None` = the first phase of a customer.
    pub from: Option<String>,
    /// The phase entered.
    pub to: String,
    /// When.
    pub at: At,
}

/// Moves from one phase to another, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveCount {
    /// The phase left; `None` = the first phase of a customer.
    pub from: Option<String>,
    /// The phase entered.
    pub to: String,
    /// How many.
    pub ever: u64,
    /// How many of them after the instant asked for.
    pub since: u64,
}

impl Store {
    /// The store as it was at an instant; what is written later does not change it, and neither does what is written
    /// then with that very instant.
    ///
    /// # Errors
    /// [`StoreError::TooEarly`] when the past is not known that far back, and the database's.
    pub async fn as_of(&self, at: At) -> Result<AsOf> {
        match past::known_from(&mut self.peek().await?).await? {
            Some(from) if from <= at => Ok(AsOf { store: self.clone(), at }),
            from => Err(StoreError::TooEarly { at, from }),
        }
    }
}

/// `SELECT columns` of the versions of a table's rows that were there at an instant, for the customers wanted.
/// `written` names the column that says when the row was written.
pub(crate) fn from_versions(
    sql: &mut Sql,
    dialect: Dialect,
    columns: &str,
    table: &str,
    id: &str,
    written: &str,
    at: At,
) {
    let (name, alias) = table.split_once(' ').unwrap_or((table, table));
    sql.push("SELECT ").push(columns);
    from_wanted(sql, dialect, table, id);
    sql.push(" WHERE ").push(alias).push(".").push(written).push(" <= ").bind(at);
    let past = match written {
        "marked_at" => "mark_past",
        "stood_at" => "standing_past",
        _ => &format!("{name}_past"),
    };
    sql.push(" UNION ALL SELECT ").push(columns);
    from_wanted(sql, dialect, &format!("{past} {alias}"), id);
    sql.push(" WHERE ").push(alias).push(".").push(written).push(" <= ").bind(at);
    sql.push(" AND ").push(alias).push(".passed_at > ").bind(at);
}

/// A customer, since when we know them, and whom they were folded into.
struct PersonRow {
    customer: CustomerRow,
    received_at: Stamp,
    merged_into: Option<Uuid>,
}

impl<'r> FromRow<'r, SqliteRow> for PersonRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        use sqlx::Row as _;
        let (received_at, merged_into) =
            (row.try_get(CustomerRow::WIDTH)?, row.try_get(CustomerRow::WIDTH + 1)?);
        Ok(PersonRow { customer: CustomerRow::from_row(row)?, received_at, merged_into })
    }
}

impl Direct for PersonRow {
    fn direct(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let (received_at, merged_into) = (row.get(CustomerRow::WIDTH)?, row.get(CustomerRow::WIDTH + 1)?);
        Ok(PersonRow { customer: CustomerRow::from_direct(row, 0)?, received_at, merged_into })
    }
}

impl<'r> FromRow<'r, PgRow> for PersonRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        use sqlx::Row as _;
        let (received_at, merged_into) =
            (row.try_get(CustomerRow::WIDTH)?, row.try_get(CustomerRow::WIDTH + 1)?);
        Ok(PersonRow { customer: CustomerRow::from_row(row)?, received_at, merged_into })
    }
}

columns!(MarkRow {
    customer_id: Uuid,
    seq: i64,
    evaluated_at: Option<Stamp>,
    due_at: Stamp,
    live_pending: bool,
    history_pending: bool,
});

const MARK_COLUMNS: &str =
    "e.customer_id, e.seq, e.evaluated_at, e.due_at, e.live_pending, e.history_pending";

columns!(StandingRow {
    customer_id: Uuid,
    lifecycle: Option<String>,
    definition: Option<String>,
    phase: Option<String>,
    phase_since: Option<Stamp>,
    phase_previous: Option<String>,
    phase_moves: i64,
    phase_live: bool,
    phase_has_live: bool,
    segments: Doc<Vec<SegmentState>>,
});

const STANDING_COLUMNS: &str = "e.customer_id, e.lifecycle, e.definition, e.phase, e.phase_since, \
     e.phase_previous, e.phase_moves, e.phase_live, e.phase_has_live, e.segments";

impl AsOf {
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// As of when.
    pub fn at(&self) -> At {
        self.at
    }

    /// Snapshots of customers, in the order of the ids; left out are those who were unknown then, and those who were
    /// part of another customer.
    ///
    /// # Errors
    /// The database's, and rows another program has made unreadable.
    pub async fn snapshots(&self, ids: &[CustomerId]) -> Result<Vec<Snapshot>> {
        if let Some(direct) = self.store.direct() {
            let (ids, at) = (ids.to_vec(), self.at);
            return direct.read(move |reader| block_on(load_all(reader, &ids, at))).await;
        }
        let mut tx = self.store.reader().await?;
        let all = load_all(&mut tx, ids, self.at).await?;
        tx.commit().await?;
        Ok(all)
    }

    /// Customers in the order of their keys, after one of them; also those who were unknown then and those who are
    /// or were part of others: [`AsOf::snapshots`] leaves them out.
    ///
    /// # Errors
    /// The database's.
    pub async fn customer_ids(&self, after: Option<CustomerId>, limit: u32) -> Result<Vec<CustomerId>> {
        let mut tx = self.store.peek().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT id FROM customer");
        if let Some(after) = after {
            sql.push(" WHERE (bucket, id) > (").bind(bucket_of(after)).push(", ").bind(after).push(")");
        }
        sql.push(" ORDER BY bucket, id LIMIT ").bind(i64::from(limit));
        let rows: Vec<(Uuid,)> = tx.rows(sql).await?;
        Ok(rows.into_iter().map(|(id,)| CustomerId::from_uuid(id)).collect())
    }

    /// Customers whom our id, an e-mail address, another system's id or an order number led to.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_customers(&self, text: &str) -> Result<BTreeSet<CustomerId>> {
        let text = text.trim();
        let mut tx = self.store.reader().await?;
        let mut found = BTreeSet::new();
        if let Ok(id) = text.parse::<CustomerId>() {
            found.extend(remaining(&mut tx, id, self.at).await?);
        } else {
            let folded = Email::parse(text).map_or_else(|_| text.to_lowercase(), |e| e.as_str().to_owned());
            let ways = [
                ("customer", "id", "email = $1 AND merged_into IS NULL", folded.as_str()),
                ("identity", "customer_id", "kind IN ('email', 'guest_email') AND value = $1", &folded),
                ("identity", "customer_id", "kind = 'external' AND value = $1", text),
                ("orders", "customer_id", "number = $1", text),
            ];
            for (table, id, which, value) in ways {
                let mut sql = format!("SELECT {id} FROM {table} WHERE {which} AND written_at <= $2 UNION ");
                sql += &format!("SELECT {id} FROM {table}_past WHERE {which} AND written_at <= $2 ");
                sql += "AND passed_at > $2";
                let rows: Vec<(Uuid,)> = tx.fetch(sqlx::AssertSqlSafe(sql), args![value, self.at]).await?;
                found.extend(rows.into_iter().map(|(id,)| CustomerId::from_uuid(id)));
            }
        }
        tx.commit().await?;
        Ok(found)
    }

    /// The moves of a lifecycle up to the instant, as they were known at it.
    ///
    /// # Errors
    /// The database's.
    pub async fn moves(&self, lifecycle: &str, since: At) -> Result<Vec<MoveCount>> {
        let sql = "SELECT from_phase, to_phase, COUNT(*), COUNT(CASE WHEN at > $3 THEN 1 END) FROM ( \
                   SELECT from_phase, to_phase, at FROM transition \
                   WHERE lifecycle = $1 AND at <= $2 AND recorded_at <= $2 UNION ALL \
                   SELECT from_phase, to_phase, at FROM transition_past \
                   WHERE lifecycle = $1 AND at <= $2 AND recorded_at <= $2 AND passed_at > $2 \
                   ) AS moved GROUP BY from_phase, to_phase ORDER BY from_phase, to_phase";
        let mut tx = self.store.peek().await?;
        let rows: Vec<(Option<String>, String, i64, i64)> =
            tx.fetch(sql, args![lifecycle, self.at, since]).await?;
        let count = |(from, to, ever, since): (_, _, i64, i64)| MoveCount {
            from,
            to,
            ever: ever.unsigned_abs(),
            since: since.unsigned_abs(),
        };
        Ok(rows.into_iter().map(count).collect())
    }

    /// The same one by one, of the customers with a bucket from the first to before the second, customer by customer in
    /// the order of their keys.
    ///
    /// # Errors
    /// The database's.
    pub async fn moves_of(&self, lifecycle: &str, buckets: (i16, i16)) -> Result<Vec<PastMove>> {
        let sql = "SELECT customer_id, from_phase, to_phase, at FROM ( \
                   SELECT bucket, customer_id, from_phase, to_phase, at FROM transition \
                   WHERE bucket >= $3 AND bucket < $4 AND lifecycle = $1 AND at <= $2 AND recorded_at <= $2 UNION ALL \
                   SELECT bucket, customer_id, from_phase, to_phase, at FROM transition_past \
                   WHERE bucket >= $3 AND bucket < $4 AND lifecycle = $1 AND at <= $2 AND recorded_at <= $2 \
                   AND passed_at > $2) AS moved ORDER BY bucket, customer_id, at";
        let mut tx = self.store.peek().await?;
        let rows: Vec<(Uuid, Option<String>, String, Stamp)> =
            tx.fetch(sql, args![lifecycle, self.at, buckets.0, buckets.1]).await?;
        let one = |(customer, from, to, at): (Uuid, _, _, Stamp)| PastMove {
            customer: CustomerId::from_uuid(customer),
            from,
            to,
            at: at.0,
        };
        Ok(rows.into_iter().map(one).collect())
    }

    /// Since when each journey was live, and the hash of its definition.
    ///
    /// # Errors
    /// The database's.
    pub async fn journeys(&self) -> Result<BTreeMap<String, (Option<At>, String)>> {
        let sql = "SELECT id, active_from, definition FROM journey WHERE written_at <= $1 UNION ALL \
                   SELECT id, active_from, definition FROM journey_past \
                   WHERE written_at <= $1 AND passed_at > $1";
        let mut tx = self.store.peek().await?;
        let rows: Vec<(String, Option<Stamp>, String)> = tx.fetch(sql, args![self.at]).await?;
        Ok(rows.into_iter().map(|(id, from, hash)| (id, (from.map(|f| f.0), hash))).collect())
    }

    /// Products that could not be bought, by their id in the shop.
    ///
    /// # Errors
    /// The database's.
    pub async fn sold_out(&self) -> Result<BTreeSet<String>> {
        let sql = "SELECT external_id FROM product WHERE NOT available AND written_at <= $1 UNION \
                   SELECT external_id FROM product_past \
                   WHERE NOT available AND written_at <= $1 AND passed_at > $1";
        let rows: Vec<(String,)> = self.store.peek().await?.fetch(sql, args![self.at]).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}

/// The customer an id led to.
async fn remaining(tx: &mut Tx, id: CustomerId, at: At) -> Result<Option<CustomerId>> {
    let sql = "SELECT merged_into FROM customer WHERE bucket = $1 AND id = $2 AND written_at <= $3 UNION ALL \
               SELECT merged_into FROM customer_past \
               WHERE bucket = $1 AND id = $2 AND written_at <= $3 AND passed_at > $3";
    let mut id = id;
    // Merges point to the customer that remains; chains are short.
    for _ in 0..64 {
        let row: Option<(Option<Uuid>,)> = tx.first(sql, args![bucket_of(id), id, at]).await?;
        match row {
            None => return Ok(None),
            Some((None,)) => return Ok(Some(id)),
            Some((Some(next),)) => id = CustomerId::from_uuid(next),
        }
    }
    Ok(None)
}

async fn load_all(tx: &mut impl Rows, ids: &[CustomerId], at: At) -> Result<Vec<Snapshot>> {
    let mut all = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(BATCH) {
        all.extend(load(tx, chunk, at).await?);
    }
    Ok(all)
}

async fn load(tx: &mut impl Rows, ids: &[CustomerId], at: At) -> Result<Vec<Snapshot>> {
    let dialect = tx.dialect();
    let wanted = &Wanted::new(ids);
    let versions = |columns: &str, table: &str, id: &str, written: &str| {
        let mut sql = Sql::with(dialect, wanted);
        from_versions(&mut sql, dialect, columns, table, id, written, at);
        sql
    };
    let sql = versions(MARK_COLUMNS, "evaluation e", "customer_id", "marked_at");
    let mut marks: HashMap<Uuid, MarkRow> =
        tx.rows::<MarkRow>(sql).await?.into_iter().map(|row| (row.customer_id, row)).collect();
    let sql = versions(STANDING_COLUMNS, "evaluation e", "customer_id", "stood_at");
    let mut standings: HashMap<Uuid, StandingRow> =
        tx.rows::<StandingRow>(sql).await?.into_iter().map(|row| (row.customer_id, row)).collect();
    let columns = format!("{CUSTOMER_COLUMNS}, c.received_at, c.merged_into");
    let sql = versions(&columns, "customer c", "id", "written_at");
    let mut found = HashMap::with_capacity(ids.len());
    for PersonRow { customer, received_at, merged_into } in tx.rows::<PersonRow>(sql).await? {
        if merged_into.is_some() {
            continue;
        }
        let id = customer.id;
        let mut snapshot = Snapshot::of(customer.customer());
        let evaluation = evaluation(marks.remove(&id), standings.remove(&id), received_at);
        snapshot.mark = evaluation.mark();
        snapshot.segments.clone_from(&evaluation.segments.0);
        snapshot.phase = evaluation.phase();
        found.insert(id, snapshot);
    }
    load_facts(tx, ids, Reach::as_of(wanted, at), Names::Read, found).await
}

/// Where a customer stood. What is not kept is how it stood before the first evaluation of somebody who came in with
/// history: they were due since they came in, and `seq` had counted that much.
fn evaluation(mark: Option<MarkRow>, standing: Option<StandingRow>, received_at: Stamp) -> EvaluationRow {
    let mark = mark.unwrap_or(MarkRow {
        customer_id: Uuid::nil(),
        seq: 1,
        evaluated_at: None,
        due_at: received_at,
        live_pending: false,
        history_pending: true,
    });
    let standing = standing.unwrap_or(StandingRow {
        customer_id: Uuid::nil(),
        lifecycle: None,
        definition: None,
        phase: None,
        phase_since: None,
        phase_previous: None,
        phase_moves: 0,
        phase_live: false,
        phase_has_live: false,
        segments: Doc(Vec::new()),
    });
    EvaluationRow {
        seq: mark.seq,
        evaluated_at: mark.evaluated_at,
        due_at: mark.due_at,
        live_pending: mark.live_pending,
        history_pending: mark.history_pending,
        lifecycle: standing.lifecycle,
        definition: standing.definition,
        phase: standing.phase,
        phase_since: standing.phase_since,
        phase_previous: standing.phase_previous,
        phase_moves: standing.phase_moves,
        phase_live: standing.phase_live,
        phase_has_live: standing.phase_has_live,
        segments: standing.segments,
    }
}
