//! Which phase a customer stands in, and how they came there. Says nothing of journeys.

use std::sync::Arc;

use jiff::tz::TimeZone;
use zyklus_model::{At, MarkKind, Snapshot};

use crate::book::Book;
use crate::condition::{Group, Verdict};
use crate::facts::{Standing, View, next_fact};

/// A move found: from, to and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// The phase left; `None` at the beginning.
    pub from: Option<Arc<str>>,
    /// The phase entered.
    pub to: Arc<str>,
    /// When.
    pub at: At,
}

/// Where stepping through time has come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Path {
    /// The moves, oldest first.
    pub moves: Vec<Move>,
    /// Where the customer stands at the end.
    pub standing: Option<Standing>,
    /// The earliest instant after the end at which time alone may move them.
    pub revisit_at: Option<At>,
}

/// So many instants of one customer's life are looked at when their past is replayed; a lifecycle whose
/// conditions change every day for years would need more, and then only the present is right.
const MAX_INSTANTS: usize = 4_000;

/// The phase that wins at an instant, and until when that is certain.
pub fn classify(
    book: &Book,
    snapshot: &Snapshot,
    zone: &TimeZone,
    at: At,
    standing: Option<&Standing>,
) -> (Arc<str>, Option<At>) {
    Instant::new(book, snapshot, at).classify(zone, standing)
}

/// An instant of a customer's life. What the phases ask there is answered once, unless it depends on where the customer
/// stands; and an answer is taken on to the next instant if neither time nor anything it depends on has moved.
struct Instant<'s> {
    book: &'s Book,
    snapshot: &'s Snapshot,
    at: At,
    view: View<'s>,
    /// The answers so far, in the order of the phases.
    verdicts: Vec<Option<Verdict>>,
}

/// What follows from the orders that count, what was learned, and the time.
const BY_ORDERS: [Group; 2] = [Group::Orders, Group::Prediction];

impl<'s> Instant<'s> {
    fn new(book: &'s Book, snapshot: &'s Snapshot, at: At) -> Self {
        let verdicts = vec![None; book.lifecycle.phases.len()];
        Instant { book, snapshot, at, view: view_of(book, snapshot, at), verdicts }
    }

    /// Goes on to a later instant.
    fn go_on(&mut self, at: At) {
        let is_bought = orders_change(self.snapshot, self.at, at);
        let by_orders = BY_ORDERS.into_iter().collect();
        for (phase, known) in self.book.lifecycle.phases.iter().zip(&mut self.verdicts) {
            let stands = |verdict: &Verdict| verdict.revisit_at.is_none_or(|revisit| at < revisit);
            if is_bought || !phase.when.reads().is_within(by_orders) || !known.as_ref().is_some_and(stands) {
                *known = None;
            }
        }
        self.at = at;
        self.view = view_of(self.book, self.snapshot, at);
    }

    /// The phase that wins for somebody who stands there, and until when that is certain.
    fn classify(&mut self, zone: &TimeZone, standing: Option<&Standing>) -> (Arc<str>, Option<At>) {
        let phases = &self.book.lifecycle.phases;
        if let Some(standing) = standing {
            let held = phases.iter().find(|p| p.id == standing.phase).and_then(|p| p.hold);
            let until = held.map(|hold| hold.after(standing.since, zone));
            if let Some(until) = until.filter(|until| self.at < *until) {
                return (Arc::clone(&standing.phase), Some(until));
            }
        }
        self.view.standing = standing.cloned();
        let mut revisit_at: Option<At> = None;
        let last = phases.len() - 1;
        for (index, (phase, known)) in phases.iter().zip(&mut self.verdicts).enumerate() {
            if phase.when.reads().contains(Group::Phase) {
                *known = None;
            }
            let verdict = known.get_or_insert_with(|| phase.when.eval(&self.view, self.at));
            debug_assert_eq!(verdict.value, phase.when.eval(&self.view, self.at).value, "{}", phase.id);
            revisit_at = earliest(revisit_at, verdict.revisit_at);
            if verdict.value || index == last {
                return (Arc::clone(&phase.id), revisit_at);
            }
        }
        unreachable!("a lifecycle has at least one phase, and the last one takes everybody")
    }
}

