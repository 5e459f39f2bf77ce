//! The last step before a connector gets a delivery: that it is handed over is on the disk before it is, and the
//! guards are asked once more in the same transaction. Never sends, never claims.
//!
//! What is claimed and not handed over certainly did not go, and goes back whole when its daemon dies; what is
//! handed over may have gone.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;
use zyklus_model::{At, CustomerId, Delivery, DeliveryId, DeliveryState, GuardReason, Snapshot, bucket_of};

use crate::arg::{Stamp, args};
use crate::column::columns;
use crate::complete::{AttemptEnd, Completion, Fence, complete};
use crate::error::Result;
use crate::open::Store;
use crate::outbox::Judgement;
use crate::snapshot::load_snapshots;
use crate::tx::{CHUNK, Dialect, Sql, Tx};

/// What is about to be handed over.
#[derive(Debug, Clone)]
pub struct Handing {
    /// Who claimed it.
    pub owner: String,
    /// As of when.
    pub now: At,
    /// How long it may take, in microseconds, unless the lease is prolonged.
    pub lease_micros: i64,
    /// The claims, each with the snapshot that it was claimed and rendered with.
    pub claims: Vec<HandingClaim>,
}

/// One claim that is about to be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandingClaim {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Which try.
    pub attempt: i64,
    /// Whom it was rendered for.
    pub customer: CustomerId,
    /// The snapshot's sequence number.
    pub seq: i64,
}

impl From<&crate::outbox::Claim> for HandingClaim {
    fn from(claim: &crate::outbox::Claim) -> Self {
        HandingClaim {
            delivery: claim.delivery.id,
            attempt: claim.attempt.number,
            customer: claim.snapshot.customer.id,
            seq: claim.snapshot.mark.seq,
        }
    }
}

/// What became of a claim at the last moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// Hand it over now.
    Go {
        /// When it was handed over for the first time, by this try or one before it; tries that were released, because
        /// it certainly went nowhere, do not count.
        first_at: At,
    },
    /// There is news of the customer since it was claimed, or a guard moved it: it waits in the outbox again.
    Released,
    /// A guard refused it.
    Refused(GuardReason),
    /// Somebody else settled it: its lease had run out.
    Lost,
}

columns!(HeldRow { id: Uuid, customer_id: Uuid, due_at: Stamp, number: i64, seq: i64, look_at: Stamp });

impl Store {
    /// Notes that claims are handed over, before they are, and prolongs their leases; says for each, in order, what
    /// is to be done with it. Only what is [`HandOver::Go`] may be given to anybody.
    ///
    /// # Errors
    /// The database's; then nothing was noted and nothing may be handed over.
    pub async fn hand_over<F>(&self, handing: Handing, judge: F) -> Result<Vec<HandOver>>
    where
        F: Fn(&Snapshot, &Delivery) -> Judgement + Send + Sync + 'static,
    {
        if handing.claims.is_empty() {
            return Ok(Vec::new());
        }
        let shared = Arc::new((handing, judge));
        let leases = self.inner.leases;
        self.write(move |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let until = leases.now(tx, shared.0.now).await?.plus_micros(shared.0.lease_micros);
                hand_over(tx, &shared.0, until, &shared.1).await
            })
        })
        .await
    }
}

async fn hand_over<F>(tx: &mut Tx, handing: &Handing, lease_until: At, judge: &F) -> Result<Vec<HandOver>>
where
    F: Fn(&Snapshot, &Delivery) -> Judgement + Send + Sync,
{
    let held = lock(tx, handing).await?;
    let is_held = |claim: &HandingClaim| held.get(&claim.delivery).filter(|row| row.number == claim.attempt);
    // With news it would be judged and written on what is no longer so.
    let is_as_claimed = |claim: &HandingClaim| {
        is_held(claim).is_some_and(|row| {
            row.customer_id == claim.customer.uuid() && row.seq == claim.seq && row.look_at.0 > handing.now
        })
    };
    let mut customers: Vec<CustomerId> =
        handing.claims.iter().filter(|c| is_as_claimed(c)).map(|c| c.customer).collect();
    customers.sort_unstable();
    customers.dedup();
    // Also without news of the customer: somebody else may have refused the same address.
    let snapshots = load_snapshots(tx, &customers).await?;
    let find = |claim: &HandingClaim| {
        let snapshot = snapshots.iter().find(|s| s.customer.id == claim.customer)?;
        Some((snapshot, snapshot.deliveries.iter().find(|d| d.id == claim.delivery)?))
    };
    let mut ends: Vec<Option<AttemptEnd>> = Vec::with_capacity(handing.claims.len());
    let mut put_off = Vec::new();
    for claim in &handing.claims {
        let due_at = is_held(claim).map_or(handing.now, |row| row.due_at.0);
        let release = |due_at, detail: &str| Some(AttemptEnd::Release { due_at, detail: detail.to_owned() });
        let found = is_as_claimed(claim).then(|| find(claim)).flatten();
        ends.push(match found {
            None => release(due_at, "there was news of the customer"),
            Some((_, delivery)) if delivery.expires_at <= handing.now => {
                Some(AttemptEnd::Refused { reason: GuardReason::Expired })
            }
            Some((snapshot, delivery)) => match judge(snapshot, delivery) {
                Judgement::Send => None,
                Judgement::Postpone { until, reason, outranked_by } => {
                    put_off.push((claim.delivery, reason, outranked_by));
                    release(until, "a guard moved it")
                }
                Judgement::Refuse(reason) => Some(AttemptEnd::Refused { reason }),
                Judgement::NotNow => release(due_at, "nobody carries it now"),
            },
        });
    }
    let going: Vec<&HandingClaim> = handing
        .claims
        .iter()
        .zip(&ends)
        .filter(|(claim, end)| end.is_none() && is_held(claim).is_some())
        .map(|(claim, _)| claim)
        .collect();
    let first = note(tx, &going, handing.now, lease_until).await?;
    let mut answers = Vec::with_capacity(handing.claims.len());
    for (claim, end) in handing.claims.iter().zip(ends) {
        answers.push(match (is_held(claim), end) {
            (None, _) => HandOver::Lost,
            (Some(_), None) => {
                HandOver::Go { first_at: first.get(&claim.delivery).copied().unwrap_or(handing.now) }
            }
            (Some(_), Some(end)) => take_back(tx, handing, claim, end).await?,
        });
    }
    for (delivery, reason, outranked_by) in put_off {
        let sql = "UPDATE delivery SET reason = $1, outranked_by = coalesce($2, outranked_by), \
                   written_at = CASE WHEN written_at < $4 THEN $4 ELSE written_at END WHERE id = $3";
        tx.execute(sql, args![reason.as_str(), outranked_by, delivery, handing.now]).await?;
    }
    Ok(answers)
}

