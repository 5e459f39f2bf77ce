//! A connector outside the binary, as the contract has it: every facet is a call over the border. What is not known of a
//! command is `unknown`; what certainly did not leave is to be tried again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zyklus_connect::abi::wire::{Change, Open};
use zyklus_connect::abi::{self, Status};
use zyklus_connect::{
    Action, Actions, Audience, AudienceRef, AudienceSpec, CONTRACT, Channel, Check, Connector, Ctx, Error,
    ErrorKind, Keyed, Manifest, Member, Message, Outcome, Page, ReadRequest, Received, Rejected, Result,
    Source, Subscription, WebhookRequest, Webhooks, model,
};

use super::Plugin;
use super::link::{Failed, Link};
use super::services::Services;
use crate::redact::Redactor;

/// A webhook is verified without network: so long it may take.
const RECEIVE_WITHIN: Duration = Duration::from_secs(5);

/// A connector outside the binary, opened.
pub(crate) struct Remote {
    manifest: Manifest,
    link: Arc<Link>,
    services: Arc<Services>,
    has: Facets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facets {
    source: bool,
    webhooks: bool,
    channel: bool,
    actions: bool,
    audience: bool,
}

impl Facets {
    fn new(manifest: &Manifest, named: Option<&[String]>) -> Self {
        let has = |name: &str, by_manifest: bool| {
            named.map_or(by_manifest, |named| named.iter().any(|facet| facet == name))
        };
        Facets {
            source: has("source", !manifest.streams.is_empty()),
            webhooks: has("webhooks", false),
            channel: has("channel", manifest.channel.is_some()),
            actions: has("actions", !manifest.actions.is_empty()),
            audience: has("audience", false),
        }
    }
}

/// Opens a plugin as a connector.
pub(crate) async fn open(
    plugin: Plugin,
    config: Value,
    ctx: Ctx,
    redactor: Redactor,
    first_rest: Duration,
) -> Result<Arc<dyn Connector>> {
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let asked = Open {
        id: ctx.id().to_owned(),
        config,
        base_dir: path(&std::path::absolute(ctx.base_dir()).unwrap_or_else(|_| ctx.base_dir().into())),
        data_dir: path(&std::path::absolute(ctx.data_dir()).unwrap_or_else(|_| ctx.data_dir().into())),
        log_level: tracing::level_filters::LevelFilter::current().to_string(),
        contract: CONTRACT,
    };
    let before = plugin.manifest().clone();
    let services = Arc::new(Services::new(ctx, redactor));
    let (link, opened) = Link::open(plugin, Arc::clone(&services), &asked, first_rest).await?;
    let manifest = opened.manifest.unwrap_or(before);
    let has = Facets::new(&manifest, opened.facets.as_deref());
    Ok(Arc::new(Remote { manifest, link: Arc::new(link), services, has }))
}

fn written<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("the contract's types are plain data")
}

fn read<T: DeserializeOwned>(op: &str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| {
        Error::new(
            ErrorKind::Internal,
            format!("the connector answered `{op}` with something that makes no sense"),
        )
        .with_detail(e.to_string())
    })
}

impl Remote {
    async fn ask<A: Serialize, T: DeserializeOwned>(&self, op: &'static str, asked: &A) -> Result<T> {
        let body = self.link.call(op, written(asked)).await.map_err(Failed::error)?;
        read(op, &body)
    }

    /// A batch: one outcome a command, whatever happens.
    async fn command<A: Serialize, R: DeserializeOwned>(
        &self,
        op: &'static str,
        asked: &A,
        count: usize,
    ) -> Vec<Outcome<R>> {
        let all = |outcome: &dyn Fn() -> Outcome<R>| (0..count).map(|_| outcome()).collect::<Vec<_>>();
        match self.link.call(op, written(asked)).await {
            Ok(body) => match read(op, &body) {
                Ok(outcomes) => outcomes,
                Err(error) => all(&|| Outcome::Unknown(error.clone())),
            },
            Err(Failed::Unsent(error)) => all(&|| Outcome::Retry(error.clone())),
            Err(Failed::Said(error)) if error.kind == ErrorKind::Unsupported => {
                all(&|| Outcome::Rejected(error.clone()))
            }
            // An error for all of them does not say how far it came.
            Err(Failed::Said(error) | Failed::Lost(error)) => all(&|| Outcome::Unknown(error.clone())),
        }
    }
}

