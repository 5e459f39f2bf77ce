//! Long files need no more memory than short ones. A test binary of its own, because it measures the process.
#![expect(clippy::unwrap_used, reason = "a test may fail here")]
#![cfg(target_os = "linux")]

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use zyklus_connect::model::At;
use zyklus_connect::{
    Ctx, Factory, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Mode, Next, ReadRequest, Source,
};
use zyklus_csv::CsvConnector;

struct NoHttp;

#[async_trait]
impl Http for NoHttp {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError { kind: HttpErrorKind::Refused, message: "the csv connector needs no network".into() })
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_long_file_is_read_in_constant_memory() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut file = std::io::BufWriter::new(std::fs::File::create(dir.path().join("e.csv")).unwrap());
    writeln!(file, "customer_id,name,at,note").unwrap();
    let note = "n".repeat(200);
    for i in 0..300_000 {
        // Every hundredth row opens a quotation mark that nobody closes.
        let quote = if i % 100 == 7 { "\"" } else { "" };
        writeln!(file, "c{i},page.viewed,2026-01-01T10:00:00Z,{quote}{note}").unwrap();
    }
    file.into_inner().unwrap();

    let config = toml::from_str("[events]\npath = \"e.csv\"").unwrap();
    let base = dir.path().to_owned();
    let ctx = Ctx::new("f", Arc::new(NoHttp), Arc::new(|| At::from_seconds(0)), base.clone(), base);
    let connector = CsvConnector::open(config, ctx).await.unwrap();
    let (mut cursor, mut pages, mut records, mut rejects, mut before) = (None, 0, 0, 0, 0);
    loop {
        let mode = Mode::Backfill { from: None };
        let request = ReadRequest { stream: "events".into(), cursor, mode, limit: 1000 };
        let page = connector.read(request).await.unwrap();
        (pages, records, rejects) = (pages + 1, records + page.records.len(), rejects + page.rejects.len());
        if pages == 10 {
            before = resident_kib();
        }
        if let Next::CaughtUp { .. } = page.next {
            break;
        }
        cursor = Some(page.next.cursor().clone());
    }
    assert_eq!((records, rejects), (297_000, 3000));
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} KiB over a 70 MB file");
}
