//! Reads connectors page by page into the store. A page and its cursor are one transaction, so that a crash
//! resumes at the last committed page. Never judges what a record means.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use zyklus_connect::{Cursor, ErrorKind, Mode, Next, ReadRequest, StreamSpec};
use zyklus_host::Opened;
use zyklus_model::Origin;
use zyklus_store::{CursorUpdate, Ingest, NewReject, Store};

use crate::clock::Clock;
use crate::connectors::describe_connector;
use crate::project::Project;

/// How many records a page is asked for.
const PAGE: u32 = 1_000;
/// More pages than this in one sync are left for the next one.
const MAX_PAGES: u32 = 1_000_000;

/// Where a sync stands.
#[derive(Debug, Clone)]
pub struct SyncProgress {
    /// The connector.
    pub connector: String,
    /// The stream.
    pub stream: String,
    /// Records read so far in this sync.
    pub records: u64,
    /// How many there are, as far as the source knows.
    pub total: Option<u64>,
}

/// What a sync of one connector came to.
#[derive(Debug, Clone, Serialize)]
pub struct SyncReport {
    /// The connector.
    pub connector: String,
    /// Its streams, in the order they were read.
    pub streams: Vec<StreamReport>,
}

impl SyncReport {
    /// Whether every stream was read to its end.
    pub fn is_complete(&self) -> bool {
        self.streams.iter().all(|s| s.error.is_none())
    }

    /// Records that changed something.
    pub fn changed(&self) -> u64 {
        self.streams.iter().map(|s| s.changed).sum()
    }

    /// Whether there is anything to decide on: a customer nobody knew has changed no record.
    pub fn has_news(&self) -> bool {
        self.streams.iter().any(|s| s.changed > 0 || s.new_customers > 0)
    }
}

/// What a sync of one stream came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StreamReport {
    /// The stream.
    pub stream: String,
    /// Records read.
    pub records: u64,
    /// Records that changed something.
    pub changed: u64,
    /// Customers seen for the first time.
    pub new_customers: u64,
    /// Records that could not be used.
    pub rejected: u64,
    /// The first of them, with place and reason.
    pub rejects: Vec<String>,
    /// Amounts in a currency without a rate.
    pub unrated: BTreeMap<String, u64>,
    /// Why it stopped before its end.
    pub error: Option<String>,
    /// Whether the error is one that waiting may heal.
    #[serde(skip)]
    pub is_transient: bool,
}

/// Reads all streams of a connector until each has caught up. A stream that fails does not keep the others.
pub async fn sync(
    store: &Store,
    connector: &Opened,
    project: &Project,
    clock: &Clock,
    progress: &(dyn Fn(SyncProgress) + Send + Sync),
) -> SyncReport {
    read_streams(store, connector, project, clock, progress, &|_| true, &CancellationToken::new()).await
}

/// The same until it is asked to stop: then a page that is being read is given up, one that has come is taken to its
/// end, and what was left is for the next sync.
pub(crate) async fn sync_until(
    store: &Store,
    connector: &Opened,
    project: &Project,
    clock: &Clock,
    stop: &CancellationToken,
) -> SyncReport {
    read_streams(store, connector, project, clock, &|_| {}, &|_| true, stop).await
}

/// Reads the streams a notification said there is news in. Those that the connector does not have, or the configuration
/// leaves out, are not read.
pub async fn follow_up(
    store: &Store,
    connector: &Opened,
    project: &Project,
    clock: &Clock,
    streams: &[String],
) -> SyncReport {
    let is_asked = |spec: &StreamSpec| streams.contains(&spec.name);
    let stop = CancellationToken::new();
    read_streams(store, connector, project, clock, &|_| {}, &is_asked, &stop).await
}

/// Whether the configuration wants a stream read.
pub(crate) fn is_wanted(connector: &Opened, spec: &StreamSpec) -> bool {
    connector.settings().streams.as_ref().is_none_or(|names| names.contains(&spec.name))
}

