//! What a case stands on: a kit, a form, and connectors opened on them.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::file::Kit;
use super::form::{Form, Living};
use super::served::Served;
use crate::Connector;
use crate::error::Error;
use crate::manifest::Manifest;

/// How a case ends: what is wrong.
pub type Verdict = Result<(), String>;

/// A kit and a form.
pub struct Bench {
    pub(super) kit: Arc<Kit>,
    pub(super) form: Arc<dyn Form>,
}

/// An opened connector and the system on its other side.
pub(super) struct Open {
    living: Living,
    /// Asked nothing when the kit is a live one.
    pub(super) served: Arc<Served>,
}

impl Open {
    pub(super) fn connector(&self) -> &dyn Connector {
        self.living.connector.as_ref()
    }

    pub(super) fn manifest(&self) -> &Manifest {
        self.living.connector.manifest()
    }
}

impl Bench {
    pub(super) fn new(kit: Arc<Kit>, form: Arc<dyn Form>) -> Self {
        Bench { kit, form }
    }

    /// Opens it with the configuration that works.
    pub(super) async fn open(&self) -> Result<Open, String> {
        self.open_with(&Map::new())
            .await
            .map_err(|e| format!("the kit's own configuration is refused: {}", words(&e)))
    }

    /// Opens it with another.
    pub(super) async fn open_with(&self, other: &Map<String, Value>) -> Result<Open, Error> {
        let mut config = self.kit.config.clone();
        config.extend(other.clone());
        let served = Arc::new(Served::new(self.kit.http.clone()));
        let http = (!self.kit.live).then(|| Arc::clone(&served) as Arc<dyn crate::Http>);
        let living = self.form.open(Value::Object(config), &self.kit.folder, http, self.kit.now).await?;
        Ok(Open { living, served })
    }

    /// Whether a text gives a secret of the configuration away.
    pub(super) fn keeps_secrets(&self, text: &str) -> Verdict {
        let keys = self.form.manifest().config_schema.get("properties").and_then(Value::as_object);
        for (key, schema) in keys.into_iter().flatten() {
            let is_secret = schema.to_string().contains("\"writeOnly\":true");
            let secret = self.kit.config.get(key).and_then(Value::as_str).filter(|text| text.len() > 3);
            if is_secret && secret.is_some_and(|secret| text.contains(secret)) {
                return Err(format!("the secret in `{key}` stands in a message"));
            }
        }
        Ok(())
    }
}

/// An error with all it says.
pub(super) fn words(error: &Error) -> String {
    let field = error.field.as_deref().map(|field| format!(" (field {field})")).unwrap_or_default();
    let detail = error.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{:?}: {}{field}{detail}", error.kind, error.message)
}
