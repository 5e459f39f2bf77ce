//! What a connector is asked to do, and how it ends.

use serde::{Deserialize, Serialize};
use zyklus_model::{Channel, Purpose};

use crate::error::Error;

/// A command with the key that makes repeating it recognisable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keyed<T> {
    /// The same on every attempt of the same thing (the delivery's id).
    pub key: String,
    /// 1 for the first try.
    pub attempt: u32,
    /// What to do.
    pub body: T,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<R> {
    /// Done; the other system said so.
    Done(R),
    /// Certainly not done, and trying again is useless.
    Rejected(Error),
    /// Certainly not done; trying again may help.
    Retry(Error),
    /// No answer after the command was handed over: it may or may not have been done.
    Unknown(Error),
}

impl<R> Outcome<R> {
    /// The failure, if it is one.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Outcome::Done(_) => None,
            Outcome::Rejected(e) | Outcome::Retry(e) | Outcome::Unknown(e) => Some(e),
        }
    }
}

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Shown name; cleaned of control characters.
    #[serde(default)]
    pub name: Option<String>,
    /// The address.
    pub email: String,
}

/// Whom a message goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// By e-mail.
    Email(Mailbox),
    /// By telephone number, in folded form.
    Phone(String),
    /// By the channel's own handle.
    Handle(String),
}

/// RFC 2369 and RFC 8058 headers: how the customer gets off the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListUnsubscribe {
    /// An https address that takes the one-click POST; its token is unguessable.
    #[serde(default)]
    pub url: Option<String>,
    /// A mailbox that takes a mail as the same wish.
    #[serde(default)]
    pub mailto: Option<String>,
}

/// A rendered message for one customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Our delivery id; a mail's Message-ID follows from it and stays the same over retries.
    pub delivery: String,
    /// By which way.
    pub channel: Channel,
    /// What it is for: bulk headers belong to marketing only.
    pub purpose: Purpose,
    /// To whom.
    pub to: Recipient,
    /// From whom; `None` = the connector's configured sender.
    #[serde(default)]
    pub from: Option<Mailbox>,
    /// Where answers go.
    #[serde(default)]
    pub reply_to: Option<Mailbox>,
    /// A mail's subject.
    #[serde(default)]
    pub subject: Option<String>,
    /// A mail's HTML part.
    #[serde(default)]
    pub html: Option<String>,
    /// The text: a mail's text part, or the whole of a text message.
    pub text: String,
    /// The text's language, BCP 47.
    #[serde(default)]
    pub locale: Option<String>,
    /// How to get off the list.
    #[serde(default)]
    pub list_unsubscribe: Option<ListUnsubscribe>,
    /// What the message belongs to (journey and step), for the provider's statistics.
    #[serde(default)]
    pub tag: Option<String>,
    /// When it was first handed over, for a mail's Date header: the same on every attempt.
    #[serde(default)]
    pub sent_at: Option<zyklus_model::At>,
}

/// One change in another system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// One of the manifest's actions.
    pub name: String,
    /// Fits the action's input schema.
    pub input: serde_json::Value,
    /// The customer's id in that system, if it knows them.
    #[serde(default)]
    pub customer_external_id: Option<String>,
}

/// A list of customers wanted in another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceSpec {
    /// Our id of it.
    pub id: String,
    /// What people see.
    pub name: String,
}

/// The other system's id of an audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceRef(pub String);

/// One customer to add or remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Add or remove.
    pub add: bool,
    /// Who; the connector hashes as its system demands.
    pub to: Recipient,
}
