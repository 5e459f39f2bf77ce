//! The names of the events that Zyklus itself tells of. Connectors and operators have names of their own beside them,
//! so a name that is none of these is a mistake only when it is almost one.

use zyklus_model::nearest_within;

use crate::condition::Named;
use crate::problem::Problem;
use crate::source::Mention;

const EVENTS: &[&str] = &[
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

/// How many letters may be wrong in a name for it to be taken for one of ours.
const SLIPS: usize = 2;

/// A warning for a name that is almost one of ours.
pub(crate) fn misspelt(mention: &Mention) -> Option<Problem> {
    let id = &*mention.id;
    if mention.named != Named::Event || EVENTS.contains(&id) {
        return None;
    }
    let near = nearest_within(id, SLIPS, EVENTS.iter().copied())?;
    let mut problem = mention.place.clone();
    problem.message = format!("Zyklus tells of no event \"{id}\"; only a connector of yours could");
    Some(problem.help(format!("did you mean \"{near}\"?")).warning())
}
