//! Whether what tests name exists: journeys, phases, templates and actions, with the nearest right name. Runs nothing.

use zyklus_model::nearest;

use super::{Playtest, Wanted};
use crate::lifecycle::Lifecycle;
use crate::playbook::{Journey, Verb};
use crate::problem::Problem;

/// Every name in a test that leads nowhere.
pub(crate) fn unknown_names(tests: &[Playtest], lifecycle: &Lifecycle, journeys: &[Journey]) -> Vec<Problem> {
    let ids: Vec<&str> = journeys.iter().map(|j| &*j.id).collect();
    let mut problems = Vec::new();
    for test in tests {
        let named = test.journey.iter().chain(&test.beside);
        let unknown: Vec<Problem> = named
            .filter(|id| !ids.contains(&id.as_str()))
            .map(|id| missing(&test.place, test, "there is no journey", id, &ids))
            .collect();
        if !unknown.is_empty() {
            problems.extend(unknown);
            continue;
        }
        let tested: Vec<&Journey> = journeys.iter().filter(|j| is_tested(test, &j.id)).collect();
        for expect in &test.expect {
            let at = |what: &str, id: &str, known: &[&str]| {
                (!known.contains(&id)).then(|| missing(&expect.place, test, what, id, known))
            };
            problems.extend(match &expect.what {
                Wanted::Send(template) => {
                    let known = templates(&tested);
                    let is_open = known.iter().any(|known| known.contains("{{"));
                    if is_open { None } else { at("the journey sends no", template, &known) }
                }
                Wanted::Call(action) => {
                    let known = actions(&tested);
                    let known: Vec<&str> = known.iter().map(String::as_str).collect();
                    at("the journey calls no", action, &known)
                }
                Wanted::Phase(phase) => {
                    let known: Vec<&str> = lifecycle.phases.iter().map(|p| &*p.id).collect();
                    at("there is no phase", phase, &known)
                }
                Wanted::Goal(id) | Wanted::Exit(id) | Wanted::Ended(id) => {
                    let known: Vec<&str> = tested.iter().map(|j| &*j.id).collect();
                    let without_goal = matches!(expect.what, Wanted::Goal(_))
                        && tested.iter().any(|j| *j.id == **id && j.goal.is_none());
                    if without_goal {
                        let message = format!("test \"{}\": the journey `{id}` has no goal", test.name);
                        Some(Problem { message, ..expect.place.clone() })
                    } else {
                        at("the test has no journey", id, &known)
                    }
                }
                Wanted::Tag(_) | Wanted::Untag(_) | Wanted::Nothing => None,
            });
        }
    }
    problems
}

/// Whether a test is about a journey.
pub(super) fn is_tested(test: &Playtest, journey: &str) -> bool {
    match &test.journey {
        None => true,
        Some(id) => id == journey || test.beside.iter().any(|beside| beside == journey),
    }
}

fn templates<'j>(journeys: &[&'j Journey]) -> Vec<&'j str> {
    let nodes = journeys.iter().flat_map(|j| &j.nodes);
    nodes
        .flat_map(|node| match &node.verb {
            Verb::Send(send) => vec![send.template.as_str()],
            _ => Vec::new(),
        })
        .collect()
}

fn actions(journeys: &[&Journey]) -> Vec<String> {
    let nodes = journeys.iter().flat_map(|j| &j.nodes);
    nodes
        .filter_map(|node| match &node.verb {
            Verb::Call { connector, action, .. } => Some(format!("{connector}.{action}")),
            _ => None,
        })
        .collect()
}

fn missing(place: &Problem, test: &Playtest, what: &str, id: &str, known: &[&str]) -> Problem {
    let help = match nearest(id, known.iter().copied()) {
        Some(near) => Some(format!("did you mean \"{near}\"?")),
        None if known.is_empty() => None,
        None => {
            let mut known = known.to_vec();
            known.sort_unstable();
            known.dedup();
            Some(format!("known are {}", known.join(", ")))
        }
    };
    let message = format!("test \"{}\": {what} \"{id}\"", test.name);
    Problem { message, help, ..place.clone() }
}
