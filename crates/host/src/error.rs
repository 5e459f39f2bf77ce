//! What keeps a connector from being opened. Never carries a secret.

use std::path::PathBuf;

use crate::tape::TapeError;

/// What keeps a connector from being opened.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No connector of that type is built in.
    #[error("there is no connector of type `{kind}`{}", hint(.nearest.as_deref()))]
    UnknownKind {
        /// The word that was asked for.
        kind: String,
        /// The most similar type there is.
        nearest: Option<String>,
    },
    /// The connector's name cannot be a folder's name.
    #[error("`{id}` cannot be a connector's name; write lower-case letters, digits, `-` and `_`, at most 40")]
    BadId {
        /// The name.
        id: String,
    },
    /// The configuration says `enabled = false`.
    #[error("connector `{id}` is disabled in the configuration")]
    Disabled {
        /// The connector's id.
        id: String,
    },
    /// The configuration was read for checking only, without its secrets.
    #[error("connector `{id}` was read without its secrets and cannot be opened")]
    Unready {
        /// The connector's id.
        id: String,
    },
    /// Its library cannot be used.
    #[error("connector `{id}` cannot be loaded: {reason}")]
    Library {
        /// The connector's id.
        id: String,
        /// What is wrong, where, and what to do.
        reason: String,
    },
    /// The connector itself refused to open.
    #[error("connector `{id}` could not be opened")]
    Open {
        /// The connector's id.
        id: String,
        /// Why.
        source: Box<zyklus_connect::Error>,
    },
    /// The connector panicked while it was opened.
    #[error("connector `{id}` panicked while it was opened: {message}")]
    Panicked {
        /// The connector's id.
        id: String,
        /// The panic's message.
        message: String,
    },
    /// Opening took too long; what still runs is left to finish and its result ignored.
    #[error("connector `{id}` was not open after {seconds} s")]
    OpenTimeout {
        /// The connector's id.
        id: String,
        /// How long it was given.
        seconds: u64,
    },
    /// The connector's own folder could not be made.
    #[error("the folder `{path}` of connector `{id}` could not be made")]
    DataDir {
        /// The connector's id.
        id: String,
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    /// A host in the manifest or in `allow_hosts` makes no sense.
    #[error(
        "connector `{id}`: `{host}` is not a host name; write `shop.example`, `*.shop.example` or an IP address"
    )]
    BadHost {
        /// The connector's id.
        id: String,
        /// What was written.
        host: String,
    },
    /// A recording could not be opened or begun.
    #[error("the recording of connector `{id}` cannot be used")]
    Tape {
        /// The connector's id.
        id: String,
        /// Why.
        source: TapeError,
    },
}

/// `; did you mean …`, or nothing.
fn hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}
