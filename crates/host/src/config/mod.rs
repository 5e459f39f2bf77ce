//! One `[connectors.NAME]` table of `zyklus.toml` into what a connector is opened with: checked against the
//! connector's schema, secrets fetched, the host's own keys taken out. Never opens a connector.

mod host_keys;
mod library;
mod misplaced;
mod place;
mod problem;
mod schema;
mod secret;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zyklus_connect::Manifest;

use zyklus_connect::{Error, ErrorKind};

pub use host_keys::HostSettings;
pub use library::FailedLibrary;
pub use place::Source;
pub use problem::ConfigProblem;
pub use values::input_misfits;

use crate::plugin::{KEYS as LIBRARY_KEYS, Plugin, PluginOptions};
use crate::redact::Redactor;
use crate::registry::{OpenFn, Registry};
use place::{Places, dotted, step};

/// Looks up an environment variable.
pub type EnvFn = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How configuration is read.
#[derive(Clone)]
pub struct ConfigOptions {
    /// The folder relative paths are meant against: the configuration file's.
    pub base_dir: PathBuf,
    /// Whether a secret may stand in the configuration itself.
    pub allow_literal_secrets: bool,
    /// Whether secrets are fetched; without, only their form is checked and they are empty (for checking a
    /// configuration on a machine that does not have them). Such a configuration must not be opened.
    pub resolve_secrets: bool,
    /// The environment.
    pub env: EnvFn,
    /// Connectors' libraries.
    pub plugins: PluginOptions,
}

impl ConfigOptions {
    /// Reads the process's environment, fetches secrets, refuses literal ones.
    pub fn new(base_dir: impl Into<PathBuf>) -> Self {
        let base_dir = base_dir.into();
        ConfigOptions {
            plugins: PluginOptions::beside(&base_dir),
            base_dir,
            allow_literal_secrets: false,
            resolve_secrets: true,
            env: Arc::new(|name| std::env::var(name).ok()),
        }
    }
}

impl std::fmt::Debug for ConfigOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigOptions")
            .field("base_dir", &self.base_dir)
            .field("allow_literal_secrets", &self.allow_literal_secrets)
            .field("resolve_secrets", &self.resolve_secrets)
            .field("plugins", &self.plugins)
            .finish_non_exhaustive()
    }
}

/// What a connector is opened with. Holds secrets: its `Debug` shows none.
#[derive(Clone)]
pub struct ConnectorConfig {
    /// The name after `connectors.`.
    pub id: String,
    /// The word after `type =`.
    pub kind: String,
    /// What the host was told.
    pub settings: HostSettings,
    /// What the connector gets; with its secrets.
    pub config: Value,
    /// Knows the secrets in `config`.
    pub redactor: Redactor,
    /// What is doubtful about it.
    pub warnings: Vec<ConfigProblem>,
    /// Whether `config` holds its secrets, so that it can be opened.
    pub(crate) has_secrets: bool,
    /// The library it comes from; `None` = it is built in, or its library cannot be used.
    pub plugin: Option<Plugin>,
    /// Why its library cannot be used. Then `config` is empty: nobody knows which of its keys are secrets.
    pub failed: Option<FailedLibrary>,
}

/// Whether a text can be a connector's name: it names a folder and stands before a dot in playbooks.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

impl ConnectorConfig {
    /// A configuration that was put together in the program, without host settings; `secrets` are the values
    /// in it that nobody may see.
    pub fn new(id: &str, kind: &str, config: Value, secrets: impl IntoIterator<Item = String>) -> Self {
        ConnectorConfig {
            id: id.to_owned(),
            kind: kind.to_owned(),
            settings: HostSettings::default(),
            config,
            redactor: Redactor::new(secrets),
            warnings: Vec::new(),
            has_secrets: true,
            plugin: None,
            failed: None,
        }
    }

    /// What it is and can do before it is opened; `None` = its library cannot be used.
    pub fn manifest<'a>(&'a self, registry: &'a Registry) -> Option<&'a Manifest> {
        match (&self.plugin, &self.failed) {
            (Some(plugin), _) => Some(plugin.manifest()),
            (None, Some(_)) => None,
            (None, None) => registry.manifest(&self.kind),
        }
    }
}

