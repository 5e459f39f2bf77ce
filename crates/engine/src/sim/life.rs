//! The clock, facts and the outbox of one life. `apply` writes decisions into it; the engine makes them.

use zyklus_model::{At, DeliveryState, GuardReason, Origin, RunState, Snapshot, Transition};

use super::{Happening, Watch};
use crate::book::Book;
use crate::contend::outranked;
use crate::decide::decide;
use crate::guards::{Permit, permits};

/// Deciding and handing over follow each other so often at most in one round, as in the daemon's.
const TURNS: usize = 8;
/// A decision can ask to be looked at again at once; so often at most in one turn.
const LOOKS: i64 = 8;
/// So many rounds within one second, and the rules chase each other.
const RESTLESS: u32 = 64;

/// One customer's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// What the clock shows.
    pub now: At,
    /// All that is known of the customer now, as the store would read it.
    pub snapshot: Snapshot,
    /// Every move between phases, in the order it was found.
    pub transitions: Vec<Transition>,
    /// How often it was decided.
    pub decisions: u64,
}

impl Life {
    /// A life of which so much is known at an instant. The snapshot's mark says what is still to be judged.
    pub fn new(snapshot: Snapshot, now: At) -> Self {
        Life { now, snapshot, transitions: Vec::new(), decisions: 0 }
    }

    /// The life of somebody who was never looked at: before anything is known of them, or before their history is
    /// committed.
    pub fn unseen(mut snapshot: Snapshot, now: At) -> Self {
        let mark = &mut snapshot.mark;
        (mark.seq, mark.evaluated_at, mark.due_at) = (0, None, now);
        (mark.live_pending, mark.history_pending) = (false, false);
        Life::new(snapshot, now)
    }

    /// Commits facts, as the store does with a page: they are put in, the customer is due now.
    pub fn commit(&mut self, origin: Origin, facts: impl FnOnce(&mut Snapshot)) {
        let s = &mut self.snapshot;
        facts(s);
        s.orders.sort_by_key(|o| (o.placed_at, o.id));
        s.carts.sort_by_key(|c| c.updated_at);
        s.events.sort_by_key(|e| (e.occurred_at, e.id));
        s.feedback.sort_by_key(|f| (f.at, f.id));
        s.consents.sort_by_key(|c| c.at);
        s.tags.sort_by(|a, b| (&a.source, &a.tag).cmp(&(&b.source, &b.tag)));
        self.touch();
        match origin {
            Origin::Live => self.snapshot.mark.live_pending = true,
            Origin::History => self.snapshot.mark.history_pending = true,
        }
    }

    /// Makes the customer due, as after a new fact.
    fn touch(&mut self) {
        let mark = &mut self.snapshot.mark;
        mark.seq += 1;
        mark.due_at = mark.due_at.min(self.now);
    }

    /// When something is due next: an evaluation or a delivery. `None` = never, unless a fact is committed.
    pub fn next_at(&self) -> Option<At> {
        let pending = self.snapshot.deliveries.iter().filter(|d| d.state == DeliveryState::Pending);
        let next = pending.map(|d| d.due_at).min().map_or(At::MAX, |at| at.min(At::MAX));
        Some(next.min(self.snapshot.mark.due_at)).filter(|at| *at < At::MAX)
    }

    /// Whether a run goes on.
    pub fn is_running(&self) -> bool {
        self.snapshot.runs.iter().any(|run| run.state == RunState::Live)
    }

    /// Decides now, and applies the decision.
    pub fn evaluate(&mut self, book: &Book, watch: &mut Watch<'_>) {
        let decision = decide(book, &self.snapshot, self.now);
        self.decisions += 1;
        // Nobody else evaluates this life, so that the fence lets everything through.
        self.apply(book, decision, watch);
    }

