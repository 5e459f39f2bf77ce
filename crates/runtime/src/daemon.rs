//! The daemon: every connector is synced on its own and handed deliveries on its own, and evaluation goes on beside
//! them, as soon as something changes or is due, until it is asked to stop. One that fails or hangs does not hurt
//! the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zyklus_engine::Book;
use zyklus_host::{ConnectorConfig, Opened};
use zyklus_model::At;
use zyklus_store::Store;

use crate::backfill::admit;
use crate::clock::Clock;
use crate::connectors::Connectors;
use crate::dispatch::{DispatchReport, Dispatcher, carries};
use crate::error::RuntimeError;
use crate::evaluate::{EvaluateReport, evaluate, sold_out};
use crate::handing::LEASE_MICROS;
use crate::learn::{is_behind, is_time, learn_nightly, put_learned};
use crate::project::Project;
use crate::reload::{Reload, keep_reloading};
use crate::sync::sync_until;

/// How often a connector is asked for news unless it is configured.
const SYNC_EVERY: Duration = Duration::from_secs(300);
/// How long to sleep at most before looking at the store again: other daemons and commands write to it, too.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Deciding for so many takes memory worth giving back.
const MANY: u64 = 1_000;
/// How long a loop rests after the store failed it.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How often it is asked whether it is time to learn, and how long that rests after it failed.
const LEARN_AGAIN: Duration = Duration::from_secs(60);
const AFTER_LEARNING_FAILED: Duration = Duration::from_secs(3_600);
/// How often a connector that did not open is tried again: at first, and at most after that.
const OPEN_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// How long not much was decided before memory is given back. Threads that waited for the disk have ended by then, and left
/// behind what was theirs.
const QUIET: Duration = Duration::from_secs(15);
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
    /// How connectors from libraries are read again while it runs; `None` = never.
    pub reload: Option<Reload>,
    /// Gives memory that is not in use back to the system; called when not much was decided for a while.
    pub give_back: fn(),
}

/// What the loops share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) daemon: Daemon,
    dispatcher: Arc<Dispatcher>,
    /// Wakes evaluation.
    news: Arc<Notify>,
    /// Tells that much was decided, or something learned.
    worked: Arc<Notify>,
    /// What is decided by, with what is sold out by now; sent anew, it wakes those that hand over.
    book: Arc<watch::Sender<Arc<Book>>>,
    /// Whether another configuration was put in place: then this one sends nothing more, either.
    is_superseded: Arc<AtomicBool>,
    /// What has to end before the daemon does.
    tasks: TaskTracker,
    /// Stops all of it; in a connector's own loops, those alone.
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// The loops of one connector.
    pub(crate) fn keep(&self, connector: Kept) -> Loops {
        let stop = self.stop.child_token();
        let shared = Shared { stop: stop.clone(), ..self.clone() };
        let ended = match connector {
            Kept::Open(opened) => self.tasks.spawn(keep_connected(shared, opened)),
            Kept::Failed(config) => self.tasks.spawn(keep_opening(shared, config)),
        };
        Loops { stop, ended }
    }
}

/// What ends the loops of one connector, and tells when they have.
pub(crate) struct Loops {
    pub(crate) stop: CancellationToken,
    pub(crate) ended: tokio::task::JoinHandle<()>,
}

/// A connector to be kept going.
pub(crate) enum Kept {
    /// One that is open.
    Open(Arc<Opened>),
    /// One that is to be opened.
    Failed(Box<ConnectorConfig>),
}

