//! Who is let into a journey although they came to its phase or segment before it went live (rule R18). Who of them
//! comes on which day, the book says.

use zyklus_model::{At, RunState, Snapshot};

use super::moves::transition_id;
use super::starts::{KeptOut, Occurrence, entry, named, timely};
use super::{Step, Work};
use crate::book::Book;
use crate::facts::RunFacts;
use crate::playbook::{Backfill, Journey, Mode, Start, Verb};

/// The journeys (by root id) that a customer would be let into if their turn came now, and since when the customer
/// has been where they start.
pub fn candidates(book: &Book, snapshot: &Snapshot, now: At) -> Vec<(String, At)> {
    let mut work = Work::new(book, snapshot, now);
    work.move_phases();
    work.judge_segments();
    work.start_runs();
    let mut found = Vec::new();
    for journey in &book.journeys {
        let Some(occurrence) = work.stands_inside(journey) else { continue };
        let at = occurrence.at;
        let runs = work.runs.len();
        if work.let_in(journey, occurrence) {
            work.take_back(runs);
            found.push((journey.root().to_owned(), at));
        }
    }
    found
}

impl Work<'_> {
    /// Lets the customer in where it is their turn.
    pub(super) fn backfill(&mut self) {
        let book = self.book;
        let customer = self.snapshot.customer.id;
        for journey in &book.journeys {
            let admitted = book.admitted.get(journey.root()).is_some_and(|who| who.contains(&customer));
            if admitted && let Some(occurrence) = self.stands_inside(journey) {
                self.let_in(journey, occurrence);
            }
        }
    }

    /// Coming to where the journey starts, if that was before it went live and not too long ago.
    fn stands_inside(&self, journey: &Journey) -> Option<Occurrence> {
        let Backfill { since, .. } = journey.backfill.filter(|_| journey.mode != Mode::Off)?;
        let occurrence = match &journey.start {
            Start::Phase(wanted) => {
                let phase = self.phase.as_ref().filter(|p| p.phase == *wanted)?;
                let previous = phase.previous.as_deref();
                let id =
                    transition_id(self.book, self.snapshot, phase.moves, previous, &phase.phase, phase.since);
                Occurrence {
                    id: id.to_string(),
                    at: phase.since,
                    received_at: phase.since,
                    is_history: !phase.live,
                    event: named("phase.entered", &[("from", previous.unwrap_or("")), ("to", &phase.phase)]),
                }
            }
            Start::Segment { id, .. } => {
                let state = self.segments.iter().find(|s| s.segment == *id && s.inside)?;
                Occurrence {
                    id: format!("segment:{id}:{}", state.since.as_micros()),
                    at: state.since,
                    received_at: state.since,
                    is_history: !state.live,
                    event: named("segment.entered", &[("segment", id)]),
                }
            }
            Start::Left(_) | Start::Event { .. } | Start::Schedule { .. } | Start::Date { .. } => {
                return None;
            }
        };
        let was_before = match timely(self.book, journey, &occurrence) {
            Some(KeptOut::NotActive | KeptOut::TooEarly(_)) => true,
            Some(_) | None => false,
        };
        (was_before && since.after(occurrence.at, &self.zone) >= self.now).then_some(occurrence)
    }

    /// Starts the run, unless nothing of it lies ahead.
    fn let_in(&mut self, journey: &Journey, mut occurrence: Occurrence) -> bool {
        let as_new = journey.backfill.is_some_and(|backfill| backfill.as_new);
        if as_new {
            occurrence.at = self.now;
            occurrence.received_at = self.now;
        }
        let key = self.key(journey, &occurrence);
        let runs: Vec<_> = self.runs.iter().filter(|r| !self.was_shadow(journey, r)).cloned().collect();
        let is_in =
            runs.iter().any(|r| r.state != RunState::Ended && r.journey == journey.root() && r.key == key);
        // Who was there before takes nobody's place in a group.
        if is_in
            || entry(&runs, journey, &occurrence, &key, &self.zone).is_some()
            || !self.rivals(journey, &key).is_empty()
        {
            return false;
        }
        let facts = RunFacts {
            event: Some(&occurrence.event),
            key: journey.key.is_some().then_some(key.as_str()),
            run: None,
        };
        if journey.when.as_ref().is_some_and(|when| !when.eval(&self.view(facts), self.now).value) {
            return false;
        }
        let index = self.runs.len();
        self.enroll(journey, occurrence, key);
        let is_over = self.is_over(index, journey);
        if is_over || !as_new && !self.skip_what_has_passed(index, journey) {
            self.take_back(index);
            return false;
        }
        true
    }

    fn take_back(&mut self, index: usize) {
        self.runs.to_mut().truncate(index);
        self.changed_runs.truncate(index);
    }

    /// Steps that were due before now do not act (rule R9 without patience); false = all of them were.
    fn skip_what_has_passed(&mut self, index: usize, journey: &Journey) -> bool {
        for _ in 0..=journey.nodes.len() {
            let position = &self.runs[index].position;
            let node = position.step.as_ref().and_then(|step| journey.node(step));
            let Some(node) = node.map(|node| &journey.nodes[node]) else { return false };
            if position.reached_at >= self.now {
                return true;
            }
            let (next, reached_at, outcome) = match &node.verb {
                Verb::Send(_) | Verb::Call { .. } | Verb::Tag { .. } | Verb::Untag(_) => {
                    (node.next, position.reached_at, "missed".to_owned())
                }
                Verb::Exit(_) => return false,
                Verb::Wait { .. } | Verb::If { .. } | Verb::Split { .. } => {
                    match self.step(index, journey, node) {
                        Step::Done { next, reached_at, outcome } => (next, reached_at, outcome),
                        Step::Stay { .. } => return true,
                        Step::End { .. } => return false,
                    }
                }
            };
            let run = &mut self.runs.to_mut()[index];
            run.acted.push((node.id.clone(), outcome));
            run.position.step = next.map(|next| journey.nodes[next].id.clone());
            run.position.reached_at = reached_at;
        }
        false
    }
}
