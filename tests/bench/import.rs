//! The CDNOW log, from the compressed file through connector and store to everybody's phase, against what SQLite
//! needs for the rows alone: a bare insert of the same rows through sqlx, and the shell's `.import` of the file.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use zyklus_cli::registry;
use zyklus_model::At;
use zyklus_runtime::{Clock, Project, evaluate, open_all, prepare, sync};
use zyklus_store::bench::insert_bare;
use zyklus_store::{OpenOptions, Store};

use crate::Scale;
use crate::stage::load;
use crate::system::{say, sqlite};
use crate::table::Row;

const CUSTOMERS: u64 = 23_570;
const ORDERS: u64 = 69_659;

/// What one round took.
struct Round {
    import: Duration,
    evaluation: Duration,
    bare: Duration,
    shell: Duration,
}

/// Measures all of it in turn, several times; the middle of each figure counts.
pub(crate) async fn measure(scale: Scale) -> Result<Vec<Row>> {
    let example = example()?;
    let project = load(&example.join("zyklus.toml"))?;
    let folder = tempfile::tempdir()?;
    let log = unpack(&example, folder.path())?;
    let mut rounds = Vec::new();
    for n in 0..scale.rounds {
        say(&format!("importing the CDNOW log, {} of {}", n + 1, scale.rounds));
        let file = folder.path().join(format!("{n}.db"));
        let (import, evaluation) = zyklus(&project, &file).await?;
        let bare = insert_bare(&file, &folder.path().join(format!("{n}-bare.db"))).await?;
        ensure!(bare.rows == ORDERS, "{} orders were inserted, not {ORDERS}", bare.rows);
        let shell = shell(&log, &folder.path().join(format!("{n}-shell.db")))?;
        rounds.push(Round { import, evaluation, bare: bare.took, shell });
    }
    let middle = |figure: fn(&Round) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let seconds = |figure: f64| format!("{figure:.2} s");
    Ok(vec![
        Row::new("CDNOW import, durable").figure(seconds(middle(|r| r.import.as_secs_f64()))),
        Row::new("CDNOW import, durable and evaluated").figure(seconds(middle(Round::whole))),
        Row::new("  bare insert of its orders").figure(seconds(middle(|r| r.bare.as_secs_f64()))),
        Row::new("  sqlite3 .import of the file").figure(seconds(middle(|r| r.shell.as_secs_f64()))),
        Row::new("  import against bare insert")
            .figure(format!("{:.2} x", middle(|r| r.import.as_secs_f64() / r.bare.as_secs_f64()))),
        Row::new("  import and evaluation against bare insert").at_most(
            middle(|r| r.whole() / r.bare.as_secs_f64()),
            4.0,
            "x",
            2,
        ),
        Row::new("  import and evaluation against .import").below(
            middle(|r| r.whole() / r.shell.as_secs_f64()),
            40.0,
            "x",
            1,
        ),
    ])
}

impl Round {
    /// Import and evaluation, in seconds.
    fn whole(&self) -> f64 {
        (self.import + self.evaluation).as_secs_f64()
    }
}

/// Import and evaluation into a new store, as `zyklus sync` does it; how long each took.
async fn zyklus(project: &Project, file: &Path) -> Result<(Duration, Duration)> {
    let now: At = "1998-06-30T23:59:59.999999Z".parse()?;
    let clock = Clock::fixed(now);
    let store = Store::open(&format!("sqlite:{}", file.display()), OpenOptions::default()).await?;
    store.migrate().await?;
    let connectors = open_all(project, registry(), &clock).await?;
    ensure!(connectors.failed.is_empty(), "{:?}", connectors.failed);
    let began = Instant::now();
    for source in connectors.sources() {
        let report = sync(&store, source, project, &clock, &|_| {}).await;
        ensure!(report.is_complete(), "{report:?}");
    }
    let import = began.elapsed();
    let began = Instant::now();
    let book = prepare(&store, project, now, true).await?;
    evaluate(&store, &book, now, &|_| {}).await?;
    let evaluation = began.elapsed();
    ensure!(store.customer_count().await? == CUSTOMERS, "the customers are not {CUSTOMERS}");
    let placed: u64 = store.phases(&project.book.lifecycle.id).await?.values().sum();
    ensure!(placed == CUSTOMERS, "{placed} customers have a phase");
    connectors.close().await;
    store.close().await;
    Ok((import, evaluation))
}

/// The folder of the example with the CDNOW log.
pub(crate) fn example() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("the tests lie in the repository")?.join("examples/cdnow"))
}

/// The log as SQLite's shell can read it: not compressed, without its heading, one blank between columns.
pub(crate) fn unpack(example: &Path, folder: &Path) -> Result<PathBuf> {
    let mut text = String::new();
    let packed = std::fs::File::open(example.join("CDNOW_master.txt.gz"))?;
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text)?;
    let mut plain = String::with_capacity(text.len());
    for line in text.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())) {
        plain.extend(line.split_whitespace().flat_map(|word| [word, " "]));
        plain.truncate(plain.trim_end().len());
        plain.push('\n');
    }
    let log = folder.join("cdnow.txt");
    std::fs::write(&log, plain)?;
    Ok(log)
}

/// The shell's `.import` into a table of four columns without an index.
fn shell(log: &Path, file: &Path) -> Result<Duration> {
    let table = "CREATE TABLE log (customer TEXT, day TEXT, items INTEGER, dollars REAL)";
    let import = format!(".import '{}' log", log.display());
    let began = Instant::now();
    sqlite(file, &[table, ".separator ' '", &import])?;
    let took = began.elapsed();
    let rows = sqlite(file, &["SELECT count(*) FROM log WHERE dollars IS NOT NULL"])?;
    ensure!(rows == ORDERS.to_string(), "sqlite3 has imported {rows} rows");
    Ok(took)
}
