//! One customer's run through a journey (an enrolment). Never advances it: the engine does.

use serde::{Deserialize, Serialize};

use crate::consent::words;
use crate::id::{CustomerId, RunId};
use crate::time::At;

words! {
    /// Whether a run goes on.
    RunState {
        /// Going on.
        Live = "live",
        /// Not begun: another run of its journey and key goes on, and it is the next.
        Queued = "queued",
        /// Gave way to a run of its group with a higher priority, and goes on where it stood when that ends.
        Waiting = "waiting",
        /// Over.
        Ended = "ended",
    }
}

impl RunState {
    /// Whether it has begun and is not over.
    pub const fn goes_on(self) -> bool {
        matches!(self, RunState::Live | RunState::Waiting)
    }
}

words! {
    /// In which holdout group a run was drawn when it began.
    Holdout {
        /// The one for the marketing of all journeys: what is no marketing goes out.
        Global = "global",
        /// The journey's own: the whole run only records.
        Journey = "journey",
    }
}

words! {
    /// How a run ended.
    RunEnd {
        /// All steps done.
        Completed = "completed",
        /// The goal was reached.
        Goal = "goal",
        /// The exit condition, or an `exit` step.
        Exit = "exit",
        /// The same customer started the journey anew.
        Restarted = "restarted",
        /// The journey is gone from the files.
        Removed = "removed",
        /// The step it stood at is gone.
        StepRemoved = "step_removed",
        /// A run of its group with a higher priority began.
        GaveWay = "gave_way",
        /// Two customers became one, and the other's run goes on.
        Merged = "merged",
        /// The customer was erased.
        Erased = "erased",
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPosition {
    /// The stable id of the step it stands at; `None` before the first.
    pub step: Option<String>,
    /// When it came to that step.
    pub reached_at: At,
    /// When the step acts; `None` while it waits for something other than time (a delivery's outcome).
    pub due_at: Option<At>,
}

/// One customer's run through a journey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Follows from journey, customer, key and occurrence.
    pub id: RunId,
    /// Whose.
    pub customer: CustomerId,
    /// For whom it began: the same, or somebody they turned out to be one with.
    pub began_for: CustomerId,
    /// The journey's root id.
    pub journey: String,
    /// What separates parallel runs of one journey (an order id, a cart id); empty without `key`.
    pub key: String,
    /// What started it: event id, transition id, local date …
    pub occurrence: String,
    /// The hash of the definition it last acted under.
    pub definition: String,
    /// The holdout epoch it was assigned under.
    pub epoch: i64,
    /// Whether it only records what it would do: a held-out customer or a journey in shadow mode.
    pub ghost: bool,
    /// In which holdout group it was drawn when it began; `None` also for a ghost of shadow mode.
    #[serde(default)]
    pub held: Option<Holdout>,
    /// Going on or over.
    pub state: RunState,
    /// How it ended.
    pub end: Option<RunEnd>,
    /// The reason an `exit` step named, or words for the operator.
    pub end_reason: Option<String>,
    /// When it started.
    pub started_at: At,
    /// When it ended.
    pub ended_at: Option<At>,
    /// When it was put behind another run of its journey and key, if it was; `started_at` is when its turn came.
    #[serde(default)]
    pub queued_at: Option<At>,
    /// When it last gave way to a run of its group, if it did.
    #[serde(default)]
    pub yielded_at: Option<At>,
    /// Where it stands.
    pub position: RunPosition,
    /// Ids of the steps it has acted on, in order, with the outcome of each.
    pub acted: Vec<(String, String)>,
    /// The event that started it, as conditions and templates see it.
    #[serde(default)]
    pub event: serde_json::Map<String, serde_json::Value>,
}
