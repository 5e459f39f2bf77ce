//! One round: decide, hand over, decide on what came of it, until nothing happens any more. The daemon, the demo
//! and the tests go by the same rounds.

use std::sync::Arc;

use zyklus_engine::Book;
use zyklus_store::Store;

use crate::backfill::admit;
use crate::clock::Clock;
use crate::dispatch::{DispatchReport, Dispatcher};
use crate::error::RuntimeError;
use crate::evaluate::{EvaluateReport, evaluate};

/// Deciding and handing over follow each other so often at most before the round ends.
const TURNS: usize = 8;

/// What a round came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// What was decided.
    pub decided: EvaluateReport,
    /// What was handed over.
    pub handed: DispatchReport,
}

impl std::ops::AddAssign for Round {
    fn add_assign(&mut self, other: Self) {
        self.decided += other.decided;
        self.handed += other.handed;
    }
}

/// Goes one round by the clock.
///
/// # Errors
/// The store's; what was stored before stays.
pub async fn round(
    store: &Store,
    book: &Arc<Book>,
    dispatcher: &Dispatcher,
    clock: &Clock,
) -> Result<Round, RuntimeError> {
    let mut round = Round::default();
    let mut admitting = None;
    if book.journeys.iter().any(|journey| journey.backfill.is_some()) {
        // Who is let in is found among those whose phase is known.
        round.decided += evaluate(store, book, clock.now(), &|_| {}).await?;
        admitting = Some(admit(store, book, clock.now()).await?);
    }
    let book = admitting.as_ref().unwrap_or(book);
    for _ in 0..TURNS {
        let decided = evaluate(store, book, clock.now(), &|_| {}).await?;
        let handed = dispatcher.dispatch(book).await?;
        round += Round { decided, handed };
        if handed == DispatchReport::default() {
            break;
        }
    }
    Ok(round)
}
