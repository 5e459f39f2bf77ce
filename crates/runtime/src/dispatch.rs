//! Takes what is due out of the outbox, a connector's share at a time: as much as it has free slots, with the guards
//! asked again, and by a clock that is read for every claim. Never decides what is sent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use zyklus_connect::Dedup;
use zyklus_engine::{Book, Permit, outranked, permits};
use zyklus_host::Opened;
use zyklus_model::{At, Channel, Delivery, DeliveryId, DeliveryKind, GuardReason, Snapshot};
use zyklus_store::{ClaimRequest, Claimed, Judgement, Store};

use crate::breaker::Breakers;
use crate::clock::Clock;
use crate::connectors::Connectors;
use crate::definitions::OldTemplates;
use crate::error::RuntimeError;
use crate::handing::LEASE_MICROS;
use crate::offers::LatestGoods;
use crate::outcome::{Repeats, end_of_lost};
use crate::project::Project;
use crate::shelf::BestSellers;

/// How many are claimed at a time at most, however many slots a connector has.
const MOST: u32 = 100;

/// What dispatching came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct DispatchReport {
    /// Taken by the provider.
    pub sent: u64,
    /// Refused for good, by the provider or because the message could not be made.
    pub failed: u64,
    /// To be tried again.
    pub retried: u64,
    /// Handed over without an answer.
    pub unknown: u64,
    /// Refused by a guard at the last moment.
    pub refused: u64,
    /// Moved to a later time by a guard.
    pub postponed: u64,
    /// Too late.
    pub expired: u64,
}

impl std::ops::AddAssign for DispatchReport {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.failed += other.failed;
        self.retried += other.retried;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.postponed += other.postponed;
        self.expired += other.expired;
    }
}

/// Hands deliveries over.
pub struct Dispatcher {
    pub(crate) store: Store,
    pub(crate) project: Arc<Project>,
    connectors: Arc<Connectors>,
    pub(crate) owner: String,
    pub(crate) clock: Clock,
    pub(crate) stop: CancellationToken,
    breakers: Mutex<Breakers>,
    /// Whose turn it is to count refusals.
    pub(crate) refusing: tokio::sync::Mutex<()>,
    pub(crate) old_templates: OldTemplates,
    pub(crate) best_sellers: BestSellers,
    pub(crate) goods: LatestGoods,
    /// What this daemon is working on: nobody else's business, least of all its own as something lost.
    held: Mutex<BTreeSet<DeliveryId>>,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// A dispatcher that claims under a name of its own. Once `stop` is cancelled it claims nothing more, and
    /// gives back what it has not yet begun to hand over.
    pub fn new(
        store: Store,
        project: Arc<Project>,
        connectors: Arc<Connectors>,
        owner: String,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        Dispatcher {
            store,
            project,
            connectors,
            owner,
            clock,
            stop,
            breakers: Mutex::default(),
            refusing: tokio::sync::Mutex::default(),
            old_templates: OldTemplates::default(),
            best_sellers: BestSellers::default(),
            goods: LatestGoods::default(),
            held: Mutex::default(),
        }
    }

    /// Dispatches over all connectors, one after the other, until nothing more is due.
    ///
    /// # Errors
    /// The store's. What was claimed is given back then, and what was handed over is noted.
    pub async fn dispatch(&self, book: &Arc<Book>) -> Result<DispatchReport, RuntimeError> {
        let mut report = DispatchReport::default();
        self.settle_lost().await?;
        for connector in self.carriers() {
            while let Some(turn) = self.turn(book, &connector).await? {
                report += turn;
            }
        }
        Ok(report)
    }

    /// Claims what one connector has slots for and hands it over; `None` = there is nothing for it now.
    ///
    /// # Errors
    /// The store's, as with [`Dispatcher::dispatch`].
    pub async fn turn(
        &self,
        book: &Arc<Book>,
        connector: &Arc<Opened>,
    ) -> Result<Option<DispatchReport>, RuntimeError> {
        let now = self.clock.now();
        if self.stop.is_cancelled() || self.paused_until(connector).is_some() {
            return Ok(None);
        }
        let Claimed { claims, refused, postponed, expired, more, .. } =
            self.claim(book, connector, now).await?;
        if claims.is_empty() && !more {
            let moved = refused + postponed + expired > 0;
            let report = DispatchReport { refused, postponed, expired, ..DispatchReport::default() };
            return Ok(moved.then_some(report));
        }
        let mut report = self.carry(book, connector, claims).await?;
        report.refused += refused;
        report.postponed += postponed;
        report.expired += expired;
        Ok(Some(report))
    }

