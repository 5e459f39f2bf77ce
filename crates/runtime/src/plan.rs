//! What the configuration on disk would do to the state in the store, without doing it.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::Serialize;
use zyklus_engine::forecast::{Forecast, forecast};
use zyklus_engine::holdout::held_globally;
use zyklus_engine::playbook::Start;
use zyklus_engine::why::started_by;
use zyklus_engine::{Book, Journey, Mode};
use zyklus_model::{At, CustomerId, Decision, Holdout, Run, RunState, Snapshot};
use zyklus_store::Store;

use crate::error::RuntimeError;
use crate::evaluate::decide_all;
use crate::plan_runs::{PlannedBackfill, PlannedChange, RunTally};
use crate::playing::{Way, play};

const BATCH: u32 = 2_000;

/// What would happen.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// As of when.
    pub at: At,
    /// From when on the shop was played forward to `at`; `None` when `at` is now or lies behind.
    pub played_from: Option<At>,
    /// How many customers there are.
    pub customers: u64,
    /// How many of them the next evaluation looks at.
    pub due: u64,
    /// Phase moves the next evaluation finds; played forward, where customers stand at `at` and did not before.
    pub moves: Vec<PlannedMove>,
    /// Runs the next evaluation starts; played forward, those that start up to `at`.
    pub starts: Vec<PlannedStart>,
    /// Journeys that the store does not know yet, and what begins the first run of each.
    pub new_journeys: Vec<PlannedNew>,
    /// Messages and actions that go out within 24 hours if nothing else happens: also those that follow from waits,
    /// schedules and phases entered with time, and those of journeys that are new and would go live now. Who is let
    /// in by a backfill later than now is not among them: see `backfills`.
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
    /// Deliveries that are refused within 7 days or on the way to `at`, by guard.
    pub refused: BTreeMap<String, u64>,
    /// Messages that give way to one of another journey (rule R13).
    pub outranked: Vec<PlannedLoss>,
    /// Journeys whose holdout was drawn less than 90 days before it is drawn anew (rule R16).
    pub redrawn: Vec<PlannedRedraw>,
    /// Whom a new draw of the holdout of all marketing moves; `None` = there is none. A moved share is no new draw.
    pub redrawn_globally: Option<GlobalRedraw>,
}

/// The holdout of all marketing, drawn anew by another `epoch`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GlobalRedraw {
    /// Customers whose last run was held out, and who get marketing now.
    pub released: u64,
    /// Customers whose last run was not, and who get none now.
    pub held: u64,
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

/// A journey that has never run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedNew {
    /// The journey.
    pub journey: String,
    /// Its mode.
    pub mode: String,
    /// What begins its first run: `the next order.placed`.
    pub begins_with: String,
}

impl PlannedNew {
    /// Of a book as the store completes it: it says which journeys have ever run.
    fn of(book: &Book) -> Vec<Self> {
        let is_new =
            |journey: &&Journey| journey.mode != Mode::Off && !book.active_from.contains_key(journey.root());
        let told = |journey: &Journey| PlannedNew {
            journey: journey.id.to_string(),
            mode: journey.mode.as_str().to_owned(),
            begins_with: match &journey.start {
                Start::Event { name, filter: None } => format!("the next {name}"),
                Start::Event { name, filter: Some(filter) } => {
                    format!("the next {name} with {}", filter.text())
                }
                other => started_by(other),
            },
        };
        book.journeys.iter().filter(is_new).map(told).collect()
    }
}

/// Messages of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedMessage {
    /// The journey.
    pub journey: String,
    /// The template or action.
    pub target: String,
    /// How many on the way to `at`, when the shop is played forward.
    pub count_before: u64,
    /// How many within 24 hours.
    pub count_24h: u64,
    /// How many within 7 days.
    pub count_7d: u64,
    /// Some of the customers.
    pub samples: Vec<CustomerId>,
}

/// Messages of one kind while they are counted.
#[derive(Default)]
struct Counted {
    before: u64,
    day: u64,
    week: u64,
    samples: Vec<CustomerId>,
}

impl Counted {
    fn sample(&mut self, customer: CustomerId, samples: usize) {
        if self.samples.len() < samples {
            self.samples.push(customer);
        }
    }
}

#[derive(Default)]
struct Tally {
    customers: u64,
    due: u64,
    moves: BTreeMap<(Option<String>, String), (u64, Vec<CustomerId>)>,
    starts: BTreeMap<String, (u64, Vec<CustomerId>)>,
    messages: BTreeMap<(String, String), Counted>,
    inside: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    outranked: BTreeMap<(String, String), u64>,
    /// The first run of each journey under each epoch but the current.
    drawn: BTreeMap<String, BTreeMap<i64, At>>,
    /// Customers whose last run was held out of all marketing.
    held_before: u64,
    globally: GlobalRedraw,
    runs: RunTally,
    new_journeys: Vec<PlannedNew>,
}

