//! HTTP for connectors: only to the hosts they may talk to, at the pace they may ask, within time and size
//! limits, repeated only where repeating is harmless. Never keeps cookies, never logs a secret, and never drops
//! a request half-way that must not be sent twice.

mod client;
pub(crate) mod egress;
mod pace;
mod resolver;
mod retry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;
use zyklus_connect::context::ClockFn;
use zyklus_connect::{Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Manifest};

pub(crate) use client::Clients;
use egress::Egress;
use pace::Pace;
use resolver::AddressRefused;

use crate::config::ConnectorConfig;
use crate::error::HostError;
use crate::redact::{Redactor, is_secret_header};

/// An answer may be so large, in bytes, after decompression.
pub const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// A request may take so long if neither the connector nor the operator says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Redirects of one GET are followed so often.
pub const MOST_REDIRECTS: usize = 5;

/// The host's HTTP for one connector.
pub struct HostHttp {
    inner: Arc<Inner>,
}

struct Inner {
    id: Arc<str>,
    clients: Clients,
    egress: Egress,
    pace: Pace,
    timeout: Duration,
    largest: usize,
    clock: ClockFn,
    redactor: Redactor,
}

impl HostHttp {
    pub(crate) fn new(
        clients: Clients,
        manifest: &Manifest,
        config: &ConnectorConfig,
        clock: ClockFn,
    ) -> Result<Self, HostError> {
        let inner = Inner {
            id: config.id.as_str().into(),
            clients,
            egress: Egress::new(manifest, config)?,
            pace: Pace::new(config.settings.rate_limit.or(manifest.rate_limit)),
            timeout: config.settings.timeout.unwrap_or(DEFAULT_TIMEOUT),
            largest: LARGEST_ANSWER,
            clock,
            redactor: config.redactor.clone(),
        };
        Ok(HostHttp { inner: Arc::new(inner) })
    }
}

#[async_trait]
impl Http for HostHttp {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let inner = Arc::clone(&self.inner);
        let prepared = Prepared::new(&inner, request)?;
        if prepared.harmless_to_repeat {
            return retry::with_retries(|| (inner.clock)(), || inner.attempt(&prepared)).await;
        }
        // On a task of its own: when the connector stops waiting, what is half sent is still sent in full.
        match tokio::spawn(async move { inner.attempt(&prepared).await }).await {
            Ok(result) => result,
            Err(_) => Err(failed(HttpErrorKind::NoAnswer, "the host's HTTP client failed".into())),
        }
    }
}

fn failed(kind: HttpErrorKind, message: String) -> HttpError {
    HttpError { kind, message }
}

/// A request whose parts have been found to make sense.
struct Prepared {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    timeout: Duration,
    harmless_to_repeat: bool,
}

impl Prepared {
    fn new(inner: &Inner, request: HttpRequest) -> Result<Self, HttpError> {
        let refused = |what: String| failed(HttpErrorKind::Refused, inner.redactor.scrub(&what));
        let url = Url::parse(&request.url).map_err(|e| refused(format!("the address is malformed: {e}")))?;
        inner.egress.check(&url, false).map_err(refused)?;
        let method = Method::from_bytes(request.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| refused("the method is malformed".into()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let bad = || refused(format!("the header `{name}` is malformed"));
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
            value.set_sensitive(is_secret_header(name));
            headers.insert(header, value);
        }
        let harmless_to_repeat =
            request.idempotent || matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        Ok(Prepared {
            method,
            url,
            headers,
            body: request.body,
            timeout: request.timeout_ms.map_or(inner.timeout, Duration::from_millis),
            harmless_to_repeat,
        })
    }
}

impl Inner {
    /// One try, redirects included.
    async fn attempt(&self, request: &Prepared) -> Result<HttpResponse, HttpError> {
        let mut url = request.url.clone();
        let mut headers = request.headers.clone();
        for hop in 0..=MOST_REDIRECTS {
            let response = self.exchange(request, &url, &headers, hop > 0).await?;
            let redirected =
                request.method == Method::GET && matches!(response.status, 301 | 302 | 303 | 307 | 308);
            let Some(location) = response.headers.get("location").filter(|_| redirected) else {
                return Ok(response);
            };
            let next = url.join(location).map_err(|e| {
                failed(HttpErrorKind::Refused, format!("redirected to a malformed address: {e}"))
            })?;
            if next.origin() != url.origin() {
                headers = headers.into_iter().filter_map(|(n, v)| n.map(|n| (n, v))).collect();
                // By name, and whatever carries one of the connector's secrets under another name.
                let secret: Vec<HeaderName> = headers
                    .iter()
                    .filter(|(name, value)| {
                        let text = String::from_utf8_lossy(value.as_bytes());
                        is_secret_header(name.as_str()) || self.redactor.scrub(&text) != text
                    })
                    .map(|(name, _)| name.clone())
                    .collect();
                for name in secret {
                    headers.remove(name);
                }
            }
            url = next;
        }
        Err(failed(
            HttpErrorKind::Refused,
            format!("more than {MOST_REDIRECTS} redirects; is the address right?"),
        ))
    }

