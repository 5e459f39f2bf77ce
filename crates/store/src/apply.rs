//! Writes decisions: transitions, runs, deliveries, labels and where evaluating stands, all in one transaction,
//! each fenced against an evaluation that came in between. Never decides.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sqlx::FromRow;
use uuid::Uuid;
use zyklus_model::{At, CustomerId, Decision, Run, bucket_of};

use crate::arg::{Arg, Stamp, args};
use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::snapshot::{EVALUATION_COLUMNS, EvaluationRow};
use crate::tx::{CHUNK, Sql, Tx};

/// What applying decisions came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApplyReport {
    /// Decisions applied.
    pub applied: u64,
    /// Decisions that another evaluation had overtaken; nothing of them was applied.
    pub stale: u64,
    /// New deliveries.
    pub deliveries: u64,
    /// New transitions.
    pub transitions: u64,
    /// New runs.
    pub runs_started: u64,
}

#[derive(FromRow)]
pub(crate) struct IdRow {
    pub(crate) id: Uuid,
}

#[derive(FromRow)]
pub(crate) struct StampRow {
    pub(crate) at: Option<Stamp>,
}

impl Store {
    /// Applies decisions in one transaction. A decision whose customer was evaluated since its snapshot was read
    /// is left out; one whose customer got a new fact since is applied, and the customer stays due.
    ///
    /// # Errors
    /// The database's; then nothing of them was applied.
    pub async fn apply(&self, decisions: Vec<Decision>) -> Result<ApplyReport> {
        if decisions.is_empty() {
            return Ok(ApplyReport::default());
        }
        let decisions = Arc::new(decisions);
        self.write(move |tx| {
            let decisions = Arc::clone(&decisions);
            Box::pin(async move { apply(tx, &decisions).await })
        })
        .await
    }

    /// Customers to be evaluated at an instant, longest due first.
    ///
    /// # Errors
    /// The database's.
    pub async fn customers_due(&self, now: At, limit: u32) -> Result<Vec<CustomerId>> {
        let mut tx = self.peek().await?;
        let rows: Vec<IdRow> = tx
            .fetch(
                "SELECT customer_id AS id FROM evaluation WHERE due_at <= $1 ORDER BY due_at, customer_id LIMIT $2",
                args![now, i64::from(limit)],
            )
            .await?;
        Ok(rows.into_iter().map(|r| CustomerId::from_uuid(r.id)).collect())
    }

    /// When the next customer is to be evaluated; `None` = never, unless something is recorded.
    ///
    /// # Errors
    /// The database's.
    pub async fn next_due(&self) -> Result<Option<At>> {
        let mut tx = self.peek().await?;
        let row: Option<StampRow> =
            tx.first("SELECT due_at AS at FROM evaluation ORDER BY due_at LIMIT 1", args![]).await?;
        Ok(row.and_then(|r| r.at).map(|s| s.0).filter(|at| *at < At::MAX))
    }

    /// Makes everybody due at `now`, because the configuration is another; how many were not due before.
    ///
    /// # Errors
    /// The database's.
    pub async fn reconsider(&self, now: At) -> Result<u64> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute("UPDATE evaluation SET due_at = $1 WHERE due_at > $1", args![now]).await
            })
        })
        .await
    }
}

/// Makes customers due, as after a new fact.
pub(crate) async fn touch(tx: &mut Tx, customers: &[CustomerId], at: At) -> Result<()> {
    let unique: HashSet<CustomerId> = customers.iter().copied().collect();
    let mut unique: Vec<CustomerId> = unique.into_iter().collect();
    unique.sort_unstable();
    for chunk in unique.chunks(CHUNK) {
        let mut sql =
            Sql::new(tx.dialect(), "UPDATE evaluation SET seq = seq + 1, due_at = CASE WHEN due_at > ");
        sql.bind(at).push(" THEN ").bind(at).push(" ELSE due_at END WHERE customer_id IN ");
        sql.list(chunk.iter().copied());
        sql.push(" AND bucket IN ").list(chunk.iter().map(|id| bucket_of(*id)));
        tx.run(sql).await?;
    }
    Ok(())
}

pub(crate) fn text<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(format!("cannot be stored: {error}")))
}

