//! Two customers found to be one, and the way back: facts keep who they came in under, so that undoing a merge
//! sends each to where it came from. Transitions stay with whom they happened to. Never decides who is whom.

use std::collections::BTreeSet;

use futures::FutureExt;
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;
use zyklus_model::{At, CustomerId, Merge, MergeId, bucket_of};

use crate::apply::text;
use crate::arg::{Stamp, args};
use crate::column::named;
use crate::error::{Result, StoreError};
use crate::journeys::write_audit;
use crate::open::Store;
use crate::past;
use crate::person::{Person, Profile, load_persons};
use crate::tx::{Dialect, Sql, Tx};

/// Every table whose rows follow their customer; deliveries before the runs they follow.
const FOLLOWING: &[&str] =
    &["identity", "consent", "suppression", "orders", "cart", "feedback", "event", "tag", "delivery", "run"];

/// What a merge remembers in order to be undone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    before: Profile,
    after: Profile,
    evaluation: Option<Evaluation>,
}

named! {
    /// A customer's evaluation row, put away.
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Evaluation {
        seq: i64,
        #[sqlx(try_from = "Option<Stamp>")]
        evaluated_at: Put,
        live_pending: bool,
        history_pending: bool,
        lifecycle: Option<String>,
        definition: Option<String>,
        phase: Option<String>,
        #[sqlx(try_from = "Option<Stamp>")]
        phase_since: Put,
        phase_previous: Option<String>,
        phase_moves: i64,
        phase_live: bool,
        #[serde(default)]
        phase_has_live: bool,
        segments: String,
    }
}

/// An instant or nothing, from the database and into JSON.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
struct Put(Option<At>);

impl From<Option<Stamp>> for Put {
    fn from(stamp: Option<Stamp>) -> Self {
        Put(stamp.map(|s| s.0))
    }
}

impl FromSql for Put {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Option::<Stamp>::column_result(value).map(Put::from)
    }
}

/// One merge, to be written.
#[derive(Debug, Clone)]
pub(crate) struct Fold {
    pub(crate) winner: CustomerId,
    pub(crate) loser: CustomerId,
    reason: &'static str,
    at: At,
    memory: Memory,
    /// Whether rows of the loser may be stored, so that they have to move.
    pub(crate) is_stored: bool,
}

impl Fold {
    pub(crate) fn new(
        winner: CustomerId,
        loser: CustomerId,
        reason: &'static str,
        at: At,
        before: Profile,
        after: Profile,
        is_stored: bool,
    ) -> Self {
        let memory = Memory { before, after, evaluation: None };
        Fold { winner, loser, reason, at, memory, is_stored }
    }

    /// Moves the loser's rows and records the merge. Returns whether live and historic facts of the loser were
    /// still to be judged.
    pub(crate) async fn write(&self, tx: &mut Tx) -> Result<(bool, bool)> {
        let mut memory = self.memory.clone();
        if self.is_stored {
            let sql = "SELECT seq, evaluated_at, live_pending, history_pending, lifecycle, definition, phase,
                       phase_since, phase_previous, phase_moves, phase_live, phase_has_live,
                       segments FROM evaluation WHERE bucket = $1 AND customer_id = $2";
            let its = args![bucket_of(self.loser), self.loser];
            memory.evaluation = tx.first(sql, its).await?;
            past::remove_evaluation(tx, self.loser, self.at).await?;
            self.bring_up_to_date(tx, &memory).await?;
            move_rows(tx, self.loser, self.winner, None, self.at).await?;
        }
        let pending =
            memory.evaluation.as_ref().map_or((false, false), |e| (e.live_pending, e.history_pending));
        let text = serde_json::to_string(&memory).map_err(|e| StoreError::unreadable("merge", e))?;
        let id = MergeId::derive(&[
            self.winner.uuid().as_bytes(),
            self.loser.uuid().as_bytes(),
            &self.at.as_micros().to_be_bytes(),
        ]);
        let sql = "INSERT INTO merge (id, winner, loser, reason, at, undone_at, memory)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        tx.execute(sql, args![id, self.winner, self.loser, self.reason, self.at, None::<At>, text]).await?;
        Ok(pending)
    }
}

impl Fold {
    /// Who was up to date is so as of when the other was judged: what happened to the other and was refused is not
    /// judged again.
    async fn bring_up_to_date(&self, tx: &mut Tx, memory: &Memory) -> Result<()> {
        let Some(judged) = memory.evaluation.as_ref().and_then(|e| e.evaluated_at.0) else { return Ok(()) };
        let sql = "UPDATE evaluation SET evaluated_at = $1,
                   marked_at = CASE WHEN marked_at < $2 THEN $2 ELSE marked_at END
                   WHERE bucket = $3 AND customer_id = $4 AND evaluated_at < $1 AND due_at > $2
                   AND NOT live_pending AND NOT history_pending";
        tx.execute(sql, args![judged, self.at, bucket_of(self.winner), self.winner]).await.map(drop)
    }
}

