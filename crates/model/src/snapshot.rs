//! All that is known of one customer at one instant of committing: what the store reads and the engine decides
//! on. Facts carry their own instants, so the same snapshot can be looked at as of any earlier moment.

use serde::{Deserialize, Serialize};

use crate::consent::{Channel, Consent, ConsentState, Purpose, Suppression};
use crate::customer::{Customer, Identity};
use crate::delivery::Delivery;
use crate::event::{Event, Feedback};
use crate::journey::Run;
use crate::order::{Cart, Order};
use crate::time::At;

/// A label on a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The label.
    pub tag: String,
    /// Since when.
    pub since: At,
    /// Until when; `None` = until taken off.
    pub until: Option<At>,
    /// `shop` for a shop's groups (replaced at every sync), `journey` for ours.
    pub source: String,
}

/// The phase a customer stands in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseState {
    /// The lifecycle's id.
    pub lifecycle: String,
    /// Hash of the lifecycle's definition it was computed under.
    pub definition: String,
    /// The phase.
    pub phase: String,
    /// Since when.
    pub since: At,
    /// The phase before; `None` = none.
    pub previous: Option<String>,
    /// How many moves lie behind: makes transition ids unique.
    pub moves: i64,
    /// Whether one of the moves was found live, so that the past is no longer rewritten.
    pub has_live_moves: bool,
    /// Whether the last move may start a journey.
    pub live: bool,
}

/// Whether the customer is inside a segment that starts a journey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentState {
    /// The segment's id, or the journey's for a condition written in place.
    pub segment: String,
    /// Hash of its condition: a changed condition starts anew, without an edge.
    pub definition: String,
    /// Inside or outside.
    pub inside: bool,
    /// Since when.
    pub since: At,
    /// Whether the last change may start a journey.
    pub live: bool,
}

/// Where evaluating this customer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Grows with every committed fact: a decision made on an older number is followed by another.
    pub seq: i64,
    /// When the customer was last evaluated; `None` = never.
    pub evaluated_at: Option<At>,
    /// When the last evaluation said to look again (or when a fact asked for it).
    pub due_at: At,
    /// Whether live facts arrived since the last evaluation.
    pub live_pending: bool,
    /// Whether history arrived since the last evaluation.
    pub history_pending: bool,
}

/// All that is known of one customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The profile.
    pub customer: Customer,
    /// Names in other systems.
    pub identities: Vec<Identity>,
    /// The consent ledger, oldest first.
    pub consents: Vec<Consent>,
    /// Never contact.
    pub suppressions: Vec<Suppression>,
    /// Orders, oldest first by `placed_at`.
    pub orders: Vec<Order>,
    /// Carts, oldest first by `updated_at`.
    pub carts: Vec<Cart>,
    /// What the customer said, oldest first.
    pub feedback: Vec<Feedback>,
    /// Stored events (not those that follow from orders), oldest first by `occurred_at`.
    pub events: Vec<Event>,
    /// Labels.
    pub tags: Vec<Tag>,
    /// Runs, oldest first, ended ones included.
    pub runs: Vec<Run>,
    /// Deliveries, oldest first by `created_at`.
    pub deliveries: Vec<Delivery>,
    /// Where the customer stands; `None` before the first evaluation under the current lifecycle.
    pub phase: Option<PhaseState>,
    /// Segments.
    pub segments: Vec<SegmentState>,
    /// Where evaluating stands.
    pub mark: Mark,
}

impl Snapshot {
    /// A customer of whom nothing else is known, for tests and previews.
    pub fn of(customer: Customer) -> Self {
        let due_at = customer.created_at;
        Snapshot {
            customer,
            identities: Vec::new(),
            consents: Vec::new(),
            suppressions: Vec::new(),
            orders: Vec::new(),
            carts: Vec::new(),
            feedback: Vec::new(),
            events: Vec::new(),
            tags: Vec::new(),
            runs: Vec::new(),
            deliveries: Vec::new(),
            phase: None,
            segments: Vec::new(),
            mark: Mark { seq: 0, evaluated_at: None, due_at, live_pending: false, history_pending: true },
        }
    }
    /// The customer's last word on a channel and purpose by an instant. A double opt-in that is not confirmed yet
    /// is no word: it neither grants nor takes back.
    pub fn last_word(&self, channel: Channel, purpose: Purpose, by: At) -> Option<&Consent> {
        self.consents.iter().rfind(|c| {
            c.channel == channel && c.purpose == purpose && c.state != ConsentState::Pending && c.at <= by
        })
    }
}
