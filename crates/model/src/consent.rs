//! Permission to contact somebody, and the refusal that beats it. Never decides: the engine's guards do.

use serde::{Deserialize, Serialize};

use crate::time::At;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word used in configuration and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// From that word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// A way to reach a customer.
    Channel {
        /// Electronic mail.
        Email = "email",
        /// Text message.
        Sms = "sms",
        /// A social network's direct message or mention.
        Social = "social",
        /// Web or app push notification.
        Push = "push",
        /// Printed mail.
        Post = "post",
    }
}

words! {
    /// What a message is for.
    Purpose {
        /// Advertising: needs consent, counts against caps, can be unsubscribed.
        Marketing = "marketing",
        /// Belongs to a purchase or an account (care, confirmation of a sign-up); never advertising.
        Service = "service",
        /// Demanded by a contract or the customer's own click (receipts, passwords).
        Transactional = "transactional",
    }
}

words! {
    /// What the customer said.
    ConsentState {
        /// Agreed, with evidence.
        Granted = "granted",
        /// Asked for, not yet confirmed (double opt-in).
        Pending = "pending",
        /// Took it back or objected.
        Withdrawn = "withdrawn",
    }
}

words! {
    /// Why contacting is lawful (an engineering reading, not legal advice).
    LegalBasis {
        /// Consent, GDPR Art. 6(1)(a), UWG §7(2).
        Consent = "consent",
        /// Own similar goods to an existing customer, UWG §7(3).
        ExistingCustomer = "existing_customer",
        /// Performance of a contract, GDPR Art. 6(1)(b).
        Contract = "contract",
    }
}

/// One entry of the consent ledger: appended, never changed. The latest by `at` counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The channel it is about.
    pub channel: Channel,
    /// The purpose it is about.
    pub purpose: Purpose,
    /// What was said.
    pub state: ConsentState,
    /// Why contacting is lawful.
    pub basis: LegalBasis,
    /// When it was said.
    pub at: At,
    /// The connector or page it came through.
    pub source: String,
    /// What proves it: text version, form address, confirmation time. Free form, stored whole.
    #[serde(default)]
    pub evidence: serde_json::Value,
}

words! {
    /// Why an address is never contacted again.
    SuppressionReason {
        /// The customer unsubscribed or objected.
        Unsubscribed = "unsubscribed",
        /// The address does not exist.
        Bounced = "bounced",
        /// The customer reported a message as spam.
        Complained = "complained",
        /// The operator's decision.
        Manual = "manual",
        /// The customer was erased on request.
        Erased = "erased",
    }
}

/// Never contact: beats every consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// The channel it holds for; `None` = all.
    pub channel: Option<Channel>,
    /// Whether service and transactional messages are refused too (a bounced address: yes; an unsubscribed
    /// one: no).
    pub all_purposes: bool,
    /// Why.
    pub reason: SuppressionReason,
    /// Since when.
    pub at: At,
}
