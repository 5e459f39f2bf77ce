//! Experiments: counts what came of the ways of splits that learn, and sets their shares by Thompson sampling. Reads runs
//! page by page, and customers only where runs alone do not tell. The same runs give the same shares. Never decides who
//! goes which way: the engine does.
//!
//! Each run counts by how unlikely its way was when it was drawn (Horvitz and Thompson 1952, JASA 47, 663). While shares
//! move, a way gets many of its runs in some weeks and few in others; counted alike, a good week would pass for a good
//! way.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use zyklus_engine::Book;
use zyklus_engine::experiment::{Came, Experiment, Range, Shares, SplitShares, Trial, WHOLE, WayShare};
use zyklus_engine::playbook::Measure;
use zyklus_insight::experiment::{
    ArmShare, Arms, ValueArm, customers_for_mean, customers_for_share, shares_by_event, shares_by_value,
};
use zyklus_insight::interval::{Figure, Level, Moments, Tally, mean, share};
use zyklus_model::{At, CustomerId, Run};
use zyklus_store::{Lesson, Store};

use crate::error::RuntimeError;
use crate::learn::{text, versions};

/// No way falls below this share, so that a change of heart is noticed; of many ways together, not below [`AT_MOST`].
const LEAST: f64 = 0.05;
/// So much is shared out evenly at most.
const AT_MOST: f64 = 0.5;
/// What "needs about so many more" is about: a difference as seen is found in so many of such experiments.
const POWER: f64 = 0.8;
/// Runs read at a time.
const PAGE: u32 = 5_000;
/// Customers read at a time.
const BATCH: usize = 500;

/// What came of one way's runs.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    runs: u64,
    hits: u64,
    all: Weighed,
    hit: Weighed,
}

/// Weights of runs, and what these brought in.
#[derive(Debug, Clone, Copy, Default)]
struct Weighed {
    weight: f64,
    squares: f64,
    value: f64,
    value_squares: f64,
}

impl Weighed {
    fn add(&mut self, weight: f64, value: f64) {
        self.weight += weight;
        self.squares += weight * weight;
        self.value += weight * value;
        self.value_squares += weight * value * value;
    }

    /// As many runs of equal weight tell as much: Kish's effective number (1965, Survey Sampling, 11.7).
    fn worth(&self) -> u64 {
        if self.squares > 0.0 { (self.weight * self.weight / self.squares).round() as u64 } else { 0 }
    }

    fn values(&self) -> Moments {
        let n = self.worth();
        let of = |sum: f64| if self.weight > 0.0 { n as f64 * sum / self.weight } else { 0.0 };
        Moments::from_sums(n, of(self.value), of(self.value_squares)).unwrap_or_default()
    }
}

impl Counted {
    fn add(&mut self, trial: &Trial<'_>, came: Came) {
        // What was less likely than any learned share can be was written so, and is not to outweigh all others.
        let weight = 1.0 / trial.share.clamp(LEAST, 1.0);
        self.runs += 1;
        self.all.add(weight, came.value);
        if came.hit {
            self.hits += 1;
            self.hit.add(weight, came.value);
        }
    }

    fn tally(&self) -> Tally {
        let of = self.all.worth();
        let rate = if self.all.weight > 0.0 { self.hit.weight / self.all.weight } else { 0.0 };
        Tally::new(((of as f64 * rate).round() as u64).min(of), of).unwrap_or_default()
    }

    fn arm(&self) -> ValueArm {
        ValueArm { ordered: self.tally(), values: self.hit.values() }
    }
}

/// The shares of a book's splits by what is known at `now`; a split of which no run tells anything yet has none.
///
/// # Errors
/// The store's.
pub async fn experiment(store: &Store, book: &Book, now: At) -> Result<Shares, RuntimeError> {
    let experiments: Vec<Experiment<'_>> = book.experiments().collect();
    let mut counted: Vec<Vec<Counted>> =
        experiments.iter().map(|e| vec![Counted::default(); e.ways.len()]).collect();
    let mut journeys: Vec<&str> = experiments.iter().map(|e| e.journey.root()).collect();
    journeys.sort_unstable();
    journeys.dedup();
    let mut asked: Vec<CustomerId> = Vec::new();
    let mut theirs: Vec<Run> = Vec::new();
    let mut after = None;
    loop {
        let page = store.runs_of_page(&journeys, after, PAGE).await?;
        let is_last = page.is_empty();
        after = page.last().map(|last| (last.customer, last.id)).or(after);
        for run in page {
            if theirs.first().is_some_and(|first| first.customer != run.customer) {
                count(book, &experiments, &mut counted, &theirs, &mut asked, now);
                theirs.clear();
            }
            theirs.push(run);
        }
        if is_last {
            count(book, &experiments, &mut counted, &theirs, &mut asked, now);
        }
        while asked.len() >= BATCH || is_last && !asked.is_empty() {
            let some: Vec<CustomerId> = asked.drain(..asked.len().min(BATCH)).collect();
            for snapshot in store.snapshots(&some).await? {
                for (experiment, ways) in experiments.iter().zip(&mut counted).filter(|(e, _)| is_asked(e)) {
                    for trial in experiment.trials(&snapshot.runs, now, &book.settings.zone) {
                        ways[trial.way].add(&trial, experiment.came(&trial, &snapshot, now));
                    }
                }
            }
        }
        if is_last {
            break;
        }
    }
    let splits = experiments.iter().zip(&counted);
    Ok(Shares { splits: splits.filter_map(|(e, ways)| shares(e, ways, &book.settings.seed)).collect() })
}