/// Decides for everybody, as after a change of the configuration, and counts; writes nothing. For whom nothing has
/// changed and nothing is due, the decision is to do nothing.
///
/// # Errors
/// The store's.
pub async fn plan(store: &Store, book: &Book, now: At, samples: usize) -> Result<Plan, RuntimeError> {
    plan_from(store, book, now, now, samples).await
}

/// The same as of a later instant: the shop is played forward to it from `today`, as it goes if nothing else happens.
/// An instant that is not later is taken as it is.
///
/// # Errors
/// The store's.
pub async fn plan_from(
    store: &Store,
    book: &Book,
    today: At,
    at: At,
    samples: usize,
) -> Result<Plan, RuntimeError> {
    // What is decided first, and what everything else follows from.
    let now = today.min(at);
    let mut tally = Tally { new_journeys: PlannedNew::of(book), ..Tally::default() };
    let mut book = book.clone();
    // What is new in the files goes live when the daemon starts with them.
    for journey in book.journeys.iter().filter(|journey| journey.mode != Mode::Off) {
        book.active_from.entry(journey.root().to_owned()).or_insert(now);
    }
    let book = Arc::new(book);
    let mut after = None;
    loop {
        let ids = store.customer_ids(after, BATCH).await?;
        let Some(last) = ids.last() else { break };
        after = Some(*last);
        let snapshots = store.snapshots(&ids).await?;
        let decisions = decide_all(Arc::clone(&book), snapshots.clone(), now).await?;
        let decisions: HashMap<CustomerId, Decision> =
            decisions.into_iter().map(|decision| (decision.customer, decision)).collect();
        let snapshots = Arc::new(snapshots);
        let ahead = look_ahead(&book, &snapshots, now, at).await?;
        for (snapshot, (way, ahead)) in snapshots.iter().zip(ahead) {
            // One for whom deciding fails is set aside by the daemon, too.
            if let Some(decision) = decisions.get(&snapshot.customer.id) {
                tally.add(&book, snapshot, decision, way.arrived.as_ref(), now, samples);
                tally.count_way(snapshot.customer.id, way, samples);
                tally.count_messages(snapshot.customer.id, ahead, at, samples);
            }
        }
    }
    let played_from = (now < at).then_some(now);
    Ok(Plan { played_from, ..tally.finish(&book, at) })
}

impl Tally {
    /// Adds a customer whom `now` decides on so, and who `arrived` there if the shop is played forward.
    fn add(
        &mut self,
        book: &Book,
        snapshot: &Snapshot,
        decision: &Decision,
        arrived: Option<&Snapshot>,
        now: At,
        samples: usize,
    ) {
        let customer = snapshot.customer.id;
        self.customers += 1;
        let is_due = snapshot.mark.due_at <= now;
        self.due += u64::from(is_due);
        let note = |list: &mut Vec<CustomerId>| {
            if list.len() < samples {
                list.push(customer);
            }
        };
        let (to, has_moved) = match arrived {
            Some(arrived) => (arrived.phase.as_ref(), true),
            None => (decision.phase.as_ref(), !decision.transitions.is_empty()),
        };
        if let (Some(to), true) = (to, has_moved) {
            let from = snapshot.phase.as_ref().filter(|p| p.lifecycle == *book.lifecycle.id);
            let from = from.map(|p| p.phase.clone());
            if from.as_deref() != Some(to.phase.as_str()) {
                let entry = self.moves.entry((from, to.phase.clone())).or_default();
                entry.0 += 1;
                note(&mut entry.1);
            }
        }
        for run in arrived.map_or(&decision.runs, |arrived| &arrived.runs) {
            if !snapshot.runs.iter().any(|r| r.id == run.id) {
                let entry = self.starts.entry(run.journey.clone()).or_default();
                entry.0 += 1;
                note(&mut entry.1);
            }
        }
        for run in &snapshot.runs {
            let epoch = book.journey(&run.journey).filter(|j| j.holdout > 0).map(|j| j.epoch);
            if epoch.is_some_and(|epoch| epoch != run.epoch) {
                let drawn = self.drawn.entry(run.journey.clone()).or_default();
                let first = drawn.entry(run.epoch).or_insert(run.started_at);
                *first = run.started_at.min(*first);
            }
        }
        self.count_global_holdout(book, snapshot);
        match arrived {
            // Nothing is left to decide on there.
            Some(arrived) => self.count_inside(book, arrived, None),
            None => self.count_inside(book, snapshot, Some(decision)),
        }
        self.runs.add(book, snapshot, decision, now, samples);
    }

