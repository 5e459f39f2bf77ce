//! Runs going on: goal, exit, then steps, in that order at one instant (rules R7 to R9, R12, R17).

use serde_json::{Map, Value as Json};
use zyklus_model::{
    At, Delivery, DeliveryId, DeliveryKind, DeliveryState, GuardReason, Purpose, Run, RunEnd, RunState,
    TagChange,
};

use super::Work;
use crate::course::{Course, facts_of};
use crate::guards::{Permit, admits, is_tester, quiet_end, refuses};
use crate::hours::best_hour;
use crate::playbook::{Daytime, GOAL_STEP, Journey, Mode, Node, Verb};
use crate::wait::Length;

/// What a step came to.
pub(super) enum Step {
    /// On to the next, reached at that instant, with a word on what happened.
    Done { next: Option<usize>, reached_at: At, outcome: String },
    /// Stays here until then (or until a fact arrives).
    Stay { due_at: Option<At> },
    /// The run ends.
    End { reason: String },
}

impl Work<'_> {
    pub(super) fn advance_runs(&mut self) {
        for index in 0..self.runs.len() {
            match self.runs[index].state {
                RunState::Live | RunState::Waiting => self.advance(index),
                RunState::Queued => self.keep_queued(index),
                RunState::Ended => self.look_back(index),
            }
        }
    }

    /// What is still to begin ends with its journey, and with shadow mode.
    fn keep_queued(&mut self, index: usize) {
        let book = self.book;
        match book.journey(&self.runs[index].journey) {
            None => self.end_run(index, RunEnd::Removed, Some("the journey is gone from the files".into())),
            Some(journey) if self.was_shadow(journey, &self.runs[index]) => {
                self.end_run(index, RunEnd::Removed, Some("it ran in shadow mode".into()));
            }
            Some(_) => {}
        }
    }

    fn advance(&mut self, index: usize) {
        let book = self.book;
        let Some(journey) = book.journey(&self.runs[index].journey) else {
            self.end_run(index, RunEnd::Removed, Some("the journey is gone from the files".into()));
            return;
        };
        if journey.mode == Mode::Off {
            return;
        }
        if self.was_shadow(journey, &self.runs[index]) {
            self.end_run(index, RunEnd::Removed, Some("it ran in shadow mode".into()));
            return;
        }
        self.resumed_at = None;
        let Some(journey) = self.follow(index, journey) else { return };
        if self.goal_reached(index, journey) {
            if journey.goal.as_ref().is_some_and(|goal| goal.stay) {
                self.mark_goal(index);
            } else {
                self.end_run(index, RunEnd::Goal, None);
                return;
            }
        }
        let verdict = self.course().exits(journey, &self.runs[index]);
        if verdict.value {
            self.end_run(index, RunEnd::Exit, Some("the exit condition holds".into()));
            return;
        }
        self.revisit(verdict.revisit_at);
        if self.runs[index].state == RunState::Live {
            self.take_steps(index, journey);
        }
    }

    /// Whether goal or exit would end a run at once.
    pub(super) fn is_over(&mut self, index: usize, journey: &Journey) -> bool {
        self.course().exits(journey, &self.runs[index]).value || self.goal_reached(index, journey)
    }

    /// A goal reached within its window counts after the last step and after an exit too (rule R17).
    fn look_back(&mut self, index: usize) {
        let run = &self.runs[index];
        if !matches!(run.end, Some(RunEnd::Completed | RunEnd::Exit | RunEnd::StepRemoved)) {
            return;
        }
        let Some(journey) = self.book.journey(&run.journey).filter(|j| j.mode != Mode::Off) else { return };
        if self.goal_reached(index, journey) {
            self.mark_goal(index);
        }
    }

    fn mark_goal(&mut self, index: usize) {
        self.runs.to_mut()[index].acted.push((GOAL_STEP.into(), "reached".into()));
        self.changed_runs[index] = true;
    }

    fn take_steps(&mut self, index: usize, journey: &Journey) {
        // A tree is walked at most once from its root to a leaf.
        for _ in 0..=journey.nodes.len() {
            let Some(step) = self.runs[index].position.step.clone() else {
                self.end_run(index, RunEnd::Completed, None);
                return;
            };
            let Some(node) = journey.node(&step).map(|n| &journey.nodes[n]) else {
                self.end_run(index, RunEnd::StepRemoved, Some(format!("step {step} is gone")));
                return;
            };
            // A step taken once in this run never acts again, wherever the file moves it (rule R10).
            if self.runs[index].acted.iter().any(|(step, _)| *step == node.id) {
                self.runs.to_mut()[index].position.step = node.next.map(|n| journey.nodes[n].id.clone());
                self.changed_runs[index] = true;
                continue;
            }
            match self.step(index, journey, node) {
                Step::Done { next, reached_at, outcome } => {
                    let run = &mut self.runs.to_mut()[index];
                    run.acted.push((node.id.clone(), outcome));
                    run.definition.clone_from(&journey.definition);
                    run.position.step = next.map(|n| journey.nodes[n].id.clone());
                    run.position.reached_at = reached_at;
                    run.position.due_at = None;
                    self.changed_runs[index] = true;
                    // What follows sees a label only when it has been put on.
                    let labels = matches!(node.verb, Verb::Tag { .. } | Verb::Untag(_));
                    if labels && !self.runs[index].ghost && next.is_some() {
                        self.revisit(Some(self.now));
                        return;
                    }
                }
                Step::Stay { due_at } => {
                    // Most stay as they were, and nothing is copied for them.
                    if self.runs[index].position.due_at != due_at {
                        self.runs.to_mut()[index].position.due_at = due_at;
                        self.changed_runs[index] = true;
                    }
                    return;
                }
                Step::End { reason } => {
                    self.runs.to_mut()[index].acted.push((node.id.clone(), "exit".into()));
                    self.end_run(index, RunEnd::Exit, Some(reason));
                    return;
                }
            }
        }
    }

    pub(super) fn step(&mut self, index: usize, journey: &Journey, node: &Node) -> Step {
        let reached_at = self.runs[index].position.reached_at;
        let resumed_at = self.resumed();
        let done = |next, outcome: &str| Step::Done { next, reached_at, outcome: outcome.to_owned() };
        match &node.verb {
            Verb::Wait { length, at, until } => {
                let time = at.and_then(|at| match at {
                    Daytime::At(time) => Some(time),
                    Daytime::Best => best_hour(self.book, self.snapshot, &self.zone, reached_at),
                });
                let due_at = match time {
                    Some(time) => length.after_at(reached_at, time, &self.zone),
                    None => length.after(reached_at, &self.zone),
                };
                if let Some(until) = until {
                    let run = &self.runs[index];
                    let verdict = until.eval(&self.view(facts_of(journey, run)), self.now);
                    if verdict.value {
                        let reached_at = self.now.min(due_at).max(reached_at).max(resumed_at);
                        return Step::Done { next: node.next, reached_at, outcome: "until".into() };
                    }
                    self.revisit(verdict.revisit_at);
                }
                if self.now >= due_at {
                    let outcome = if until.is_some() { "timed-out" } else { "waited" };
                    let reached_at = due_at.max(resumed_at);
                    return Step::Done { next: node.next, reached_at, outcome: outcome.into() };
                }
                self.revisit(Some(due_at));
                Step::Stay { due_at: Some(due_at) }
            }
            Verb::If { condition, then, otherwise } => {
                let run = &self.runs[index];
                if condition.eval(&self.view(facts_of(journey, run)), self.now).value {
                    done(*then, "then")
                } else {
                    done(*otherwise, "else")
                }
            }
            Verb::Split { ways, again, .. } => match self.take_way(index, journey, node, ways, *again) {
                Some((way, drawn)) => done(way.first, &drawn.to_string()),
                None => done(node.next, "no way"),
            },
            Verb::Tag { tag, lasts } => {
                if !self.runs[index].ghost {
                    let until = lasts.map(|l| l.after(reached_at, &self.zone));
                    self.tags.push(TagChange { tag: tag.clone(), on: true, at: reached_at, until });
                }
                done(node.next, "tagged")
            }
            Verb::Untag(tag) => {
                if !self.runs[index].ghost {
                    self.tags.push(TagChange { tag: tag.clone(), on: false, at: reached_at, until: None });
                }
                done(node.next, "untagged")
            }
            Verb::Exit(reason) => Step::End { reason: reason.clone() },
            Verb::Send(_) | Verb::Call { .. } => self.act(index, journey, node, reached_at),
        }
    }

    /// A step that leaves the house: decided once, then waited for.
    fn act(&mut self, index: usize, journey: &Journey, node: &Node, reached_at: At) -> Step {
        let run = &self.runs[index];
        let id = delivery_id(run, &node.id);
        let known = self.rewritten.iter().chain(&self.snapshot.deliveries).find(|d| d.id == id);
        if let Some(delivery) = known {
            let book = self.book;
            let delivery = delivery.clone();
            return match delivery.state {
                DeliveryState::Pending => {
                    // Withdrawn only if nobody has claimed it meanwhile: what became of it is seen next.
                    let refused = refuses(book, self.snapshot, &delivery, self.now);
                    let withdrawn = match refused {
                        Some(GuardReason::Expired) => Some(DeliveryState::Expired),
                        Some(_) => Some(DeliveryState::Refused),
                        None => self.only_shown(journey, &delivery).map(|_| DeliveryState::Cancelled),
                    };
                    match withdrawn {
                        Some(state) => {
                            self.withdraw(id, state, refused);
                            self.revisit(Some(self.now));
                        }
                        None => self.revisit(Some(delivery.expires_at.plus_micros(1))),
                    }
                    Step::Stay { due_at: None }
                }
                DeliveryState::Sending => Step::Stay { due_at: None },
                state => {
                    let at = if delivery.reason == Some(GuardReason::Missed) || state == DeliveryState::Shadow
                    {
                        reached_at
                    } else {
                        // One that was taken back before its step came again took no time.
                        delivery.done_at.unwrap_or(self.now).max(reached_at)
                    };
                    Step::Done { next: node.next, reached_at: at, outcome: outcome_of(&delivery).to_owned() }
                }
            };
        }
        let delivery = self.decide_delivery(index, journey, node, id, reached_at);
        if delivery.done_at.is_some_and(|at| at > self.now) {
            // Somebody held out waits for the end of quiet hours as everybody does, and what they would have got is
            // recorded then.
            self.revisit(delivery.done_at);
            return Step::Stay { due_at: delivery.done_at };
        }
        let step = match delivery.state {
            DeliveryState::Pending => {
                self.revisit(Some(delivery.expires_at.plus_micros(1)));
                Step::Stay { due_at: None }
            }
            _ => {
                let at = delivery.done_at.unwrap_or(reached_at);
                Step::Done { next: node.next, reached_at: at, outcome: outcome_of(&delivery).to_owned() }
            }
        };
        self.deliveries.push(delivery);
        step
    }

    fn decide_delivery(
        &self,
        index: usize,
        journey: &Journey,
        node: &Node,
        id: DeliveryId,
        reached_at: At,
    ) -> Delivery {
        let run = &self.runs[index];
        let mut delivery = blank(run, node, id, reached_at, self.now);
        delivery.expires_at = expiry(&node.verb).after(reached_at, &self.zone);
        let refuse = |mut delivery: Delivery, state, reason, at| {
            (delivery.state, delivery.reason, delivery.done_at) = (state, reason, Some(at));
            delivery
        };
        // Rule R9: too late to act; the next wait counts from when this step was due, so that nothing bunches.
        if self.now > delivery.expires_at {
            return refuse(delivery, DeliveryState::Refused, Some(GuardReason::Missed), reached_at);
        }
        let shown = self.only_shown(journey, &delivery);
        let refused = refuses(self.book, self.snapshot, &delivery, self.now);
        let held = refused.filter(|r| matches!(r, GuardReason::GlobalHoldout | GuardReason::JourneyHoldout));
        // What would be sent, and why it is only recorded.
        let recorded = match (refused, held, shown) {
            (Some(_), None, _) => None,
            (_, _, Some(reason)) => Some(reason),
            (_, Some(reason), None) => Some(Some(reason)),
            // A run that only shows what it would do has no other reason, whatever the mode is by now (rule R19).
            (None, None, None) => run.ghost.then_some(run.held.map(GuardReason::from)),
        };
        if let Some(reason) = recorded {
            // When it would have gone: with the end of quiet hours it has waited for so far, and late where it is looked
            // at late; the next wait counts from then.
            let quiet = |from| quiet_end(self.book, &delivery, from, &self.zone);
            let waits = run.position.due_at.filter(|at| *at > self.now);
            let at = waits.or_else(|| quiet(self.now)).unwrap_or(self.now);
            return if at > self.now && at >= delivery.expires_at {
                refuse(delivery, DeliveryState::Refused, Some(GuardReason::QuietHours), self.now)
            } else {
                refuse(delivery, DeliveryState::Shadow, reason, at)
            };
        }
        if let Some(reason) = refused {
            return refuse(delivery, DeliveryState::Refused, Some(reason), self.now);
        }
        match admits(self.book, self.snapshot, &delivery, self.now) {
            Permit::Go => delivery,
            Permit::Delay(until, reason) => Delivery { due_at: until, reason: Some(reason), ..delivery },
            Permit::Refuse(reason) => refuse(delivery, DeliveryState::Refused, Some(reason), self.now),
        }
    }

    /// Whether the journey's mode only shows what it would do (rule R19), and the reason noted for it.
    fn only_shown(&self, journey: &Journey, delivery: &Delivery) -> Option<Option<GuardReason>> {
        match journey.mode {
            Mode::Live | Mode::Off => None,
            Mode::Shadow => Some(None),
            Mode::Test => {
                (!is_tester(self.book, self.snapshot, delivery)).then_some(Some(GuardReason::TestMode))
            }
        }
    }

    fn goal_reached(&mut self, index: usize, journey: &Journey) -> bool {
        let verdict = self.course().reaches_goal(journey, &self.runs[index]);
        self.revisit(verdict.revisit_at);
        verdict.value
    }

    fn course(&self) -> Course<'_> {
        Course {
            book: self.book,
            snapshot: self.snapshot,
            runs: &self.runs,
            standing: self.standing.as_ref(),
            zone: &self.zone,
            now: self.now,
        }
    }

    pub(super) fn end_run(&mut self, index: usize, end: RunEnd, reason: Option<String>) {
        let run = &mut self.runs.to_mut()[index];
        run.state = RunState::Ended;
        run.end = Some(end);
        run.end_reason = reason;
        run.ended_at = Some(self.now);
        run.position.due_at = None;
        self.changed_runs[index] = true;
        let id = run.id;
        for delivery in &mut self.deliveries {
            if delivery.run == Some(id) && delivery.state == DeliveryState::Pending {
                (delivery.state, delivery.done_at) = (DeliveryState::Cancelled, Some(self.now));
            }
        }
        let pending: Vec<DeliveryId> = self
            .snapshot
            .deliveries
            .iter()
            .filter(|d| d.run == Some(id) && d.state == DeliveryState::Pending)
            .map(|d| d.id)
            .collect();
        for delivery in pending {
            self.withdraw(delivery, DeliveryState::Cancelled, None);
        }
    }
}

