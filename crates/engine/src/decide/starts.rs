//! What starts a journey, and what keeps a customer out of it (rules R1 to R6).

use std::rc::Rc;

use jiff::ToSpan;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json};
use zyklus_model::{At, Event, Holdout, Origin, Run, RunEnd, RunId, RunPosition, RunState};

use super::Work;
use super::moves::transition_id;
use crate::book::Book;
use crate::condition::{Expression, Value};
use crate::facts::{RunFacts, events_of};
use crate::holdout::{drawn, held_out};
use crate::playbook::{Every, Journey, Mode, Overlap, Reenter, Start};
use crate::wait::{Length, local};

/// Something that may start a run.
#[derive(Debug, Clone)]
pub(crate) struct Occurrence {
    /// What makes it unique.
    pub id: String,
    /// When it happened: the run counts from here.
    pub at: At,
    /// When we heard.
    pub received_at: At,
    /// Whether it came with history, which starts nothing (rule R3).
    pub is_history: bool,
    /// The event, as conditions and templates see it.
    pub event: Map<String, Json>,
}

/// The last time what starts a journey happened, for telling why no run goes on.
#[derive(Debug, Clone)]
pub(crate) struct LastStart {
    /// What happened.
    pub occurrence: Occurrence,
    /// The key it gives.
    pub key: String,
    /// What keeps it from starting a run now; `None`: nothing would, but it was judged when it happened.
    pub kept_out: Option<KeptOut>,
}

/// Why a start does not become a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeptOut {
    NotActive,
    TooEarly(At),
    TooLate,
    AlreadyStarted,
    Reentry(Option<At>),
    Running,
    QueueFull(At),
    GroupTaken(String),
    DoesNotQualify,
}

