//! Talking GraphQL to Vendure's Admin API: signing in, signing in again, and what its failures mean.
//! Knows no stream and no record.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};
use zyklus_connect::model::{At, Currency};
use zyklus_connect::{
    Ctx, Error, ErrorKind, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Result, Secret,
};

use crate::config::{Config, Credentials};

/// One GraphQL operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op {
    /// The operation's text.
    pub(crate) text: &'static str,
    /// The permission Vendure asks for.
    pub(crate) needs: &'static str,
    /// Whether repeating it is harmless.
    pub(crate) idempotent: bool,
}

impl Op {
    /// A query.
    pub(crate) const fn query(text: &'static str, needs: &'static str) -> Self {
        Op { text, needs, idempotent: true }
    }

    /// A mutation.
    pub(crate) const fn mutation(text: &'static str, needs: &'static str) -> Self {
        Op { text, needs, idempotent: false }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The `data` of the answer.
    pub(crate) data: Value,
    /// An instant on the shop's clock that is not after the moment it began to answer.
    pub(crate) at: At,
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What happened.
    pub(crate) error: Box<Error>,
    /// Whether the shop may have carried it out all the same.
    pub(crate) may_be_done: bool,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        *failed.error
    }
}

/// What holds for the whole channel.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    /// The channel's code.
    pub(crate) channel: String,
    /// The channel's default currency.
    pub(crate) currency: Currency,
    /// How many decimals Vendure's integers stand for, whatever the currency.
    pub(crate) precision: u8,
}

/// A session with one Admin API.
pub(crate) struct Api {
    ctx: Ctx,
    endpoint: String,
    credentials: Credentials,
    channel_token: Option<Secret>,
    session: Mutex<Session>,
    shop: OnceCell<Shop>,
}

#[derive(Default)]
struct Session {
    token: Option<Secret>,
    number: u64,
}

enum Refusal {
    Forbidden(String),
    Failed(Failed),
}

const LOGIN: &str = "mutation($username:String!,$password:String!){login(username:$username,password:$password){\
    __typename ... on ErrorResult{errorCode message}}}";
const CHANNEL: &str = "{activeChannel{code}}";
const SHOP: Op = Op::query(
    "{activeChannel{code token defaultCurrencyCode} globalSettings{serverConfig{moneyStrategyPrecision}}}",
    "Authenticated",
);

impl Api {
    pub(crate) fn new(config: &Config, ctx: Ctx) -> Result<Self> {
        Ok(Api {
            ctx,
            endpoint: config.endpoint()?,
            credentials: config.credentials()?,
            channel_token: config.channel_token.clone(),
            session: Mutex::default(),
            shop: OnceCell::new(),
        })
    }

    /// Runs an operation, signing in first if need be, and once more when the session has ended.
    pub(crate) async fn call(&self, op: Op, variables: Value) -> Result<Reply, Failed> {
        let (mut token, mut number, mut fresh) = self.token(None).await.map_err(not_done)?;
        loop {
            let message = match self.post(op.text, &variables, op.idempotent, token.as_ref()).await {
                Ok(reply) => return Ok(reply),
                Err(Refusal::Failed(failed)) => return Err(failed),
                Err(Refusal::Forbidden(message)) => message,
            };
            if fresh {
                return Err(not_done(self.forbidden(op.needs, message)));
            }
            (token, number, fresh) = self.token(Some(number)).await.map_err(not_done)?;
        }
    }

    /// Asks for the channel without signing in: whether a Vendure is there at all.
    pub(crate) async fn reach(&self) -> Result<String> {
        match self.post(CHANNEL, &json!({}), true, None).await {
            Ok(reply) => Ok(text(&reply.data, "/activeChannel/code")?.to_owned()),
            // A shop may guard even this; it answered in Vendure's words, so it is there.
            Err(Refusal::Forbidden(_)) => Ok(String::new()),
            Err(Refusal::Failed(failed)) => Err(failed.into()),
        }
    }

    /// What holds for the whole channel; asked once.
    pub(crate) async fn shop(&self) -> Result<&Shop> {
        self.shop
            .get_or_try_init(|| async {
                let data = self.call(SHOP, json!({})).await?.data;
                // A shop with one channel takes any token for it, and a later second channel changes that.
                if let Some(wanted) = &self.channel_token
                    && wanted.expose() != text(&data, "/activeChannel/token")?
                {
                    return Err(no_such_channel());
                }
                let currency = text(&data, "/activeChannel/defaultCurrencyCode")?;
                let precision = data
                    .pointer("/globalSettings/serverConfig/moneyStrategyPrecision")
                    .and_then(Value::as_u64)
                    .and_then(|p| u8::try_from(p).ok())
                    .filter(|p| *p <= 9)
                    .ok_or_else(|| unexpected("/globalSettings/serverConfig/moneyStrategyPrecision"))?;
                Ok(Shop {
                    channel: text(&data, "/activeChannel/code")?.to_owned(),
                    currency: currency.parse().map_err(|e| {
                        unexpected("/activeChannel/defaultCurrencyCode").with_detail(format!("{e}"))
                    })?,
                    precision,
                })
            })
            .await
    }