fn view_of<'s>(book: &'s Book, snapshot: &'s Snapshot, at: At) -> View<'s> {
    View::new(snapshot, at, book.decimals, None).with_book(book)
}

/// Whether an order begins or ceases to count, or money goes back, after an instant and by another.
fn orders_change(snapshot: &Snapshot, after: At, by: At) -> bool {
    let is_between = |at: At| after < at && at <= by;
    snapshot.orders.iter().any(|order| {
        is_between(order.placed_at)
            || order.refunds.iter().any(|refund| is_between(refund.at))
            || order.marks.iter().any(|mark| mark.kind == MarkKind::Cancelled && is_between(mark.at))
    })
}

/// All moves due at one instant: one after the other until nothing moves. Phases that demand each other in a
/// circle move nobody: the customer stays where they stood, or in the first of them.
fn settle(instant: &mut Instant<'_>, zone: &TimeZone, path: &mut Path) {
    let at = instant.at;
    let mut visited: Vec<Arc<str>> = path.standing.iter().map(|s| Arc::clone(&s.phase)).collect();
    let mut stays = path.standing.clone();
    let mut kept_moves = path.moves.len();
    let mut circle_revisit_at = None;
    loop {
        let (phase, revisit_at) = instant.classify(zone, path.standing.as_ref());
        if path.standing.as_ref().is_some_and(|s| s.phase == phase) {
            path.revisit_at = revisit_at;
            break;
        }
        circle_revisit_at = earliest(circle_revisit_at, revisit_at);
        if visited.contains(&phase) {
            path.moves.truncate(kept_moves);
            path.standing = stays;
            path.revisit_at = circle_revisit_at;
            break;
        }
        visited.push(Arc::clone(&phase));
        let from = path.standing.as_ref().map(|s| Arc::clone(&s.phase));
        path.moves.push(Move { from: from.clone(), to: Arc::clone(&phase), at });
        path.standing = Some(Standing { phase, since: at, previous: from });
        if stays.is_none() {
            stays.clone_from(&path.standing);
            kept_moves = path.moves.len();
        }
    }
    path.revisit_at = earliest(path.revisit_at, next_fact(instant.snapshot, at));
}

/// Steps from an instant to `until`, looking wherever something can change.
pub fn walk(
    book: &Book,
    snapshot: &Snapshot,
    zone: &TimeZone,
    standing: Option<Standing>,
    from: At,
    until: At,
) -> Path {
    let mut path = Path { moves: Vec::new(), standing, revisit_at: None };
    let mut instant = Instant::new(book, snapshot, from.min(until));
    for count in 1.. {
        settle(&mut instant, zone, &mut path);
        match path.revisit_at {
            Some(next) if next <= until && count < MAX_INSTANTS => instant.go_on(next),
            Some(next) if next <= until && instant.at < until => instant.go_on(until),
            _ => break,
        }
    }
    path
}

/// A customer's whole life up to an instant, from the first thing known of them. Empty before that.
pub fn replay(book: &Book, snapshot: &Snapshot, zone: &TimeZone, until: At) -> Path {
    let facts = [
        Some(snapshot.customer.created_at),
        snapshot.orders.first().map(|o| o.placed_at),
        snapshot.events.first().map(|e| e.occurred_at),
        snapshot.carts.first().map(|c| c.updated_at),
        snapshot.feedback.first().map(|f| f.at),
        snapshot.consents.first().map(|c| c.at),
    ];
    match facts.into_iter().flatten().min() {
        Some(first) if first <= until => walk(book, snapshot, zone, None, first, until),
        first => Path { revisit_at: first, ..Path::default() },
    }
}

/// The earlier of two instants, where none is never.
pub fn earliest(a: Option<At>, b: Option<At>) -> Option<At> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
