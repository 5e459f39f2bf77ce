//! What the configuration on disk would do to the state in the store, without doing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use zyklus_engine::playbook::Start;
use zyklus_engine::{Book, Mode, Permit, outranked, permits};
use zyklus_model::{At, CustomerId, Decision, DeliveryState, RunState, Snapshot};
use zyklus_store::Store;

use crate::error::RuntimeError;
use crate::evaluate::decide_all;
use crate::plan_runs::{PlannedBackfill, PlannedChange, RunTally};

const BATCH: u32 = 2_000;

/// What would happen.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// As of when.
    pub at: At,
    /// How many customers there are.
    pub customers: u64,
    /// How many of them the next evaluation looks at.
    pub due: u64,
    /// Phase moves the next evaluation finds.
    pub moves: Vec<PlannedMove>,
    /// Runs the next evaluation starts.
    pub starts: Vec<PlannedStart>,
    /// Messages and actions due within 24 hours, as far as is decided now.
    pub due_24h: u64,
    /// The same within 7 days.
    pub due_7d: u64,
    /// The same by journey and target.
    pub messages: Vec<PlannedMessage>,
    /// Customers inside a phase or segment whose journey they did not start, because they came there before it went
    /// live or with history (rule R3), by journey; without those who are let in later.
    pub inside_without_run: Vec<(String, u64)>,
    /// What becomes of runs going on whose journey the files describe otherwise, or not at all any more.
    pub changes: Vec<PlannedChange>,
    /// Runs going on for which nothing changes.
    pub runs_unchanged: u64,
    /// Who is let into journeys from before they went live, a few a day (rule R18).
    pub backfills: Vec<PlannedBackfill>,
    /// Deliveries that are refused, by guard.
    pub refused: BTreeMap<String, u64>,
    /// Messages that give way to one of another journey (rule R13).
    pub outranked: Vec<PlannedLoss>,
    /// Journeys whose holdout was drawn less than 90 days before it is drawn anew (rule R16).
    pub redrawn: Vec<PlannedRedraw>,
}

/// Messages that give way.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedLoss {
    /// The journey that gives way.
    pub journey: String,
    /// The one that goes first.
    pub to: String,
    /// How many messages.
    pub count: u64,
}

/// A holdout that is drawn anew by another `epoch`.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedRedraw {
    /// The journey.
    pub journey: String,
    /// When the first run under the last draw began.
    pub drawn_at: At,
}

/// Phase moves of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedMove {
    /// The phase left; `None` = none yet.
    pub from: Option<String>,
    /// The phase entered.
    pub to: String,
    /// How many customers.
    pub customers: u64,
    /// Some of them.
    pub samples: Vec<CustomerId>,
}

/// Runs of one journey.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedStart {
    /// The journey.
    pub journey: String,
    /// How many customers.
    pub customers: u64,
    /// Some of them.
    pub samples: Vec<CustomerId>,
}

/// Messages of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedMessage {
    /// The journey.
    pub journey: String,
    /// The template or action.
    pub target: String,
    /// How many within 24 hours.
    pub count_24h: u64,
    /// How many within 7 days.
    pub count_7d: u64,
    /// Some of the customers.
    pub samples: Vec<CustomerId>,
}

#[derive(Default)]
struct Tally {
    customers: u64,
    due: u64,
    moves: BTreeMap<(Option<String>, String), (u64, Vec<CustomerId>)>,
    starts: BTreeMap<String, (u64, Vec<CustomerId>)>,
    messages: BTreeMap<(String, String), (u64, u64, Vec<CustomerId>)>,
    inside: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    outranked: BTreeMap<(String, String), u64>,
    /// The first run of each journey under each epoch but the current.
    drawn: BTreeMap<String, BTreeMap<i64, At>>,
    runs: RunTally,
}

