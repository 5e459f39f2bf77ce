//! The outbox: what is due is claimed under a lease, with the guards asked again inside the claiming transaction,
//! and completed under a fence. Never sends, never asks a clock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::FromRow;
use uuid::Uuid;
use zyklus_model::{
    At, Attempt, AttemptId, CustomerId, Delivery, DeliveryId, DeliveryState, GuardReason, Snapshot,
    Suppression, bucket_of,
};

use crate::apply::{StampRow, touch};
use crate::arg::{Arg, Stamp, args};
use crate::error::Result;
use crate::open::Store;
use crate::snapshot::{DELIVERY_COLUMNS, DeliveryRow, load_snapshots};
use crate::tx::{Sql, Tx};

/// What to claim.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The daemon's name, unlike any other's.
    pub owner: String,
    /// As of when.
    pub now: At,
    /// How long the claim holds, in microseconds.
    pub lease_micros: i64,
    /// How many at most.
    pub limit: u32,
    /// Only those addressed to these connectors; `None` = all.
    pub connectors: Option<Vec<String>>,
}

/// What the guards say at the last moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Send it.
    Send,
    /// Not before then.
    Postpone(At),
    /// Not at all.
    Refuse(GuardReason),
    /// Leave it as it is: who would carry it is not there.
    NotNow,
}

/// What was claimed.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// To be sent, each by nobody else until its lease ends.
    pub claims: Vec<Claim>,
    /// Refused by a guard.
    pub refused: u64,
    /// Moved to a later time.
    pub postponed: u64,
    /// Too late.
    pub expired: u64,
    /// Left alone, because their customers have to be evaluated first or nobody carries them.
    pub unready: u64,
}

/// A delivery to be sent.
#[derive(Debug, Clone)]
pub struct Claim {
    /// It, in the state `sending`.
    pub delivery: Delivery,
    /// This try.
    pub attempt: Attempt,
    /// All that is known of the customer, as the guards saw it.
    pub snapshot: Snapshot,
}

/// How a try ended.
#[derive(Debug, Clone)]
pub struct Completion {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Which try.
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
    /// Not handed over at all, through no fault of its own.
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
            AttemptEnd::Release { due_at, detail } => {
                (DeliveryState::Pending, "released", Some(detail), Some(*due_at))
            }
        }
    }
}

#[derive(FromRow)]
struct AttemptRow {
    id: Uuid,
    delivery_id: Uuid,
    number: i64,
    owner: String,
    started_at: Stamp,
    ended_at: Option<Stamp>,
    outcome: Option<String>,
    detail: Option<String>,
}

impl AttemptRow {
    fn attempt(self) -> Attempt {
        Attempt {
            id: AttemptId::from_uuid(self.id),
            delivery: DeliveryId::from_uuid(self.delivery_id),
            number: self.number,
            owner: self.owner,
            started_at: self.started_at.0,
            ended_at: self.ended_at.map(|s| s.0),
            outcome: self.outcome,
            detail: self.detail,
        }
    }
}