/// The claims that are still this daemon's, with where their customers' evaluation stands; on PostgreSQL nobody
/// changes either until the transaction ends.
async fn lock(tx: &mut Tx, handing: &Handing) -> Result<HashMap<DeliveryId, HeldRow>> {
    let mut held = HashMap::with_capacity(handing.claims.len());
    for some in handing.claims.chunks(CHUNK) {
        let head = "SELECT d.id, d.customer_id, d.due_at, a.number, e.seq, e.due_at FROM delivery d \
                    JOIN delivery_attempt a ON a.bucket = d.bucket AND a.delivery_id = d.id AND a.ended_at IS NULL \
                    JOIN evaluation e ON e.bucket = d.bucket AND e.customer_id = d.customer_id \
                    WHERE d.state = 'sending' AND d.owner = ";
        let mut sql = Sql::new(tx.dialect(), head);
        sql.bind(&handing.owner).push(" AND d.id IN ").list(some.iter().map(|c| c.delivery));
        sql.push(" ORDER BY d.customer_id, d.id");
        if tx.dialect() == Dialect::Postgres {
            sql.push(" FOR UPDATE OF d, e");
        }
        let rows = tx.rows::<HeldRow>(sql).await?;
        held.extend(rows.into_iter().map(|row| (DeliveryId::from_uuid(row.id), row)));
    }
    Ok(held)
}

/// Writes that they are handed over; when each was for the first time.
async fn note(
    tx: &mut Tx,
    going: &[&HandingClaim],
    now: At,
    lease_until: At,
) -> Result<HashMap<DeliveryId, At>> {
    let mut first = HashMap::with_capacity(going.len());
    for some in going.chunks(CHUNK) {
        let mut sql = Sql::new(tx.dialect(), "UPDATE delivery SET lease_until = ");
        sql.bind(lease_until).push(" WHERE id IN ").list(some.iter().map(|c| c.delivery));
        tx.run(sql).await?;
        let mut sql = Sql::new(tx.dialect(), "UPDATE delivery_attempt SET handed_at = ");
        sql.bind(now).push(" WHERE (bucket, delivery_id, number) IN (");
        sql.values(some.iter().map(|c| args![bucket_of(c.customer), c.delivery, c.attempt])).push(")");
        tx.run(sql).await?;
        let head = "SELECT a.delivery_id, MIN(a.handed_at) FROM delivery_attempt a \
                    WHERE a.handed_at IS NOT NULL AND coalesce(a.outcome, '') <> 'released' AND (a.bucket, a.delivery_id) IN (";
        let mut sql = Sql::new(tx.dialect(), head);
        sql.values(some.iter().map(|c| args![bucket_of(c.customer), c.delivery]));
        sql.push(") GROUP BY a.delivery_id");
        let rows = tx.rows::<(Uuid, Stamp)>(sql).await?;
        first.extend(rows.into_iter().map(|(id, at)| (DeliveryId::from_uuid(id), at.0)));
    }
    Ok(first)
}

async fn take_back(
    tx: &mut Tx,
    handing: &Handing,
    claim: &HandingClaim,
    end: AttemptEnd,
) -> Result<HandOver> {
    let completion = Completion {
        delivery: claim.delivery,
        attempt: claim.attempt,
        owner: handing.owner.clone(),
        at: handing.now,
        end,
        suppress: None,
    };
    let state = complete(tx, &completion, Fence::Owner).await?;
    Ok(match (state, completion.end) {
        (None, _) => HandOver::Lost,
        (Some(DeliveryState::Refused | DeliveryState::Expired), AttemptEnd::Refused { reason }) => {
            HandOver::Refused(reason)
        }
        (Some(_), _) => HandOver::Released,
    })
}
