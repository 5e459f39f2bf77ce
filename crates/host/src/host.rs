//! Opens connectors: gives each its HTTP, its clock and a folder of its own. Never defines a clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zyklus_connect::context::ClockFn;
use zyklus_connect::{Ctx, Error, ErrorKind, Http, Manifest};

use crate::config::ConnectorConfig;
use crate::error::HostError;
use crate::http::{Clients, HostHttp};
use crate::opened::{Limits, Opened};
use crate::plugin::{self, Plugin, TokenFile};
use crate::registry::{OpenFn, Registry};
use crate::tape::{RecordingHttp, ReplayHttp};
use crate::task::{Lost, run};

/// What a host needs from the daemon.
#[derive(Clone)]
pub struct HostOptions {
    /// The daemon's clock.
    pub clock: ClockFn,
    /// The folder of the configuration file, against which relative paths in it are meant.
    pub base_dir: PathBuf,
    /// Where each connector gets a folder of its own, named by its id.
    pub data_dir: PathBuf,
    /// How requests introduce themselves.
    pub user_agent: String,
    /// How long calls may take.
    pub limits: Limits,
}

impl HostOptions {
    /// With the default limits, introducing itself as this program and version.
    pub fn new(clock: ClockFn, base_dir: impl Into<PathBuf>, data_dir: impl Into<PathBuf>) -> Self {
        HostOptions {
            clock,
            base_dir: base_dir.into(),
            data_dir: data_dir.into(),
            user_agent: concat!("zyklus/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: Limits::default(),
        }
    }
}

/// What brings a connector to life.
enum Opener {
    BuiltIn(Arc<dyn OpenFn>),
    Plugin(Plugin),
}

/// Opens connectors.
pub struct Host {
    registry: Registry,
    options: HostOptions,
    clients: Clients,
}

impl Host {
    /// A host for these connectors.
    pub fn new(registry: Registry, options: HostOptions) -> Result<Self, HostError> {
        let clients = Clients::new(&options.user_agent)?;
        Ok(Host { registry, options, clients })
    }

    /// The connectors it knows.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Opens a connector. A panic or a hang in it is an error like any other.
    pub async fn open(&self, config: &ConnectorConfig) -> Result<Opened, HostError> {
        let again = match &config.failed {
            Some(failed) => Some(failed.again(&config.id).await?),
            None => None,
        };
        let config = again.as_ref().unwrap_or(config);
        let manifest = match &config.plugin {
            Some(plugin) => plugin.manifest(),
            None => self.registry.find(&config.kind)?.0,
        };
        let http = self.http(manifest, config)?;
        self.open_on(config, http).await
    }

    /// The HTTP a connector gets: the real one or a recording, recorded again if wanted.
    fn http(&self, manifest: &Manifest, config: &ConnectorConfig) -> Result<Arc<dyn Http>, HostError> {
        let tape = |source| HostError::Tape { id: config.id.clone(), source };
        let settings = &config.settings;
        let mut http: Arc<dyn Http> = match &settings.replay_from {
            Some(dir) => Arc::new(
                ReplayHttp::from_dir(self.options.base_dir.join(dir), config.redactor.clone())
                    .map_err(tape)?,
            ),
            None => Arc::new(HostHttp::new(
                self.clients.clone(),
                manifest,
                config,
                Arc::clone(&self.options.clock),
            )?),
        };
        if let Some(dir) = &settings.record_to {
            let dir = self.options.base_dir.join(dir);
            http = Arc::new(RecordingHttp::new(http, dir, config.redactor.clone()).map_err(tape)?);
        }
        Ok(http)
    }

    /// Opens a connector on another HTTP than the host's own, for tests with recorded exchanges.
    pub async fn open_on(&self, config: &ConnectorConfig, http: Arc<dyn Http>) -> Result<Opened, HostError> {
        let opener = match &config.plugin {
            Some(plugin) => Opener::Plugin(plugin.clone()),
            None => Opener::BuiltIn(Arc::clone(self.registry.find(&config.kind)?.1)),
        };
        let id = || config.id.clone();
        if !crate::config::is_id(&config.id) {
            return Err(HostError::BadId { id: id() });
        }
        if !config.settings.enabled {
            return Err(HostError::Disabled { id: id() });
        }
        if !config.has_secrets {
            return Err(HostError::Unready { id: id() });
        }
        let data_dir = self.options.data_dir.join(&config.id);
        std::fs::create_dir_all(&data_dir).map_err(|source| HostError::DataDir {
            id: id(),
            path: data_dir.clone(),
            source,
        })?;
        let ctx = Ctx::new(
            &config.id,
            http,
            Arc::clone(&self.options.clock),
            self.options.base_dir.clone(),
            data_dir.clone(),
        );
        let ctx = ctx.with_tokens(Arc::new(TokenFile::new(&data_dir, config.redactor.clone())));
        let Limits { open: limit, rest, .. } = self.options.limits;
        let (value, redactor) = (config.config.clone(), config.redactor.clone());
        let opening = async move {
            let connector = match opener {
                Opener::BuiltIn(opener) => opener.open(value, ctx).await?,
                Opener::Plugin(plugin) => plugin::open(plugin, value, ctx, redactor, rest).await?,
            };
            // The opened connector knows which of its kind's streams and limits this configuration gives it.
            let manifest = connector.manifest().clone();
            Ok((connector, manifest))
        };
        let (connector, manifest) = match run(opening, limit).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(source)) => {
                return Err(HostError::Open {
                    id: id(),
                    source: Box::new(config.redactor.scrub_error(source)),
                });
            }
            Err(Lost::Panicked(message)) => {
                return Err(HostError::Panicked { id: id(), message: config.redactor.scrub(&message) });
            }
            Err(Lost::TimedOut) => return Err(HostError::OpenTimeout { id: id(), seconds: limit.as_secs() }),
        };
        Ok(Opened::new(config, manifest, connector, self.options.limits))
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// An error of a call that did not come back with a result.
pub(crate) fn lost_error(lost: &Lost, what: &str, limit: Duration) -> Error {
    match lost {
        Lost::Panicked(message) => Error::new(
            ErrorKind::Internal,
            format!("the connector panicked: {message}; this is a defect in it, please report it"),
        ),
        Lost::TimedOut => Error::new(
            ErrorKind::Transient,
            format!("{what} took longer than {} s and was given up", limit.as_secs()),
        ),
    }
}
