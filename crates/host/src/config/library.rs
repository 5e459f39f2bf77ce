//! The part of a connector's table that names a library: read, and the library brought as far as its manifest. A library
//! that cannot be used is no mistake in the file: its connector is failed until a later try finds it well.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{ConfigOptions, ConfigProblem, ConnectorConfig, HostSettings, Reader, host_keys};
use crate::config::Source;
use crate::error::HostError;
use crate::plugin::{KEYS, LibrarySettings, Plugin, prepare, read_settings};
use crate::redact::Redactor;
use crate::registry::Registry;

/// Why a connector's library cannot be used, and how to try again.
#[derive(Clone)]
pub struct FailedLibrary {
    /// What is wrong, where, and what to do.
    pub reason: String,
    /// What the table says of it.
    pub settings: LibrarySettings,
    again: Arc<dyn Fn() -> Result<ConnectorConfig, Vec<ConfigProblem>> + Send + Sync>,
}

impl FailedLibrary {
    /// Tries once more to read the connector's table with what its library says.
    pub(crate) async fn again(&self, id: &str) -> Result<ConnectorConfig, HostError> {
        let library = |reason: String| HostError::Library { id: id.to_owned(), reason };
        let again = Arc::clone(&self.again);
        // Looking at a library blocks.
        let read = tokio::task::spawn_blocking(move || again()).await;
        let read = read.map_err(|_| library("looking at it ended in a defect".into()))?;
        match read {
            Ok(ConnectorConfig { failed: Some(failed), .. }) => Err(library(failed.reason)),
            Ok(config) => Ok(config),
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Err(library(format!("its configuration is wrong: {}", problems.join("; "))))
            }
        }
    }
}

impl std::fmt::Debug for FailedLibrary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FailedLibrary").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// What became of a library.
pub(super) enum Loaded {
    Plugin(Plugin),
    Failed(Box<ConnectorConfig>),
}

/// Takes a library's keys out of a table and looks at the library; `None` = the keys are wrong, and that was reported.
pub(super) fn load(
    reader: &mut Reader<'_>,
    id: &str,
    table: &mut Map<String, Value>,
    registry: &Registry,
) -> Option<Loaded> {
    let before = reader.problems.len();
    let mut settings = LibrarySettings::new("");
    for key in KEYS {
        if let Some(value) = table.shift_remove(*key)
            && let Err((message, help)) = read_settings(&mut settings, key, &value)
        {
            reader.report(&format!("/{key}"), message, help);
        }
    }
    let kind = table.shift_remove("type");
    // Whether it is wanted at all is asked before anything of it is touched.
    let enabled = !matches!(table.get("enabled"), Some(Value::Bool(false)));
    if reader.problems.len() > before {
        return None;
    }
    let failed = |reason: String| {
        let mut host = HostSettings { enabled, ..HostSettings::default() };
        for key in host_keys::ALL {
            if let Some(value) = table.get(*key) {
                // What is wrong with the rest is said once somebody knows which keys there are.
                host.take(key, value, &[]).ok();
            }
        }
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or("library").to_owned();
        let again = once_more(reader.source, id, registry, reader.options);
        let failed = FailedLibrary { reason, settings: settings.clone(), again };
        Loaded::Failed(Box::new(ConnectorConfig {
            id: id.to_owned(),
            kind,
            settings: host,
            config: Value::Null,
            redactor: Redactor::default(),
            warnings: Vec::new(),
            has_secrets: false,
            plugin: None,
            failed: Some(failed),
        }))
    };
    if !enabled {
        return Some(failed("it is disabled, so its library was not looked at".into()));
    }
    let plugin = match prepare(&settings, &reader.options.plugins) {
        Ok(plugin) => plugin,
        Err(error) => return Some(failed(described(&error))),
    };
    let found = &plugin.manifest().kind;
    if let Some(kind) = kind.filter(|kind| kind.as_str() != Some(found)) {
        let help = format!("write type = \"{found}\", or take the key out");
        reader.report(
            "/type",
            format!("the library is a connector of type \"{found}\", not {kind}"),
            Some(help),
        );
        return None;
    }
    Some(Loaded::Plugin(plugin))
}

/// Reads one connector of a file again.
fn once_more(
    source: &Source<'_>,
    id: &str,
    registry: &Registry,
    options: &ConfigOptions,
) -> Arc<dyn Fn() -> Result<ConnectorConfig, Vec<ConfigProblem>> + Send + Sync> {
    let (file, text, id) = (source.file.to_owned(), source.text.to_owned(), id.to_owned());
    let (registry, options) = (registry.clone(), options.clone());
    Arc::new(move || {
        let source = Source { file: &file, text: &text };
        let problem = || vec![ConfigProblem::at(&source, String::new(), 0..0, format!("`{id}` is gone"))];
        super::read_one(&source, &id, &registry, &options)?.ok_or_else(problem)
    })
}

/// An error with its causes.
fn described(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