    /// Ends the session.
    pub(crate) async fn close(&self) {
        let token = self.session.lock().await.token.take();
        if token.is_some()
            && let Err(Refusal::Failed(failed)) =
                self.post("mutation{logout{success}}", &json!({}), false, token.as_ref()).await
        {
            tracing::debug!(error = %failed.error, "the shop did not take the sign-out");
        }
    }

    /// The session's token, its number, and whether it was just made. One task signs in, the others wait.
    async fn token(&self, stale: Option<u64>) -> Result<(Option<Secret>, u64, bool)> {
        let Credentials::Login { username, password } = &self.credentials else {
            return Ok((None, 0, true));
        };
        let mut session = self.session.lock().await;
        if session.token.is_some() && stale != Some(session.number) {
            return Ok((session.token.clone(), session.number, false));
        }
        session.token = None;
        let token = self.login(username, password).await?;
        session.number += 1;
        session.token = Some(token);
        Ok((session.token.clone(), session.number, true))
    }

    async fn login(&self, username: &str, password: &Secret) -> Result<Secret> {
        let body = json!({ "query": LOGIN,
            "variables": { "username": username, "password": password.expose() } });
        let request = HttpRequest::post_json(&self.endpoint, &body).idempotent();
        let response = self.ctx.http(self.channel(request)).await?;
        let reply = match self.understand(&response, self.ctx.now()) {
            Ok(reply) => reply,
            Err(Refusal::Failed(failed)) => return Err(failed.into()),
            Err(Refusal::Forbidden(message)) => return Err(wrong_login().with_detail(message)),
        };
        match text(&reply.data, "/login/__typename")? {
            "CurrentUser" => {}
            "InvalidCredentialsError" => return Err(wrong_login().with_code("INVALID_CREDENTIALS_ERROR")),
            other => {
                let message =
                    reply.data.pointer("/login/message").and_then(Value::as_str).unwrap_or_default();
                return Err(Error::new(ErrorKind::Auth, "the shop refuses to sign this user in")
                    .with_detail(message)
                    .with_code(other));
            }
        }
        match response.headers.get("vendure-auth-token") {
            Some(token) if !token.is_empty() => Ok(Secret::new(token)),
            _ => Err(Error::new(
                ErrorKind::Config,
                "the shop signs in without handing out a token: add 'bearer' to authOptions.tokenMethod in its \
                 configuration",
            )),
        }
    }

    async fn post(
        &self,
        query: &str,
        variables: &Value,
        idempotent: bool,
        token: Option<&Secret>,
    ) -> Result<Reply, Refusal> {
        let mut request =
            HttpRequest::post_json(&self.endpoint, &json!({ "query": query, "variables": variables }));
        request.idempotent = idempotent;
        request.timeout_ms = Some(60_000);
        request = self.channel(request);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        } else if let Credentials::ApiKey(key) = &self.credentials {
            request = request.header("vendure-api-key", key.expose());
        }
        let before = self.ctx.now();
        let response = self.ctx.http(request).await.map_err(|e| Refusal::Failed(unanswered(e)))?;
        self.understand(&response, before)
    }

    fn channel(&self, request: HttpRequest) -> HttpRequest {
        match &self.channel_token {
            Some(token) => request.header("vendure-token", token.expose()),
            None => request,
        }
    }

    fn understand(&self, response: &HttpResponse, before: At) -> Result<Reply, Refusal> {
        let failed =
            |error: Error, may_be_done| Err(Refusal::Failed(Failed { error: Box::new(error), may_be_done }));
        let body = response.json::<Body>();
        if let Ok(Body { errors, .. }) = &body
            && let Some(first) = errors.as_ref().and_then(|e| e.first())
        {
            let code = first.extensions.as_ref().and_then(|e| e.code.as_deref()).unwrap_or_default();
            if code == "FORBIDDEN" {
                return Err(Refusal::Forbidden(first.message.clone()));
            }
            let error = graphql_error(code, &first.message);
            // What failed inside may have failed after the change was made, in answering.
            let may_be_done = error.kind == ErrorKind::Transient;
            return failed(error, may_be_done);
        }
        let status = response.status;
        let detail = || body.as_ref().err().and_then(|e| e.detail.clone()).unwrap_or_default();
        match status {
            200..=299 => {}
            429 => {
                let seconds = response.headers.get("retry-after").and_then(|s| s.trim().parse::<u64>().ok());
                let error = Error::new(ErrorKind::RateLimited, "the shop's web server asks to go slower");
                return failed(error.after(seconds.unwrap_or(30).saturating_mul(1000)), false);
            }
            401 | 403 => {
                let error = Error::new(
                    ErrorKind::Auth,
                    format!(
                        "the shop's web server refuses the request (status {status}) before Vendure sees it"
                    ),
                );
                return failed(error.with_detail(detail()), false);
            }
            300..=399 | 404 | 405 | 410 => {
                let error = Error::config(
                    "url",
                    format!(
                        "no Admin API at this address (status {status}): check `url` and `admin_api_path`"
                    ),
                );
                return failed(error.with_detail(detail()), false);
            }
            500..=599 => {
                let error =
                    Error::new(ErrorKind::Transient, format!("the shop answers with status {status}"));
                return failed(error.with_detail(detail()), true);
            }
            _ => {
                let error = Error::new(
                    ErrorKind::Internal,
                    format!("the shop answers with unexpected status {status}"),
                );
                return failed(error.with_detail(detail()), false);
            }
        }
        let at = self.shop_time(response, before);
        match body {
            Ok(Body { data: Some(data), .. }) if data.is_object() => Ok(Reply { data, at }),
            Ok(_) => failed(unexpected("data"), true),
            Err(error) => failed(error, true),
        }
    }

    /// The shop's clock when it began to answer, at the latest: its Date header less the time the answer took.
    fn shop_time(&self, response: &HttpResponse, before: At) -> At {
        let took = self.ctx.now().micros_since(before).max(0);
        let date = response.headers.get("date").and_then(|d| http_date(d));
        date.map_or(before, |d| d.plus_micros(-took))
    }

    fn forbidden(&self, needs: &str, message: String) -> Error {
        let key = matches!(self.credentials, Credentials::ApiKey(_));
        let error = match (key, needs) {
            (true, "Authenticated") => Error::new(
                ErrorKind::Auth,
                "the shop does not accept `api_key`: it is wrong or has been rotated",
            ),
            (true, _) => Error::new(
                ErrorKind::Permission,
                format!("the API key may not do this: give its roles the permission {needs} in this channel"),
            ),
            (false, _) => Error::new(
                ErrorKind::Permission,
                format!(
                    "the administrator may not do this: give a role of theirs the permission {needs} in \
                     this channel"
                ),
            ),
        };
        error.with_detail(message).with_code("FORBIDDEN")
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    errors: Option<Vec<GraphqlError>>,
}

