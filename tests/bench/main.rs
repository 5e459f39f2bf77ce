//! The benchmarks: measures, compares with a peer in the same run where there is one, and prints a table. What
//! misses its bound is said and is no failure; not being able to measure is one. Asserts nothing about time.
//!
//! `cargo xtask bench`; `ZYKLUS_BENCH_SMALL=1` for a quick run that shows only that everything can be measured;
//! `cargo xtask bench -- -- backtest` for the backtests alone, `evaluate`, `idle`, `import`, `plugins`, `insight` (what is
//! learned) likewise.
//!
//! Memory is measured in processes of their own: this program starts itself with `--measure` or `--compute`. The Python
//! packages that some of it is compared with come from PyPI. Without them all other rows are measured and printed, and
//! the run has failed.

mod backtest;
mod dice;
mod idle;
mod import;
mod insight;
mod people;
mod plugins;
mod stage;
mod step;
mod system;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::step::Step;
use crate::system::say;
use crate::table::Row;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    small: bool,
    /// How often the import and its peers are measured in turn.
    rounds: usize,
    /// Customers of the stores in which one order is decided; the last is also evaluated as a whole.
    customers: [u64; 3],
    /// What is computed on beside Python packages.
    insight: insight::Sizes,
    /// Customers evaluated on PostgreSQL.
    on_postgres: u64,
    /// Customers of the idle daemon.
    idle: u64,
    /// How long it may find itself before it is watched.
    settle: Duration,
    /// How long the idle daemon is watched.
    watch: Duration,
}

impl Scale {
    fn chosen() -> Self {
        let small = std::env::var_os("ZYKLUS_BENCH_SMALL").is_some_and(|value| value != "0");
        if small {
            let customers = [500, 1_000, 5_000];
            let (settle, watch) = (Duration::from_secs(5), Duration::from_secs(5));
            let insight = insight::Sizes { customers: 20_000, orders: 100_000, lines: 50_000 };
            let (on_postgres, idle) = (1_000, 1_000);
            return Self { small, rounds: 1, customers, insight, on_postgres, idle, settle, watch };
        }
        Self {
            small,
            rounds: 3,
            customers: [10_000, 100_000, 1_000_000],
            insight: insight::Sizes { customers: 1_000_000, orders: 10_000_000, lines: 5_000_000 },
            on_postgres: 100_000,
            idle: 100_000,
            settle: Duration::from_secs(120),
            watch: Duration::from_secs(60),
        }
    }
}

fn main() -> ExitCode {
    // A plugin's process, as of the daemon itself: before there is a second thread.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "plugin-process") {
        return zyklus_host::plugin::plugin_process(words);
    }
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => {
            eprintln!("no runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some(step::FLAG) => step::perform(args).await,
        Some(insight::FLAG) => insight::perform(args),
        // `cargo bench` says `--bench` first.
        first => {
            let mut words = first.into_iter().map(str::to_owned).chain(args);
            match words.find_map(|word| Part::named(&word)) {
                Some(part) => alone(part).await,
                None => everything().await,
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot measure: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Backtest,
    Evaluate,
    Idle,
    Import,
    Insight,
    Plugins,
}

impl Part {
    fn named(word: &str) -> Option<Self> {
        match word {
            "backtest" => Some(Part::Backtest),
            "evaluate" => Some(Part::Evaluate),
            "idle" => Some(Part::Idle),
            "import" => Some(Part::Import),
            "insight" => Some(Part::Insight),
            "plugins" => Some(Part::Plugins),
            _ => None,
        }
    }
}

/// Measures one part.
async fn alone(part: Part) -> Result<()> {
    let scale = Scale::chosen();
    let (rows, missing) = match part {
        Part::Backtest => (backtest::measure(scale).await?, Ok(())),
        Part::Evaluate => (evaluations(scale, false).await?, Ok(())),
        Part::Idle => (idle::measure(scale).await?, Ok(())),
        Part::Import => {
            system::need_sqlite()?;
            (import::measure(scale).await?, Ok(()))
        }
        Part::Plugins => (plugins::measure(scale).await?, Ok(())),
        Part::Insight => {
            let (rows, missing) = compared(scale);
            // Filling a store takes longer than all of this.
            print!("{}", table::render(&rows, scale.small));
            (insight::refit_alone(scale).await?, missing)
        }
    };
    print!("{}", table::render(&rows, scale.small));
    missing
}

/// What is compared with Python packages, and what kept it from being: said at once, and no reason not to measure the
/// rest.
fn compared(scale: Scale) -> (Vec<Row>, Result<()>) {
    match insight::measure(scale).context("insight is not compared with Python packages") {
        Ok(rows) => (rows, Ok(())),
        Err(error) => {
            say(&format!("{error:#}"));
            (Vec::new(), Err(error))
        }
    }
}

/// Measures all of it.
async fn everything() -> Result<()> {
    let scale = Scale::chosen();
    system::need_sqlite()?;
    // First, because whether it can be measured is soon known.
    let (learned, missing) = compared(scale);
    let mut rows = import::measure(scale).await?;
    rows.extend(evaluations(scale, true).await?);
    rows.extend(backtest::cdnow().await?);
    rows.extend(plugins::measure(scale).await?);
    rows.extend(idle::measure(scale).await?);
    rows.extend(learned);
    print!("{}", table::render(&rows, scale.small));
    missing
}

/// Whole stores evaluated, and one order in stores of three sizes; the largest is replayed too, before anybody is evaluated.
async fn evaluations(scale: Scale, with_backtest: bool) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut medians = Vec::new();
    let mut single = Vec::new();
    for customers in scale.customers {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite:{}", folder.path().join("zyklus.db").display());
        let stage = stage::Stage::set(folder.path(), &url, customers).await?;
        if customers == scale.customers[2] && with_backtest {
            rows.extend(backtest::invented(&stage)?);
        }
        if customers == scale.customers[2] {
            let engine = stage.step(Step::Decide)?;
            rows.push(
                Row::new(format!("decide for {} customers, engine alone", stage.crowd()))
                    .figure(format!("{:.1} s", engine.seconds)),
            );
        }
        let whole = stage.step(Step::Evaluate)?;
        if customers == scale.customers[2] {
            let name = format!("evaluate {} customers, SQLite", stage.crowd());
            rows.push(Row::new(&name).at_most(whole.seconds, 20.0, "s", 1));
            rows.push(Row::new("  its peak resident memory").at_most(whole.peak_megabytes, 500.0, "MB", 0));
        }
        say(&format!("{} customers: one order at a time", stage.crowd()));
        let order = stage.step(Step::Order)?;
        let name = format!("one order to its decision, {customers} customers");
        single.push(Row::new(name).at_most(order.seconds * 1_000.0, 50.0, "ms", 1));
        medians.push(order.seconds);
        if customers == scale.customers[2] {
            rows.extend(insight::refit(&stage)?);
        }
    }
    if let Some(database) = system::postgres()? {
        let folder = tempfile::tempdir()?;
        let stage = stage::Stage::set(folder.path(), &database.url(), scale.on_postgres).await?;
        let whole = stage.step(Step::Evaluate)?;
        rows.push(
            Row::new(format!("evaluate {} customers, PostgreSQL without fsync", stage.crowd()))
                .figure(format!("{:.1} s, {:.0} MB", whole.seconds, whole.peak_megabytes)),
        );
    }
    rows.extend(single);
    let fastest = medians.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = medians.iter().copied().fold(0.0, f64::max);
    rows.push(Row::new("  slowest size against fastest").at_most(slowest / fastest, 2.0, "x", 2));
    Ok(rows)
}
