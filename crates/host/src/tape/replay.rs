//! Answers requests from a recording. Never touches the network.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;
use zyklus_connect::{Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse};
use zyklus_model::nearest;

use super::record::recorded_request;
use super::{Exchange, RecordedRequest, TapeError};
use crate::redact::{REDACTED, Redactor, is_secret_field};

/// Plays exchanges back: the first unused one that was asked the same (method, path, query, JSON body), and the
/// last of them again when all are used. What was redacted fits anything.
pub struct ReplayHttp {
    exchanges: Vec<(String, Exchange)>,
    used: Mutex<Vec<bool>>,
    redactor: Redactor,
}

impl ReplayHttp {
    /// Plays back these exchanges, in their order.
    pub fn new(exchanges: impl IntoIterator<Item = Exchange>) -> Self {
        let named = exchanges.into_iter().enumerate().map(|(i, e)| (format!("exchange {}", i + 1), e));
        Self::named(named.collect(), Redactor::default())
    }

    /// Plays back every `.json` file of a folder, in the order of their names.
    pub fn from_dir(dir: impl AsRef<Path>, redactor: Redactor) -> Result<Self, TapeError> {
        let dir = dir.as_ref();
        let failed = |source| TapeError::Io { path: dir.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut exchanges = Vec::new();
        for path in paths {
            let bytes =
                std::fs::read(&path).map_err(|source| TapeError::Io { path: path.clone(), source })?;
            let exchange = serde_json::from_slice(&bytes)
                .map_err(|source| TapeError::Malformed { path: path.clone(), source })?;
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            exchanges.push((name, exchange));
        }
        if exchanges.is_empty() {
            return Err(TapeError::Empty { path: dir.to_owned() });
        }
        Ok(Self::named(exchanges, redactor))
    }

    fn named(exchanges: Vec<(String, Exchange)>, redactor: Redactor) -> Self {
        let used = Mutex::new(vec![false; exchanges.len()]);
        ReplayHttp { exchanges, used, redactor }
    }

    /// The names of exchanges nobody has asked for, for tests that want to see all of them used.
    pub fn unused(&self) -> Vec<&str> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.exchanges
            .iter()
            .zip(used.iter())
            .filter(|(_, used)| !**used)
            .map(|((name, _), _)| name.as_str())
            .collect()
    }

    fn missing(&self, asked: &RecordedRequest) -> HttpError {
        let asked_for = format!("{} {}", asked.method, asked.path);
        let closest = self
            .exchanges
            .iter()
            .map(|(name, e)| (likeness(&e.request, asked), name, e))
            .max_by_key(|(likeness, _, _)| *likeness);
        let nearest = match closest {
            Some((_, name, e)) => {
                let place = format!("{} {}", e.request.method, e.request.path);
                if place == asked_for {
                    let (pointer, recorded, given) = difference(&e.request, asked);
                    format!(
                        "the nearest is {name}, whose body differs at `{pointer}`: {recorded} recorded, {given} asked"
                    )
                } else {
                    format!("the nearest is {name}: {place}")
                }
            }
            None => "the recording is empty".to_owned(),
        };
        HttpError {
            kind: HttpErrorKind::NotRecorded,
            message: format!("no recorded answer for {asked_for}; {nearest}"),
        }
    }
}

#[async_trait]
impl Http for ReplayHttp {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let asked = recorded_request(&request, &self.redactor);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting: Vec<usize> =
            (0..self.exchanges.len()).filter(|i| same(&self.exchanges[*i].1.request, &asked)).collect();
        let Some(index) = fitting.iter().copied().find(|i| !used[*i]).or(fitting.last().copied()) else {
            return Err(self.missing(&asked));
        };
        used[index] = true;
        let (name, exchange) = &self.exchanges[index];
        match (&exchange.response, &exchange.error) {
            (Some(response), _) => Ok(HttpResponse {
                status: response.status,
                headers: response.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).collect(),
                body: response.body.to_bytes(),
            }),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(HttpError {
                kind: HttpErrorKind::NotRecorded,
                message: format!("{name} has neither a response nor an error"),
            }),
        }
    }
}

