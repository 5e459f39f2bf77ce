//! An opened connector as the daemon calls it. Panics become errors, hangs end, every command gets its outcome,
//! and no call is dropped half-way. Never retries a command.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use zyklus_connect::{
    Action, AudienceRef, AudienceSpec, Check, Connector, Error, ErrorKind, Keyed, Manifest, Member, Message,
    Outcome, Page, ReadRequest, Received, Rejected, Subscription, WebhookRequest, model,
};

use crate::config::{ConnectorConfig, HostSettings};
use crate::host::lost_error;
use crate::redact::Redactor;
use crate::task::{Lost, panic_message, run};

/// How long calls may take. A call that takes longer is left to finish; its result is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Opening: 2 minutes.
    pub open: Duration,
    /// Reading one page, a live check, anything else that only reads: 10 minutes.
    pub read: Duration,
    /// Sending or performing one batch: 15 minutes, longer than the 10 a mail server may take (RFC 5321).
    pub command: Duration,
    /// Before a plugin's process is started again for the first time: 1 second. It doubles up to five minutes.
    pub rest: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            open: Duration::from_secs(120),
            read: Duration::from_secs(600),
            command: Duration::from_secs(900),
            rest: Duration::from_secs(1),
        }
    }
}

/// An opened connector.
pub struct Opened {
    id: String,
    manifest: Manifest,
    settings: HostSettings,
    connector: Arc<dyn Connector>,
    redactor: Redactor,
    limits: Limits,
    /// A slot belongs to a call until it has ended, even after it was given up: abandoned work cannot pile up.
    reads: Arc<Semaphore>,
    commands: Arc<Semaphore>,
    slots: (u32, u32),
}

impl Opened {
    pub(crate) fn new(
        config: &ConnectorConfig,
        manifest: Manifest,
        connector: Arc<dyn Connector>,
        limits: Limits,
    ) -> Self {
        let commands = manifest.max_in_flight.clamp(1, 1024);
        let reads = (manifest.streams.len() as u32).clamp(1, 64) + 1;
        Opened {
            id: config.id.clone(),
            manifest,
            settings: config.settings.clone(),
            connector,
            redactor: config.redactor.clone(),
            limits,
            reads: Arc::new(Semaphore::new(reads as usize)),
            commands: Arc::new(Semaphore::new(commands as usize)),
            slots: (reads, commands),
        }
    }

    /// Its name in the configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it is and can do.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the host was told about it.
    pub fn settings(&self) -> &HostSettings {
        &self.settings
    }

    /// The connector itself, for its facets. Calls made directly are not protected: use the methods here.
    pub fn connector(&self) -> &Arc<dyn Connector> {
        &self.connector
    }

