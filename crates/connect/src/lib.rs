//! The contract a connector implements, and what it is given to work with.
//!
//! A connector brings any of five facets: a [`Source`] of records, [`Webhooks`], a [`Channel`] that carries
//! messages, [`Actions`], and an [`Audience`]. Everything inbound is a [`zyklus_model::Record`]; everything
//! outbound is a [`Keyed`] command that ends in an [`Outcome`]. All types that cross the border are serde types
//! that only ever gain fields, because the same contract is spoken to dynamic libraries and child processes.
//! Nothing here knows a concrete connector.

pub mod abi;
mod bytes;
pub mod command;
pub mod context;
pub mod error;
pub mod http;
#[cfg(feature = "mail")]
pub mod mail;
pub mod manifest;
pub mod read;
pub mod secret;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod token;
pub mod verify;
pub mod webhook;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

pub use command::{
    Action, AudienceRef, AudienceSpec, Keyed, ListUnsubscribe, Mailbox, Member, Message, Outcome, Recipient,
};
pub use context::Ctx;
pub use error::{Error, ErrorKind, Result};
pub use http::{Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse};
pub use manifest::{ActionSpec, ChannelSpec, Dedup, Manifest, RateLimit, StreamSpec};
pub use read::{Cursor, Mode, Next, Page, ReadRequest, Reject};
pub use schemars;
pub use secret::Secret;
pub use token::{Token, Tokens};
pub use webhook::{Received, Rejected, Subscription, WebhookReply, WebhookRequest};
pub use zyklus_model as model;

/// The version of this contract's types. The minor grows with every added field or operation.
pub const CONTRACT: (u16, u16) = (1, 0);

/// One named live check of a connector (`credentials`, `orders can be read`), run by `zyklus connector check`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Check {
    /// What was checked, in a few words.
    pub name: String,
    /// What is wrong and what to do; `None` = fine.
    pub problem: Option<Error>,
    /// What was found, in a few words ("Vendure 3.7.3, 54 products").
    #[serde(default)]
    pub found: String,
}

/// A connector, opened and ready.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// What it is and can do.
    fn manifest(&self) -> &Manifest;
    /// Live checks against the other system; never changes anything there.
    async fn check(&self) -> Vec<Check>;
    /// Reads records, if it can.
    fn source(&self) -> Option<&dyn Source> {
        None
    }
    /// Takes webhooks, if it can.
    fn webhooks(&self) -> Option<&dyn Webhooks> {
        None
    }
    /// Carries messages, if it can.
    fn channel(&self) -> Option<&dyn Channel> {
        None
    }
    /// Performs actions, if it can.
    fn actions(&self) -> Option<&dyn Actions> {
        None
    }
    /// Keeps audiences, if it can.
    fn audience(&self) -> Option<&dyn Audience> {
        None
    }
    /// Ends sessions and connections. Called once, after the last call has returned.
    async fn close(&self) {}
}

/// What an author writes: how a connector is opened from its configuration.
#[async_trait]
pub trait Factory: Connector + Sized {
    /// The configuration; unknown keys are refused by the host, which checks it against the schema first.
    type Config: DeserializeOwned + schemars::JsonSchema + Send;
    /// The word after `type =` in the configuration.
    const KIND: &'static str;
    /// What the connector is and can do, without opening it.
    fn manifest() -> Manifest;
    /// What is wrong with a configuration that fits the schema, found without opening anything: no network, nothing
    /// written. Relative paths are meant against `base_dir`; secrets may be empty, because whoever checks a
    /// configuration need not have them. Every problem names its `field`, with dots inside tables
    /// (`orders.delimiter`). [`ErrorKind::Config`] is a mistake; anything else is a doubt, as about a file that is
    /// missing and may still come.
    fn validate(config: &Self::Config, base_dir: &std::path::Path) -> Vec<Error> {
        let _ = (config, base_dir);
        Vec::new()
    }
    /// Opens it. Wrong configuration is [`ErrorKind::Config`], naming the field.
    async fn open(config: Self::Config, ctx: Ctx) -> Result<Self>;
}

/// A factory's manifest with a configuration schema: where it has none of its own, that of its configuration's type.
pub fn manifest_of<F: Factory>() -> Manifest {
    let mut manifest = <F as Factory>::manifest();
    if manifest.config_schema.is_null() {
        manifest.config_schema = schemars::schema_for!(F::Config).to_value();
    }
    manifest
}

/// A configuration as a factory's own type.
///
/// # Errors
/// What does not fit it.
pub fn config_of<F: Factory>(config: serde_json::Value) -> Result<F::Config> {
    serde_json::from_value(config).map_err(|e| {
        Error::new(ErrorKind::Config, "the configuration does not fit this connector")
            .with_detail(e.to_string())
    })
}

/// Reads records, page by page.
#[async_trait]
pub trait Source: Send + Sync {
    /// One page from where the cursor stands. Reading the same cursor again is harmless and gives the same
    /// records or newer ones: the host stores records and cursor in one transaction, so there is no
    /// acknowledgement.
    async fn read(&self, request: ReadRequest) -> Result<Page>;
}

/// Takes notifications the other system posts.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Makes the other system's subscriptions equal to what is wanted; harmless to repeat.
    async fn reconcile(&self, wanted: &Subscription) -> Result<()>;
    /// Verifies the raw bytes and parses them. No network.
    fn receive(&self, request: &WebhookRequest) -> std::result::Result<Received, Rejected>;
}

/// Carries messages to customers.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Sends a batch: one outcome a message, in order. Never dropped half-way by the host.
    async fn send(&self, batch: Vec<Keyed<Message>>) -> Vec<Outcome<model::Receipt>>;
}

/// Changes something in the other system.
#[async_trait]
pub trait Actions: Send + Sync {
    /// Performs a batch: one outcome an action, in order. Never dropped half-way by the host.
    async fn perform(&self, batch: Vec<Keyed<Action>>) -> Vec<Outcome<serde_json::Value>>;
}

/// Keeps lists of customers in the other system.
#[async_trait]
pub trait Audience: Send + Sync {
    /// Finds or makes the audience; harmless to repeat.
    async fn ensure(&self, audience: &AudienceSpec) -> Result<AudienceRef>;
    /// Adds and removes members: one outcome a member, in order.
    async fn change(&self, audience: &AudienceRef, batch: Vec<Keyed<Member>>) -> Vec<Outcome<()>>;
}
