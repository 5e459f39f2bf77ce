//! Takes what is due out of the outbox and hands it over, once: claim with the guards asked again, render, send,
//! complete. Never decides what is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zyklus_connect::{Action, Dedup, Keyed, Message, Outcome};
use zyklus_engine::{Book, Permit, outranked, permits};
use zyklus_host::Opened;
use zyklus_model::{At, Attempt, Channel, Delivery, DeliveryId, DeliveryKind, GuardReason, Suppression};
use zyklus_store::{AttemptEnd, Claim, ClaimRequest, Completion, Judgement, Store, StoreError};

use crate::clock::Clock;
use crate::connectors::Connectors;
use crate::definitions::OldTemplates;
use crate::error::RuntimeError;
use crate::mail;
use crate::outcome::{Pauses, Repeats, end_of, end_of_lost};
use crate::project::Project;

/// How long a claim holds from when its batch is handed over: longer than the host lets a batch take.
const LEASE_MICROS: i64 = 20 * 60 * 1_000_000;
/// How many deliveries are claimed at a time.
const CLAIM: u32 = 100;

/// How long to wait before the store is asked again that was out of order in the middle of handing over.
const ASK_AGAIN: Duration = Duration::from_secs(2);

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
    store: Store,
    project: Arc<Project>,
    connectors: Arc<Connectors>,
    owner: String,
    clock: Clock,
    stop: CancellationToken,
    pauses: Mutex<Pauses>,
    old_templates: OldTemplates,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// A claim with what is handed over for it.
