//! How a connector runs: the same cases go over each form. The two forms of a library are the host's to offer.

use std::any::Any;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use zyklus_model::At;

use crate::context::Ctx;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Http;
use crate::manifest::Manifest;
use crate::{Connector, Factory, config_of, manifest_of};

/// An opened connector, and what has to live as long as it.
pub struct Living {
    /// The connector.
    pub connector: Arc<dyn Connector>,
    /// Its folders.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// A way in which a connector runs.
#[async_trait]
pub trait Form: Send + Sync + 'static {
    /// What it is called in the names of the cases.
    fn name(&self) -> &str;
    /// What the connector says of itself before it is opened.
    fn manifest(&self) -> &Manifest;
    /// Opens it as the host would: a configuration that is wrong is refused with the key. Without `http`, it talks to
    /// the real system.
    async fn open(
        &self,
        config: Value,
        base_dir: &Path,
        http: Option<Arc<dyn Http>>,
        now: At,
    ) -> Result<Living>;
}

/// A factory, called directly.
pub struct BuiltIn<F> {
    manifest: Manifest,
    factory: PhantomData<fn() -> F>,
}

impl<F: Factory> Default for BuiltIn<F> {
    fn default() -> Self {
        BuiltIn { manifest: manifest_of::<F>(), factory: PhantomData }
    }
}

#[async_trait]
impl<F: Factory> Form for BuiltIn<F> {
    fn name(&self) -> &str {
        "built-in"
    }

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn open(
        &self,
        config: Value,
        base_dir: &Path,
        http: Option<Arc<dyn Http>>,
        now: At,
    ) -> Result<Living> {
        let Some(http) = http else {
            let message = "only a host can ask the real system; a `live` kit is for `zyklus plugin test`";
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let folder = tempfile::tempdir().map_err(|e| {
            Error::new(ErrorKind::Internal, "no folder for the connector").with_detail(e.to_string())
        })?;
        let config = config_of::<F>(config)?;
        if let Some(problem) =
            F::validate(&config, base_dir).into_iter().find(|e| e.kind == ErrorKind::Config)
        {
            return Err(problem);
        }
        let ctx = Ctx::new("kit", http, Arc::new(move || now), base_dir.into(), folder.path().into());
        let connector: Arc<dyn Connector> = Arc::new(F::open(config, ctx).await?);
        Ok(Living { connector, keep: Box::new(folder) })
    }
}