#[derive(Deserialize)]
struct GraphqlError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    extensions: Option<Extensions>,
}

#[derive(Deserialize)]
struct Extensions {
    #[serde(default)]
    code: Option<String>,
}

fn graphql_error(code: &str, message: &str) -> Error {
    let error = match code {
        "GRAPHQL_VALIDATION_FAILED" | "GRAPHQL_PARSE_FAILED" | "BAD_USER_INPUT" => Error::new(
            ErrorKind::Internal,
            format!("this Vendure's version does not know what was asked: {message}"),
        ),
        "USER_INPUT_ERROR" if message.contains("Cannot take more than") => Error::config(
            "page_size",
            "this Vendure allows fewer records a request: make `page_size` smaller",
        ),
        "CHANNEL_NOT_FOUND" => {
            Error::config("channel_token", "the shop has no channel with this `channel_token`")
        }
        "ENTITY_NOT_FOUND" => Error::new(ErrorKind::NotFound, "the shop does not have what was asked for"),
        "USER_INPUT_ERROR" | "ILLEGAL_OPERATION" => {
            Error::new(ErrorKind::Invalid, "the shop refuses the request")
        }
        _ => Error::new(ErrorKind::Transient, "the shop failed inside while answering"),
    };
    let error = if error.detail.is_none() { error.with_detail(message) } else { error };
    if code.is_empty() { error } else { error.with_code(code) }
}

fn not_done(error: Error) -> Failed {
    Failed { error: Box::new(error), may_be_done: false }
}

fn unanswered(error: HttpError) -> Failed {
    let may_be_done = matches!(error.kind, HttpErrorKind::NoAnswer | HttpErrorKind::TooLarge);
    Failed { error: Box::new(error.into()), may_be_done }
}

fn wrong_login() -> Error {
    Error::new(ErrorKind::Auth, "the shop does not accept `username` and `password`")
}

fn no_such_channel() -> Error {
    Error::config("channel_token", "the shop has no channel with this `channel_token`")
}

/// An answer that lacks something every Vendure gives.
pub(crate) fn unexpected(what: &str) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!(
            "the answer lacks `{}`: is this a Vendure Admin API?",
            what.trim_start_matches('/').replace('/', ".")
        ),
    )
}

/// A text in an answer.
pub(crate) fn text<'a>(data: &'a Value, pointer: &str) -> Result<&'a str> {
    data.pointer(pointer).and_then(Value::as_str).ok_or_else(|| unexpected(pointer))
}

/// Reads `Sun, 22 Nov 2026 00:12:12 GMT`.
fn http_date(text: &str) -> Option<At> {
    let mut parts = text.split_ascii_whitespace();
    let (_, day, month, year, time) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|m| *m == month)? + 1;
    format!("{year}-{month:02}-{day:0>2}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_header_is_read() {
        assert_eq!(http_date("Sun, 22 Nov 2026 00:12:12 GMT").unwrap().to_string(), "2026-11-22T00:12:12Z");
        assert_eq!(http_date("soon"), None);
        assert_eq!(http_date(""), None);
    }
}