/// Moves rows from one customer to another, all or only those that came in under some customers. What they were
/// before stays with whom they belonged to. A delivery goes with its run, also one decided while the two were one: left
/// behind, its step would be decided once more and go to both.
async fn move_rows(
    tx: &mut Tx,
    from: CustomerId,
    to: CustomerId,
    only: Option<&BTreeSet<CustomerId>>,
    now: At,
) -> Result<()> {
    let dialect = tx.dialect();
    let of = |sql: &mut Sql, table: &str| {
        sql.push(" WHERE bucket = ").bind(bucket_of(from)).push(" AND customer_id = ").bind(from);
        let Some(sources) = only else { return };
        if table == "delivery" {
            sql.push(" AND (run_id IN (SELECT id FROM run WHERE bucket = ").bind(bucket_of(from));
            sql.push(" AND customer_id = ").bind(from);
            sql.push(" AND source_customer_id IN ").list(sources.iter().copied());
            sql.push(") OR (run_id IS NULL AND source_customer_id IN ").list(sources.iter().copied());
            sql.push("))");
        } else {
            sql.push(" AND source_customer_id IN ").list(sources.iter().copied());
        }
    };
    if dialect == Dialect::Postgres {
        // Before their tries, as whoever ends a try does.
        let mut sql = Sql::new(dialect, "SELECT id FROM delivery");
        of(&mut sql, "delivery");
        sql.push(" ORDER BY id FOR UPDATE");
        tx.rows::<(Uuid,)>(sql).await?;
    }
    // Tries are kept under the bucket of their delivery's customer.
    let mut sql = Sql::new(dialect, "UPDATE delivery_attempt SET bucket = ");
    sql.bind(bucket_of(to)).push(" WHERE bucket = ").bind(bucket_of(from));
    sql.push(" AND delivery_id IN (SELECT id FROM delivery");
    of(&mut sql, "delivery");
    sql.push(")");
    tx.run(sql).await?;
    for table in FOLLOWING {
        let mut sql = Sql::new(dialect, &format!("UPDATE {table} SET bucket = "));
        sql.bind(bucket_of(to)).push(", customer_id = ").bind(to);
        past::written(&mut sql, now);
        of(&mut sql, table);
        tx.run(sql).await?;
    }
    Ok(())
}

named! {
    struct MergeRow {
        id: Uuid,
        winner: Uuid,
        loser: Uuid,
        reason: String,
        at: Stamp,
        undone_at: Option<Stamp>,
    }
}

impl From<MergeRow> for Merge {
    fn from(row: MergeRow) -> Self {
        Merge {
            id: MergeId::from_uuid(row.id),
            winner: CustomerId::from_uuid(row.winner),
            loser: CustomerId::from_uuid(row.loser),
            reason: row.reason,
            at: row.at.0,
            undone_at: row.undone_at.map(|at| at.0),
        }
    }
}

impl Store {
    /// The merges a customer took part in, as the one who remained or the one who was folded in; oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn merges(&self, customer: CustomerId) -> Result<Vec<Merge>> {
        let sql = "SELECT id, winner, loser, reason, at, undone_at FROM merge
                   WHERE winner = $1 OR loser = $1 ORDER BY at, id";
        let rows: Vec<MergeRow> = self.peek().await?.fetch(sql, args![customer]).await?;
        Ok(rows.into_iter().map(Merge::from).collect())
    }

    /// Undoes a merge: both are customers again, every fact goes back to whom it came in under, and what the
    /// merge changed in the profile is taken back unless it was changed again since. The two are not merged
    /// again by themselves. Both are evaluated again.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there is no such merge or it was undone before.
    pub async fn unmerge(&self, merge: MergeId, actor: &str, now: At) -> Result<()> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let actor = actor.clone();
            async move { unmerge(tx, merge, &actor, now).await }.boxed()
        })
        .await
    }
}

async fn unmerge(tx: &mut Tx, id: MergeId, actor: &str, now: At) -> Result<()> {
    crate::ingest::one_at_a_time(tx).await?;
    named! {
        struct Row {
            winner: Uuid,
            loser: Uuid,
            undone_at: Option<Stamp>,
            memory: String,
        }
    }
    let sql = "SELECT winner, loser, undone_at, memory FROM merge WHERE id = $1";
    let row: Row = (tx.first(sql, args![id]).await?)
        .ok_or_else(|| StoreError::Refused(format!("there is no merge {id}")))?;
    if row.undone_at.is_some() {
        return Err(StoreError::Refused(format!("the merge {id} was undone before")));
    }
    let (winner, loser) = (CustomerId::from_uuid(row.winner), CustomerId::from_uuid(row.loser));
    let memory: Memory =
        serde_json::from_str(&row.memory).map_err(|e| StoreError::unreadable("merge's memory", e))?;
    let holder = root_of(tx, winner).await?;
    // First of all: claims that have the holder's row end before anything moves, later ones pass it over, and what
    // is being decided on the facts of both is stale.
    let sql = "UPDATE evaluation SET seq = seq + 1, evaluated_at = $1, history_pending = TRUE,
               due_at = CASE WHEN due_at > $2 THEN $2 ELSE due_at END,
               marked_at = CASE WHEN marked_at < $2 THEN $2 ELSE marked_at END WHERE bucket = $3 AND customer_id = $4";
    let evaluated = lock_evaluation(tx, holder).await?.map(|at| at.plus_micros(1));
    tx.execute(sql, args![evaluated, now, bucket_of(holder), holder]).await?;
    let sources = folded_into(tx, loser).await?;
    move_rows(tx, holder, loser, Some(&sources), now).await?;
    let sql = "UPDATE customer SET merged_into = $1,
               written_at = CASE WHEN written_at < $4 THEN $4 ELSE written_at END WHERE bucket = $2 AND id = $3";
    tx.execute(sql, args![None::<CustomerId>, bucket_of(loser), loser, now]).await?;
    if let Some(mut person) = load_persons(tx, &[holder]).await?.remove(&holder) {
        person.profile.revert(memory.before, memory.after);
        tx.insert(Person::INSERT, [person.row(now)?], Person::REPLACE).await?;
    }
    tx.execute("UPDATE merge SET undone_at = $1 WHERE id = $2", args![now, id]).await?;
    restore(tx, loser, memory.evaluation, now).await?;
    let detail = json!({ "merge": id, "winner": holder, "loser": loser });
    write_audit(tx, now, actor, "customer.unmerged", Some(holder), &detail).await
}

