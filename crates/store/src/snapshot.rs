//! Reads all that is known of many customers at one instant of committing: a statement per kind of fact, however
//! many customers. Never computes a figure: the engine does.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use futures::executor::block_on;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use uuid::Uuid;
use zyklus_model::{At, ConsentState, CustomerId, Identity, Snapshot};

use crate::as_of::from_versions;
use crate::direct::{Direct, DirectReader};
use crate::error::Result;
use crate::open::{Store, ended};
use crate::rows::{
    CUSTOMER_COLUMNS, CartRow, ConsentRow, CustomerRow, DELIVERY_COLUMNS, DeliveryRow, EVALUATION_COLUMNS,
    EvaluationRow, EventRow, FeedbackRow, IdentityRow, OrderRow, RUN_COLUMNS, RunRow, SuppressionRow, TagRow,
};
use crate::suppress::address_hash;
use crate::tx::{CHUNK, Dialect, Load, Rows, Span, Sql, Wanted};

/// So many times as many customers may lie between the first and the last of those wanted.
const OTHERS: usize = 2;
/// How many customers one set of statements reads.
const BATCH: usize = 4_000;

impl Store {
    /// Snapshots of customers, in the order of the ids; unknown ones and those merged into others are left out.
    ///
    /// # Errors
    /// The database's, and rows another program has made unreadable.
    pub async fn snapshots(&self, ids: &[CustomerId]) -> Result<Vec<Snapshot>> {
        self.load(ids, Names::Read).await
    }

    async fn load(&self, ids: &[CustomerId], names: Names) -> Result<Vec<Snapshot>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(direct) = self.direct() {
            let ids = ids.to_vec();
            return direct.read(move |reader| block_on(load_all(reader, &ids, names))).await;
        }
        let mut tx = self.reader().await?;
        let all = load_all(&mut tx, ids, names).await?;
        tx.commit().await?;
        Ok(all)
    }

    /// The same for many, so many at a time: `look` is shown each lot on the thread that has read it, and what it makes
    /// of it goes to whoever takes that; ends early when nobody does any more. Each lot is of one instant of committing,
    /// and no transaction is open while nobody takes what became of one. The customers' names in other systems are left
    /// out: nothing is decided by them.
    ///
    /// # Errors
    /// As [`Store::snapshots`].
    pub async fn stream_snapshots<T, F>(
        &self,
        ids: Vec<CustomerId>,
        at_a_time: usize,
        look: F,
        to: mpsc::Sender<T>,
    ) -> Result<()>
    where
        T: Send + 'static,
        F: Fn(&[CustomerId], Vec<Snapshot>) -> T + Send + Sync + 'static,
    {
        if let Some(direct) = self.direct() {
            return direct.read(move |reader| stream(reader, &ids, at_a_time, look, &to)).await;
        }
        let look = Arc::new(look);
        for some in ids.chunks(at_a_time) {
            let snapshots = self.load(some, Names::LeftOut).await?;
            let (look, some) = (Arc::clone(&look), some.to_vec());
            let seen = ended(tokio::task::spawn_blocking(move || look(&some, snapshots)).await)?;
            if to.send(seen).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Keeps the reader's transaction, and with it what it has read of the file, as long as nobody has to be waited for.
fn stream<T>(
    reader: &mut DirectReader,
    ids: &[CustomerId],
    at_a_time: usize,
    look: impl Fn(&[CustomerId], Vec<Snapshot>) -> T,
    to: &mpsc::Sender<T>,
) -> Result<()> {
    for some in ids.chunks(at_a_time) {
        let snapshots = block_on(load_some(reader, some, Names::LeftOut))?;
        match to.try_send(look(some, snapshots)) {
            Ok(()) => {}
            Err(TrySendError::Full(seen)) => {
                if reader.rest(|| to.blocking_send(seen).is_err())? {
                    break;
                }
            }
            Err(TrySendError::Closed(_)) => break,
        }
    }
    Ok(())
}

async fn load_all(tx: &mut impl Rows, ids: &[CustomerId], names: Names) -> Result<Vec<Snapshot>> {
    let mut all = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(BATCH) {
        all.extend(load_some(tx, chunk, names).await?);
    }
    Ok(all)
}

/// A customer with their evaluation; ingesting writes both together.
struct PersonRow {
    customer: CustomerRow,
    evaluation: EvaluationRow,
}

impl<'r> FromRow<'r, SqliteRow> for PersonRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        let evaluation = EvaluationRow::from_sqlite(row, CustomerRow::WIDTH)?;
        Ok(PersonRow { customer: CustomerRow::from_row(row)?, evaluation })
    }
}

