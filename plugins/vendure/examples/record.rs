//! Reads every stream of a running Vendure through the connector, prints the records, and writes each exchange
//! into a folder, secrets left out: how the recordings of the tests were made. Plain http only, never TLS.
//!
//! `cargo run -p zyklus-vendure --example record -- http://127.0.0.1:3000 USER PASSWORD FOLDER`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zyklus_connect::model::At;
use zyklus_connect::{
    Connector, Ctx, Factory, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Mode, Next, ReadRequest,
};
use zyklus_vendure::VendureConnector;

struct Recorder {
    folder: PathBuf,
    count: AtomicUsize,
}

fn broken(message: impl ToString) -> HttpError {
    HttpError { kind: HttpErrorKind::NoAnswer, message: message.to_string() }
}

impl Recorder {
    async fn exchange(&self, request: &HttpRequest) -> std::io::Result<HttpResponse> {
        let rest = request.url.strip_prefix("http://").unwrap_or(&request.url);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let body = request.body.clone().unwrap_or_default();
        let mut head = format!("{} /{path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n", request.method, body.len());
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        stream.write_all(&body).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |p| p + 4);
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
        let headers = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
        Ok(HttpResponse { status, headers, body: answer[end..].to_vec() })
    }
}

#[async_trait]
impl Http for Recorder {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.exchange(&request).await.map_err(broken)?;
        let mut asked: Value = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).map_err(broken)?;
        if asked.pointer("/variables/password").is_some() {
            asked["variables"] = json!({ "username": "…", "password": "…" });
        }
        let mut headers = serde_json::Map::new();
        for name in ["content-type", "date"] {
            headers.extend(response.headers.get(name).map(|v| (name.to_owned(), v.as_str().into())));
        }
        if response.headers.contains_key("vendure-auth-token") {
            headers.insert("vendure-auth-token".into(), "recorded".into());
        }
        let answer: Value = serde_json::from_slice(&response.body).map_err(broken)?;
        let exchange = json!({ "request": { "method": request.method, "path": "/admin-api", "body": asked },
            "response": { "status": response.status, "headers": headers, "body": answer } });
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let file = self.folder.join(format!("{number:02}.json"));
        std::fs::write(file, format!("{exchange:#}\n")).map_err(broken)?;
        Ok(response)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, username, password, folder] = arguments.as_slice() else {
        return Err("wanted: URL USER PASSWORD FOLDER".into());
    };
    std::fs::create_dir_all(folder)?;
    let http = Recorder { folder: folder.into(), count: AtomicUsize::new(0) };
    let clock = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        At::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    };
    let ctx = Ctx::new("shop", Arc::new(http), Arc::new(clock), ".".into(), folder.into());
    let config = serde_json::from_value(json!({ "url": url, "username": username, "password": password,
        "refund_sweep_every": 0, "storefront_url": "https://shop.example" }))?;
    let shop = VendureConnector::open(config, ctx).await?;
    for check in shop.check().await {
        println!("{}: {}", check.name, check.problem.map_or(check.found, |p| format!("{p} {:?}", p.detail)));
    }
    let source = shop.source().ok_or("no source")?;
    for stream in shop.manifest().streams.clone() {
        let (mut cursor, mut rounds) = (None, 0);
        // The second round finds what changes without changing a date.
        while rounds < 2 {
            let request = ReadRequest {
                stream: stream.name.clone(),
                cursor: cursor.take(),
                mode: Mode::Backfill { from: None },
                limit: 250,
            };
            let page = source.read(request).await.map_err(|e| format!("{}: {e} {:?}", stream.name, e.detail))?;
            for record in &page.records {
                println!("{}", serde_json::to_string(record)?);
            }
            for reject in &page.rejects {
                println!("REJECT {}: {}", reject.place, reject.message);
            }
            rounds += usize::from(matches!(page.next, Next::CaughtUp { .. }));
            cursor = Some(page.next.cursor().clone());
        }
        println!("{}: {}", stream.name, cursor.map(|c| c.0.to_string()).unwrap_or_default());
    }
    shop.close().await;
    Ok(())
}
