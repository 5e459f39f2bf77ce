//! Names that several files share: tags and events. A shop and a connector can bring their own, so that only a name
//! that is nearly a known one is doubtful.

use std::collections::BTreeSet;

use zyklus_model::nearest;

use crate::condition::Named;
use crate::playbook::{Playbook, Start, Verb};
use crate::problem::Problem;
use crate::source::Mention;

/// Events that every shop's facts bring.
pub(super) const EVENTS: [&str; 13] = [
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
            Named::Tag => unlike(mention, &tags, "no journey puts on the tag"),
            Named::Event if !started.contains(&*mention.id) => {
                unlike(mention, &EVENTS.into(), "nothing brings the event")
            }
            Named::Event | Named::Phase | Named::Journey | Named::Step | Named::Topic => None,
        })
        .collect()
}

fn unlike(mention: &Mention, known: &BTreeSet<&str>, message: &str) -> Option<Problem> {
    let near = near(&mention.id, known)?;
    let mut problem = mention.place.clone().help(format!("did you mean \"{near}\"?")).warning();
    problem.message = format!("{message} \"{}\"", mention.id);
    Some(problem)
}

/// The known name that an unknown one is nearly.
pub(super) fn near<'k>(name: &str, known: &BTreeSet<&'k str>) -> Option<&'k str> {
    if known.contains(name) { None } else { nearest(name, known.iter().copied()) }
}
