//! Where a step stands in its journey's tree, and where it, or what comes next, stands in a changed tree (rule R10).

use std::ops::Range;

use crate::playbook::{Journey, Node, Verb};

/// The id of a wait without one until its target is known, and the beginning of it afterwards.
pub(crate) const WAIT: &str = "wait:";

/// Names each wait without an `id` after the step it leads to: its length is what people change, and what it waits
/// for is what it is. Before an `if` without an `id` that is the first step of its `then`.
pub(crate) fn name_waits(nodes: &mut [(Node, Range<usize>)]) {
    for index in 0..nodes.len() {
        if nodes[index].0.id == WAIT {
            nodes[index].0.id = format!("{WAIT}{}", leads_to(nodes, nodes[index].0.next));
        }
    }
}

fn leads_to(nodes: &[(Node, Range<usize>)], mut next: Option<usize>) -> &str {
    while let Some(index) = next {
        let node = &nodes[index].0;
        next = match &node.verb {
            Verb::Wait { .. } if node.id.starts_with(WAIT) => node.next,
            Verb::If { then, otherwise, .. } if node.id.contains(':') => {
                if *then == node.next {
                    *otherwise
                } else {
                    *then
                }
            }
            _ => return &node.id,
        };
    }
    "end"
}

/// Notes for each step which ways lead to it.
pub(crate) fn lay_branches(nodes: &mut [Node]) {
    if !nodes.is_empty() {
        lay(nodes, Some(0), None, &[]);
    }
}

fn lay(nodes: &mut [Node], first: Option<usize>, stop: Option<usize>, branch: &[(String, String)]) {
    let mut at = first;
    while at != stop {
        let Some(index) = at else { return };
        nodes[index].branch = branch.to_vec();
        let (id, next) = (nodes[index].id.clone(), nodes[index].next);
        let ways: Vec<(String, Option<usize>)> = match &nodes[index].verb {
            Verb::If { then, otherwise, .. } => vec![("then".into(), *then), ("else".into(), *otherwise)],
            Verb::Split { ways, .. } => ways.iter().map(|way| (way.name.clone(), way.first)).collect(),
            Verb::Wait { .. }
            | Verb::Send(_)
            | Verb::Call { .. }
            | Verb::Tag { .. }
            | Verb::Untag(_)
            | Verb::Exit(_) => Vec::new(),
        };
        for (way, first) in ways {
            let within: Vec<_> = branch.iter().cloned().chain([(id.clone(), way)]).collect();
            lay(nodes, first, next, &within);
        }
        at = next;
    }
}

/// The step of a changed journey at which a run goes on that stood at `step`; `None` = it has nowhere to go.
///
/// The same step, if it is there. For a wait that is named after what it leads to, the wait that has taken its place.
/// Else the first later step of the old order that the run has not `acted` on and that the new journey has in the
/// same or an outer branch. `old` is `None` when what the journey was is not known.
pub(crate) fn goes_on_at<'n>(
    old: Option<&Journey>,
    new: &'n Journey,
    step: &str,
    acted: impl Fn(&str) -> bool,
) -> Option<&'n Node> {
    let found = |id: &str| new.node(id).map(|index| &new.nodes[index]);
    if let Some(node) = found(step) {
        return Some(node);
    }
    let old = old?;
    let index = old.node(step)?;
    let stood = &old.nodes[index];
    if step.starts_with(WAIT)
        && let Some(node) = stands_in(old, new, index).filter(|node| !acted(&node.id))
    {
        return Some(node);
    }
    old.nodes[index + 1..]
        .iter()
        .filter(|later| stood.branch.starts_with(&later.branch) && !acted(&later.id))
        .filter_map(|later| found(&later.id))
        .find(|node| stood.branch.starts_with(&node.branch))
}

/// The wait that stands in a wait's place: first behind the same step of the same list, and not there before.
fn stands_in<'n>(old: &Journey, new: &'n Journey, index: usize) -> Option<&'n Node> {
    let branch = &old.nodes[index].branch;
    let list = || new.nodes.iter().filter(|node| node.branch == *branch);
    let before = old.nodes[..index].iter().rev().filter(|node| node.branch == *branch);
    let last = before.filter_map(|node| list().position(|other| other.id == node.id)).next();
    let node = list().nth(last.map_or(0, |last| last + 1))?;
    (node.id.starts_with(WAIT) && old.node(&node.id).is_none()).then_some(node)
}
