//! Everything the operator wrote, read and checked together: what `decide` decides by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zyklus_model::At;

use crate::condition::{Condition, Group, Named};
use crate::lifecycle::Lifecycle;
use crate::playbook::{Journey, Playbook, Start, Verb};
use crate::problem::{Problem, nearest};
use crate::settings::Settings;

/// Everything the operator wrote.
#[derive(Debug, Clone)]
pub struct Book {
    /// The lifecycle.
    pub lifecycle: Lifecycle,
    /// Journeys of all playbooks, highest priority first.
    pub journeys: Vec<Journey>,
    /// Rules for every journey.
    pub settings: Settings,
    /// Decimals of the reporting currency.
    pub decimals: u8,
    /// Since when each journey (by root id) starts runs; one that is missing starts none (rule R3).
    pub active_from: BTreeMap<String, At>,
    /// Products that cannot be bought now, by their id in the shop.
    pub sold_out: BTreeSet<String>,
}

impl Book {
    /// Puts the parts together and checks what they say of each other. Places of journeys are their `place`.
    ///
    /// # Errors
    /// Phases and journeys that are named and do not exist, ids used twice.
    pub fn assemble(
        lifecycle: Lifecycle,
        playbooks: Vec<Playbook>,
        settings: Settings,
        decimals: u8,
    ) -> Result<Self, Vec<Problem>> {
        let mut journeys: Vec<Journey> = playbooks.into_iter().flat_map(|p| p.journeys).collect();
        let mut problems = Vec::new();
        let ids: Vec<Arc<str>> = journeys.iter().map(|j| Arc::clone(&j.id)).collect();
        let phases: Vec<&str> = lifecycle.phases.iter().map(|p| &*p.id).collect();
        let mut roots: BTreeMap<&str, &str> = BTreeMap::new();
        for journey in &journeys {
            if let Some(other) = roots.insert(journey.root(), &journey.place) {
                problems.push(problem_in(
                    journey,
                    format!("there is another journey `{}`", journey.root()),
                    Some(format!("it stands at {other}; give one of them another name")),
                ));
            }
            if let Start::Phase(phase) | Start::Left(phase) = &journey.start
                && !phases.contains(&phase.as_str())
            {
                problems.push(unknown_phase(journey, phase, &lifecycle, &phases));
            }
            for condition in conditions(journey) {
                for reference in condition.references() {
                    match reference.named {
                        Named::Phase if !phases.contains(&&*reference.id) => {
                            problems.push(unknown_phase(journey, &reference.id, &lifecycle, &phases));
                        }
                        Named::Journey if !ids.contains(&reference.id) => {
                            let near = nearest(&reference.id, ids.iter().map(|id| &**id));
                            problems.push(problem_in(
                                journey,
                                format!(
                                    "a condition names the journey '{}', which does not exist",
                                    reference.id
                                ),
                                near.map(|near| format!("did you mean '{near}'?")),
                            ));
                        }
                        Named::Step if !names_step(journey, &reference.id) => {
                            let steps = journey.nodes.iter().map(|n| n.id.as_str());
                            let plain = steps.clone().filter_map(|id| id.strip_prefix("send:"));
                            let near = nearest(&reference.id, plain.chain(steps));
                            problems.push(problem_in(
                                journey,
                                format!(
                                    "a condition names the step '{}', which does not exist",
                                    reference.id
                                ),
                                near.map(|near| format!("did you mean '{near}'?")),
                            ));
                        }
                        Named::Phase | Named::Journey | Named::Step | Named::Event | Named::Tag => {}
                    }
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        journeys.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.id.cmp(&b.id)));
        Ok(Book {
            lifecycle,
            journeys,
            settings,
            decimals,
            active_from: BTreeMap::new(),
            sold_out: BTreeSet::new(),
        })
    }

    /// Whether any phase, segment or journey reads a group of fields.
    pub fn reads(&self, group: Group) -> bool {
        let phases = self.lifecycle.phases.iter().map(|p| &p.when);
        phases.chain(self.journeys.iter().flat_map(conditions)).any(|c| c.reads().contains(group))
    }

    /// The journey whose runs are kept under a root id.
    pub fn journey(&self, root: &str) -> Option<&Journey> {
        self.journeys.iter().find(|j| j.root() == root)
    }

    /// Templates the playbooks name, with the journey that does.
    pub fn templates(&self) -> Vec<(&str, &Journey)> {
        let mut templates = Vec::new();
        for journey in &self.journeys {
            for node in &journey.nodes {
                if let Verb::Send(send) = &node.verb {
                    templates.push((send.template.as_str(), journey));
                    templates.extend(send.fallback.as_deref().map(|f| (f, journey)));
                }
            }
        }
        templates
    }
}

fn names_step(journey: &Journey, name: &str) -> bool {
    journey.nodes.iter().any(|n| n.id == name || n.id.strip_prefix("send:") == Some(name))
}

/// Every condition of a journey.
fn conditions(journey: &Journey) -> Vec<&Condition> {
    let mut all: Vec<&Condition> = Vec::new();
    match &journey.start {
        Start::Event { filter, .. } => all.extend(filter),
        Start::Segment { condition, .. } => all.push(condition),
        Start::Phase(_) | Start::Left(_) | Start::Schedule { .. } | Start::Date { .. } => {}
    }
    all.extend(&journey.when);
    all.extend(&journey.exit);
    all.extend(journey.goal.as_ref().map(|g| &g.when));
    for node in &journey.nodes {
        match &node.verb {
            Verb::If { condition, .. } => all.push(condition),
            Verb::Wait { until, .. } => all.extend(until),
            Verb::Send(_)
            | Verb::Call { .. }
            | Verb::Split { .. }
            | Verb::Tag { .. }
            | Verb::Untag(_)
            | Verb::Exit(_) => {}
        }
    }
    all
}

fn unknown_phase(journey: &Journey, phase: &str, lifecycle: &Lifecycle, phases: &[&str]) -> Problem {
    let help = match nearest(phase, phases.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("the lifecycle `{}` has {}", lifecycle.id, phases.join(", ")),
    };
    problem_in(journey, format!("there is no phase \"{phase}\""), Some(help))
}

fn problem_in(journey: &Journey, message: String, help: Option<String>) -> Problem {
    let (file, line) = journey.place.rsplit_once(':').unwrap_or((&journey.place, "1"));
    Problem {
        file: file.into(),
        line: line.parse().unwrap_or(1),
        column: 1,
        span: 0..0,
        message: format!("journey `{}`: {message}", journey.id),
        help,
        is_warning: false,
    }
}
