//! Whether a run has done what it was for or become pointless: goal and exit (rules R7, R17), asked at every evaluation
//! and once more when one of its messages is claimed. Never ends a run: `decide` does.

use jiff::tz::TimeZone;
use zyklus_model::{At, DAY_MICROS, Run, Snapshot};

use crate::book::Book;
use crate::condition::{Group, Verdict};
use crate::facts::{RunFacts, Standing, View, events_of};
use crate::phase::earliest;
use crate::playbook::{GOAL_STEP, Journey};
use crate::wait::Length;

/// What a run's conditions are judged on.
pub(crate) struct Course<'a> {
    pub(crate) book: &'a Book,
    pub(crate) snapshot: &'a Snapshot,
    /// Runs as they are while deciding.
    pub(crate) runs: &'a [Run],
    pub(crate) standing: Option<&'a Standing>,
    pub(crate) zone: &'a TimeZone,
    pub(crate) now: At,
}

/// Events that count for a goal may arrive so late.
const LATE_DAYS: i64 = 7;

impl Course<'_> {
    /// Whether no goal within that time of the run's start can be reached any more: of most runs this is told without the
    /// calendar, on which no stretch of time is two days longer than its longest.
    fn is_long_past(&self, within: Length, run: &Run) -> bool {
        let days = within.rough_days() + LATE_DAYS as f64 + 2.0;
        self.now.micros_since(run.started_at) as f64 > days * DAY_MICROS as f64
    }

    fn view<'v>(&'v self, facts: RunFacts<'v>) -> View<'v> {
        View::new(self.snapshot, self.now, self.book.decimals, self.standing.cloned())
            .with_runs(self.runs)
            .with_book(self.book)
            .for_run(facts)
    }

    /// Whether the journey's exit condition holds for a run.
    pub(crate) fn exits(&self, journey: &Journey, run: &Run) -> Verdict {
        match &journey.exit {
            Some(exit) => exit.eval(&self.view(facts_of(journey, run)), self.now),
            None => Verdict { value: false, revisit_at: None },
        }
    }

    /// Whether a run has reached the journey's goal and nothing has come of it yet.
    pub(crate) fn reaches_goal(&self, journey: &Journey, run: &Run) -> Verdict {
        let mut found = Verdict { value: false, revisit_at: None };
        let Some(goal) = &journey.goal else { return found };
        // Noted once, unless the goal has come to end the runs that it did not end when they reached it.
        let is_noted = run.acted.iter().any(|(step, _)| step == GOAL_STEP);
        if is_noted && (goal.stay || !run.state.goes_on()) || self.is_long_past(goal.within, run) {
            return found;
        }
        let until = goal.within.after(run.started_at, self.zone);
        // Late events count if they arrive soon after the window.
        let accepted = until.plus_days(LATE_DAYS);
        if self.now > accepted {
            return found;
        }
        if goal.when.reads().contains(Group::Event) {
            let (started, now) = (run.started_at, self.now);
            let asked = goal.when.event_name();
            let later = |name: &str, at: At, received: At, _| {
                at > started
                    && at <= until
                    && at <= now
                    && received <= accepted
                    && asked.is_none_or(|asked| asked == name)
            };
            for event in &events_of(self.snapshot, later, self.book.decimals) {
                let facts = RunFacts { event: Some(&event.data), ..facts_of(journey, run) };
                let verdict = goal.when.eval(&self.view(facts), self.now);
                found.revisit_at = earliest(found.revisit_at, verdict.revisit_at);
                found.value |= verdict.value;
            }
        } else if self.now <= until {
            return goal.when.eval(&self.view(facts_of(journey, run)), self.now);
        }
        found
    }
}

/// What a run's conditions see besides the customer: the event that started it, its key, itself.
pub(crate) fn facts_of<'r>(journey: &Journey, run: &'r Run) -> RunFacts<'r> {
    RunFacts {
        event: Some(&run.event),
        key: journey.key.is_some().then_some(run.key.as_str()),
        run: Some(run),
    }
}