/// Decides for everybody, as after a change of the configuration, and counts; writes nothing. For whom nothing has
/// changed and nothing is due, the decision is to do nothing.
///
/// # Errors
/// The store's.
pub async fn plan(store: &Store, book: &Book, now: At, samples: usize) -> Result<Plan, RuntimeError> {
    let book = Arc::new(book.clone());
    let mut tally = Tally::default();
    let mut after = None;
    loop {
        let ids = store.customer_ids(after, BATCH).await?;
        let Some(last) = ids.last() else { break };
        after = Some(*last);
        let snapshots = store.snapshots(&ids).await?;
        let decisions = decide_all(Arc::clone(&book), snapshots.clone(), now).await?;
        for (snapshot, decision) in snapshots.iter().zip(&decisions) {
            tally.add(&book, snapshot, decision, now, samples);
        }
    }
    Ok(tally.finish(&book, now))
}

impl Tally {
    fn add(&mut self, book: &Book, snapshot: &Snapshot, decision: &Decision, now: At, samples: usize) {
        let customer = snapshot.customer.id;
        self.customers += 1;
        let is_due = snapshot.mark.due_at <= now;
        self.due += u64::from(is_due);
        let note = |list: &mut Vec<CustomerId>| {
            if list.len() < samples {
                list.push(customer);
            }
        };
        if let (Some(to), true) = (&decision.phase, !decision.transitions.is_empty()) {
            let from = snapshot.phase.as_ref().filter(|p| p.lifecycle == *book.lifecycle.id);
            let from = from.map(|p| p.phase.clone());
            if from.as_deref() != Some(to.phase.as_str()) {
                let entry = self.moves.entry((from, to.phase.clone())).or_default();
                entry.0 += 1;
                note(&mut entry.1);
            }
        }
        for run in &decision.runs {
            if !snapshot.runs.iter().any(|r| r.id == run.id) {
                let entry = self.starts.entry(run.journey.clone()).or_default();
                entry.0 += 1;
                note(&mut entry.1);
            }
        }
        let mut all = snapshot.deliveries.iter().chain(&decision.deliveries);
        if all.any(|d| d.state == DeliveryState::Pending) {
            self.count_messages(book, &after(snapshot, decision), now, samples);
        }
        for run in &snapshot.runs {
            let epoch = book.journey(&run.journey).filter(|j| j.holdout > 0).map(|j| j.epoch);
            if epoch.is_some_and(|epoch| epoch != run.epoch) {
                let drawn = self.drawn.entry(run.journey.clone()).or_default();
                let first = drawn.entry(run.epoch).or_insert(run.started_at);
                *first = run.started_at.min(*first);
            }
        }
        let reasons = decision
            .deliveries
            .iter()
            .filter(|d| d.state != DeliveryState::Pending)
            .filter_map(|d| d.reason)
            .chain(decision.withdrawals.iter().filter_map(|w| w.reason));
        for reason in reasons {
            *self.refused.entry(reason.as_str().to_owned()).or_default() += 1;
        }
        self.count_inside(book, snapshot, decision);
        self.runs.add(book, snapshot, decision, now, samples);
    }

    /// What is pending after the next evaluation, when the guards let it go as far as can be said now.
    fn count_messages(&mut self, book: &Book, after: &Snapshot, now: At, samples: usize) {
        for delivery in after.deliveries.iter().filter(|d| d.state == DeliveryState::Pending) {
            if delivery.due_at > now.plus_days(7) {
                continue;
            }
            let asked_at = delivery.due_at.max(now);
            if let Some((winner, _)) = outranked(book, after, delivery, asked_at) {
                let pair = (delivery.journey.clone(), winner.journey.clone());
                *self.outranked.entry(pair).or_default() += 1;
            }
            let due_at = match permits(book, after, delivery, asked_at) {
                Permit::Go => asked_at,
                Permit::Delay(until, _) if until > now.plus_days(7) => continue,
                Permit::Delay(until, _) => until,
                Permit::Refuse(reason) => {
                    *self.refused.entry(reason.as_str().to_owned()).or_default() += 1;
                    continue;
                }
            };
            let key = (delivery.journey.clone(), delivery.target.clone());
            let entry = self.messages.entry(key).or_default();
            entry.0 += u64::from(due_at <= now.plus_days(1));
            entry.1 += 1;
            if entry.2.len() < samples {
                entry.2.push(after.customer.id);
            }
        }
    }

