//! Fits, summaries and neighbours beside the Python packages that analysts use for them, and the nightly refit of a whole
//! store. The two sides compute in turn, each in a process of its own, on the same columns; that they have computed the
//! same is checked. What is compared is processor time, from columns in memory to the result, and the most memory a
//! process ever had; neither starting nor importing nor reading counts as time.

mod columns;
mod python;
mod work;

use std::path::Path;

use anyhow::{Result, ensure};

use self::python::Python;
pub(crate) use self::work::{FLAG, perform};
use self::work::{KEEP, Work};
use crate::Scale;
use crate::import::{example, unpack};
use crate::stage::Stage;
use crate::step::Step;
use crate::system::say;
use crate::table::Row;

/// How much is computed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Customers whose orders BG/NBD is fitted to.
    pub(crate) customers: u64,
    /// Orders that are summed up.
    pub(crate) orders: usize,
    /// Order lines from which neighbours are learned.
    pub(crate) lines: u64,
}

/// What does the same as we do.
struct Peer {
    name: &'static str,
    script: &'static str,
    args: Vec<String>,
    /// How many times our processor time it must take at least.
    least: f64,
}

impl Peer {
    fn new(name: &'static str, script: &'static str, args: &[&str], least: f64) -> Self {
        Peer { name, script, args: args.iter().map(|arg| (*arg).to_owned()).collect(), least }
    }
}

/// Measures all of it beside its peers.
pub(crate) fn measure(scale: Scale) -> Result<Vec<Row>> {
    let python = Python::set()?;
    let folder = tempfile::tempdir()?;
    let sizes = scale.insight;
    say("writing columns");
    let customers = folder.path().join("customers");
    columns::write_customers(&customers, sizes.customers)?;
    let cdnow = folder.path().join("cdnow");
    columns::write_cdnow(&cdnow, &unpack(&example()?, folder.path())?, scale.small)?;
    let orders = folder.path().join("orders");
    columns::write_orders(&orders, sizes.orders)?;
    let lines = folder.path().join("lines");
    columns::write_lines(&lines, sizes.lines)?;

    let compare = |name: &str, work, folder: &Path, tolerance, peers: &[Peer]| {
        compare(&python, scale.rounds, name, work, folder, tolerance, peers)
    };
    let models = "purchase_models.py";
    let summaries = "order_summaries.py";
    let until = columns::LAST.to_string();
    let keep = KEEP.to_string();
    let mut rows = compare(
        &format!("BG/NBD fit of {} customers", sizes.customers),
        Work::BgNbd,
        &customers,
        // Searches end near the maximum, not at it.
        0.01,
        &[
            Peer::new("lifetimes", models, &["bg", SEED], 20.0),
            Peer::new("lifetimes with groups", models, &["bg-grouped", SEED], 6.0),
        ],
    )?;
    rows.extend(compare(
        "Pareto/NBD fit of CDNOW",
        Work::ParetoNbd,
        &cdnow,
        0.01,
        &[Peer::new("lifetimes", models, &["pareto", SEED], 25.0)],
    )?);
    rows.extend(compare(
        &format!("RFM summary of {} orders", sizes.orders),
        Work::Summaries,
        &orders,
        1e-9,
        &[
            Peer::new("pandas", summaries, &["pandas", &until], 5.0),
            Peer::new("DuckDB", summaries, &["duckdb", &until], 5.0),
        ],
    )?);
    rows.extend(compare(
        &format!("BM25 neighbours from {} order lines", sizes.lines),
        Work::Neighbours,
        &lines,
        1e-9,
        &[Peer::new("implicit", "item_neighbours.py", &[&keep], 1.0)],
    )?);
    Ok(rows)
}

/// In a peer's arguments: the number of the round, for what begins by chance.
const SEED: &str = "SEED";

fn compare(
    python: &Python,
    rounds: usize,
    name: &str,
    work: Work,
    folder: &Path,
    tolerance: f64,
    peers: &[Peer],
) -> Result<Vec<Row>> {
    let mut ours = Vec::new();
    let mut theirs = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        say(&format!("{name}, {} of {rounds}", round + 1));
        let own = work.measured(folder)?;
        let seed = round.to_string();
        for (peer, outcomes) in peers.iter().zip(&mut theirs) {
            let args: Vec<&str> =
                peer.args.iter().map(|arg| if arg == SEED { &seed } else { arg.as_str() }).collect();
            let outcome = python.run(peer.script, folder, &args)?;
            let (a, b) = (&own.found, &outcome.found);
            let near = |a: &f64, b: &f64| (a - b).abs() <= tolerance * a.abs().max(b.abs());
            ensure!(
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b)),
                "{name}: we find {a:?}, {} finds {b:?}",
                peer.name
            );
            outcomes.push(outcome);
        }
        ours.push(own);
    }
    let middle = |mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let seconds = middle(ours.iter().map(|own| own.seconds).collect());
    let peak = middle(ours.iter().map(|own| own.peak_megabytes).collect());
    let mut rows = vec![Row::new(name).figure(format!("{seconds:.3} s of processor, {peak:.0} MB"))];
    for (peer, outcomes) in peers.iter().zip(&theirs) {
        let times = ours.iter().zip(outcomes).map(|(own, other)| other.seconds / own.seconds);
        let memory = ours.iter().zip(outcomes).map(|(own, other)| other.peak_megabytes / own.peak_megabytes);
        let name = peer.name;
        rows.push(Row::new(format!("  {name} takes")).at_least(middle(times.collect()), peer.least, "x", 1));
        rows.push(
            Row::new(format!("  {name} takes of memory"))
                .figure(format!("{:.1} x", middle(memory.collect()))),
        );
    }
    Ok(rows)
}

/// The nightly refit of a filled store.
pub(crate) fn refit(stage: &Stage) -> Result<Vec<Row>> {
    let figures = stage.step(Step::Learn)?;
    Ok(vec![
        Row::new(format!("nightly refit of {} customers", stage.crowd())).below(
            figures.seconds,
            60.0,
            "s",
            1,
        ),
        Row::new("  its peak resident memory").below(figures.peak_megabytes, 1_000.0, "MB", 0),
    ])
}

/// The same, in a store of its own.
pub(crate) async fn refit_alone(scale: Scale) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("zyklus.db").display());
    refit(&Stage::set(folder.path(), &url, scale.customers[2]).await?)
}
