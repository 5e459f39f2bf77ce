//! Writes decisions: transitions, runs, deliveries, labels and where evaluating stands, all in one transaction,
//! each fenced against an evaluation that came in between. Never decides.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;
use zyklus_model::{At, CustomerId, Decision, Run, TagChange, bucket_of};

use crate::arg::{Arg, Stamp, args, row};
use crate::column::columns;
use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::past;
use crate::snapshot::from_wanted;
use crate::tx::{CHUNK, Dialect, Sql, Tx, Wanted};

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

columns!(MarkRow { customer_id: Uuid, seq: i64, evaluated_at: Option<Stamp> });

/// How many decisions one set of statements writes.
const BATCH: usize = 4_000;

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
}

pub(crate) fn text<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(format!("cannot be stored: {error}")))
}

async fn apply(tx: &mut Tx, decisions: &[Decision]) -> Result<ApplyReport> {
    // Always in the same order, so that two who apply do not wait for each other.
    let mut sorted: Vec<&Decision> = decisions.iter().collect();
    sorted.sort_by_key(|d| d.customer);
    // Of several for one customer the first counts: it overtakes the others.
    sorted.dedup_by_key(|d| d.customer);
    let overtaken = decisions.len() - sorted.len();
    let mut report = ApplyReport { stale: overtaken as u64, ..ApplyReport::default() };
    for some in sorted.chunks(BATCH) {
        let fresh = match tx.dialect() {
            Dialect::Sqlite => mark_each(tx, some).await?,
            Dialect::Postgres => mark_all(tx, some).await?,
        };
        report.applied += fresh.len() as u64;
        report.stale += (some.len() - fresh.len()) as u64;
        let loud: Vec<&Decision> = fresh.into_iter().filter(|d| !d.is_quiet()).collect();
        report.transitions += write_transitions(tx, &loud).await?;
        report.runs_started += write_runs(tx, &loud).await?;
        report.deliveries += write_deliveries(tx, &loud).await?;
        write_rewritten(tx, &loud).await?;
        write_withdrawals(tx, &loud).await?;
        write_tags(tx, &loud).await?;
    }
    Ok(report)
}

/// When a decision counts as made. Grows with every evaluation, so that it fences even two within one microsecond.
fn evaluated(decision: &Decision) -> At {
    decision.evaluated_before.map_or(decision.now, |at| decision.now.max(at.plus_micros(1)))
}

/// Writes where evaluating stands, and the phases and segments that changed, in PostgreSQL; gives back what nothing has
/// overtaken. Nobody else changes those rows until the transaction ends. A customer who was merged away has none.
async fn mark_all<'d>(tx: &mut Tx, decisions: &[&'d Decision]) -> Result<Vec<&'d Decision>> {
    let ids: Vec<CustomerId> = decisions.iter().map(|d| d.customer).collect();
    let mut sql = Sql::wanted(tx.dialect(), &ids);
    sql.push("SELECT e.customer_id, e.seq, e.evaluated_at");
    from_wanted(&mut sql, tx.dialect(), "evaluation e", "customer_id");
    sql.push(" ORDER BY e.customer_id FOR UPDATE OF e");
    let rows: Vec<MarkRow> = tx.rows(sql).await?;
    let marks: HashMap<Uuid, MarkRow> = rows.into_iter().map(|row| (row.customer_id, row)).collect();
    let fresh: Vec<(&Decision, &MarkRow)> = decisions
        .iter()
        .filter_map(|d| Some((*d, marks.get(&d.customer.uuid())?)))
        .filter(|(d, mark)| mark.evaluated_at.map(|s| s.0) == d.evaluated_before)
        // A first evaluation has no instant to be told by: anything new overtakes it.
        .filter(|(d, mark)| d.evaluated_before.is_some() || mark.seq == d.seq)
        .collect();
    write_marks(tx, &fresh).await?;
    Ok(fresh.into_iter().map(|(d, _)| d).collect())
}