    async fn claim(
        &self,
        book: &Arc<Book>,
        connector: &Arc<Opened>,
        now: At,
    ) -> Result<Claimed, RuntimeError> {
        let is_on_trial = self.breakers().is_on_trial(connector.id());
        let request = ClaimRequest {
            owner: self.owner.clone(),
            now,
            lease_micros: LEASE_MICROS,
            // Out of a rest comes one, to see.
            limit: if is_on_trial { 1 } else { slots(connector) },
            connectors: None,
        };
        let ready: Vec<Arc<Opened>> =
            self.carriers().into_iter().filter(|c| self.paused_until(c).is_none()).collect();
        let (book, id) = (Arc::clone(book), connector.id().to_owned());
        let claimed = self.store.claim(request, move |snapshot, delivery| match choose(&ready, delivery) {
            Some(carrier) if carrier.id() == id => judgement(&book, snapshot, delivery, now),
            Some(_) | None => Judgement::NotNow,
        });
        Ok(claimed.await?)
    }

    /// Ends tries whose daemon did not come back; how many. What it did not hand over goes back into the outbox.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle_lost(&self) -> Result<u64, RuntimeError> {
        let now = self.clock.now();
        let carriers = self.carriers();
        let mut settled = 0;
        for lost in self.store.expired_leases(now, MOST).await? {
            if self.held().contains(&lost.delivery.id) {
                continue;
            }
            let carrier = choose(&carriers, &lost.delivery);
            let repeats = carrier.map_or(Repeats::AreNotNoticed, |carrier| repeats(carrier, &lost.delivery));
            let end = end_of_lost(&lost, repeats, now);
            tracing::warn!(delivery.id = %lost.delivery.id, end = ?end, "its daemon did not come back");
            settled +=
                u64::from(self.store.settle_lost(lost.delivery.id, lost.attempt.number, end, now).await?);
        }
        Ok(settled)
    }

    /// Until when a connector gets nothing, because it is stuck; `None` = it is not.
    pub fn paused_until(&self, connector: &Opened) -> Option<At> {
        self.breakers().paused_until(connector.id(), self.clock.now())
    }

    pub(crate) fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, BTreeSet<DeliveryId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connectors something can be handed to, in the file's order, of which the first is a channel's default.
    fn carriers(&self) -> Vec<Arc<Opened>> {
        let mut all: Vec<Arc<Opened>> = self.connectors.all().into_iter().filter(|c| carries(c)).collect();
        all.sort_by_key(|c| self.project.connectors.iter().position(|known| known.id == c.id()));
        all
    }
}

/// Whether anything can be handed to a connector.
pub(crate) fn carries(connector: &Opened) -> bool {
    connector.manifest().channel.is_some() || !connector.manifest().actions.is_empty()
}

/// What the guards say.
pub(crate) fn judgement(book: &Book, snapshot: &Snapshot, delivery: &Delivery, now: At) -> Judgement {
    match permits(book, snapshot, delivery, now) {
        Permit::Go => Judgement::Send,
        Permit::Delay(until, reason) => {
            let winner = outranked(book, snapshot, delivery, now);
            let outranked_by =
                winner.filter(|_| reason == GuardReason::Outranked).map(|(winner, _)| winner.id);
            Judgement::Postpone { until, reason, outranked_by }
        }
        Permit::Refuse(reason) => Judgement::Refuse(reason),
    }
}

/// How many a connector can work on at once: everything that is handed over may have gone when the daemon dies.
fn slots(connector: &Opened) -> u32 {
    let manifest = connector.manifest();
    let at_once = manifest.max_in_flight.max(1);
    let batch = manifest.channel.as_ref().map_or(1, |spec| spec.max_batch.max(1));
    at_once.div_ceil(batch).saturating_mul(batch).min(MOST)
}

/// Whether the carrier recognises a delivery handed over a second time.
pub(crate) fn repeats(carrier: &Opened, delivery: &Delivery) -> Repeats {
    let manifest = carrier.manifest();
    let dedup = match delivery.kind {
        DeliveryKind::Message => manifest.channel.as_ref().map(|spec| spec.dedup),
        DeliveryKind::Action => manifest.actions.iter().find(|a| a.name == delivery.target).map(|a| a.dedup),
    };
    match dedup {
        Some(Dedup::Native | Dedup::Lookup) => Repeats::AreNoticed,
        Some(Dedup::None) | None => Repeats::AreNotNoticed,
    }
}

/// The connector a delivery names, else the first that carries its channel.
fn choose<'c>(carriers: &'c [Arc<Opened>], delivery: &Delivery) -> Option<&'c Arc<Opened>> {
    let channel = delivery.channel.unwrap_or(Channel::Email);
    let can = |c: &Opened| match delivery.kind {
        DeliveryKind::Action => c.manifest().actions.iter().any(|a| a.name == delivery.target),
        DeliveryKind::Message => c.manifest().channel.as_ref().is_some_and(|s| s.channel == channel),
    };
    let named = delivery.connector.as_deref();
    carriers.iter().find(|c| named.is_none_or(|id| id == c.id()) && can(c))
}
