//! One customer's life under the starter configuration, in the words of these tests. The engine's own life lives it.

use std::ops::{Deref, DerefMut};

use zyklus_engine::Book;
use zyklus_engine::sim::{self, Happening};
use zyklus_model::{At, Origin, Snapshot};

/// One customer's life under a book, and the mails it brought.
pub(crate) struct Life<'b> {
    book: &'b Book,
    life: sim::Life,
    mails: Vec<(String, String)>,
}

/// What is known and how often it was decided are the life's.
impl Deref for Life<'_> {
    type Target = sim::Life;

    fn deref(&self) -> &sim::Life {
        &self.life
    }
}

impl DerefMut for Life<'_> {
    fn deref_mut(&mut self) -> &mut sim::Life {
        &mut self.life
    }
}

impl<'b> Life<'b> {
    /// The past is read in at `from`: it starts nothing.
    pub(crate) fn begin(book: &'b Book, snapshot: Snapshot, from: At) -> Self {
        let mut life = Life { book, life: sim::Life::new(snapshot, from), mails: Vec::new() };
        life.snapshot.mark.due_at = from;
        life.until(from);
        life
    }

    pub(crate) fn tell(&mut self, change: impl FnOnce(Snapshot) -> Snapshot, when: At) {
        self.now = self.now.max(when);
        self.commit(Origin::Live, |s| *s = change(s.clone()));
        self.until(when);
    }

    /// Lets time pass; the outbox is emptied whenever something in it is due.
    pub(crate) fn until(&mut self, end: At) {
        let (book, mails) = (self.book, &mut self.mails);
        self.life.run_to(book, end, &mut |at, happening| {
            if let Happening::HandedOver(delivery) = happening {
                let zoned = at.timestamp().to_zoned(book.settings.zone.clone());
                mails.push((zoned.strftime("%m-%d %H:%M").to_string(), delivery.target.clone()));
            }
        });
    }

    pub(crate) fn phase(&self) -> &str {
        &self.snapshot.phase.as_ref().expect("it was decided").phase
    }

    /// The phases in the order in which they were entered, and when.
    pub(crate) fn phases(&self) -> Vec<(&str, At)> {
        self.transitions.iter().map(|t| (t.to.as_str(), t.at)).collect()
    }

    pub(crate) fn mails(&self) -> Vec<(&str, &str)> {
        self.mails.iter().map(|(when, what)| (when.as_str(), what.as_str())).collect()
    }
}
