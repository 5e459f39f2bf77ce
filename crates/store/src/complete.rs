//! Ending what was claimed: completions under a fence, leases that are prolonged or run out. Never claims.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};
use zyklus_model::{At, Attempt, Delivery, DeliveryId, DeliveryState, GuardReason, Suppression, bucket_of};

use crate::arg::{Stamp, args};
use crate::direct::Direct;
use crate::error::Result;
use crate::evaluation::touch;
use crate::ingest::receipts::{self, Reported};
use crate::open::Store;
use crate::past;
use crate::rows::{ATTEMPT_COLUMNS, AttemptRow, DELIVERY_COLUMNS, DeliveryRow};
use crate::suppress::{self, Refusal};
use crate::tx::{Sql, Tx};

/// How a try ended.
#[derive(Debug, Clone)]
pub struct Completion {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Which try: [`Attempt::number`].
    pub attempt: i64,
    /// Who claimed it.
    pub owner: String,
    /// When it ended.
    pub at: At,
    /// How.
    pub end: AttemptEnd,
    /// Never write to this address again.
    pub suppress: Option<Suppression>,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The provider took it.
    Accepted {
        /// Its name for it.
        provider_ref: Option<String>,
    },
    /// Refused for good.
    Failed {
        /// Why.
        detail: String,
    },
    /// Handed over without an answer.
    Unknown {
        /// What is known.
        detail: String,
    },
    /// Given up.
    Dead {
        /// Why.
        detail: String,
    },
    /// To be tried again.
    Retry {
        /// When.
        due_at: At,
        /// Why.
        detail: String,
    },
    /// It may have arrived, and is handed over once more all the same.
    Repeat {
        /// When.
        due_at: At,
        /// What is known.
        detail: String,
    },
    /// Refused by a guard before it was handed over.
    Refused {
        /// By which.
        reason: GuardReason,
    },
    /// Not handed over at all, through no fault of its own: it does not count as a try.
    Release {
        /// When it may be claimed again.
        due_at: At,
        /// Why.
        detail: String,
    },
}

impl AttemptEnd {
    fn parts(&self) -> (DeliveryState, &'static str, Option<&str>, Option<At>) {
        match self {
            AttemptEnd::Accepted { .. } => (DeliveryState::Accepted, "accepted", None, None),
            AttemptEnd::Failed { detail } => (DeliveryState::Failed, "failed", Some(detail), None),
            AttemptEnd::Unknown { detail } => (DeliveryState::Unknown, "unknown", Some(detail), None),
            AttemptEnd::Dead { detail } => (DeliveryState::Dead, "dead", Some(detail), None),
            AttemptEnd::Retry { due_at, detail } => {
                (DeliveryState::Pending, "retry", Some(detail), Some(*due_at))
            }
            AttemptEnd::Repeat { due_at, detail } => {
                (DeliveryState::Pending, "unknown", Some(detail), Some(*due_at))
            }
            AttemptEnd::Refused { reason: GuardReason::Expired } => {
                (DeliveryState::Expired, "refused", None, None)
            }
            AttemptEnd::Refused { .. } => (DeliveryState::Refused, "refused", None, None),
            AttemptEnd::Release { due_at, detail } => {
                (DeliveryState::Pending, "released", Some(detail), Some(*due_at))
            }
        }
    }
}

/// A delivery whose daemon did not come back.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    /// It.
    pub delivery: Delivery,
    /// The try that is open. It may have arrived only if it was handed over.
    pub attempt: Attempt,
    /// How many tries before this one may have arrived without anybody knowing.
    pub doubts: i64,
}

/// A delivery being sent, with the try that is open.
struct OpenRow {
    delivery: DeliveryRow,
    attempt: AttemptRow,
    doubts: i64,
}

const DOUBTS: usize = DeliveryRow::WIDTH + AttemptRow::WIDTH;

impl<'r> FromRow<'r, SqliteRow> for OpenRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        let attempt = AttemptRow::from_sqlite(row, DeliveryRow::WIDTH)?;
        Ok(OpenRow { delivery: DeliveryRow::from_row(row)?, attempt, doubts: row.try_get(DOUBTS)? })
    }
}

impl Direct for OpenRow {
    fn direct(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let attempt = AttemptRow::from_direct(row, DeliveryRow::WIDTH)?;
        Ok(OpenRow { delivery: DeliveryRow::from_direct(row, 0)?, attempt, doubts: row.get(DOUBTS)? })
    }
}

