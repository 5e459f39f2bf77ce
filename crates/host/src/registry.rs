//! The explicit list of built-in connectors. The binary fills it; nothing registers itself.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use zyklus_connect::{Connector, Ctx, Error, ErrorKind, Factory, Manifest, Result, config_of, manifest_of};
use zyklus_model::nearest;

use crate::error::HostError;

/// What opening a connector gives, later.
pub type Opening = Pin<Box<dyn Future<Output = Result<Arc<dyn Connector>>> + Send>>;

/// Opens a connector of one kind from its configuration. How the connector got here (compiled in, a library, a
/// child process) is its maker's business: everything behind it speaks the same contract.
pub trait OpenFn: Send + Sync + 'static {
    /// Opens it.
    fn open(&self, config: Value, ctx: Ctx) -> Opening;
    /// What is wrong with the configuration that its schema, which has been checked already, cannot say. Opens
    /// nothing; secrets in it may be empty.
    fn validate(&self, config: &Value, base_dir: &Path) -> Vec<Error>;
}

struct BuiltIn<F>(std::marker::PhantomData<fn() -> F>);

impl<F: Factory> OpenFn for BuiltIn<F> {
    fn open(&self, config: Value, ctx: Ctx) -> Opening {
        Box::pin(async move {
            let config = config_of::<F>(config)?;
            let connector: Arc<dyn Connector> = Arc::new(F::open(config, ctx).await?);
            Ok(connector)
        })
    }

    fn validate(&self, config: &Value, base_dir: &Path) -> Vec<Error> {
        match config_of::<F>(config.clone()) {
            Ok(config) => {
                catch_unwind(AssertUnwindSafe(|| F::validate(&config, base_dir))).unwrap_or_else(|_| {
                    vec![Error::new(
                        ErrorKind::Internal,
                        "checking the configuration panicked: a defect in the connector",
                    )]
                })
            }
            Err(error) => vec![error],
        }
    }
}

#[derive(Clone)]
struct Entry {
    manifest: Manifest,
    open: Arc<dyn OpenFn>,
}

/// The connectors this program can open, by kind.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<String, Entry>,
}

impl Registry {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a built-in connector; of two with the same kind the later one counts. A manifest without a
    /// configuration schema gets the one of the factory's configuration type.
    #[must_use]
    pub fn with<F: Factory>(mut self) -> Self {
        let manifest = manifest_of::<F>();
        let open: Arc<dyn OpenFn> = Arc::new(BuiltIn::<F>(std::marker::PhantomData));
        self.entries.insert(F::KIND.to_owned(), Entry { manifest, open });
        self
    }

    /// All kinds, sorted.
    pub fn kinds(&self) -> Vec<&str> {
        self.entries.keys().map(String::as_str).collect()
    }

    /// What a kind is and can do.
    pub fn manifest(&self, kind: &str) -> Option<&Manifest> {
        self.entries.get(kind).map(|e| &e.manifest)
    }

    /// What a kind is, and what opens it; the error names the most similar kind.
    pub fn find(&self, kind: &str) -> std::result::Result<(&Manifest, &Arc<dyn OpenFn>), HostError> {
        self.entries.get(kind).map(|e| (&e.manifest, &e.open)).ok_or_else(|| HostError::UnknownKind {
            kind: kind.to_owned(),
            nearest: nearest(kind, self.entries.keys().map(String::as_str)).map(str::to_owned),
        })
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("kinds", &self.kinds()).finish()
    }
}