fn same(recorded: &RecordedRequest, asked: &RecordedRequest) -> bool {
    recorded.method.eq_ignore_ascii_case(&asked.method)
        && same_path(&recorded.path, &asked.path)
        && match (&recorded.body.body, &asked.body.body) {
            (Some(recorded), Some(asked)) => differ(recorded, asked, "").is_none(),
            _ => recorded.body == asked.body,
        }
}

fn same_path(recorded: &str, asked: &str) -> bool {
    let (path, query) = recorded.split_once('?').unwrap_or((recorded, ""));
    let (asked_path, asked_query) = asked.split_once('?').unwrap_or((asked, ""));
    path == asked_path && pairs(query) == pairs(asked_query)
}

/// A query's parameters in a fixed order, decoded, without what is secret.
fn pairs(query: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| {
            let value = if is_secret_field(&name) { REDACTED.to_owned() } else { value.into_owned() };
            (name.into_owned(), value)
        })
        .collect();
    pairs.sort();
    pairs
}

/// The pointer of the first difference, and both sides there. Spaces in a GraphQL query do not count.
fn differ(recorded: &Value, asked: &Value, pointer: &str) -> Option<(String, String, String)> {
    let different = || Some((pointer.to_owned(), cut(recorded), cut(asked)));
    match (recorded, asked) {
        (Value::String(text), _) | (_, Value::String(text)) if text == REDACTED => None,
        (Value::String(a), Value::String(b)) if pointer == "/query" => {
            if a.split_whitespace().eq(b.split_whitespace()) { None } else { different() }
        }
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                let child = format!("{pointer}/{name}");
                match (a.get(name), b.get(name)) {
                    (Some(x), Some(y)) => {
                        if let Some(found) = differ(x, y, &child) {
                            return Some(found);
                        }
                    }
                    (x, y) => {
                        let side = |v: Option<&Value>| v.map_or_else(|| "nothing".to_owned(), cut);
                        return Some((child, side(x), side(y)));
                    }
                }
            }
            None
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (x, y))| differ(x, y, &format!("{pointer}/{i}")))
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64()) => {
            None
        }
        _ if recorded == asked => None,
        _ => different(),
    }
}

fn difference(recorded: &RecordedRequest, asked: &RecordedRequest) -> (String, String, String) {
    match (&recorded.body.body, &asked.body.body) {
        (Some(a), Some(b)) => differ(a, b, "").unwrap_or_default(),
        _ => {
            let side = |r: &RecordedRequest| {
                let bytes = r.body.to_bytes();
                if bytes.is_empty() {
                    "nothing".to_owned()
                } else {
                    cut(&String::from_utf8_lossy(&bytes).into())
                }
            };
            ("/".to_owned(), side(recorded), side(asked))
        }
    }
}

fn cut(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 80 { format!("{}…", text.chars().take(80).collect::<String>()) } else { text }
}

/// How much two requests have in common, for naming the nearest.
fn likeness(recorded: &RecordedRequest, asked: &RecordedRequest) -> u32 {
    let path = |r: &RecordedRequest| r.path.split('?').next().unwrap_or_default().to_owned();
    let (a, b) = (path(recorded), path(asked));
    let method = recorded.method.eq_ignore_ascii_case(&asked.method);
    let similar = a == b || nearest(&b, [a.as_str()]).is_some();
    let query = |r: &RecordedRequest| match &r.body.body {
        Some(Value::Object(fields)) => fields.get("query").cloned(),
        _ => None,
    };
    u32::from(method) * 2
        + u32::from(a == b) * 4
        + u32::from(similar) * 2
        + u32::from(recorded.path == asked.path)
        + u32::from(query(recorded) == query(asked)) * 2
}