/// What a step came to, as the run notes it: a message that was refused leaves the guard's word (rule R14).
fn outcome_of(delivery: &Delivery) -> &'static str {
    match (delivery.state, delivery.reason) {
        (state, _) if state.counts() => "sent",
        (DeliveryState::Refused, Some(reason)) => reason.as_str(),
        (state, _) => state.as_str(),
    }
}

/// The id of what a run does at a step: decided again, it is the same.
pub(crate) fn delivery_id(run: &Run, step: &str) -> DeliveryId {
    DeliveryId::derive(&[run.id.uuid().as_bytes(), step.as_bytes()])
}

pub(super) fn expiry(verb: &Verb) -> Length {
    match verb {
        Verb::Send(send) => send.expires,
        Verb::Call { expires, .. } => *expires,
        Verb::Wait { .. }
        | Verb::If { .. }
        | Verb::Split { .. }
        | Verb::Tag { .. }
        | Verb::Untag(_)
        | Verb::Exit(_) => Length::hours(24),
    }
}

pub(super) fn blank(run: &Run, node: &Node, id: DeliveryId, due_at: At, now: At) -> Delivery {
    let mut payload = Map::new();
    payload.insert("event".into(), Json::Object(run.event.clone()));
    payload.insert("key".into(), Json::from(run.key.as_str()));
    let with = |with: &std::collections::BTreeMap<String, Json>| {
        Json::Object(with.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
    };
    let mut delivery = Delivery {
        id,
        customer: run.customer,
        run: Some(run.id),
        journey: run.journey.clone(),
        step: node.id.clone(),
        kind: DeliveryKind::Action,
        channel: None,
        connector: None,
        target: String::new(),
        purpose: Purpose::Transactional,
        capped: false,
        state: DeliveryState::Pending,
        reason: None,
        outranked_by: None,
        created_at: now,
        due_at,
        expires_at: due_at,
        done_at: None,
        attempt_count: 0,
        payload: Json::Null,
    };
    match &node.verb {
        Verb::Send(send) => {
            delivery.kind = DeliveryKind::Message;
            delivery.channel = Some(send.channel);
            delivery.target.clone_from(&send.template);
            delivery.purpose = send.purpose;
            delivery.capped = send.capped;
            payload.insert("with".into(), with(&send.with));
            if let Some(fallback) = &send.fallback {
                payload.insert("fallback".into(), Json::from(fallback.as_str()));
            }
        }
        Verb::Call { connector, action, with: input, .. } => {
            delivery.connector = Some(connector.clone());
            delivery.target.clone_from(action);
            payload.insert("with".into(), with(input));
        }
        Verb::Wait { .. }
        | Verb::If { .. }
        | Verb::Split { .. }
        | Verb::Tag { .. }
        | Verb::Untag(_)
        | Verb::Exit(_) => {}
    }
    delivery.payload = Json::Object(payload);
    delivery
}