impl Store {
    /// Claims what is due, oldest first. A customer whose evaluation is due waits for it: what is sent is what was
    /// decided on all that is known. The judge is asked with the customer's snapshot, in which earlier claims of
    /// the same call already count.
    ///
    /// # Errors
    /// The database's; then nothing was claimed.
    pub async fn claim<F>(&self, request: ClaimRequest, judge: F) -> Result<Claimed>
    where
        F: Fn(&Snapshot, &Delivery) -> Judgement + Send + Sync + 'static,
    {
        let shared = Arc::new((request, judge));
        self.write(move |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move { claim(tx, &shared.0, &shared.1).await })
        })
        .await
    }

    /// Ends a try. `false`: the claim was lost (its lease ran out and somebody settled it), nothing was written.
    ///
    /// # Errors
    /// The database's.
    pub async fn complete(&self, completion: Completion) -> Result<bool> {
        let completion = Arc::new(completion);
        self.write(move |tx| {
            let completion = Arc::clone(&completion);
            Box::pin(async move { complete(tx, &completion, Some(&completion.owner)).await })
        })
        .await
    }

    /// Prolongs the leases of deliveries one daemon is sending; how many still were its own.
    ///
    /// # Errors
    /// The database's.
    pub async fn heartbeat(&self, owner: &str, deliveries: &[DeliveryId], lease_until: At) -> Result<u64> {
        let (owner, deliveries) = (owner.to_owned(), deliveries.to_vec());
        if deliveries.is_empty() {
            return Ok(0);
        }
        self.write(move |tx| {
            let mut sql = Sql::new(tx.dialect(), "UPDATE delivery SET lease_until = ");
            sql.bind(lease_until).push(" WHERE state = 'sending' AND owner = ").bind(&owner);
            sql.push(" AND id IN ").list(deliveries.iter().copied());
            Box::pin(async move { tx.run(sql).await })
        })
        .await
    }

    /// Deliveries whose daemon did not come back before its lease ended, with the try that is open.
    ///
    /// # Errors
    /// The database's.
    pub async fn expired_leases(&self, now: At, limit: u32) -> Result<Vec<(Delivery, Attempt)>> {
        let mut tx = self.reader().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT ");
        sql.push(DELIVERY_COLUMNS).push(" FROM delivery d WHERE d.state = 'sending' AND d.lease_until <= ");
        sql.bind(now).push(" ORDER BY d.lease_until, d.id LIMIT ").bind(i64::from(limit));
        let mut lost = Vec::new();
        for row in tx.rows::<DeliveryRow>(sql).await? {
            let delivery = row.delivery()?;
            let attempts = attempts(&mut tx, &delivery).await?;
            if let Some(attempt) = attempts.into_iter().find(|a| a.number == delivery.attempt_count) {
                lost.push((delivery, attempt));
            }
        }
        tx.commit().await?;
        Ok(lost)
    }

    /// Ends a try whose daemon did not come back. `false`: it did after all.
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
        self.write(move |tx| {
            let completion = Arc::clone(&completion);
            Box::pin(async move { complete(tx, &completion, None).await })
        })
        .await
    }

    /// When the next delivery may go.
    ///
    /// # Errors
    /// The database's.
    pub async fn next_delivery_due(&self) -> Result<Option<At>> {
        let mut tx = self.peek().await?;
        let row: Option<StampRow> =
            tx.first("SELECT MIN(due_at) AS at FROM delivery WHERE state = 'pending'", args![]).await?;
        Ok(row.and_then(|r| r.at).map(|s| s.0))
    }
}

pub(crate) async fn delivery(tx: &mut Tx, id: DeliveryId) -> Result<Option<Delivery>> {
    let mut sql = Sql::new(tx.dialect(), "SELECT ");
    sql.push(DELIVERY_COLUMNS).push(" FROM delivery d WHERE d.id = ").bind(id);
    tx.rows::<DeliveryRow>(sql).await?.into_iter().next().map(DeliveryRow::delivery).transpose()
}

pub(crate) async fn attempts(tx: &mut Tx, delivery: &Delivery) -> Result<Vec<Attempt>> {
    let rows: Vec<AttemptRow> = tx
        .fetch(
            "SELECT id, delivery_id, number, owner, started_at, ended_at, outcome, detail FROM delivery_attempt \
             WHERE bucket = $1 AND delivery_id = $2 ORDER BY number",
            args![bucket_of(delivery.customer), delivery.id],
        )
        .await?;
    Ok(rows.into_iter().map(AttemptRow::attempt).collect())
}

async fn claim<F>(tx: &mut Tx, request: &ClaimRequest, judge: &F) -> Result<Claimed>
where
    F: Fn(&Snapshot, &Delivery) -> Judgement + Send + Sync,
{
    let mut claimed = Claimed::default();
    let mut after: Option<(At, DeliveryId)> = None;
    let limit = request.limit as usize;
    while claimed.claims.len() < limit {
        let page = pending(tx, request, after).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.due_at, last.id));
        let is_last = page.len() < limit;
        judge_page(tx, request, page, judge, &mut claimed).await?;
        if is_last {
            break;
        }
    }
    Ok(claimed)
}