impl Direct for PersonRow {
    fn direct(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let evaluation = EvaluationRow::from_direct(row, CustomerRow::WIDTH)?;
        Ok(PersonRow { customer: CustomerRow::from_direct(row, 0)?, evaluation })
    }
}

impl<'r> FromRow<'r, PgRow> for PersonRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let evaluation = EvaluationRow::from_postgres(row, CustomerRow::WIDTH)?;
        Ok(PersonRow { customer: CustomerRow::from_row(row)?, evaluation })
    }
}

/// One kind of fact.
trait Fact: Load {
    /// The table, with the alias that the columns use.
    const TABLE: &'static str;
    const COLUMNS: &'static str;
    fn customer(&self) -> Uuid;
    /// The order of one customer's facts, the same on both databases.
    fn order(&self, other: &Self) -> Ordering;
    fn put(self, snapshot: &mut Snapshot);
}

macro_rules! fact {
    ($row:ident, $table:literal, $columns:expr, |$f:ident| $key:expr, |$fact:ident, $snapshot:ident| $put:expr) => {
        impl Fact for $row {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static str = $columns;
            fn customer(&self) -> Uuid {
                self.customer_id
            }
            fn order(&self, other: &Self) -> Ordering {
                fn key($f: &$row) -> impl Ord + '_ {
                    $key
                }
                key(self).cmp(&key(other))
            }
            fn put(self, $snapshot: &mut Snapshot) {
                let $fact = self;
                $put
            }
        }
    };
}

fact!(
    IdentityRow,
    "identity i",
    "i.customer_id, i.kind, i.value, i.system",
    |f| (f.kind.0.as_str(), &f.system, &f.value),
    |row, s| {
        let customer = s.customer.id;
        s.identities.push(Identity { system: row.system, kind: row.kind.0, value: row.value, customer });
    }
);
fact!(
    ConsentRow,
    "consent k",
    "k.customer_id, k.id, k.channel, k.purpose, k.state, k.basis, k.at, k.source, k.evidence, k.received_at",
    // Of two words of one instant the one heard later counts, of two heard together the withdrawal.
    |f| (f.at.0, f.received_at.0, f.state.0 == ConsentState::Withdrawn, f.id),
    |row, s| s.consents.push(row.consent())
);
fact!(
    SuppressionRow,
    "suppression s",
    "s.customer_id, s.id, s.channel, s.all_purposes, s.reason, s.at, s.address_hash",
    |f| (f.at.0, f.id),
    |row, s| {
        if row.holds_for(&s.customer) {
            s.suppressions.push(row.suppression());
        }
    }
);
fact!(
    TagRow,
    "tag t",
    "t.customer_id, t.source, t.tag, t.source_customer_id, t.since, t.until",
    |f| (&f.source, &f.tag, f.source_customer_id),
    |row, s| s.tags.push(row.tag())
);
fact!(
    OrderRow,
    "orders o",
    "o.customer_id, o.id, o.system, o.external_id, o.number, o.state, o.placed_at, o.total_minor, o.currency, \
     o.total_reporting_minor, o.item_count, o.detail, o.received_at, o.origin",
    |f| (f.placed_at.0, f.id),
    |row, s| s.orders.push(row.order())
);
fact!(
    CartRow,
    "cart k",
    "k.customer_id, k.id, k.system, k.external_id, k.is_open, k.updated_at, k.total_minor, k.currency, \
     k.total_reporting_minor, k.detail",
    |f| (f.updated_at.0, f.id),
    |row, s| s.carts.push(row.cart())
);
fact!(
    FeedbackRow,
    "feedback f",
    "f.customer_id, f.id, f.kind, f.score, f.body, f.product, f.at",
    |f| (f.at.0, f.id),
    |row, s| s.feedback.push(row.feedback())
);
fact!(
    EventRow,
    "event v",
    "v.customer_id, v.id, v.name, v.occurred_at, v.received_at, v.origin, v.data",
    |f| (f.occurred_at.0, f.id),
    |row, s| s.events.push(row.event())
);
fact!(RunRow, "run r", RUN_COLUMNS, |f| (f.started_at.0, f.id), |row, s| s.runs.push(row.run()));
fact!(DeliveryRow, "delivery d", DELIVERY_COLUMNS, |f| (f.created_at.0, f.id), |row, s| {
    s.deliveries.push(row.delivery());
});

/// Where each customer's snapshot stands.
type Places = HashMap<Uuid, usize>;

fn alias_of(table: &str) -> &str {
    table.rsplit(' ').next().unwrap_or(table)
}

/// ` FROM wanted JOIN` a table; SQLite would try other orders if it were not told.
pub(crate) fn from_wanted(sql: &mut Sql, dialect: Dialect, table: &str, id: &str) {
    let alias = alias_of(table);
    let join = if dialect == Dialect::Sqlite { " CROSS JOIN " } else { " JOIN " };
    sql.push(" FROM wanted").push(join).push(table);
    sql.push(" ON ").push(alias).push(".bucket = wanted.bucket AND ");
    sql.push(alias).push(".").push(id).push(" = wanted.id");
}

