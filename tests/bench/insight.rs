//! Fits, summaries and neighbours beside the Python packages that analysts use for them, and the nightly refit of a whole
//! store. The two sides compute in turn, each in a process of its own, on the same columns; that they have computed the
//! same is checked. What is compared is processor time, from columns in memory to the result, and the most memory a
//! process ever had; neither starting nor importing nor reading counts as time.

mod columns;
mod python;
mod work;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use self::python::Python;
pub(crate) use self::work::{FLAG, perform};
use self::work::{KEEP, Outcome, Work};
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

/// In a peer's arguments: the number of the round, for what begins by chance.
const SEED: &str = "SEED";

/// What does the same as we do.
struct Peer {
    name: &'static str,
    script: &'static str,
    args: Vec<String>,
    /// How many times our processor time it must take at least.
    least: f64,
}

/// One work of ours and who else does it.
struct Comparison {
    name: String,
    work: Work,
    folder: PathBuf,
    /// By what share the figures of two results may differ.
    tolerance: f64,
    peers: Vec<Peer>,
}

/// What one round has come to: our side and the peers, in their order.
type Sides = (Outcome, Vec<Outcome>);

/// Measures all of it beside its peers.
pub(crate) fn measure(scale: Scale) -> Result<Vec<Row>> {
    let python = Python::set()?;
    let folder = tempfile::tempdir()?;
    say("writing columns");
    let mut rows = Vec::new();
    for comparison in comparisons(folder.path(), scale)? {
        let rounds = (1..=scale.rounds).map(|round| {
            say(&format!("{}, {round} of {}", comparison.name, scale.rounds));
            comparison.round(&python, round)
        });
        rows.extend(comparison.rows(&rounds.collect::<Result<Vec<Sides>>>()?));
    }
    Ok(rows)
}

/// Writes what is computed on.
fn comparisons(folder: &Path, scale: Scale) -> Result<[Comparison; 4]> {
    let sizes = scale.insight;
    let place = |name: &str| folder.join(name);
    columns::write_customers(&place("customers"), sizes.customers)?;
    columns::write_cdnow(&place("cdnow"), &unpack(&example()?, folder)?, scale.small)?;
    columns::write_orders(&place("orders"), sizes.orders)?;
    columns::write_lines(&place("lines"), sizes.lines)?;
    let peer = |name, script, args: &[&str], least| {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Peer { name, script, args, least }
    };
    let (models, summaries) = ("purchase_models.py", "order_summaries.py");
    let (until, keep) = (columns::LAST.to_string(), KEEP.to_string());
    Ok([
        Comparison {
            name: format!("BG/NBD fit of {} customers", sizes.customers),
            work: Work::BgNbd,
            folder: place("customers"),
            // Searches end near the maximum, not at it.
            tolerance: 0.01,
            peers: vec![
                peer("lifetimes", models, &["bg", SEED], 20.0),
                peer("lifetimes, fed with groups,", models, &["bg-grouped", SEED], 6.0),
            ],
        },
        Comparison {
            name: "Pareto/NBD fit of CDNOW".to_owned(),
            work: Work::ParetoNbd,
            folder: place("cdnow"),
            tolerance: 0.01,
            peers: vec![peer("lifetimes", models, &["pareto", SEED], 25.0)],
        },
        Comparison {
            name: format!("RFM summary of {} orders", sizes.orders),
            work: Work::Summaries,
            folder: place("orders"),
            tolerance: 1e-9,
            peers: vec![
                peer("pandas", summaries, &["pandas", &until], 5.0),
                peer("DuckDB", summaries, &["duckdb", &until], 5.0),
            ],
        },
        Comparison {
            name: format!("BM25 neighbours from {} order lines", sizes.lines),
            work: Work::Neighbours,
            folder: place("lines"),
            tolerance: 1e-9,
            peers: vec![peer("implicit", "item_neighbours.py", &[&keep], 1.0)],
        },
    ])
}

impl Comparison {
    /// Both sides, one after the other; fails if they have not computed the same.
    fn round(&self, python: &Python, round: usize) -> Result<Sides> {
        let own = self.work.measured(&self.folder)?;
        let seed = round.to_string();
        let mut others = Vec::new();
        for peer in &self.peers {
            let args: Vec<&str> =
                peer.args.iter().map(|arg| if arg == SEED { &seed } else { arg.as_str() }).collect();
            let other = python.run(peer.script, &self.folder, &args)?;
            let (ours, theirs) = (&own.found, &other.found);
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= self.tolerance * a.abs().max(b.abs());
            ensure!(
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(near),
                "{}: we find {ours:?}, {} finds {theirs:?}",
                self.name,
                peer.name
            );
            others.push(other);
        }
        Ok((own, others))
    }

    /// The middle of each figure, and of each ratio.
    fn rows(&self, rounds: &[Sides]) -> Vec<Row> {
        let middle = |figure: &dyn Fn(&Sides) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        let (seconds, peak) = (middle(&|(own, _)| own.seconds), middle(&|(own, _)| own.peak_megabytes));
        let own = format!("{seconds:.3} s of processor, {peak:.0} MB");
        let mut rows = vec![Row::new(&self.name).figure(own)];
        for (n, peer) in self.peers.iter().enumerate() {
            let time = middle(&|(own, others)| others[n].seconds / own.seconds);
            let memory = middle(&|(own, others)| others[n].peak_megabytes / own.peak_megabytes);
            rows.push(Row::new(format!("  {} takes", peer.name)).at_least(time, peer.least, "x", 1));
            rows.push(Row::new(format!("  {} takes of memory", peer.name)).figure(format!("{memory:.1} x")));
        }
        rows
    }
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