async fn read_streams(
    store: &Store,
    connector: &Opened,
    project: &Project,
    clock: &Clock,
    progress: &(dyn Fn(SyncProgress) + Send + Sync),
    is_asked: &(dyn Fn(&StreamSpec) -> bool + Send + Sync),
    stop: &CancellationToken,
) -> SyncReport {
    let mut report = SyncReport { connector: connector.id().to_owned(), streams: Vec::new() };
    let specs = connector.manifest().streams.iter();
    for spec in specs.filter(|spec| is_wanted(connector, spec) && is_asked(spec)) {
        let mut stream = StreamReport { stream: spec.name.clone(), ..StreamReport::default() };
        if let Err((error, is_transient)) =
            read_stream(store, connector, project, clock, progress, stop, &mut stream).await
        {
            tracing::warn!(connector.id = connector.id(), stream = %spec.name, error, "the stream stopped");
            (stream.error, stream.is_transient) = (Some(error), is_transient);
        }
        report.streams.push(stream);
    }
    report
}

async fn read_stream(
    store: &Store,
    connector: &Opened,
    project: &Project,
    clock: &Clock,
    progress: &(dyn Fn(SyncProgress) + Send + Sync),
    stop: &CancellationToken,
    report: &mut StreamReport,
) -> Result<(), (String, bool)> {
    let lost = |error: zyklus_store::StoreError| (format!("the store: {error}"), true);
    let name = report.stream.clone();
    let known = store.cursor(connector.id(), &name).await.map_err(lost)?;
    // Everything before the stream has caught up once is history, and history starts nothing. So is what it brings
    // until it has caught up after a restored backup: the store that is gone has answered it.
    let caught_up_at = known.as_ref().and_then(|c| c.caught_up_at);
    let is_backfill = caught_up_at.is_none();
    let restored_at = store.restored_at().await.map_err(lost)?;
    let mode = if is_backfill { Mode::Backfill { from: None } } else { Mode::Incremental };
    let origin = if caught_up_at > restored_at { Origin::Live } else { Origin::History };
    let mut cursor = known.map(|c| Cursor(c.cursor));
    for _ in 0..MAX_PAGES {
        let request =
            ReadRequest { stream: name.clone(), cursor: cursor.clone(), mode: mode.clone(), limit: PAGE };
        let page = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            page = connector.read(request) => page,
        };
        let page = page.map_err(|error| {
            let waits = matches!(error.kind, ErrorKind::Transient | ErrorKind::RateLimited);
            (describe_connector(&error), waits)
        })?;
        let caught_up = matches!(page.next, Next::CaughtUp { .. });
        let next = page.next.cursor().clone();
        for reject in &page.rejects {
            if report.rejects.len() < 20 {
                report.rejects.push(format!("{}: {}", reject.place, reject.message));
            }
        }
        report.records += page.records.len() as u64;
        let update = CursorUpdate {
            cursor: next.0.clone(),
            mode: if is_backfill && !caught_up { "backfill" } else { "incremental" }.to_owned(),
            caught_up,
        };
        let rejects =
            page.rejects.into_iter().map(|r| NewReject { problem: r.message, record: r.place }).collect();
        let ingested = store
            .ingest(Ingest {
                connector: connector.id().to_owned(),
                stream: name.clone(),
                records: page.records,
                rejects,
                origin,
                received_at: clock.now(),
                next: Some(update),
                rates: project.rates.clone(),
            })
            .await
            .map_err(lost)?;
        report.changed += ingested.changed;
        report.new_customers += ingested.new_customers;
        report.rejected += ingested.rejected;
        for (currency, count) in ingested.unrated {
            *report.unrated.entry(currency.code().to_owned()).or_default() += count;
        }
        progress(SyncProgress {
            connector: connector.id().to_owned(),
            stream: name.clone(),
            records: report.records,
            total: page.total,
        });
        if caught_up {
            return Ok(());
        }
        if cursor.as_ref() == Some(&next) {
            return Err((
                "the connector says there is more, and its cursor does not move; this is a defect in it"
                    .into(),
                false,
            ));
        }
        cursor = Some(next);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Customers who only signed up waited up to half a minute to be looked at.
    #[test]
    fn a_new_customer_is_news_though_no_record_changed() {
        let report = |changed, new_customers| SyncReport {
            connector: "shop".to_owned(),
            streams: vec![
                StreamReport::default(),
                StreamReport { changed, new_customers, ..StreamReport::default() },
            ],
        };
        assert!(report(0, 1).has_news() && report(1, 0).has_news());
        assert!(!report(0, 0).has_news());
    }
}
