//! The JSON bodies that are not types of the contract themselves. They only ever gain fields, all with defaults.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::{AudienceRef, Keyed, Member};
use crate::error::{Error, ErrorKind};
use crate::manifest::Manifest;
use crate::token::Token;
use crate::webhook::Rejected;

/// What `open` is asked with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// The connector's name in the configuration.
    pub id: String,
    /// The configuration, checked against the manifest's schema, with its secrets.
    pub config: Value,
    /// The folder relative paths in the configuration are meant against.
    pub base_dir: String,
    /// Where the connector may write.
    pub data_dir: String,
    /// What the host wants logged: `off`, `error`, `warn`, `info`, `debug` or `trace`.
    #[serde(default)]
    pub log_level: String,
    /// The host's [`crate::CONTRACT`].
    #[serde(default)]
    pub contract: (u16, u16),
}

/// What `open` is answered with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// What it is and can do with this configuration; `None` = as before it was opened.
    #[serde(default)]
    pub manifest: Option<Manifest>,
    /// Which facets it has; `None` = those the manifest speaks of.
    #[serde(default)]
    pub facets: Option<Vec<String>>,
}

/// What `audience.change` is asked with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which audience.
    pub audience: AudienceRef,
    /// Whom to add and remove.
    pub batch: Vec<Keyed<Member>>,
}

/// What the service `token` is asked with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// Which of the connector's tokens.
    pub name: String,
    /// To be stored; `None` = to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Token>,
}

/// A rejection as it crosses the border: kind `auth` for a wrong signature.
impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Signature(why) => Error::new(ErrorKind::Auth, why),
            Rejected::Malformed(why) => Error::new(ErrorKind::Invalid, why),
        }
    }
}

/// And back.
impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::Auth => Rejected::Signature(error.message),
            _ => Rejected::Malformed(error.message),
        }
    }
}
