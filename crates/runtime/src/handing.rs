//! What happens to claims: the message is made, handing over is noted, the connector gets it, and how it ended is
//! written down. Claims nothing, and never comes back while it holds a claim.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use zyklus_connect::{Action, Error, ErrorKind, Keyed, Message, Outcome};
use zyklus_engine::Book;
use zyklus_host::Opened;
use zyklus_model::{Attempt, DeliveryId, DeliveryKind, Product, Purpose};
use zyklus_store::{AttemptEnd, Claim, Completion, HandOver, Handing, HandingClaim, StoreError};

use crate::dispatch::{DispatchReport, Dispatcher, judgement};
use crate::error::RuntimeError;
use crate::mail;
use crate::offers::{Name, Wanted, names, offers, wanted};
use crate::outcome::{End, Handed, ends_of};
use crate::shelf::{Shelf, product_of_event, products_named};

/// How long a claim holds unless it is prolonged, which it is three times as often, for as long as its daemon lives.
pub(crate) const LEASE_MICROS: i64 = 60 * 1_000_000;
const BEAT: Duration = Duration::from_micros(LEASE_MICROS as u64 / 3);
/// The longest wait before noting how a try ended is tried again.
const NOTE_AGAIN: Duration = Duration::from_secs(5);

/// A claim with what is handed over for it.
struct Ready {
    claim: Claim,
    work: Work,
}

enum Work {
    Message(Box<Message>),
    Action(Action),
}

/// Claims that are being worked on: their leases are prolonged until this is dropped.
struct Held<'d> {
    dispatcher: &'d Dispatcher,
    ids: Vec<DeliveryId>,
    _beating: DropGuard,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.dispatcher.held();
        for id in &self.ids {
            held.remove(id);
        }
    }
}

/// What some messages may show, looked up together.
#[derive(Default)]
struct Stock {
    products: HashMap<Name, Product>,
    best: Arc<[Product]>,
    wanted: HashMap<DeliveryId, Vec<Wanted>>,
}