/// When a customer was last evaluated; nobody claims or decides for them until this transaction ends.
async fn lock_evaluation(tx: &mut Tx, customer: CustomerId) -> Result<Option<At>> {
    let mut sql = Sql::new(tx.dialect(), "SELECT evaluated_at FROM evaluation WHERE bucket = ");
    sql.bind(bucket_of(customer)).push(" AND customer_id = ").bind(customer);
    if tx.dialect() == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    let row: Option<(Option<Stamp>,)> = tx.rows(sql).await?.into_iter().next();
    Ok(row.and_then(|(at,)| at).map(|at| at.0))
}

/// Takes addresses and names out of what the merges of a customer remember: undone, they bring nobody's back.
pub(crate) async fn lose_faces(tx: &mut Tx, customer: CustomerId) -> Result<()> {
    let sql = "SELECT id, memory FROM merge WHERE winner = $1 OR loser = $1";
    for (id, memory) in tx.fetch::<(Uuid, String)>(sql, args![customer]).await? {
        let mut memory: Memory =
            serde_json::from_str(&memory).map_err(|e| StoreError::unreadable("merge's memory", e))?;
        if memory.before.lose_face() | memory.after.lose_face() {
            tx.execute("UPDATE merge SET memory = $1 WHERE id = $2", args![text(&memory)?, id]).await?;
        }
    }
    Ok(())
}

/// Gives a customer their evaluation row back, due now.
async fn restore(tx: &mut Tx, customer: CustomerId, kept: Option<Evaluation>, now: At) -> Result<()> {
    let e = kept.unwrap_or(Evaluation {
        seq: 0,
        evaluated_at: Put(None),
        live_pending: false,
        history_pending: true,
        lifecycle: None,
        definition: None,
        phase: None,
        phase_since: Put(None),
        phase_previous: None,
        phase_moves: 0,
        phase_live: false,
        phase_has_live: false,
        segments: "[]".to_owned(),
    });
    let row = args![
        bucket_of(customer),
        customer,
        e.seq + 1,
        // What happened while they were one was judged then.
        e.evaluated_at.0.map(|at| at.max(now.plus_micros(-1))),
        now,
        e.live_pending,
        true,
        e.lifecycle,
        e.definition,
        e.phase,
        e.phase_since.0,
        e.phase_previous,
        e.phase_moves,
        e.phase_live,
        e.phase_has_live,
        e.segments,
        now,
        now,
    ];
    let head = "INSERT INTO evaluation (bucket, customer_id, seq, evaluated_at, due_at, live_pending,
        history_pending, lifecycle, definition, phase, phase_since, phase_previous, phase_moves, phase_live,
        phase_has_live, segments, marked_at, stood_at)";
    tx.insert(head, [row], "").await.map(drop)
}

/// Who holds a customer's facts now.
async fn root_of(tx: &mut Tx, customer: CustomerId) -> Result<CustomerId> {
    let mut at = customer;
    loop {
        let sql = "SELECT merged_into FROM customer WHERE bucket = $1 AND id = $2";
        let row: Option<(Option<Uuid>,)> = tx.first(sql, args![bucket_of(at), at]).await?;
        match row.and_then(|(into,)| into) {
            Some(next) => at = CustomerId::from_uuid(next),
            None => return Ok(at),
        }
    }
}

/// A customer and everybody who was folded into them, at any remove.
pub(crate) async fn folded_into(tx: &mut Tx, customer: CustomerId) -> Result<BTreeSet<CustomerId>> {
    let mut all = BTreeSet::from([customer]);
    let mut next = vec![customer];
    while let Some(one) = next.pop() {
        let rows: Vec<(Uuid,)> =
            tx.fetch("SELECT id FROM customer WHERE merged_into = $1", args![one]).await?;
        for (id,) in rows {
            let id = CustomerId::from_uuid(id);
            if all.insert(id) {
                next.push(id);
            }
        }
    }
    Ok(all)
}