/// Those whose phase and segments stay, in PostgreSQL, and then the others.
async fn write_marks(tx: &mut Tx, fresh: &[(&Decision, &MarkRow)]) -> Result<()> {
    let (standing, moved): (Vec<_>, Vec<_>) =
        fresh.iter().partition(|(d, _)| d.phase.is_none() && d.segments.is_none());
    let (current, overtaken): (Vec<_>, Vec<_>) =
        standing.into_iter().partition(|(d, mark)| d.seq == mark.seq);
    for (group, is_current) in [(current, true), (overtaken, false)] {
        let done = ", due_at = v.column4, live_pending = FALSE, history_pending = FALSE";
        let head = [
            "UPDATE evaluation SET evaluated_at = v.column3, \
             marked_at = CASE WHEN marked_at < v.column3 THEN v.column3 ELSE marked_at END",
            if is_current { done } else { "" },
            " FROM (",
        ];
        let rows =
            group.iter().map(|(d, _)| args![bucket_of(d.customer), d.customer, evaluated(d), due_after(d)]);
        let tail = ") AS v WHERE evaluation.bucket = v.column1 AND evaluation.customer_id = v.column2";
        tx.insert(&head.concat(), rows.collect::<Vec<_>>(), tail).await?;
    }
    write_standings(tx, &moved).await
}

fn due_after(decision: &Decision) -> At {
    decision.revisit_at.unwrap_or(At::MAX)
}

/// What [`mark_all`] does, in SQLite: a row at a time, each with the fence in its condition. A statement that has triggers
/// and can be undone by itself keeps what it changes a second time; here the whole transaction is undone with it. So
/// `OR FAIL`, which its triggers' statements then go by, too, and no function, which could fail.
async fn mark_each<'d>(tx: &mut Tx, decisions: &[&'d Decision]) -> Result<Vec<&'d Decision>> {
    let head = "UPDATE OR FAIL evaluation SET evaluated_at = $5, \
                marked_at = CASE WHEN marked_at < $5 THEN $5 ELSE marked_at END, \
                due_at = CASE WHEN seq = $3 THEN $6 ELSE due_at END, \
                live_pending = live_pending AND seq <> $3, history_pending = history_pending AND seq <> $3";
    let stood = ", stood_at = CASE WHEN stood_at < $5 THEN $5 ELSE stood_at END";
    let phase = ", lifecycle = $8, definition = $9, phase = $10, phase_since = $11, phase_previous = $12, \
                 phase_moves = $13, phase_live = $14, phase_has_live = $15";
    let segments = ", segments = $7";
    // A first evaluation has no instant to be told by: anything new overtakes it.
    let fence = " WHERE bucket = $1 AND customer_id = $2 AND evaluated_at IS $4 \
                 AND (evaluated_at IS NOT NULL OR seq = $3)";
    let mut groups: BTreeMap<(bool, bool), Vec<&'d Decision>> = BTreeMap::new();
    for decision in decisions {
        groups.entry((decision.phase.is_some(), decision.segments.is_some())).or_default().push(decision);
    }
    let mut fresh = Vec::with_capacity(decisions.len());
    for ((has_phase, has_segments), group) in groups {
        let text = [
            head,
            if has_phase || has_segments { stood } else { "" },
            if has_segments { segments } else { "" },
            if has_phase { phase } else { "" },
            fence,
        ];
        let rows = group.iter().map(|decision| mark(decision)).collect::<Result<Vec<_>>>()?;
        let touched = tx.run_for_each(&text.concat(), rows).await?;
        fresh.extend(group.into_iter().zip(touched).filter(|(_, touched)| *touched).map(|(d, _)| d));
    }
    // What follows is written where the one before was.
    fresh.sort_by_key(|decision| decision.customer);
    Ok(fresh)
}

/// The arguments of one such row.
fn mark(decision: &Decision) -> Result<Vec<Arg<'_>>> {
    let mut row = args![
        bucket_of(decision.customer),
        decision.customer,
        decision.seq,
        decision.evaluated_before,
        evaluated(decision),
        due_after(decision),
        decision.segments.as_ref().map(text).transpose()?
    ];
    if let Some(p) = &decision.phase {
        row.extend(args![p.lifecycle.as_str(), p.definition.as_str(), p.phase.as_str(), p.since]);
        row.extend(args![p.previous.as_deref(), p.moves, p.live, p.has_live_moves]);
    }
    Ok(row)
}

