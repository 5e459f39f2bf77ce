//! Decides for the customers who are due, in batches: read, decide, store. Cost follows what changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use zyklus_engine::condition::Group;
use zyklus_engine::{Book, Journey, Mode, decide};
use zyklus_model::{At, CustomerId, Decision, Snapshot};
use zyklus_store::{ApplyReport, AsOf, JourneyActivation, Store, StoreError};

use crate::definitions::{keep, remember};
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
    keep(store, &book, &project.templates, now).await?;
    remember(store, &mut book).await?;
    book.active_from = if activate {
        let journeys: Vec<JourneyActivation> = book
            .journeys
            .iter()
            .map(|journey| JourneyActivation {
                id: journey.root().to_owned(),
                mode: journey.mode.as_str().to_owned(),
                definition: journey.definition.clone(),
                enabled: journey.mode != Mode::Off,
            })
            .collect();
        store.activate(&journeys, now).await?
    } else {
        store.journeys_active().await?
    };
    book.sold_out = sold_out(store, &book).await?;
    book.admitted = store.admitted().await?;
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
    remember(store, &mut book).await?;
    book.active_from = store.journeys_active().await?;
    book.sold_out = sold_out(store, &book).await?;
    book.admitted = store.admitted().await?;
    Ok(book)
}

/// The book for looking at the store as of an instant, and the journeys that were others then, or not there.
///
/// # Errors
/// The store's.
pub async fn book_as_of(past: &AsOf, project: &Project) -> Result<(Book, Vec<String>), RuntimeError> {
    let mut book = project.book.clone();
    let then = past.journeys().await?;
    book.active_from = then.iter().filter_map(|(root, (from, _))| Some((root.clone(), (*from)?))).collect();
    if book.reads(Group::Products) {
        book.sold_out = past.sold_out().await?;
    }
    let now: BTreeMap<&str, &str> = book.journeys.iter().map(|j| (j.root(), j.definition.as_str())).collect();
    let is_other = |root: &&str| now.get(root).copied() != then.get(*root).map(|(_, hash)| hash.as_str());
    let known: BTreeSet<&str> = then.keys().map(String::as_str).collect();
    // Before the first daemon nothing was noted of any.
    let others = known.iter().copied().chain(now.keys().copied().filter(|root| !known.contains(root)));
    let others = others.filter(|root| !known.is_empty() && is_other(root)).map(str::to_owned).collect();
    Ok((book, others))
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
    let journeys: BTreeSet<(&str, String)> = book.journeys.iter().map(|j| (j.root(), said(j))).collect();
    for (root, said) in journeys {
        hash.update(root.as_bytes());
        hash.update([0]);
        hash.update(said.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// All of a journey that changes what is decided for anybody.
fn said(journey: &Journey) -> String {
    format!("{} {} {:?} {:?}", journey.definition, journey.mode.as_str(), journey.on_change, journey.backfill)
}

/// Evaluates until nobody is due at `now`. While one batch is decided, the next is read and the one before is
/// stored: reading and storing each keep one thread of the database busy.
///
/// # Errors
/// The store's, and [`RuntimeError::Superseded`] when the book is not the one prepared last: two daemons with
/// different files would bring runs over to and fro. What was stored before stays.
pub async fn evaluate(
    store: &Store,
    book: &Book,
    now: At,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<EvaluateReport, RuntimeError> {
    let by: Arc<str> = definition_of(book).into();
    let book = Arc::new(book.clone());
    let mut report = EvaluateReport::default();
    for round in 0..ROUNDS {
        // Who asked to be looked at again at once is due a microsecond later; what is decided then is still decided
        // at the instant asked for, and never dated after it.
        let due_by = now.plus_micros(round);
        let mut previous: Vec<CustomerId> = Vec::new();
        let mut storing = Storing::nothing();
        let mut ahead = read(store, &by, due_by, &[]).await?;
        loop {
            let batch = ahead;
            if batch.ids.is_empty() {
                if storing.ids.is_empty() {
                    break;
                }
                // Nobody else is due: those being stored are looked at once more, for facts that came meanwhile.
                storing.wait(&mut report, progress).await?;
                ahead = read(store, &by, due_by, &[]).await?;
                // Facts that keep arriving while we decide must not hold us here.
                if ahead.ids == previous {
                    break;
                }
                continue;
            }
            let busy: Vec<CustomerId> = batch.ids.iter().chain(&storing.ids).copied().collect();
            let next = {
                let (store, by) = (store.clone(), Arc::clone(&by));
                tokio::spawn(async move { read(&store, &by, due_by, &busy).await })
            };
            let decided = decide_all(Arc::clone(&book), batch.snapshots, now).await;
            // Neither is dropped half-way, whatever became of the other.
            let stored = storing.wait(&mut report, progress).await;
            let next = next.await.map_err(|_| RuntimeError::Panicked { what: "reading customers" })?;
            stored?;
            let decided = decided?;
            if decided.len() < batch.ids.len() {
                let known: HashSet<CustomerId> = decided.iter().map(|d| d.customer).collect();
                let aside: Vec<_> = batch.ids.iter().copied().filter(|id| !known.contains(id)).collect();
                store.set_aside(&aside, now.plus_seconds(SET_ASIDE)).await?;
            }
            storing = Storing::begin(store, batch.ids.clone(), decided);
            ahead = next?;
            previous = batch.ids;
        }
        match store.next_due().await? {
            Some(next) if next <= due_by.plus_micros(1) => {}
            _ => break,
        }
    }
    Ok(report)
}

/// Customers who are due, and what is known of them.
struct Batch {
    ids: Vec<CustomerId>,
    snapshots: Vec<Snapshot>,
}

/// The next batch, without those who are being worked on; refused when what it is decided `by` is no longer in place.
async fn read(store: &Store, by: &str, now: At, busy: &[CustomerId]) -> Result<Batch, RuntimeError> {
    if store.get_meta("definition").await?.is_some_and(|known| known != by) {
        return Err(RuntimeError::Superseded);
    }
    let limit = BATCH + u32::try_from(busy.len()).unwrap_or(BATCH);
    let busy: HashSet<CustomerId> = busy.iter().copied().collect();
    let mut ids = store.customers_due(now, limit).await?;
    ids.retain(|id| !busy.contains(id));
    ids.truncate(BATCH as usize);
    let snapshots = store.snapshots(&ids).await?;
    Ok(Batch { ids, snapshots })
}

/// Decisions being stored.
struct Storing {
    ids: Vec<CustomerId>,
    task: Option<JoinHandle<Result<ApplyReport, StoreError>>>,
}

impl Storing {
    fn nothing() -> Self {
        Storing { ids: Vec::new(), task: None }
    }

    fn begin(store: &Store, ids: Vec<CustomerId>, decisions: Vec<Decision>) -> Self {
        let store = store.clone();
        Storing { ids, task: Some(tokio::spawn(async move { store.apply(decisions).await })) }
    }

    async fn wait(
        &mut self,
        report: &mut EvaluateReport,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), RuntimeError> {
        self.ids.clear();
        let Some(task) = self.task.take() else { return Ok(()) };
        let applied = task.await.map_err(|_| RuntimeError::Panicked { what: "storing decisions" })??;
        report.evaluated += applied.applied;
        report.moves += applied.transitions;
        report.started += applied.runs_started;
        report.deliveries += applied.deliveries;
        progress(report.evaluated);
        tracing::debug!(applied = applied.applied, stale = applied.stale, "evaluated a batch");
        Ok(())
    }
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
