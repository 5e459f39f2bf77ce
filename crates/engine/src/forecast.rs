//! What becomes of one customer in the time ahead if nothing else happens: which messages and actions go, which are
//! refused, which give way. The same life as in tests and backtests, with every delivery handed over at once. Never
//! knows what customers will do.

use zyklus_model::{At, DeliveryId, DeliveryState, GuardReason, Snapshot};

use crate::book::Book;
use crate::sim::{Happening, Life};

/// Something that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Going {
    /// The journey's root id.
    pub journey: String,
    /// The template or action.
    pub target: String,
    /// When.
    pub at: At,
}

/// What becomes of one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// What goes out, soonest first.
    pub going: Vec<Going>,
    /// The guard of each delivery that is refused or too late.
    pub refused: Vec<GuardReason>,
    /// Journeys whose message gives way, and the one that goes first (rule R13); each message once.
    pub outranked: Vec<(String, String)>,
}

/// Lets one customer's time pass from `now` to `until`, as if everything were decided again at `now` (the files may
/// say something else since) and no fact came.
pub fn forecast(book: &Book, snapshot: &Snapshot, now: At, until: At) -> Forecast {
    let mut life = Life::new(snapshot.clone(), now);
    // What is on its way has gone; what becomes of it is nobody's guess.
    for delivery in &mut life.snapshot.deliveries {
        if delivery.state == DeliveryState::Sending {
            (delivery.state, delivery.done_at) = (DeliveryState::Accepted, Some(now));
        }
    }
    life.snapshot.mark.due_at = life.snapshot.mark.due_at.min(now);
    let mut told = Forecast::default();
    let mut gave_way: Vec<(DeliveryId, Option<DeliveryId>, String)> = Vec::new();
    life.run_to(book, until, &mut |at, happening| match happening {
        Happening::HandedOver(delivery) => {
            let (journey, target) = (delivery.journey.clone(), delivery.target.clone());
            told.going.push(Going { journey, target, at });
        }
        Happening::Refused(delivery) => told.refused.extend(delivery.reason),
        Happening::Delayed(delivery, GuardReason::Outranked) => {
            if gave_way.iter().all(|(id, ..)| *id != delivery.id) {
                gave_way.push((delivery.id, delivery.outranked_by, delivery.journey.clone()));
            }
        }
        Happening::HistoryRewritten
        | Happening::Moved(_)
        | Happening::Started(_)
        | Happening::GoalReached(_)
        | Happening::Ended(_)
        | Happening::Tagged(_)
        | Happening::Shown(_)
        | Happening::Delayed(..)
        | Happening::Withdrawn(_) => {}
    });
    let journey_of = |id: DeliveryId| life.snapshot.deliveries.iter().find(|d| d.id == id);
    told.outranked = gave_way
        .into_iter()
        .filter_map(|(_, winner, journey)| Some((journey, journey_of(winner?)?.journey.clone())))
        .collect();
    told
}
