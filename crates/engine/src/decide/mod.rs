//! One decision for one customer: phases move, journeys start, runs advance, pending messages are judged again.
//!
//! Everything follows from the snapshot, the book and the instant; deciding twice gives the same ids, so a
//! decision applied twice changes nothing.

mod advance;
mod backfill;
mod follow;
mod moves;
mod split;
mod starts;
mod turns;

use std::borrow::Cow;
use std::rc::Rc;

use jiff::tz::TimeZone;
use zyklus_model::{
    At, Decision, Delivery, DeliveryState, Event, GuardReason, Origin, PhaseState, Run, RunState,
    SegmentState, Snapshot, TagChange, Transition, Withdrawal,
};

use crate::book::Book;
use crate::condition::Group;
use crate::facts::{RunFacts, Standing, View};
use crate::phase::earliest;
use crate::zone::zone_of;

use advance::Step;
pub use backfill::candidates;
pub(crate) use starts::{KeptOut, LastStart};

/// What follows for one customer at an instant.
pub fn decide(book: &Book, snapshot: &Snapshot, now: At) -> Decision {
    decided(book, snapshot, now).finish()
}

/// The same, and for each journey of the book the last time what starts it happened and what came of it.
pub(crate) fn decide_and_tell(
    book: &Book,
    snapshot: &Snapshot,
    now: At,
) -> (Decision, Vec<Option<LastStart>>) {
    let decision = decide(book, snapshot, now);
    let mut work = decided(book, snapshot, now);
    let starts = book.journeys.iter().map(|journey| work.last_start(journey)).collect();
    (decision, starts)
}

fn decided<'a>(book: &'a Book, snapshot: &'a Snapshot, now: At) -> Work<'a> {
    let mut work = Work::new(book, snapshot, now);
    work.move_phases();
    work.judge_segments();
    if work.is_erased() {
        work.end_all();
        return work;
    }
    work.settle_merged();
    work.take_turns();
    let known = work.runs.len();
    work.start_runs();
    work.backfill();
    if work.runs.len() > known {
        // What begins may lie before what the other half has done.
        work.settle_merged();
    }
    work.advance_runs();
    work
}

/// A decision in the making.
struct Work<'a> {
    book: &'a Book,
    snapshot: &'a Snapshot,
    now: At,
    zone: TimeZone,
    standing: Option<Standing>,
    phase: Option<PhaseState>,
    phase_changed: bool,
    rewrites_history: bool,
    transitions: Vec<Transition>,
    /// As `runs`.
    segments: Cow<'a, [SegmentState]>,
    segments_changed: bool,
    /// The snapshot's until one of them changes.
    runs: Cow<'a, [Run]>,
    changed_runs: Vec<bool>,
    deliveries: Vec<Delivery>,
    withdrawals: Vec<Withdrawal>,
    /// Pending deliveries whose step says something else now.
    rewritten: Vec<Delivery>,
    tags: Vec<TagChange>,
    revisit_at: Option<At>,
    /// Events that may start a journey, once they were looked for.
    recent: Option<Rc<[Event]>>,
    /// Set between bringing a run over to a changed definition and the first step it takes by it.
    resumed_at: Option<At>,
    /// Whether it looks at all that ever happened, to tell of it, rather than at what is new.
    tells: bool,
}

impl<'a> Work<'a> {
    fn new(book: &'a Book, snapshot: &'a Snapshot, now: At) -> Self {
        let phase = snapshot.phase.clone().filter(|p| p.lifecycle == *book.lifecycle.id);
        let standing = phase.as_ref().map(standing_of);
        Work {
            book,
            snapshot,
            now,
            zone: zone_of(&snapshot.customer, &book.settings.zone),
            standing,
            phase,
            phase_changed: false,
            rewrites_history: false,
            transitions: Vec::new(),
            segments: Cow::Borrowed(&snapshot.segments),
            segments_changed: false,
            runs: Cow::Borrowed(&snapshot.runs),
            changed_runs: vec![false; snapshot.runs.len()],
            deliveries: Vec::new(),
            withdrawals: Vec::new(),
            rewritten: Vec::new(),
            tags: Vec::new(),
            revisit_at: None,
            recent: None,
            resumed_at: None,
            tells: false,
        }
    }

    /// Looks again at that instant at the latest; what has passed already is due in a moment.
    fn revisit(&mut self, at: Option<At>) {
        let at = at.map(|at| at.max(self.now.plus_micros(1)));
        self.revisit_at = earliest(self.revisit_at, at);
    }

    fn view<'v>(&'v self, facts: RunFacts<'v>) -> View<'v> {
        View::new(self.snapshot, self.now, self.book.decimals, self.standing.clone())
            .with_runs(&self.runs)
            .with_book(self.book)
            .for_run(facts)
    }

    /// Whether what is found now may start anything (rule R3). History that arrived together with something live
    /// cannot be told from it, so nothing does then.
    fn origin(&self) -> Origin {
        let mark = &self.snapshot.mark;
        let is_live = !mark.history_pending && (mark.live_pending || mark.evaluated_at.is_some());
        if is_live { Origin::Live } else { Origin::History }
    }

    /// Whether this is the first look at a customer who came up while everything was up to date.
    fn arrived_live(&self) -> bool {
        let mark = &self.snapshot.mark;
        mark.evaluated_at.is_none() && mark.live_pending && !mark.history_pending
    }

    fn withdraw(
        &mut self,
        delivery: zyklus_model::DeliveryId,
        state: DeliveryState,
        reason: Option<GuardReason>,
    ) {
        self.withdrawals.push(Withdrawal { delivery, state, reason, at: self.now });
    }

    fn finish(mut self) -> Decision {
        let next_fact = crate::facts::next_fact(self.snapshot, self.now);
        self.revisit(next_fact);
        let mut changed =
            self.runs.iter().zip(&self.changed_runs).filter(|(_, changed)| **changed).peekable();
        let is_read = changed.peek().is_some() && self.book.reads(Group::Journeys);
        // The end of a run lets others begin; and phases and segments were judged before the runs moved.
        if is_read || changed.any(|(run, _)| run.state == RunState::Ended) {
            drop(changed);
            self.revisit(Some(self.now));
        }
        let runs = match self.runs {
            // Who changes a run says so.
            Cow::Borrowed(_) => Vec::new(),
            Cow::Owned(runs) => {
                let changed = runs.into_iter().zip(self.changed_runs);
                changed.filter_map(|(run, changed)| changed.then_some(run)).collect()
            }
        };
        Decision {
            customer: self.snapshot.customer.id,
            seq: self.snapshot.mark.seq,
            evaluated_before: self.snapshot.mark.evaluated_at,
            now: self.now,
            rewrites_history: self.rewrites_history,
            transitions: self.transitions,
            phase: if self.phase_changed { self.phase } else { None },
            segments: self.segments_changed.then(|| self.segments.into_owned()),
            runs,
            deliveries: self.deliveries,
            withdrawals: self.withdrawals,
            rewritten: self.rewritten,
            tags: self.tags,
            revisit_at: self.revisit_at,
        }
    }
}

pub(crate) fn standing_of(state: &PhaseState) -> Standing {
    Standing {
        phase: state.phase.as_str().into(),
        since: state.since,
        previous: state.previous.as_deref().map(Into::into),
    }
}
