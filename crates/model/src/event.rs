//! Things that happened, and what customers say. Never interprets them.

use serde::{Deserialize, Serialize};

use crate::consent::words;
use crate::id::{EventId, FeedbackId};
use crate::origin::Origin;
use crate::time::At;

/// Something that happened to one customer: `cart.updated`, `consent.granted`, `page.viewed`, an operator's
/// own. Events about orders are not stored but follow from the order's dated steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Follows from the source's own message id, so that a repeated event is one event.
    pub id: EventId,
    /// Lower case, dotted: `cart.updated`.
    pub name: String,
    /// When it happened.
    pub occurred_at: At,
    /// When we heard.
    pub received_at: At,
    /// Whether it may start a journey.
    pub origin: Origin,
    /// What conditions see as `event.<key>`.
    #[serde(default)]
    pub data: serde_json::Map<String, serde_json::Value>,
}

words! {
    /// What kind of word from a customer.
    FeedbackKind {
        /// A product or shop review, score 1 to 5.
        Review = "review",
        /// "How likely are you to recommend us", 0 to 10.
        Nps = "nps",
        /// "How satisfied are you", 1 to 5.
        Csat = "csat",
        /// Words without a score.
        Comment = "comment",
    }
}

/// A review, a survey answer or a comment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// Our id.
    pub id: FeedbackId,
    /// What kind.
    pub kind: FeedbackKind,
    /// The score on the kind's own scale.
    pub score: Option<f64>,
    /// The customer's words.
    pub text: Option<String>,
    /// The product it is about, by its id in the shop.
    pub product: Option<String>,
    /// When it was given.
    pub at: At,
}
