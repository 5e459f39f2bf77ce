//! The kit file: what the cases need to know of one connector.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use zyklus_model::At;

use super::served::Exchange;
use crate::error::ErrorKind;

/// What the cases need to know of one connector.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kit {
    /// The folder relative paths in the configuration are meant against: that of the file.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Whether the other system is a real one, asked over the network, instead of what stands here. Then the clock is
    /// the machine's.
    #[serde(default)]
    pub live: bool,
    /// What the host's clock says.
    #[serde(default = "noon")]
    pub now: At,
    /// How many records a page is asked for.
    #[serde(default = "two")]
    pub limit: u32,
    /// A configuration that works, secrets and all.
    pub config: Map<String, Value>,
    /// Configurations that do not.
    #[serde(default)]
    pub refused: Vec<RefusedConfig>,
    /// What the other system answers.
    #[serde(default)]
    pub http: Vec<Exchange>,
    /// What its streams bring.
    #[serde(default)]
    pub streams: BTreeMap<String, ExpectedStream>,
    /// Notifications it gets.
    #[serde(default)]
    pub webhook: Vec<Notification>,
    /// Messages it carries.
    #[serde(default)]
    pub message: Vec<MessageCase>,
    /// Actions it performs.
    #[serde(default)]
    pub action: Vec<ActionCase>,
}

fn at_present() -> At {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    At::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn noon() -> At {
    At::from_seconds(1_772_366_400)
}

fn two() -> u32 {
    2
}

/// A configuration that is refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedConfig {
    /// What differs from the one that works.
    pub config: Map<String, Value>,
    /// The key that has to be named when it is opened.
    #[serde(default)]
    pub field: Option<String>,
    /// How a live check fails instead, of what can be opened: `auth` for a wrong password.
    #[serde(default)]
    pub kind: Option<ErrorKind>,
}

/// What a stream brings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedStream {
    /// So many records in all.
    pub records: usize,
    /// So many more that make no sense and are told as rejects.
    #[serde(default)]
    pub rejects: usize,
}

/// A notification, and what becomes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// `POST`, or `GET`.
    #[serde(default = "post")]
    pub method: String,
    /// Path and query.
    #[serde(default)]
    pub path: String,
    /// Names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The raw bytes.
    #[serde(default)]
    pub body: String,
    /// When it arrives; `None` = now.
    #[serde(default)]
    pub received_at: Option<At>,
    /// What becomes of it.
    pub expect: Reception,
    /// So many records are in it.
    #[serde(default)]
    pub records: Option<usize>,
}

fn post() -> String {
    "POST".to_owned()
}

/// What becomes of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reception {
    /// It is taken.
    Accepted,
    /// Its signature does not fit.
    Signature,
    /// Its body makes no sense.
    Malformed,
}

/// How a command ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Done.
    #[default]
    Done,
    /// Never again.
    Rejected,
    /// Certainly not done.
    Retry,
    /// Perhaps done.
    Unknown,
}

/// A message, and how sending it ends.
#[derive(Debug, Clone, Deserialize)]
pub struct MessageCase {
    /// How it ends.
    #[serde(default)]
    pub expect: Expect,
    /// With which error.
    #[serde(default)]
    pub kind: Option<ErrorKind>,
    /// The message's own fields; delivery, channel and purpose are filled in where they are missing.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// An action, and how performing it ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionCase {
    /// Which.
    pub name: String,
    /// Fits its input schema.
    #[serde(default)]
    pub input: Value,
    /// The customer's id in that system.
    #[serde(default)]
    pub customer: Option<String>,
    /// How it ends.
    #[serde(default)]
    pub expect: Expect,
    /// With which error.
    #[serde(default)]
    pub kind: Option<ErrorKind>,
}

impl Kit {
    /// Reads a kit file.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text =
            std::fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
        let mut kit: Kit = toml::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        if kit.live {
            if !kit.http.is_empty() {
                return Err(format!(
                    "{}: `live` asks the real system, so that no [[http]] answers; leave out one of them",
                    file.display()
                ));
            }
            kit.now = at_present();
        }
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        kit.folder = std::path::absolute(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        Ok(kit)
    }
}
