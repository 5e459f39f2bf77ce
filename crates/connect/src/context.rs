//! What a connector is given when it is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zyklus_model::At;

use crate::http::{Http, HttpError, HttpRequest, HttpResponse};

/// Reads the host's clock.
pub type ClockFn = Arc<dyn Fn() -> At + Send + Sync>;

/// What a connector is given when it is opened: its name, the host's HTTP and clock, and a folder of its own.
#[derive(Clone)]
pub struct Ctx {
    id: Arc<str>,
    http: Arc<dyn Http>,
    clock: ClockFn,
    base_dir: Arc<Path>,
    data_dir: Arc<Path>,
}

impl Ctx {
    /// Put together by the host.
    ///
    /// `base_dir` is the folder of the configuration file, against which relative paths in it are meant;
    /// `data_dir` is where the connector may write.
    pub fn new(id: &str, http: Arc<dyn Http>, clock: ClockFn, base_dir: PathBuf, data_dir: PathBuf) -> Self {
        Ctx { id: id.into(), http, clock, base_dir: base_dir.into(), data_dir: data_dir.into() }
    }

    /// The connector's id: the name after `connectors.` in the configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends one HTTP request through the host.
    pub async fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.http.send(request).await
    }

    /// The host's clock.
    pub fn now(&self) -> At {
        (self.clock)()
    }

    /// The folder relative paths in the configuration are meant against.
    pub fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// Where the connector may write.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}

impl std::fmt::Debug for Ctx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ctx").field("id", &self.id).finish_non_exhaustive()
    }
}