impl Work<'_> {
    pub(super) fn start_runs(&mut self) {
        let book = self.book;
        for journey in book.journeys.iter().filter(|j| j.mode != Mode::Off) {
            for occurrence in self.occurrences(journey) {
                let key = self.key(journey, &occurrence);
                if self.kept_out(journey, &occurrence, &key).is_none() {
                    self.enroll(journey, occurrence, key);
                }
            }
        }
    }

    /// The last time what starts a journey happened, whenever that was; `None` = never.
    pub(super) fn last_start(&mut self, journey: &Journey) -> Option<LastStart> {
        self.tells = true;
        let occurrence = self.occurrences(journey).pop()?;
        let key = self.key(journey, &occurrence);
        let kept_out = self.kept_out(journey, &occurrence, &key);
        Some(LastStart { occurrence, key, kept_out })
    }

    /// What has happened since the last decision, and what is still within its patience.
    fn occurrences(&mut self, journey: &Journey) -> Vec<Occurrence> {
        let patience = patience(journey);
        let since = self.since(patience);
        match &journey.start {
            Start::Phase(phase) => self.phase_changes(since, |_, to| to == phase),
            Start::Left(phase) => self.phase_changes(since, |from, _| from == Some(phase.as_str())),
            Start::Event { name, filter } => {
                let recent = self.recent_events();
                let heard = |event: &Event| event.received_at.max(event.occurred_at);
                let mut matching: Vec<Event> = Vec::new();
                for event in recent.iter().filter(|e| heard(e) >= since && e.name == *name) {
                    let facts = RunFacts { event: Some(&event.data), ..RunFacts::default() };
                    let verdict = filter.as_ref().map(|f| f.eval(&self.view(facts), self.now));
                    match verdict {
                        Some(verdict) if !verdict.value => {
                            self.revisit_within(verdict.revisit_at, heard(event).plus_micros(patience));
                        }
                        _ => matching.push(event.clone()),
                    }
                }
                matching.into_iter().map(occurrence_of).collect()
            }
            Start::Segment { id, .. } => {
                let entered = self
                    .segments
                    .iter()
                    .find(|s| s.segment == *id && s.inside && (s.live || self.tells) && s.since >= since);
                entered
                    .map(|s| Occurrence {
                        id: format!("segment:{id}:{}", s.since.as_micros()),
                        at: s.since,
                        received_at: s.since,
                        is_history: !s.live,
                        event: named("segment.entered", &[("segment", id)]),
                    })
                    .into_iter()
                    .collect()
            }
            Start::Schedule { every, at, customer_zone } => {
                let zone = if *customer_zone { self.zone.clone() } else { self.book.settings.zone.clone() };
                let (last, next) = schedule(*every, *at, &zone, self.now);
                self.revisit(Some(next));
                if !self.tells && !self.has_passed(last) {
                    return Vec::new();
                }
                let date = last.timestamp().to_zoned(zone).date();
                vec![Occurrence {
                    id: format!("date:{date}"),
                    at: last,
                    received_at: self.heard(last),
                    is_history: false,
                    event: named("schedule", &[("date", &date.to_string())]),
                }]
            }
            Start::Date { field, offset, at } => {
                // What is used up has a date for each product.
                let products: Vec<Option<String>> = if field.text().contains("replenish.") {
                    let view = self.view(RunFacts::default());
                    view.products_used_up().into_iter().map(|product| Some(product.to_owned())).collect()
                } else {
                    vec![None]
                };
                let dates = products.into_iter();
                dates.filter_map(|product| self.date(field, *offset, *at, product.as_deref())).collect()
            }
        }
    }

    /// From when on something is looked at that may start a journey of this patience.
    fn since(&self, patience: i64) -> At {
        let judged = self.snapshot.mark.evaluated_at.map_or(At::MIN, |at| at.plus_micros(1));
        if self.tells { At::MIN } else { self.now.plus_micros(-patience).min(judged) }
    }

    /// The live events that may start any journey: found once, since there are many events and few of them are new.
    fn recent_events(&mut self) -> Rc<[Event]> {
        if let Some(known) = self.recent.as_ref().filter(|_| !self.tells) {
            return Rc::clone(known);
        }
        let mut starts: Vec<&str> = Vec::new();
        let mut longest = 0;
        for journey in self.book.journeys.iter().filter(|j| j.mode != Mode::Off || self.tells) {
            if let Start::Event { name, .. } = &journey.start {
                starts.push(name);
                longest = patience(journey).max(longest);
            }
        }
        let since = self.since(longest);
        let may_start = |name: &str, at: At, received: At, origin: Origin| {
            // Most of what happened is long past: that is told faster than names apart.
            received.max(at) >= since
                && at <= self.now
                && (self.tells || origin == Origin::Live)
                && starts.contains(&name)
        };
        let found: Rc<[Event]> = events_of(self.snapshot, may_start, self.book.decimals).into();
        self.recent = Some(Rc::clone(&found));
        found
    }

    /// A date that has come, of the customer or of a product that they buy again and again.
    fn date(
        &mut self,
        field: &Expression,
        offset: Option<Length>,
        at: Option<Time>,
        product: Option<&str>,
    ) -> Option<Occurrence> {
        let about: Vec<(&str, &str)> = product.map(|product| ("product_id", product)).into_iter().collect();
        let event = named("date", &about);
        let facts = RunFacts { event: product.is_some().then_some(&event), ..RunFacts::default() };
        let verdict = field.eval(&self.view(facts), self.now);
        self.revisit(verdict.revisit_at);
        let base = instant_of(&verdict.value, &self.zone)?;
        let mut due = offset.map_or(base, |o| o.after(base, &self.zone));
        if let Some(time) = at {
            let date = due.timestamp().to_zoned(self.zone.clone()).date();
            due = local(date, time, &self.zone);
        }
        if due > self.now {
            self.revisit(Some(due));
            return None;
        }
        // Passed since the last look, or moved into the past by what just arrived; never by history.
        let mark = &self.snapshot.mark;
        let is_new = !mark.history_pending && (mark.live_pending || self.has_passed(due));
        if !self.tells && !is_new {
            return None;
        }
        let mut event = event;
        event.insert("date".into(), Json::from(base.to_string()));
        let of = product.map(|product| format!(":{product}")).unwrap_or_default();
        Some(Occurrence {
            id: format!("date:{base}{of}"),
            at: due,
            received_at: self.heard(due),
            is_history: false,
            event,
        })
    }

    /// When an instant of the calendar was heard of: when it was looked for.
    fn heard(&self, at: At) -> At {
        if self.tells { at } else { self.now }
    }

    /// Whether an instant lies between the last look at this customer and now: the calendar starts nothing for an
    /// instant at which the customer was not known yet. It lies behind when they were due at the earliest; one that
    /// does not was no such instant before another zone or another file made it one.
    fn has_passed(&self, at: At) -> bool {
        let mark = &self.snapshot.mark;
        mark.evaluated_at.is_some_and(|evaluated| evaluated < at) && mark.due_at <= at && at <= self.now
    }

    /// Looks again at that instant unless nobody waits so long.
    fn revisit_within(&mut self, at: Option<At>, until: At) {
        self.revisit(at.filter(|at| *at <= until));
    }

    /// Live moves of this decision, and the last one as long as somebody may still be waiting for it.
    fn phase_changes(&self, since: At, wanted: impl Fn(Option<&str>, &str) -> bool) -> Vec<Occurrence> {
        let occurrence =
            |id: zyklus_model::TransitionId, from: Option<&str>, to: &str, at: At, heard: At, live: bool| {
                Occurrence {
                    id: id.to_string(),
                    at,
                    received_at: heard,
                    is_history: !live,
                    event: named("phase.entered", &[("from", from.unwrap_or("")), ("to", to)]),
                }
            };
        let mut found: Vec<Occurrence> = self
            .transitions
            .iter()
            .filter(|t| t.origin == Origin::Live && wanted(t.from.as_deref(), &t.to))
            .map(|t| occurrence(t.id, t.from.as_deref(), &t.to, t.at, t.recorded_at, true))
            .collect();
        if let (Some(phase), true) = (&self.phase, self.transitions.is_empty() || self.tells)
            && (phase.live || self.tells)
            && phase.since >= since
            && wanted(phase.previous.as_deref(), &phase.phase)
        {
            let previous = phase.previous.as_deref();
            let id =
                transition_id(self.book, self.snapshot, phase.moves, previous, &phase.phase, phase.since);
            found.push(occurrence(id, previous, &phase.phase, phase.since, phase.since, phase.live));
        }
        found
    }

    pub(super) fn key(&self, journey: &Journey, occurrence: &Occurrence) -> String {
        let Some(key) = &journey.key else { return String::new() };
        let facts = RunFacts { event: Some(&occurrence.event), ..RunFacts::default() };
        match key.eval(&self.view(facts), self.now).value {
            Value::Text(text) => text.to_string(),
            Value::Absent => String::new(),
            other => other.to_string(),
        }
    }

    /// The first reason not to start a run.
    fn kept_out(&mut self, journey: &Journey, occurrence: &Occurrence, key: &str) -> Option<KeptOut> {
        if let Some(reason) = timely(self.book, journey, occurrence) {
            return Some(reason);
        }
        let reason = if self.runs.iter().any(|r| self.was_shadow(journey, r)) {
            let counted: Vec<Run> =
                self.runs.iter().filter(|r| !self.was_shadow(journey, r)).cloned().collect();
            entry(&counted, journey, occurrence, key, &self.zone)
        } else {
            entry(&self.runs, journey, occurrence, key, &self.zone)
        };
        if reason.is_some() {
            return reason;
        }
        // What is put into the queue asks for the group's place when its turn comes.
        let queues = journey.overlap == Overlap::Queue && self.goes_on(journey.root(), key);
        if !queues && let Some(rival) = self.group_taken(journey, key) {
            return Some(KeptOut::GroupTaken(rival));
        }
        let facts =
            RunFacts { event: Some(&occurrence.event), key: journey.key.is_some().then_some(key), run: None };
        let verdict = journey.when.as_ref().map(|when| when.eval(&self.view(facts), self.now))?;
        if verdict.value {
            return None;
        }
        let heard = occurrence.received_at.max(occurrence.at);
        self.revisit_within(verdict.revisit_at, heard.plus_micros(patience(journey)));
        Some(KeptOut::DoesNotQualify)
    }

    /// Whether a run only showed what the journey would do, before it went live (rule R19): no earlier entry.
    pub(super) fn was_shadow(&self, journey: &Journey, run: &Run) -> bool {
        let active_from = self.book.active_from.get(journey.root());
        run.ghost
            && run.journey == journey.root()
            && journey.mode == Mode::Live
            && active_from.is_some_and(|at| run.started_at < *at)
            && !held_out(self.book, self.snapshot, journey)
    }

    pub(super) fn enroll(&mut self, journey: &Journey, occurrence: Occurrence, key: String) {
        let customer = self.snapshot.customer.id;
        if journey.overlap == Overlap::Restart {
            let live: Vec<usize> = (0..self.runs.len())
                .filter(|i| {
                    let run = &self.runs[*i];
                    run.state != RunState::Ended && run.journey == journey.root() && run.key == key
                })
                .collect();
            for index in live {
                self.end_run(index, RunEnd::Restarted, None);
            }
        }
        let id = RunId::derive(&[
            journey.root().as_bytes(),
            customer.uuid().as_bytes(),
            key.as_bytes(),
            occurrence.id.as_bytes(),
        ]);
        let queued = journey.overlap == Overlap::Queue && self.goes_on(journey.root(), &key);
        if !queued {
            self.make_way(journey);
        }
        self.runs.to_mut().push(Run {
            id,
            customer,
            began_for: customer,
            journey: journey.root().to_owned(),
            key,
            occurrence: occurrence.id,
            definition: journey.definition.clone(),
            epoch: journey.epoch,
            ghost: false,
            held: None,
            state: if queued { RunState::Queued } else { RunState::Live },
            end: None,
            end_reason: None,
            started_at: occurrence.at,
            ended_at: None,
            queued_at: queued.then_some(self.now),
            yielded_at: None,
            position: RunPosition {
                step: journey.nodes.first().map(|n| n.id.clone()),
                reached_at: occurrence.at,
                due_at: None,
            },
            acted: Vec::new(),
            event: occurrence.event,
        });
        self.changed_runs.push(true);
        self.draw(self.runs.len() - 1, journey);
    }

    /// Draws a run that begins into its holdout group (rule R16), or makes it only show what it would do (R19).
    pub(super) fn draw(&mut self, index: usize, journey: &Journey) {
        let held = drawn(self.book, self.snapshot, journey);
        let run = &mut self.runs.to_mut()[index];
        run.held = held.filter(|_| journey.mode != Mode::Shadow);
        run.ghost = journey.mode == Mode::Shadow
            || held == Some(Holdout::Journey)
            || held_out(self.book, self.snapshot, journey);
        run.epoch = journey.epoch;
    }
}

