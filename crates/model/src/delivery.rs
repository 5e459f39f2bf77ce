//! One message or action for one customer: its states, tries and receipts. Never sends.

use serde::{Deserialize, Serialize};

use crate::consent::{Channel, Purpose, words};
use crate::id::{AttemptId, CustomerId, DeliveryId, RunId};
use crate::journey::Holdout;
use crate::time::At;

words! {
    /// Where a delivery stands. `pending` → `sending` → one of the others; `sending` → `pending` on retry.
    DeliveryState {
        /// In the outbox, waiting for its time.
        Pending = "pending",
        /// Claimed: it may have been sent.
        Sending = "sending",
        /// The provider took it.
        Accepted = "accepted",
        /// The provider says it arrived.
        Delivered = "delivered",
        /// The provider says it came back.
        Bounced = "bounced",
        /// The customer reported it as spam.
        Complained = "complained",
        /// Refused for good by the provider or by the renderer.
        Failed = "failed",
        /// Handed over without an answer: it may have arrived, and is not sent again.
        Unknown = "unknown",
        /// Given up after too many tries.
        Dead = "dead",
        /// Its time had passed.
        Expired = "expired",
        /// A guard refused it: see the reason.
        Refused = "refused",
        /// Withdrawn before it was claimed (the run ended, or the operator did it).
        Cancelled = "cancelled",
        /// Would have been sent: shadow mode or a held-out customer.
        Shadow = "shadow",
    }
}

impl DeliveryState {
    /// Whether nothing more is tried.
    pub const fn is_final(self) -> bool {
        !matches!(self, DeliveryState::Pending | DeliveryState::Sending)
    }

    /// Whether it counts against frequency caps: it was, is being, or may have been sent.
    pub const fn counts(self) -> bool {
        matches!(
            self,
            DeliveryState::Sending
                | DeliveryState::Accepted
                | DeliveryState::Delivered
                | DeliveryState::Bounced
                | DeliveryState::Complained
                | DeliveryState::Unknown
        )
    }
}

words! {
    /// What is done.
    DeliveryKind {
        /// A rendered message over a channel.
        Message = "message",
        /// An action of a connector (`call`).
        Action = "action",
    }
}

words! {
    /// Which rules hold for it; follows from the step's purpose.
    DeliveryClass {
        /// Capped, needs consent.
        Marketing = "marketing",
        /// Not capped.
        Service = "service",
        /// Not capped, no quiet hours.
        Transactional = "transactional",
    }
}

impl From<Purpose> for DeliveryClass {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Marketing => DeliveryClass::Marketing,
            Purpose::Service => DeliveryClass::Service,
            Purpose::Transactional => DeliveryClass::Transactional,
        }
    }
}

words! {
    /// A reason not to act, in the order the guards are asked.
    GuardReason {
        /// The address is on the suppression list.
        Suppressed = "suppressed",
        /// There is no address for the channel.
        NoAddress = "no_address",
        /// No consent for channel and purpose.
        NoConsent = "no_consent",
        /// In the global holdout group.
        GlobalHoldout = "global_holdout",
        /// In the journey's holdout group.
        JourneyHoldout = "journey_holdout",
        /// This run already acted on this step.
        AlreadySent = "already_sent",
        /// Its time had passed.
        Expired = "expired",
        /// The step was reached too late (down-time, pause).
        Missed = "missed",
        /// Quiet hours until it would have expired.
        QuietHours = "quiet_hours",
        /// The frequency cap leaves no place before it expires.
        Capped = "capped",
        /// Its journey is switched off: it waits.
        Paused = "paused",
        /// Another message to the same customer goes first.
        Outranked = "outranked",
        /// Its run has reached its goal or its exit.
        Over = "over",
        /// Not one of the test recipients.
        TestMode = "test_mode",
    }
}

impl From<Holdout> for GuardReason {
    fn from(held: Holdout) -> Self {
        match held {
            Holdout::Global => GuardReason::GlobalHoldout,
            Holdout::Journey => GuardReason::JourneyHoldout,
        }
    }
}

/// One message or action, decided for one customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Follows from run and step: deciding it again gives the same id.
    pub id: DeliveryId,
    /// For whom.
    pub customer: CustomerId,
    /// The run that decided it; `None` for a campaign or an operator's own.
    pub run: Option<RunId>,
    /// The journey's root id.
    pub journey: String,
    /// The step's stable id.
    pub step: String,
    /// Message or action.
    pub kind: DeliveryKind,
    /// The channel of a message; `None` for an action.
    pub channel: Option<Channel>,
    /// The connector that carries it out; `None` = the channel's default connector.
    pub connector: Option<String>,
    /// The template of a message or the action's name.
    pub target: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it counts against and is held by caps (`cap = "ignore"` makes it false).
    pub capped: bool,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why a guard refused it; of one that waits, why it was last put off.
    pub reason: Option<GuardReason>,
    /// The message it last gave way to, if it did.
    #[serde(default)]
    pub outranked_by: Option<DeliveryId>,
    /// When it was decided.
    pub created_at: At,
    /// When it may go.
    pub due_at: At,
    /// After this it is no longer worth sending.
    pub expires_at: At,
    /// When it was handed over (or refused, or given up).
    pub done_at: Option<At>,
    /// How often it was claimed.
    pub attempt_count: i64,
    /// What the template or the action gets besides the snapshot: `with`, the start event, the key.
    #[serde(default)]
    pub payload: serde_json::Value,
}

/// One try of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// 1 for the first.
    pub number: i64,
    /// Which daemon.
    pub owner: String,
    /// When it was claimed.
    pub started_at: At,
    /// When handing it over began: from then on nobody knows whether it arrived until the try has ended. `None` =
    /// certainly not sent.
    pub handed_at: Option<At>,
    /// When it ended; `None` while going on, or when the daemon died.
    pub ended_at: Option<At>,
    /// `accepted`, `retry`, `failed`, `unknown`, `lost` …
    pub outcome: Option<String>,
    /// The provider's words or ours.
    pub detail: Option<String>,
}

words! {
    /// What a provider reports about a message.
    ReceiptKind {
        /// It took the message.
        Accepted = "accepted",
        /// It arrived.
        Delivered = "delivered",
        /// It came back for good.
        Bounced = "bounced",
        /// It is late or the mailbox is full; it may still arrive.
        Deferred = "deferred",
        /// The customer reported it as spam.
        Complained = "complained",
        /// The customer clicked a link in it.
        Clicked = "clicked",
        /// The customer unsubscribed through it.
        Unsubscribed = "unsubscribed",
    }
}

/// The provider's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What it reports.
    pub kind: ReceiptKind,
    /// The provider's reference of the message.
    pub provider_ref: Option<String>,
    /// The provider's words.
    pub detail: Option<String>,
}
