//! Reading records page by page. The cursor is the connector's own; the host only stores it.

use serde::{Deserialize, Serialize};
use zyklus_model::{At, Record};

use crate::error::{Error, ErrorKind};

/// Where reading stands, in the connector's own words. Stored by the host together with the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub serde_json::Value);

/// Why a page is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The first sync, or a reconciliation: everything, or everything since `from`.
    Backfill {
        /// The earliest change wanted; `None` = all there is.
        #[serde(default)]
        from: Option<At>,
    },
    /// Only what changed since the cursor.
    Incremental,
}

/// Asks for one page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRequest {
    /// One of the manifest's streams.
    pub stream: String,
    /// Where the last page ended; `None` for the first. When a backfill has caught up, its last cursor is
    /// where incremental reading begins.
    #[serde(default)]
    pub cursor: Option<Cursor>,
    /// Why.
    pub mode: Mode,
    /// About how many records are wanted, 1,000 when the daemon syncs; a source may give fewer or a few more.
    pub limit: u32,
}

/// A record that could not be read: reported to the operator, never dropped silently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Where it stands: a file and line, or the record's id.
    pub place: String,
    /// What is wrong with it and what to do.
    pub message: String,
}

/// One page of records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// In the order they are to be applied.
    pub records: Vec<Record>,
    /// What could not be read.
    #[serde(default)]
    pub rejects: Vec<Reject>,
    /// How many records the stream has in all, as far as the source knows: for progress bars.
    #[serde(default)]
    pub total: Option<u64>,
    /// What follows.
    pub next: Next,
}

impl Page {
    /// A page with more behind it.
    pub fn more(records: Vec<Record>, cursor: impl Into<serde_json::Value>) -> Self {
        Page { records, rejects: Vec::new(), total: None, next: Next::More { cursor: Cursor(cursor.into()) } }
    }

    /// The last page for the moment.
    pub fn caught_up(records: Vec<Record>, cursor: impl Into<serde_json::Value>) -> Self {
        let next = Next::CaughtUp { cursor: Cursor(cursor.into()), poll_after_ms: None };
        Page { records, rejects: Vec::new(), total: None, next }
    }
}

impl ReadRequest {
    /// The cursor as the connector's own type; `None` for the first page.
    ///
    /// # Errors
    /// It is none of this connector's: an older version wrote it, or somebody else.
    pub fn cursor_as<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let Some(Cursor(value)) = &self.cursor else { return Ok(None) };
        serde_json::from_value(value.clone()).map(Some).map_err(|e| {
            let message = format!("the cursor of `{}` is not one of this connector's", self.stream);
            Error::new(ErrorKind::Invalid, message).with_detail(e.to_string())
        })
    }
}

/// What follows a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// There is more now.
    More {
        /// Where.
        cursor: Cursor,
    },
    /// Nothing more for the moment.
    CaughtUp {
        /// Where incremental reading goes on.
        cursor: Cursor,
        /// When to look again at the earliest, in milliseconds; `None` = as configured.
        #[serde(default)]
        poll_after_ms: Option<u64>,
    },
}

impl Next {
    /// The cursor to store.
    pub fn cursor(&self) -> &Cursor {
        match self {
            Next::More { cursor } | Next::CaughtUp { cursor, .. } => cursor,
        }
    }
}
