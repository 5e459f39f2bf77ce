//! What goes wrong in a connector, in a form the operator can act on. Never carries a secret.

use serde::{Deserialize, Serialize};

/// A connector's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure, which decides what the host does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The configuration is wrong; `field` names the key. The connector stops until it changes.
    Config,
    /// The credentials are wrong or expired. The connector pauses.
    Auth,
    /// The credentials are right but not allowed to do this. The connector pauses.
    Permission,
    /// The thing asked for does not exist.
    NotFound,
    /// The other system refuses what we say (this message, this record) for good.
    Invalid,
    /// Too fast: wait `retry_after_ms`.
    RateLimited,
    /// It may work later: network, time-out, 5xx.
    Transient,
    /// The connector cannot do this.
    Unsupported,
    /// The host asked to stop.
    Cancelled,
    /// A defect in the connector, or an answer nobody expected.
    Internal,
}

/// A failure: a sentence for the operator, and the cause apart from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind.
    pub kind: ErrorKind,
    /// What happened and what to do, for the operator; one sentence, no secrets, no addresses.
    pub message: String,
    /// The cause: the other system's words, a line number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The configuration key it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Wait at least so long, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The other system's own code (`550 5.1.1`, `THROTTLED`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether nothing whatever can be handed over at the moment, so that this command never got its turn: nobody
    /// answers, encrypting or logging in fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreachable: bool,
}

impl Error {
    /// A failure of a kind, with the sentence for the operator.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            detail: None,
            field: None,
            retry_after_ms: None,
            code: None,
            unreachable: false,
        }
    }

    /// A wrong configuration key.
    pub fn config(field: impl Into<String>, message: impl Into<String>) -> Self {
        Error { field: Some(field.into()), ..Self::new(ErrorKind::Config, message) }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the other system's code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds how long to wait, in milliseconds.
    #[must_use]
    pub fn after(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }

    /// Says that nothing at all could be handed over, whatever it was.
    #[must_use]
    pub fn unreachable(mut self) -> Self {
        self.unreachable = true;
        self
    }

    /// Whether it is the connector as a whole that is stuck, not this one message or record.
    pub fn is_connector_level(&self) -> bool {
        self.unreachable
            || matches!(
                self.kind,
                ErrorKind::Config | ErrorKind::Auth | ErrorKind::Permission | ErrorKind::RateLimited
            )
    }
}
