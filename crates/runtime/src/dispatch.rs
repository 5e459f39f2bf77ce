//! Takes what is due out of the outbox and hands it over, once: claim with the guards asked again, render, send,
//! complete. Never decides what is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use zyklus_connect::{Action, Dedup, Error, ErrorKind, Keyed, Message, Outcome};
use zyklus_engine::{Book, Permit, permits};
use zyklus_host::Opened;
use zyklus_model::{
    At, Attempt, Channel, Delivery, DeliveryId, DeliveryKind, Purpose, Receipt, Suppression,
    SuppressionReason,
};
use zyklus_store::{AttemptEnd, Claim, ClaimRequest, Completion, Judgement, Store};

use crate::clock::Clock;
use crate::connectors::{Connectors, describe_connector};
use crate::error::RuntimeError;
use crate::mail;
use crate::project::Project;

/// How long a claim holds: longer than a connector may take for a batch.
const LEASE_MICROS: i64 = 20 * 60 * 1_000_000;
/// Tries before a delivery is given up, about a day and a half of them.
const MAX_ATTEMPTS: i64 = 10;
/// How many deliveries are claimed at a time.
const CLAIM: u32 = 100;

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

impl DispatchReport {
    fn add(&mut self, other: DispatchReport) {
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
    /// Connectors that are stuck as a whole: until when they get nothing, and how often in a row.
    paused: Mutex<BTreeMap<String, (At, u32)>>,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// A dispatcher that claims under a name of its own.
    pub fn new(
        store: Store,
        project: Arc<Project>,
        connectors: Arc<Connectors>,
        owner: String,
        clock: Clock,
    ) -> Self {
        Dispatcher { store, project, connectors, owner, clock, paused: Mutex::new(BTreeMap::new()) }
    }

    /// Dispatches until nothing more is due at `now`.
    ///
    /// # Errors
    /// The store's. What was claimed then ends as a lost attempt when its lease runs out.
    pub async fn dispatch(&self, book: &Arc<Book>, now: At) -> Result<DispatchReport, RuntimeError> {
        let mut report = DispatchReport::default();
        self.settle_lost(now).await?;
        loop {
            let claimed = {
                let book = Arc::clone(book);
                let carried = self.carriers(now);
                let request = ClaimRequest {
                    owner: self.owner.clone(),
                    now,
                    lease_micros: LEASE_MICROS,
                    limit: CLAIM,
                    connectors: None,
                };
                self.store
                    .claim(request, move |snapshot, delivery| {
                        if !carried.takes(delivery) {
                            return Judgement::NotNow;
                        }
                        match permits(&book, snapshot, delivery, now) {
                            Permit::Go => Judgement::Send,
                            Permit::Delay(until, _) => Judgement::Postpone(until),
                            Permit::Refuse(reason) => Judgement::Refuse(reason),
                        }
                    })
                    .await?
            };
            report.refused += claimed.refused;
            report.postponed += claimed.postponed;
            report.expired += claimed.expired;
            if claimed.claims.is_empty() {
                return Ok(report);
            }
            report.add(self.hand_over(book, claimed.claims, now).await?);
        }
    }

    /// Attempts whose daemon died: whether they arrived is not known. A marketing message is not sent again; a
    /// transactional one is, and so is anything whose carrier recognises repeats.
    async fn settle_lost(&self, now: At) -> Result<(), RuntimeError> {
        for (delivery, attempt) in self.store.expired_leases(now, 100).await? {
            let repeats_are_safe = match delivery.kind {
                DeliveryKind::Message => {
                    let channel = delivery.channel.unwrap_or(Channel::Email);
                    let carrier = self.connectors.carrier(channel, delivery.connector.as_deref());
                    carrier
                        .and_then(|c| c.manifest().channel.as_ref())
                        .is_some_and(|spec| spec.dedup != Dedup::None)
                }
                DeliveryKind::Action => self.action_repeats(&delivery),
            };
            let detail = "the daemon stopped between handing over and noting it".to_owned();
            let end = if repeats_are_safe || delivery.purpose == Purpose::Transactional {
                AttemptEnd::Retry { due_at: now, detail }
            } else {
                AttemptEnd::Unknown { detail }
            };
            self.store.settle_lost(delivery.id, attempt.number, end, now).await?;
        }
        Ok(())
    }

    fn action_repeats(&self, delivery: &Delivery) -> bool {
        let carrier = delivery.connector.as_deref().and_then(|id| self.connectors.find(id));
        carrier.is_some_and(|c| {
            c.manifest().actions.iter().any(|a| a.name == delivery.target && a.dedup != Dedup::None)
        })
    }

    fn carriers(&self, now: At) -> Carriers {
        let paused = self.paused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ready = |c: &&Arc<Opened>| paused.get(c.id()).is_none_or(|(until, _)| *until <= now);
        let opened: Vec<(String, Option<Channel>)> = self
            .connectors
            .opened
            .iter()
            .filter(ready)
            .map(|c| (c.id().to_owned(), c.manifest().channel.as_ref().map(|s| s.channel)))
            .collect();
        Carriers { opened }
    }

    async fn hand_over(
        &self,
        book: &Arc<Book>,
        claims: Vec<Claim>,
        now: At,
    ) -> Result<DispatchReport, RuntimeError> {
        let mut report = DispatchReport::default();
        let mut messages: BTreeMap<String, Vec<(Claim, Keyed<Message>)>> = BTreeMap::new();
        let mut actions: BTreeMap<String, Vec<(Claim, Keyed<Action>)>> = BTreeMap::new();
        for claim in claims {
            let delivery = &claim.delivery;
            let key = delivery.id.to_string();
            let attempt = u32::try_from(claim.attempt.number).unwrap_or(u32::MAX);
            if delivery.kind == DeliveryKind::Action {
                let carrier = delivery.connector.clone().unwrap_or_default();
                let body = action_of(&claim);
                actions.entry(carrier).or_default().push((claim, Keyed { key, attempt, body }));
                continue;
            }
            let channel = delivery.channel.unwrap_or(Channel::Email);
            let Some(carrier) = self.connectors.carrier(channel, delivery.connector.as_deref()) else {
                let detail = "no connector carries this channel".to_owned();
                let end = AttemptEnd::Release { due_at: now.plus_seconds(600), detail };
                self.complete(&claim.delivery, &claim.attempt, end, None).await?;
                report.retried += 1;
                continue;
            };
            let carrier = carrier.id().to_owned();
            match self.render(book, &claim).await {
                Ok(body) => messages.entry(carrier).or_default().push((claim, Keyed { key, attempt, body })),
                Err(detail) => {
                    tracing::error!(delivery.id = %claim.delivery.id, error = %detail, "the message could not be made");
                    self.complete(&claim.delivery, &claim.attempt, AttemptEnd::Failed { detail }, None)
                        .await?;
                    report.failed += 1;
                }
            }
        }
        for (carrier, batch) in messages {
            let Some(opened) = self.connectors.find(&carrier) else { continue };
            let size = opened.manifest().channel.as_ref().map_or(1, |s| s.max_batch.max(1)) as usize;
            let mut batch = batch;
            while !batch.is_empty() {
                let rest = batch.split_off(size.min(batch.len()));
                let (claims, bodies): (Vec<Claim>, Vec<_>) = batch.into_iter().unzip();
                let outcomes = opened.send(bodies).await;
                for (claim, outcome) in claims.iter().zip(outcomes) {
                    let outcome = map_done(outcome, |r: Receipt| r.provider_ref);
                    report.add(self.conclude(opened, claim, outcome).await?);
                }
                batch = rest;
            }
        }
        for (carrier, batch) in actions {
            let (claims, bodies): (Vec<Claim>, Vec<_>) = batch.into_iter().unzip();
            let Some(opened) = self.connectors.find(&carrier) else { continue };
            let outcomes = opened.perform(bodies).await;
            for (claim, outcome) in claims.iter().zip(outcomes) {
                let outcome = map_done(outcome, |_| None);
                report.add(self.conclude(opened, claim, outcome).await?);
            }
        }
        Ok(report)
    }

    /// Renders in a task of its own: a panic in a template engine is this delivery's failure, not the daemon's.
    async fn render(&self, book: &Arc<Book>, claim: &Claim) -> Result<Message, String> {
        let named = mail::products_named(&claim.snapshot);
        let products = self.store.products(&named).await.map_err(|e| e.to_string())?;
        let (project, book) = (Arc::clone(&self.project), Arc::clone(book));
        let (snapshot, delivery) = (claim.snapshot.clone(), claim.delivery.clone());
        let rendering = tokio::task::spawn_blocking(move || {
            mail::render(&project, &book, &snapshot, &delivery, &products)
        });
        match rendering.await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("rendering panicked; this is a defect in zyklus, please report it".to_owned()),
        }
    }

