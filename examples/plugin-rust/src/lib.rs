//! The loyalty connector: members and their points from a points service, its notifications, and giving points.
//!
//! The service's API: `GET /members?after=ID&limit=N` gives `{"members": […], "more": bool}`, ordered by id; `POST
//! /grants` gives points, once for each `Idempotency-Key`; notifications are signed as Standard Webhooks describes.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zyklus_connect::model::{CustomerRecord, CustomerRef, Record};
use zyklus_connect::{
    Action, ActionSpec, Actions, CONTRACT, Check, Connector, Ctx, Dedup, Error, ErrorKind, Factory,
    HttpRequest, Keyed, Manifest, Outcome, Page, RateLimit, ReadRequest, Received, Rejected, Result, Secret,
    Source, StreamSpec, Subscription, WebhookRequest, Webhooks, verify,
};

/// What stands in `[connectors.NAME]`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoyaltyConfig {
    /// Where the service is, such as `https://points.example`.
    pub url: String,
    /// Its key for programs.
    pub api_key: Secret,
    /// What it signs its notifications with (`whsec_…`).
    pub webhook_secret: Secret,
}

/// The connector, opened.
pub struct Loyalty {
    manifest: Manifest,
    config: LoyaltyConfig,
    ctx: Ctx,
}

/// A member as the service has them.
#[derive(Deserialize)]
struct Member {
    id: String,
    email: String,
    #[serde(default)]
    name: Option<String>,
    points: i64,
    #[serde(default)]
    tier: Option<String>,
}

impl From<Member> for Record {
    fn from(member: Member) -> Self {
        let mut attributes = std::collections::BTreeMap::new();
        attributes.insert("points".to_owned(), json!(member.points));
        if let Some(tier) = member.tier {
            attributes.insert("tier".to_owned(), json!(tier));
        }
        Record::Customer(CustomerRecord {
            customer: CustomerRef {
                external_id: Some(member.id),
                email: Some(member.email),
                email_verified: false,
            },
            first_name: member.name,
            attributes,
            ..CustomerRecord::default()
        })
    }
}

/// The service gives so many members at a time.
const MOST: u32 = 250;

#[derive(Deserialize)]
struct Members {
    members: Vec<Member>,
    more: bool,
}

/// Where reading stands: behind this member.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    after: String,
}

impl Loyalty {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.config.url.trim_end_matches('/'))
    }

    fn signed(&self, request: HttpRequest) -> HttpRequest {
        request.header("authorization", format!("Bearer {}", self.config.api_key.expose()))
    }

    async fn members(&self, after: &str, limit: u32) -> Result<Members> {
        let request = HttpRequest::get(self.url("/members"))
            .query("after", after)
            .query("limit", limit.min(MOST).to_string());
        self.ctx.http(self.signed(request)).await?.success()?.json()
    }

    async fn grant(&self, command: &Keyed<Action>) -> Outcome<Value> {
        let action = &command.body;
        if action.name != "grant" {
            return Outcome::Rejected(Error::new(
                ErrorKind::Unsupported,
                format!("there is no action `{}`", action.name),
            ));
        }
        let (Some(member), Some(points)) = (&action.customer_external_id, action.input["points"].as_i64())
        else {
            return Outcome::Rejected(Error::new(
                ErrorKind::Invalid,
                "points are given to a member, in whole numbers",
            ));
        };
        let asked = HttpRequest::post_json(self.url("/grants"), &json!({"member": member, "points": points}));
        // The service gives them once for each key: whatever became of an answer, asking again is safe.
        let asked = self.signed(asked).header("idempotency-key", &command.key);
        Outcome::of_request(self.ctx.http(asked).await, Dedup::Native, |answer| {
            answer.json().unwrap_or(Value::Null)
        })
    }
}

