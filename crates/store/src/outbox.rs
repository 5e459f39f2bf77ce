//! The outbox: what is due is claimed under a lease, with the guards asked again inside the claiming transaction.
//! Never sends, never asks a clock.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;
use zyklus_model::{
    At, Attempt, AttemptId, CustomerId, Delivery, DeliveryId, DeliveryState, GuardReason, Snapshot, bucket_of,
};

use crate::arg::{Arg, args};
use crate::error::Result;
use crate::evaluation::touch;
use crate::open::Store;
use crate::rows::{DELIVERY_COLUMNS, DeliveryRow};
use crate::snapshot::load_snapshots;
use crate::suppress::reached_at;
use crate::tx::{CHUNK, Dialect, Sql, Tx, Wanted};

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
    /// Only those addressed to these connectors by name; `None` = all, also those that leave it to the channel's
    /// default connector.
    pub connectors: Option<Vec<String>>,
}

/// What the guards say at the last moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Send it.
    Send,
    /// Not before then.
    Postpone {
        /// When it is asked again.
        until: At,
        /// What put it off.
        reason: GuardReason,
        /// The message that goes first, if that is the reason.
        outranked_by: Option<DeliveryId>,
    },
    /// Not at all.
    Refuse(GuardReason),
    /// Leave it as it is: who would carry it is not there. Others of the same kind, channel and connector may not
    /// be asked about any more in this call.
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
    /// Left alone, because nobody carries them now or because their customers have to be evaluated first; the
    /// latter are counted only when less than the limit was claimed, and only up to 10,000.
    pub unready: u64,
    /// Whether the call ended before it had looked at all that is due, because it refused or moved so many: ask
    /// again, even if nothing was claimed.
    pub more: bool,
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
    /// How many tries before this one may have arrived without anybody knowing.
    pub doubts: i64,
}

/// How many are looked at together, at least: few at first, for whoever has few slots, and twice as many each time, for
/// where most are not to be had.
const PAGES: (usize, usize) = (4, 64);
/// How many are decided on in one call, times the limit: a transaction has to end some time.
const DECIDED: u64 = 10;

impl Store {
    /// Claims what is due: transactional deliveries first, then oldest first. What is claimed is only reserved: it may
    /// have been sent once [`Store::hand_over`] has noted it. A customer whose evaluation is due waits for it: what is sent is what was
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
        let leases = self.inner.leases;
        self.write(move |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let lease_from = leases.now(tx, shared.0.now).await?;
                claim(tx, &shared.0, lease_from, &shared.1).await
            })
        })
        .await
    }
}

/// Who would carry a delivery: kind, channel and connector as they are stored.
type Carrier = (&'static str, &'static str, String);

fn carrier(delivery: &Delivery) -> Carrier {
    let channel = delivery.channel.map_or("", |c| c.as_str());
    (delivery.kind.as_str(), channel, delivery.connector.clone().unwrap_or_default())
}

/// Which of what is due is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// What somebody waits for: it does not queue behind a campaign.
    Transactional,
    All,
}

/// One call of claiming under way.
struct Claiming<'r> {
    request: &'r ClaimRequest,
    /// What leases are counted from.
    lease_from: At,
    claimed: Claimed,
    absent: BTreeSet<Carrier>,
    touched: Vec<CustomerId>,
}

async fn claim<F>(tx: &mut Tx, request: &ClaimRequest, lease_from: At, judge: &F) -> Result<Claimed>
where
    F: Fn(&Snapshot, &Delivery) -> Judgement + Send + Sync,
{
    let mut claiming = Claiming {
        request,
        lease_from,
        claimed: Claimed::default(),
        absent: BTreeSet::new(),
        touched: Vec::new(),
    };
    if request.connectors.as_ref().is_some_and(Vec::is_empty) {
        return Ok(claiming.claimed);
    }
    for lane in [Lane::Transactional, Lane::All] {
        claim_lane(tx, &mut claiming, lane, judge).await?;
        if claiming.claimed.more {
            return Ok(claiming.claimed);
        }
    }
    let Claiming { mut claimed, touched, .. } = claiming;
    if claimed.claims.len() < request.limit as usize {
        claimed.unready += unevaluated(tx, request, &touched).await?;
    }
    Ok(claimed)
}

async fn claim_lane<F>(tx: &mut Tx, claiming: &mut Claiming<'_>, lane: Lane, judge: &F) -> Result<()>
where
    F: Fn(&Snapshot, &Delivery) -> Judgement + Send + Sync,
{
    let request = claiming.request;
    let limit = request.limit as usize;
    let mut after: Option<(At, DeliveryId)> = None;
    let (mut least, most) = PAGES;
    while claiming.claimed.claims.len() < limit {
        let size = (limit - claiming.claimed.claims.len()).clamp(least, CHUNK);
        least = (least * 2).min(most);
        let page = pending(tx, request, lane, after, &claiming.absent, size).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.due_at, last.id));
        let is_last = page.len() < size;
        judge_page(tx, claiming, page, judge).await?;
        if is_last {
            break;
        }
        // Those left alone do not count: they are the same in the next call.
        let claimed = &mut claiming.claimed;
        let decided = claimed.claims.len() as u64 + claimed.refused + claimed.postponed + claimed.expired;
        if claimed.claims.len() < limit && decided >= DECIDED * u64::from(request.limit) {
            claimed.more = true;
            break;
        }
    }
    Ok(())
}