    /// One request, one answer.
    async fn exchange(
        &self,
        request: &Prepared,
        url: &Url,
        headers: &HeaderMap,
        from_redirect: bool,
    ) -> Result<HttpResponse, HttpError> {
        let reach = self.egress.check(url, from_redirect).map_err(|why| {
            let why = if from_redirect { format!("redirected, but {why}") } else { why };
            failed(HttpErrorKind::Refused, self.redactor.scrub(&why))
        })?;
        self.pace.wait().await;
        let begun = Instant::now();
        let mut builder = self
            .clients
            .reaching(reach)
            .request(request.method.clone(), url.clone())
            .headers(headers.clone())
            .timeout(request.timeout);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let result = match builder.send().await {
            Ok(response) => self.take(response, url).await,
            Err(error) => Err(self.lost(&error, url)),
        };
        if let Ok(response) = &result
            && response.status == 429
            && let Some(wait) = retry::retry_after(response, (self.clock)())
            && wait <= retry::LONGEST_WAIT
        {
            self.pace.pause(wait);
        }
        tracing::debug!(
            connector.id = %self.id,
            method = %request.method,
            host = url.host_str().unwrap_or_default(),
            path = %self.redactor.scrub(url.path()),
            status = result.as_ref().ok().map(|r| r.status),
            error = result.as_ref().err().map(|e| e.message.as_str()),
            ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "http exchange"
        );
        result
    }

    async fn take(&self, mut response: reqwest::Response, url: &Url) -> Result<HttpResponse, HttpError> {
        let too_large = || {
            let message = format!(
                "the answer of {} is larger than {} MiB; ask for smaller pages",
                url.host_str().unwrap_or_default(),
                self.largest / (1024 * 1024)
            );
            failed(HttpErrorKind::TooLarge, message)
        };
        if response.content_length().is_some_and(|length| length > self.largest as u64) {
            return Err(too_large());
        }
        let status = response.status().as_u16();
        let headers: BTreeMap<String, String> = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.lost(&e, url))? {
            if body.len() + chunk.len() > self.largest {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, headers, body })
    }

    /// What became of a request that got no answer. Names the host, never the whole address.
    fn lost(&self, error: &reqwest::Error, url: &Url) -> HttpError {
        let host = url.host_str().unwrap_or_default();
        let mut causes = Vec::new();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(refused) = cause.downcast_ref::<AddressRefused>() {
                return failed(HttpErrorKind::Refused, refused.to_string());
            }
            causes.push(cause.to_string());
            source = cause.source();
        }
        let cause = self.redactor.scrub(causes.last().map_or("no reason given", String::as_str));
        if error.is_builder() {
            failed(HttpErrorKind::Refused, format!("the request to {host} makes no sense: {cause}"))
        } else if error.is_connect() || error.is_dns() {
            failed(HttpErrorKind::Connect, format!("no connection to {host}: {cause}"))
        } else if error.is_timeout() {
            failed(HttpErrorKind::NoAnswer, format!("no answer from {host} in time"))
        } else {
            failed(HttpErrorKind::NoAnswer, format!("the connection to {host} broke: {cause}"))
        }
    }
}
