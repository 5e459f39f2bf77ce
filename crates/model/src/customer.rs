//! Who a customer is, and under which names other systems know them. Never resolves identities: the store does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::address::{Email, PhoneNumber};
use crate::consent::words;
use crate::id::{CustomerId, MergeId};
use crate::time::At;

/// The profile: attributes merged from every system that knows the customer, the latest word winning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    /// Our id.
    pub id: CustomerId,
    /// Where mail goes.
    pub email: Option<Email>,
    /// Where text messages go.
    pub phone: Option<PhoneNumber>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Language and region, BCP 47 (`de-AT`).
    pub locale: Option<String>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<String>,
    /// IANA time zone name.
    pub time_zone: Option<String>,
    /// When the shop first knew them.
    pub created_at: At,
    /// Whether they have an account (guests do not).
    pub has_account: bool,
    /// Whatever else the shop says, by name.
    #[serde(default)]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

words! {
    /// What kind of name an identity is.
    IdentityKind {
        /// The system's own id.
        External = "external",
        /// A verified e-mail address: the same in every system.
        Email = "email",
        /// A guest's e-mail address, known from an order or cart and verified by nobody.
        GuestEmail = "guest_email",
    }
}

/// The customer's name in one system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The connector's id; empty for verified e-mail addresses, which hold everywhere.
    pub system: String,
    /// What kind of name.
    pub kind: IdentityKind,
    /// The name.
    pub value: String,
    /// The customer it leads to now.
    pub customer: CustomerId,
}

/// A record of two customers found to be one; it can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// Its id.
    pub id: MergeId,
    /// Who remains.
    pub winner: CustomerId,
    /// Who was folded in.
    pub loser: CustomerId,
    /// Why: the shared name, in words.
    pub reason: String,
    /// When.
    pub at: At,
    /// When it was undone.
    pub undone_at: Option<At>,
}
