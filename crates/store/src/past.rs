//! What rows were: the tables ending in `_past`. Their triggers keep a version of a row whenever it is changed with a
//! later `written_at`; here is what changing and removing rows has to do for that, and what forgets the past again.
//! Never reads it: `as_of.rs` does.
//!
//! `written_at` only grows, also when a clock is set back, so that the versions of a row follow one another.

use zyklus_model::{At, CustomerId, bucket_of};

use crate::arg::{Arg, args};
use crate::error::{Result, StoreError};
use crate::merge::{folded_into, lose_faces};
use crate::tx::{CHUNK, Sql, Tx};

/// The note that says from when on the past is known.
const FROM: &str = "past_from";
/// The tables of the past that are kept by customer.
const BY_BUCKET: &[&str] = &[
    "customer_past",
    "identity_past",
    "consent_past",
    "suppression_past",
    "orders_past",
    "cart_past",
    "feedback_past",
    "event_past",
    "tag_past",
    "transition_past",
    "run_past",
    "delivery_past",
    "mark_past",
    "standing_past",
];
/// The others, which are small.
const SMALL: &[&str] = &["journey_past", "product_past"];
/// How many buckets one call of housekeeping goes through: all of them within a day, when it is called hourly.
const SLICE: i64 = 43;

/// `, written_at = …` for an UPDATE that changes rows now.
pub(crate) fn written(sql: &mut Sql, now: At) {
    sql.push(", ");
    raise(sql, "written_at", now);
}

fn raise(sql: &mut Sql, column: &str, now: At) {
    sql.push(column).push(" = CASE WHEN ").push(column).push(" < ").bind(now);
    sql.push(" THEN ").bind(now).push(" ELSE ").push(column).push(" END");
}

/// Deletes rows of a table, whose triggers first keep what they were. `columns` are those that say when the row was
/// written (none = nothing is kept), `which` adds the condition.
pub(crate) async fn remove(
    tx: &mut Tx,
    table: &str,
    columns: &[&str],
    now: At,
    which: impl Fn(&mut Sql),
) -> Result<()> {
    if !columns.is_empty() {
        let mut sql = Sql::new(tx.dialect(), &format!("UPDATE {table} SET "));
        for (n, column) in columns.iter().enumerate() {
            if n > 0 {
                sql.push(", ");
            }
            raise(&mut sql, column, now);
        }
        which(&mut sql);
        tx.run(sql).await?;
    }
    let mut sql = Sql::new(tx.dialect(), &format!("DELETE FROM {table}"));
    which(&mut sql);
    tx.run(sql).await.map(drop)
}

/// The same for rows by their keys.
pub(crate) async fn remove_rows(
    tx: &mut Tx,
    table: &str,
    key: &str,
    rows: impl IntoIterator<Item = Vec<Arg<'_>>>,
    now: At,
) -> Result<()> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some: Vec<Vec<Arg<'_>>> = rows.by_ref().take(CHUNK).collect();
        let which = |sql: &mut Sql| {
            sql.push(" WHERE (").push(key).push(") IN (").values(some.iter().cloned()).push(")");
        };
        remove(tx, table, &["written_at"], now, which).await?;
    }
    Ok(())
}

/// The same for where a customer stands.
pub(crate) async fn remove_evaluation(tx: &mut Tx, customer: CustomerId, now: At) -> Result<()> {
    let which = |sql: &mut Sql| {
        sql.push(" WHERE bucket = ").bind(bucket_of(customer)).push(" AND customer_id = ").bind(customer);
    };
    remove(tx, "evaluation", &["marked_at", "stood_at"], now, which).await
}

/// Notes that the past is known from now on, unless it was before.
pub(crate) async fn begin(tx: &mut Tx, now: At) -> Result<()> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    tx.execute(sql, args![FROM, now.to_string()]).await.map(drop)
}

/// From when on the past is known; `None` before anything was taken in.
pub(crate) async fn known_from(tx: &mut Tx) -> Result<Option<At>> {
    let row: Option<(String,)> = tx.first("SELECT value FROM meta WHERE name = $1", args![FROM]).await?;
    row.map(|(text,)| text.parse().map_err(|e| StoreError::unreadable("instant", e))).transpose()
}

/// Takes a customer's addresses and names out of the past and out of what merges remember, and those of everybody folded
/// into them: whoever is to be forgotten is forgotten there too. What they did stays, as it does in the present.
pub(crate) async fn forget(tx: &mut Tx, customer: CustomerId) -> Result<()> {
    for one in folded_into(tx, customer).await? {
        lose_faces(tx, one).await?;
        let its = args![bucket_of(one), one];
        let bare = "SET email = NULL, phone = NULL, first_name = NULL, last_name = NULL, attributes = '{}'";
        // Who was folded in still has a row in the present, too.
        let tables: &[_] = if one == customer { &["customer_past"] } else { &["customer", "customer_past"] };
        for table in tables {
            let mut sql = Sql::new(tx.dialect(), &format!("UPDATE {table} {bare} WHERE bucket = "));
            sql.bind(bucket_of(one)).push(" AND id = ").bind(one);
            tx.run(sql).await?;
        }
        tx.execute("DELETE FROM identity_past WHERE bucket = $1 AND customer_id = $2", its).await?;
    }
    Ok(())
}

/// Forgets what passed before an instant, a slice of the customers at a time; `now` says which. Returns how many
/// versions went.
pub(crate) async fn prune(tx: &mut Tx, before: At, now: At) -> Result<u64> {
    let Some(from) = known_from(tx).await? else { return Ok(0) };
    if before <= from {
        return Ok(0);
    }
    let sql = "UPDATE meta SET value = $1 WHERE name = $2";
    tx.execute(sql, args![before.to_string(), FROM]).await?;
    let mut gone = 0;
    for table in SMALL {
        let mut sql = Sql::new(tx.dialect(), &format!("DELETE FROM {table} WHERE passed_at < "));
        sql.bind(before);
        gone += tx.run(sql).await?;
    }
    // What was in place then is still asked for.
    let sql = "DELETE FROM learned WHERE at < (SELECT max(other.at) FROM learned AS other \
               WHERE other.kind = learned.kind AND other.at <= $1)";
    gone += tx.execute(sql, args![before]).await?;
    let hour = now.as_micros().div_euclid(3_600_000_000).rem_euclid(24);
    for table in BY_BUCKET {
        let mut sql = Sql::new(tx.dialect(), &format!("DELETE FROM {table} WHERE bucket >= "));
        sql.bind(hour * SLICE).push(" AND bucket < ").bind((hour + 1) * SLICE);
        sql.push(" AND passed_at < ").bind(before);
        gone += tx.run(sql).await?;
    }
    Ok(gone)
}