/// The whole row of those whose phase or segments changed, in PostgreSQL. The row is there, and locked.
async fn write_standings(tx: &mut Tx, moved: &[(&Decision, &MarkRow)]) -> Result<()> {
    let head = "INSERT INTO evaluation (bucket, customer_id, seq, evaluated_at, due_at, live_pending, history_pending, \
                lifecycle, definition, phase, phase_since, phase_previous, phase_moves, phase_live, phase_has_live, \
                segments, marked_at, stood_at)";
    let mark = " ON CONFLICT (bucket, customer_id) DO UPDATE SET evaluated_at = excluded.evaluated_at, \
                marked_at = CASE WHEN evaluation.marked_at < excluded.marked_at THEN excluded.marked_at \
                ELSE evaluation.marked_at END, \
                stood_at = CASE WHEN evaluation.stood_at < excluded.stood_at THEN excluded.stood_at \
                ELSE evaluation.stood_at END, \
                due_at = CASE WHEN evaluation.seq = excluded.seq THEN excluded.due_at ELSE evaluation.due_at END, \
                live_pending = evaluation.live_pending AND evaluation.seq <> excluded.seq, \
                history_pending = evaluation.history_pending AND evaluation.seq <> excluded.seq";
    let phase = ", lifecycle = excluded.lifecycle, definition = excluded.definition, phase = excluded.phase, \
                 phase_since = excluded.phase_since, phase_previous = excluded.phase_previous, \
                 phase_moves = excluded.phase_moves, phase_live = excluded.phase_live, \
                 phase_has_live = excluded.phase_has_live";
    let segments = ", segments = excluded.segments";
    let mut groups: BTreeMap<(bool, bool), Vec<Vec<Arg<'_>>>> = BTreeMap::new();
    for (decision, _) in moved {
        let (phase, segments) = (decision.phase.as_ref(), decision.segments.as_ref());
        let now = evaluated(decision);
        groups.entry((phase.is_some(), segments.is_some())).or_default().push(args![
            bucket_of(decision.customer),
            decision.customer,
            decision.seq,
            now,
            due_after(decision),
            false,
            false,
            phase.map(|p| p.lifecycle.as_str()),
            phase.map(|p| p.definition.as_str()),
            phase.map(|p| p.phase.as_str()),
            phase.map(|p| p.since),
            phase.and_then(|p| p.previous.as_deref()),
            phase.map_or(0, |p| p.moves),
            phase.is_some_and(|p| p.live),
            phase.is_some_and(|p| p.has_live_moves),
            segments.map(text).transpose()?.unwrap_or_default(),
            now,
            now
        ]);
    }
    for ((has_phase, has_segments), rows) in groups {
        let tail =
            [mark, if has_phase { phase } else { "" }, if has_segments { segments } else { "" }].concat();
        tx.insert(head, rows, &tail).await?;
    }
    Ok(())
}

