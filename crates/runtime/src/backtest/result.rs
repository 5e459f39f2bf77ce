//! What a backtest found, as it is printed: plain figures in a fixed order, the same for the same store, books and
//! window. Counts nothing itself.

use std::collections::BTreeMap;

use jiff::ToSpan;
use serde::Serialize;
use zyklus_engine::Book;
use zyklus_model::At;

use super::replay::Window;
use super::tally::{Calendar, JourneyTally, Tally};

/// What replaying found, side by side for each set of playbooks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backtest {
    /// The window's beginning.
    pub from: At,
    /// The window's end.
    pub to: At,
    /// The lifecycle.
    pub lifecycle: String,
    /// The time zone that days, weeks and months are counted in.
    pub time_zone: String,
    /// `week` or `month`: how phases are told over time.
    pub period: String,
    /// The phases, in the order of the lifecycle.
    pub phases: Vec<String>,
    /// The playbooks compared: the shop's own first.
    pub sides: Vec<Side>,
}

/// What one set of playbooks did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The folder of the playbooks.
    pub playbooks: String,
    /// Customers known by the end of the window.
    pub customers: u64,
    /// Facts that came in the window.
    pub facts: u64,
    /// Decisions made.
    pub decisions: u64,
    /// Messages that would have gone out.
    pub messages: u64,
    /// Actions that would have been done.
    pub actions: u64,
    /// Messages and actions that were only recorded, for held-out customers.
    pub only_shown: u64,
    /// Runs started.
    pub started: u64,
    /// Goals reached.
    pub goals: u64,
    /// How often the frequency cap held a message back or dropped it.
    pub cap_hits: u64,
    /// The day with the most messages.
    pub busiest_day: Option<Day>,
    /// How many customers stood in each phase, at the beginning, at the start of each period, at the end.
    pub over_time: Vec<Standing>,
    /// Moves between phases in the window.
    pub moves: Vec<Moves>,
    /// Journeys, in the order of their names; those in which nothing happened too.
    pub journeys: Vec<JourneyFigures>,
    /// Guards that refused or delayed something, over all journeys.
    pub guards: BTreeMap<String, Guarded>,
    /// Messages and actions of every day.
    pub days: Vec<Day>,
    /// How many customers got so many messages in the whole window.
    pub per_customer: Vec<Share>,
}

/// Customers in each phase at an instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// When.
    pub at: At,
    /// By phase.
    pub phases: BTreeMap<String, u64>,
}

/// Moves of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moves {
    /// The phase left; empty for customers seen for the first time.
    pub from: String,
    /// The phase entered.
    pub to: String,
    /// How many.
    pub count: u64,
}

/// What happened in one journey.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JourneyFigures {
    /// Its id.
    pub journey: String,
    /// Runs started.
    pub started: u64,
    /// Of these, only recording: held-out customers.
    pub only_recording: u64,
    /// Goals reached.
    pub goals: u64,
    /// Runs ended, by how.
    pub ended: BTreeMap<String, u64>,
    /// Runs still going on at the end.
    pub running: u64,
    /// Messages that would have gone out.
    pub messages: u64,
    /// Actions that would have been done.
    pub actions: u64,
    /// Messages and actions that were only recorded.
    pub only_shown: u64,
    /// Messages and actions by template or action.
    pub targets: BTreeMap<String, u64>,
    /// Refused, by guard.
    pub refused: BTreeMap<String, u64>,
    /// Delayed, by guard; one message can be delayed several times.
    pub delayed: BTreeMap<String, u64>,
    /// Withdrawn before they went, because their run ended.
    pub withdrawn: u64,
}

/// What a guard held back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Guarded {
    /// Refused for good.
    pub refused: u64,
    /// Moved to a later time.
    pub delayed: u64,
}

/// What went out on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The day, where the shop is.
    pub day: String,
    /// Messages.
    pub messages: u64,
    /// Actions.
    pub actions: u64,
}

/// Customers who got equally many messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many messages.
    pub messages: u64,
    /// How many customers.
    pub customers: u64,
}

