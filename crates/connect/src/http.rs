//! HTTP as the host offers it to connectors: with rate limits, time-outs, an allow-list of hosts, redaction in
//! logs, recording and replay. Never a client of its own.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// Absolute http or https address; its host must be one the connector's manifest or configuration names.
    pub url: String,
    /// Names in lower case. `authorization`, `cookie` and everything with `token`, `key` or `secret` in its
    /// name is redacted in logs and recordings.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, if any.
    #[serde(default, with = "crate::bytes::option")]
    pub body: Option<Vec<u8>>,
    /// Give up after so many milliseconds; `None` = 30,000.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Whether repeating it is harmless even though it is a POST (GraphQL queries): the host then retries it
    /// on network failures as it retries GET.
    #[serde(default)]
    pub idempotent: bool,
}

impl HttpRequest {
    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        HttpRequest {
            method: "GET".into(),
            url: url.into(),
            headers: BTreeMap::new(),
            body: None,
            timeout_ms: None,
            idempotent: true,
        }
    }

    /// A POST of JSON.
    pub fn post_json(url: impl Into<String>, body: &serde_json::Value) -> Self {
        let mut request = HttpRequest { method: "POST".into(), idempotent: false, ..Self::get(url) };
        request.headers.insert("content-type".into(), "application/json".into());
        request.body = Some(body.to_string().into_bytes());
        request
    }

    /// Adds a parameter to the address, its value encoded as HTML forms do: cursors and instants may hold anything.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        let start = self.url.len();
        self.url = form_urlencoded::Serializer::for_suffix(self.url, start)
            .append_pair(name, value.as_ref())
            .finish();
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), value.into());
        self
    }

    /// Marks it as harmless to repeat.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }
}

/// One response, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Names in lower case; the last of a repeated header.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body; longer ones than the host's limit are an error, never cut.
    #[serde(default, with = "crate::bytes")]
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// What an answer that is no success means, with the other system's words; `None` = 2xx. 401 is `auth`, 403
    /// `permission`, 404 and 410 `not_found`, 429 `rate_limited`, 408, 425 and 5xx `transient`, the rest `invalid`. A
    /// `Retry-After` in seconds is kept.
    pub fn refusal(&self) -> Option<Error> {
        let (kind, message) = match self.status {
            200..=299 => return None,
            401 => (
                ErrorKind::Auth,
                "the other system does not know these credentials; look at the configuration",
            ),
            403 => (ErrorKind::Permission, "these credentials may not do this; give them the right to"),
            404 | 410 => (ErrorKind::NotFound, "the other system has no such thing"),
            429 => (ErrorKind::RateLimited, "the other system wants to be asked more slowly"),
            408 | 425 | 500..=599 => (ErrorKind::Transient, "the other system is not well; it may be later"),
            _ => (ErrorKind::Invalid, "the other system refuses what it was asked"),
        };
        let words: String = String::from_utf8_lossy(&self.body).chars().take(200).collect();
        let mut error = Error::new(kind, message).with_code(self.status.to_string());
        if !words.trim().is_empty() {
            error = error.with_detail(words);
        }
        if let Some(seconds) =
            self.headers.get("retry-after").and_then(|text| text.trim().parse::<u64>().ok())
        {
            error = error.after(seconds.saturating_mul(1_000));
        }
        Some(error)
    }

    /// Itself where it is a success, else its [`HttpResponse::refusal`].
    ///
    /// # Errors
    /// What the status means.
    pub fn success(self) -> Result<Self, Error> {
        self.refusal().map_or(Ok(self), Err)
    }

    /// The body as JSON; what is not JSON is an [`ErrorKind::Transient`] failure quoting its beginning, for a
    /// shop behind a broken proxy answers HTML today and JSON tomorrow.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let start: String = String::from_utf8_lossy(&self.body).chars().take(120).collect();
            Error::new(
                ErrorKind::Transient,
                format!(
                    "the answer (status {}) is not the JSON that was expected; is the address right?",
                    self.status
                ),
            )
            .with_detail(format!("{e}; it begins: {start}"))
        })
    }
}

/// Why no response came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpErrorKind {
    /// Refused before anything left: host not allowed, address malformed.
    Refused,
    /// No connection: certainly not received.
    Connect,
    /// The connection broke or the time ran out after the request may have been received.
    NoAnswer,
    /// The answer was larger than the host takes.
    TooLarge,
    /// The host is stopping.
    Cancelled,
    /// Replaying a recording that has no such request.
    NotRecorded,
}

/// Why no response came, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    /// What kind.
    pub kind: HttpErrorKind,
    /// What happened and what to do.
    pub message: String,
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        let kind = match error.kind {
            HttpErrorKind::Refused => ErrorKind::Config,
            HttpErrorKind::Connect | HttpErrorKind::NoAnswer => ErrorKind::Transient,
            HttpErrorKind::TooLarge | HttpErrorKind::NotRecorded => ErrorKind::Internal,
            HttpErrorKind::Cancelled => ErrorKind::Cancelled,
        };
        Error::new(kind, error.message)
    }
}

/// What sends requests: the host's client, or a recording played back.
#[async_trait]
pub trait Http: Send + Sync + 'static {
    /// Sends one request. Waits for the connector's rate limit first; honours `Retry-After`.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> HttpResponse {
        let headers = [("retry-after".to_owned(), "7".to_owned())].into_iter().collect();
        HttpResponse { status, headers, body: b"no".to_vec() }
    }

    #[test]
    fn parameters_are_encoded() {
        let request = HttpRequest::get("https://a.example/m").query("after", "x+y/=&z ä").query("n", "2");
        assert_eq!(request.url, "https://a.example/m?after=x%2By%2F%3D%26z+%C3%A4&n=2");
    }

    #[test]
    fn a_status_says_whether_trying_again_helps() {
        assert_eq!(answered(204).refusal(), None);
        for (status, kind) in [
            (401, ErrorKind::Auth),
            (403, ErrorKind::Permission),
            (404, ErrorKind::NotFound),
            (422, ErrorKind::Invalid),
            (302, ErrorKind::Invalid),
            (429, ErrorKind::RateLimited),
            (503, ErrorKind::Transient),
        ] {
            let error = answered(status).success().unwrap_err();
            assert_eq!(
                (error.kind, error.retry_after_ms, error.detail.as_deref()),
                (kind, Some(7_000), Some("no"))
            );
        }
    }
}