impl<'r> FromRow<'r, PgRow> for OpenRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let attempt = AttemptRow::from_postgres(row, DeliveryRow::WIDTH)?;
        Ok(OpenRow { delivery: DeliveryRow::from_row(row)?, attempt, doubts: row.try_get(DOUBTS)? })
    }
}

impl Store {
    /// Ends a try. `false`: the claim was lost (its lease ran out and somebody settled it), nothing was written.
    ///
    /// # Errors
    /// The database's.
    pub async fn complete(&self, completion: Completion) -> Result<bool> {
        let completion = Arc::new(completion);
        self.write(move |tx| {
            let completion = Arc::clone(&completion);
            Box::pin(async move { complete(tx, &completion, Fence::Owner).await.map(|s| s.is_some()) })
        })
        .await
    }

    /// Prolongs the leases of deliveries one daemon has claimed, from now on; how many still were its own.
    ///
    /// # Errors
    /// The database's.
    pub async fn heartbeat(
        &self,
        owner: &str,
        deliveries: &[DeliveryId],
        now: At,
        lease_micros: i64,
    ) -> Result<u64> {
        if deliveries.is_empty() {
            return Ok(0);
        }
        let (owner, deliveries) = (owner.to_owned(), deliveries.to_vec());
        let leases = self.inner.leases;
        self.write(move |tx| {
            let (owner, deliveries) = (owner.clone(), deliveries.clone());
            Box::pin(async move {
                let until = leases.now(tx, now).await?.plus_micros(lease_micros);
                let mut sql = Sql::new(tx.dialect(), "UPDATE delivery SET lease_until = ");
                sql.bind(until).push(" WHERE state = 'sending' AND owner = ").bind(&owner);
                sql.push(" AND id IN ").list(deliveries);
                tx.run(sql).await
            })
        })
        .await
    }

    /// Ends the leases of all that is being sent, where only one process can write: whoever claimed before this
    /// store was opened is gone. In PostgreSQL others may be sending, and nothing is changed. How many there were.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_left_leases(&self, now: At) -> Result<u64> {
        if !self.is_sqlite() {
            return Ok(0);
        }
        self.write(move |tx| {
            let mut sql = Sql::new(tx.dialect(), "UPDATE delivery SET lease_until = ");
            sql.bind(now).push(" WHERE state = 'sending' AND lease_until > ").bind(now);
            Box::pin(async move { tx.run(sql).await })
        })
        .await
    }

    /// Deliveries whose daemon did not come back before its lease ended, with the try that is open; longest
    /// ended first.
    ///
    /// # Errors
    /// The database's.
    pub async fn expired_leases(&self, now: At, limit: u32) -> Result<Vec<Lost>> {
        let mut tx = self.peek().await?;
        let now = self.inner.leases.now(&mut tx, now).await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT ");
        sql.push(DELIVERY_COLUMNS).push(", ").push(ATTEMPT_COLUMNS);
        sql.push(
            ", (SELECT COUNT(*) FROM delivery_attempt b WHERE b.bucket = d.bucket AND b.delivery_id = d.id \
             AND (b.outcome = 'unknown' OR b.outcome = 'lost' AND b.handed_at IS NOT NULL))",
        );
        sql.push(" FROM delivery d JOIN delivery_attempt a ON a.bucket = d.bucket AND a.delivery_id = d.id");
        sql.push(" AND a.ended_at IS NULL WHERE d.state = 'sending' AND d.lease_until <= ").bind(now);
        sql.push(" ORDER BY d.lease_until, d.id LIMIT ").bind(i64::from(limit));
        let rows: Vec<OpenRow> = tx.rows(sql).await?;
        let lost = |row: OpenRow| Lost {
            delivery: row.delivery.delivery(),
            attempt: row.attempt.attempt(),
            doubts: row.doubts,
        };
        Ok(rows.into_iter().map(lost).collect())
    }

    /// Ends a try whose daemon did not come back; it is noted as `lost`. `false`: the daemon came back after all,
    /// by ending the try or by prolonging its lease beyond `at`.
    ///
    /// # Errors
    /// The database's.
    pub async fn settle_lost(
        &self,
        delivery: DeliveryId,
        attempt: i64,
        end: AttemptEnd,
        at: At,
    ) -> Result<bool> {
        let completion =
            Arc::new(Completion { delivery, attempt, owner: String::new(), at, end, suppress: None });
        let leases = self.inner.leases;
        self.write(move |tx| {
            let completion = Arc::clone(&completion);
            Box::pin(async move {
                let fence = Fence::Lease(leases.now(tx, completion.at).await?);
                complete(tx, &completion, fence).await.map(|s| s.is_some())
            })
        })
        .await
    }
}

