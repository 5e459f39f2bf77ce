//! Runs whose journey the files describe otherwise than when they last acted (rule R10): they follow, stay on what
//! they have, or end. Takes no step itself.

use std::sync::Arc;

use zyklus_model::{At, Delivery, DeliveryState, RunEnd, RunState};

use super::Work;
use super::advance::{blank, expiry};
use crate::place::{WAIT, goes_on_at};
use crate::playbook::{Journey, Node, OnChange, Verb};

impl<'a> Work<'a> {
    /// The definition a run goes on by, once it was brought there; `None` = it has ended.
    pub(super) fn follow(&mut self, index: usize, journey: &'a Journey) -> Option<&'a Journey> {
        let definition = &self.runs[index].definition;
        if *definition == journey.definition {
            return Some(journey);
        }
        let old = self.book.definitions.get(definition).map(Arc::as_ref);
        match (journey.on_change, old) {
            (OnChange::Exit, _) => {
                self.end_run(index, RunEnd::Exit, Some("its definition changed".into()));
                None
            }
            (OnChange::Finish, Some(old)) => Some(old),
            // What has given way stands still, and is brought over when its turn has come.
            (OnChange::Finish | OnChange::Follow, _) if self.runs[index].state == RunState::Waiting => {
                Some(journey)
            }
            // What it was is not known any more: the best that is left is what it is now.
            (OnChange::Finish, None) | (OnChange::Follow, _) => self.bring_over(index, old, journey),
        }
    }

    fn bring_over(
        &mut self,
        index: usize,
        old: Option<&Journey>,
        journey: &'a Journey,
    ) -> Option<&'a Journey> {
        let run = &self.runs[index];
        let Some(step) = run.position.step.clone() else {
            self.keep(index, journey);
            return Some(journey);
        };
        let acted = |id: &str| run.acted.iter().any(|(step, _)| step == id);
        let Some(node) = goes_on_at(old, journey, &step, acted) else {
            self.end_run(index, RunEnd::StepRemoved, Some(format!("step {step} is gone, and all behind it")));
            return None;
        };
        // What is due by the change alone is due now; what was overdue before it stays so (rule R9).
        let changed_at = run.position.due_at.map_or(self.now, |due_at| due_at.min(self.now));
        let is_same =
            node.id == step || step.starts_with(WAIT) && node.id.starts_with(WAIT) && !knows(old, node);
        let run = &mut self.runs.to_mut()[index];
        run.position.step = Some(node.id.clone());
        // A message of somebody held out waits for the end of quiet hours as a real one does.
        let was_message = old.and_then(|old| old.node(&step).map(|n| &old.nodes[n])).is_some_and(is_message);
        run.position.due_at = run.position.due_at.filter(|_| is_same && was_message && is_message(node));
        if !is_same {
            run.position.reached_at = run.position.reached_at.max(changed_at);
        }
        self.resumed_at = Some(changed_at);
        self.keep(index, journey);
        self.bring_message_over(index, node);
        Some(journey)
    }

    fn keep(&mut self, index: usize, journey: &Journey) {
        self.runs.to_mut()[index].definition.clone_from(&journey.definition);
        self.changed_runs[index] = true;
    }

    /// A message that is waiting says what its step says now; one whose step is gone, or where the run no longer
    /// stands, is taken back. What has been claimed already goes as it was prepared.
    fn bring_message_over(&mut self, index: usize, node: &Node) {
        let run = &self.runs[index];
        let pending: Vec<&Delivery> = self
            .snapshot
            .deliveries
            .iter()
            .filter(|d| d.run == Some(run.id) && d.state == DeliveryState::Pending)
            .collect();
        let (mut taken_back, mut rewritten) = (Vec::new(), Vec::new());
        for delivery in pending {
            if delivery.step != node.id || !is_message(node) {
                taken_back.push(delivery.id);
                continue;
            }
            let expires_at = expiry(&node.verb).after(run.position.reached_at, &self.zone);
            let fresh = blank(run, node, delivery.id, delivery.due_at, delivery.created_at);
            let fresh = Delivery { expires_at, attempt_count: delivery.attempt_count, ..fresh };
            if fresh != *delivery {
                rewritten.push(fresh);
            }
        }
        for id in taken_back {
            self.withdraw(id, DeliveryState::Cancelled, None);
        }
        self.rewritten.extend(rewritten);
    }

    /// From when what follows the first step a run takes counts, if it was brought over in this decision.
    pub(super) fn resumed(&mut self) -> At {
        self.resumed_at.take().unwrap_or(At::MIN)
    }
}

fn is_message(node: &Node) -> bool {
    matches!(node.verb, Verb::Send(_) | Verb::Call { .. })
}

fn knows(old: Option<&Journey>, node: &Node) -> bool {
    old.is_some_and(|old| old.node(&node.id).is_some())
}
