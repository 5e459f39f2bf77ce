//! HTTP exchanges as files: written while a connector works, played back in tests. Never holds a credential
//! that is known by its name or its value.
//!
//! A file holds `{"request": {"method", "path", "body"}, "response": {"status", "headers", "body"}}`. A `body`
//! is a JSON value; other text stands in `body_text`, bytes stand in `body_base64`. Instead of a `response`
//! there may be an `error`.

mod record;
mod replay;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zyklus_connect::HttpError;

pub use record::RecordingHttp;
pub use replay::ReplayHttp;

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The folder or a file in it cannot be read or written.
    #[error("`{path}` cannot be read or written")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not an exchange.
    #[error("`{path}` is not a recorded exchange")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// There is nothing to play back.
    #[error("`{path}` holds no recorded exchange")]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// A body in a form people can read, if it has one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// JSON.
    #[serde(default)]
    pub body: Option<Value>,
    /// Other text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_text: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

impl Body {
    /// The most readable form of some bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Body::default();
        }
        // A literal `null` stays text: as a JSON body it would read as "no body".
        match serde_json::from_slice::<Value>(bytes) {
            Ok(value) if !value.is_null() => return Body { body: Some(value), ..Body::default() },
            _ => {}
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Body { body_text: Some(text.to_owned()), ..Body::default() },
            Err(_) => Body { body_base64: Some(STANDARD.encode(bytes)), ..Body::default() },
        }
    }

    /// The bytes again. JSON comes back with the same meaning, not the same spaces. What a hand-made file
    /// holds as Base64 by mistake is handed on as it stands.
    pub fn to_bytes(&self) -> Vec<u8> {
        if let Some(value) = &self.body {
            return value.to_string().into_bytes();
        }
        if let Some(text) = &self.body_text {
            return text.clone().into_bytes();
        }
        self.body_base64
            .as_ref()
            .map(|text| STANDARD.decode(text).unwrap_or_else(|_| text.clone().into_bytes()))
            .unwrap_or_default()
    }
}

/// A recorded request. Which host it went to does not matter for playing back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedRequest {
    /// `GET` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(flatten)]
    pub body: Body,
}

/// A recorded answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedResponse {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(flatten)]
    pub body: Body,
}

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// What was asked.
    pub request: RecordedRequest,
    /// The answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<RecordedResponse>,
    /// Why there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<HttpError>,
}

impl Exchange {
    /// An exchange of JSON, for tests.
    pub fn json(method: &str, path: &str, asked: Option<Value>, status: u16, answered: Value) -> Self {
        let headers = [("content-type".to_owned(), "application/json".to_owned())].into_iter().collect();
        Exchange {
            request: RecordedRequest {
                method: method.to_owned(),
                path: path.to_owned(),
                headers: BTreeMap::new(),
                body: Body { body: asked, ..Body::default() },
            },
            response: Some(RecordedResponse {
                status,
                headers,
                body: Body { body: Some(answered), ..Body::default() },
            }),
            error: None,
        }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(response) = &mut self.response {
            response.headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        self
    }
}