/// ` FROM delivery … WHERE …`: what is due, with the evaluation of its customer.
fn due(sql: &mut Sql, request: &ClaimRequest) {
    sql.push(" FROM delivery d JOIN evaluation e ON e.bucket = d.bucket AND e.customer_id = d.customer_id");
    sql.push(" WHERE d.state = 'pending' AND d.due_at <= ").bind(request.now);
    if let Some(connectors) = &request.connectors {
        sql.push(" AND d.connector IN ").list(connectors.iter());
    }
}

/// Due deliveries of customers who have nothing left to evaluate. On PostgreSQL both rows are locked until the
/// transaction ends, so that no fact slips in between judging and claiming; what others hold is passed over.
async fn pending(
    tx: &mut Tx,
    request: &ClaimRequest,
    lane: Lane,
    after: Option<(At, DeliveryId)>,
    absent: &BTreeSet<Carrier>,
    size: usize,
) -> Result<Vec<Delivery>> {
    let mut sql = Sql::new(tx.dialect(), "SELECT ");
    sql.push(DELIVERY_COLUMNS);
    due(&mut sql, request);
    sql.push(" AND e.due_at > ").bind(request.now);
    if lane == Lane::Transactional {
        // In the text, because an index over one purpose is only used for a purpose that is.
        sql.push(" AND d.purpose = 'transactional'");
    }
    if let Some((due_at, id)) = after {
        sql.push(" AND (d.due_at, d.id) > (").bind(due_at).push(", ").bind(id).push(")");
    }
    for (kind, channel, connector) in absent {
        sql.push(" AND NOT (d.kind = ").bind(*kind).push(" AND coalesce(d.channel, '') = ").bind(*channel);
        sql.push(" AND coalesce(d.connector, '') = ").bind(connector).push(")");
    }
    sql.push(" ORDER BY d.due_at, d.id LIMIT ").bind(size as i64);
    if tx.dialect() == Dialect::Postgres {
        sql.push(" FOR UPDATE OF d, e SKIP LOCKED");
    }
    Ok(tx.rows::<DeliveryRow>(sql).await?.into_iter().map(DeliveryRow::delivery).collect())
}

/// How many wait for their customers to be evaluated, other than those whom this claim itself has touched.
async fn unevaluated(tx: &mut Tx, request: &ClaimRequest, touched: &[CustomerId]) -> Result<u64> {
    let mut sql = Sql::new(tx.dialect(), "SELECT COUNT(*) FROM (SELECT 1");
    due(&mut sql, request);
    sql.push(" AND e.due_at <= ").bind(request.now);
    if !touched.is_empty() {
        sql.push(" AND (e.bucket, e.customer_id) NOT IN (").select(&Wanted::new(touched)).push(")");
    }
    sql.push(" LIMIT 10000) AS waiting");
    Ok(tx.rows::<(i64,)>(sql).await?.first().map_or(0, |(count,)| count.unsigned_abs()))
}

/// Judges deliveries one after the other, and remembers the customers of those that will not go.
async fn judge_page<F>(tx: &mut Tx, claiming: &mut Claiming<'_>, page: Vec<Delivery>, judge: &F) -> Result<()>
where
    F: Fn(&Snapshot, &Delivery) -> Judgement + Send + Sync,
{
    let Claiming { request, lease_from, claimed, absent, .. } = claiming;
    let (request, lease_until) = (*request, lease_from.plus_micros(request.lease_micros));
    let now = request.now;
    let mut customers: Vec<CustomerId> = page.iter().map(|d| d.customer).collect();
    customers.sort_unstable();
    customers.dedup();
    let mut snapshots: HashMap<CustomerId, Snapshot> = HashMap::with_capacity(customers.len());
    for snapshot in load_snapshots(tx, &customers).await? {
        snapshots.insert(snapshot.customer.id, snapshot);
    }
    let mut changes = Changes::default();
    let mut sent = Vec::new();
    for mut delivery in page {
        if claimed.claims.len() + sent.len() >= request.limit as usize {
            break;
        }
        let Some(snapshot) = snapshots.get_mut(&delivery.customer) else {
            claimed.unready += 1;
            continue;
        };
        let judgement = if delivery.expires_at <= now {
            Judgement::Refuse(GuardReason::Expired)
        } else {
            judge(snapshot, &delivery)
        };
        match judgement {
            Judgement::NotNow => {
                claimed.unready += 1;
                absent.insert(carrier(&delivery));
                continue;
            }
            Judgement::Postpone { until, reason, outranked_by } => {
                claimed.postponed += 1;
                delivery.due_at = until;
                delivery.reason = Some(reason);
                delivery.outranked_by = outranked_by.or(delivery.outranked_by);
            }
            Judgement::Refuse(reason) => {
                let is_late = reason == GuardReason::Expired;
                delivery.state = if is_late { DeliveryState::Expired } else { DeliveryState::Refused };
                delivery.reason = Some(reason);
                delivery.done_at = Some(now);
                claimed.expired += u64::from(is_late);
                claimed.refused += u64::from(!is_late);
                changes.touched.push(delivery.customer);
            }
            Judgement::Send => {
                delivery.state = DeliveryState::Sending;
                delivery.reason = None;
                delivery.attempt_count += 1;
            }
        }
        if let Some(known) = snapshot.deliveries.iter_mut().find(|d| d.id == delivery.id) {
            known.clone_from(&delivery);
        }
        changes.push(request, lease_until, &delivery);
        if delivery.state == DeliveryState::Sending {
            sent.push((delivery, snapshot.clone()));
        }
    }
    claiming.touched.extend(changes.write(tx, now).await?);
    start(tx, request, sent, &mut claiming.claimed).await
}

/// What judging changed, written together.
#[derive(Default)]
struct Changes<'r> {
    rows: Vec<Vec<Arg<'r>>>,
    touched: Vec<CustomerId>,
}