    /// Who changes sides between those who get marketing and those held out of all of it.
    fn count_global_holdout(&mut self, book: &Book, snapshot: &Snapshot) {
        let is_about_marketing =
            |run: &&Run| book.journey(&run.journey).is_some_and(|journey| journey.sends_marketing());
        let Some(last) = snapshot.runs.iter().rfind(is_about_marketing) else { return };
        let (was_held, is_held) = (last.held == Some(Holdout::Global), held_globally(book, snapshot));
        self.held_before += u64::from(was_held);
        self.globally.released += u64::from(was_held && !is_held);
        self.globally.held += u64::from(!was_held && is_held);
    }

    /// What goes out and is refused on the way.
    fn count_way(&mut self, customer: CustomerId, way: Way, samples: usize) {
        for what in way.gone {
            let entry = self.messages.entry(what).or_default();
            entry.before += 1;
            entry.sample(customer, samples);
        }
        for reason in way.refused {
            *self.refused.entry(reason.as_str().to_owned()).or_default() += 1;
        }
    }

    /// What goes out, is refused and gives way in the week ahead.
    fn count_messages(&mut self, customer: CustomerId, ahead: Forecast, now: At, samples: usize) {
        for going in ahead.going {
            let entry = self.messages.entry((going.journey, going.target)).or_default();
            entry.day += u64::from(going.at <= now.plus_days(1));
            entry.week += 1;
            entry.sample(customer, samples);
        }
        for reason in ahead.refused {
            *self.refused.entry(reason.as_str().to_owned()).or_default() += 1;
        }
        for pair in ahead.outranked {
            *self.outranked.entry(pair).or_default() += 1;
        }
    }

    fn count_inside(&mut self, book: &Book, snapshot: &Snapshot, decision: Option<&Decision>) {
        let phase = decision.and_then(|d| d.phase.as_ref()).or(snapshot.phase.as_ref());
        let phase = phase.filter(|p| p.lifecycle == *book.lifecycle.id);
        let segments = decision.and_then(|d| d.segments.as_ref()).unwrap_or(&snapshot.segments);
        for journey in book.journeys.iter().filter(|j| j.mode != Mode::Off) {
            let since = match &journey.start {
                Start::Phase(wanted) => phase.filter(|p| p.phase == *wanted).map(|p| p.since),
                Start::Segment { id, .. } => {
                    segments.iter().find(|s| s.segment == *id && s.inside).map(|s| s.since)
                }
                Start::Left(_) | Start::Event { .. } | Start::Schedule { .. } | Start::Date { .. } => None,
            };
            let Some(since) = since else { continue };
            let decided = decision.map_or(&[][..], |d| &d.runs);
            let runs = snapshot.runs.iter().chain(decided);
            let has_run = runs
                .filter(|r| r.journey == journey.root())
                .any(|r| r.state == RunState::Live || r.started_at >= since);
            if !has_run {
                *self.inside.entry(journey.id.to_string()).or_default() += 1;
            }
        }
    }

    fn finish(mut self, book: &Book, at: At) -> Plan {
        // Another share moves customers one way only; another draw changes nearly all of them for others.
        let is_redrawn = self.globally.held > 0 && 2 * self.globally.released > self.held_before;
        let redrawn_globally = is_redrawn.then_some(self.globally);
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
            .map(|((journey, target), counted)| PlannedMessage {
                journey,
                target,
                count_before: counted.before,
                count_24h: counted.day,
                count_7d: counted.week,
                samples: counted.samples,
            })
            .collect();
        Plan {
            at,
            played_from: None,
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
            new_journeys: self.new_journeys,
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
            redrawn_globally,
        }
    }
}

/// The way of many from `now` to `at` and the week ahead of it, on as many threads as there are processors.
async fn look_ahead(
    book: &Arc<Book>,
    snapshots: &Arc<Vec<Snapshot>>,
    now: At,
    at: At,
) -> Result<Vec<(Way, Forecast)>, RuntimeError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = snapshots.len().div_ceil(threads).max(64);
    let parts = (0..snapshots.len()).step_by(share).map(|start| {
        let (book, snapshots) = (Arc::clone(book), Arc::clone(snapshots));
        tokio::task::spawn_blocking(move || {
            let some = &snapshots[start..(start + share).min(snapshots.len())];
            let look = |snapshot| {
                let looked = AssertUnwindSafe(|| {
                    let way = if now < at { play(&book, snapshot, now, at) } else { Way::default() };
                    let from = way.arrived.as_ref().unwrap_or(snapshot);
                    let ahead = forecast(&book, from, at, at.plus_days(7));
                    (way, ahead)
                });
                catch_unwind(looked).unwrap_or_default()
            };
            some.iter().map(look).collect::<Vec<_>>()
        })
    });
    let mut all = Vec::with_capacity(snapshots.len());
    for part in parts.collect::<Vec<_>>() {
        all.extend(part.await.map_err(|_| RuntimeError::Panicked { what: "looking ahead" })?);
    }
    Ok(all)
}