type Ready<T> = (Claim, Keyed<T>);

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
            pauses: Mutex::default(),
            old_templates: OldTemplates::default(),
        }
    }

    /// Dispatches until nothing more is due at `now`.
    ///
    /// # Errors
    /// The store's. An outcome that cannot be noted is kept until it can, or until stopping is asked; then it ends as a
    /// lost attempt when its lease runs out.
    pub async fn dispatch(&self, book: &Arc<Book>, now: At) -> Result<DispatchReport, RuntimeError> {
        let mut report = DispatchReport::default();
        self.settle_lost(now).await?;
        while !self.stop.is_cancelled() {
            let carriers = Arc::new(self.carriers(now));
            let claimed = {
                let (book, carriers) = (Arc::clone(book), Arc::clone(&carriers));
                let request = ClaimRequest {
                    owner: self.owner.clone(),
                    now,
                    lease_micros: LEASE_MICROS,
                    limit: CLAIM,
                    connectors: None,
                };
                self.store
                    .claim(request, move |snapshot, delivery| {
                        if carriers.choose(delivery).is_none() {
                            return Judgement::NotNow;
                        }
                        match permits(&book, snapshot, delivery, now) {
                            Permit::Go => Judgement::Send,
                            Permit::Delay(until, reason) => {
                                let winner = outranked(&book, snapshot, delivery, now);
                                let outranked_by = winner
                                    .filter(|_| reason == GuardReason::Outranked)
                                    .map(|(winner, _)| winner.id);
                                Judgement::Postpone { until, reason, outranked_by }
                            }
                            Permit::Refuse(reason) => Judgement::Refuse(reason),
                        }
                    })
                    .await?
            };
            report.refused += claimed.refused;
            report.postponed += claimed.postponed;
            report.expired += claimed.expired;
            if claimed.claims.is_empty() && !claimed.more {
                break;
            }
            report += self.hand_over(book, &carriers, claimed.claims).await?;
        }
        Ok(report)
    }

    /// Attempts whose daemon died: whether those it had begun to hand over arrived is not known.
    async fn settle_lost(&self, now: At) -> Result<(), RuntimeError> {
        let carriers = Carriers { ready: self.connectors.opened.clone() };
        for (delivery, attempt) in self.store.expired_leases(now, CLAIM).await? {
            let carrier = carriers.choose(&delivery);
            let repeats = carrier.map_or(Repeats::AreNotNoticed, |carrier| repeats(carrier, &delivery));
            let end = end_of_lost(&delivery, attempt.handed_at, repeats, now);
            self.store.settle_lost(delivery.id, attempt.number, end, now).await?;
        }
        Ok(())
    }

    fn pauses(&self) -> std::sync::MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn carriers(&self, now: At) -> Carriers {
        let pauses = self.pauses();
        let ready = self.connectors.opened.iter().filter(|c| !pauses.is_paused(c.id(), now));
        Carriers { ready: ready.cloned().collect() }
    }

    async fn hand_over(
        &self,
        book: &Arc<Book>,
        carriers: &Carriers,
        claims: Vec<Claim>,
    ) -> Result<DispatchReport, RuntimeError> {
        let mut report = DispatchReport::default();
        let mut messages: BTreeMap<&str, Vec<Ready<Message>>> = BTreeMap::new();
        let mut actions: BTreeMap<&str, Vec<Ready<Action>>> = BTreeMap::new();
        for claim in claims {
            let key = claim.delivery.id.to_string();
            let attempt = u32::try_from(claim.attempt.number).unwrap_or(u32::MAX);
            // Claimed were only those that somebody carries.
            let Some(carrier) = carriers.choose(&claim.delivery) else { continue };
            match claim.delivery.kind {
                DeliveryKind::Action => {
                    let body = action_of(&claim);
                    actions.entry(carrier.id()).or_default().push((claim, Keyed { key, attempt, body }));
                }
                DeliveryKind::Message => match self.render(book, &claim).await? {
                    Ok(body) => {
                        messages.entry(carrier.id()).or_default().push((claim, Keyed { key, attempt, body }));
                    }
                    Err(detail) => {
                        tracing::error!(delivery.id = %claim.delivery.id, error = %detail, "the message could not be made");
                        self.complete(&claim, AttemptEnd::Failed { detail }, None).await?;
                        report.failed += 1;
                    }
                },
            }
        }
        for (carrier, ready) in messages {
            let Some(opened) = self.connectors.find(carrier) else { continue };
            let size = opened.manifest().channel.as_ref().map_or(1, |s| s.max_batch.max(1));
            report += self
                .in_batches(opened, ready, size as usize, |batch| async {
                    let outcomes = opened.send(batch).await;
                    outcomes.into_iter().map(|o| map_done(o, |receipt| receipt.provider_ref)).collect()
                })
                .await?;
        }
        for (carrier, ready) in actions {
            let Some(opened) = self.connectors.find(carrier) else { continue };
            let size = ready.len();
            report += self
                .in_batches(opened, ready, size, |batch| async {
                    opened.perform(batch).await.into_iter().map(|o| map_done(o, |_| None)).collect()
                })
                .await?;
        }
        Ok(report)
    }

    /// Hands over batch after batch and notes every outcome, also when noting one fails.
    async fn in_batches<T, F, O>(
        &self,
        opened: &Opened,
        mut ready: Vec<Ready<T>>,
        size: usize,
        send: F,
    ) -> Result<DispatchReport, RuntimeError>
    where
        F: Fn(Vec<Keyed<T>>) -> O,
        O: Future<Output = Vec<Outcome<Option<String>>>>,
    {
        let mut report = DispatchReport::default();
        let mut first_error = None;
        while !ready.is_empty() {
            let rest = ready.split_off(size.min(ready.len()));
            let (claims, bodies) = self.still_ours(std::mem::replace(&mut ready, rest)).await?;
            if self.stop.is_cancelled() {
                for claim in &claims {
                    let detail = "the daemon was stopping".to_owned();
                    let end = AttemptEnd::Release { due_at: claim.delivery.due_at, detail };
                    self.complete(claim, end, None).await?;
                }
                continue;
            }
            for (claim, outcome) in claims.iter().zip(send(bodies).await) {
                match self.conclude(opened, claim, outcome).await {
                    Ok(one) => report += one,
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
        }
        first_error.map_or(Ok(report), Err)
    }

    /// Notes that a batch is about to be handed over, and leaves out what somebody else settled while it waited
    /// its turn.
    async fn still_ours<T>(&self, batch: Vec<Ready<T>>) -> Result<(Vec<Claim>, Vec<Keyed<T>>), RuntimeError> {
        let ids: Vec<_> = batch.iter().map(|(claim, _)| claim.delivery.id).collect();
        if self.begin_hand_over(&ids).await? == ids.len() as u64 {
            return Ok(batch.into_iter().unzip());
        }
        let mut ours = Vec::with_capacity(batch.len());
        for (claim, body) in batch {
            if self.begin_hand_over(&[claim.delivery.id]).await? == 1 {
                ours.push((claim, body));
            }
        }
        Ok(ours.into_iter().unzip())
    }

    async fn begin_hand_over(&self, ids: &[DeliveryId]) -> Result<u64, RuntimeError> {
        let begin = || {
            let now = self.clock.now();
            self.store.begin_hand_over(&self.owner, ids, now, now.plus_micros(LEASE_MICROS))
        };
        Ok(self.patiently(begin).await?)
    }

    /// Asks the store again and again while it is out of order for a time, unless stopping is asked.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        loop {
            match ask().await {
                Err(error) if error.is_transient() && !self.stop.is_cancelled() => {
                    tracing::error!(%error, "the store cannot take what became of a delivery; it is asked again");
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = tokio::time::sleep(ASK_AGAIN) => {}
                    }
                }
                done => return done,
            }
        }
    }

    /// Renders in a task of its own: a panic in a template engine is this delivery's failure, not the daemon's.
    async fn render(&self, book: &Arc<Book>, claim: &Claim) -> Result<Result<Message, String>, StoreError> {
        let named = mail::products_named(&claim.snapshot);
        let products = self.patiently(|| self.store.products(&named)).await?;
        let old =
            self.patiently(|| self.old_templates.of(&self.store, book, &claim.snapshot, &claim.delivery));
        let old = match old.await? {
            Ok(old) => old,
            Err(reason) => return Ok(Err(reason)),
        };
        let (project, book) = (Arc::clone(&self.project), Arc::clone(book));
        let (snapshot, delivery) = (claim.snapshot.clone(), claim.delivery.clone());
        let rendering = tokio::task::spawn_blocking(move || {
            let templates = old.as_deref().unwrap_or(&project.templates);
            mail::render(&project, templates, &book, &snapshot, &delivery, &products)
        });
        Ok(match rendering.await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("rendering panicked; this is a defect in zyklus, please report it".to_owned()),
        })
    }

    async fn conclude(
        &self,
        opened: &Opened,
        claim: &Claim,
        outcome: Outcome<Option<String>>,
    ) -> Result<DispatchReport, RuntimeError> {
        let now = self.clock.now();
        let repeats = repeats(opened, &claim.delivery);
        let (end, suppress) = end_of(&claim.delivery, opened.id(), outcome, repeats, now, &mut self.pauses());
        let mut report = DispatchReport::default();
        match &end {
            AttemptEnd::Accepted { .. } => report.sent = 1,
            AttemptEnd::Failed { .. } | AttemptEnd::Dead { .. } => report.failed = 1,
            AttemptEnd::Unknown { .. } => report.unknown = 1,
            AttemptEnd::Retry { .. } | AttemptEnd::Release { .. } => report.retried = 1,
        }
        if report.sent == 0 {
            tracing::warn!(
                delivery.id = %claim.delivery.id, connector.id = opened.id(), end = ?end, "not delivered"
            );
        }
        self.complete(claim, end, suppress).await?;
        Ok(report)
    }

    async fn complete(
        &self,
        claim: &Claim,
        end: AttemptEnd,
        suppress: Option<Suppression>,
    ) -> Result<(), RuntimeError> {
        let Attempt { delivery, number, .. } = claim.attempt;
        let completion = Completion {
            delivery,
            attempt: number,
            owner: self.owner.clone(),
            at: self.clock.now(),
            end,
            suppress,
        };
        // What became of a message is known only here: it is kept until the store can take it.
        let is_noted = self.patiently(|| self.store.complete(completion.clone())).await?;
        if !is_noted {
            tracing::warn!(delivery.id = %delivery, "the claim was lost before it could be completed");
        }
        Ok(())
    }
}