/// A figure by its name, for tables that put sides beside each other.
pub type Figure<T> = (&'static str, fn(&T) -> u64);

/// The figures of a whole side.
pub const HEADS: &[Figure<Side>] = &[
    ("customers", |s| s.customers),
    ("facts in the window", |s| s.facts),
    ("runs started", |s| s.started),
    ("messages", |s| s.messages),
    ("actions", |s| s.actions),
    ("only recorded", |s| s.only_shown),
    ("goals reached", |s| s.goals),
    ("held back by caps", |s| s.cap_hits),
    ("most messages on one day", |s| s.busiest_day.as_ref().map_or(0, |day| day.messages)),
];

/// The figures of a journey.
pub const COLUMNS: &[Figure<JourneyFigures>] = &[
    ("runs started", |j| j.started),
    ("messages", |j| j.messages),
    ("goals reached", |j| j.goals),
    ("refused by a guard", |j| j.refused.values().sum()),
    ("delayed by a guard", |j| j.delayed.values().sum()),
];

/// How much more the second is than the first, in a cell.
pub fn difference(first: u64, second: u64) -> String {
    match second.cast_signed() - first.cast_signed() {
        0 => "=".to_owned(),
        more => format!("{more:+}"),
    }
}

impl Backtest {
    pub(super) fn new(
        window: Window,
        calendar: &Calendar,
        books: &[(String, &Book)],
        tallies: Vec<Tally>,
    ) -> Self {
        let first = books.first().map(|(_, book)| *book);
        let phases =
            first.map_or_else(Vec::new, |b| b.lifecycle.phases.iter().map(|p| p.id.to_string()).collect());
        let zone = calendar.zone.iana_name().unwrap_or("UTC").to_owned();
        let sides = books.iter().zip(tallies).map(|((name, book), tally)| side(name, book, calendar, tally));
        Backtest {
            from: window.from,
            to: window.to,
            lifecycle: first.map_or_else(String::new, |b| b.lifecycle.id.to_string()),
            time_zone: zone,
            period: calendar.period.to_owned(),
            phases,
            sides: sides.collect(),
        }
    }
}

fn side(name: &str, book: &Book, calendar: &Calendar, mut tally: Tally) -> Side {
    for journey in &book.journeys {
        tally.journeys.entry(journey.root().to_owned()).or_default();
    }
    let mut guards: BTreeMap<String, Guarded> = BTreeMap::new();
    for journey in tally.journeys.values() {
        for (reason, count) in &journey.refused {
            guards.entry(reason.to_string()).or_default().refused += count;
        }
        for (reason, count) in &journey.delayed {
            guards.entry(reason.to_string()).or_default().delayed += count;
        }
    }
    let capped = guards.get(zyklus_model::GuardReason::Capped.as_str()).copied().unwrap_or_default();
    let days: Vec<Day> =
        tally.days.iter().enumerate().map(|(index, day)| told_day(calendar, index, *day)).collect();
    // Of equally busy days the first.
    let busiest = days.iter().rev().max_by_key(|day| day.messages).filter(|day| day.messages > 0).cloned();
    let journeys: Vec<JourneyFigures> = tally
        .journeys
        .into_iter()
        .map(|(root, journey)| {
            let id = book.journey(&root).map_or(root.clone(), |j| j.id.to_string());
            figures(id, journey)
        })
        .collect();
    let sum = |figure: fn(&JourneyFigures) -> u64| journeys.iter().map(figure).sum();
    Side {
        playbooks: name.to_owned(),
        customers: tally.customers,
        facts: tally.facts,
        decisions: tally.decisions,
        messages: sum(|j| j.messages),
        actions: sum(|j| j.actions),
        only_shown: sum(|j| j.only_shown),
        started: sum(|j| j.started),
        goals: sum(|j| j.goals),
        cap_hits: capped.refused + capped.delayed,
        busiest_day: busiest,
        over_time: calendar
            .marks
            .iter()
            .zip(tally.phases)
            .map(|(at, phases)| Standing { at: *at, phases })
            .collect(),
        moves: tally.moves.into_iter().map(|((from, to), count)| Moves { from, to, count }).collect(),
        guards,
        days,
        per_customer: tally
            .per_customer
            .into_iter()
            .map(|(messages, customers)| Share { messages, customers })
            .collect(),
        journeys,
    }
}

fn told_day(calendar: &Calendar, index: usize, (messages, actions): (u64, u64)) -> Day {
    let ahead = i64::try_from(index).unwrap_or(i64::MAX);
    let day = calendar.first_day.checked_add(ahead.days()).unwrap_or(calendar.first_day);
    Day { day: day.to_string(), messages, actions }
}

fn figures(journey: String, tally: JourneyTally) -> JourneyFigures {
    fn words<K: ToString>(counts: BTreeMap<K, u64>) -> BTreeMap<String, u64> {
        counts.into_iter().map(|(key, count)| (key.to_string(), count)).collect()
    }
    JourneyFigures {
        journey,
        started: tally.started,
        only_recording: tally.ghosts,
        goals: tally.goals,
        ended: words(tally.ends),
        running: tally.running,
        messages: tally.messages,
        actions: tally.actions,
        only_shown: tally.shown,
        targets: tally.targets,
        refused: words(tally.refused),
        delayed: words(tally.delayed),
        withdrawn: tally.withdrawn,
    }
}