    async fn conclude(
        &self,
        opened: &Opened,
        claim: &Claim,
        outcome: Outcome<Option<String>>,
    ) -> Result<DispatchReport, RuntimeError> {
        let now = self.clock.now();
        let mut report = DispatchReport::default();
        let mut suppress = None;
        let end = match outcome {
            Outcome::Done(provider_ref) => {
                self.resume(opened.id());
                report.sent = 1;
                AttemptEnd::Accepted { provider_ref }
            }
            Outcome::Rejected(error) => {
                report.failed = 1;
                if is_no_such_mailbox(&error) {
                    suppress = Some(Suppression {
                        channel: claim.delivery.channel,
                        all_purposes: true,
                        reason: SuppressionReason::Bounced,
                        at: now,
                    });
                }
                AttemptEnd::Failed { detail: words(&error) }
            }
            Outcome::Retry(error) => {
                report.retried = 1;
                self.again(opened, claim, &error, now)
            }
            Outcome::Unknown(error) => {
                let repeats_are_safe = match claim.delivery.kind {
                    DeliveryKind::Message => {
                        opened.manifest().channel.as_ref().is_some_and(|s| s.dedup != Dedup::None)
                    }
                    DeliveryKind::Action => self.action_repeats(&claim.delivery),
                };
                if repeats_are_safe || claim.delivery.purpose == Purpose::Transactional {
                    report.retried = 1;
                    self.again(opened, claim, &error, now)
                } else {
                    report.unknown = 1;
                    AttemptEnd::Unknown { detail: words(&error) }
                }
            }
        };
        if report.sent == 0 {
            tracing::warn!(
                delivery.id = %claim.delivery.id, connector.id = opened.id(), end = ?end, "not delivered"
            );
        }
        self.complete(&claim.delivery, &claim.attempt, end, suppress).await?;
        Ok(report)
    }