impl<'r> Changes<'r> {
    fn push(&mut self, request: &'r ClaimRequest, lease_until: At, delivery: &Delivery) {
        let is_sent = delivery.state == DeliveryState::Sending;
        self.rows.push(args![
            bucket_of(delivery.customer),
            delivery.customer,
            delivery.id,
            delivery.state.as_str(),
            delivery.reason.map(|r| r.as_str()),
            delivery.due_at,
            delivery.done_at,
            delivery.attempt_count,
            is_sent.then_some(request.owner.as_str()),
            is_sent.then_some(lease_until),
            delivery.outranked_by,
            request.now
        ]);
    }

    async fn write(self, tx: &mut Tx, now: At) -> Result<Vec<CustomerId>> {
        let head = "UPDATE delivery SET state = v.column4, reason = v.column5, due_at = v.column6, \
                    done_at = v.column7, attempt_count = v.column8, owner = v.column9, \
                    lease_until = v.column10, outranked_by = v.column11, \
                    written_at = CASE WHEN written_at < v.column12 THEN v.column12 ELSE written_at END FROM (";
        let tail = ") AS v WHERE delivery.bucket = v.column1 AND delivery.customer_id = v.column2 \
                    AND delivery.id = v.column3";
        tx.insert(head, self.rows, tail).await?;
        touch(tx, &self.touched, now).await?;
        Ok(self.touched)
    }
}

/// Notes a try for each delivery before anybody sends it. Numbers only grow, also over tries that did not count,
/// so that nobody ends another's.
async fn start(
    tx: &mut Tx,
    request: &ClaimRequest,
    sent: Vec<(Delivery, Snapshot)>,
    claimed: &mut Claimed,
) -> Result<()> {
    let mut tries: HashMap<Uuid, (i64, i64)> = HashMap::new();
    for some in sent.chunks(CHUNK) {
        let head = "SELECT a.delivery_id, MAX(a.number), \
                    COUNT(CASE WHEN a.outcome = 'unknown' OR a.outcome = 'lost' AND a.handed_at IS NOT NULL \
                    THEN 1 END) FROM delivery_attempt a \
                    WHERE (a.bucket, a.delivery_id) IN (";
        let mut sql = Sql::new(tx.dialect(), head);
        sql.values(some.iter().map(|(d, _)| args![bucket_of(d.customer), d.id]));
        sql.push(") GROUP BY a.delivery_id");
        let rows = tx.rows::<(Uuid, i64, i64)>(sql).await?;
        tries.extend(rows.into_iter().map(|(id, number, doubts)| (id, (number, doubts))));
    }
    let mut rows = Vec::with_capacity(sent.len());
    for (delivery, snapshot) in sent {
        let (last, doubts) = tries.get(&delivery.id.uuid()).copied().unwrap_or_default();
        let number = last + 1;
        let id = AttemptId::derive(&[delivery.id.uuid().as_bytes(), &number.to_be_bytes()]);
        let bucket = bucket_of(delivery.customer);
        let address = reached_at(delivery.channel, &snapshot.customer);
        rows.push(args![bucket, delivery.id, number, id, &request.owner, request.now, address]);
        let attempt = Attempt {
            id,
            delivery: delivery.id,
            number,
            owner: request.owner.clone(),
            started_at: request.now,
            handed_at: None,
            ended_at: None,
            outcome: None,
            detail: None,
        };
        claimed.claims.push(Claim { delivery, attempt, snapshot, doubts });
    }
    let head =
        "INSERT INTO delivery_attempt (bucket, delivery_id, number, id, owner, started_at, address_hash)";
    tx.insert(head, rows, "").await.map(drop)
}
