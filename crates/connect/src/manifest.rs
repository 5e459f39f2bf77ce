//! What a connector says of itself before it is opened: shown to operators, checked by the host.

use serde::{Deserialize, Serialize};

/// What a connector is and can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The word after `type =`.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Its own version.
    pub version: String,
    /// The contract it was built against, see [`crate::CONTRACT`].
    pub contract: (u16, u16),
    /// What it can read, in the order it should be read first.
    #[serde(default)]
    pub streams: Vec<StreamSpec>,
    /// The channel it carries, if any.
    #[serde(default)]
    pub channel: Option<ChannelSpec>,
    /// What it can do.
    #[serde(default)]
    pub actions: Vec<ActionSpec>,
    /// Hosts it talks to besides those in its configuration (`api.example.com`, `*.example.com`).
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Configuration keys whose value is an address; their hosts are allowed too.
    #[serde(default)]
    pub url_fields: Vec<String>,
    /// How fast it may ask.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// How many commands may be under way at once.
    #[serde(default = "one")]
    pub max_in_flight: u32,
    /// JSON schema of its configuration.
    #[serde(default)]
    pub config_schema: serde_json::Value,
}

fn one() -> u32 {
    1
}

/// One stream of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSpec {
    /// Its name: `customers`, `orders` …
    pub name: String,
    /// Whether it can be read from the beginning.
    pub backfill: bool,
    /// Whether it can be read from where it ended.
    pub incremental: bool,
    /// Whether it notices deletions.
    #[serde(default)]
    pub deletes: bool,
    /// Permissions the credentials need.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// Whether the other system recognises a repeated command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dedup {
    /// It does, by our key: trying again after [`crate::Outcome::Unknown`] is safe.
    Native,
    /// It does not, but the connector can look up whether the first try arrived, and does so itself when
    /// `attempt` is above 1.
    Lookup,
    /// Neither: an unknown outcome stays unknown, except that a transactional message is handed over again, twice at
    /// most.
    None,
}

/// The channel a connector carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSpec {
    /// Which.
    pub channel: zyklus_model::Channel,
    /// Whether it recognises repeats.
    pub dedup: Dedup,
    /// How many messages one call of `send` takes at most: as many as are really under way at once. All of them may
    /// have gone when the daemon dies.
    pub max_batch: u32,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionSpec {
    /// Its name, after the connector's id and a dot in a playbook: `shop.note`.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// JSON schema of its input.
    pub input_schema: serde_json::Value,
    /// Whether it recognises repeats.
    pub dedup: Dedup,
}

/// How fast the other system may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Requests a second, on average.
    pub per_second: f64,
    /// How many may come at once.
    pub burst: u32,
}
