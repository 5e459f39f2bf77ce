//! The connectors of one configuration, opened. One that does not open is kept as failed; the others work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zyklus_host::{ConnectorConfig, Host, HostOptions, Opened, Registry};

use crate::clock::Clock;
use crate::error::RuntimeError;
use crate::project::Project;

/// The connectors of one configuration.
#[derive(Debug, Default)]
pub struct Connectors {
    /// Those that work, in the file's order.
    pub opened: Vec<Arc<Opened>>,
    /// Those that do not: id and what is wrong.
    pub failed: Vec<(String, String)>,
    host: Option<Host>,
    /// Those that opened at a later try.
    late: Mutex<Vec<Arc<Opened>>>,
}

/// Opens every enabled connector.
///
/// # Errors
/// Only what concerns all of them; a connector that does not open is in [`Connectors::failed`].
pub async fn open_all(
    project: &Project,
    registry: Registry,
    clock: &Clock,
) -> Result<Connectors, RuntimeError> {
    let options =
        HostOptions::new(clock.as_fn(), project.base_dir.clone(), project.base_dir.join("connectors"));
    let host = Host::new(registry, options)?;
    let mut connectors = Connectors::default();
    let enabled = project.connectors.iter().filter(|c| c.settings.enabled);
    let opening = enabled.map(|config| {
        let host = &host;
        async move { (config.id.clone(), host.open(config).await) }
    });
    for (id, opened) in futures::future::join_all(opening).await {
        match opened {
            Ok(opened) => connectors.opened.push(Arc::new(opened)),
            Err(error) => {
                let words = describe(&error);
                tracing::error!(connector.id = %id, error = %words, "the connector could not be opened");
                connectors.failed.push((id, words));
            }
        }
    }
    connectors.host = Some(host);
    Ok(connectors)
}

/// An error with its causes, in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// A connector's error with the detail behind it.
pub(crate) fn describe_connector(error: &zyklus_connect::Error) -> String {
    match &error.detail {
        Some(detail) => format!("{} ({detail})", error.message),
        None => error.message.clone(),
    }
}

impl Connectors {
    /// By id.
    pub fn find(&self, id: &str) -> Option<&Arc<Opened>> {
        self.opened.iter().find(|c| c.id() == id)
    }

    /// Those that read records.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Opened>> {
        self.opened.iter().filter(|c| !c.manifest().streams.is_empty())
    }

    /// Tries once more to open one that failed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn open_late(&self, project: &Project, id: &str) -> Result<Arc<Opened>, String> {
        let config = project.connectors.iter().find(|c| c.id == id);
        self.open_as(config.ok_or("it is not in the configuration")?).await
    }

    /// Opens one by a configuration of its own: the one the daemon began with, or another since.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn open_as(&self, config: &ConnectorConfig) -> Result<Arc<Opened>, String> {
        let host = self.host.as_ref().ok_or("there is no host that could open it")?;
        let opened = Arc::new(host.open(config).await.map_err(|error| describe(&error))?);
        let mut late = self.late();
        late.retain(|before| !before.is_closed());
        late.push(Arc::clone(&opened));
        Ok(opened)
    }

    /// All that work by now.
    pub fn all(&self) -> Vec<Arc<Opened>> {
        let late = self.late().clone();
        self.opened.iter().cloned().chain(late).filter(|opened| !opened.is_closed()).collect()
    }

    /// The one of that name that works by now.
    pub fn current(&self, id: &str) -> Option<Arc<Opened>> {
        self.all().into_iter().find(|opened| opened.id() == id)
    }

    fn late(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Opened>>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes all of them.
    pub async fn close(&self) {
        let all = self.all();
        futures::future::join_all(all.iter().map(|c| c.close(Duration::from_secs(10)))).await;
    }
}