async fn write_transitions(tx: &mut Tx, decisions: &[&Decision]) -> Result<u64> {
    let mut rewritten: BTreeMap<(&str, At), Vec<CustomerId>> = BTreeMap::new();
    for decision in decisions.iter().filter(|d| d.rewrites_history) {
        let lifecycle = decision.phase.as_ref().map(|p| p.lifecycle.as_str());
        let lifecycle = lifecycle.or_else(|| decision.transitions.first().map(|t| t.lifecycle.as_str()));
        if let Some(lifecycle) = lifecycle {
            rewritten.entry((lifecycle, decision.now)).or_default().push(decision.customer);
        }
    }
    for ((lifecycle, now), customers) in rewritten {
        let customers = Wanted::new(&customers);
        let theirs = |sql: &mut Sql| {
            sql.push(" WHERE lifecycle = ").bind(lifecycle).push(" AND (bucket, customer_id) IN (");
            sql.select(&customers).push(")");
        };
        past::remove(tx, "transition", &["recorded_at"], now, theirs).await?;
    }
    let mut rows = Vec::with_capacity(decisions.iter().map(|d| d.transitions.len()).sum());
    for decision in decisions {
        let bucket = bucket_of(decision.customer);
        for t in &decision.transitions {
            rows.push(row![
                bucket,
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
    let runs: Vec<(&Run, At)> =
        decisions.iter().flat_map(|d| d.runs.iter().map(|run| (run, evaluated(d)))).collect();
    if runs.is_empty() {
        return Ok(0);
    }
    let mut known = 0u64;
    for chunk in runs.chunks(CHUNK) {
        let mut sql = Sql::new(tx.dialect(), "SELECT id FROM run WHERE id IN ");
        sql.list(chunk.iter().map(|(r, _)| r.id));
        known += tx.rows::<(Uuid,)>(sql).await?.len() as u64;
    }
    let mut rows = Vec::with_capacity(runs.len());
    for (run, now) in &runs {
        rows.push(args![
            bucket_of(run.customer),
            run.customer,
            run.id,
            run.began_for,
            &run.journey,
            &run.key,
            &run.occurrence,
            &run.definition,
            run.epoch,
            run.ghost,
            run.held.map(|h| h.as_str()),
            run.state.as_str(),
            run.end.map(|e| e.as_str()),
            run.end_reason.as_deref(),
            run.started_at,
            run.ended_at,
            run.queued_at,
            run.yielded_at,
            run.position.step.as_deref(),
            run.position.reached_at,
            run.position.due_at,
            text(&run.acted)?,
            text(&run.event)?,
            *now
        ]);
    }
    tx.insert(
        "INSERT INTO run (bucket, customer_id, id, source_customer_id, journey, run_key, occurrence, definition, epoch, \
         ghost, held, state, end_kind, end_reason, started_at, ended_at, queued_at, yielded_at, step, reached_at, \
         due_at, acted, event, written_at)",
        rows,
        " ON CONFLICT (bucket, customer_id, id) DO UPDATE SET definition = excluded.definition, \
         epoch = excluded.epoch, ghost = excluded.ghost, held = excluded.held, state = excluded.state, \
         end_kind = excluded.end_kind, end_reason = excluded.end_reason, started_at = excluded.started_at, \
         ended_at = excluded.ended_at, yielded_at = excluded.yielded_at, step = excluded.step, \
         reached_at = excluded.reached_at, due_at = excluded.due_at, acted = excluded.acted, \
         written_at = CASE WHEN run.written_at < excluded.written_at THEN excluded.written_at \
         ELSE run.written_at END",
    )
    .await?;
    Ok(runs.len() as u64 - known)
}

async fn write_deliveries(tx: &mut Tx, decisions: &[&Decision]) -> Result<u64> {
    let mut rows = Vec::new();
    let deliveries =
        decisions.iter().flat_map(|d| d.deliveries.iter().map(|delivery| (delivery, evaluated(d))));
    for (delivery, now) in deliveries {
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
            delivery.outranked_by,
            delivery.created_at,
            delivery.due_at,
            delivery.expires_at,
            delivery.done_at,
            delivery.attempt_count,
            text(&delivery.payload)?,
            now
        ]);
    }
    tx.insert(
        "INSERT INTO delivery (bucket, customer_id, id, source_customer_id, run_id, journey, step, kind, channel, \
         connector, target, purpose, capped, state, reason, outranked_by, created_at, due_at, expires_at, done_at, \
         attempt_count, payload, written_at)",
        rows,
        " ON CONFLICT DO NOTHING",
    )
    .await
}

/// What pending deliveries are to say now.
async fn write_rewritten(tx: &mut Tx, decisions: &[&Decision]) -> Result<()> {
    let mut rows = Vec::new();
    for (decision, d) in decisions.iter().flat_map(|all| all.rewritten.iter().map(move |d| (all, d))) {
        rows.push(args![
            bucket_of(decision.customer),
            decision.customer,
            d.id,
            d.kind.as_str(),
            d.channel.map(|c| c.as_str()),
            d.connector.as_deref(),
            &d.target,
            d.purpose.as_str(),
            d.capped,
            d.expires_at,
            text(&d.payload)?,
            evaluated(decision)
        ]);
    }
    let head = "UPDATE delivery SET kind = v.column4, channel = v.column5, connector = v.column6, \
                target = v.column7, purpose = v.column8, capped = v.column9, expires_at = v.column10, \
                payload = v.column11, \
                written_at = CASE WHEN written_at < v.column12 THEN v.column12 ELSE written_at END FROM (";
    let tail = ") AS v WHERE delivery.bucket = v.column1 AND delivery.customer_id = v.column2 \
                AND delivery.id = v.column3 AND delivery.state = 'pending'";
    tx.insert(head, rows, tail).await.map(drop)
}

async fn write_withdrawals(tx: &mut Tx, decisions: &[&Decision]) -> Result<()> {
    let mut rows = Vec::new();
    for decision in decisions {
        for w in &decision.withdrawals {
            let (bucket, customer) = (bucket_of(decision.customer), decision.customer);
            let reason = w.reason.map(|r| r.as_str());
            let now = evaluated(decision);
            rows.push(args![bucket, customer, w.delivery, w.state.as_str(), reason, w.at, now]);
        }
    }
    let head = "UPDATE delivery SET state = v.column4, reason = v.column5, done_at = v.column6, \
                written_at = CASE WHEN written_at < v.column7 THEN v.column7 ELSE written_at END FROM (";
    let tail = ") AS v WHERE delivery.bucket = v.column1 AND delivery.customer_id = v.column2 \
                AND delivery.id = v.column3 AND delivery.state = 'pending'";
    tx.insert(head, rows, tail).await.map(drop)
}

async fn write_tags(tx: &mut Tx, decisions: &[&Decision]) -> Result<()> {
    let changes = decisions.iter().flat_map(|d| d.tags.iter().map(move |change| (d, change)));
    // The last word about a label counts.
    let last: BTreeMap<(CustomerId, &str), (&TagChange, At)> =
        changes.map(|(d, change)| ((d.customer, change.tag.as_str()), (change, evaluated(d)))).collect();
    let mut on = Vec::new();
    for ((customer, tag), (change, now)) in last {
        let bucket = bucket_of(customer);
        if change.on {
            on.push(args![bucket, customer, "journey", tag, customer, change.at, change.until, now]);
        } else {
            let its = |sql: &mut Sql| {
                sql.push(" WHERE bucket = ").bind(bucket).push(" AND customer_id = ").bind(customer);
                sql.push(" AND source = 'journey' AND tag = ").bind(tag);
            };
            past::remove(tx, "tag", &["written_at"], now, its).await?;
        }
    }
    let head =
        "INSERT INTO tag (bucket, customer_id, source, tag, source_customer_id, since, until, written_at)";
    let tail = " ON CONFLICT (bucket, customer_id, source, tag, source_customer_id) \
                DO UPDATE SET since = excluded.since, until = excluded.until, \
                written_at = CASE WHEN tag.written_at < excluded.written_at THEN excluded.written_at \
                ELSE tag.written_at END";
    tx.insert(head, on, tail).await.map(drop)
}

#[cfg(test)]
mod tests {
    use zyklus_model::{Currency, CustomerRecord, CustomerRef, Origin, Rates, Record, Snapshot};

    use super::*;
    use crate::{Ingest, OpenOptions};

    fn page(from: u32) -> Ingest {
        let customer = |n: u32| CustomerRef {
            external_id: Some(n.to_string()),
            email: Some(format!("customer{n}@example.com")),
            email_verified: true,
        };
        let record =
            |n| Record::Customer(CustomerRecord { customer: customer(n), ..CustomerRecord::default() });
        Ingest {
            connector: "shop".to_owned(),
            stream: "customers".to_owned(),
            records: (from..from + 500).map(record).collect(),
            rejects: Vec::new(),
            origin: Origin::History,
            received_at: At::from_seconds(1_767_225_600),
            next: None,
            rates: Rates::only(Currency::EUR),
        }
    }

    fn decision(snapshot: &Snapshot) -> Decision {
        Decision {
            customer: snapshot.customer.id,
            seq: snapshot.mark.seq,
            evaluated_before: snapshot.mark.evaluated_at,
            now: At::from_seconds(1_767_225_700),
            rewrites_history: false,
            transitions: Vec::new(),
            phase: None,
            segments: None,
            runs: Vec::new(),
            deliveries: Vec::new(),
            withdrawals: Vec::new(),
            rewritten: Vec::new(),
            tags: vec![TagChange { tag: "x".repeat(2_000), on: true, at: At::MIN, until: None }],
            revisit_at: None,
        }
    }

    /// Lets the file grow by so many pages; 0 = as it likes.
    async fn room(store: &Store, pages: i64) {
        store
            .write(move |tx| {
                Box::pin(async move {
                    let (now,): (i64,) = tx.first("PRAGMA page_count", args![]).await?.unwrap_or_default();
                    let most = if pages == 0 { 1_000_000_000 } else { now + pages };
                    let mut sql = Sql::new(tx.dialect(), "PRAGMA max_page_count = ");
                    sql.push(&most.to_string());
                    tx.rows::<(i64,)>(sql).await.map(drop)
                })
            })
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn full_disk_is_named_and_leaves_nothing_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("a.db").display());
        let store = Store::open(&url, OpenOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        store.ingest(page(0)).await.unwrap();
        let ids = store.customer_ids(None, 1000).await.unwrap();
        let before = store.snapshots(&ids).await.unwrap();
        room(&store, 20).await;

        let error = store.ingest(page(500)).await.unwrap_err();
        assert!(matches!(error, StoreError::Full) && error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("disk"), "{error}");
        let decisions: Vec<Decision> = before.iter().map(decision).collect();
        let error = store.apply(decisions.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::Full), "{error:?}");
        assert_eq!(store.customer_count().await.unwrap(), 500);
        assert_eq!(store.snapshots(&ids).await.unwrap(), before, "nothing of it is there");

        room(&store, 0).await;
        assert_eq!(store.apply(decisions).await.unwrap().applied, 500, "and it goes on");
        store.ingest(page(500)).await.unwrap();
        assert_eq!(store.customer_count().await.unwrap(), 1000);
        store.close().await;
    }
}
