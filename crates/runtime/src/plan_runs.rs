//! The part of a plan that is about people under way: what a change of the files does to runs going on, and who could
//! be let into a journey from before it. Counts only; the engine says what becomes of whom.

use std::collections::BTreeMap;

use serde::Serialize;
use zyklus_engine::change::{Fate, fates};
use zyklus_engine::playbook::{Journey, Verb};
use zyklus_engine::{Book, candidates};
use zyklus_model::{At, CustomerId, Decision, RunId, Snapshot};

/// Runs going on that share what becomes of them.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedChange {
    /// The journey.
    pub journey: String,
    /// The step they stand at; `None` = behind the last.
    pub step: Option<String>,
    /// What becomes of them.
    #[serde(flatten)]
    pub fate: Fate,
    /// How many.
    pub runs: u64,
    /// Some of them.
    pub samples: Vec<RunSample>,
}

/// A run, before and after the next evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct RunSample {
    /// Whose.
    pub customer: CustomerId,
    /// The run.
    pub run: RunId,
    /// When it would have gone on.
    pub due_before: Option<At>,
    /// The step it stands at then; `None` when it has ended or is behind the last.
    pub stands_at: Option<String>,
    /// When that step acts, if time alone decides.
    pub due_after: Option<At>,
}

/// Who could be let into a journey from before it went live.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedBackfill {
    /// The journey.
    pub journey: String,
    /// How many customers are let in, one day after the other.
    pub customers: u64,
    /// How many a day.
    pub per_day: u32,
    /// For how many days.
    pub days: u64,
    /// How many messages each of them gets at most.
    pub messages_at_most: u64,
    /// Those who are let in first.
    pub samples: Vec<CustomerId>,
}

/// Journey, step and fate that runs share.
type Shared = (String, Option<String>, Fate);

/// Counts people under way.
#[derive(Debug, Default)]
pub(crate) struct RunTally {
    fates: BTreeMap<Shared, (u64, Vec<RunSample>)>,
    unchanged: u64,
    candidates: BTreeMap<String, (u64, Vec<(At, CustomerId)>)>,
}

impl RunTally {
    pub(crate) fn add(
        &mut self,
        book: &Book,
        snapshot: &Snapshot,
        decision: &Decision,
        now: At,
        samples: usize,
    ) {
        for (run, fate, after) in fates(book, snapshot, decision) {
            if fate == Fate::Unchanged {
                self.unchanged += 1;
                continue;
            }
            let key = (run.journey.clone(), run.position.step.clone(), fate);
            let entry = self.fates.entry(key).or_default();
            entry.0 += 1;
            if entry.1.len() < samples {
                entry.1.push(RunSample {
                    customer: snapshot.customer.id,
                    run: run.id,
                    due_before: run.position.due_at,
                    stands_at: after.position.step.clone().filter(|_| after.ended_at.is_none()),
                    due_after: after.position.due_at,
                });
            }
        }
        if book.journeys.iter().all(|journey| journey.backfill.is_none()) {
            return;
        }
        for (journey, since) in candidates(book, snapshot, now) {
            let entry = self.candidates.entry(journey).or_default();
            entry.0 += 1;
            // Whoever came last is first.
            let place = entry.1.partition_point(|(at, id)| (since, *id) <= (*at, snapshot.customer.id));
            if place < samples {
                entry.1.insert(place, (since, snapshot.customer.id));
                entry.1.truncate(samples);
            }
        }
    }

    pub(crate) fn unchanged(&self) -> u64 {
        self.unchanged
    }

    pub(crate) fn candidates_of(&self, root: &str) -> u64 {
        self.candidates.get(root).map_or(0, |(count, _)| *count)
    }

    pub(crate) fn finish(self, book: &Book) -> (Vec<PlannedChange>, Vec<PlannedBackfill>) {
        let change =
            |((journey, step, fate), (runs, samples))| PlannedChange { journey, step, fate, runs, samples };
        let changes = self.fates.into_iter().map(change).collect();
        let mut backfills = Vec::new();
        for (root, (customers, samples)) in self.candidates {
            let Some(journey) = book.journey(&root) else { continue };
            let Some(backfill) = journey.backfill else { continue };
            backfills.push(PlannedBackfill {
                journey: journey.id.to_string(),
                customers,
                per_day: backfill.per_day,
                days: customers.div_ceil(u64::from(backfill.per_day.max(1))),
                messages_at_most: messages_at_most(journey),
                samples: samples.into_iter().map(|(_, id)| id).collect(),
            });
        }
        (changes, backfills)
    }
}

/// The most messages on any way through a journey.
fn messages_at_most(journey: &Journey) -> u64 {
    let mut most = vec![0u64; journey.nodes.len() + 1];
    for index in (0..journey.nodes.len()).rev() {
        let after = |next: Option<usize>| next.map_or(0, |next| most[next]);
        let node = &journey.nodes[index];
        most[index] = match &node.verb {
            Verb::Send(_) => 1 + after(node.next),
            Verb::If { then, otherwise, .. } => after(*then).max(after(*otherwise)),
            Verb::Split { ways, .. } => ways.iter().map(|way| after(way.first)).max().unwrap_or(0),
            Verb::Exit(_) => 0,
            Verb::Wait { .. } | Verb::Call { .. } | Verb::Tag { .. } | Verb::Untag(_) => after(node.next),
        };
    }
    most.first().copied().unwrap_or(0)
}
