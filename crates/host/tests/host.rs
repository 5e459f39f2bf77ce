//! Tests of an opened connector that panics, hangs, miscounts and talks too much.

#![expect(clippy::unwrap_used, reason = "in a test that is how a failure is reported, helpers included")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use zyklus_connect::{
    Action, Actions, Check, Connector, Ctx, Cursor, Error, ErrorKind, Factory, HttpRequest, Keyed, Manifest,
    Mode, Next, Outcome, Page, ReadRequest, Result, Secret, Source, WebhookRequest, Webhooks, schemars,
};
use zyklus_host::config::read_connectors;
use zyklus_host::{
    ConfigOptions, ConnectorConfig, Exchange, Host, HostError, HostOptions, Limits, Opened, Registry,
    ReplayHttp,
};
use zyklus_model::At;

#[derive(Deserialize, schemars::JsonSchema)]
struct Config {
    #[serde(default)]
    panic_on_open: bool,
    #[serde(default)]
    password: Option<Secret>,
}

/// Does what the stream's or the action's name says.
struct Unruly {
    manifest: Manifest,
    ctx: Ctx,
    password: String,
    never: Notify,
}

#[async_trait]
impl Connector for Unruly {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    async fn check(&self) -> Vec<Check> {
        panic!("no check with {}", self.password)
    }
    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }
    fn actions(&self) -> Option<&dyn Actions> {
        Some(self)
    }
    fn webhooks(&self) -> Option<&dyn Webhooks> {
        Some(self)
    }
    async fn close(&self) {
        panic!("not even closing works")
    }
}

#[async_trait]
impl Factory for Unruly {
    type Config = Config;
    const KIND: &'static str = "unruly";
    fn manifest() -> Manifest {
        serde_json::from_value(json!({
            "kind": "unruly", "name": "Unruly", "description": "", "version": "1", "contract": [1, 0],
            "max_in_flight": 2
        }))
        .unwrap()
    }
    async fn open(config: Config, ctx: Ctx) -> Result<Self> {
        assert!(!config.panic_on_open, "cannot open");
        let password = config.password.map(|p| p.expose().to_owned()).unwrap_or_default();
        Ok(Unruly { manifest: <Self as Factory>::manifest(), ctx, password, never: Notify::new() })
    }
}

#[async_trait]
impl Source for Unruly {
    async fn read(&self, request: ReadRequest) -> Result<Page> {
        match request.stream.as_str() {
            "panic" => panic!("index out of {}", self.password),
            "hang" => self.never.notified().await,
            "fail" => {
                return Err(Error::new(ErrorKind::Auth, format!("{} is wrong", self.password)));
            }
            "http" => {
                self.ctx.http(HttpRequest::get("https://shop.example/page")).await?;
            }
            _ => {}
        }
        let next = Next::CaughtUp { cursor: Cursor(Value::Null), poll_after_ms: None };
        Ok(Page { records: Vec::new(), rejects: Vec::new(), total: Some(7), next })
    }
}

#[async_trait]
impl Actions for Unruly {
    async fn perform(&self, batch: Vec<Keyed<Action>>) -> Vec<Outcome<Value>> {
        let mut outcomes = Vec::new();
        for command in &batch {
            match command.body.name.as_str() {
                "panic" => panic!("half-way"),
                "hang" => self.never.notified().await,
                "skip" => {}
                _ => outcomes.push(Outcome::Done(json!(command.key))),
            }
        }
        outcomes
    }
}

#[async_trait]
impl Webhooks for Unruly {
    async fn reconcile(&self, _: &zyklus_connect::Subscription) -> Result<()> {
        Ok(())
    }
    fn receive(
        &self,
        _: &WebhookRequest,
    ) -> std::result::Result<zyklus_connect::Received, zyklus_connect::Rejected> {
        panic!("on a webhook")
    }
}

struct Bench {
    host: Host,
    _dir: tempfile::TempDir,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let limits =
        Limits { read: Duration::from_secs(60), command: Duration::from_secs(60), ..Limits::default() };
    let options = HostOptions {
        limits,
        ..HostOptions::new(Arc::new(|| At::from_seconds(0)), dir.path(), dir.path().join("data"))
    };
    Bench { host: Host::new(Registry::new().with::<Unruly>(), options).unwrap(), _dir: dir }
}

fn config() -> ConnectorConfig {
    ConnectorConfig::new("u", "unruly", json!({"password": "hunter2-pass"}), ["hunter2-pass".to_owned()])
}

async fn open() -> (Bench, Opened) {
    let bench = bench();
    let opened = bench.host.open(&config()).await.unwrap();
    (bench, opened)
}

fn page(stream: &str) -> ReadRequest {
    ReadRequest { stream: stream.into(), cursor: None, mode: Mode::Incremental, limit: 10 }
}

fn actions(names: &[&str]) -> Vec<Keyed<Action>> {
    let action =
        |name: &&str| Action { name: (*name).into(), input: Value::Null, customer_external_id: None };
    names.iter().map(|name| Keyed { key: format!("k-{name}"), attempt: 1, body: action(name) }).collect()
}

fn words(outcomes: &[Outcome<Value>]) -> Vec<&'static str> {
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Done(_) => "done",
            Outcome::Rejected(_) => "rejected",
            Outcome::Retry(_) => "retry",
            Outcome::Unknown(_) => "unknown",
        })
        .collect()
}

