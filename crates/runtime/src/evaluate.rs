//! Decides for the customers who are due, in batches: read, decide, store. Cost follows what changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesOrdered;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use zyklus_engine::condition::Group;
use zyklus_engine::{Book, Journey, Mode, decide};
use zyklus_model::{At, CustomerId, Decision, Snapshot};
use zyklus_store::{ApplyReport, AsOf, JourneyActivation, Lesson, Store};

use crate::definitions::{keep, remember};
use crate::error::RuntimeError;
use crate::learn::{first_pairings, is_outdated, put_learned, put_learned_by, text};
use crate::project::Project;

/// How many customers are looked up at a time. Each reader reads its part of them in one go as long as somebody takes
/// them: SQLite's begin with an empty cache after every write they have not seen.
const PASSAGE: u32 = 16_000;
/// How many readers there are at most: SQLite has one writer, and more than a few would only wait for it.
const READERS: usize = 4;
/// How many customers are read and decided, and stored, at a time.
const BATCH: usize = 1_000;
/// How many batches wait to be stored, and are being stored: a store that has the next one at hand puts it into the
/// same transaction, and all may go on while it writes its log into the file.
const AHEAD: usize = 8;
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
    if let Some((_, pairings)) = first_pairings(store, &book).await? {
        store.keep_learned(now, vec![(Lesson::Pairings, text(&pairings)?)], true).await?;
    }
    put_learned(store, &mut book).await?;
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
    put_learned(store, &mut book).await?;
    if let Some((at, pairings)) = first_pairings(store, &book).await? {
        // What the daemon would begin with.
        book.pairings = Arc::new([(at, Arc::new(pairings))]);
    }
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
    put_learned_by(past, &mut book).await?;
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
    if book.reads(Group::Voice) {
        // Other topics hear other things in the same words.
        hash.update(format!("{:?}", book.settings.topics.topics()));
    }
    hex::encode(hash.finalize())
}

/// All of a journey that changes what is decided for anybody.
fn said(journey: &Journey) -> String {
    format!("{} {} {:?} {:?}", journey.definition, journey.mode.as_str(), journey.on_change, journey.backfill)
}