    /// Hands over what is due and permitted, as one claim of the store does: all of it is judged before any is
    /// handed over, each with what was claimed before it already counting. A customer who is due waits for the
    /// evaluation. Says whether there was anything to judge.
    pub fn dispatch(&mut self, book: &Book, watch: &mut Watch<'_>) -> bool {
        let now = self.now;
        if self.snapshot.mark.due_at <= now {
            return false;
        }
        let deliveries = &self.snapshot.deliveries;
        let is_due =
            |i: &usize| deliveries[*i].state == DeliveryState::Pending && deliveries[*i].due_at <= now;
        let mut due: Vec<usize> = (0..deliveries.len()).filter(is_due).collect();
        due.sort_unstable_by_key(|i| (deliveries[*i].due_at, deliveries[*i].id));
        let mut is_touched = false;
        for index in &due {
            let delivery = self.snapshot.deliveries[*index].clone();
            let permit = if delivery.expires_at <= now {
                Permit::Refuse(GuardReason::Expired)
            } else {
                permits(book, &self.snapshot, &delivery, now)
            };
            let winner = match permit {
                Permit::Delay(_, GuardReason::Outranked) => {
                    outranked(book, &self.snapshot, &delivery, now).map(|(winner, _)| winner.id)
                }
                Permit::Go | Permit::Delay(..) | Permit::Refuse(_) => None,
            };
            let known = &mut self.snapshot.deliveries[*index];
            match permit {
                Permit::Go => {
                    known.state = DeliveryState::Sending;
                    known.reason = None;
                    known.attempt_count += 1;
                }
                Permit::Delay(until, reason) => {
                    known.due_at = until;
                    known.reason = Some(reason);
                    known.outranked_by = winner.or(known.outranked_by);
                    watch(now, Happening::Delayed(known, reason));
                }
                Permit::Refuse(reason) => {
                    let is_late = reason == GuardReason::Expired;
                    known.state = if is_late { DeliveryState::Expired } else { DeliveryState::Refused };
                    (known.reason, known.done_at) = (Some(reason), Some(now));
                    is_touched = true;
                    watch(now, Happening::Refused(known));
                }
            }
        }
        for index in &due {
            let known = &mut self.snapshot.deliveries[*index];
            if known.state == DeliveryState::Sending {
                (known.state, known.done_at) = (DeliveryState::Accepted, Some(now));
                is_touched = true;
                watch(now, Happening::HandedOver(known));
            }
        }
        if is_touched {
            self.touch();
        }
        !due.is_empty()
    }

    /// One round at the clock's instant, as the daemon goes it: decide, hand over, decide on what came of it,
    /// until nothing happens any more. Looks that follow at once are a microsecond apart.
    pub fn round(&mut self, book: &Book, watch: &mut Watch<'_>) {
        let now = self.now;
        for _ in 0..TURNS {
            for look in 0..LOOKS {
                self.now = now.plus_micros(look);
                if self.snapshot.mark.due_at <= self.now {
                    self.evaluate(book, watch);
                }
                if self.snapshot.mark.due_at > self.now.plus_micros(1) {
                    break;
                }
            }
            self.now = now;
            if !self.dispatch(book, watch) {
                break;
            }
        }
    }

    /// Lets time pass until an instant, with a round whenever something is due. Rules that chase each other for
    /// ever are looked at once an hour, so that time does pass.
    pub fn run_to(&mut self, book: &Book, to: At, watch: &mut Watch<'_>) {
        let (mut since, mut rounds) = (self.now, 0u32);
        while let Some(next) = self.next_at().filter(|at| *at <= to) {
            let mut at = self.now.max(next);
            rounds += 1;
            if at.micros_since(since) > 1_000_000 {
                (since, rounds) = (at, 0);
            } else if rounds > RESTLESS {
                at = at.plus_seconds(3_600);
                if at > to {
                    break;
                }
            }
            self.now = at;
            self.round(book, watch);
        }
        self.now = self.now.max(to);
    }
}
