//! A customer's move from one phase of the lifecycle to another. Never computes it: the engine does.

use serde::{Deserialize, Serialize};

use crate::consent::words;
use crate::id::TransitionId;
use crate::origin::Origin;
use crate::time::At;

words! {
    /// What brought a change of phase about.
    TransitionCause {
        /// A record arrived.
        Record = "record",
        /// Only time passed.
        Clock = "clock",
        /// The lifecycle's definition changed.
        Definition = "definition",
        /// The customer was seen for the first time.
        First = "first",
    }
}

/// One move between phases. `from` is `None` for a customer seen for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Follows from customer, lifecycle, phases, cause and instant: deriving it again gives the same id.
    pub id: TransitionId,
    /// The lifecycle's id (file name).
    pub lifecycle: String,
    /// The phase left.
    pub from: Option<String>,
    /// The phase entered.
    pub to: String,
    /// When the move happened.
    pub at: At,
    /// When it was found and stored.
    pub recorded_at: At,
    /// What brought it about.
    pub cause: TransitionCause,
    /// Whether it may start a journey.
    pub origin: Origin,
}
