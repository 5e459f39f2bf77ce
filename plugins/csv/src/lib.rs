//! The csv connector: customers, orders, products, reviews, events, consents and carts from files or folders.
//!
//! Files are read as streams in constant memory; appended files go on where they ended, rewritten ones are
//! read again (records replace themselves in the store). A row that cannot be read is reported with its file
//! and line and copied into a rejects file, never dropped silently. Nothing here deletes or changes the
//! operator's files.

mod check;
mod config;
mod cursor;
mod fields;
mod files;
mod lines;
mod page;
mod records;
mod rejects;
mod rows;
mod view;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use zyklus_connect::{
    CONTRACT, Check, Connector, Ctx, Error, ErrorKind, Factory, Manifest, Page, ReadRequest, Result, Source,
    StreamSpec, schemars,
};

pub use config::{CsvConfig, TableConfig};

use config::Table;
use fields::Stream;
use rejects::Rejects;

/// The connector: tables of files, opened.
pub struct CsvConnector {
    manifest: Manifest,
    shared: Arc<Shared>,
}

struct Shared {
    tables: Vec<Table>,
    /// The file each stream's last page stopped in: saves decompressing from the start for every page.
    held: Mutex<HashMap<Stream, page::Open>>,
    rejects: Mutex<Rejects>,
}

impl Shared {
    fn read(&self, request: &ReadRequest) -> Result<Page> {
        let table = self.tables.iter().find(|t| t.stream.name() == request.stream).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("`{}` has no table in the configuration", request.stream),
            )
        })?;
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = held().remove(&table.stream);
        let (page, rejected) = page::read(table, request, &mut open)?;
        if let Some(open) = open {
            held().insert(table.stream, open);
        }
        let mut rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        rejects.append(table.stream, &rejected).map_err(|e| {
            let mut error = Error::new(ErrorKind::Transient, "rejected rows cannot be written to `rejects`")
                .with_detail(e.to_string());
            error.field = Some("rejects".into());
            error
        })?;
        Ok(page)
    }
}

/// Runs blocking file work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::new(ErrorKind::Internal, "reading files ended unexpectedly").with_detail(e.to_string())
    })
}

#[async_trait]
impl Connector for CsvConnector {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self) -> Vec<Check> {
        let shared = Arc::clone(&self.shared);
        let checks = blocking(move || shared.tables.iter().map(check::check).collect()).await;
        checks.unwrap_or_else(|problem| {
            vec![Check { name: "files can be read".into(), problem: Some(problem), found: String::new() }]
        })
    }

    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }
}

#[async_trait]
impl Factory for CsvConnector {
    type Config = CsvConfig;
    const KIND: &'static str = "csv";

    fn manifest() -> Manifest {
        let spec = |stream: &Stream| StreamSpec {
            name: stream.name().into(),
            backfill: true,
            incremental: true,
            deletes: false,
            scopes: Vec::new(),
        };
        Manifest {
            kind: Self::KIND.into(),
            name: "CSV files".into(),
            description:
                "Reads customers, orders and more from files or folders, and goes on when they grow.".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            contract: CONTRACT,
            streams: Stream::ALL.iter().map(spec).collect(),
            channel: None,
            actions: Vec::new(),
            hosts: Vec::new(),
            url_fields: Vec::new(),
            rate_limit: None,
            max_in_flight: 1,
            config_schema: schemars::schema_for!(CsvConfig).to_value(),
        }
    }

    fn validate(config: &CsvConfig, base_dir: &Path) -> Vec<Error> {
        config
            .checked(base_dir)
            .into_iter()
            .filter_map(|table| table.and_then(|t| files::list(&t)).err())
            .collect()
    }

    async fn open(config: CsvConfig, ctx: Ctx) -> Result<Self> {
        let tables = config.tables(ctx.base_dir())?;
        let mut manifest = <Self as Factory>::manifest();
        manifest.streams.retain(|s| tables.iter().any(|t| t.stream.name() == s.name));
        let rejects = match &config.rejects {
            Some(folder) => ctx.base_dir().join(folder),
            None => ctx.data_dir().join("rejects"),
        };
        let rejects = Mutex::new(Rejects::new(rejects));
        let shared = Arc::new(Shared { tables, held: Mutex::default(), rejects });
        Ok(CsvConnector { manifest, shared })
    }
}

#[async_trait]
impl Source for CsvConnector {
    async fn read(&self, request: ReadRequest) -> Result<Page> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.read(&request)).await?
    }
}

#[cfg(feature = "library")]
zyklus_connect::export_connector!(CsvConnector);
