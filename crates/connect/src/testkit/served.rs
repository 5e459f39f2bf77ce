//! The other system: HTTP answered from the kit file, and a memory of what was asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use crate::http::{Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse};

/// What the other system answers to one kind of request. The first that fits counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// `GET`, `POST` …
    #[serde(default = "get")]
    pub method: String,
    /// The whole address, with its query.
    pub url: String,
    /// Headers that have to be there.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Texts that have to be in the body.
    #[serde(default)]
    pub contains: Vec<String>,
    /// The answer's status.
    #[serde(default = "ok")]
    pub status: u16,
    /// The answer's headers.
    #[serde(default)]
    pub answer_headers: BTreeMap<String, String>,
    /// The answer's body.
    #[serde(default)]
    pub json: Option<Value>,
    /// The answer's body, where it is no JSON.
    #[serde(default)]
    pub text: Option<String>,
    /// Why there is no answer.
    #[serde(default)]
    pub fails: Option<HttpErrorKind>,
}

fn get() -> String {
    "GET".to_owned()
}

fn ok() -> u16 {
    200
}

impl Exchange {
    fn fits(&self, request: &HttpRequest) -> bool {
        let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default());
        self.method == request.method
            && self.url == request.url
            && self.headers.iter().all(|(name, value)| request.headers.get(name) == Some(value))
            && self.contains.iter().all(|text| body.contains(text))
    }
}

/// The other system.
pub struct Served {
    exchanges: Vec<Exchange>,
    asked: Mutex<Vec<HttpRequest>>,
}

impl Served {
    /// One that answers so.
    pub fn new(exchanges: Vec<Exchange>) -> Self {
        Served { exchanges, asked: Mutex::default() }
    }

    /// What was asked since the last time somebody wanted to know.
    pub fn asked(&self) -> Vec<HttpRequest> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Http for Served {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let found = self.exchanges.iter().find(|exchange| exchange.fits(&request));
        let (method, url) = (request.method.clone(), request.url.clone());
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let Some(exchange) = found else {
            let near =
                self.exchanges.iter().find(|exchange| exchange.method == method && exchange.url == url);
            let message = match near {
                Some(near) => format!(
                    "an [[http]] of the kit file has {method} {url}, but not with these headers and this body; it asks for \
                     the headers {:?} and for {:?} in the body",
                    near.headers, near.contains
                ),
                None => format!("the kit file has no [[http]] that answers {method} {url}"),
            };
            return Err(HttpError { kind: HttpErrorKind::NotRecorded, message });
        };
        if let Some(kind) = exchange.fails {
            return Err(HttpError { kind, message: format!("{method} {url} fails in the kit file") });
        }
        let body = match (&exchange.json, &exchange.text) {
            (Some(value), _) => value.to_string(),
            (None, Some(text)) => text.clone(),
            (None, None) => String::new(),
        };
        let headers = exchange.answer_headers.clone();
        Ok(HttpResponse { status: exchange.status, headers, body: body.into_bytes() })
    }
}
