//! Backtests: eighteen months of the CDNOW log and two years of invented customers, both under the starter playbooks.
//! Filling the stores is never part of what is timed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use zyklus_cli::registry;
use zyklus_model::At;
use zyklus_runtime::{Clock, Project, Window, backtest, open_all, sync};
use zyklus_store::{OpenOptions, Store};

use crate::Scale;
use crate::stage::{NOW, Stage, load};
use crate::step::{Figures, Step};
use crate::system::say;
use crate::table::Row;

/// Customers of the CDNOW log.
const CDNOW: u64 = 23_570;

fn repository() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("the tests lie in the repository")?.to_path_buf())
}

/// Both.
pub(crate) async fn measure(scale: Scale) -> Result<Vec<Row>> {
    let mut all = cdnow().await?;
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("zyklus.db").display());
    let stage = Stage::set(folder.path(), &url, scale.customers[2]).await?;
    all.extend(invented(&stage)?);
    Ok(all)
}

/// Eighteen months of the CDNOW log.
pub(crate) async fn cdnow() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("cdnow.db").display());
    let example = repository()?.join("examples/cdnow");
    let project = load(&example.join("zyklus.toml"))?;
    import(&project, &url).await?;
    say("replaying eighteen months of the CDNOW log");
    let cdnow = Step::Backtest.measured(&example, &url, CDNOW)?;
    Ok(rows("backtest of 18 months of CDNOW", cdnow, 20.0, 300.0))
}

/// Two years of a store of invented customers; writes nothing into it.
pub(crate) fn invented(stage: &Stage) -> Result<Vec<Row>> {
    let whole = stage.step(Step::Backtest)?;
    Ok(rows(&format!("backtest of 24 months, {} customers", stage.crowd()), whole, 600.0, 1_500.0))
}

fn rows(name: &str, figures: Figures, seconds: f64, megabytes: f64) -> Vec<Row> {
    vec![
        Row::new(name).at_most(figures.seconds, seconds, "s", 1),
        Row::new("  its peak resident memory").at_most(figures.peak_megabytes, megabytes, "MB", 0),
        Row::new("  facts and decisions a second").figure(format!("{:.0}", figures.events / figures.seconds)),
    ]
}

/// The log in a store; nobody is evaluated.
async fn import(project: &Project, url: &str) -> Result<()> {
    let store = Store::open(url, OpenOptions::default()).await?;
    store.migrate().await?;
    let clock = Clock::fixed(cdnow_window()?.to);
    let connectors = open_all(project, registry(), &clock).await?;
    for source in connectors.sources() {
        let report = sync(&store, source, project, &clock, &|_| {}).await;
        ensure!(report.is_complete(), "{report:?}");
    }
    connectors.close().await;
    store.close().await;
    Ok(())
}

fn cdnow_window() -> Result<Window> {
    Ok(Window { from: "1997-01-01T00:00:00Z".parse()?, to: "1998-06-30T23:59:59.999999Z".parse()? })
}

/// Replays a store, in a process of its own: how long it took, and how many facts and decisions there were.
pub(crate) async fn replay(
    store: &Store,
    project: &Project,
    folder: &Path,
    customers: u64,
) -> Result<(Duration, u64)> {
    let now = At::from_seconds(NOW);
    // The CDNOW example has no playbooks of its own.
    let (book, window) = if folder.join("playbooks").is_dir() {
        (project.book.clone(), Window { from: now.plus_days(-730), to: now })
    } else {
        let starter = repository()?.join("config/playbooks");
        let book = project.book_with(&starter).map_err(|problems| anyhow!("{problems:?}"))?;
        (book, cdnow_window()?)
    };
    let began = Instant::now();
    let found = backtest(store, vec![("playbooks".to_owned(), book)], window, &|_| {}).await?;
    let took = began.elapsed();
    let side = found.sides.first().context("there is one side")?;
    ensure!(side.customers == customers, "{} of {customers} customers were replayed", side.customers);
    ensure!(side.started > 0, "nobody started a journey");
    Ok((took, side.facts + side.decisions))
}
