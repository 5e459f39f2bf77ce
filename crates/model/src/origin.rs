//! Where a fact comes from, which decides whether it may start anything. Never holds the fact itself.

use serde::{Deserialize, Serialize};

/// How a record reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The first sync, an import, a reconciliation or a copy of a database: it feeds state, goals and exits,
    /// and never starts a journey.
    History,
    /// It arrived while the connector was up to date.
    Live,
}

impl Origin {
    /// The word stored in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::History => "history",
            Origin::Live => "live",
        }
    }

    /// From the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "history" => Some(Origin::History),
            "live" => Some(Origin::Live),
            _ => None,
        }
    }
}