#[tokio::test]
async fn a_panic_while_opening_is_an_error() {
    let bench = bench();
    let config = ConnectorConfig::new("u", "unruly", json!({"panic_on_open": true}), []);
    let error = bench.host.open(&config).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Panicked { message, .. } if message.contains("cannot open")),
        "{error}"
    );
    let unknown = bench.host.open(&ConnectorConfig::new("u", "unrulyy", json!({}), [])).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no connector of type `unrulyy`; did you mean `unruly`?");
}

#[tokio::test]
async fn what_must_not_be_opened_is_not() {
    let bench = bench();
    let outside = ConnectorConfig::new("../outside", "unruly", json!({}), []);
    assert!(matches!(bench.host.open(&outside).await, Err(HostError::BadId { .. })));
    let mut disabled = config();
    disabled.settings.enabled = false;
    assert!(matches!(bench.host.open(&disabled).await, Err(HostError::Disabled { .. })));
    let text = "[connectors.u]\ntype = \"unruly\"\npassword = { env = \"NOT_SET_ANYWHERE\" }\n";
    let options = ConfigOptions { resolve_secrets: false, ..ConfigOptions::new(".") };
    let source = zyklus_host::Source { file: "zyklus.toml", text };
    let checked = read_connectors(&source, bench.host.registry(), &options).unwrap();
    assert!(matches!(bench.host.open(&checked[0]).await, Err(HostError::Unready { .. })));
}

#[tokio::test]
async fn a_panic_in_a_read_is_an_internal_error_and_the_next_read_works() {
    let (_bench, opened) = open().await;
    let error = opened.read(page("panic")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(error.message.contains("the connector panicked: index out of REDACTED"), "{}", error.message);
    assert_eq!(opened.read(page("fine")).await.unwrap().total, Some(7));
    let checks = opened.check().await;
    let problem = checks[0].problem.as_ref().unwrap();
    assert!(!problem.message.contains("hunter2"), "{}", problem.message);
    assert_eq!(opened.read(page("fail")).await.unwrap_err().message, "REDACTED is wrong");
}

#[tokio::test]
async fn a_panic_in_a_batch_leaves_every_outcome_unknown() {
    let (_bench, opened) = open().await;
    let outcomes = opened.perform(actions(&["do", "panic", "do"])).await;
    assert_eq!(words(&outcomes), ["unknown", "unknown", "unknown"]);
    assert_eq!(words(&opened.perform(actions(&["do"])).await), ["done"]);
}

#[tokio::test]
async fn missing_outcomes_are_unknown() {
    let (_bench, opened) = open().await;
    // Nobody can tell whose the one outcome is.
    assert_eq!(words(&opened.perform(actions(&["do", "skip"])).await), ["unknown", "unknown"]);
    assert_eq!(words(&opened.perform(actions(&["skip", "do"])).await), ["unknown", "unknown"]);
    assert!(opened.perform(Vec::new()).await.is_empty());
}

#[tokio::test]
async fn what_a_connector_cannot_do_is_rejected() {
    let (_bench, opened) = open().await;
    let message = serde_json::from_value(json!({"key": "k", "attempt": 1, "body": {
        "delivery": "d", "channel": "email", "purpose": "marketing", "to": {"phone": "+4915112345678"}, "text": ""
    }}))
    .unwrap();
    let outcomes = opened.send(vec![message]).await;
    assert!(matches!(&outcomes[..], [Outcome::Rejected(e)] if e.kind == ErrorKind::Unsupported));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_is_given_up_and_keeps_its_slot() {
    let (_bench, opened) = open().await;
    let error = opened.read(page("hang")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    // Two commands may be under way; two hang for good; the third never begins and so is certainly not done.
    for _ in 0..2 {
        assert_eq!(words(&opened.perform(actions(&["hang"])).await), ["unknown"]);
    }
    assert_eq!(words(&opened.perform(actions(&["do"])).await), ["retry"]);
    assert!(!opened.close(Duration::from_secs(5)).await);
    assert_eq!(opened.read(page("fine")).await.unwrap_err().kind, ErrorKind::Cancelled);
}

#[tokio::test]
async fn closing_survives_a_panic_and_refuses_later_calls() {
    let (_bench, opened) = open().await;
    assert!(opened.close(Duration::from_secs(5)).await);
    assert!(opened.close(Duration::from_secs(5)).await);
    assert_eq!(words(&opened.perform(actions(&["do"])).await), ["retry"]);
}

#[tokio::test]
async fn a_panic_on_a_webhook_is_a_rejection() {
    let (_bench, opened) = open().await;
    let request = WebhookRequest {
        method: "POST".into(),
        path: "/".into(),
        headers: Default::default(),
        body: Vec::new(),
        received_at: At::from_seconds(0),
    };
    assert!(opened.receive(&request).is_err());
}

#[tokio::test]
async fn a_connector_can_be_opened_on_a_recording() {
    let bench = bench();
    let http = ReplayHttp::new([Exchange::json("GET", "/page", None, 200, json!({}))]);
    let opened = bench.host.open_on(&config(), Arc::new(http)).await.unwrap();
    assert_eq!(opened.read(page("http")).await.unwrap().total, Some(7));
    // The host's own HTTP refuses the same address: nobody has allowed it.
    let opened = bench.host.open(&config()).await.unwrap();
    assert_eq!(opened.read(page("http")).await.unwrap_err().kind, ErrorKind::Config);
}
