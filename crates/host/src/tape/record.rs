//! Writes every exchange to a file of its own, without credentials. Never changes what the connector gets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use url::Url;
use zyklus_connect::{Http, HttpError, HttpRequest, HttpResponse};

use super::{Body, Exchange, RecordedRequest, RecordedResponse, TapeError};
use crate::redact::Redactor;

/// Hands requests on and records what comes of them, numbered in the order of the answers.
pub struct RecordingHttp {
    inner: Arc<dyn Http>,
    dir: Arc<Path>,
    redactor: Redactor,
    next: AtomicU32,
}

impl RecordingHttp {
    /// Records into a folder, after what is already there.
    pub fn new(inner: Arc<dyn Http>, dir: impl Into<PathBuf>, redactor: Redactor) -> Result<Self, TapeError> {
        let dir: PathBuf = dir.into();
        let failed = |source| TapeError::Io { path: dir.clone(), source };
        std::fs::create_dir_all(&dir).map_err(failed)?;
        let mut last = 0;
        for entry in std::fs::read_dir(&dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let number = name.to_string_lossy().split('-').next().and_then(|n| n.parse::<u32>().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(RecordingHttp { inner, dir: dir.into(), redactor, next: AtomicU32::new(last.saturating_add(1)) })
    }

    async fn write(&self, exchange: Exchange) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let place: String =
            exchange.request.path.split('?').next().unwrap_or_default().chars().take(60).collect();
        let name: String = format!("{number:04}-{}{place}", exchange.request.method.to_ascii_lowercase())
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let path = self.dir.join(format!("{}.json", name.trim_end_matches('-')));
        let text = serde_json::to_string_pretty(&exchange).expect("an exchange is plain data");
        if let Err(error) = tokio::fs::write(&path, text + "\n").await {
            tracing::warn!(path = %path.display(), %error, "an exchange could not be recorded");
        }
    }
}

/// A request as it is recorded and compared.
pub(super) fn recorded_request(request: &HttpRequest, redactor: &Redactor) -> RecordedRequest {
    let path = match Url::parse(&request.url) {
        Ok(url) => match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        },
        Err(_) => request.url.clone(),
    };
    let headers = &request.headers;
    RecordedRequest {
        method: request.method.to_ascii_uppercase(),
        path: redactor.path_and_query(&path),
        headers: headers.iter().map(|(n, v)| (n.clone(), redactor.header(n, v))).collect(),
        body: redacted(
            request.body.as_deref().unwrap_or_default(),
            headers.get("content-type").map(String::as_str),
            redactor,
        ),
    }
}

/// Bytes without their credentials, as far as those can be recognised in text.
fn redacted(bytes: &[u8], content_type: Option<&str>, redactor: &Redactor) -> Body {
    let mut body = Body::from_bytes(bytes);
    if let Some(value) = &mut body.body {
        redactor.json(value);
    }
    if let Some(text) = &mut body.body_text {
        let form = content_type.is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
        *text = if form { redactor.query(text) } else { redactor.scrub(text) };
    }
    body
}

#[async_trait]
impl Http for RecordingHttp {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let asked = recorded_request(&request, &self.redactor);
        let result = self.inner.send(request).await;
        let exchange = match &result {
            Ok(answer) => Exchange {
                request: asked,
                response: Some(RecordedResponse {
                    status: answer.status,
                    headers: answer
                        .headers
                        .iter()
                        .map(|(n, v)| (n.clone(), self.redactor.header(n, v)))
                        .collect(),
                    body: redacted(
                        &answer.body,
                        answer.headers.get("content-type").map(String::as_str),
                        &self.redactor,
                    ),
                }),
                error: None,
            },
            Err(error) => Exchange { request: asked, response: None, error: Some(error.clone()) },
        };
        self.write(exchange).await;
        result
    }
}
