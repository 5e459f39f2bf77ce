//! Names that several files share: tags and events. A shop and a connector can bring their own, so that only a name
//! that is nearly a known one is doubtful. Events of orders, carts, consents and feedback are ours alone, so that an
//! unknown one is a mistake.

use std::collections::BTreeSet;

use zyklus_model::nearest;

use crate::condition::Named;
use crate::playbook::{Playbook, Start, Verb};
use crate::problem::Problem;
use crate::source::Mention;

/// Events that every shop's facts bring.
const EVENTS: [&str; 13] = [
    "cart.updated",
    "consent.granted",
    "consent.requested",
    "consent.withdrawn",
    "customer.created",
    "feedback.received",
    "mail.clicked",
    "order.cancelled",
    "order.delivered",
    "order.paid",
    "order.placed",
    "order.refunded",
    "order.shipped",
];

/// What only our own events begin with, here as in `given` of tests.
const OURS: [&str; 4] = ["cart", "consent", "feedback", "order"];

/// What is doubtful about files together: tags that no journey puts on, events that nothing brings.
pub fn across(playbooks: &[Playbook]) -> Vec<Problem> {
    let journeys = || playbooks.iter().flat_map(|playbook| &playbook.journeys);
    let mut tags = BTreeSet::new();
    for node in journeys().flat_map(|journey| &journey.nodes) {
        if let Verb::Tag { tag, .. } = &node.verb {
            tags.insert(tag.as_str());
        }
    }
    let started: BTreeSet<&str> = journeys()
        .filter_map(|journey| match &journey.start {
            Start::Event { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let mentions = playbooks.iter().flat_map(|playbook| &playbook.mentions);
    mentions
        .filter_map(|mention| match mention.named {
            Named::Tag => unlike(mention, &tags),
            Named::Event if !started.contains(&*mention.id) => {
                let (message, help, is_wrong) = nothing_brings(&mention.id)?;
                let problem = Problem { message, ..mention.place.clone().help(help) };
                Some(if is_wrong { problem } else { problem.warning() })
            }
            Named::Event | Named::Phase | Named::Journey | Named::Step | Named::Topic => None,
        })
        .collect()
}

fn unlike(mention: &Mention, tags: &BTreeSet<&str>) -> Option<Problem> {
    if tags.contains(&*mention.id) {
        return None;
    }
    let near = nearest(&mention.id, tags.iter().copied())?;
    let mut problem = mention.place.clone().help(format!("did you mean \"{near}\"?")).warning();
    problem.message = format!("no journey puts on the tag \"{}\"", mention.id);
    Some(problem)
}

/// What is to be said of an event's name that no shop's facts have, what to do, and whether it is a mistake.
pub(super) fn nothing_brings(name: &str) -> Option<(String, String, bool)> {
    if EVENTS.contains(&name) {
        return None;
    }
    let family = name.split('.').next().unwrap_or_default();
    let is_ours = OURS.contains(&family);
    let help = match nearest(name, EVENTS) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if is_ours => {
            let known: Vec<&str> = EVENTS.into_iter().filter(|event| event.starts_with(family)).collect();
            format!("known are {}; an event of your own begins with another word", known.join(", "))
        }
        None => return None,
    };
    Some((format!("nothing brings the event \"{name}\""), help, is_ours))
}
