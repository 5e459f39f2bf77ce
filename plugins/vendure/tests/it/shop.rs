//! A web server that answers as it is told, and the connector opened on it. Understands no GraphQL.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::matchers::{body_string_contains, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};
use zyklus_connect::model::At;
use zyklus_connect::{Cursor, Error, Mode, Page, ReadRequest};
use zyklus_host::{ConnectorConfig, Host, HostError, HostOptions, Opened, Registry};
use zyklus_vendure::VendureConnector;

pub(crate) const PASSWORD: &str = "correct horse";

/// The server, and the connector that talks to it.
pub(crate) struct Shop {
    pub(crate) server: MockServer,
    pub(crate) connector: Opened,
    _folder: TempDir,
}

pub(crate) fn clock() -> At {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    At::from_micros(i64::try_from(since.as_micros()).unwrap())
}

/// Opens the connector with these settings besides the address and the sign-in.
pub(crate) async fn open(url: &str, more: Value) -> Result<(Opened, TempDir), HostError> {
    let mut config = json!({ "url": url, "username": "robot", "password": PASSWORD });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let folder = tempfile::tempdir().unwrap();
    let options = HostOptions::new(Arc::new(clock), folder.path(), folder.path());
    let host = Host::new(Registry::new().with::<VendureConnector>(), options)?;
    let config = ConnectorConfig::new("shop", "vendure", config, [PASSWORD.to_owned()]);
    Ok((host.open(&config).await?, folder))
}

impl Shop {
    /// A server and a connector opened on it by the test.
    pub(crate) fn on(server: MockServer, connector: Opened, folder: TempDir) -> Self {
        Shop { server, connector, _folder: folder }
    }

    /// A server that answers nothing yet.
    pub(crate) async fn bare() -> Self {
        let server = MockServer::start().await;
        let (connector, folder) = open(&server.uri(), json!({})).await.unwrap();
        Shop { server, connector, _folder: folder }
    }

    /// One that signs users in and says what its channel is.
    pub(crate) async fn with_currency(currency: &str) -> Self {
        let shop = Self::bare().await;
        shop.sign_in_with("token").await;
        shop.answer("globalSettings", ResponseTemplate::new(200).set_body_json(channel(currency))).await;
        shop
    }

    /// Answers requests whose query contains this.
    pub(crate) async fn answer(&self, query: &str, answer: ResponseTemplate) {
        self.mock(query, answer).mount(&self.server).await;
    }

    /// Answers the first so many of them.
    pub(crate) async fn answer_times(&self, query: &str, answer: ResponseTemplate, times: u64) {
        self.mock(query, answer).up_to_n_times(times).with_priority(1).mount(&self.server).await;
    }

    fn mock(&self, query: &str, answer: ResponseTemplate) -> Mock {
        Mock::given(method("POST"))
            .and(path("/admin-api"))
            .and(body_string_contains(query))
            .respond_with(answer)
    }

    pub(crate) async fn sign_in_with(&self, token: &str) {
        self.answer("login(", signed_in(token)).await;
    }

    /// How many requests with this in their query came in.
    pub(crate) async fn asked(&self, query: &str) -> usize {
        let requests = self.server.received_requests().await.unwrap();
        requests.iter().filter(|r| String::from_utf8_lossy(&r.body).contains(query)).count()
    }

    pub(crate) async fn read(&self, stream: &str, cursor: Option<Cursor>) -> Result<Page, Error> {
        let request =
            ReadRequest { stream: stream.into(), cursor, mode: Mode::Backfill { from: None }, limit: 250 };
        self.connector.read(request).await
    }
}

pub(crate) fn signed_in(token: &str) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .insert_header("vendure-auth-token", token)
        .set_body_json(json!({ "data": { "login": { "__typename": "CurrentUser" } } }))
}

pub(crate) fn channel(currency: &str) -> Value {
    json!({ "data": {
        "activeChannel": { "code": "main", "token": "main-token", "defaultCurrencyCode": currency },
        "globalSettings": { "serverConfig": { "moneyStrategyPrecision": 2 } } } })
}

pub(crate) fn list(items: Value) -> ResponseTemplate {
    let count = items.as_array().unwrap().len();
    ResponseTemplate::new(200)
        .set_body_json(json!({ "data": { "list": { "totalItems": count, "items": items } } }))
}

pub(crate) fn graphql_error(code: &str, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "errors": [{ "message": message, "extensions": { "code": code } }], "data": null }))
}