    fn count_inside(&mut self, book: &Book, snapshot: &Snapshot, decision: &Decision) {
        let phase = decision.phase.as_ref().or(snapshot.phase.as_ref());
        let phase = phase.filter(|p| p.lifecycle == *book.lifecycle.id);
        let segments = decision.segments.as_ref().unwrap_or(&snapshot.segments);
        for journey in book.journeys.iter().filter(|j| j.mode != Mode::Off) {
            let since = match &journey.start {
                Start::Phase(wanted) => phase.filter(|p| p.phase == *wanted).map(|p| p.since),
                Start::Segment { id, .. } => {
                    segments.iter().find(|s| s.segment == *id && s.inside).map(|s| s.since)
                }
                Start::Left(_) | Start::Event { .. } | Start::Schedule { .. } | Start::Date { .. } => None,
            };
            let Some(since) = since else { continue };
            let runs = snapshot.runs.iter().chain(&decision.runs);
            let has_run = runs
                .filter(|r| r.journey == journey.root())
                .any(|r| r.state == RunState::Live || r.started_at >= since);
            if !has_run {
                *self.inside.entry(journey.id.to_string()).or_default() += 1;
            }
        }
    }

    fn finish(mut self, book: &Book, at: At) -> Plan {
        for journey in &book.journeys {
            if let Some(count) = self.inside.get_mut(&*journey.id) {
                *count = count.saturating_sub(self.runs.candidates_of(journey.root()));
            }
        }
        self.inside.retain(|_, count| *count > 0);
        let runs_unchanged = self.runs.unchanged();
        let (changes, backfills) = self.runs.finish(book);
        let messages: Vec<PlannedMessage> = self
            .messages
            .into_iter()
            .map(|((journey, target), (count_24h, count_7d, samples))| PlannedMessage {
                journey,
                target,
                count_24h,
                count_7d,
                samples,
            })
            .collect();
        Plan {
            at,
            customers: self.customers,
            due: self.due,
            moves: self
                .moves
                .into_iter()
                .map(|((from, to), (customers, samples))| PlannedMove { from, to, customers, samples })
                .collect(),
            starts: self
                .starts
                .into_iter()
                .map(|(journey, (customers, samples))| PlannedStart { journey, customers, samples })
                .collect(),
            due_24h: messages.iter().map(|m| m.count_24h).sum(),
            due_7d: messages.iter().map(|m| m.count_7d).sum(),
            messages,
            inside_without_run: self.inside.into_iter().collect(),
            changes,
            runs_unchanged,
            backfills,
            refused: self.refused,
            outranked: self
                .outranked
                .into_iter()
                .map(|((journey, to), count)| PlannedLoss { journey, to, count })
                .collect(),
            redrawn: self
                .drawn
                .into_iter()
                .filter_map(|(journey, drawn)| Some((journey, *drawn.last_key_value()?.1)))
                .filter(|(_, drawn_at)| *drawn_at > at.plus_days(-90))
                .map(|(journey, drawn_at)| PlannedRedraw { journey, drawn_at })
                .collect(),
        }
    }
}

/// A customer as the next evaluation leaves them, as far as messages go.
fn after(snapshot: &Snapshot, decision: &Decision) -> Snapshot {
    let mut after = snapshot.clone();
    after.phase = decision.phase.clone().or(after.phase);
    after.runs.retain(|run| !decision.runs.iter().any(|changed| changed.id == run.id));
    after.runs.extend(decision.runs.iter().cloned());
    for withdrawal in &decision.withdrawals {
        let its = after.deliveries.iter_mut().find(|d| d.id == withdrawal.delivery);
        if let Some(delivery) = its.filter(|d| d.state == DeliveryState::Pending) {
            delivery.state = withdrawal.state;
        }
    }
    after.deliveries.extend(decision.deliveries.iter().cloned());
    after
}