#[async_trait]
impl Connector for Loyalty {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self) -> Vec<Check> {
        let asked = self.members("", 1).await;
        let name = "members can be read".to_owned();
        match asked {
            Ok(page) if page.members.is_empty() => {
                vec![Check { name, problem: None, found: "none yet".into() }]
            }
            Ok(_) => vec![Check { name, problem: None, found: "there are some".into() }],
            Err(problem) => vec![Check { name, problem: Some(problem), found: String::new() }],
        }
    }

    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        Some(self)
    }

    fn actions(&self) -> Option<&dyn Actions> {
        Some(self)
    }
}

#[async_trait]
impl Factory for Loyalty {
    type Config = LoyaltyConfig;
    const KIND: &'static str = "loyalty";

    fn manifest() -> Manifest {
        let members = StreamSpec {
            name: "members".into(),
            backfill: true,
            incremental: true,
            deletes: false,
            scopes: Vec::new(),
        };
        let grant = ActionSpec {
            name: "grant".into(),
            description: "Gives a member points.".into(),
            input_schema: json!({
                "type": "object",
                "properties": { "points": { "type": "integer", "minimum": 1 } },
                "required": ["points"],
                "additionalProperties": false
            }),
            dedup: Dedup::Native,
        };
        Manifest {
            kind: Self::KIND.into(),
            name: "Loyalty points".into(),
            description: "Reads members and their points, takes notifications and gives points.".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            contract: CONTRACT,
            streams: vec![members],
            channel: None,
            actions: vec![grant],
            hosts: Vec::new(),
            url_fields: vec!["url".into()],
            rate_limit: Some(RateLimit { per_second: 10.0, burst: 10 }),
            max_in_flight: 4,
            // Made from `LoyaltyConfig`.
            config_schema: Value::Null,
        }
    }

    fn validate(config: &LoyaltyConfig, _: &std::path::Path) -> Vec<Error> {
        let is_web = config.url.starts_with("https://") || config.url.starts_with("http://");
        if is_web { Vec::new() } else { vec![Error::config("url", "`url` begins with https:// or http://")] }
    }

    async fn open(config: LoyaltyConfig, ctx: Ctx) -> Result<Self> {
        if let Some(problem) = Self::validate(&config, ctx.base_dir()).pop() {
            return Err(problem);
        }
        Ok(Loyalty { manifest: zyklus_connect::manifest_of::<Self>(), config, ctx })
    }
}

#[async_trait]
impl Source for Loyalty {
    async fn read(&self, request: ReadRequest) -> Result<Page> {
        if request.stream != "members" {
            let message = format!("there is no stream `{}`", request.stream);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let before = request.cursor_as::<After>()?.map(|at| at.after).unwrap_or_default();
        let page = self.members(&before, request.limit).await?;
        let after = page.members.last().map_or(before, |member| member.id.clone());
        let records = page.members.into_iter().map(Record::from).collect();
        let cursor = json!(After { after });
        Ok(if page.more { Page::more(records, cursor) } else { Page::caught_up(records, cursor) })
    }
}

#[async_trait]
impl Webhooks for Loyalty {
    async fn reconcile(&self, wanted: &Subscription) -> Result<()> {
        let mut asked = HttpRequest::post_json(
            self.url("/subscription"),
            &json!({"url": wanted.url, "on": wanted.streams}),
        );
        asked.method = "PUT".into();
        self.ctx.http(self.signed(asked).idempotent()).await?.success().map(drop)
    }

    fn receive(&self, request: &WebhookRequest) -> Result<Received, Rejected> {
        let id = verify::standard_webhook(request, &self.config.webhook_secret)?;
        let member: Member = serde_json::from_slice(&request.body)
            .map_err(|e| Rejected::Malformed(format!("it is not a member: {e}")))?;
        Ok(Received { delivery_id: Some(id), records: vec![member.into()], ..Received::default() })
    }
}

#[async_trait]
impl Actions for Loyalty {
    async fn perform(&self, batch: Vec<Keyed<Action>>) -> Vec<Outcome<Value>> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for command in &batch {
            outcomes.push(self.grant(command).await);
        }
        outcomes
    }
}

zyklus_connect::export_connector!(Loyalty);