/// Whether runs alone do not tell what came of them.
fn is_asked(experiment: &Experiment<'_>) -> bool {
    experiment.learn.by != Measure::Goal
}

/// Counts one customer's runs, and notes whether the rest of the customer is needed.
fn count(
    book: &Book,
    experiments: &[Experiment<'_>],
    counted: &mut [Vec<Counted>],
    runs: &[Run],
    asked: &mut Vec<CustomerId>,
    now: At,
) {
    let mut is_needed = false;
    for (experiment, ways) in experiments.iter().zip(counted) {
        for trial in experiment.trials(runs, now, &book.settings.zone) {
            if is_asked(experiment) {
                is_needed = true;
            } else {
                ways[trial.way].add(&trial, Came { hit: trial.reached, value: 0.0 });
            }
        }
    }
    if let Some(run) = runs.first().filter(|_| is_needed) {
        asked.push(run.customer);
    }
}

fn shares(experiment: &Experiment<'_>, counted: &[Counted], seed: &str) -> Option<SplitShares> {
    let open: Vec<(&str, &Counted)> =
        experiment.open().map(|(place, way)| (way.name.as_str(), &counted[place])).collect();
    if open.iter().all(|(_, counted)| counted.runs == 0) {
        return None;
    }
    let least = (LEAST * open.len() as f64).min(AT_MOST);
    let seed = seed_of(experiment, seed);
    let is_value = experiment.learn.by == Measure::Orders;
    let found = if is_value {
        let arms: Vec<ValueArm> = open.iter().map(|(_, counted)| counted.arm()).collect();
        shares_by_value(&arms, least, seed)
    } else {
        let arms: Vec<Tally> = open.iter().map(|(_, counted)| counted.tally()).collect();
        shares_by_event(&arms, least, seed)
    };
    let found = found.ok()?;
    let parts = whole(&found);
    let ways = open.iter().zip(&found).zip(parts).map(|(((name, counted), arm), share_of)| WayShare {
        name: (*name).to_owned(),
        share: share_of,
        best: arm.best,
        runs: counted.runs,
        hits: counted.hits,
        rate: range(&share(counted.tally(), Level::P95)),
        value: is_value.then(|| range(&mean(&counted.all.values(), Level::P95))).flatten(),
    });
    Some(SplitShares {
        journey: experiment.journey.root().to_owned(),
        step: experiment.step.to_owned(),
        epoch: experiment.journey.epoch,
        measure: experiment.learn.to_string(),
        ways: ways.collect(),
        more_runs: more(&open, &found, is_value),
    })
}

/// How many more runs it takes to tell the best way from the next one, as the ways are shared out now.
fn more(open: &[(&str, &Counted)], found: &[ArmShare], is_value: bool) -> Option<u64> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|a, b| found[*b].best.total_cmp(&found[*a].best).then(a.cmp(b)));
    let (&best, &next) = order.first().zip(order.get(1))?;
    let (treated, held) = (open[best].1, open[next].1);
    let needs = if is_value {
        let arms = Arms { treated: treated.all.values(), held: held.all.values() };
        customers_for_mean(&arms, None, POWER, Level::P95)
    } else {
        customers_for_share(Arms { treated: treated.tally(), held: held.tally() }, None, POWER, Level::P95)
    };
    let both = found[best].share + found[next].share;
    Some((needs.ok()?.more as f64 / both.clamp(LEAST, 1.0)).ceil() as u64)
}

/// In parts of a whole, the rest of which is the first best way's.
fn whole(found: &[ArmShare]) -> Vec<u32> {
    // What rounding took from a whole number is given back.
    let part = |arm: &ArmShare| (arm.share * f64::from(WHOLE) + 1e-6) as u32;
    let mut parts: Vec<u32> = found.iter().map(part).collect();
    let rest = WHOLE.saturating_sub(parts.iter().sum());
    let first = (0..parts.len()).rev().max_by_key(|place| parts[*place]);
    if let Some(first) = first {
        parts[first] += rest;
    }
    parts
}

fn range(figure: &Figure) -> Option<Range> {
    let figure = figure.as_ref().ok()?;
    Some(Range { value: figure.value(), low: figure.low(), high: figure.high() })
}

fn seed_of(experiment: &Experiment<'_>, seed: &str) -> u64 {
    let mut hash = Sha256::new();
    for part in ["shares", seed, experiment.journey.root(), experiment.step] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut head = [0u8; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(head)
}

/// Learns the shares of a book's splits as of `now`, and keeps them if they moved. How many splits have shares.
///
/// # Errors
/// The store's.
pub async fn learn_shares(store: &Store, book: &Book, now: At) -> Result<u64, RuntimeError> {
    if book.experiments().next().is_none() {
        return Ok(0);
    }
    let shares = experiment(store, book, now).await?;
    let body = text(&shares)?;
    let known = store.learned_by(Lesson::Shares, now).await?;
    let is_news = known.as_ref().map_or(!shares.splits.is_empty(), |(_, known)| *known != body);
    if is_news {
        // Who is on the way already keeps it: nobody has to be looked at again.
        store.keep_learned(now, vec![(Lesson::Shares, body)], false).await?;
    }
    Ok(shares.splits.len() as u64)
}

/// The shares that hold last, and since when.
///
/// # Errors
/// The store's.
pub async fn last_shares(store: &Store) -> Result<Option<(At, Arc<Shares>)>, RuntimeError> {
    Ok(versions(store.learned_by(Lesson::Shares, At::MAX).await?).last().cloned())
}
