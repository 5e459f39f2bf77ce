//! Phases and segments: what changed since the last decision, and whether the change may start anything.

use zyklus_model::{
    At, Origin, PhaseState, SegmentState, Snapshot, Transition, TransitionCause, TransitionId,
};

use super::Work;
use crate::book::Book;
use crate::condition::Condition;
use crate::facts::RunFacts;
use crate::phase::{Path, replay, walk};
use crate::playbook::{Mode, Start};

impl Work<'_> {
    pub(super) fn move_phases(&mut self) {
        let mark = &self.snapshot.mark;
        let lifecycle = &self.book.lifecycle;
        let has_live_moves = self.phase.as_ref().is_some_and(|p| p.has_live_moves);
        let is_new = self.phase.is_none();
        let is_known = self.snapshot.phase.is_some();
        let arrived_live = is_new && !is_known && self.arrived_live();
        let redefined = self.phase.as_ref().is_some_and(|p| p.definition != lifecycle.definition);

        if (is_new && !arrived_live) || (mark.history_pending && !has_live_moves) {
            // The past, as far as it is known now; nothing found in it starts anything.
            let path = replay(self.book, self.snapshot, &self.zone, self.now);
            self.rewrites_history = is_known;
            self.phase = None;
            self.standing = None;
            self.record(path, Origin::History, TransitionCause::Record);
            return;
        }
        // Followed from where it was due, so that nothing the clock did meanwhile is lost; under new rules the
        // old instant means nothing.
        let due_at = if redefined { self.now } else { mark.due_at };
        let from = due_at.max(mark.evaluated_at.unwrap_or(At::MIN)).min(self.now);
        let path = walk(self.book, self.snapshot, &self.zone, self.standing.clone(), from, self.now);
        let cause = if is_new {
            TransitionCause::First
        } else if redefined {
            TransitionCause::Definition
        } else if mark.live_pending || mark.history_pending {
            TransitionCause::Record
        } else {
            TransitionCause::Clock
        };
        let origin = if redefined { Origin::History } else { self.origin() };
        self.record(path, origin, cause);
        if redefined && let Some(phase) = &mut self.phase {
            phase.definition.clone_from(&lifecycle.definition);
            self.phase_changed = true;
        }
    }

    /// Turns the moves found into transitions and the new standing.
    fn record(&mut self, path: Path, origin: Origin, cause: TransitionCause) {
        let lifecycle = &self.book.lifecycle;
        let mut moves = self.phase.as_ref().map_or(0, |p| p.moves);
        let mut has_live_moves = self.phase.as_ref().is_some_and(|p| p.has_live_moves);
        let mut last = origin;
        for step in &path.moves {
            let is_anew = self.book.is_measured_anew(step.at.plus_micros(-1), step.at);
            let origin = if is_anew { Origin::History } else { origin };
            moves += 1;
            last = origin;
            has_live_moves |= origin == Origin::Live;
            let cause = if step.from.is_none() { TransitionCause::First } else { cause };
            self.transitions.push(Transition {
                id: transition_id(self.book, self.snapshot, moves, step.from.as_deref(), &step.to, step.at),
                lifecycle: lifecycle.id.to_string(),
                from: step.from.as_deref().map(str::to_owned),
                to: step.to.to_string(),
                at: step.at,
                recorded_at: self.now,
                cause,
                origin,
            });
        }
        if let (Some(standing), false) = (&path.standing, path.moves.is_empty()) {
            self.phase = Some(PhaseState {
                lifecycle: lifecycle.id.to_string(),
                definition: lifecycle.definition.clone(),
                phase: standing.phase.to_string(),
                since: standing.since,
                previous: standing.previous.as_deref().map(str::to_owned),
                moves,
                has_live_moves,
                live: last == Origin::Live,
            });
            self.phase_changed = true;
        }
        self.standing = path.standing;
        self.revisit(path.revisit_at);
    }

    pub(super) fn judge_segments(&mut self) {
        let book = self.book;
        for journey in book.journeys.iter().filter(|j| j.mode != Mode::Off) {
            if let Start::Segment { id, condition } = &journey.start {
                self.judge_segment(id, condition);
            }
        }
    }

    fn judge_segment(&mut self, id: &str, condition: &Condition) {
        let verdict = condition.eval(&self.view(RunFacts::default()), self.now);
        self.revisit(verdict.revisit_at);
        let now = self.now;
        let before = self.snapshot.mark.evaluated_at.unwrap_or(At::MIN);
        let is_measured_anew = self.book.is_measured_anew(before, now);
        let may_start = self.origin() == Origin::Live && !is_measured_anew;
        let arrived_live = self.arrived_live();
        let definition = condition.hash();
        let place = self.segments.iter().position(|s| s.segment == id);
        match place {
            Some(place) if self.segments[place].definition == definition => {
                if self.segments[place].inside != verdict.value {
                    let state = &mut self.segments.to_mut()[place];
                    (state.inside, state.since, state.live) = (verdict.value, now, may_start);
                    self.segments_changed = true;
                }
            }
            known => {
                // Seen for the first time under this condition: being inside is no edge (rule R2), except for
                // a customer who was not there before.
                let state = SegmentState {
                    segment: id.to_owned(),
                    definition: definition.to_owned(),
                    inside: verdict.value,
                    since: now,
                    live: arrived_live && verdict.value,
                };
                match known {
                    Some(place) => self.segments.to_mut()[place] = state,
                    None => self.segments.to_mut().push(state),
                }
                self.segments_changed = true;
            }
        }
    }
}

/// The id of a customer's n-th move in a lifecycle: the same move found again has the same id.
pub(super) fn transition_id(
    book: &Book,
    snapshot: &Snapshot,
    number: i64,
    from: Option<&str>,
    to: &str,
    at: At,
) -> TransitionId {
    TransitionId::derive(&[
        snapshot.customer.id.uuid().as_bytes(),
        book.lifecycle.id.as_bytes(),
        &number.to_be_bytes(),
        from.unwrap_or("").as_bytes(),
        to.as_bytes(),
        &at.as_micros().to_be_bytes(),
    ])
}
