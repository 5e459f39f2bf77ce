//! A library of a connector that panics in every op and in tasks of its own, and blocks: for the tests of plugins.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use zyklus_connect::schemars::{self, JsonSchema};
use zyklus_connect::{
    Action, Actions, Audience, AudienceRef, AudienceSpec, Channel, Check, Connector, Ctx, Cursor, Error,
    ErrorKind, Factory, HttpRequest, Keyed, Manifest, Member, Message, Next, Outcome, Page, ReadRequest,
    Received, Rejected, Result, Secret, Source, Subscription, Token, WebhookRequest, Webhooks, model,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What it does while it is opened.
    #[serde(default)]
    open: String,
    /// Never to be seen.
    password: Secret,
}

struct Unruly {
    manifest: Manifest,
    ctx: Ctx,
    password: Secret,
}

zyklus_connect::export_connector!(Unruly);

#[async_trait]
impl Factory for Unruly {
    type Config = Config;
    const KIND: &'static str = "unruly";

    fn manifest() -> Manifest {
        let stream = json!({"name": "fine", "backfill": true, "incremental": true});
        let manifest = json!({
            "kind": "unruly", "name": "Unruly", "description": "Panics.", "version": "1", "contract": [1, 0],
            "max_in_flight": 2, "streams": [stream]
        });
        serde_json::from_value(manifest).expect("this is a manifest")
    }

    async fn open(config: Config, ctx: Ctx) -> Result<Self> {
        match config.open.as_str() {
            "panic" => panic!("no opening with {}", config.password.expose()),
            "field" => return Err(Error::config("open", "`open` is wrong")),
            _ => {}
        }
        tracing::info!(password = config.password.expose(), "opened");
        tracing::trace!("never seen");
        let mut manifest = <Self as Factory>::manifest();
        manifest.name = format!("Unruly {}", ctx.id());
        Ok(Unruly { manifest, ctx, password: config.password })
    }
}

#[async_trait]
impl Connector for Unruly {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self) -> Vec<Check> {
        panic!("no check with {}", self.password.expose())
    }

    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        Some(self)
    }

    fn channel(&self) -> Option<&dyn Channel> {
        Some(self)
    }

    fn actions(&self) -> Option<&dyn Actions> {
        Some(self)
    }

    fn audience(&self) -> Option<&dyn Audience> {
        Some(self)
    }

    async fn close(&self) {
        panic!("no closing")
    }
}

#[async_trait]
impl Source for Unruly {
    async fn read(&self, request: ReadRequest) -> Result<Page> {
        let mut total = 7;
        match request.stream.as_str() {
            "panic" => panic!("no reading with {}", self.password.expose()),
            "task" => drop(tokio::spawn(async { panic!("no task") })),
            "thread" => drop(std::thread::spawn(|| panic!("no thread"))),
            "block" => std::thread::sleep(Duration::from_secs(3_600)),
            "hang" => std::future::pending().await,
            "secret" => {
                return Err(Error::new(ErrorKind::Auth, format!("{} is wrong", self.password.expose())));
            }
            "http" => total = self.ctx.http(HttpRequest::get("http://shop.example/x")).await?.status.into(),
            "now" => total = u64::try_from(self.ctx.now().as_micros()).unwrap_or(0),
            "token" => {
                let renew = |_| async {
                    Ok(Token { value: Secret::new("a-new-token"), expires_at: None, refresh: None })
                };
                let token = self.ctx.token("api", renew).await?;
                tracing::warn!("the token is {}", token.value.expose());
            }
            _ => {}
        }
        let next = Next::CaughtUp {
            cursor: Cursor(request.cursor.map_or(Value::Null, |c| c.0)),
            poll_after_ms: None,
        };
        Ok(Page { records: Vec::new(), rejects: Vec::new(), total: Some(total), next })
    }
}

#[async_trait]
impl Webhooks for Unruly {
    async fn reconcile(&self, _: &Subscription) -> Result<()> {
        panic!("no subscriptions")
    }

    fn receive(&self, request: &WebhookRequest) -> std::result::Result<Received, Rejected> {
        match request.body.as_slice() {
            b"panic" => panic!("no webhook"),
            b"good" => Ok(Received { delivery_id: Some("1".into()), ..Received::default() }),
            b"\xff" => Err(Rejected::Malformed("not a text".into())),
            _ => Err(Rejected::Signature("it is missing".into())),
        }
    }
}

#[async_trait]
impl Channel for Unruly {
    async fn send(&self, _: Vec<Keyed<Message>>) -> Vec<Outcome<model::Receipt>> {
        panic!("no sending")
    }
}

#[async_trait]
impl Actions for Unruly {
    async fn perform(&self, batch: Vec<Keyed<Action>>) -> Vec<Outcome<Value>> {
        let mut outcomes = Vec::new();
        for keyed in batch {
            match keyed.body.name.as_str() {
                "panic" => panic!("half-way"),
                "hang" => std::future::pending().await,
                "skip" => {}
                _ => outcomes.push(Outcome::Done(keyed.body.input)),
            }
        }
        outcomes
    }
}

#[async_trait]
impl Audience for Unruly {
    async fn ensure(&self, _: &AudienceSpec) -> Result<AudienceRef> {
        panic!("no audience")
    }

    async fn change(&self, _: &AudienceRef, _: Vec<Keyed<Member>>) -> Vec<Outcome<()>> {
        panic!("no change")
    }
}
