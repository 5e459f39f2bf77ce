//! Runs that cannot all go on at once: those that wait behind another (rule R6), those of one group (rule R13), and
//! those of two customers who turned out to be one (rule R20). Takes no step.

use zyklus_model::consent::SuppressionReason;
use zyklus_model::{DeliveryState, GuardReason, Run, RunEnd, RunState};

use super::Work;
use crate::facts::handed_over;
use crate::playbook::{Journey, Mode, Overlap, SENT_BEFORE, Yield};

impl Work<'_> {
    /// Whether the customer was erased on request: then nothing is decided for them any more.
    pub(super) fn is_erased(&self) -> bool {
        self.snapshot.suppressions.iter().any(|s| s.reason == SuppressionReason::Erased)
    }

    /// Ends all runs of somebody who was erased, ghosts and those that wait among them (rule R20).
    pub(super) fn end_all(&mut self) {
        for index in 0..self.runs.len() {
            if self.runs[index].state != RunState::Ended {
                self.end_run(index, RunEnd::Erased, None);
            }
        }
    }

    /// Whether a run of a journey and key has begun and is not over.
    pub(super) fn goes_on(&self, root: &str, key: &str) -> bool {
        self.runs.iter().any(|r| r.state.goes_on() && r.journey == root && r.key == key)
    }

    /// Two customers became one: of two runs of one journey and key the older lives, the other ends. What either has
    /// sent is not sent again.
    pub(super) fn settle_merged(&mut self) {
        let mut order: Vec<usize> =
            (0..self.runs.len()).filter(|i| self.runs[*i].state != RunState::Ended).collect();
        order.sort_by_key(|i| (self.runs[*i].started_at, self.runs[*i].id));
        // Also what a run of the other half has sent that is over by now.
        for kept in order.iter().filter(|i| self.runs[**i].state.goes_on()).copied().collect::<Vec<_>>() {
            for other in 0..self.runs.len() {
                let (a, b) = (&self.runs[kept], &self.runs[other]);
                if b.ended_at.is_some_and(|at| at >= a.started_at) && were_two(a, b) {
                    self.unite(kept, other);
                }
            }
        }
        for kind in [RunState::goes_on as fn(RunState) -> bool, |state| state == RunState::Queued] {
            for (place, elder) in order.iter().enumerate() {
                for younger in &order[place + 1..] {
                    let (a, b) = (&self.runs[*elder], &self.runs[*younger]);
                    if kind(a.state) && kind(b.state) && were_two(a, b) && !self.goes_in_parallel(a) {
                        self.fold(*elder, *younger);
                    }
                }
            }
        }
    }

    fn goes_in_parallel(&self, run: &Run) -> bool {
        self.book.journey(&run.journey).is_some_and(|j| j.overlap == Overlap::Parallel)
    }

    fn fold(&mut self, elder: usize, younger: usize) {
        self.unite(elder, younger);
        let since = self.runs[elder].started_at;
        self.end_run(younger, RunEnd::Merged, Some(format!("the run since {since} goes on")));
    }

    /// What another run of the journey has sent since this one began is not sent again by this one.
    fn unite(&mut self, kept: usize, other: usize) {
        let (id, from, since) = (self.runs[kept].id, self.runs[other].id, self.runs[kept].started_at);
        let handed_over = self
            .snapshot
            .deliveries
            .iter()
            .filter(|d| d.run == Some(from) && d.state.counts() && handed_over(d) >= since);
        for step in handed_over.map(|d| d.step.clone()).collect::<Vec<_>>() {
            if self.runs[kept].acted.iter().any(|(known, _)| *known == step) {
                continue;
            }
            let its = self.snapshot.deliveries.iter().find(|d| d.run == Some(id) && d.step == step);
            match its.map(|d| (d.id, d.state)) {
                Some((pending, DeliveryState::Pending)) => {
                    self.withdraw(pending, DeliveryState::Refused, Some(GuardReason::AlreadySent));
                }
                // On its way: what becomes of it is noted when it is known.
                Some((_, DeliveryState::Sending)) => continue,
                _ => {}
            }
            self.runs.to_mut()[kept].acted.push((step, SENT_BEFORE.to_owned()));
            self.changed_runs[kept] = true;
        }
    }

    /// What waited goes on or begins where its turn has come: first what has given way, then what is queued.
    pub(super) fn take_turns(&mut self) {
        let book = self.book;
        let mut waiting: Vec<usize> = (0..self.runs.len())
            .filter(|i| matches!(self.runs[*i].state, RunState::Waiting | RunState::Queued))
            .collect();
        waiting.sort_by_key(|i| {
            let run = &self.runs[*i];
            let priority = book.journey(&run.journey).map_or(0, |j| j.priority);
            let began = run.state == RunState::Waiting;
            (!began, std::cmp::Reverse(priority), run.started_at, run.id)
        });
        for index in waiting {
            let Some(journey) = book.journey(&self.runs[index].journey) else { continue };
            if journey.mode == Mode::Off || self.was_shadow(journey, &self.runs[index]) {
                continue;
            }
            let key = self.runs[index].key.clone();
            if self.runs[index].state == RunState::Waiting {
                if self.rivals(journey, &key).is_empty() {
                    self.resume(index);
                }
            } else if !self.goes_on(journey.root(), &key) && self.group_taken(journey, &key).is_none() {
                self.begin(index, journey);
            }
        }
    }

    /// A run goes on where it stood: the time it stood still is no part of its waits.
    fn resume(&mut self, index: usize) {
        let now = self.now;
        let run = &mut self.runs.to_mut()[index];
        run.state = RunState::Live;
        if let Some(since) = run.yielded_at {
            let stood = now.micros_since(since).max(0);
            run.position.reached_at = run.position.reached_at.plus_micros(stood);
        }
        self.changed_runs[index] = true;
    }

    /// A queued run begins; `when` was judged when it was put into the queue.
    fn begin(&mut self, index: usize, journey: &Journey) {
        self.make_way(journey);
        let now = self.now;
        let run = &mut self.runs.to_mut()[index];
        run.state = RunState::Live;
        run.started_at = now;
        run.definition.clone_from(&journey.definition);
        run.position.step = journey.nodes.first().map(|n| n.id.clone());
        run.position.reached_at = now;
        self.changed_runs[index] = true;
        self.draw(index, journey);
    }

    /// The live runs that share the journey's group, other than the one a restart of this key would end.
    pub(super) fn rivals(&self, journey: &Journey, key: &str) -> Vec<(usize, &Journey)> {
        let Some(group) = &journey.group else { return Vec::new() };
        let book = self.book;
        let live = self.runs.iter().enumerate().filter(|(_, r)| r.state == RunState::Live);
        live.filter_map(|(index, run)| {
            let other = book.journey(&run.journey)?;
            let restarts =
                journey.overlap == Overlap::Restart && other.root() == journey.root() && run.key == key;
            let shares = other.group.as_ref() == Some(group) && other.mode != Mode::Shadow;
            (shares && !restarts).then_some((index, other))
        })
        .collect()
    }

    /// The journey whose run keeps the journey's group from another one: one of at least its priority.
    pub(super) fn group_taken(&self, journey: &Journey, key: &str) -> Option<String> {
        let rivals = self.rivals(journey, key);
        let taken = rivals
            .iter()
            .find(|(_, other)| other.priority >= journey.priority || journey.mode == Mode::Shadow)?;
        Some(taken.1.root().to_owned())
    }

    /// Live runs of the group with a lower priority make way for one that begins.
    pub(super) fn make_way(&mut self, journey: &Journey) {
        if journey.mode == Mode::Shadow {
            return;
        }
        let rivals: Vec<(usize, Yield)> = self
            .rivals(journey, "")
            .into_iter()
            .filter(|(_, other)| other.priority < journey.priority)
            .map(|(index, other)| (index, other.gives_way))
            .collect();
        for (index, gives_way) in rivals {
            match gives_way {
                Yield::End => {
                    let reason = format!("`{}` of its group began", journey.id);
                    self.end_run(index, RunEnd::GaveWay, Some(reason));
                }
                Yield::Wait => {
                    let now = self.now;
                    let run = &mut self.runs.to_mut()[index];
                    run.state = RunState::Waiting;
                    run.yielded_at = Some(now);
                    run.position.due_at = None;
                    self.changed_runs[index] = true;
                }
            }
        }
    }
}

/// Whether two runs of one journey and key began for two customers who are one now.
fn were_two(a: &Run, b: &Run) -> bool {
    a.journey == b.journey && a.key == b.key && a.began_for != b.began_for
}
