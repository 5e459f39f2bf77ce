//! The keys of a connector's table that the host itself understands. Never passes them on to the connector.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use zyklus_connect::RateLimit;

/// All keys the host takes.
pub(crate) const ALL: &[&str] = &[
    "type",
    "enabled",
    "sync_every",
    "streams",
    "allow_hosts",
    "allow_private_network",
    "rate_limit",
    "timeout",
    "record_to",
    "replay_from",
];

/// Keys that belong to the connector when its own schema has them.
pub(crate) const YIELDING: &[&str] = &["sync_every", "streams", "rate_limit", "timeout"];

/// What the host was told about one connector.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSettings {
    /// `enabled = false` keeps the table but not the connector.
    pub enabled: bool,
    /// How often to look for news; `None` = the daemon's default.
    pub sync_every: Option<Duration>,
    /// Only these streams; `None` = all.
    pub streams: Option<Vec<String>>,
    /// Hosts it may talk to besides those of its manifest and its addresses.
    pub allow_hosts: Vec<String>,
    /// Whether hosts of the manifest, too, may have private addresses.
    pub allow_private_network: bool,
    /// Instead of the manifest's.
    pub rate_limit: Option<RateLimit>,
    /// Of one HTTP request, when the connector names none; `None` = 30 s.
    pub timeout: Option<Duration>,
    /// Where HTTP exchanges are recorded to, as written.
    pub record_to: Option<PathBuf>,
    /// Where HTTP exchanges are played back from, as written.
    pub replay_from: Option<PathBuf>,
}

impl Default for HostSettings {
    fn default() -> Self {
        HostSettings {
            enabled: true,
            sync_every: None,
            streams: None,
            allow_hosts: Vec::new(),
            allow_private_network: false,
            rate_limit: None,
            timeout: None,
            record_to: None,
            replay_from: None,
        }
    }
}

/// A key's problem: what is wrong and what to do.
type Wrong = (String, Option<String>);

impl HostSettings {
    /// Takes one key in.
    pub(crate) fn take(&mut self, key: &str, value: &Value, streams: &[&str]) -> Result<(), Wrong> {
        match key {
            "enabled" => self.enabled = boolean(value)?,
            "allow_private_network" => self.allow_private_network = boolean(value)?,
            "sync_every" => self.sync_every = Some(duration(value)?),
            "timeout" => self.timeout = Some(duration(value)?),
            "allow_hosts" => {
                self.allow_hosts = texts(value)?;
                if let Some(bad) = self.allow_hosts.iter().find(|h| !crate::http::egress::is_host(h)) {
                    return Err((
                        format!("`{bad}` is not a host name"),
                        Some("write `api.example.com`, `*.example.com` or an IP address, without scheme, port or path".into()),
                    ));
                }
            }
            "streams" => {
                let wanted = texts(value)?;
                if let Some(bad) = wanted.iter().find(|w| !streams.contains(&w.as_str())) {
                    let help = match zyklus_model::nearest(bad, streams.iter().copied()) {
                        Some(name) => format!("did you mean `{name}`?"),
                        None => format!("there are: {}", streams.join(", ")),
                    };
                    return Err((format!("there is no stream `{bad}`"), Some(help)));
                }
                self.streams = Some(wanted);
            }
            "rate_limit" => self.rate_limit = Some(rate_limit(value)?),
            "record_to" => self.record_to = Some(text(value)?.into()),
            "replay_from" => self.replay_from = Some(text(value)?.into()),
            other => return Err((format!("`{other}` is not a key of the host"), None)),
        }
        Ok(())
    }
}

fn boolean(value: &Value) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| (format!("{value} is not `true` or `false`"), None))
}

fn text(value: &Value) -> Result<&str, Wrong> {
    value.as_str().filter(|t| !t.is_empty()).ok_or_else(|| (format!("{value} is not a text"), None))
}

fn texts(value: &Value) -> Result<Vec<String>, Wrong> {
    let wrong = || (format!("{value} is not a list of texts"), Some("write [\"one\", \"two\"]".to_owned()));
    value
        .as_array()
        .ok_or_else(wrong)?
        .iter()
        .map(|v| v.as_str().map(str::to_owned).ok_or_else(wrong))
        .collect()
}

fn duration(value: &Value) -> Result<Duration, Wrong> {
    value
        .as_str()
        .and_then(|text| text.parse::<jiff::SignedDuration>().ok())
        .and_then(|span| Duration::try_from(span).ok())
        .filter(|span| !span.is_zero())
        .ok_or_else(|| {
            (format!("{value} is not a span of time"), Some("write \"30s\", \"5m\" or \"24h\"".into()))
        })
}

fn rate_limit(value: &Value) -> Result<RateLimit, Wrong> {
    let wrong = || {
        (
            format!("{value} is not a rate"),
            Some("write requests a second, as 5 or { per_second = 5, burst = 10 }".to_owned()),
        )
    };
    let (per_second, burst) = match value {
        Value::Number(n) => (n.as_f64(), None),
        Value::Object(table) if table.keys().all(|k| k == "per_second" || k == "burst") => {
            let burst = match table.get("burst") {
                Some(b) => Some(
                    b.as_u64().and_then(|b| u32::try_from(b).ok()).filter(|b| *b > 0).ok_or_else(wrong)?,
                ),
                None => None,
            };
            (table.get("per_second").and_then(Value::as_f64), burst)
        }
        _ => return Err(wrong()),
    };
    let per_second = per_second.filter(|n| *n >= 0.001 && *n <= 100_000.0).ok_or_else(wrong)?;
    // Whole numbers up to 100,000 fit.
    let burst = burst.unwrap_or(per_second.ceil() as u32).max(1);
    Ok(RateLimit { per_second, burst })
}
