//! The way from now to a later instant for `plan --now`: a customer's life is played forward as it goes if nothing else
//! happens, and what happens on the way is noted. Never jumps, so that nothing is missed that the daemon would not miss.

use zyklus_engine::Book;
use zyklus_engine::sim::{Happening, Life};
use zyklus_model::{At, DeliveryState, GuardReason, Snapshot};

/// What happened to one customer on the way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// The customer at its end.
    pub arrived: Option<Snapshot>,
    /// Journey and target of what went out.
    pub gone: Vec<(String, String)>,
    /// The guard of each delivery that was refused or too late.
    pub refused: Vec<GuardReason>,
}

/// Plays one customer's life from `today` to `until`.
pub(crate) fn play(book: &Book, snapshot: &Snapshot, today: At, until: At) -> Way {
    let mut life = Life::new(snapshot.clone(), today);
    // What is on its way has gone; what becomes of it is nobody's guess.
    for delivery in &mut life.snapshot.deliveries {
        if delivery.state == DeliveryState::Sending {
            (delivery.state, delivery.done_at) = (DeliveryState::Accepted, Some(today));
        }
    }
    // The files may say something else since: all is decided again.
    life.snapshot.mark.due_at = life.snapshot.mark.due_at.min(today);
    let mut way = Way::default();
    life.run_to(book, until, &mut |_, happening| match happening {
        Happening::HandedOver(delivery) => {
            way.gone.push((delivery.journey.clone(), delivery.target.clone()));
        }
        Happening::Refused(delivery) => way.refused.extend(delivery.reason),
        _ => {}
    });
    way.arrived = Some(life.snapshot);
    way
}