    /// Another try later, or the end of trying.
    fn again(&self, opened: &Opened, claim: &Claim, error: &Error, now: At) -> AttemptEnd {
        let detail = words(error);
        let asked =
            error.retry_after_ms.map_or(0, |ms| i64::try_from(ms).unwrap_or(i64::MAX / 1_000) * 1_000);
        if matches!(
            error.kind,
            ErrorKind::Auth | ErrorKind::Permission | ErrorKind::Config | ErrorKind::RateLimited
        ) {
            let until = self.pause(opened.id(), now, asked);
            return AttemptEnd::Release { due_at: until, detail };
        }
        let wait = backoff(claim.delivery.id, claim.attempt.number).max(asked);
        let due_at = now.plus_micros(wait);
        if claim.attempt.number >= MAX_ATTEMPTS || due_at > claim.delivery.expires_at {
            return AttemptEnd::Dead { detail };
        }
        AttemptEnd::Retry { due_at, detail }
    }

    /// Gives a connector that is stuck as a whole a rest: half a minute, then twice as long, at most an hour.
    fn pause(&self, id: &str, now: At, asked: i64) -> At {
        let mut paused = self.paused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let entry = paused.entry(id.to_owned()).or_insert((now, 0));
        if entry.0 <= now {
            let rest = (30_000_000i64 << entry.1.min(7)).min(3_600_000_000).max(asked);
            *entry = (now.plus_micros(rest), entry.1 + 1);
        }
        entry.0
    }

