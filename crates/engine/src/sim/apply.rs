//! Applies a decision to a life exactly as the store applies it to its tables, fence included. Never decides.

use zyklus_model::{At, Decision, Delivery, DeliveryState, Run, RunEnd, RunState, Tag, TagChange};

use super::{Happening, Life, Watch};
use crate::book::Book;
use crate::guards::{Permit, permits};
use crate::playbook::GOAL_STEP;

/// The source of labels that journeys put on.
const BY_JOURNEY: &str = "journey";

impl Life {
    /// Applies a decision; `false` when another evaluation came first, and then nothing of it is applied.
    pub fn apply(&mut self, book: &Book, mut decision: Decision, watch: &mut Watch<'_>) -> bool {
        let mark = &self.snapshot.mark;
        let is_current = mark.seq == decision.seq;
        // A first evaluation has no instant to be told by: anything new overtakes it.
        if mark.evaluated_at != decision.evaluated_before || mark.evaluated_at.is_none() && !is_current {
            return false;
        }
        let now = decision.now;
        self.apply_phases(&mut decision, watch);
        // What a guard moved to a later time is told with the guard's word, as of before the decision.
        let moved =
            decision.deliveries.iter().filter(|d| d.state == DeliveryState::Pending && d.due_at > now);
        let reasons: Vec<_> = moved
            .filter_map(|delivery| match permits(book, &self.snapshot, delivery, now) {
                Permit::Delay(_, reason) => Some((delivery.id, reason)),
                Permit::Go | Permit::Refuse(_) => None,
            })
            .collect();
        for run in decision.runs {
            self.apply_run(run, now, watch);
        }
        for delivery in decision.deliveries {
            if self.snapshot.deliveries.iter().any(|d| d.id == delivery.id) {
                continue;
            }
            let reason = reasons.iter().find(|(id, _)| *id == delivery.id).map(|(_, reason)| *reason);
            match (delivery.state, reason) {
                (DeliveryState::Pending, Some(reason)) => watch(now, Happening::Delayed(&delivery, reason)),
                (DeliveryState::Pending, None) => {}
                (state, _) => watch(now, told(&delivery, state)),
            }
            self.snapshot.deliveries.push(delivery);
        }
        for fresh in decision.rewritten {
            let pending = |d: &&mut Delivery| d.id == fresh.id && d.state == DeliveryState::Pending;
            if let Some(delivery) = self.snapshot.deliveries.iter_mut().find(pending) {
                *delivery = fresh;
            }
        }
        for change in &decision.withdrawals {
            let pending = |d: &&mut Delivery| d.id == change.delivery && d.state == DeliveryState::Pending;
            if let Some(delivery) = self.snapshot.deliveries.iter_mut().find(pending) {
                (delivery.state, delivery.reason) = (change.state, change.reason);
                delivery.done_at = Some(change.at);
                watch(now, told(delivery, change.state));
            }
        }
        self.snapshot.runs.sort_by_key(|r| (r.started_at, r.id));
        self.snapshot.deliveries.sort_by_key(|d| (d.created_at, d.id));
        self.apply_tags(&decision.tags, now, watch);
        let mark = &mut self.snapshot.mark;
        // Grows with every evaluation, so that it fences even two within one microsecond.
        mark.evaluated_at = Some(mark.evaluated_at.map_or(now, |at| now.max(at.plus_micros(1))));
        if is_current {
            mark.due_at = decision.revisit_at.unwrap_or(At::MAX);
            (mark.live_pending, mark.history_pending) = (false, false);
        }
        true
    }

    fn apply_phases(&mut self, decision: &mut Decision, watch: &mut Watch<'_>) {
        if decision.rewrites_history {
            let lifecycle = decision.phase.as_ref().map(|p| &p.lifecycle);
            let lifecycle = lifecycle.or_else(|| decision.transitions.first().map(|t| &t.lifecycle));
            self.transitions.retain(|t| Some(&t.lifecycle) != lifecycle);
            watch(decision.now, Happening::HistoryRewritten);
        }
        for transition in std::mem::take(&mut decision.transitions) {
            if !self.transitions.iter().any(|t| t.id == transition.id) {
                watch(decision.now, Happening::Moved(&transition));
                self.transitions.push(transition);
            }
        }
        if let Some(phase) = decision.phase.take() {
            self.snapshot.phase = Some(phase);
        }
        if let Some(segments) = decision.segments.take() {
            self.snapshot.segments = segments;
        }
    }

    fn apply_run(&mut self, run: Run, now: At, watch: &mut Watch<'_>) {
        let known = self.snapshot.runs.iter().position(|r| r.id == run.id);
        let (was_live, had_goal) = match known.map(|index| &self.snapshot.runs[index]) {
            Some(known) => (known.state == RunState::Live, reached_goal(known)),
            None => {
                watch(now, Happening::Started(&run));
                (true, false)
            }
        };
        if reached_goal(&run) && !had_goal {
            watch(now, Happening::GoalReached(&run));
        }
        if was_live && run.state == RunState::Ended {
            watch(now, Happening::Ended(&run));
        }
        match known {
            Some(index) => self.snapshot.runs[index] = run,
            None => self.snapshot.runs.push(run),
        }
    }

    fn apply_tags(&mut self, changes: &[TagChange], now: At, watch: &mut Watch<'_>) {
        if changes.is_empty() {
            return;
        }
        let tags = &mut self.snapshot.tags;
        for change in changes {
            watch(now, Happening::Tagged(change));
            tags.retain(|t| t.tag != change.tag || t.source != BY_JOURNEY);
            if change.on {
                let (tag, source) = (change.tag.clone(), BY_JOURNEY.to_owned());
                tags.push(Tag { tag, since: change.at, until: change.until, source });
            }
        }
        tags.sort_by(|a, b| (&a.source, &a.tag).cmp(&(&b.source, &b.tag)));
    }
}

fn reached_goal(run: &Run) -> bool {
    run.end == Some(RunEnd::Goal) || run.acted.iter().any(|(step, _)| step == GOAL_STEP)
}

/// What is told of a delivery that is not waiting.
fn told(delivery: &Delivery, state: DeliveryState) -> Happening<'_> {
    match state {
        DeliveryState::Shadow => Happening::Shown(delivery),
        DeliveryState::Cancelled => Happening::Withdrawn(delivery),
        _ => Happening::Refused(delivery),
    }
}
