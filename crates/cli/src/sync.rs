//! `zyklus sync`: reads all connectors side by side, decides, and says what came of it. Sends nothing.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use zyklus_host::Opened;
use zyklus_runtime::{StreamReport, SyncProgress, SyncReport, evaluate, open_all, prepare, sync};
use zyklus_store::OpenOptions;

use crate::args::Now;
use crate::commands::{Done, clock, load, open, print, print_json};
use crate::{Failure, registry};

/// One bar a connector, on a terminal only.
struct Bars(MultiProgress);

impl Bars {
    fn new() -> Self {
        let bars = MultiProgress::new();
        if !std::io::stderr().is_terminal() {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Bars(bars)
    }

    fn add(&self, name: &str) -> ProgressBar {
        let bar = self.0.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{prefix}  {spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar
    }
}

/// What a stream has come to, on its connector's bar.
fn show(bar: &ProgressBar, progress: &SyncProgress) {
    let total = progress.total.map_or(String::new(), |total| format!(" of {total}"));
    bar.set_message(format!("{}: {}{total}", progress.stream, progress.records));
    bar.tick();
}

pub(crate) async fn run(config: &Path, now: Option<Now>, json: bool) -> Done {
    let project = load(config, true)?;
    let store = open(&project, OpenOptions::default()).await?;
    let clock = clock(now, &project);
    let connectors = open_all(&project, registry(), &clock).await?;
    let bars = Bars::new();
    let reading: Vec<(Arc<Opened>, _)> = connectors
        .sources()
        .map(|source| {
            let (store, project, clock) = (store.clone(), Arc::clone(&project), clock.clone());
            let (connector, bar) = (Arc::clone(source), bars.add(source.id()));
            // In a task of its own: what one does neither stops nor holds up another.
            let task = tokio::spawn(async move {
                let report = sync(&store, &connector, &project, &clock, &|p| show(&bar, &p)).await;
                bar.finish();
                report
            });
            (Arc::clone(source), task)
        })
        .collect();
    let mut reports = Vec::new();
    for (source, task) in reading {
        reports.push(task.await.unwrap_or_else(|_| broken(source.id())));
    }
    let bar = bars.add("deciding");
    let book = prepare(&store, &project, clock.now(), false).await?;
    let decided = evaluate(&store, &book, clock.now(), &|_| bar.tick()).await?;
    drop(bars.0.clear());
    connectors.close().await;
    store.close().await;
    if json {
        print_json(
            &serde_json::json!({ "connectors": reports, "evaluated": decided, "failed": connectors.failed }),
        )?;
    } else {
        let mut text = told(&reports);
        text += &format!("{} decisions, {} moves\n", decided.evaluated, decided.moves);
        if reports.is_empty() && connectors.failed.is_empty() {
            text += "no connector reads a shop: add one to zyklus.toml, for example with type = \"csv\"\n";
        }
        let rejected: u64 = reports.iter().flat_map(|r| &r.streams).map(|s| s.rejected).sum();
        if rejected > 0 {
            text += &format!(
                "{rejected} rejected; csv connectors write them to connectors/<connector>/rejects/<stream>.csv \
                 beside the configuration (or to the folder `rejects` names)\n"
            );
        }
        print(&text)?;
    }
    for (id, error) in &connectors.failed {
        eprintln!("zyklus: {id}: {error}");
    }
    // A stream of which nothing could be used was not read, whatever its cursor says.
    let useless = |s: &StreamReport| s.rejected > 0 && s.records + s.changed == 0;
    let complete = connectors.failed.is_empty()
        && reports.iter().all(|r| r.is_complete() && !r.streams.iter().any(useless));
    if complete { Ok(()) } else { Err(Failure::No) }
}

/// A connector whose reading panicked: what it had stored stays, and the next sync goes on behind it.
fn broken(connector: &str) -> SyncReport {
    let error = "reading panicked; this is a defect in zyklus, please report it".to_owned();
    let stream = StreamReport { stream: "all".to_owned(), error: Some(error), ..StreamReport::default() };
    SyncReport { connector: connector.to_owned(), streams: vec![stream] }
}

pub(crate) fn told(reports: &[SyncReport]) -> String {
    let mut text = String::new();
    for (connector, stream) in reports.iter().flat_map(|r| r.streams.iter().map(move |s| (&r.connector, s))) {
        text += &format!(
            "{connector} {}: {} records, {} changed, {} new customers, {} rejected\n",
            stream.stream, stream.records, stream.changed, stream.new_customers, stream.rejected
        );
        for reject in &stream.rejects {
            text += &format!("  rejected {reject}\n");
        }
        for (currency, count) in &stream.unrated {
            text += &format!("  {count} amounts in {currency}: add {currency} to [rates]\n");
        }
        if let Some(error) = &stream.error {
            text += &format!("  stopped: {error}\n");
        }
    }
    text
}