/// For how long a start is judged again, in microseconds: at least ten minutes, since commits of different daemons
/// can be dated a little out of order (occurrences are unique, so looking twice does no harm).
fn patience(journey: &Journey) -> i64 {
    ((journey.patience.rough_days() * zyklus_model::DAY_MICROS as f64) as i64).max(600_000_000)
}

/// Rule R3: nothing from before the journey went live, and nothing that arrives too late.
pub(super) fn timely(book: &Book, journey: &Journey, occurrence: &Occurrence) -> Option<KeptOut> {
    let Some(active_from) = book.active_from.get(journey.root()) else { return Some(KeptOut::NotActive) };
    if occurrence.is_history || occurrence.at < *active_from {
        return Some(KeptOut::TooEarly(*active_from));
    }
    let late = (journey.late.rough_days() * zyklus_model::DAY_MICROS as f64) as i64;
    (occurrence.received_at.micros_since(occurrence.at) > late).then_some(KeptOut::TooLate)
}

/// Rules R1, R5 and R6: once per occurrence, re-entry, and what a live run means.
pub(super) fn entry(
    runs: &[Run],
    journey: &Journey,
    occurrence: &Occurrence,
    key: &str,
    zone: &TimeZone,
) -> Option<KeptOut> {
    let earlier: Vec<&Run> = runs.iter().filter(|r| r.journey == journey.root() && r.key == key).collect();
    if earlier.iter().any(|r| r.occurrence == occurrence.id) {
        return Some(KeptOut::AlreadyStarted);
    }
    let mut live = earlier.iter().filter(|r| r.state.goes_on()).peekable();
    let is_running = live.peek().is_some();
    // What happened before the run that goes on began was no start while it did.
    let is_older = live.any(|r| occurrence.at < r.started_at);
    match journey.overlap {
        Overlap::Ignore if is_running => return Some(KeptOut::Running),
        // What was ignored while a run went on stays ignored when it is over.
        Overlap::Ignore => {
            let during = |r: &Run, at: At| r.started_at <= at && r.ended_at.is_some_and(|end| at <= end);
            if earlier.iter().any(|r| during(r, occurrence.at) || during(r, occurrence.received_at)) {
                return Some(KeptOut::Running);
            }
        }
        // What happened before a run began does not begin it anew.
        Overlap::Restart if is_running => return is_older.then_some(KeptOut::Running),
        Overlap::Queue => {
            // One waits. What came while it did is refused, and stays so when its turn has come.
            let heard = occurrence.received_at.max(occurrence.at);
            let full = earlier.iter().find_map(|r| {
                let since = r.queued_at?;
                let waits = r.state == RunState::Queued || (since <= heard && heard < r.started_at);
                waits.then_some(KeptOut::QueueFull(since))
            });
            if full.is_some() || is_running && !is_older {
                return full;
            }
        }
        Overlap::Parallel if is_running && !is_older => return None,
        Overlap::Restart | Overlap::Parallel => {}
    }
    let last = earlier.iter().map(|r| r.started_at).max()?;
    match journey.reentry() {
        Reenter::Always => None,
        Reenter::Never => Some(KeptOut::Reentry(None)),
        Reenter::After(length) => {
            let again = length.after(last, zone);
            (occurrence.at < again).then_some(KeptOut::Reentry(Some(again)))
        }
    }
}

