//! Our side: what `zyklus-insight` makes of columns, in a process of its own, from columns in memory to the result.
//! The figures come back as one line of JSON. Never times reading.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use zyklus_insight::purchase::fit::{Fit, Kind, Options, Rung, fit};
use zyklus_insight::purchase::{Grouping, Model};
use zyklus_insight::recommend::{Interactions, Line, NeighbourOptions, Neighbours};
use zyklus_insight::rfm::{Rfm, summarise};
use zyklus_insight::span::Span;

use super::columns::{LAST, read};
use crate::system::{busy, memory};

/// The argument that makes this program do one work and nothing else.
pub(crate) const FLAG: &str = "--compute";

/// The clock ticks a hundred times a second: what takes less than this is done again until it has gone by.
const LEAST: Duration = Duration::from_secs(1);
/// Neighbours that an item keeps.
pub(crate) const KEEP: usize = 20;

/// One thing to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A shop's BG/NBD, grouping included.
    BgNbd,
    /// Its Pareto/NBD.
    ParetoNbd,
    /// Everybody's summary of their orders.
    Summaries,
    /// Which items the same customers buy.
    Neighbours,
}

/// What one side came to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Of all processors together, in user and kernel mode.
    pub(crate) seconds: f64,
    pub(crate) peak_megabytes: f64,
    /// Figures of the result, by which two sides are seen to have computed the same.
    pub(crate) found: Vec<f64>,
}

impl Outcome {
    /// What a process has printed.
    pub(crate) fn of(printed: &[u8]) -> Result<Self> {
        let figures: serde_json::Value = serde_json::from_slice(printed)?;
        let figure = |name: &str| figures[name].as_f64().with_context(|| format!("no figure `{name}`"));
        let found = figures["found"].as_array().context("no figures of the result")?;
        let found = found.iter().map(|figure| figure.as_f64().context("a figure of the result is no number"));
        Ok(Outcome {
            seconds: figure("seconds")?,
            peak_megabytes: figure("peak_megabytes")?,
            found: found.collect::<Result<_>>()?,
        })
    }
}

impl Work {
    fn word(self) -> &'static str {
        match self {
            Work::BgNbd => "bg",
            Work::ParetoNbd => "pareto",
            Work::Summaries => "summaries",
            Work::Neighbours => "neighbours",
        }
    }

    /// Starts this program once more and reads what it has measured.
    pub(crate) fn measured(self, folder: &Path) -> Result<Outcome> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([FLAG, self.word()]).arg(folder);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "computing `{}` failed: {}", self.word(), output.status);
        Outcome::of(&output.stdout)
    }
}

/// Does the work that the arguments name and prints its figures.
pub(crate) fn perform(mut args: impl Iterator<Item = String>) -> Result<()> {
    let mut next = || args.next().context("an argument is missing");
    let (word, folder) = (next()?, PathBuf::from(next()?));
    let (seconds, found) = match word.as_str() {
        "bg" => fitted(&folder, Kind::Bg)?,
        "pareto" => fitted(&folder, Kind::Pareto)?,
        "summaries" => summed_up(&folder)?,
        "neighbours" => neighbours(&folder)?,
        other => bail!("there is no work `{other}`"),
    };
    let peak_megabytes = memory("self", "VmHWM")?;
    let figures = serde_json::json!({ "seconds": seconds, "peak_megabytes": peak_megabytes, "found": found });
    println!("{figures}");
    Ok(())
}

/// What the work takes of processors, and its last result.
fn timed<T>(mut work: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let process = std::process::id();
    let (before, mut times) = (busy(process)?, 0);
    loop {
        let found = work()?;
        times += 1;
        let took = busy(process)?.saturating_sub(before);
        if took >= LEAST {
            return Ok((took.as_secs_f64() / f64::from(times), found));
        }
    }
}

fn fitted(folder: &Path, kind: Kind) -> Result<(f64, Vec<f64>)> {
    let [repeats, recency, age] = ["repeats", "recency", "age"].map(|name| read(folder, name));
    let (repeats, recency, age) = (repeats?, recency?, age?);
    let options = Options { kind, ..Options::default() };
    let (seconds, fit): (f64, Fit) = timed(|| {
        let mut grouping = Grouping::new();
        for ((repeats, recency), age) in repeats.iter().zip(&recency).zip(&age) {
            grouping.add(&Rfm::new(*repeats, Span::of_days(*recency), Span::of_days(*age), None)?);
        }
        Ok(fit(&grouping.finish(), &options))
    })?;
    ensure!(matches!(fit.rung, Rung::Full { .. }), "the fit stands on a lower rung: {:?}", fit.rung);
    // Scales in weeks, in the order in which lifetimes has them.
    let found = match fit.model {
        Model::Bg(bg) => vec![bg.r(), bg.alpha().as_weeks(), bg.a(), bg.b()],
        Model::Pareto(pareto) => {
            vec![pareto.r(), pareto.alpha().as_weeks(), pareto.s(), pareto.beta().as_weeks()]
        }
        other => bail!("not the model that was asked for: {other:?}"),
    };
    Ok((seconds, found))
}

fn summed_up(folder: &Path) -> Result<(f64, Vec<f64>)> {
    let customers = read(folder, "customers")?;
    let days: Vec<i32> = read(folder, "days")?.into_iter().map(u32::cast_signed).collect();
    let minors: Vec<i64> = read(folder, "minors")?.into_iter().map(i64::from).collect();
    let (seconds, found) = timed(|| Ok(summarise(&customers, &days, &minors, LAST.cast_signed())?))?;
    let mut sums = vec![found.len() as f64, 0.0, 0.0, 0.0, 0.0];
    for (_, rfm) in &found {
        let figures = [f64::from(rfm.repeats()), rfm.recency().as_days(), rfm.age().as_days()];
        let figures = figures.into_iter().chain([rfm.spend().unwrap_or(0.0)]);
        sums.iter_mut().skip(1).zip(figures).for_each(|(sum, figure)| *sum += figure);
    }
    Ok((seconds, sums))
}

fn neighbours(folder: &Path) -> Result<(f64, Vec<f64>)> {
    let [customers, items, days] = ["customers", "items", "days"].map(|name| read(folder, name));
    let (customers, items, days) = (customers?, items?, days?);
    // One customer is enough for a pair, as it is for implicit.
    let options = NeighbourOptions { keep: KEEP, least_customers: 1, ..NeighbourOptions::default() };
    let (seconds, (interactions, nearest)) = timed(|| {
        let lines = customers.iter().zip(&items).zip(&days);
        let line = |((customer, item), day): ((&u32, &u32), &u32)| Line {
            customer: *customer,
            item: *item,
            day: day.cast_signed(),
            quantity: 1,
        };
        let interactions = Interactions::from_lines(lines.map(line).collect());
        let nearest = Neighbours::learn(&interactions, &options);
        Ok((interactions, nearest))
    })?;
    let (mut kept, mut scores) = (0.0, 0.0);
    for item in interactions.items() {
        for (_, neighbour) in nearest.of(*item) {
            kept += 1.0;
            scores += neighbour.score;
        }
    }
    Ok((seconds, vec![kept, scores]))
}