impl std::fmt::Debug for ConnectorConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectorConfig")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a secret, and what to do.
pub type SecretProblem = (String, Option<String>);

/// Whether a secret outside the connectors is written as one: `{ env = … }` and the like.
///
/// # Errors
/// What is wrong with its form.
pub fn secret_form(key: &str, value: &Value, options: &ConfigOptions) -> Result<(), SecretProblem> {
    secret::resolve(key, value, options, false).map(drop)
}

/// Fetches such a secret.
///
/// # Errors
/// Why it is not there.
pub fn fetch_secret(key: &str, value: &Value, options: &ConfigOptions) -> Result<String, SecretProblem> {
    secret::resolve(key, value, options, true)
}

/// Reads every connector of a whole file's `[connectors]` table, in the file's order. All problems of all of
/// them come at once; a file that is not TOML is one problem.
pub fn read_connectors(
    source: &Source<'_>,
    registry: &Registry,
    options: &ConfigOptions,
) -> Result<Vec<ConnectorConfig>, Vec<ConfigProblem>> {
    let document = DeTable::parse(source.text).map_err(|e| {
        vec![ConfigProblem::at(source, String::new(), e.span().unwrap_or(0..0), e.message().to_owned())]
    })?;
    let Some(connectors) = document.get_ref().get("connectors") else { return Ok(Vec::new()) };
    let Some(tables) = connectors.get_ref().as_table() else {
        let message = "this must be a table of connectors".to_owned();
        return Err(vec![ConfigProblem::at(source, "connectors".into(), connectors.span(), message)]);
    };
    let mut read = Vec::new();
    let mut problems = Vec::new();
    for (id, table) in tables.iter() {
        match read_connector(source, id.get_ref(), table, registry, options) {
            Ok(config) => read.push((id.span().start, config)),
            Err(more) => problems.extend(more),
        }
    }
    read.sort_by_key(|(start, _)| *start);
    problems.sort_by_key(|p| p.span.start);
    if problems.is_empty() { Ok(read.into_iter().map(|(_, c)| c).collect()) } else { Err(problems) }
}

/// Reads one connector of a whole file; `None` = there is no such table.
fn read_one(
    source: &Source<'_>,
    id: &str,
    registry: &Registry,
    options: &ConfigOptions,
) -> Result<Option<ConnectorConfig>, Vec<ConfigProblem>> {
    let Ok(document) = DeTable::parse(source.text) else { return Ok(None) };
    let tables = document.get_ref().get("connectors").and_then(|tables| tables.get_ref().as_table());
    match tables.and_then(|tables| tables.get(id)) {
        Some(table) => read_connector(source, id, table, registry, options).map(Some),
        None => Ok(None),
    }
}

/// Reads one connector's table. Every problem is reported, not only the first.
pub fn read_connector(
    source: &Source<'_>,
    id: &str,
    table: &Spanned<DeValue<'_>>,
    registry: &Registry,
    options: &ConfigOptions,
) -> Result<ConnectorConfig, Vec<ConfigProblem>> {
    let root = format!("connectors.{id}");
    let mut problems = Vec::new();
    let (value, places) = place::to_json(source, &root, table, &mut problems);
    let mut reader = Reader { source, root, places, problems, warnings: Vec::new(), options };
    let config = reader.read(id, value, registry);
    match config {
        Some(config) if reader.problems.is_empty() => Ok(config),
        _ => {
            reader.problems.sort_by_key(|p| p.span.start);
            Err(reader.problems)
        }
    }
}

/// Where a connector comes from.
enum Origin<'r> {
    BuiltIn(String, &'r Manifest, &'r Arc<dyn OpenFn>),
    Plugin(Plugin),
}

struct Reader<'a> {
    source: &'a Source<'a>,
    root: String,
    places: Places,
    problems: Vec<ConfigProblem>,
    warnings: Vec<ConfigProblem>,
    options: &'a ConfigOptions,
}

