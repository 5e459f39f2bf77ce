//! What a plugin asks the host for, wherever it runs: HTTP, tokens, the time, a line in the log. Limits how much of it a
//! plugin can have, and shows no secret.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use zyklus_connect::abi::Status;
use zyklus_connect::abi::wire::TokenRequest;
use zyklus_connect::{Ctx, Error, ErrorKind, HttpRequest};

use crate::redact::Redactor;

/// Requests of one plugin that may be under way at once.
const MOST_REQUESTS: usize = 256;
/// A request may be so large, in bytes.
pub(crate) const LARGEST_REQUEST: usize = 64 * 1024 * 1024;
/// A log line may be so long, in characters.
const LONGEST_LINE: usize = 4_000;
/// So many lines a second are logged of one plugin.
const MOST_LINES: u32 = 200;

/// Takes the answer to a request; called once.
pub(crate) type Reply = Box<dyn FnOnce(Status, &[u8]) + Send>;

/// What one instance can ask for.
pub(crate) struct Services {
    ctx: Ctx,
    redactor: Redactor,
    handle: Handle,
    free: Arc<Semaphore>,
    lines: Mutex<Lines>,
}

struct Lines {
    since: Instant,
    count: u32,
}

impl Services {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(ctx: Ctx, redactor: Redactor) -> Self {
        Services {
            ctx,
            redactor,
            handle: Handle::current(),
            free: Arc::new(Semaphore::new(MOST_REQUESTS)),
            lines: Mutex::new(Lines { since: Instant::now(), count: 0 }),
        }
    }

    /// The connector's name.
    pub(crate) fn id(&self) -> &str {
        self.ctx.id()
    }

    /// The runtime.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A text without secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.redactor.scrub(text)
    }

    /// Answers one request, at once or later.
    pub(crate) fn serve(&self, service: &str, body: Vec<u8>, reply: Reply) {
        if service == "now" {
            return answer(reply, Ok::<_, ()>(self.ctx.now()));
        }
        let Ok(free) = Arc::clone(&self.free).try_acquire_owned() else {
            let message = format!("more than {MOST_REQUESTS} requests at once");
            return refuse(reply, ErrorKind::RateLimited, message);
        };
        let ctx = self.ctx.clone();
        match service {
            "http" => match serde_json::from_slice::<HttpRequest>(&body) {
                Ok(request) => drop(self.handle.spawn(async move {
                    let _free = free;
                    answer(reply, ctx.http(request).await);
                })),
                Err(e) => refused_http(reply, format!("the request cannot be read: {e}")),
            },
            "token" => match serde_json::from_slice::<TokenRequest>(&body) {
                Ok(request) => drop(self.handle.spawn(async move {
                    let _free = free;
                    let tokens = ctx.tokens();
                    match request.store {
                        Some(token) => {
                            answer(reply, tokens.store(&request.name, &token).await.map(|()| Some(token)));
                        }
                        None => answer(reply, tokens.load(&request.name).await),
                    }
                })),
                Err(e) => refuse(reply, ErrorKind::Invalid, format!("the request cannot be read: {e}")),
            },
            other => refuse(reply, ErrorKind::Unsupported, format!("the host has no service `{other}`")),
        }
    }

    /// One line of a plugin's, at most so many a second.
    pub(crate) fn log(&self, call: u64, level: u32, target: &str, message: &str, fields: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.since.elapsed() > Duration::from_secs(1) {
            let left_out = lines.count.saturating_sub(MOST_LINES);
            *lines = Lines { since: Instant::now(), count: 0 };
            if left_out > 0 {
                tracing::warn!(connector.id = self.id(), left_out, "the plugin logs too much");
            }
        }
        lines.count = lines.count.saturating_add(1);
        if lines.count > MOST_LINES {
            return;
        }
        drop(lines);
        let message = self.shown(message);
        let mut fields = serde_json::from_str::<Value>(fields).unwrap_or(Value::Null);
        self.redactor.json(&mut fields);
        let fields = if fields.is_null() { String::new() } else { self.shown(&fields.to_string()) };
        let (id, target) = (self.id(), self.shown(target));
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(connector.id = id, plugin.target = target, call, fields, "{message}")
            };
        }
        match level {
            0 | 1 => line!(error),
            2 => line!(warn),
            3 => line!(info),
            4 => line!(debug),
            _ => line!(trace),
        }
    }

    fn shown(&self, text: &str) -> String {
        let text: String =
            text.chars().take(LONGEST_LINE).map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.redactor.scrub(&text)
    }
}

fn answer<T: Serialize, E: Serialize>(reply: Reply, result: Result<T, E>) {
    let (status, body) = match &result {
        Ok(value) => (Status::Ok, serde_json::to_vec(value)),
        Err(error) => (Status::Err, serde_json::to_vec(error)),
    };
    match body {
        Ok(body) => reply(status, &body),
        Err(error) => reply(Status::Panic, error.to_string().as_bytes()),
    }
}

fn refuse(reply: Reply, kind: ErrorKind, message: String) {
    answer(reply, Err::<(), _>(Error::new(kind, message)));
}

fn refused_http(reply: Reply, message: String) {
    let kind = zyklus_connect::HttpErrorKind::Refused;
    answer(reply, Err::<(), _>(zyklus_connect::HttpError { kind, message }));
}