async fn pending(
    tx: &mut Tx,
    request: &ClaimRequest,
    after: Option<(At, DeliveryId)>,
) -> Result<Vec<Delivery>> {
    let mut sql = Sql::new(tx.dialect(), "SELECT ");
    sql.push(DELIVERY_COLUMNS).push(" FROM delivery d WHERE d.state = 'pending' AND d.due_at <= ");
    sql.bind(request.now);
    if let Some((due_at, id)) = after {
        sql.push(" AND (d.due_at, d.id) > (").bind(due_at).push(", ").bind(id).push(")");
    }
    if let Some(connectors) = request.connectors.as_ref().filter(|c| !c.is_empty()) {
        sql.push(" AND d.connector IN ").list(connectors.iter());
    }
    sql.push(" ORDER BY d.due_at, d.id LIMIT ").bind(i64::from(request.limit));
    if !tx.for_update().is_empty() {
        sql.push(" FOR UPDATE OF d SKIP LOCKED");
    }
    tx.rows::<DeliveryRow>(sql).await?.into_iter().map(DeliveryRow::delivery).collect()
}

/// Of these customers, those who have nothing left to evaluate; locked until the transaction ends, so that no fact
/// slips in between judging and claiming.
async fn evaluated(tx: &mut Tx, customers: &[CustomerId], now: At) -> Result<HashSet<Uuid>> {
    let mut sql = Sql::wanted(tx.dialect(), customers);
    sql.push(
        "SELECT e.customer_id AS id FROM wanted JOIN evaluation e \
         ON e.bucket = wanted.bucket AND e.customer_id = wanted.id WHERE e.due_at > ",
    );
    sql.bind(now).push(" ORDER BY e.customer_id");
    if !tx.for_update().is_empty() {
        sql.push(" FOR UPDATE OF e");
    }
    Ok(tx.rows::<crate::apply::IdRow>(sql).await?.into_iter().map(|r| r.id).collect())
}

async fn judge_page<F>(
    tx: &mut Tx,
    request: &ClaimRequest,
    page: Vec<Delivery>,
    judge: &F,
    claimed: &mut Claimed,
) -> Result<()>
where
    F: Fn(&Snapshot, &Delivery) -> Judgement + Send + Sync,
{
    let now = request.now;
    let mut customers: Vec<CustomerId> = page.iter().map(|d| d.customer).collect();
    customers.sort_unstable();
    customers.dedup();
    let ready = evaluated(tx, &customers, now).await?;
    customers.retain(|c| ready.contains(&c.uuid()));
    let mut snapshots: HashMap<Uuid, Snapshot> = HashMap::new();
    if !customers.is_empty() {
        for snapshot in load_snapshots(tx, &customers).await? {
            snapshots.insert(snapshot.customer.id.uuid(), snapshot);
        }
    }
    let mut touched = Vec::new();
    for mut delivery in page {
        let room = claimed.claims.len() < request.limit as usize;
        let Some(snapshot) = snapshots.get_mut(&delivery.customer.uuid()).filter(|_| room) else {
            claimed.unready += 1;
            continue;
        };
        match judge(snapshot, &delivery) {
            Judgement::NotNow => claimed.unready += 1,
            Judgement::Postpone(until) => {
                claimed.postponed += 1;
                tx.execute(
                    "UPDATE delivery SET due_at = $1 WHERE bucket = $2 AND customer_id = $3 AND id = $4",
                    args![until, bucket_of(delivery.customer), delivery.customer, delivery.id],
                )
                .await?;
            }
            Judgement::Refuse(reason) => {
                let state = if reason == GuardReason::Expired {
                    claimed.expired += 1;
                    DeliveryState::Expired
                } else {
                    claimed.refused += 1;
                    DeliveryState::Refused
                };
                tx.execute(
                    "UPDATE delivery SET state = $1, reason = $2, done_at = $3 \
                     WHERE bucket = $4 AND customer_id = $5 AND id = $6",
                    args![
                        state.as_str(),
                        reason.as_str(),
                        now,
                        bucket_of(delivery.customer),
                        delivery.customer,
                        delivery.id
                    ],
                )
                .await?;
                touched.push(delivery.customer);
            }
            Judgement::Send => {
                delivery.state = DeliveryState::Sending;
                delivery.attempt_count += 1;
                let attempt = start(tx, request, &delivery).await?;
                if let Some(known) = snapshot.deliveries.iter_mut().find(|d| d.id == delivery.id) {
                    known.clone_from(&delivery);
                }
                claimed.claims.push(Claim { delivery, attempt, snapshot: snapshot.clone() });
            }
        }
    }
    touch(tx, &touched, now).await
}