    fn resume(&self, id: &str) {
        self.paused.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(id);
    }

    async fn complete(
        &self,
        delivery: &Delivery,
        attempt: &Attempt,
        end: AttemptEnd,
        suppress: Option<Suppression>,
    ) -> Result<(), RuntimeError> {
        let completion = Completion {
            delivery: delivery.id,
            attempt: attempt.number,
            owner: self.owner.clone(),
            at: self.clock.now(),
            end,
            suppress,
        };
        if !self.store.complete(completion).await? {
            tracing::warn!(delivery.id = %delivery.id, "the claim was lost before it could be completed");
        }
        Ok(())
    }
}

/// Who takes what at this moment.
struct Carriers {
    opened: Vec<(String, Option<Channel>)>,
}

impl Carriers {
    fn takes(&self, delivery: &Delivery) -> bool {
        let named = delivery.connector.as_deref();
        self.opened.iter().any(|(id, channel)| {
            named.is_none_or(|n| n == id)
                && (delivery.kind == DeliveryKind::Action || *channel == delivery.channel)
        })
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

fn words(error: &Error) -> String {
    match &error.code {
        Some(code) => format!("{code}: {}", describe_connector(error)),
        None => describe_connector(error),
    }
}

/// Whether the mailbox does not exist (RFC 3463: 5.1.x addresses), which no later message changes.
fn is_no_such_mailbox(error: &Error) -> bool {
    let code = error.code.as_deref().unwrap_or_default();
    error.kind == ErrorKind::Invalid
        && ["5.1.1", "5.1.2", "5.1.3", "5.1.10"].iter().any(|c| code.split_whitespace().any(|w| w == *c))
}

/// Full jitter: somewhere between nothing and 30 s doubled with every try, at most 6 hours; by hash, so that the
/// same try waits the same time.
fn backoff(delivery: DeliveryId, attempt: i64) -> i64 {
    let shift = u32::try_from(attempt - 1).unwrap_or(0).min(12);
    let ceiling = (30_000_000i64 << shift).min(6 * 3_600_000_000);
    let mut hash = Sha256::new();
    hash.update(delivery.uuid().as_bytes());
    hash.update(attempt.to_be_bytes());
    let digest = hash.finalize();
    let draw = i64::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]));
    let share = (i128::from(ceiling) * i128::from(draw)) >> 32;
    1_000_000 + i64::try_from(share).expect("a part of the ceiling, which is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_stay_below_their_ceiling_and_repeat() {
        let id = DeliveryId::derive(&[b"one"]);
        for attempt in 1..=20 {
            let wait = backoff(id, attempt);
            let ceiling = (30_000_000i64 << (attempt - 1).min(12)).min(6 * 3_600_000_000);
            assert!((1_000_000..=ceiling + 1_000_000).contains(&wait), "{attempt}: {wait}");
            assert_eq!(wait, backoff(id, attempt));
        }
    }

    #[test]
    fn only_a_missing_mailbox_is_suppressed() {
        let error = |code: &str| Error::new(ErrorKind::Invalid, "refused").with_code(code);
        assert!(is_no_such_mailbox(&error("550 5.1.1")));
        assert!(!is_no_such_mailbox(&error("550 5.7.1")));
        assert!(!is_no_such_mailbox(&error("552 5.2.2")));
    }
}