    /// Runs a call that changes nothing on our side of the border.
    async fn reading<T, F, O>(&self, what: &str, limit: Duration, call: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Connector>) -> O + Send + 'static,
        O: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let slot = match tokio::time::timeout(limit, Arc::clone(&self.reads).acquire_owned()).await {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return Err(closed()),
            Err(_) => {
                let message = format!("{what} could not begin: earlier calls have not come back");
                return Err(Error::new(ErrorKind::Transient, message));
            }
        };
        let connector = Arc::clone(&self.connector);
        let work = async move {
            let result = call(connector).await;
            drop(slot);
            result
        };
        match run(work, limit).await {
            Ok(result) => result.map_err(|e| self.redactor.scrub_error(e)),
            Err(lost) => Err(self.lost(&lost, what, limit)),
        }
    }

    /// Runs a batch: one outcome a command, whatever happens.
    async fn commanding<C, R, F, O>(&self, what: &str, batch: Vec<C>, call: F) -> Vec<Outcome<R>>
    where
        C: Send + 'static,
        R: Send + 'static,
        F: FnOnce(Arc<dyn Connector>, Vec<C>) -> O + Send + 'static,
        O: Future<Output = Vec<Outcome<R>>> + Send + 'static,
    {
        let wanted = batch.len();
        let all = |outcome: &dyn Fn() -> Outcome<R>| (0..wanted).map(|_| outcome()).collect::<Vec<_>>();
        if wanted == 0 {
            return Vec::new();
        }
        let limit = self.limits.command;
        let slot = match tokio::time::timeout(limit, Arc::clone(&self.commands).acquire_owned()).await {
            Ok(Ok(slot)) => slot,
            // Nothing was handed over, so it was certainly not done.
            Ok(Err(_)) => return all(&|| Outcome::Retry(closed())),
            Err(_) => {
                let message = format!("{what} could not begin: earlier calls have not come back");
                let error = Error::new(ErrorKind::Transient, message).unreachable();
                return all(&|| Outcome::Retry(error.clone()));
            }
        };
        let connector = Arc::clone(&self.connector);
        let work = async move {
            let outcomes = call(connector, batch).await;
            drop(slot);
            outcomes
        };
        let outcomes = match run(work, limit).await {
            Ok(outcomes) => outcomes,
            // It may have happened after handing over.
            Err(lost) => {
                let error = self.lost(&lost, what, limit);
                return all(&|| Outcome::Unknown(error.clone()));
            }
        };
        if outcomes.len() != wanted {
            let given = outcomes.len();
            tracing::error!(connector.id = %self.id, given, wanted, "the connector gave the wrong number of outcomes");
            // Which outcome belongs to which command can no longer be told.
            let message = format!("the connector gave {given} outcomes for {wanted} commands");
            return all(&|| Outcome::Unknown(Error::new(ErrorKind::Internal, message.clone())));
        }
        outcomes.into_iter().map(|outcome| self.scrub(outcome)).collect()
    }

    fn scrub<R>(&self, outcome: Outcome<R>) -> Outcome<R> {
        match outcome {
            Outcome::Done(receipt) => Outcome::Done(receipt),
            Outcome::Rejected(e) => Outcome::Rejected(self.redactor.scrub_error(e)),
            Outcome::Retry(e) => Outcome::Retry(self.redactor.scrub_error(e)),
            Outcome::Unknown(e) => Outcome::Unknown(self.redactor.scrub_error(e)),
        }
    }

    fn lost(&self, lost: &Lost, what: &str, limit: Duration) -> Error {
        let error = self.redactor.scrub_error(lost_error(lost, what, limit));
        tracing::error!(connector.id = %self.id, call = what, error = %error.message, "a call was lost");
        error
    }

    /// Whether it takes no more calls.
    pub fn is_closed(&self) -> bool {
        self.reads.is_closed()
    }

    /// Live checks. A check that could not run is reported as one.
    pub async fn check(&self) -> Vec<Check> {
        let limit = self.limits.read;
        let checked = self.reading("checking", limit, |c| async move { Ok(c.check().await) }).await;
        match checked {
            Ok(checks) => checks
                .into_iter()
                .map(|check| Check {
                    problem: check.problem.map(|p| self.redactor.scrub_error(p)),
                    found: self.redactor.scrub(&check.found),
                    ..check
                })
                .collect(),
            Err(problem) => {
                vec![Check { name: "check".into(), problem: Some(problem), found: String::new() }]
            }
        }
    }

    /// Reads one page within the default limit.
    pub async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.read_within(request, self.limits.read).await
    }

    /// Reads one page within so long.
    pub async fn read_within(&self, request: ReadRequest, limit: Duration) -> Result<Page, Error> {
        let mut page = self
            .reading("reading a page", limit, |c| async move {
                c.source().ok_or_else(|| unsupported("reads nothing"))?.read(request).await
            })
            .await?;
        for reject in &mut page.rejects {
            reject.message = self.redactor.scrub(&reject.message);
        }
        Ok(page)
    }

    /// Sends a batch: one outcome a message, in order. [`Outcome::Unknown`] for all of them when the connector
    /// panicked, took too long or gave the wrong number of outcomes.
    pub async fn send(&self, batch: Vec<Keyed<Message>>) -> Vec<Outcome<model::Receipt>> {
        self.commanding("sending", batch, |c, batch| async move {
            match c.channel() {
                Some(channel) => channel.send(batch).await,
                None => batch.iter().map(|_| Outcome::Rejected(unsupported("carries no messages"))).collect(),
            }
        })
        .await
    }

    /// Performs a batch: one outcome an action, in order, as [`Opened::send`].
    pub async fn perform(&self, batch: Vec<Keyed<Action>>) -> Vec<Outcome<Value>> {
        self.commanding("performing actions", batch, |c, batch| async move {
            match c.actions() {
                Some(actions) => actions.perform(batch).await,
                None => batch.iter().map(|_| Outcome::Rejected(unsupported("performs no actions"))).collect(),
            }
        })
        .await
    }

    /// Finds or makes an audience.
    pub async fn ensure_audience(&self, audience: AudienceSpec) -> Result<AudienceRef, Error> {
        self.reading("preparing an audience", self.limits.read, |c| async move {
            c.audience().ok_or_else(|| unsupported("keeps no audiences"))?.ensure(&audience).await
        })
        .await
    }

    /// Adds and removes members: one outcome a member, in order, as [`Opened::send`].
    pub async fn change_audience(
        &self,
        audience: AudienceRef,
        batch: Vec<Keyed<Member>>,
    ) -> Vec<Outcome<()>> {
        self.commanding("changing an audience", batch, |c, batch| async move {
            match c.audience() {
                Some(keeper) => keeper.change(&audience, batch).await,
                None => batch.iter().map(|_| Outcome::Rejected(unsupported("keeps no audiences"))).collect(),
            }
        })
        .await
    }

    /// Makes the other system's webhook subscriptions equal to what is wanted.
    pub async fn reconcile_webhooks(&self, wanted: Subscription) -> Result<(), Error> {
        self.reading("subscribing to webhooks", self.limits.read, |c| async move {
            c.webhooks().ok_or_else(|| unsupported("takes no webhooks"))?.reconcile(&wanted).await
        })
        .await
    }

    /// Verifies and parses one webhook; without network, so it does not wait.
    pub fn receive(&self, request: &WebhookRequest) -> Result<Received, Rejected> {
        let received = catch_unwind(AssertUnwindSafe(|| match self.connector.webhooks() {
            Some(webhooks) => webhooks.receive(request),
            None => Err(Rejected::Malformed("this connector takes no webhooks".into())),
        }));
        received.unwrap_or_else(|payload| {
            let message = self.redactor.scrub(&panic_message(payload.as_ref()));
            tracing::error!(connector.id = %self.id, message, "the connector panicked on a webhook");
            Err(Rejected::Malformed("the connector panicked on it".into()))
        })
    }

    /// Ends it: takes no more calls, waits at most `grace` for those under way, then lets the connector say
    /// goodbye. Returns whether all calls had come back; if not, the connector is left as it is. Only the first
    /// call does anything.
    pub async fn close(&self, grace: Duration) -> bool {
        async fn all(slots: &Semaphore, count: u32) -> Option<SemaphorePermit<'_>> {
            slots.acquire_many(count).await.ok()
        }
        if self.reads.is_closed() {
            return true;
        }
        let (reads, commands) = self.slots;
        // Both queues at once: whoever asks from now on stands behind this in either.
        let waiting = async { tokio::join!(all(&self.reads, reads), all(&self.commands, commands)) };
        let calm = tokio::time::timeout(grace, waiting).await.is_ok_and(|(r, c)| r.is_some() && c.is_some());
        self.reads.close();
        self.commands.close();
        if !calm {
            tracing::warn!(connector.id = %self.id, "calls are still under way, the connector is not closed");
            return false;
        }
        let connector = Arc::clone(&self.connector);
        if let Err(lost) = run(async move { connector.close().await }, grace).await {
            self.lost(&lost, "closing", grace);
        }
        true
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("id", &self.id)
            .field("kind", &self.manifest.kind)
            .finish_non_exhaustive()
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Cancelled, "the connector is closed").unreachable()
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this connector {what}"))
}
