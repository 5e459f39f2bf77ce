//! What is measured on a filled store, each step in a process of its own, so that its memory is its own. The figures
//! come back as one line of JSON. Decides nothing itself: runtime and engine do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use zyklus_engine::{Book, decide};
use zyklus_model::{At, Origin, Snapshot};
use zyklus_runtime::{Project, evaluate, learn, prepare};
use zyklus_store::{CursorUpdate, Ingest, OpenOptions, Store};

use crate::people::Person;
use crate::stage::{NOW, Stage, load, page};
use crate::system::memory;

/// The argument that makes this program measure one step and nothing else.
pub(crate) const FLAG: &str = "--measure";

/// In a step's place: only fills the store, to look at a step by hand, with a profiler for example.
const SET: &str = "set";
/// Customers read at a time.
const BATCH: u32 = 2_000;
/// Orders before those that are timed, and those.
const WARM_UP: u64 = 5;
const ORDERS: u64 = 50;

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Only deciding for everybody, on snapshots read before; nothing is stored.
    Decide,
    /// Evaluating everybody: reading, deciding, storing.
    Evaluate,
    /// One new order to its stored decision, the median of 50.
    Order,
    /// Replaying everybody's history.
    Backtest,
    /// Learning of the shop, from its orders in the store to the models in it.
    Learn,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) seconds: f64,
    pub(crate) peak_megabytes: f64,
    /// How much was done, where that is counted: facts and decisions of a backtest.
    pub(crate) events: f64,
}

impl Step {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Step::Decide => "decide",
            Step::Evaluate => "evaluate",
            Step::Order => "order",
            Step::Backtest => "backtest",
            Step::Learn => "learn",
        }
    }

    /// Starts this program once more and reads what it has measured.
    pub(crate) fn measured(self, folder: &Path, url: &str, customers: u64) -> Result<Figures> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([FLAG, self.word()]).arg(folder).args([url, &customers.to_string()]);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("measuring `{}` failed: {}", self.word(), output.status);
        }
        let figures: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let figure = |name: &str| figures[name].as_f64().with_context(|| format!("no figure `{name}`"));
        Ok(Figures {
            seconds: figure("seconds")?,
            peak_megabytes: figure("peak_megabytes")?,
            events: figure("events")?,
        })
    }
}

/// Measures the step that the arguments name and prints its figures.
pub(crate) async fn perform(mut args: impl Iterator<Item = String>) -> Result<()> {
    let mut next = || args.next().context("an argument is missing");
    let (step, folder, url, customers) = (next()?, PathBuf::from(next()?), next()?, next()?.parse()?);
    if step == SET {
        return Stage::set(&folder, &url, customers).await.map(drop);
    }
    let project = load(&folder.join("zyklus.toml"))?;
    let store = Store::open(&url, OpenOptions::default()).await?;
    let now = At::from_seconds(NOW);
    if step == Step::Backtest.word() {
        let (took, events) = crate::backtest::replay(&store, &project, &folder, customers).await?;
        return report(took, events);
    }
    if step == Step::Learn.word() {
        let took = learn_of_all(&store, &project, now, customers).await?;
        store.close().await;
        return report(took, 0);
    }
    let book = prepare(&store, &project, now, true).await?;
    let took = match step.as_str() {
        "decide" => decide_for_all(&store, &book, now, customers).await?,
        "evaluate" => evaluate_all(&store, &book, now, customers).await?,
        "order" => order_by_order(&store, &book, now, customers).await?,
        other => bail!("there is no step `{other}`"),
    };
    store.close().await;
    report(took, 0)
}

/// Prints the figures as [`Step::measured`] reads them.
fn report(took: Duration, events: u64) -> Result<()> {
    let (seconds, peak_megabytes) = (took.as_secs_f64(), memory("self", "VmHWM")?);
    let figures =
        serde_json::json!({ "seconds": seconds, "peak_megabytes": peak_megabytes, "events": events });
    println!("{figures}");
    Ok(())
}

async fn decide_for_all(store: &Store, book: &Book, now: At, customers: u64) -> Result<Duration> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut took, mut decided, mut after) = (Duration::ZERO, 0, None);
    loop {
        let ids = store.customer_ids(after, BATCH).await?;
        let Some(last) = ids.last() else { break };
        after = Some(*last);
        let snapshots = store.snapshots(&ids).await?;
        let share = snapshots.len().div_ceil(threads);
        let began = Instant::now();
        let part = |some: &[Snapshot]| some.iter().map(|s| decide(book, s, now)).collect::<Vec<_>>();
        let decisions: Vec<_> = std::thread::scope(|scope| {
            let parts: Vec<_> = snapshots.chunks(share).map(|some| scope.spawn(move || part(some))).collect();
            parts.into_iter().map(|part| part.join()).collect()
        });
        took += began.elapsed();
        for part in decisions {
            let Ok(part) = part else { bail!("deciding panicked") };
            decided += part.iter().filter(|decision| decision.phase.is_some()).count() as u64;
        }
    }
    ensure!(decided == customers, "{decided} of {customers} customers got a phase");
    Ok(took)
}

async fn evaluate_all(store: &Store, book: &Book, now: At, customers: u64) -> Result<Duration> {
    let began = Instant::now();
    let report = evaluate(store, book, now, &|_| {}).await?;
    let took = began.elapsed();
    ensure!(report.evaluated >= customers, "{report:?} for {customers} customers");
    Ok(took)
}

async fn learn_of_all(store: &Store, project: &Project, now: At, customers: u64) -> Result<Duration> {
    let began = Instant::now();
    let report = learn(store, project, now).await?.context("nothing was learned")?;
    let took = began.elapsed();
    // Of those who have ordered, and some have not.
    ensure!((customers / 2..=customers).contains(&report.customers), "{report:?} for {customers} customers");
    Ok(took)
}

/// Everybody was evaluated at `now`: what is due a little later is due because of the order.
async fn order_by_order(store: &Store, book: &Book, now: At, customers: u64) -> Result<Duration> {
    let mut took = Vec::new();
    for n in 0..WARM_UP + ORDERS {
        // A stride without a common factor spreads the orders over all customers.
        let person = Person::invent(n.wrapping_mul(7_919) % customers, now);
        let at = now.plus_micros(1_000 * (n.cast_signed() + 1));
        let order = person.orders_again(at, format!("new-{n}"));
        let cursor = serde_json::json!({ "line": n });
        let update = CursorUpdate { cursor, mode: "incremental".to_owned(), caught_up: true };
        let page = Ingest { next: Some(update), ..page(vec![order], Origin::Live, at) };
        let began = Instant::now();
        let ingested = store.ingest(page).await?;
        let decided = evaluate(store, book, at, &|_| {}).await?;
        took.push(began.elapsed());
        ensure!(ingested.changed == 1 && ingested.new_customers == 0, "{ingested:?}");
        ensure!(decided.evaluated >= 1, "nobody was evaluated after an order");
    }
    let mut timed = took.split_off(WARM_UP.try_into()?);
    timed.sort_unstable();
    Ok(timed[timed.len() / 2])
}
