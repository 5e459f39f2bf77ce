//! What `zyklus why` tells: the engine's explanation, and the next message as things stand. Decides nothing.

use serde::Serialize;
use zyklus_engine::forecast::forecast;
use zyklus_engine::{Book, Why, why};
use zyklus_model::{At, Snapshot};

/// So far ahead the next message is looked for, in days.
pub(crate) const AHEAD_DAYS: i64 = 30;

/// Why a customer stands where they stand, and what reaches them next.
#[derive(Serialize)]
pub(crate) struct Told {
    /// The explanation.
    #[serde(flatten)]
    pub(crate) why: Why,
    /// What goes out next if nothing else happens, within 30 days.
    pub(crate) next_message: Option<NextMessage>,
}

/// A message or action ahead.
#[derive(Serialize)]
pub(crate) struct NextMessage {
    pub(crate) journey: String,
    pub(crate) target: String,
    pub(crate) at: At,
}

impl Told {
    pub(crate) fn new(book: &Book, snapshot: &Snapshot, at: At) -> Self {
        let ahead = forecast(book, snapshot, at, at.plus_days(AHEAD_DAYS));
        let next_message = ahead.going.into_iter().next();
        let next_message = next_message.map(|going| NextMessage {
            journey: going.journey,
            target: going.target,
            at: going.at,
        });
        Told { why: why(book, snapshot, at), next_message }
    }
}
