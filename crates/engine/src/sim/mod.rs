//! One customer's life in memory: a virtual clock, decisions applied as the store applies them, and a channel that
//! takes at once whatever the guards let through. Playbook tests and backtests run on it, and property tests can.
//!
//! It knows nothing of other customers and of no store. Where it says "as the store does", a test that runs both
//! compares them.

mod apply;
mod life;

use zyklus_model::{At, Delivery, GuardReason, Run, TagChange, Transition};

pub use life::Life;

/// Something that happened in a life, told while it happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Happening<'l> {
    /// All transitions told before are void: history was (re)written.
    HistoryRewritten,
    /// A move to another phase.
    Moved(&'l Transition),
    /// A run began.
    Started(&'l Run),
    /// A run's goal was reached; it may have ended before or go on.
    GoalReached(&'l Run),
    /// A run ended.
    Ended(&'l Run),
    /// A label was put on or taken off.
    Tagged(&'l TagChange),
    /// The channel took a message, or an action was done.
    HandedOver(&'l Delivery),
    /// It would have gone, if the journey were live and the customer not held out.
    Shown(&'l Delivery),
    /// A guard moved it to a later time.
    Delayed(&'l Delivery, GuardReason),
    /// A guard refused it, or its time had passed: see its state and reason.
    Refused(&'l Delivery),
    /// It was withdrawn because its run ended.
    Withdrawn(&'l Delivery),
}

/// Who is told of what happens, and when it did.
pub type Watch<'w> = dyn FnMut(At, Happening<'_>) + 'w;

/// Nobody.
pub fn unwatched(_: At, _: Happening<'_>) {}