fn occurrence_of(event: Event) -> Occurrence {
    Occurrence {
        id: event.id.to_string(),
        at: event.occurred_at,
        received_at: event.received_at,
        is_history: event.origin == Origin::History,
        event: event.data,
    }
}

pub(super) fn named(name: &str, entries: &[(&str, &str)]) -> Map<String, Json> {
    let mut event = Map::new();
    event.insert("name".into(), Json::from(name));
    event.extend(entries.iter().map(|(key, value)| ((*key).to_owned(), Json::from(*value))));
    event
}

/// A field's instant: an instant, or a text that is one or a day in the customer's zone (attributes).
fn instant_of(value: &Value, zone: &TimeZone) -> Option<At> {
    match value {
        Value::Instant(at) => Some(*at),
        Value::Text(text) => text.parse().ok().or_else(|| {
            let date: Date = text.parse().ok()?;
            Some(local(date, jiff::civil::Time::midnight(), zone))
        }),
        _ => None,
    }
}

/// The last instant of a schedule that is not after `now`, and the next.
fn schedule(every: Every, at: jiff::civil::Time, zone: &TimeZone, now: At) -> (At, At) {
    let today = now.timestamp().to_zoned(zone.clone()).date();
    let on = |date: Date| local(date, at, zone);
    match every {
        Every::Day => {
            let shifted = |days: i64| today.checked_add(days.days()).unwrap_or(today);
            if on(today) <= now { (on(today), on(shifted(1))) } else { (on(shifted(-1)), on(today)) }
        }
        Every::Month(day) => {
            let in_month = |months: i64| {
                let first = today.first_of_month().checked_add(months.months()).unwrap_or(today);
                let day = day.min(first.days_in_month());
                on(first.with().day(day).build().unwrap_or(first))
            };
            if in_month(0) <= now { (in_month(0), in_month(1)) } else { (in_month(-1), in_month(0)) }
        }
    }
}