async fn start(tx: &mut Tx, request: &ClaimRequest, delivery: &Delivery) -> Result<Attempt> {
    let number = delivery.attempt_count;
    let bucket = bucket_of(delivery.customer);
    let attempt = Attempt {
        id: AttemptId::derive(&[delivery.id.uuid().as_bytes(), &number.to_be_bytes()]),
        delivery: delivery.id,
        number,
        owner: request.owner.clone(),
        started_at: request.now,
        ended_at: None,
        outcome: None,
        detail: None,
    };
    tx.execute(
        "UPDATE delivery SET state = 'sending', owner = $1, lease_until = $2, attempt_count = $3 \
         WHERE bucket = $4 AND customer_id = $5 AND id = $6",
        args![
            &request.owner,
            request.now.plus_micros(request.lease_micros),
            number,
            bucket,
            delivery.customer,
            delivery.id
        ],
    )
    .await?;
    tx.execute(
        "INSERT INTO delivery_attempt (bucket, delivery_id, number, id, owner, started_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        args![bucket, delivery.id, number, attempt.id, &request.owner, request.now],
    )
    .await?;
    Ok(attempt)
}

async fn complete(tx: &mut Tx, completion: &Completion, owner: Option<&String>) -> Result<bool> {
    let Some(found) = delivery(tx, completion.delivery).await? else { return Ok(false) };
    let (state, outcome, detail, due_at) = completion.end.parts();
    let provider_ref = match &completion.end {
        AttemptEnd::Accepted { provider_ref } => provider_ref.clone(),
        _ => None,
    };
    let bucket = bucket_of(found.customer);
    let mut sql = Sql::new(tx.dialect(), "UPDATE delivery SET owner = NULL, lease_until = NULL, state = ");
    sql.bind(state.as_str()).push(", done_at = ").bind(state.is_final().then_some(completion.at));
    sql.push(", last_error = ").bind(detail);
    sql.push(", provider_ref = ").bind(provider_ref);
    if let Some(due_at) = due_at {
        sql.push(", due_at = ").bind(due_at);
    }
    sql.push(" WHERE bucket = ").bind(bucket).push(" AND customer_id = ").bind(found.customer);
    sql.push(" AND id = ").bind(found.id);
    sql.push(" AND state = 'sending' AND attempt_count = ").bind(completion.attempt);
    if let Some(owner) = owner {
        sql.push(" AND owner = ").bind(owner);
    }
    if tx.run(sql).await? == 0 {
        return Ok(false);
    }
    tx.execute(
        "UPDATE delivery_attempt SET ended_at = $1, outcome = $2, detail = $3 \
         WHERE bucket = $4 AND delivery_id = $5 AND number = $6",
        args![completion.at, outcome, detail, bucket, found.id, completion.attempt],
    )
    .await?;
    if let Some(suppression) = &completion.suppress {
        let id = AttemptId::derive(&[b"suppression", found.id.uuid().as_bytes()]).uuid();
        let row: Vec<Arg> = args![
            bucket,
            found.customer,
            id,
            found.customer,
            None::<String>,
            suppression.channel.map(|c| c.as_str()),
            suppression.all_purposes,
            suppression.reason.as_str(),
            suppression.at
        ];
        tx.insert(
            "INSERT INTO suppression (bucket, customer_id, id, source_customer_id, address_hash, channel, \
             all_purposes, reason, at)",
            [row],
            " ON CONFLICT (bucket, customer_id, id) DO NOTHING",
        )
        .await?;
    }
    if state.is_final() || completion.suppress.is_some() {
        touch(tx, &[found.customer], completion.at).await?;
    }
    Ok(true)
}