/// Whether customers' names in other systems are read, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Read,
    LeftOut,
}

/// Which customers' rows are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach<'w> {
    wanted: &'w Wanted,
    /// SQLite goes through all rows from the first to the last of them, if few of others lie between: that costs less than
    /// looking up one customer after another in a dozen tables.
    span: Option<Span>,
    as_of: Option<At>,
}

impl<'w> Reach<'w> {
    /// As of an instant.
    pub(crate) fn as_of(wanted: &'w Wanted, at: At) -> Self {
        Reach { wanted, span: None, as_of: Some(at) }
    }

    /// As of now.
    async fn now(tx: &mut impl Rows, wanted: &'w Wanted) -> Result<Self> {
        let span = wanted.span().filter(|_| tx.dialect() == Dialect::Sqlite);
        let mut reach = Reach { wanted, span, as_of: None };
        if let Some(span) = span.filter(|_| wanted.len() > 1) {
            let most = wanted.len() * OTHERS;
            let mut sql = Sql::new(tx.dialect(), "SELECT count(*) FROM (SELECT 1 FROM evaluation e WHERE ");
            span.holds(&mut sql, "e", "customer_id");
            sql.push(" LIMIT ").bind(most as i64 + 1).push(")");
            let between = tx.rows::<(i64,)>(sql).await?.first().map_or(0, |(count,)| *count);
            if between > most as i64 {
                reach.span = None;
            }
        }
        Ok(reach)
    }
}

async fn load<F: Fact, R: Rows>(
    tx: &mut R,
    reach: Reach<'_>,
    places: &Places,
    snapshots: &mut [Snapshot],
) -> Result<()> {
    let dialect = tx.dialect();
    let sql = match reach {
        Reach { as_of: Some(at), wanted, .. } => {
            let mut sql = Sql::with(dialect, wanted);
            from_versions(&mut sql, dialect, F::COLUMNS, F::TABLE, "customer_id", "written_at", at);
            sql
        }
        Reach { span: Some(span), .. } => {
            let mut sql = Sql::new(dialect, "SELECT ");
            sql.push(F::COLUMNS).push(" FROM ").push(F::TABLE).push(" WHERE ");
            let alias = alias_of(F::TABLE);
            span.holds(&mut sql, alias, "customer_id");
            // The order of the index, which SQLite goes along.
            sql.push(" ORDER BY ").push(alias).push(".bucket, ").push(alias).push(".customer_id");
            sql
        }
        Reach { wanted, .. } => {
            let mut sql = Sql::with(dialect, wanted);
            sql.push("SELECT ").push(F::COLUMNS);
            from_wanted(&mut sql, dialect, F::TABLE, "customer_id");
            sql
        }
    };
    let mut waiting: Vec<(usize, F)> = Vec::new();
    // SQLite goes through the customers wanted one after another, so that one customer's rows come together.
    let together = reach.as_of.is_none() && dialect == Dialect::Sqlite;
    tx.each(sql, |row: F| {
        let Some(place) = places.get(&row.customer()) else { return };
        if together && waiting.last().is_some_and(|(last, _)| last != place) {
            put(&mut waiting, snapshots);
        }
        waiting.push((*place, row));
    })
    .await?;
    put(&mut waiting, snapshots);
    Ok(())
}

/// Facts into their snapshots, in their order.
fn put<F: Fact>(waiting: &mut Vec<(usize, F)>, snapshots: &mut [Snapshot]) {
    waiting.sort_unstable_by(|(a, f), (b, g)| a.cmp(b).then_with(|| f.order(g)));
    for (place, row) in waiting.drain(..) {
        row.put(&mut snapshots[place]);
    }
}

/// Snapshots in the order of the ids, inside whatever transaction `tx` is in.
pub(crate) async fn load_snapshots(tx: &mut impl Rows, ids: &[CustomerId]) -> Result<Vec<Snapshot>> {
    load_some(tx, ids, Names::Read).await
}

