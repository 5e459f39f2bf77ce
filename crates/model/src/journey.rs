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
        /// Over.
        Ended = "ended",
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
    /// Where it stands.
    pub position: RunPosition,
    /// Ids of the steps it has acted on, in order, with the outcome of each.
    pub acted: Vec<(String, String)>,
    /// The event that started it, as conditions and templates see it.
    #[serde(default)]
    pub event: serde_json::Map<String, serde_json::Value>,
}