impl Daemon {
    /// Runs until `stop` is cancelled, then finishes what is under way, for 20 seconds at most. What fails while it
    /// runs is logged and tried again.
    pub async fn run(self, stop: CancellationToken) {
        let dispatcher = Arc::new(Dispatcher::new(
            self.store.clone(),
            Arc::clone(&self.project),
            Arc::clone(&self.connectors),
            self.owner.clone(),
            self.clock.clone(),
            stop.clone(),
        ));
        let (book, _) = watch::channel(Arc::clone(&self.book));
        let shared = Shared {
            daemon: self,
            dispatcher,
            news: Arc::default(),
            worked: Arc::default(),
            book: Arc::new(book),
            is_superseded: Arc::default(),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        };
        match shared.daemon.store.end_left_leases(shared.daemon.clock.now()).await {
            Ok(0) => {}
            Ok(left) => {
                tracing::warn!(left, "the last daemon died while it was sending; that is settled now")
            }
            Err(error) => tracing::error!(%error, "what the last daemon was sending is settled later"),
        }
        shared.news.notify_one();
        let mut loops = HashMap::new();
        for connector in &shared.daemon.connectors.opened {
            loops.insert(connector.id().to_owned(), shared.keep(Kept::Open(Arc::clone(connector))));
        }
        for (id, _) in &shared.daemon.connectors.failed {
            if let Some(config) = shared.daemon.project.connectors.iter().find(|config| config.id == *id) {
                loops.insert(id.clone(), shared.keep(Kept::Failed(Box::new(config.clone()))));
            }
        }
        let tasks = shared.tasks.clone();
        tasks.spawn(keep_deciding(shared.clone()));
        tasks.spawn(keep_settling(shared.clone()));
        tasks.spawn(keep_learning(shared.clone()));
        tasks.spawn(keep_house(shared.daemon.clone(), stop.clone()));
        tasks.spawn(keep_small(shared.clone()));
        if let Some(reload) = shared.daemon.reload.clone() {
            tasks.spawn(keep_reloading(shared, reload, loops));
        }
        stop.cancelled().await;
        tracing::info!("stopping: finishing what is under way");
        tasks.close();
        let drained = tokio::time::timeout(DRAIN, tasks.wait()).await;
        if drained.is_err() {
            tracing::warn!("work was still under way after 20 s and is left to the next start");
        }
    }
}

/// Sleeps, unless stopping is asked; `false` = stop.
pub(crate) async fn rest(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(time) => true,
    }
}

