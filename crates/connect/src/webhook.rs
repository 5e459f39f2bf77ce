//! Notifications the other system posts to us. Verified on the raw bytes, never trusted for content alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zyklus_model::Record;

/// What the other system should post, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Our public address for this connector.
    pub url: String,
    /// The streams wanted; empty = unsubscribe from all.
    pub streams: Vec<String>,
}

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRequest {
    /// `POST`, or `GET` for handshakes.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The raw bytes.
    #[serde(default, with = "crate::bytes")]
    pub body: Vec<u8>,
    /// When it arrived.
    pub received_at: zyklus_model::At,
}

/// What was in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The sender's id of this delivery, against repeats.
    #[serde(default)]
    pub delivery_id: Option<String>,
    /// What it says.
    #[serde(default)]
    pub records: Vec<Record>,
    /// What to answer instead of an empty 200.
    #[serde(default)]
    pub reply: Option<WebhookReply>,
    /// Streams to read now, because the notification is only a hint.
    #[serde(default)]
    pub follow_up: Vec<String>,
}

/// An answer to a webhook (handshakes).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookReply {
    /// Status code.
    pub status: u16,
    /// Body.
    #[serde(default, with = "crate::bytes")]
    pub body: Vec<u8>,
}

/// Why a notification was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejected {
    /// The signature is missing, wrong or too old: answered with 401.
    #[error("the signature does not fit: {0}")]
    Signature(String),
    /// The body makes no sense: answered with 400.
    #[error("the body cannot be read: {0}")]
    Malformed(String),
}