impl Dispatcher {
    /// Hands claims over to one connector. An error means that some were given back without being tried.
    pub(crate) async fn carry(
        &self,
        book: &Arc<Book>,
        connector: &Arc<Opened>,
        claims: Vec<Claim>,
    ) -> Result<DispatchReport, RuntimeError> {
        let _held = self.hold(&claims);
        let mut report = DispatchReport::default();
        let stock = match self.products_for(&claims).await {
            Ok(stock) => stock,
            // Nobody's fault but the store's: none of them has failed.
            Err(error) => {
                self.give_back(&claims, &error.to_string()).await;
                return Err(error);
            }
        };
        let (mut messages, mut actions) = (Vec::new(), Vec::new());
        let mut failed = None;
        for claim in claims {
            match claim.delivery.kind {
                DeliveryKind::Action => {
                    let work = Work::Action(action_of(&claim));
                    actions.push(Ready { claim, work });
                }
                DeliveryKind::Message => match self.render(book, &claim, &stock).await {
                    Ok(Ok(message)) => {
                        messages.push(Ready { claim, work: Work::Message(Box::new(message)) });
                    }
                    Err(error) => {
                        self.give_back(std::slice::from_ref(&claim), &error.to_string()).await;
                        failed = Some(error);
                    }
                    Ok(Err(detail)) => {
                        tracing::error!(delivery.id = %claim.delivery.id, error = %detail, "the message could not be made");
                        self.complete(&claim, AttemptEnd::Failed { detail }.into()).await;
                        report.failed += 1;
                    }
                },
            }
        }
        let size = connector.manifest().channel.as_ref().map_or(1, |s| s.max_batch.max(1)) as usize;
        let mut batches = in_chunks(messages, size);
        // One at a time each, side by side: a batch would wait for its slowest.
        batches.extend(in_chunks(actions, 1));
        let done = batches.into_iter().map(|batch| self.hand_batch(book, connector, batch));
        for one in futures::future::join_all(done).await {
            match one {
                Ok(one) => report += one,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(report), |error| Err(error.into()))
    }

    /// Registers claims as this daemon's and keeps their leases from running out.
    fn hold(&self, claims: &[Claim]) -> Held<'_> {
        let ids: Vec<DeliveryId> = claims.iter().map(|c| c.delivery.id).collect();
        self.held().extend(ids.iter().copied());
        let token = CancellationToken::new();
        let (ended, store, owner) = (token.clone(), self.store.clone(), self.owner.clone());
        let (clock, beating) = (self.clock.clone(), ids.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = ended.cancelled() => return,
                    () = tokio::time::sleep(BEAT) => {}
                }
                if let Err(error) = store.heartbeat(&owner, &beating, clock.now(), LEASE_MICROS).await {
                    tracing::warn!(%error, "leases could not be prolonged; it is tried again");
                }
            }
        });
        Held { dispatcher: self, ids, _beating: token.drop_guard() }
    }

    /// The products all of them name, looked up together, and what advertising may show; nothing is asked when
    /// none is named and nothing is advertising.
    async fn products_for(&self, claims: &[Claim]) -> Result<Stock, RuntimeError> {
        let mut stock = Stock::default();
        let messages = || claims.iter().filter(|c| c.delivery.kind == DeliveryKind::Message);
        let advertising = || messages().filter(|c| c.delivery.purpose == Purpose::Marketing);
        if advertising().next().is_some() {
            let now = self.clock.now();
            stock.best = self.best_sellers.at(&self.store, now).await?;
            if let Some(goods) = self.goods.at(&self.store, now).await? {
                let zone = &self.project.shop.zone;
                let wishes = advertising().map(|c| (c.delivery.id, wanted(&goods, &c.snapshot, zone, now)));
                stock.wanted = wishes.collect();
            }
        }
        let named = messages().flat_map(|c| {
            let of_event = product_of_event(&c.snapshot, &c.delivery);
            products_named(&c.snapshot).into_iter().chain(of_event)
        });
        let named: BTreeSet<Name> = named.chain(stock.wanted.values().flat_map(|w| names(w))).collect();
        if !named.is_empty() {
            let found = self.store.products(&named.into_iter().collect::<Vec<_>>()).await?;
            stock.products =
                found.into_iter().map(|p| ((p.system.clone(), p.external_id.clone()), p)).collect();
        }
        Ok(stock)
    }

    /// Renders in a task of its own: a panic in a template engine is this delivery's failure, not the daemon's.
    async fn render(
        &self,
        book: &Arc<Book>,
        claim: &Claim,
        stock: &Stock,
    ) -> Result<Result<Message, String>, StoreError> {
        let named = products_named(&claim.snapshot);
        let named = named.iter().filter_map(|id| stock.products.get(id)).cloned().collect();
        let wanted = stock.wanted.get(&claim.delivery.id).map_or(&[][..], Vec::as_slice);
        let about = product_of_event(&claim.snapshot, &claim.delivery);
        let about = about.and_then(|id| stock.products.get(&id)).filter(|product| product.available).cloned();
        let offers = offers(wanted, &stock.products);
        let shelf = Shelf { named, best: Arc::clone(&stock.best), offers, about };
        let old = match self.old_templates.of(&self.store, book, &claim.snapshot, &claim.delivery).await? {
            Ok(old) => old,
            Err(reason) => return Ok(Err(reason)),
        };
        let (project, book) = (Arc::clone(&self.project), Arc::clone(book));
        let (snapshot, delivery) = (claim.snapshot.clone(), claim.delivery.clone());
        let rendering = tokio::task::spawn_blocking(move || {
            let templates = old.as_deref().unwrap_or(&project.templates);
            mail::render(&project, templates, &book, &snapshot, &delivery, &shelf)
        });
        Ok(match rendering.await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("rendering panicked; this is a defect in zyklus, please report it".to_owned()),
        })
    }

    /// Hands over one batch. Only what is noted as handed over is, and only after that.
    async fn hand_batch(
        &self,
        book: &Arc<Book>,
        connector: &Arc<Opened>,
        batch: Vec<Ready>,
    ) -> Result<DispatchReport, StoreError> {
        let mut report = DispatchReport::default();
        let claims: Vec<Claim> = batch.iter().map(|ready| ready.claim.clone()).collect();
        if self.stop.is_cancelled() {
            self.give_back(&claims, "the daemon was stopping").await;
            report.postponed += claims.len() as u64;
            return Ok(report);
        }
        let now = self.clock.now();
        let handing = Handing {
            owner: self.owner.clone(),
            now,
            lease_micros: LEASE_MICROS,
            claims: claims.iter().map(HandingClaim::from).collect(),
        };
        let judging = Arc::clone(book);
        let judge = move |snapshot: &_, delivery: &_| judgement(&judging, snapshot, delivery, now);
        let answers = match self.store.hand_over(handing, judge).await {
            Ok(answers) => answers,
            Err(error) => {
                self.give_back(&claims, &error.to_string()).await;
                return Err(error);
            }
        };
        let (mut messages, mut actions, mut going) = (Vec::new(), Vec::new(), Vec::new());
        for (Ready { claim, work }, answer) in batch.into_iter().zip(answers) {
            match answer {
                HandOver::Go { first_at } => {
                    let key = claim.delivery.id.to_string();
                    let attempt = u32::try_from(claim.attempt.number).unwrap_or(u32::MAX);
                    match work {
                        Work::Message(mut message) => {
                            message.sent_at = Some(first_at);
                            messages.push(Keyed { key, attempt, body: *message });
                        }
                        Work::Action(body) => actions.push(Keyed { key, attempt, body }),
                    }
                    going.push(claim);
                }
                HandOver::Released => report.postponed += 1,
                HandOver::Refused(_) => report.refused += 1,
                HandOver::Lost => {
                    tracing::warn!(delivery.id = %claim.delivery.id, "the claim was lost before it was handed over");
                }
            }
        }
        if going.is_empty() {
            return Ok(report);
        }
        // A batch is of one kind.
        let outcomes: Vec<Outcome<Option<String>>> = if messages.is_empty() {
            connector.perform(actions).await.into_iter().map(|o| map_done(o, |_| None)).collect()
        } else {
            let sent = connector.send(messages).await;
            sent.into_iter().map(|o| map_done(o, |receipt| receipt.provider_ref)).collect()
        };
        report += self.conclude(connector, &going, outcomes).await;
        Ok(report)
    }

    /// Notes how each ended.
    async fn conclude(
        &self,
        connector: &Opened,
        claims: &[Claim],
        mut outcomes: Vec<Outcome<Option<String>>>,
    ) -> DispatchReport {
        let silent = || Outcome::Unknown(Error::new(ErrorKind::Internal, "the connector gave no outcome"));
        outcomes.resize_with(claims.len(), silent);
        // Refusals are counted one batch after the other, so that only what is noted is taken back.
        let is_refusing = outcomes.iter().any(|o| matches!(o, Outcome::Rejected(_)));
        let _turn = if is_refusing { Some(self.refusing.lock().await) } else { None };
        let now = self.clock.now();
        let handed: Vec<Handed<'_>> = claims
            .iter()
            .map(|claim| Handed {
                delivery: &claim.delivery,
                doubts: claim.doubts,
                repeats: crate::dispatch::repeats(connector, &claim.delivery),
            })
            .collect();
        let ended = ends_of(&handed, connector.id(), outcomes, now, &mut self.breakers());
        let mut report = DispatchReport::default();
        for (claim, End { end, .. }) in claims.iter().zip(&ended.ends) {
            match end {
                AttemptEnd::Accepted { .. } => {
                    report.sent += 1;
                    continue;
                }
                AttemptEnd::Failed { .. } | AttemptEnd::Dead { .. } => report.failed += 1,
                AttemptEnd::Unknown { .. } => report.unknown += 1,
                AttemptEnd::Refused { .. } => report.refused += 1,
                AttemptEnd::Retry { .. } | AttemptEnd::Repeat { .. } | AttemptEnd::Release { .. } => {
                    report.retried += 1;
                }
            }
            tracing::warn!(
                delivery.id = %claim.delivery.id, connector.id = connector.id(), end = ?end, "not delivered"
            );
        }
        // Side by side, so that they share a commit.
        let notes = claims.iter().zip(ended.ends).map(|(claim, end)| self.complete(claim, end));
        futures::future::join_all(notes).await;
        if let Some((earlier, due_at)) = ended.take_back.filter(|(earlier, _)| !earlier.is_empty()) {
            match self.store.take_back(&earlier, due_at, now).await {
                Ok(count) => tracing::warn!(connector.id = connector.id(), count, "refusals were taken back"),
                Err(error) => tracing::error!(
                    %error, deliveries = ?earlier, "refusals could not be taken back; `zyklus delivery retry` does it"
                ),
            }
        }
        report
    }

    /// Puts claims back that were not handed over.
    async fn give_back(&self, claims: &[Claim], why: &str) {
        let release =
            |claim: &Claim| AttemptEnd::Release { due_at: claim.delivery.due_at, detail: why.to_owned() };
        let all = claims.iter().map(|claim| self.complete(claim, release(claim).into()));
        futures::future::join_all(all).await;
    }

    /// Notes how a try ended, for as long as it takes: what is not noted ends as a lost one.
    async fn complete(&self, claim: &Claim, end: End) {
        let Attempt { delivery, number, .. } = claim.attempt;
        let at = end.suppress.as_ref().map_or_else(|| self.clock.now(), |s| s.at);
        let completion = Completion {
            delivery,
            attempt: number,
            owner: self.owner.clone(),
            at,
            end: end.end,
            suppress: end.suppress,
        };
        let mut wait = Duration::from_millis(100);
        loop {
            match self.store.complete(completion.clone()).await {
                Ok(true) => return,
                Ok(false) => {
                    tracing::warn!(delivery.id = %delivery, "the claim was lost before it could be completed");
                    return;
                }
                Err(error @ (StoreError::Closed | StoreError::ReadOnly)) => {
                    tracing::error!(delivery.id = %delivery, %error, "how a try ended could not be noted");
                    return;
                }
                Err(error) => {
                    tracing::warn!(delivery.id = %delivery, %error, "the store cannot take what became of a delivery; it is asked again");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(NOTE_AGAIN);
        }
    }
}

fn in_chunks(mut ready: Vec<Ready>, size: usize) -> Vec<Vec<Ready>> {
    let mut chunks = Vec::new();
    while !ready.is_empty() {
        let rest = ready.split_off(size.min(ready.len()));
        chunks.push(std::mem::replace(&mut ready, rest));
    }
    chunks
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
