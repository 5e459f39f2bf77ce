//! What a connector is asked to do, and how it ends.

use serde::{Deserialize, Serialize};
use zyklus_model::{Channel, Purpose};

use crate::error::{Error, ErrorKind};
use crate::http::{HttpError, HttpErrorKind, HttpResponse};
use crate::manifest::Dedup;

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
    /// How a command ended that was one HTTP request: a success is `done`, which `of` makes a result of; a refusal is
    /// final or not by its status; no connection is certainly not done; no answer is unknown, and so is an answer of
    /// 5xx, unless the other system recognises the repeat (`dedup`).
    pub fn of_request(
        answer: Result<HttpResponse, HttpError>,
        dedup: Dedup,
        of: impl FnOnce(&HttpResponse) -> R,
    ) -> Self {
        let is_safe = dedup == Dedup::Native;
        match answer {
            Ok(response) => match response.refusal() {
                None => Outcome::Done(of(&response)),
                Some(error) => match error.kind {
                    ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Unsupported => {
                        Outcome::Rejected(error)
                    }
                    ErrorKind::Transient if !is_safe && response.status != 503 => Outcome::Unknown(error),
                    _ => Outcome::Retry(error),
                },
            },
            Err(error) => match error.kind {
                HttpErrorKind::Connect => Outcome::Retry(Error::from(error).unreachable()),
                HttpErrorKind::Refused | HttpErrorKind::NotRecorded => Outcome::Rejected(error.into()),
                HttpErrorKind::NoAnswer | HttpErrorKind::TooLarge | HttpErrorKind::Cancelled if is_safe => {
                    Outcome::Retry(error.into())
                }
                HttpErrorKind::NoAnswer | HttpErrorKind::TooLarge | HttpErrorKind::Cancelled => {
                    Outcome::Unknown(error.into())
                }
            },
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(answer: Result<u16, HttpErrorKind>, dedup: Dedup) -> &'static str {
        let answer = answer
            .map(|status| HttpResponse { status, headers: Default::default(), body: Vec::new() })
            .map_err(|kind| HttpError { kind, message: String::new() });
        match Outcome::of_request(answer, dedup, |_| ()) {
            Outcome::Done(()) => "done",
            Outcome::Rejected(_) => "rejected",
            Outcome::Retry(_) => "retry",
            Outcome::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn what_may_have_been_done_is_tried_again_only_where_a_repeat_is_recognised() {
        for (answer, recognised, not) in [
            (Ok(201), "done", "done"),
            (Ok(422), "rejected", "rejected"),
            (Ok(401), "retry", "retry"),
            (Ok(429), "retry", "retry"),
            (Ok(503), "retry", "retry"),
            (Ok(500), "retry", "unknown"),
            (Err(HttpErrorKind::Connect), "retry", "retry"),
            (Err(HttpErrorKind::NoAnswer), "retry", "unknown"),
            (Err(HttpErrorKind::Refused), "rejected", "rejected"),
        ] {
            assert_eq!(ended(answer, Dedup::Native), recognised, "{answer:?}");
            assert_eq!(ended(answer, Dedup::None), not, "{answer:?}");
        }
    }
}
