//! Decides for the customers who are due, in batches: read, decide, store. Cost follows what changed.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zyklus_engine::condition::Group;
use zyklus_engine::{Book, Mode, decide};
use zyklus_model::{At, Decision, Snapshot};
use zyklus_store::{JourneyActivation, Store};

use crate::error::RuntimeError;
use crate::project::Project;

/// How many customers are decided at a time.
const BATCH: u32 = 2_000;
/// A decision can ask to be looked at again at once (a label it put on may open another rule); so often at most.
const ROUNDS: i64 = 8;

/// How long a customer is left alone for whom deciding failed, in seconds.
const SET_ASIDE: i64 = 3_600;

/// What evaluating came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct EvaluateReport {
    /// Decisions stored.
    pub evaluated: u64,
    /// Phase moves.
    pub moves: u64,
    /// Runs started.
    pub started: u64,
    /// Deliveries decided.
    pub deliveries: u64,
}

impl std::ops::AddAssign for EvaluateReport {
    fn add_assign(&mut self, other: Self) {
        self.evaluated += other.evaluated;
        self.moves += other.moves;
        self.started += other.started;
        self.deliveries += other.deliveries;
    }
}

/// The book as it is to be decided by: with the journeys' `active_from`. When lifecycle or playbooks are others
/// than last time, everybody is looked at again. `activate` lets journeys that are new begin now (rule R3).
///
/// # Errors
/// The store's.
pub async fn prepare(
    store: &Store,
    project: &Project,
    now: At,
    activate: bool,
) -> Result<Book, RuntimeError> {
    let mut book = project.book.clone();
    book.active_from = if activate {
        let journeys: Vec<JourneyActivation> = book
            .journeys
            .iter()
            .map(|journey| JourneyActivation {
                id: journey.root().to_owned(),
                mode: journey.mode.as_str().to_owned(),
                definition: journey.definition.clone(),
                body: journey.place.clone(),
                enabled: journey.mode != Mode::Off,
            })
            .collect();
        store.activate(&journeys, now).await?
    } else {
        store.journeys_active().await?
    };
    book.sold_out = sold_out(store, &book).await?;
    let definition = definition_of(&book);
    let known = store.get_meta("definition").await?;
    if known.as_deref() != Some(definition.as_str()) {
        // Nobody was evaluated before the first definition: everybody is due anyway.
        if known.is_some() {
            store.reconsider(now).await?;
        }
        store.set_meta("definition", &definition).await?;
    }
    Ok(book)
}

/// The book for looking only: nothing is written.
///
/// # Errors
/// The store's.
pub async fn book_for_reading(store: &Store, project: &Project) -> Result<Book, RuntimeError> {
    let mut book = project.book.clone();
    book.active_from = store.journeys_active().await?;
    book.sold_out = sold_out(store, &book).await?;
    Ok(book)
}

/// Products that cannot be bought now, if anything asks for them.
///
/// # Errors
/// The store's.
pub(crate) async fn sold_out(store: &Store, book: &Book) -> Result<BTreeSet<String>, RuntimeError> {
    if book.reads(Group::Products) { Ok(store.sold_out().await?) } else { Ok(BTreeSet::new()) }
}

fn definition_of(book: &Book) -> String {
    let mut hash = Sha256::new();
    hash.update(book.lifecycle.id.as_bytes());
    hash.update(book.lifecycle.definition.as_bytes());
    let journeys: BTreeSet<(&str, &str)> =
        book.journeys.iter().map(|j| (j.root(), j.definition.as_str())).collect();
    for (root, definition) in journeys {
        hash.update(root.as_bytes());
        hash.update([0]);
        hash.update(definition.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// Evaluates until nobody is due at `now`.
///
/// # Errors
/// The store's; what was stored before stays.
pub async fn evaluate(
    store: &Store,
    book: &Book,
    now: At,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<EvaluateReport, RuntimeError> {
    let book = Arc::new(book.clone());
    let mut report = EvaluateReport::default();
    for round in 0..ROUNDS {
        // Who asked to be looked at again at once is due a microsecond later; what is decided then is still decided
        // at the instant asked for, and never dated after it.
        let due_by = now.plus_micros(round);
        let mut previous: Vec<_> = Vec::new();
        loop {
            let due = store.customers_due(due_by, BATCH).await?;
            // Facts that keep arriving while we decide must not hold us here.
            if due.is_empty() || due == previous {
                break;
            }
            let snapshots = store.snapshots(&due).await?;
            let decisions = decide_all(Arc::clone(&book), snapshots, now).await?;
            let decided: BTreeSet<_> = decisions.iter().map(|d| d.customer).collect();
            let aside: Vec<_> = due.iter().copied().filter(|id| !decided.contains(id)).collect();
            store.set_aside(&aside, now.plus_seconds(SET_ASIDE)).await?;
            let count = decisions.len() as u64;
            let applied = store.apply(decisions).await?;
            report.evaluated += applied.applied;
            report.moves += applied.transitions;
            report.started += applied.runs_started;
            report.deliveries += applied.deliveries;
            progress(report.evaluated);
            tracing::debug!(decisions = count, stale = applied.stale, "evaluated a batch");
            previous = due;
        }
        match store.next_due().await? {
            Some(next) if next <= due_by.plus_micros(1) => {}
            _ => break,
        }
    }
    Ok(report)
}

/// Decides for many, on as many threads as there are processors. A customer for whom deciding panics has no decision,
/// and the others have theirs.
pub(crate) async fn decide_all(
    book: Arc<Book>,
    snapshots: Vec<Snapshot>,
    now: At,
) -> Result<Vec<Decision>, RuntimeError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = snapshots.len().div_ceil(threads).max(64);
    let snapshots = Arc::new(snapshots);
    let mut parts = Vec::new();
    for start in (0..snapshots.len()).step_by(share) {
        let (book, snapshots) = (Arc::clone(&book), Arc::clone(&snapshots));
        parts.push(tokio::task::spawn_blocking(move || {
            let end = (start + share).min(snapshots.len());
            let decided = |s: &Snapshot| {
                // Deciding only reads: nothing is left half-changed behind a panic.
                let decision = catch_unwind(AssertUnwindSafe(|| decide(&book, s, now)));
                if decision.is_err() {
                    tracing::error!(customer.id = %s.customer.id, "deciding for this customer failed; set aside");
                }
                decision.ok()
            };
            snapshots[start..end].iter().filter_map(decided).collect::<Vec<_>>()
        }));
    }
    let mut decisions = Vec::with_capacity(snapshots.len());
    for part in parts {
        decisions.extend(part.await.map_err(|_| RuntimeError::Panicked { what: "deciding" })?);
    }
    Ok(decisions)
}