#[async_trait]
impl Connector for Remote {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self) -> Vec<Check> {
        self.ask(abi::CHECK, &serde_json::json!({})).await.unwrap_or_else(|problem| {
            vec![Check { name: "the plugin answers".into(), problem: Some(problem), found: String::new() }]
        })
    }

    fn source(&self) -> Option<&dyn Source> {
        self.has.source.then_some(self as &dyn Source)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        self.has.webhooks.then_some(self as &dyn Webhooks)
    }

    fn channel(&self) -> Option<&dyn Channel> {
        self.has.channel.then_some(self as &dyn Channel)
    }

    fn actions(&self) -> Option<&dyn Actions> {
        self.has.actions.then_some(self as &dyn Actions)
    }

    fn audience(&self) -> Option<&dyn Audience> {
        self.has.audience.then_some(self as &dyn Audience)
    }

    async fn close(&self) {
        self.link.close().await;
    }
}

#[async_trait]
impl Source for Remote {
    async fn read(&self, request: ReadRequest) -> Result<Page> {
        self.ask(abi::READ, &request).await
    }
}

#[async_trait]
impl Webhooks for Remote {
    async fn reconcile(&self, wanted: &Subscription) -> Result<()> {
        self.ask::<_, Value>(abi::RECONCILE, wanted).await.map(drop)
    }

    /// Blocks for as long as the plugin takes, five seconds at most.
    fn receive(&self, request: &WebhookRequest) -> std::result::Result<Received, Rejected> {
        let failed = |why: String| Rejected::Malformed(why);
        let Some(session) = self.link.living() else {
            // Somebody else's call would start it again; so does this.
            let link = Arc::clone(&self.link);
            self.services
                .handle()
                .spawn(async move { link.call(abi::CHECK, b"{}".to_vec()).await.map(drop) });
            return Err(failed("the connector's process is being started again".into()));
        };
        let (id, answer) = session.calls.begin_blocking().map_err(|gone| failed(gone.reason))?;
        if let Err(reason) = session.way.call_now(id, abi::RECEIVE, written(request)) {
            session.calls.withdraw(id);
            return Err(failed(reason));
        }
        let (status, body) = match answer.recv_timeout(RECEIVE_WITHIN) {
            Ok(answered) => answered.map_err(|gone| failed(gone.reason))?,
            Err(_) => {
                session.way.cancel(id);
                return Err(failed(format!("the connector took longer than {} s", RECEIVE_WITHIN.as_secs())));
            }
        };
        match status {
            Status::Ok => read(abi::RECEIVE, &body).map_err(Rejected::from),
            Status::Err => Err(read::<Error>(abi::RECEIVE, &body).unwrap_or_else(|e| e).into()),
            Status::Panic => Err(failed("the connector panicked on it".into())),
            Status::Cancelled => Err(failed("the connector gave it up".into())),
        }
    }
}

#[async_trait]
impl Channel for Remote {
    async fn send(&self, batch: Vec<Keyed<Message>>) -> Vec<Outcome<model::Receipt>> {
        self.command(abi::SEND, &batch, batch.len()).await
    }
}

#[async_trait]
impl Actions for Remote {
    async fn perform(&self, batch: Vec<Keyed<Action>>) -> Vec<Outcome<Value>> {
        self.command(abi::PERFORM, &batch, batch.len()).await
    }
}

#[async_trait]
impl Audience for Remote {
    async fn ensure(&self, audience: &AudienceSpec) -> Result<AudienceRef> {
        self.ask(abi::ENSURE, audience).await
    }

    async fn change(&self, audience: &AudienceRef, batch: Vec<Keyed<Member>>) -> Vec<Outcome<()>> {
        let count = batch.len();
        self.command(abi::CHANGE, &Change { audience: audience.clone(), batch }, count).await
    }
}
