//! What the engine decided for one customer and the store applies in one transaction. Never applied in part.

use serde::{Deserialize, Serialize};

use crate::delivery::{Delivery, DeliveryState, GuardReason};
use crate::id::{CustomerId, DeliveryId};
use crate::journey::Run;
use crate::phase::Transition;
use crate::snapshot::{PhaseState, SegmentState};
use crate::time::At;

/// A label to put on or take off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagChange {
    /// The label.
    pub tag: String,
    /// On or off.
    pub on: bool,
    /// Since when.
    pub at: At,
    /// For how long.
    pub until: Option<At>,
}

/// A change to a delivery that is still pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Which.
    pub delivery: DeliveryId,
    /// `cancelled`, `refused` or `expired`.
    pub state: DeliveryState,
    /// Why a guard refused it.
    pub reason: Option<GuardReason>,
    /// When.
    pub at: At,
}

/// What the engine decided for one customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// For whom.
    pub customer: CustomerId,
    /// The snapshot's [`crate::snapshot::Mark::seq`]: the store applies nothing when an evaluation newer than
    /// this one was applied in between, and looks again at once when a newer fact was committed.
    pub seq: i64,
    /// The snapshot's `evaluated_at`: the fence between two evaluators.
    pub evaluated_before: Option<At>,
    /// When it was decided.
    pub now: At,
    /// Take out all stored transitions of this lifecycle first: history was (re)written.
    pub rewrites_history: bool,
    /// Moves, oldest first.
    pub transitions: Vec<Transition>,
    /// Where the customer stands now, if that changed (or its definition did).
    pub phase: Option<PhaseState>,
    /// Segments, all of them, if one changed.
    pub segments: Option<Vec<SegmentState>>,
    /// Runs that are new or changed: stored as they are here.
    pub runs: Vec<Run>,
    /// New deliveries: a repeated id is left as it is stored.
    pub deliveries: Vec<Delivery>,
    /// Pending deliveries that will not go.
    pub withdrawals: Vec<Withdrawal>,
    /// Pending deliveries whose step says something else now (rule R10): what they are to say, unless they were
    /// claimed meanwhile. Withdrawals come after.
    #[serde(default)]
    pub rewritten: Vec<Delivery>,
    /// Labels.
    pub tags: Vec<TagChange>,
    /// The earliest instant at which the passage of time alone could change anything; `None` = never.
    pub revisit_at: Option<At>,
}

impl Decision {
    /// Whether it changes nothing but the time to look again.
    pub fn is_quiet(&self) -> bool {
        !self.rewrites_history
            && self.transitions.is_empty()
            && self.phase.is_none()
            && self.segments.is_none()
            && self.runs.is_empty()
            && self.deliveries.is_empty()
            && self.withdrawals.is_empty()
            && self.rewritten.is_empty()
            && self.tags.is_empty()
    }
}