async fn keep_synced(daemon: Daemon, connector: Arc<Opened>, news: Arc<Notify>, stop: CancellationToken) {
    let every = connector.settings().sync_every.unwrap_or(SYNC_EVERY);
    let mut failures = 0u32;
    while !stop.is_cancelled() {
        let (work, read, until) = (daemon.clone(), Arc::clone(&connector), stop.clone());
        // In a task of its own, for it may panic. What it took before it was asked to stop is news all the same.
        let report =
            tokio::spawn(
                async move { sync_until(&work.store, &read, &work.project, &work.clock, &until).await },
            );
        let wait = match report.await {
            Ok(report) => {
                if report.has_news() {
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

/// Both directions of one connector, as far as it has them.
async fn keep_connected(shared: Shared, connector: Arc<Opened>) {
    let reading = async {
        if !connector.manifest().streams.is_empty() {
            let (news, stop) = (Arc::clone(&shared.news), shared.stop.clone());
            keep_synced(shared.daemon.clone(), Arc::clone(&connector), news, stop).await;
        }
    };
    let handing = async {
        if carries(&connector) {
            keep_handing(&shared, &connector).await;
        }
    };
    tokio::join!(reading, handing);
}

/// Opens a connector that could not be opened when the daemon started, and then keeps it going.
async fn keep_opening(shared: Shared, config: Box<ConnectorConfig>) {
    let (mut wait, longest) = OPEN_AGAIN;
    let id = config.id.clone();
    while rest(wait, &shared.stop).await {
        let (connectors, config) = (Arc::clone(&shared.daemon.connectors), config.clone());
        let opening = tokio::spawn(async move { connectors.open_as(&config).await });
        match opening.await {
            Ok(Ok(connector)) => {
                tracing::info!(connector.id = %id, "the connector is open now");
                // Its deliveries may lie there since long.
                return keep_connected(shared, connector).await;
            }
            Ok(Err(error)) => tracing::warn!(connector.id = %id, %error, "the connector is still not open"),
            Err(_) => {
                tracing::error!(connector.id = %id, "opening the connector panicked; it is tried again")
            }
        }
        wait = (wait * 2).min(longest);
    }
}

/// Hands one connector what is due for it.
async fn keep_handing(shared: &Shared, connector: &Arc<Opened>) {
    let mut books = shared.book.subscribe();
    let mut is_new = true;
    while !shared.stop.is_cancelled() {
        let turn = {
            let book = Arc::clone(&books.borrow_and_update());
            let (dispatcher, connector) = (Arc::clone(&shared.dispatcher), Arc::clone(connector));
            // Never dropped half-way: stopping waits for it.
            if shared.is_superseded.load(Ordering::SeqCst) {
                Ok(Ok(None))
            } else {
                tokio::spawn(async move { dispatcher.turn(&book, &connector).await }).await
            }
        };
        let wait = match turn {
            Ok(Ok(Some(report))) => {
                told(connector, &report);
                // What was sent is a fact like any other.
                shared.news.notify_one();
                is_new = true;
                continue;
            }
            Ok(Ok(None)) => nothing_to_hand(shared, connector, std::mem::take(&mut is_new)).await,
            Ok(Err(error)) => {
                tracing::error!(connector.id = connector.id(), %error, "handing over failed; it is tried again");
                AFTER_FAILURE
            }
            Err(_) => {
                tracing::error!(connector.id = connector.id(), "handing over panicked; it is tried again");
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = books.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn told(connector: &Opened, report: &DispatchReport) {
    tracing::info!(
        connector.id = connector.id(),
        sent = report.sent,
        failed = report.failed,
        retried = report.retried,
        unknown = report.unknown,
        refused = report.refused,
        "handed over"
    );
}

/// How long to wait when there is nothing for a connector: to the end of its rest, to the next delivery's time, or as
/// long as always. What is due and was not to be had is somebody else's, or held by another daemon for a moment: that
/// is looked at once more soon, and then as often as everything.
async fn nothing_to_hand(shared: &Shared, connector: &Opened, is_new: bool) -> Duration {
    let now = shared.daemon.clock.now();
    if let Some(end) = shared.dispatcher.paused_until(connector) {
        return until(end, now).clamp(Duration::from_millis(5), LOOK_AGAIN);
    }
    if is_new {
        return Duration::from_secs(1);
    }
    match shared.daemon.store.next_delivery_after(now).await {
        Ok(next) => next.map_or(LOOK_AGAIN, |at| until(at, now)).clamp(Duration::from_millis(5), LOOK_AGAIN),
        Err(error) => {
            tracing::error!(%error, "the store could not say what is due next");
            AFTER_FAILURE
        }
    }
}

/// Evaluates whoever is due.
async fn keep_deciding(shared: Shared) {
    while !shared.stop.is_cancelled() {
        let turn = {
            let shared = shared.clone();
            tokio::spawn(async move { decide(&shared).await })
        };
        // Never dropped half-way: stopping waits for it.
        let turn = turn.await;
        let is_superseded = matches!(turn, Ok(Err(RuntimeError::Superseded)));
        shared.is_superseded.store(is_superseded, Ordering::SeqCst);
        if !matches!(turn, Ok(Ok(_))) {
            // However far it came.
            shared.worked.notify_one();
        }
        let wait = match turn {
            Ok(Ok(wait)) => wait,
            // With what was learned, at once.
            Ok(Err(RuntimeError::Outdated)) => Duration::ZERO,
            Ok(Err(error)) => {
                tracing::error!(%error, "evaluating failed; it is tried again");
                AFTER_FAILURE
            }
            Err(_) => {
                tracing::error!("evaluating panicked; it is tried again");
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.news.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Evaluates once; how long there is nothing to evaluate.
async fn decide(shared: &Shared) -> Result<Duration, RuntimeError> {
    let Shared { daemon, .. } = shared;
    let known = Arc::clone(&shared.book.borrow());
    let sold_out = sold_out(&daemon.store, &known).await?;
    let book = if sold_out == known.sold_out && !is_behind(&daemon.store, &known).await? {
        known
    } else {
        let mut book = Book { sold_out, ..(*known).clone() };
        put_learned(&daemon.store, &mut book).await?;
        Arc::new(book)
    };
    let mut decided = EvaluateReport::default();
    let mut book = book;
    if book.journeys.iter().any(|journey| journey.backfill.is_some()) {
        // Who is let in is found among those whose phase is known.
        decided += evaluate(&daemon.store, &book, daemon.clock.now(), &|_| {}).await?;
        book = admit(&daemon.store, &book, daemon.clock.now()).await?;
    }
    decided += evaluate(&daemon.store, &book, daemon.clock.now(), &|_| {}).await?;
    shared.book.send_replace(book);
    if decided.evaluated >= MANY {
        shared.worked.notify_one();
    }
    if decided.evaluated > 0 {
        tracing::info!(decided = decided.evaluated, deliveries = decided.deliveries, "evaluated");
    }
    let shortest = Duration::from_millis(if decided.evaluated > 0 { 5 } else { 1_000 });
    let next = daemon.store.next_due().await?;
    Ok(next.map_or(LOOK_AGAIN, |at| until(at, daemon.clock.now())).clamp(shortest, LOOK_AGAIN))
}

/// Ends what other daemons, or this one before it was started again, left behind.
async fn keep_settling(shared: Shared) {
    let every = Duration::from_micros(LEASE_MICROS as u64 / 3);
    loop {
        let dispatcher = Arc::clone(&shared.dispatcher);
        match tokio::spawn(async move { dispatcher.settle_lost().await }).await {
            Ok(Ok(0)) => {}
            Ok(Ok(_)) => {
                shared.news.notify_one();
                shared.book.send_modify(|_| ());
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "what was lost could not be settled; it is tried again")
            }
            Err(_) => tracing::error!("settling what was lost panicked; it is tried again"),
        }
        if !rest(every, &shared.stop).await {
            return;
        }
    }
}

fn until(at: At, now: At) -> Duration {
    Duration::from_micros(u64::try_from(at.micros_since(now)).unwrap_or(0))
}

/// Learns of the shop, the first time as soon as it is known and then each night.
async fn keep_learning(shared: Shared) {
    let daemon = &shared.daemon;
    let mut wait = LEARN_AGAIN;
    while rest(wait, &shared.stop).await {
        let work = daemon.clone();
        // In a task of its own, so that stopping never drops it half-way into the store.
        let turn = tokio::spawn(async move {
            let now = work.clock.now();
            if !is_time(&work.store, &work.project.shop.zone, now).await? {
                return Ok(None);
            }
            learn_nightly(&work.store, &work.project, now).await
        });
        wait = match turn.await {
            Ok(Ok(None)) => LEARN_AGAIN,
            Ok(Ok(Some(report))) => {
                tracing::info!(
                    customers = report.customers,
                    purchases = report.purchases,
                    reviews = report.reviews,
                    "learned of the shop"
                );
                shared.worked.notify_one();
                shared.news.notify_one();
                LEARN_AGAIN
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "learning failed; it is tried again in an hour");
                AFTER_LEARNING_FAILED
            }
            Err(_) => {
                tracing::error!("learning panicked; it is tried again in an hour");
                AFTER_LEARNING_FAILED
            }
        };
    }
}

/// Gives back the memory that deciding took once that has been quiet for a while: much was in hand, and little will be. If
/// it goes on just then, it only has to read anew.
async fn keep_small(shared: Shared) {
    let Shared { daemon, worked, stop, .. } = shared;
    let giving_back = async {
        loop {
            worked.notified().await;
            while tokio::time::timeout(QUIET, worked.notified()).await.is_ok() {}
            if let Err(error) = daemon.store.relax().await {
                tracing::warn!(%error, "the store kept its memory");
            }
            (daemon.give_back)();
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = giving_back => {}
    }
}

async fn keep_house(daemon: Daemon, stop: CancellationToken) {
    while rest(Duration::from_secs(3_600), &stop).await {
        if let Err(error) = daemon.store.housekeep(daemon.clock.now(), daemon.project.past_days).await {
            tracing::warn!(%error, "keeping house failed; it is tried again in an hour");
        }
    }
}
