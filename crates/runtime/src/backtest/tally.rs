//! Counts what happened in replayed lives. Sums only, so that the order in which customers are replayed and the number
//! of threads change nothing.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use zyklus_engine::Book;
use zyklus_engine::sim::Happening;
use zyklus_engine::wait::local;
use zyklus_model::{At, Delivery, DeliveryKind, GuardReason, RunEnd, RunState, Snapshot};

use super::history::History;
use super::replay::{Window, replay};

/// The calendar a backtest is counted on.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    pub zone: TimeZone,
    /// Instants at which phases are counted: the window's ends, and the beginnings of weeks or months between.
    pub marks: Vec<At>,
    pub period: &'static str,
    pub first_day: Date,
    pub days: usize,
}

/// Windows of up to so many days are told by weeks, longer ones by months.
const BY_WEEKS: i64 = 120;

impl Calendar {
    pub(super) fn new(window: Window, zone: &TimeZone) -> Self {
        let date = |at: At| at.timestamp().to_zoned(zone.clone()).date();
        let (first_day, last_day) = (date(window.from), date(window.to));
        let days =
            usize::try_from(first_day.until(last_day).map_or(0, |span| span.get_days())).unwrap_or(0) + 1;
        let by_weeks = i64::try_from(days).unwrap_or(i64::MAX) <= BY_WEEKS;
        let mut marks = vec![window.from];
        let mut next = if by_weeks {
            let ahead = 7 - i64::from(first_day.weekday().to_monday_zero_offset());
            first_day.checked_add(ahead.days())
        } else {
            first_day.first_of_month().checked_add(1.month())
        };
        while let Ok(day) = next {
            let at = local(day, Time::midnight(), zone);
            if at >= window.to {
                break;
            }
            marks.push(at);
            next = day.checked_add(if by_weeks { 1.week() } else { 1.month() });
        }
        marks.push(window.to);
        let period = if by_weeks { "week" } else { "month" };
        Calendar { zone: zone.clone(), marks, period, first_day, days }
    }

    fn day(&self, at: At) -> usize {
        let date = at.timestamp().to_zoned(self.zone.clone()).date();
        let days = self.first_day.until(date).map_or(0, |span| span.get_days());
        usize::try_from(days).unwrap_or(0).min(self.days - 1)
    }
}

/// What happened in one journey.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct JourneyTally {
    pub started: u64,
    pub ghosts: u64,
    pub goals: u64,
    pub ends: BTreeMap<RunEnd, u64>,
    pub running: u64,
    pub messages: u64,
    pub actions: u64,
    pub shown: u64,
    pub targets: BTreeMap<String, u64>,
    pub refused: BTreeMap<GuardReason, u64>,
    pub delayed: BTreeMap<GuardReason, u64>,
    pub withdrawn: u64,
}

/// What happened under one book.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub customers: u64,
    pub facts: u64,
    pub decisions: u64,
    pub phases: Vec<BTreeMap<String, u64>>,
    pub moves: BTreeMap<(String, String), u64>,
    pub journeys: BTreeMap<String, JourneyTally>,
    /// Messages and actions of every day.
    pub days: Vec<(u64, u64)>,
    /// How many customers got so many messages.
    pub per_customer: BTreeMap<u64, u64>,
}

impl Tally {
    pub(super) fn new(calendar: &Calendar) -> Self {
        Tally {
            phases: vec![BTreeMap::new(); calendar.marks.len()],
            days: vec![(0, 0); calendar.days],
            ..Tally::default()
        }
    }

