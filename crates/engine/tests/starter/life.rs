//! One customer's life: what the store and the dispatcher would do with decisions, in memory. Decides nothing.

use zyklus_engine::guards::{Permit, permits};
use zyklus_engine::{Book, decide};
use zyklus_model::{At, DeliveryState, Snapshot, Tag};

/// One customer's life under a book: decides, applies, and delivers what is due, instant by instant.
pub(crate) struct Life<'b> {
    book: &'b Book,
    pub(crate) snapshot: Snapshot,
    pub(crate) phases: Vec<(String, At)>,
    pub(crate) decisions: usize,
    pub(crate) mails: Vec<(String, String)>,
}

impl<'b> Life<'b> {
    /// The past is read in at `from`: it starts nothing.
    pub(crate) fn begin(book: &'b Book, snapshot: Snapshot, from: At) -> Self {
        let mut life = Life { book, snapshot, phases: Vec::new(), decisions: 0, mails: Vec::new() };
        life.decide(from);
        life
    }

    pub(crate) fn tell(&mut self, change: impl FnOnce(Snapshot) -> Snapshot, when: At) {
        self.snapshot = change(self.snapshot.clone());
        self.snapshot.mark.seq += 1;
        self.snapshot.mark.live_pending = true;
        self.snapshot.mark.due_at = self.snapshot.mark.due_at.min(when);
        self.until(when);
    }

    pub(crate) fn decide(&mut self, now: At) {
        self.decisions += 1;
        let decision = decide(self.book, &self.snapshot, now);
        self.phases.extend(decision.transitions.iter().map(|t| (t.to.clone(), t.at)));
        let snapshot = &mut self.snapshot;
        snapshot.phase = decision.phase.or(snapshot.phase.take());
        if let Some(segments) = decision.segments {
            snapshot.segments = segments;
        }
        for run in decision.runs {
            match snapshot.runs.iter_mut().find(|r| r.id == run.id) {
                Some(known) => *known = run,
                None => snapshot.runs.push(run),
            }
        }
        for delivery in decision.deliveries {
            assert!(snapshot.deliveries.iter().all(|d| d.id != delivery.id), "decided twice");
            snapshot.deliveries.push(delivery);
        }
        for gone in decision.withdrawals {
            let delivery = snapshot.deliveries.iter_mut().find(|d| d.id == gone.delivery).unwrap();
            (delivery.state, delivery.reason, delivery.done_at) = (gone.state, gone.reason, Some(gone.at));
        }
        for tag in decision.tags {
            snapshot.tags.retain(|t| t.tag != tag.tag);
            if tag.on {
                let source = "journey".to_owned();
                snapshot.tags.push(Tag { tag: tag.tag, since: tag.at, until: tag.until, source });
            }
        }
        snapshot.mark.evaluated_at = Some(now);
        snapshot.mark.due_at = decision.revisit_at.unwrap_or(At::MAX);
        (snapshot.mark.live_pending, snapshot.mark.history_pending) = (false, false);
    }

    /// Lets time pass; the outbox is emptied whenever something in it is due.
    pub(crate) fn until(&mut self, end: At) {
        for _ in 0..5_000 {
            let pending = self.snapshot.deliveries.iter().filter(|d| d.state == DeliveryState::Pending);
            let next_mail = pending.min_by_key(|d| (d.due_at, d.id)).map(|d| (d.due_at, d.id));
            let due = self.snapshot.mark.due_at;
            match next_mail {
                Some((at, id)) if at < due && at <= end => self.deliver(id, at),
                _ if due <= end => {
                    let now = due.max(self.snapshot.mark.evaluated_at.unwrap_or(due));
                    self.decide(now);
                }
                _ => return,
            }
        }
        panic!("never comes to rest");
    }

    pub(crate) fn deliver(&mut self, id: zyklus_model::DeliveryId, due_at: At) {
        let now = due_at.max(self.snapshot.mark.evaluated_at.unwrap_or(due_at));
        let index = self.snapshot.deliveries.iter().position(|d| d.id == id).unwrap();
        let permit = permits(self.book, &self.snapshot, &self.snapshot.deliveries[index], now);
        let delivery = &mut self.snapshot.deliveries[index];
        match permit {
            Permit::Delay(until, _) => delivery.due_at = until,
            Permit::Refuse(reason) => {
                (delivery.state, delivery.reason, delivery.done_at) =
                    (DeliveryState::Refused, Some(reason), Some(now));
            }
            Permit::Go => {
                (delivery.state, delivery.done_at) = (DeliveryState::Accepted, Some(now));
                let zoned = now.timestamp().to_zoned(self.book.settings.zone.clone());
                self.mails.push((zoned.strftime("%m-%d %H:%M").to_string(), delivery.target.clone()));
            }
        }
        if delivery.state != DeliveryState::Pending {
            self.snapshot.mark.seq += 1;
            self.snapshot.mark.due_at = now.plus_micros(1);
        }
    }

    pub(crate) fn phase(&self) -> &str {
        &self.snapshot.phase.as_ref().unwrap().phase
    }

    pub(crate) fn mails(&self) -> Vec<(&str, &str)> {
        self.mails.iter().map(|(when, what)| (when.as_str(), what.as_str())).collect()
    }
}