async fn apply(tx: &mut Tx, decisions: &[Decision]) -> Result<ApplyReport> {
    let mut report = ApplyReport::default();
    for chunk in decisions.chunks(CHUNK) {
        let ids: Vec<CustomerId> = chunk.iter().map(|d| d.customer).collect();
        let mut sql = Sql::wanted(tx.dialect(), &ids);
        sql.push("SELECT ").push(EVALUATION_COLUMNS).push(
            " FROM wanted JOIN evaluation e ON e.bucket = wanted.bucket AND e.customer_id = wanted.id \
             ORDER BY e.customer_id",
        );
        sql.push(if tx.for_update().is_empty() { "" } else { " FOR UPDATE OF e" });
        let rows: Vec<EvaluationRow> = tx.rows(sql).await?;
        let marks: HashMap<Uuid, EvaluationRow> = rows.into_iter().map(|r| (r.customer_id, r)).collect();
        let fresh: Vec<(&Decision, &EvaluationRow)> = chunk
            .iter()
            .filter_map(|d| Some((d, marks.get(&d.customer.uuid())?)))
            .filter(|(d, mark)| mark.evaluated_at.map(|s| s.0) == d.evaluated_before)
            .collect();
        report.applied += fresh.len() as u64;
        report.stale += (chunk.len() - fresh.len()) as u64;
        write_marks(tx, &fresh).await?;
        let fresh: Vec<&Decision> = fresh.into_iter().map(|(d, _)| d).filter(|d| !d.is_quiet()).collect();
        report.transitions += write_transitions(tx, &fresh).await?;
        report.runs_started += write_runs(tx, &fresh).await?;
        report.deliveries += write_deliveries(tx, &fresh).await?;
        write_withdrawals(tx, &fresh).await?;
        write_tags(tx, &fresh).await?;
    }
    Ok(report)
}

async fn write_marks(tx: &mut Tx, fresh: &[(&Decision, &EvaluationRow)]) -> Result<()> {
    let mut rows = Vec::with_capacity(fresh.len());
    for (decision, mark) in fresh {
        let is_current = mark.seq == decision.seq;
        let due_at = if is_current { decision.revisit_at.unwrap_or(At::MAX) } else { mark.due_at.0 };
        let mut row = args![
            bucket_of(decision.customer),
            decision.customer,
            mark.seq,
            // Grows with every evaluation, so that it fences even two within one microsecond.
            decision.evaluated_before.map_or(decision.now, |before| decision.now.max(before.plus_micros(1))),
            due_at,
            !is_current && mark.live_pending,
            !is_current && mark.history_pending
        ];
        match &decision.phase {
            Some(phase) => row.extend(args![
                &phase.lifecycle,
                &phase.definition,
                &phase.phase,
                phase.since,
                phase.previous.as_deref(),
                phase.moves,
                phase.live,
                phase.has_live_moves
            ]),
            None => row.extend(args![
                mark.lifecycle.clone(),
                mark.definition.clone(),
                mark.phase.clone(),
                mark.phase_since.map(|s| s.0),
                mark.phase_previous.clone(),
                mark.phase_moves,
                mark.phase_live,
                mark.phase_has_live
            ]),
        }
        row.push(match &decision.segments {
            Some(segments) => Arg::from(text(segments)?),
            None => Arg::from(&mark.segments),
        });
        rows.push(row);
    }
    tx.insert(
        "INSERT INTO evaluation (bucket, customer_id, seq, evaluated_at, due_at, live_pending, history_pending, \
         lifecycle, definition, phase, phase_since, phase_previous, phase_moves, phase_live, phase_has_live, segments)",
        rows,
        " ON CONFLICT (bucket, customer_id) DO UPDATE SET evaluated_at = excluded.evaluated_at, \
         due_at = excluded.due_at, live_pending = excluded.live_pending, \
         history_pending = excluded.history_pending, lifecycle = excluded.lifecycle, \
         definition = excluded.definition, phase = excluded.phase, phase_since = excluded.phase_since, \
         phase_previous = excluded.phase_previous, phase_moves = excluded.phase_moves, \
         phase_live = excluded.phase_live, phase_has_live = excluded.phase_has_live, segments = excluded.segments",
    )
    .await
    .map(drop)
}

async fn write_transitions(tx: &mut Tx, decisions: &[&Decision]) -> Result<u64> {
    let mut rewritten: BTreeMap<&str, Vec<CustomerId>> = BTreeMap::new();
    for decision in decisions.iter().filter(|d| d.rewrites_history) {
        if let Some(phase) = &decision.phase {
            rewritten.entry(&phase.lifecycle).or_default().push(decision.customer);
        }
    }
    for (lifecycle, customers) in rewritten {
        let mut sql = Sql::new(tx.dialect(), "DELETE FROM transition WHERE lifecycle = ");
        sql.bind(lifecycle).push(" AND customer_id IN ").list(customers.iter().copied());
        sql.push(" AND bucket IN ").list(customers.iter().map(|id| bucket_of(*id)));
        tx.run(sql).await?;
    }
    let mut rows = Vec::new();
    for decision in decisions {
        for t in &decision.transitions {
            rows.push(args![
                bucket_of(decision.customer),
                decision.customer,
                t.id,
                &t.lifecycle,
                t.from.as_deref(),
                &t.to,
                t.at,
                t.recorded_at,
                t.cause.as_str(),
                t.origin.as_str()
            ]);
        }
    }
    tx.insert(
        "INSERT INTO transition (bucket, customer_id, id, lifecycle, from_phase, to_phase, at, recorded_at, cause, origin)",
        rows,
        " ON CONFLICT (bucket, customer_id, id) DO NOTHING",
    )
    .await
}

