//! Several messages that want to reach one customer on one channel at about the same time (rule R13): which of them
//! goes first. The others are judged again afterwards; they are put off, never refused. Claims nothing.

use std::cmp::Reverse;

use zyklus_model::{At, Delivery, DeliveryKind, DeliveryState, Purpose, RunState, Snapshot};

use crate::book::Book;
use crate::guards::{free_from, refuses};
use crate::playbook::Mode;
use crate::zone::zone_of;

/// How long after the one that goes first the others are asked again, in seconds.
const AFTERWARDS: i64 = 60;

/// The message that goes before this one, and when this one is asked again; `None` if nothing does. Of the customer's
/// pending marketing messages on its channel that are due, or due within `contend`, the highest priority of the
/// journey goes first, then the earliest due, then the smallest id. What could not go within that time anyway does not
/// stand in the way.
pub fn outranked<'s>(
    book: &Book,
    snapshot: &'s Snapshot,
    delivery: &Delivery,
    now: At,
) -> Option<(&'s Delivery, At)> {
    if !contends(delivery) {
        return None;
    }
    let zone = zone_of(&snapshot.customer, &book.settings.zone);
    let until = book.settings.contend.after(now, &zone);
    let rank = |d: &Delivery| {
        let priority = book.journey(&d.journey).map_or(50, |journey| journey.priority);
        (Reverse(priority), d.due_at, d.id)
    };
    let could_go = |rival: &Delivery| {
        let is_off = book.journey(&rival.journey).is_some_and(|j| matches!(j.mode, Mode::Off | Mode::Shadow));
        let gave_way = snapshot.runs.iter().any(|r| rival.run == Some(r.id) && r.state == RunState::Waiting);
        let at = rival.due_at.max(now);
        let free = free_from(book, snapshot, rival, at).0;
        !is_off && !gave_way && refuses(book, snapshot, rival, at).is_none() && free <= until
    };
    let rivals = snapshot.deliveries.iter().filter(|rival| {
        rival.id != delivery.id
            && rival.state == DeliveryState::Pending
            && contends(rival)
            && rival.channel == delivery.channel
            && rival.due_at <= until
    });
    let first =
        rivals.filter(|rival| rank(rival) < rank(delivery) && could_go(rival)).min_by_key(|r| rank(r))?;
    Some((first, first.due_at.max(now).plus_seconds(AFTERWARDS)))
}

fn contends(delivery: &Delivery) -> bool {
    delivery.kind == DeliveryKind::Message && delivery.purpose == Purpose::Marketing
}
