//! The keys of a connector's table that are about its library. Never looks at the library.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::process::ProcessLimits;

/// All of them; what a connector's own schema says of these names does not count.
pub(crate) const KEYS: &[&str] = &["library", "sha256", "isolation", "memory_limit", "cpu_limit", "network"];

const MIB: u64 = 1024 * 1024;
/// Less does not hold a process with threads.
const LEAST_MEMORY: u64 = 32 * MIB;

/// Where a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// In a process of its own.
    Process,
    /// In the daemon's: its crash is ours.
    InProcess,
}

/// What a connector's table says of its library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibrarySettings {
    /// The file, below the plugin folder.
    pub library: PathBuf,
    /// Its hash.
    pub sha256: Option<String>,
    /// Where it runs.
    pub isolation: Isolation,
    /// What its process may use.
    pub limits: ProcessLimits,
}

impl LibrarySettings {
    /// A library in a process of its own, with the limits of one that nothing is said of.
    pub fn new(library: impl Into<PathBuf>) -> Self {
        LibrarySettings {
            library: library.into(),
            sha256: None,
            isolation: Isolation::Process,
            limits: ProcessLimits { memory: 512 * MIB, cpu: Duration::from_secs(60), network: false },
        }
    }
}

/// A key's problem: what is wrong and what to do.
type Wrong = (String, Option<String>);

/// Takes one key in.
pub(crate) fn read(settings: &mut LibrarySettings, key: &str, value: &Value) -> Result<(), Wrong> {
    let wrong = |what: &str, help: &str| Err((format!("{value} is not {what}"), Some(help.to_owned())));
    match (key, value) {
        ("library", Value::String(text)) if !text.is_empty() => {
            settings.library = Path::new(text).to_path_buf()
        }
        ("library", _) => return wrong("a file", "write the name of a library in the plugin folder"),
        ("sha256", Value::String(text)) if is_hash(text) => settings.sha256 = Some(text.to_ascii_lowercase()),
        ("sha256", _) => {
            return wrong(
                "a hash",
                "write the 64 digits that `sha256sum` says, or take the key out and run `zyklus plugin lock`",
            );
        }
        ("isolation", Value::String(text)) if text == "process" => settings.isolation = Isolation::Process,
        ("isolation", Value::String(text)) if text == "in-process" => {
            settings.isolation = Isolation::InProcess
        }
        ("isolation", _) => {
            return wrong(
                "a kind of isolation",
                "write \"process\", or \"in-process\" for a library you trust with the daemon",
            );
        }
        ("memory_limit", _) => match value.as_str().and_then(memory) {
            Some(bytes) if bytes >= LEAST_MEMORY => settings.limits.memory = bytes,
            _ => return wrong("an amount of memory", "write \"512 MiB\" or \"2 GiB\", 32 MiB at least"),
        },
        ("cpu_limit", _) => match value.as_str().and_then(span) {
            Some(span) => settings.limits.cpu = span,
            None => {
                return wrong("a span of time", "write \"60s\": so much processor time one call may take");
            }
        },
        ("network", Value::Bool(network)) => settings.limits.network = *network,
        ("network", _) => {
            return wrong(
                "`true` or `false`",
                "with `true` it has sockets of its own; HTTP goes through the daemon either way",
            );
        }
        _ => return Err((format!("`{key}` is not a key of a library"), None)),
    }
    Ok(())
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn memory(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit.trim() {
        "MiB" => MIB,
        "GiB" => 1024 * MIB,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn span(text: &str) -> Option<Duration> {
    let span = text.parse::<jiff::SignedDuration>().ok()?;
    Duration::try_from(span).ok().filter(|span| !span.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_read_and_wrong_ones_say_what_to_write() {
        let mut settings = LibrarySettings::new("a.so");
        let hash = "0123456789ABCDEF".repeat(4);
        for (key, value) in [
            ("library", json!("b.so")),
            ("sha256", json!(hash)),
            ("isolation", json!("in-process")),
            ("memory_limit", json!("2 GiB")),
            ("cpu_limit", json!("1m 30s")),
            ("network", json!(true)),
        ] {
            assert!(KEYS.contains(&key));
            read(&mut settings, key, &value).unwrap();
            let (message, _) = read(&mut settings.clone(), key, &json!({})).unwrap_err();
            assert!(message.starts_with("{} is not "), "{message}");
        }
        let limits = ProcessLimits { memory: 2048 * MIB, cpu: Duration::from_secs(90), network: true };
        let (library, isolation) = ("b.so".into(), Isolation::InProcess);
        assert_eq!(
            settings,
            LibrarySettings { library, sha256: Some(hash.to_lowercase()), isolation, limits }
        );
        for (key, value) in [
            ("library", json!("")),
            ("sha256", json!("00")),
            ("isolation", json!("thread")),
            ("memory_limit", json!("31 MiB")),
            ("memory_limit", json!("512")),
            ("cpu_limit", json!("0s")),
            ("frobnicate", json!(1)),
        ] {
            assert!(read(&mut settings, key, &value).is_err(), "{key} {value}");
        }
    }
}