async fn write_runs(tx: &mut Tx, decisions: &[&Decision]) -> Result<u64> {
    let runs: Vec<&Run> = decisions.iter().flat_map(|d| &d.runs).collect();
    if runs.is_empty() {
        return Ok(0);
    }
    let mut known = 0u64;
    for chunk in runs.chunks(CHUNK) {
        let mut sql = Sql::new(tx.dialect(), "SELECT id FROM run WHERE id IN ");
        sql.list(chunk.iter().map(|r| r.id));
        known += tx.rows::<IdRow>(sql).await?.len() as u64;
    }
    let mut rows = Vec::with_capacity(runs.len());
    for run in &runs {
        rows.push(args![
            bucket_of(run.customer),
            run.customer,
            run.id,
            run.customer,
            &run.journey,
            &run.key,
            &run.occurrence,
            &run.definition,
            run.epoch,
            run.ghost,
            run.state.as_str(),
            run.end.map(|e| e.as_str()),
            run.end_reason.as_deref(),
            run.started_at,
            run.ended_at,
            run.position.step.as_deref(),
            run.position.reached_at,
            run.position.due_at,
            text(&run.acted)?,
            text(&run.event)?
        ]);
    }
    tx.insert(
        "INSERT INTO run (bucket, customer_id, id, source_customer_id, journey, run_key, occurrence, definition, epoch, \
         ghost, state, end_kind, end_reason, started_at, ended_at, step, reached_at, due_at, acted, event)",
        rows,
        " ON CONFLICT (bucket, customer_id, id) DO UPDATE SET definition = excluded.definition, \
         epoch = excluded.epoch, ghost = excluded.ghost, state = excluded.state, end_kind = excluded.end_kind, \
         end_reason = excluded.end_reason, ended_at = excluded.ended_at, step = excluded.step, \
         reached_at = excluded.reached_at, due_at = excluded.due_at, acted = excluded.acted",
    )
    .await?;
    Ok(runs.len() as u64 - known)
}

async fn write_deliveries(tx: &mut Tx, decisions: &[&Decision]) -> Result<u64> {
    let mut rows = Vec::new();
    for delivery in decisions.iter().flat_map(|d| &d.deliveries) {
        rows.push(args![
            bucket_of(delivery.customer),
            delivery.customer,
            delivery.id,
            delivery.customer,
            delivery.run,
            &delivery.journey,
            &delivery.step,
            delivery.kind.as_str(),
            delivery.channel.map(|c| c.as_str()),
            delivery.connector.as_deref(),
            &delivery.target,
            delivery.purpose.as_str(),
            delivery.capped,
            delivery.state.as_str(),
            delivery.reason.map(|r| r.as_str()),
            delivery.created_at,
            delivery.due_at,
            delivery.expires_at,
            delivery.done_at,
            delivery.attempt_count,
            text(&delivery.payload)?
        ]);
    }
    tx.insert(
        "INSERT INTO delivery (bucket, customer_id, id, source_customer_id, run_id, journey, step, kind, channel, \
         connector, target, purpose, capped, state, reason, created_at, due_at, expires_at, done_at, attempt_count, \
         payload)",
        rows,
        " ON CONFLICT (bucket, customer_id, id) DO NOTHING",
    )
    .await
}

async fn write_withdrawals(tx: &mut Tx, decisions: &[&Decision]) -> Result<()> {
    for decision in decisions {
        for withdrawal in &decision.withdrawals {
            tx.execute(
                "UPDATE delivery SET state = $1, reason = $2, done_at = $3 \
                 WHERE bucket = $4 AND customer_id = $5 AND id = $6 AND state = 'pending'",
                args![
                    withdrawal.state.as_str(),
                    withdrawal.reason.map(|r| r.as_str()),
                    withdrawal.at,
                    bucket_of(decision.customer),
                    decision.customer,
                    withdrawal.delivery
                ],
            )
            .await?;
        }
    }
    Ok(())
}

async fn write_tags(tx: &mut Tx, decisions: &[&Decision]) -> Result<()> {
    for decision in decisions {
        for change in &decision.tags {
            let (bucket, customer) = (bucket_of(decision.customer), decision.customer);
            if change.on {
                tx.execute(
                    "INSERT INTO tag (bucket, customer_id, source, tag, source_customer_id, since, until) \
                     VALUES ($1, $2, 'journey', $3, $2, $4, $5) \
                     ON CONFLICT (bucket, customer_id, source, tag, source_customer_id) \
                     DO UPDATE SET since = excluded.since, until = excluded.until",
                    args![bucket, customer, &change.tag, change.at, change.until],
                )
                .await?;
            } else {
                tx.execute(
                    "DELETE FROM tag WHERE bucket = $1 AND customer_id = $2 AND source = 'journey' AND tag = $3",
                    args![bucket, customer, &change.tag],
                )
                .await?;
            }
        }
    }
    Ok(())
}