/// Whether the carrier recognises a delivery handed over a second time.
fn repeats(carrier: &Opened, delivery: &Delivery) -> Repeats {
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

/// The connectors something can be handed to.
struct Carriers {
    ready: Vec<Arc<Opened>>,
}

impl Carriers {
    /// The connector a delivery names, else the first that carries its channel.
    fn choose(&self, delivery: &Delivery) -> Option<&Arc<Opened>> {
        let channel = delivery.channel.unwrap_or(Channel::Email);
        let can = |c: &Opened| match delivery.kind {
            DeliveryKind::Action => c.manifest().actions.iter().any(|a| a.name == delivery.target),
            DeliveryKind::Message => c.manifest().channel.as_ref().is_some_and(|s| s.channel == channel),
        };
        let named = delivery.connector.as_deref();
        self.ready.iter().find(|c| named.is_none_or(|id| id == c.id()) && can(c))
    }
}

fn action_of(claim: &Claim) -> Action {
    let delivery = &claim.delivery;
    let system = delivery.connector.as_deref().unwrap_or_default();
    let identity = claim
        .snapshot
        .identities
        .iter()
        .find(|i| i.system == system && i.kind == zyklus_model::IdentityKind::External);
    Action {
        name: delivery.target.clone(),
        input: delivery.payload.get("with").cloned().unwrap_or_else(|| serde_json::json!({})),
        customer_external_id: identity.map(|i| i.value.clone()),
    }
}

fn map_done<A, B>(outcome: Outcome<A>, done: impl FnOnce(A) -> B) -> Outcome<B> {
    match outcome {
        Outcome::Done(value) => Outcome::Done(done(value)),
        Outcome::Rejected(e) => Outcome::Rejected(e),
        Outcome::Retry(e) => Outcome::Retry(e),
        Outcome::Unknown(e) => Outcome::Unknown(e),
    }
}
