//! A folder with files, and the connector opened on it. Never looks inside the connector.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;
use zyklus_connect::model::{At, Record};
use zyklus_connect::{
    Connector, Ctx, Cursor, Error, Factory, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Mode,
    Next, Page, ReadRequest,
};
use zyklus_csv::CsvConnector;

struct NoHttp;

#[async_trait]
impl Http for NoHttp {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError { kind: HttpErrorKind::Refused, message: "the csv connector needs no network".into() })
    }
}

/// A folder and the connector's configuration for it.
pub(crate) struct Shop {
    pub(crate) dir: TempDir,
    config: String,
    runtime: tokio::runtime::Runtime,
}

/// Everything one sync reads.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Read {
    pub(crate) records: Vec<Record>,
    pub(crate) rejects: Vec<(String, String)>,
    pub(crate) pages: usize,
    pub(crate) cursor: Option<Cursor>,
}

impl Shop {
    pub(crate) fn new(config: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Shop { dir: TempDir::new().unwrap(), config: config.to_owned(), runtime }
    }

    pub(crate) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(name, content);
        self
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn append(&self, name: &str, content: &str) {
        let path = self.dir.path().join(name);
        let before = fs::read(&path).unwrap();
        fs::write(path, [before.as_slice(), content.as_bytes()].concat()).unwrap();
    }

    pub(crate) fn rejects_file(&self, stream: &str) -> String {
        fs::read_to_string(self.dir.path().join(format!("data/rejects/{stream}.csv"))).unwrap_or_default()
    }

    pub(crate) fn try_open(&self) -> Result<CsvConnector, Error> {
        self.open_in(self.dir.path())
    }

    fn open_in(&self, base: &Path) -> Result<CsvConnector, Error> {
        let config = toml::from_str(&self.config).unwrap();
        let clock = Arc::new(|| At::from_seconds(1_700_000_000));
        let ctx = Ctx::new("files", Arc::new(NoHttp), clock, base.to_owned(), base.join("data"));
        self.runtime.block_on(CsvConnector::open(config, ctx))
    }

    pub(crate) fn open(&self) -> CsvConnector {
        self.try_open().unwrap()
    }

    /// One page.
    pub(crate) fn page(
        &self,
        connector: &CsvConnector,
        stream: &str,
        cursor: Option<Cursor>,
        mode: Mode,
        limit: u32,
    ) -> Result<Page, Error> {
        let request = ReadRequest { stream: stream.into(), cursor, mode, limit };
        self.runtime.block_on(connector.source().unwrap().read(request))
    }

    /// All pages until the stream has caught up.
    pub(crate) fn read(
        &self,
        connector: &CsvConnector,
        stream: &str,
        cursor: Option<Cursor>,
        mode: Mode,
        limit: u32,
    ) -> Read {
        let mut read = Read { cursor, ..Read::default() };
        loop {
            let page = self.page(connector, stream, read.cursor.take(), mode.clone(), limit).unwrap();
            read.records.extend(page.records);
            read.rejects.extend(page.rejects.into_iter().map(|r| (r.place, r.message)));
            read.pages += 1;
            read.cursor = Some(page.next.cursor().clone());
            if let Next::CaughtUp { .. } = page.next {
                return read;
            }
        }
    }

    /// The first sync, with a connector of its own.
    pub(crate) fn backfill(&self, stream: &str) -> Read {
        self.read(&self.open(), stream, None, Mode::Backfill { from: None }, 100)
    }

    /// A later sync, with a connector of its own.
    pub(crate) fn incremental(&self, stream: &str, cursor: Option<Cursor>) -> Read {
        self.read(&self.open(), stream, cursor, Mode::Incremental, 100)
    }

    pub(crate) fn check(&self) -> Vec<zyklus_connect::Check> {
        let connector = self.open();
        self.runtime.block_on(connector.check())
    }
}

/// The orders among records, as `id customer total pieces`.
pub(crate) fn orders(records: &[Record]) -> Vec<String> {
    let mut found = Vec::new();
    for record in records {
        let Record::Order(o) = record else { panic!("not an order: {record:?}") };
        let customer = o.customer.external_id.as_deref().unwrap_or("-");
        found.push(format!("{} {customer} {} {}", o.external_id, o.total, o.lines.len()));
    }
    found
}