/// What must still be so for a try to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fence {
    /// It belongs to the daemon that ends it.
    Owner,
    /// Its lease has run out by then.
    Lease(At),
}

/// Ends a try, and returns the delivery's state; `None` = the fence held.
pub(crate) async fn complete(
    tx: &mut Tx,
    completion: &Completion,
    fence: Fence,
) -> Result<Option<DeliveryState>> {
    let reference = match &completion.end {
        AttemptEnd::Accepted { provider_ref } => provider_ref.as_deref(),
        _ => None,
    };
    // Whoever reports under this reference at this moment comes wholly before or wholly after.
    receipts::hold(tx, reference).await?;
    // A merge may be giving it to another customer. Waiting for that has to be a statement of its own: one that
    // waits in its middle would look for the try where it was before.
    let Some(mut told) = Reported::lock(tx, completion.delivery).await? else { return Ok(None) };
    let bucket = bucket_of(told.who.customer);
    let head = "SELECT a.started_at, a.address_hash FROM delivery d JOIN delivery_attempt a \
                ON a.bucket = d.bucket AND a.delivery_id = d.id WHERE d.state = 'sending' AND d.bucket = ";
    let mut sql = Sql::new(tx.dialect(), head);
    sql.bind(bucket).push(" AND d.id = ").bind(completion.delivery);
    match fence {
        Fence::Owner => sql.push(" AND d.owner = ").bind(&completion.owner),
        Fence::Lease(now) => sql.push(" AND d.lease_until <= ").bind(now),
    };
    sql.push(" AND a.ended_at IS NULL AND a.number = ").bind(completion.attempt);
    let open = tx.rows::<(Stamp, Option<String>)>(sql).await?.into_iter().next();
    let Some((started, address)) = open else { return Ok(None) };
    let (ended, outcome, detail, due_at) = completion.end.parts();
    let outcome = if matches!(fence, Fence::Lease(_)) { "lost" } else { outcome };
    told.ends(ended, address.clone());
    let state = receipts::catch_up(tx, told.clone(), started.0, reference, completion.at).await?;
    let mut sql = Sql::new(tx.dialect(), "UPDATE delivery SET owner = NULL, lease_until = NULL, state = ");
    sql.bind(state.as_str()).push(", done_at = ").bind(state.is_final().then_some(completion.at));
    sql.push(", last_error = ").bind(detail);
    if let Some(name) = reference {
        sql.push(", provider_ref = ").bind(name);
    }
    if let AttemptEnd::Refused { reason } = &completion.end {
        sql.push(", reason = ").bind(reason.as_str());
    }
    if matches!(completion.end, AttemptEnd::Release { .. } | AttemptEnd::Refused { .. }) {
        sql.push(", attempt_count = attempt_count - 1");
    }
    if let Some(due_at) = due_at {
        sql.push(", due_at = ").bind(due_at);
    }
    past::written(&mut sql, completion.at);
    sql.push(" WHERE id = ").bind(completion.delivery);
    tx.run(sql).await?;
    let sql = "UPDATE delivery_attempt SET ended_at = $1, outcome = $2, detail = $3 \
               WHERE bucket = $4 AND delivery_id = $5 AND number = $6";
    let its = args![completion.at, outcome, detail, bucket, completion.delivery, completion.attempt];
    tx.execute(sql, its).await?;
    if let Some(suppression) = &completion.suppress {
        let Suppression { channel, all_purposes, reason, at } = suppression.clone();
        let refusal = Refusal { who: told.who, channel, all_purposes, reason, at, address };
        suppress::write(tx, vec![refusal], completion.at).await?;
    }
    if state.is_final() || completion.suppress.is_some() {
        touch(tx, &[told.who.customer], completion.at).await?;
    }
    Ok(Some(state))
}
