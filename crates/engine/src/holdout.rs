//! Who gets nothing, to be compared with (rule R16). By hash, so that raising a share adds customers, lowering it
//! releases some, and nobody else moves. Never says what a held-out customer's run does: `decide` does.
//!
//! The hash takes the customer's own id. A merge keeps the id of the one who was known first, so the earlier
//! assignment stands.

use sha2::{Digest, Sha256};
use zyklus_model::{Holdout, Purpose, Snapshot};

use crate::book::Book;
use crate::playbook::Journey;

/// Whether a customer gets no marketing of any journey.
pub fn held_globally(book: &Book, snapshot: &Snapshot) -> bool {
    let holdout = book.settings.holdout;
    is_held(book, snapshot, (1, "global"), holdout.epoch, holdout.share)
}

/// Whether a customer is in a journey's own holdout group.
pub fn held_out(book: &Book, snapshot: &Snapshot, journey: &Journey) -> bool {
    is_held(book, snapshot, (0, journey.root()), journey.epoch, journey.holdout)
}

/// The group a run of the journey would be drawn into now.
pub(crate) fn drawn(book: &Book, snapshot: &Snapshot, journey: &Journey) -> Option<Holdout> {
    if journey.sends_marketing() && held_globally(book, snapshot) {
        Some(Holdout::Global)
    } else {
        held_out(book, snapshot, journey).then_some(Holdout::Journey)
    }
}

/// Which holdout a message of a journey meets, the global one first (rule R12).
pub(crate) fn meets(
    book: &Book,
    snapshot: &Snapshot,
    journey: Option<&Journey>,
    purpose: Purpose,
) -> Option<Holdout> {
    if purpose == Purpose::Marketing && held_globally(book, snapshot) {
        return Some(Holdout::Global);
    }
    journey.is_some_and(|journey| held_out(book, snapshot, journey)).then_some(Holdout::Journey)
}

/// The first eight bytes of the hash over project seed, name, epoch and customer, as a share of all there can be, is
/// below the share held out. The kind keeps a journey called `global` apart from the global holdout.
fn is_held(book: &Book, snapshot: &Snapshot, (kind, name): (u8, &str), epoch: i64, percent: u8) -> bool {
    if percent == 0 {
        return false;
    }
    let mut hash = Sha256::new();
    hash.update(book.settings.seed.as_bytes());
    hash.update([kind]);
    hash.update(name.as_bytes());
    hash.update(epoch.to_be_bytes());
    hash.update(snapshot.customer.id.uuid().as_bytes());
    let digest = hash.finalize();
    let mut head = [0u8; 8];
    head.copy_from_slice(&digest[..8]);
    // u64::MAX becomes 2^64 as a floating-point number.
    let draw = u64::from_be_bytes(head) as f64 / u64::MAX as f64;
    draw < f64::from(percent) / 100.0
}
