//! Connectors from libraries, read again while the daemon runs: when it is asked to (SIGHUP), and when `zyklus.toml` or
//! `plugins.lock` has changed. One whose library or table is another is closed and opened anew; one that cannot be used
//! any more goes on as it was. Nothing else of the configuration is read again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::Notify;
use zyklus_engine::Problem;
use zyklus_host::ConnectorConfig;

use crate::daemon::{Kept, Loops, Shared};
use crate::project::Project;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What a connector has under way gets so long before another takes its place.
const GRACE: Duration = Duration::from_secs(20);

/// Reads the configuration again.
pub type ReadFn = Arc<dyn Fn() -> Result<Project, Vec<Problem>> + Send + Sync>;

/// How connectors from libraries are read again.
#[derive(Clone)]
pub struct Reload {
    /// Told when somebody asks for it.
    pub asked: Arc<Notify>,
    /// Reads the configuration.
    pub read: ReadFn,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

/// When files were written last.
fn written(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    let when = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified()).ok();
    files.iter().map(|path| when(path)).collect()
}

/// What makes a connector from a library another one: its hash, how it runs, its own keys and the host's.
fn identity(config: &ConnectorConfig) -> Option<(String, String, Value)> {
    let plugin = config.plugin.as_ref()?;
    let settings = format!("{:?} {:?}", plugin.settings(), config.settings);
    Some((plugin.sha256().to_owned(), settings, config.config.clone()))
}

/// Reads them again whenever there is reason to; `loops` are those of each connector.
pub(crate) async fn keep_reloading(shared: Shared, reload: Reload, mut loops: HashMap<String, Loops>) {
    let project = &shared.daemon.project;
    let files = [project.file.clone(), project.plugins.lock.clone()];
    let mut known = written(&files);
    let of_libraries = project.connectors.iter().filter(|c| c.plugin.is_some() || c.failed.is_some());
    let mut current: HashMap<String, _> = of_libraries.map(|c| (c.id.clone(), identity(c))).collect();
    if current.is_empty() {
        return;
    }
    loop {
        let is_asked = tokio::select! {
            () = shared.stop.cancelled() => return,
            () = reload.asked.notified() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let now = written(&files);
        if !is_asked && now == known {
            continue;
        }
        known = now;
        let read = Arc::clone(&reload.read);
        let configs = match tokio::task::spawn_blocking(move || read()).await {
            Ok(Ok(project)) => project.connectors,
            Ok(Err(problems)) => {
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(mistakes = problems.len(), first, "the configuration is not read again");
                continue;
            }
            Err(_) => {
                tracing::error!("reading the configuration again panicked");
                continue;
            }
        };
        for config in configs {
            let Some(before) = current.get(&config.id) else { continue };
            let found = identity(&config);
            match &config.failed {
                Some(failed) if before.is_some() => {
                    tracing::error!(connector.id = %config.id, reason = failed.reason, "not reloaded: it goes on as it was");
                }
                // It is tried again anyway, with what is new about it.
                Some(_) => replace(&shared, &mut loops, config).await,
                None if is_asked || found != *before => {
                    current.insert(config.id.clone(), found);
                    replace(&shared, &mut loops, config).await;
                }
                None => {}
            }
        }
    }
}

/// Ends a connector's loops and the connector, and begins anew with another configuration.
async fn replace(shared: &Shared, loops: &mut HashMap<String, Loops>, config: ConnectorConfig) {
    let id = config.id.clone();
    if let Some(before) = loops.remove(&id) {
        before.stop.cancel();
        // One that is being opened at this moment is open after this, and closed below.
        if tokio::time::timeout(GRACE, before.ended).await.is_err() {
            tracing::warn!(connector.id = %id, "what it has under way goes on beside the reloaded connector");
        }
    }
    while let Some(before) = shared.daemon.connectors.current(&id) {
        before.close(GRACE).await;
    }
    let (connectors, wanted) = (Arc::clone(&shared.daemon.connectors), config.clone());
    let opening = tokio::spawn(async move { connectors.open_as(&wanted).await });
    let kept = match opening.await {
        Ok(Ok(opened)) => {
            let version = opened.manifest().version.clone();
            tracing::info!(connector.id = %id, version, "the connector was reloaded");
            Kept::Open(opened)
        }
        Ok(Err(error)) => {
            tracing::error!(connector.id = %id, %error, "the connector was reloaded and does not open");
            Kept::Failed(Box::new(config))
        }
        Err(_) => {
            tracing::error!(connector.id = %id, "opening the connector panicked; it is tried again");
            Kept::Failed(Box::new(config))
        }
    };
    loops.insert(id, shared.keep(kept));
}