async fn load_some(tx: &mut impl Rows, ids: &[CustomerId], names: Names) -> Result<Vec<Snapshot>> {
    let dialect = tx.dialect();
    let wanted = &Wanted::new(ids);
    let reach = Reach::now(tx, wanted).await?;
    let evaluation = "evaluation e ON e.bucket = c.bucket AND e.customer_id = c.id";
    let mut sql = match reach.span {
        Some(_) => Sql::new(dialect, ""),
        None => Sql::with(dialect, wanted),
    };
    sql.push("SELECT ").push(CUSTOMER_COLUMNS).push(", ").push(EVALUATION_COLUMNS);
    match reach.span {
        Some(span) => {
            sql.push(" FROM customer c CROSS JOIN ").push(evaluation).push(" WHERE ");
            span.holds(&mut sql, "c", "id");
            sql.push(" AND");
        }
        None => {
            from_wanted(&mut sql, dialect, "customer c", "id");
            sql.push(" JOIN ").push(evaluation).push(" WHERE");
        }
    }
    sql.push(" c.merged_into IS NULL");
    let mut found: HashMap<Uuid, Snapshot> = HashMap::with_capacity(ids.len());
    tx.each(sql, |PersonRow { customer, evaluation }| {
        let id = customer.id;
        let mut snapshot = Snapshot::of(customer.customer());
        snapshot.mark = evaluation.mark();
        snapshot.segments.clone_from(&evaluation.segments.0);
        snapshot.phase = evaluation.phase();
        found.insert(id, snapshot);
    })
    .await?;
    load_facts(tx, ids, reach, names, found).await
}

/// Puts what is known of customers to who they are, in the order of the ids.
pub(crate) async fn load_facts(
    tx: &mut impl Rows,
    ids: &[CustomerId],
    reach: Reach<'_>,
    names: Names,
    mut found: HashMap<Uuid, Snapshot>,
) -> Result<Vec<Snapshot>> {
    let mut places = Places::with_capacity(found.len());
    let mut all = Vec::with_capacity(found.len());
    for id in ids {
        if let Some(snapshot) = found.remove(&id.uuid()) {
            places.insert(id.uuid(), all.len());
            all.push(snapshot);
        }
    }
    if all.is_empty() {
        return Ok(all);
    }
    if names == Names::Read {
        load::<IdentityRow, _>(tx, reach, &places, &mut all).await?;
    }
    load::<ConsentRow, _>(tx, reach, &places, &mut all).await?;
    load::<SuppressionRow, _>(tx, reach, &places, &mut all).await?;
    load_by_address(tx, reach.as_of, &mut all).await?;
    load::<TagRow, _>(tx, reach, &places, &mut all).await?;
    load::<OrderRow, _>(tx, reach, &places, &mut all).await?;
    load::<CartRow, _>(tx, reach, &places, &mut all).await?;
    load::<FeedbackRow, _>(tx, reach, &places, &mut all).await?;
    load::<EventRow, _>(tx, reach, &places, &mut all).await?;
    load::<RunRow, _>(tx, reach, &places, &mut all).await?;
    load::<DeliveryRow, _>(tx, reach, &places, &mut all).await?;
    Ok(all)
}

/// Refusals hold for an address, whoever uses it: a guest, a second account, somebody erased and imported again.
async fn load_by_address(tx: &mut impl Rows, as_of: Option<At>, all: &mut [Snapshot]) -> Result<()> {
    let any = "SELECT id FROM suppression WHERE address_hash IS NOT NULL LIMIT 1";
    if tx.rows::<(Uuid,)>(Sql::new(tx.dialect(), any)).await?.is_empty() {
        return Ok(());
    }
    let mut users: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, snapshot) in all.iter().enumerate() {
        let email = snapshot.customer.email.as_ref().map(|email| email.as_str());
        let phone = snapshot.customer.phone.as_ref().map(|phone| phone.as_str());
        for address in email.into_iter().chain(phone) {
            users.entry(address_hash(address)).or_default().push(place);
        }
    }
    let hashes: Vec<&String> = users.keys().collect();
    let mut rows: Vec<SuppressionRow> = Vec::new();
    for some in hashes.chunks(CHUNK) {
        let mut sql = Sql::new(tx.dialect(), "SELECT ");
        sql.push(SuppressionRow::COLUMNS).push(" FROM suppression s WHERE s.address_hash IN ");
        sql.list(some.iter().copied());
        if let Some(at) = as_of {
            sql.push(" AND s.written_at <= ").bind(at).push(" UNION ALL SELECT ");
            sql.push(SuppressionRow::COLUMNS).push(" FROM suppression_past s WHERE s.address_hash IN ");
            sql.list(some.iter().copied());
            sql.push(" AND s.written_at <= ").bind(at).push(" AND s.passed_at > ").bind(at);
        }
        rows.extend(tx.rows::<SuppressionRow>(sql).await?);
    }
    rows.sort_unstable_by(SuppressionRow::order);
    for row in rows {
        let Some(places) = row.address_hash.as_ref().and_then(|hash| users.get(hash)) else { continue };
        for place in places {
            let snapshot = &mut all[*place];
            // Their own came with the rest.
            if snapshot.customer.id.uuid() != row.customer_id {
                snapshot.suppressions.push(row.suppression());
            }
        }
    }
    Ok(())
}