impl Reader<'_> {
    fn read(&mut self, id: &str, value: Value, registry: &Registry) -> Option<ConnectorConfig> {
        let Value::Object(mut table) = value else {
            self.report("", "this must be a table".into(), None);
            return None;
        };
        if !is_id(id) {
            let help = "write lower-case letters, digits, `-` and `_`, a letter first, at most 40 in all";
            let span = self.places.find("").key;
            let path = self.root.clone();
            let problem =
                ConfigProblem::at(self.source, path, span, format!("`{id}` cannot be a connector's name"));
            self.problems.push(problem.help(help));
        }
        let library = table.contains_key("library");
        let source = if library {
            match library::load(self, id, &mut table, registry)? {
                library::Loaded::Plugin(plugin) => Origin::Plugin(plugin),
                library::Loaded::Failed(config) => return Some(*config),
            }
        } else {
            self.built_in(&mut table, registry)?
        };
        let (kind, manifest) = match &source {
            Origin::BuiltIn(kind, manifest, _) => (kind.clone(), *manifest),
            Origin::Plugin(plugin) => (plugin.manifest().kind.clone(), plugin.manifest()),
        };
        let schema = &manifest.config_schema;
        let mut settings = HostSettings::default();
        let streams: Vec<&str> = manifest.streams.iter().map(|s| s.name.as_str()).collect();
        for key in host_keys::ALL {
            if host_keys::YIELDING.contains(key) && schema::has_property(schema, key) {
                continue;
            }
            if let Some(value) = table.shift_remove(*key) {
                self.host_key(&mut settings, key, &value, &streams);
            }
        }
        let mut config = Value::Object(table);
        let of_library = if library { LIBRARY_KEYS } else { &[] };
        let ours = [host_keys::ALL, of_library].concat();
        let found = schema::walk(schema, &config, &ours);
        for (pointer, message, help) in misplaced::find(&config, &found) {
            self.report(&pointer, message, Some(help));
        }
        let elsewhere: Vec<&str> = self.problems.iter().map(|p| p.path.as_str()).collect();
        let unknown = found.unknown.iter().filter(|(pointer, ..)| {
            let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            !elsewhere.contains(&dotted(&self.root, parent).as_str())
        });
        for (pointer, name, help) in unknown.cloned().collect::<Vec<_>>() {
            let span = self.places.find(&pointer).key;
            let path = dotted(&self.root, &pointer);
            let problem = ConfigProblem::at(self.source, path, span, format!("there is no key `{name}`"));
            self.problems.push(problem.help(help));
        }
        let fetch = self.options.resolve_secrets && settings.enabled;
        let secrets = self.secrets(&found.secrets, &mut config, fetch, settings.enabled);
        let redactor = Redactor::new(secrets.values().flatten().cloned());
        self.values(schema, &config, &secrets);
        self.addresses(&manifest.url_fields, &config);
        if self.problems.is_empty()
            && settings.enabled
            && let Origin::BuiltIn(_, _, opener) = &source
        {
            for error in opener.validate(&config, &self.options.base_dir) {
                self.validated(error, &redactor);
            }
        }
        let warnings = std::mem::take(&mut self.warnings);
        let plugin = match source {
            Origin::BuiltIn(..) => None,
            Origin::Plugin(plugin) => Some(plugin),
        };
        Some(ConnectorConfig {
            id: id.to_owned(),
            kind,
            settings,
            config,
            redactor,
            warnings,
            has_secrets: fetch,
            plugin,
            failed: None,
        })
    }

    /// The built-in connector that `type` names.
    fn built_in<'r>(&mut self, table: &mut Map<String, Value>, registry: &'r Registry) -> Option<Origin<'r>> {
        let kinds = || format!("the types are: {}", registry.kinds().join(", "));
        let kind = match table.shift_remove("type") {
            Some(Value::String(kind)) => kind,
            Some(_) => {
                self.report("/type", "the type must be a text".into(), Some(kinds()));
                return None;
            }
            None => {
                self.report("/type", "`type` is missing".into(), Some(kinds()));
                return None;
            }
        };
        match registry.find(&kind) {
            Ok((manifest, opener)) => Some(Origin::BuiltIn(kind, manifest, opener)),
            Err(_) => {
                let near = zyklus_model::nearest(&kind, registry.kinds());
                let help = near.map_or_else(kinds, |near| format!("did you mean \"{near}\"?"));
                self.report("/type", format!("there is no connector of type \"{kind}\""), Some(help));
                None
            }
        }
    }

    /// Reports what the connector itself says of its configuration.
    fn validated(&mut self, error: Error, redactor: &Redactor) {
        let pointer = error.field.iter().flat_map(|field| field.split('.')).filter(|part| !part.is_empty());
        let pointer = pointer.fold(String::new(), |pointer, part| step(&pointer, part));
        let message = match &error.detail {
            Some(detail) => format!("{}: {detail}", error.message),
            None => error.message.clone(),
        };
        let problem = self.problem(&pointer, redactor.scrub(&message), None);
        match error.kind {
            ErrorKind::Config => self.problems.push(problem),
            _ => self.warnings.push(problem),
        }
    }

    fn host_key(&mut self, settings: &mut HostSettings, key: &str, value: &Value, streams: &[&str]) {
        if let Err((message, help)) = settings.take(key, value, streams) {
            self.report(&step("", key), message, help);
        }
    }

    /// Replaces each secret's table by its value; `None` = it could not be had, and that was reported.
    fn secrets(
        &mut self,
        pointers: &[String],
        config: &mut Value,
        fetch: bool,
        is_used: bool,
    ) -> HashMap<String, Option<String>> {
        let mut fetched = HashMap::new();
        for pointer in pointers {
            let Some(slot) = config.pointer_mut(pointer) else { continue };
            let key = dotted(&self.root, pointer);
            let secret = match secret::resolve(&key, slot, self.options, fetch) {
                Ok(text) => {
                    if let Some((message, help)) =
                        secret::missing(slot, self.options).filter(|_| !fetch && is_used)
                    {
                        self.warnings.push(self.problem(pointer, message, help));
                    }
                    Some(text).filter(|_| fetch)
                }
                Err((message, help)) => {
                    let mut problem = self.problem(pointer, message, help);
                    problem.is_secret = true;
                    self.problems.push(problem);
                    None
                }
            };
            *slot = Value::String(secret.clone().unwrap_or_default());
            fetched.insert(pointer.clone(), secret);
        }
        fetched
    }

    fn values(&mut self, schema: &Value, config: &Value, secrets: &HashMap<String, Option<String>>) {
        let misfits = match values::check(schema, config) {
            Ok(misfits) => misfits,
            Err(e) => return self.report("", format!("the connector's schema is broken: {e}"), None),
        };
        for misfit in misfits {
            let path = dotted(&self.root, &misfit.pointer);
            if self.problems.iter().any(|p| p.path == path) {
                continue;
            }
            match secrets.get(&misfit.pointer) {
                None => self.report(&misfit.pointer, misfit.message, misfit.help),
                Some(Some(_)) => {
                    self.report(
                        &misfit.pointer,
                        "the secret does not have the form it must have".into(),
                        None,
                    );
                }
                Some(None) => {}
            }
        }
    }

    /// Addresses are checked here, where their line is known, rather than at the first request.
    fn addresses(&mut self, fields: &[String], config: &Value) {
        for field in fields {
            let pointer = field.split('.').fold(String::new(), |pointer, part| step(&pointer, part));
            let Some(text) = config.pointer(&pointer).and_then(Value::as_str) else { continue };
            let path = dotted(&self.root, &pointer);
            if self.problems.iter().any(|p| p.path == path) {
                continue;
            }
            let wrong = match url::Url::parse(text) {
                Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
                    "is not an http or https address"
                }
                Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                    let help = "use the connector's own keys for them".to_owned();
                    let message = "an address must not carry a user name or password".to_owned();
                    let mut problem = self.problem(&pointer, message, Some(help));
                    problem.is_secret = true;
                    self.problems.push(problem);
                    continue;
                }
                Ok(_) => continue,
                Err(_) => "is not an address",
            };
            let help = "write it in full, as \"https://shop.example\"".to_owned();
            // What stands before an @ may be a password.
            let shown = if text.contains('@') { "this".to_owned() } else { format!("\"{text}\"") };
            self.report(&pointer, format!("{shown} {wrong}"), Some(help));
        }
    }

    fn report(&mut self, pointer: &str, message: String, help: Option<String>) {
        let problem = self.problem(pointer, message, help);
        self.problems.push(problem);
    }

    fn problem(&self, pointer: &str, message: String, help: Option<String>) -> ConfigProblem {
        let span = self.places.find(pointer).value;
        let mut problem = ConfigProblem::at(self.source, dotted(&self.root, pointer), span, message);
        problem.help = help;
        problem
    }
}
