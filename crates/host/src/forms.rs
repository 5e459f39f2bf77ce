//! The forms the test kit runs a connector in: built in, a library in this process, a library in one of its own. Each is
//! opened the way the daemon does it: the configuration as TOML, checked against the schema.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use zyklus_connect::testkit::{Form, Living};
use zyklus_connect::{Connector, Error, ErrorKind, Http, Manifest, Result, model};

use crate::config::{ConfigOptions, ConfigProblem, Source, read_connectors};
use crate::error::HostError;
use crate::host::{Host, HostOptions};
use crate::plugin::{
    ChildCommand, Isolation, LibraryError, LibrarySettings, PluginOptions, prepare_unpinned,
};
use crate::registry::Registry;

/// A connector as the host opens it.
pub struct HostForm {
    name: &'static str,
    manifest: Manifest,
    registry: Registry,
    library: Option<Library>,
}

struct Library {
    file: PathBuf,
    isolation: &'static str,
    has_network: bool,
    command: ChildCommand,
    private: tempfile::TempDir,
}

impl Library {
    fn options(&self, mut options: PluginOptions) -> PluginOptions {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        options.folder = self.file.parent().unwrap_or(Path::new(".")).to_path_buf();
        options.private = self.private.path().join("libraries");
        options.allow_unpinned = vec![name];
        options.command = self.command.clone();
        options
    }
}

impl HostForm {
    /// One of the registry's.
    ///
    /// # Errors
    /// It has none of this kind.
    pub fn built_in(registry: Registry, kind: &str) -> std::result::Result<Self, HostError> {
        let manifest = registry.find(kind)?.0.clone();
        Ok(HostForm { name: "built-in", manifest, registry, library: None })
    }

    /// A library; `has_network` lets its process open sockets.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn library(
        file: &Path,
        isolation: Isolation,
        has_network: bool,
        command: ChildCommand,
    ) -> std::result::Result<Self, LibraryError> {
        let stage = |source| LibraryError::Stage { path: file.into(), source };
        let (name, private) = match isolation {
            Isolation::InProcess => ("in-process", tempfile::tempdir().map_err(stage)?),
            Isolation::Process => ("process", tempfile::tempdir().map_err(stage)?),
        };
        let file = std::path::absolute(file).map_err(stage)?;
        let library = Library { file, isolation: name, has_network, command, private };
        let mut settings = LibrarySettings::new(library.file.file_name().unwrap_or_default());
        settings.isolation = isolation;
        let plugin = prepare_unpinned(&settings, &library.options(PluginOptions::beside(Path::new("."))))?;
        let manifest = plugin.manifest().clone();
        Ok(HostForm { name, manifest, registry: Registry::new(), library: Some(library) })
    }
}

fn refused(problems: Vec<ConfigProblem>) -> Error {
    let mut problems = problems.into_iter();
    let Some(first) = problems.next() else { return Error::new(ErrorKind::Config, "it is refused") };
    let field = first.path.strip_prefix("connectors.kit.").unwrap_or(&first.path).to_owned();
    let others: Vec<String> = problems.map(|problem| problem.to_string()).collect();
    let error = Error::config(field, first.message);
    if others.is_empty() { error } else { error.with_detail(others.join("; ")) }
}

fn internal(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, what).with_detail(error.to_string())
}

#[async_trait]
impl Form for HostForm {
    fn name(&self) -> &str {
        self.name
    }

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn open(
        &self,
        config: Value,
        base_dir: &Path,
        http: Option<Arc<dyn Http>>,
        now: model::At,
    ) -> Result<Living> {
        let folder = tempfile::tempdir().map_err(|e| internal("no folder for the connector", &e))?;
        let mut table = config;
        let mut options = ConfigOptions::new(base_dir);
        options.allow_literal_secrets = true;
        match &self.library {
            Some(library) => {
                options.plugins = library.options(options.plugins);
                table["library"] = json!(library.file.file_name().unwrap_or_default().to_string_lossy());
                table["isolation"] = json!(library.isolation);
                table["network"] = json!(library.has_network);
            }
            None => table["type"] = json!(self.manifest.kind),
        }
        let text = toml::to_string(&json!({"connectors": {"kit": table}}));
        let text = text.map_err(|e| internal("the kit's configuration is no TOML", &e))?;
        let source = Source { file: "kit", text: &text };
        let config = read_connectors(&source, &self.registry, &options).map_err(refused)?.remove(0);
        if let Some(failed) = &config.failed {
            return Err(internal("the library cannot be used", &failed.reason));
        }
        let clock = Arc::new(move || now);
        let host = Host::new(self.registry.clone(), HostOptions::new(clock, base_dir, folder.path()));
        let host = host.map_err(|e| internal("no host", &e))?;
        let opened = match http {
            Some(http) => host.open_on(&config, http).await,
            None => host.open(&config).await,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(HostError::Open { source, .. }) => return Err(*source),
            Err(error) => return Err(internal("it was not opened", &error)),
        };
        let connector: Arc<dyn Connector> = Arc::clone(opened.connector());
        Ok(Living { connector, keep: Box::new((opened, host, folder)) })
    }
}