/// Evaluates until nobody is due at `now`. Storing goes on beside reading and deciding. Who reads a customer also decides
/// for them, while what was read is still at hand: handing it to another thread costs more than deciding by it.
///
/// # Errors
/// The store's, [`RuntimeError::Superseded`] when the book is not the one prepared last: two daemons with different
/// files would bring runs over to and fro; and [`RuntimeError::Outdated`] when something was learned since that the book
/// decides by. What was stored before stays.
pub async fn evaluate(
    store: &Store,
    book: &Book,
    now: At,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<EvaluateReport, RuntimeError> {
    let book = Arc::new(book.clone());
    let fence = Fence { definition: definition_of(&book).into(), book: Arc::clone(&book) };
    let mut report = EvaluateReport::default();
    for round in 0..ROUNDS {
        // Who asked to be looked at again at once is due a microsecond later; what is decided then is still decided
        // at the instant asked for, and never dated after it.
        let due_by = now.plus_micros(round);
        let (to_store, mut decided) = mpsc::channel(AHEAD);
        let in_hand = Arc::new(InHand::new(HashSet::new()));
        let deciding = tokio::spawn(decide_on(
            store.clone(),
            fence.clone(),
            (now, due_by),
            Arc::clone(&in_hand),
            to_store,
        ));
        let mut was_stored = Ok(());
        let mut storing = FuturesOrdered::new();
        let mut is_open = true;
        loop {
            let (ids, applied) = tokio::select! {
                biased;
                batch = decided.recv(), if is_open && storing.len() < AHEAD => {
                    match batch {
                        Some(batch) => storing.push_back(apply(store, &fence, now, batch)),
                        None => is_open = false,
                    }
                    continue;
                }
                Some(stored) = storing.next() => stored,
                else => break,
            };
            match applied {
                Ok(applied) => report.count(&applied),
                Err(error) => {
                    was_stored = Err(error);
                    break;
                }
            }
            in_hand.send_modify(|in_hand| ids.iter().for_each(|id| _ = in_hand.remove(id)));
            progress(report.evaluated);
        }
        // What was handed over is stored or not before anybody looks again.
        while storing.next().await.is_some() {}
        // Whoever still decides finds nobody to hand on to, and ends.
        drop(decided);
        let was_decided = deciding.await.map_err(|_| RuntimeError::Panicked { what: "deciding" })?;
        was_stored.and(was_decided)?;
        match store.next_due().await? {
            Some(next) if next <= due_by.plus_micros(1) => {}
            _ => break,
        }
    }
    Ok(report)
}

/// Customers who were read, and what was decided for them.
struct Decided {
    asked: Vec<CustomerId>,
    decisions: Vec<Decision>,
}

/// Stores decisions, unless what they were decided by is no longer in place. Customers for whom nothing could be decided
/// are set aside.
async fn apply(
    store: &Store,
    fence: &Fence,
    now: At,
    Decided { asked, decisions }: Decided,
) -> (Vec<CustomerId>, Result<ApplyReport, RuntimeError>) {
    let applied = async {
        fence.holds(store).await?;
        if decisions.len() < asked.len() {
            let known: HashSet<CustomerId> = decisions.iter().map(|d| d.customer).collect();
            let aside: Vec<_> = asked.iter().copied().filter(|id| !known.contains(id)).collect();
            store.set_aside(&aside, now.plus_seconds(SET_ASIDE)).await?;
        }
        Ok(store.apply(decisions).await?)
    }
    .await;
    (asked, applied)
}

/// What is decided by, and is to be in place as long as that takes.
#[derive(Clone)]
struct Fence {
    definition: Arc<str>,
    book: Arc<Book>,
}

impl Fence {
    /// Everybody is made due together with what makes a book outdated. So whoever was read after that is not judged by
    /// what was before.
    async fn holds(&self, store: &Store) -> Result<(), RuntimeError> {
        match store.get_meta("definition").await? {
            Some(known) if *known != *self.definition => return Err(RuntimeError::Superseded),
            _ => {}
        }
        if is_outdated(store, &self.book).await? { Err(RuntimeError::Outdated) } else { Ok(()) }
    }
}

impl EvaluateReport {
    fn count(&mut self, applied: &ApplyReport) {
        self.evaluated += applied.applied;
        self.moves += applied.transitions;
        self.started += applied.runs_started;
        self.deliveries += applied.deliveries;
        tracing::debug!(applied = applied.applied, stale = applied.stale, "evaluated a batch");
    }
}

/// Customers who are read, decided or stored just now: nobody reads them meanwhile.
type InHand = watch::Sender<HashSet<CustomerId>>;

/// Reads and decides batch after batch until nobody is due by then; those who got new facts meanwhile come once more at
/// the end. Ends without a word when nobody takes what was decided.
async fn decide_on(
    store: Store,
    fence: Fence,
    (now, due_by): (At, At),
    in_hand: Arc<InHand>,
    to_store: mpsc::Sender<Decided>,
) -> Result<(), RuntimeError> {
    let readers = processors().min(READERS);
    // Facts that keep arriving while we decide must not hold us here.
    for _ in 0..ROUNDS {
        let mut after = None;
        loop {
            fence.holds(&store).await?;
            let due = store.due_after(due_by, after, PASSAGE).await?;
            let Some(furthest) = due.last().copied() else { break };
            after = Some(furthest);
            let busy = in_hand.borrow().clone();
            let ids: Vec<CustomerId> =
                due.iter().map(|due| due.customer).filter(|id| !busy.contains(id)).collect();
            in_hand.send_modify(|in_hand| in_hand.extend(&ids));
            let parts = ids.chunks(ids.len().div_ceil(readers).max(BATCH)).map(|part| {
                let book = Arc::clone(&fence.book);
                let look = move |asked: &[CustomerId], snapshots: Vec<Snapshot>| Decided {
                    asked: asked.to_vec(),
                    decisions: decide_each(&book, &snapshots, now),
                };
                store.stream_snapshots(part.to_vec(), BATCH, look, to_store.clone())
            });
            for read in join_all(parts).await {
                read?;
            }
            if to_store.is_closed() {
                return Ok(());
            }
        }
        if after.is_none() {
            return Ok(());
        }
        let mut busy = in_hand.subscribe();
        tokio::select! {
            _ = busy.wait_for(HashSet::is_empty) => {}
            () = to_store.closed() => return Ok(()),
        }
    }
    Ok(())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Decides for some, one after another. A customer for whom deciding panics has no decision, and the others have theirs.
fn decide_each(book: &Book, snapshots: &[Snapshot], now: At) -> Vec<Decision> {
    let decided = |s: &Snapshot| {
        // Deciding only reads: nothing is left half-changed behind a panic.
        let decision = catch_unwind(AssertUnwindSafe(|| decide(book, s, now)));
        if decision.is_err() {
            tracing::error!(customer.id = %s.customer.id, "deciding for this customer failed; set aside");
        }
        decision.ok()
    };
    snapshots.iter().filter_map(decided).collect()
}

/// Decides for many, on as many threads as there are processors.
pub(crate) async fn decide_all(
    book: Arc<Book>,
    snapshots: Vec<Snapshot>,
    now: At,
) -> Result<Vec<Decision>, RuntimeError> {
    let share = snapshots.len().div_ceil(processors()).max(64);
    let snapshots = Arc::new(snapshots);
    let mut parts = Vec::new();
    for start in (0..snapshots.len()).step_by(share) {
        let (book, snapshots) = (Arc::clone(&book), Arc::clone(&snapshots));
        parts.push(tokio::task::spawn_blocking(move || {
            let end = (start + share).min(snapshots.len());
            decide_each(&book, &snapshots[start..end], now)
        }));
    }
    let mut decisions = Vec::with_capacity(snapshots.len());
    for part in parts {
        decisions.extend(part.await.map_err(|_| RuntimeError::Panicked { what: "deciding" })?);
    }
    Ok(decisions)
}