    /// Replays a customer and counts what happens.
    pub(super) fn add(&mut self, book: &Book, history: &History, window: Window, calendar: &Calendar) {
        let (journeys, days) = (&mut self.journeys, &mut self.days);
        let mut messages = 0u64;
        let replayed = replay(book, history, window, &mut |at, happening| {
            let (run, delivery) = match happening {
                Happening::Started(run) | Happening::GoalReached(run) | Happening::Ended(run) => {
                    (Some(run), None)
                }
                Happening::HandedOver(delivery)
                | Happening::Shown(delivery)
                | Happening::Delayed(delivery, _)
                | Happening::Refused(delivery)
                | Happening::Withdrawn(delivery) => (None, Some(delivery)),
                Happening::HistoryRewritten | Happening::Moved(_) | Happening::Tagged(_) => return,
            };
            let root = run.map(|run| &run.journey).or(delivery.map(|delivery| &delivery.journey));
            let Some(root) = root else { return };
            if !journeys.contains_key(root) {
                journeys.insert(root.clone(), JourneyTally::default());
            }
            let Some(journey) = journeys.get_mut(root) else { return };
            match happening {
                Happening::Started(run) => {
                    journey.started += 1;
                    journey.ghosts += u64::from(run.ghost);
                }
                Happening::GoalReached(_) => journey.goals += 1,
                Happening::Ended(run) => {
                    *journey.ends.entry(run.end.unwrap_or(RunEnd::Completed)).or_default() += 1
                }
                Happening::HandedOver(delivery) => {
                    let day = &mut days[calendar.day(at)];
                    if delivery.kind == DeliveryKind::Message {
                        messages += 1;
                        journey.messages += 1;
                        day.0 += 1;
                    } else {
                        journey.actions += 1;
                        day.1 += 1;
                    }
                    count(&mut journey.targets, &delivery.target);
                }
                Happening::Shown(_) => journey.shown += 1,
                Happening::Delayed(_, reason) => *journey.delayed.entry(reason).or_default() += 1,
                Happening::Refused(delivery) => {
                    *journey.refused.entry(why_refused(delivery)).or_default() += 1
                }
                Happening::Withdrawn(_) => journey.withdrawn += 1,
                Happening::HistoryRewritten | Happening::Moved(_) | Happening::Tagged(_) => {}
            }
        });
        let Some((life, facts)) = replayed else { return };
        self.customers += 1;
        self.facts += facts;
        self.decisions += life.decisions;
        *self.per_customer.entry(messages).or_default() += 1;
        for run in life.snapshot.runs.iter().filter(|run| run.state == RunState::Live) {
            if let Some(journey) = self.journeys.get_mut(&run.journey) {
                journey.running += 1;
            }
        }
        let mut stands: Option<&str> = None;
        let mut moves = life.transitions.iter().peekable();
        for (mark, phases) in calendar.marks.iter().zip(&mut self.phases) {
            while let Some(transition) = moves.next_if(|t| t.at <= *mark) {
                if transition.at > window.from {
                    let from = transition.from.clone().unwrap_or_default();
                    *self.moves.entry((from, transition.to.clone())).or_default() += 1;
                }
                stands = Some(&transition.to);
            }
            if let Some(phase) = stands {
                count(phases, phase);
            }
        }
    }

    /// The two together.
    pub(super) fn join(&mut self, other: Tally) {
        self.customers += other.customers;
        self.facts += other.facts;
        self.decisions += other.decisions;
        for (mine, theirs) in self.phases.iter_mut().zip(other.phases) {
            join(mine, theirs);
        }
        join(&mut self.moves, other.moves);
        join(&mut self.per_customer, other.per_customer);
        for (mine, theirs) in self.days.iter_mut().zip(other.days) {
            *mine = (mine.0 + theirs.0, mine.1 + theirs.1);
        }
        for (root, theirs) in other.journeys {
            let mine = self.journeys.entry(root).or_default();
            mine.started += theirs.started;
            mine.ghosts += theirs.ghosts;
            mine.goals += theirs.goals;
            mine.running += theirs.running;
            mine.messages += theirs.messages;
            mine.actions += theirs.actions;
            mine.shown += theirs.shown;
            mine.withdrawn += theirs.withdrawn;
            join(&mut mine.ends, theirs.ends);
            join(&mut mine.targets, theirs.targets);
            join(&mut mine.refused, theirs.refused);
            join(&mut mine.delayed, theirs.delayed);
        }
    }
}

fn why_refused(delivery: &Delivery) -> GuardReason {
    delivery.reason.unwrap_or(GuardReason::Expired)
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

fn join<K: Ord>(mine: &mut BTreeMap<K, u64>, theirs: BTreeMap<K, u64>) {
    for (key, count) in theirs {
        *mine.entry(key).or_default() += count;
    }
}

/// Takes a snapshot apart and counts it under every book.
pub(super) fn count_customer(
    tallies: &mut [Tally],
    books: &[Book],
    snapshot: Snapshot,
    window: Window,
    calendar: &Calendar,
) {
    // All books count in the shop's currency.
    let decimals = books.first().map_or(2, |book| book.decimals);
    let history = History::of(snapshot, window.from, 10f64.powi(i32::from(decimals)));
    for (tally, book) in tallies.iter_mut().zip(books) {
        tally.add(book, &history, window, calendar);
    }
}
