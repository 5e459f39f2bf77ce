//! The daemon: every connector synced on its own, evaluation and dispatch as soon as something changes or is due,
//! until it is asked to stop. One that fails does not hurt the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zyklus_engine::Book;
use zyklus_host::Opened;
use zyklus_model::At;
use zyklus_store::Store;

use crate::clock::Clock;
use crate::connectors::Connectors;
use crate::dispatch::{DispatchReport, Dispatcher};
use crate::error::RuntimeError;
use crate::evaluate::sold_out;
use crate::project::Project;
use crate::round::{Round, round};
use crate::sync::sync;

/// How often a connector is asked for news unless it is configured.
const SYNC_EVERY: Duration = Duration::from_secs(300);
/// How long to sleep at most before looking at the store again: other daemons and commands write to it, too.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long to sleep when something is due and nothing can be done about it, in microseconds.
const REST_MICROS: i64 = 1_000_000;
/// How long work under way may take after stopping was asked.
const DRAIN: Duration = Duration::from_secs(20);

/// What a daemon needs.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// The configuration.
    pub project: Arc<Project>,
    /// The store.
    pub store: Store,
    /// The connectors.
    pub connectors: Arc<Connectors>,
    /// The book with the journeys' `active_from`.
    pub book: Arc<Book>,
    /// The clock.
    pub clock: Clock,
    /// The name it claims deliveries under, unlike that of any other daemon.
    pub owner: String,
}

impl Daemon {
    /// Runs until `stop` is cancelled, then finishes what is under way, for 20 seconds at most. What fails while it
    /// runs is logged and tried again.
    pub async fn run(self, stop: CancellationToken) {
        match self.store.end_left_leases(self.clock.now()).await {
            Ok(0) => {}
            Ok(left) => {
                tracing::warn!(left, "the last daemon died while it was sending; that is settled now")
            }
            Err(error) => tracing::error!(%error, "what the last daemon was sending is settled later"),
        }
        let news = Arc::new(Notify::new());
        news.notify_one();
        let mut tasks = tokio::task::JoinSet::new();
        for source in self.connectors.sources() {
            tasks.spawn(keep_synced(self.clone(), Arc::clone(source), Arc::clone(&news), stop.clone()));
        }
        tasks.spawn(keep_deciding(self.clone(), Arc::clone(&news), stop.clone()));
        tasks.spawn(keep_house(self.clone(), stop.clone()));
        stop.cancelled().await;
        tracing::info!("stopping: finishing what is under way");
        let drained = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("work was still under way after 20 s and is left to the next start");
        }
    }
}

/// Sleeps, unless stopping is asked; `false` = stop.
async fn rest(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(time) => true,
    }
}

async fn keep_synced(daemon: Daemon, connector: Arc<Opened>, news: Arc<Notify>, stop: CancellationToken) {
    let every = connector.settings().sync_every.unwrap_or(SYNC_EVERY);
    let mut failures = 0u32;
    while !stop.is_cancelled() {
        let report = {
            let (daemon, connector) = (daemon.clone(), Arc::clone(&connector));
            // In a task of its own, so that stopping never drops a page half-way into the store.
            let work = tokio::spawn(async move {
                sync(&daemon.store, &connector, &daemon.project, &daemon.clock, &|_| {}).await
            });
            tokio::select! {
                report = work => report,
                () = stop.cancelled() => return,
            }
        };
        let wait = match report {
            Ok(report) => {
                if report.changed() > 0 {
                    tracing::info!(connector.id = %report.connector, changed = report.changed(), "synced");
                    news.notify_one();
                }
                failures = if report.is_complete() { 0 } else { failures + 1 };
                every.saturating_mul(1 << failures.min(5)).min(every.max(Duration::from_secs(3_600)))
            }
            Err(_) => {
                tracing::error!(connector.id = connector.id(), "a sync panicked; it is tried again");
                every
            }
        };
        if !rest(wait, &stop).await {
            return;
        }
    }
}

async fn keep_deciding(daemon: Daemon, news: Arc<Notify>, stop: CancellationToken) {
    let dispatcher = Arc::new(Dispatcher::new(
        daemon.store.clone(),
        Arc::clone(&daemon.project),
        Arc::clone(&daemon.connectors),
        daemon.owner.clone(),
        daemon.clock.clone(),
        stop.clone(),
    ));
    while !stop.is_cancelled() {
        let round = {
            let (daemon, dispatcher) = (daemon.clone(), Arc::clone(&dispatcher));
            tokio::spawn(async move { once(&daemon, &dispatcher).await })
        };
        // Never dropped half-way: stopping waits for the round.
        let wait = match round.await {
            Ok(Ok(next)) => {
                let wait = next.map_or(LOOK_AGAIN, |at| until(at, daemon.clock.now()));
                wait.clamp(Duration::from_millis(5), LOOK_AGAIN)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "evaluating or dispatching failed; it is tried again");
                Duration::from_secs(5)
            }
            Err(_) => {
                tracing::error!("evaluating or dispatching panicked; it is tried again");
                Duration::from_secs(5)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = news.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn until(at: At, now: At) -> Duration {
    Duration::from_micros(u64::try_from(at.micros_since(now)).unwrap_or(0))
}

/// One round; when something is due next.
async fn once(daemon: &Daemon, dispatcher: &Dispatcher) -> Result<Option<At>, RuntimeError> {
    let sold_out = sold_out(&daemon.store, &daemon.book).await?;
    let book = if sold_out == daemon.book.sold_out {
        Arc::clone(&daemon.book)
    } else {
        Arc::new(Book { sold_out, ..(*daemon.book).clone() })
    };
    let Round { decided, handed } = round(&daemon.store, &book, dispatcher, &daemon.clock).await?;
    let is_idle = decided.evaluated == 0 && handed == DispatchReport::default();
    if !is_idle {
        tracing::info!(
            decided = decided.evaluated,
            sent = handed.sent,
            failed = handed.failed,
            retried = handed.retried,
            "a round"
        );
    }
    let next = [daemon.store.next_due().await?, daemon.store.next_delivery_due().await?];
    let next = next.into_iter().flatten().min();
    // What is due and was left alone waits for somebody to carry it; looking without a break would not help it.
    let now = daemon.clock.now();
    Ok(next.map(|at| if is_idle && at <= now { now.plus_micros(REST_MICROS) } else { at }))
}

async fn keep_house(daemon: Daemon, stop: CancellationToken) {
    while rest(Duration::from_secs(3_600), &stop).await {
        if let Err(error) = daemon.store.housekeep(daemon.clock.now(), daemon.project.past_days).await {
            tracing::warn!(%error, "keeping house failed; it is tried again in an hour");
        }
    }
}
