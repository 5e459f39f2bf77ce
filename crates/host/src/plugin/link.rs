//! What a connector outside the binary hangs on: its living instance, and another one when that has died. A process is
//! started again after a rest that grows with each time; an instance in the daemon's own process has one life.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use zyklus_connect::abi::wire::{Open, Opened};
use zyklus_connect::abi::{self, Status};
use zyklus_connect::{Error, ErrorKind};

use super::services::Services;
use super::session::{Gone, Session};
use super::{Isolation, Plugin, instance, library, process};
use crate::task::deadline;

/// A call that was given up gets so long to end before its process is ended.
const GRACE: Duration = Duration::from_secs(5);
/// The longest rest between two starts.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// What lived this long starts again at once as if for the first time.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// How a call ended that brought no answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failed {
    /// It was certainly never handed over.
    Unsent(Error),
    /// It was handed over, and nothing is known of it.
    Lost(Error),
    /// The plugin says so.
    Said(Error),
}

impl Failed {
    /// The error, whatever it means for a command.
    pub(crate) fn error(self) -> Error {
        match self {
            Failed::Unsent(error) | Failed::Lost(error) | Failed::Said(error) => error,
        }
    }
}

struct Life {
    current: Option<Session>,
    begun: Instant,
    deaths: u32,
    /// Why it died last, and when it may be started again.
    rest: Option<(String, Instant)>,
}

/// One connector's instances, one after the other.
pub(crate) struct Link {
    plugin: Plugin,
    services: Arc<Services>,
    open: Vec<u8>,
    first_rest: Duration,
    life: tokio::sync::Mutex<Life>,
    /// The living one, for those who cannot wait.
    living: Mutex<Option<Session>>,
}

impl Link {
    /// Makes the first instance and opens it. The rest after its first death is `first_rest`.
    pub(crate) async fn open(
        plugin: Plugin,
        services: Arc<Services>,
        open: &Open,
        first_rest: Duration,
    ) -> Result<(Self, Opened), Error> {
        let open = serde_json::to_vec(open).expect("what a connector is opened with is plain data");
        let life = Life { current: None, begun: Instant::now(), deaths: 0, rest: None };
        let link = Link {
            plugin,
            services,
            open,
            first_rest,
            life: tokio::sync::Mutex::new(life),
            living: Mutex::default(),
        };
        let (session, opened) = link.begin().await?;
        link.life.lock().await.current = Some(session.clone());
        link.set_living(Some(session));
        Ok((link, opened))
    }

    fn set_living(&self, session: Option<Session>) {
        *self.living.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }

    /// The living instance, if there is one at this moment.
    pub(crate) fn living(&self) -> Option<Session> {
        let living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        living.clone().filter(|session| session.calls.gone().is_none())
    }

    /// An instance that is open: the living one or another.
    async fn session(&self) -> Result<Session, Error> {
        if let Some(session) = self.living() {
            return Ok(session);
        }
        let mut life = self.life.lock().await;
        if let Some(session) = life.current.take() {
            match session.calls.gone() {
                None => {
                    life.current = Some(session.clone());
                    return Ok(session);
                }
                Some(reason) => self.buried(&mut life, reason),
            }
        }
        if self.plugin.isolation() == Isolation::InProcess {
            let reason = life.rest.as_ref().map_or("it has ended", |(reason, _)| reason);
            return Err(Error::new(ErrorKind::Internal, format!("the connector {reason}")).unreachable());
        }
        if let Some((reason, until)) = &life.rest
            && let Some(left) = until.checked_duration_since(Instant::now())
        {
            let left = left.as_millis();
            let message =
                format!("the connector's process has gone: {reason}; it is started again in {left} ms");
            let left = u64::try_from(left).unwrap_or(u64::MAX);
            return Err(Error::new(ErrorKind::Transient, message).after(left).unreachable());
        }
        match self.begin().await {
            Ok((session, _)) => {
                tracing::info!(
                    connector.id = self.services.id(),
                    "the connector's process was started again"
                );
                life.begun = Instant::now();
                life.current = Some(session.clone());
                self.set_living(Some(session.clone()));
                Ok(session)
            }
            Err(error) => {
                let reason = error.detail.clone().unwrap_or_else(|| error.message.clone());
                life.begun = Instant::now();
                self.buried(&mut life, reason);
                Err(error.unreachable())
            }
        }
    }

    /// Notes a death, and how long to rest after it.
    fn buried(&self, life: &mut Life, reason: String) {
        if life.begun.elapsed() > LONG_LIFE {
            life.deaths = 0;
        }
        let rest = self.first_rest.saturating_mul(1 << life.deaths.min(16)).min(LONGEST_REST);
        life.deaths += 1;
        let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(
            connector.id = self.services.id(),
            reason,
            rest_ms,
            "the connector's process has gone"
        );
        life.rest = Some((reason, Instant::now() + rest));
        self.set_living(None);
    }

    /// Another instance, opened.
    async fn begin(&self) -> Result<(Session, Opened), Error> {
        let failed = |message: String| Error::new(ErrorKind::Transient, message);
        let session = match self.plugin.isolation() {
            Isolation::InProcess => {
                let copy = self.plugin.copy().to_path_buf();
                let loaded = tokio::task::spawn_blocking(move || library::load(&copy)).await;
                let loaded = loaded.map_err(|_| failed("loading the library ended in a defect".into()))?;
                let loaded = loaded.map_err(|e| failed(e.to_string()))?;
                let started = instance::start(loaded, Arc::clone(&self.services)).await;
                started.map_err(|e| failed(format!("the library made no instance: {e}")))?
            }
            Isolation::Process => {
                let plugin = self.plugin.clone();
                let start = move || {
                    process::start(plugin.command(), plugin.copy(), plugin.sha256(), &plugin.limits())
                };
                let started = tokio::task::spawn_blocking(start).await;
                let started = started.map_err(|_| failed("starting the process ended in a defect".into()))?;
                let process = started.map_err(|e| failed(e.to_string()))?;
                if !process.note.is_empty() {
                    tracing::warn!(
                        connector.id = self.services.id(),
                        note = process.note,
                        "a plugin's process"
                    );
                }
                process.attach(Arc::clone(&self.services), self.plugin.limits().cpu)
            }
        };
        let body = match ask(&session, abi::OPEN, self.open.clone()).await {
            Ok(body) => body,
            Err(error) => {
                session.way.release();
                session.way.kill("it did not open");
                return Err(error.error());
            }
        };
        // Whoever has nothing to say may say nothing.
        let opened = if body.is_empty() { Ok(None) } else { serde_json::from_slice::<Option<Opened>>(&body) };
        match opened {
            Ok(opened) => Ok((session, opened.unwrap_or_default())),
            Err(e) => {
                session.way.release();
                session.way.kill("it did not open");
                let message = "the connector answered `open` with something that makes no sense";
                Err(Error::new(ErrorKind::Internal, message).with_detail(e.to_string()))
            }
        }
    }

    /// One call, on whatever instance lives.
    pub(crate) async fn call(&self, op: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Failed> {
        let session = self.session().await.map_err(Failed::Unsent)?;
        ask(&session, op, body).await
    }

    /// Ends it: the goodbye, and then the instance. One that has died already needs none.
    pub(crate) async fn close(&self) {
        let Some(session) = self.living() else { return };
        if let Err(failed) = ask(&session, abi::CLOSE, b"{}".to_vec()).await {
            let error = self.services.scrub(&failed.error().message);
            tracing::warn!(connector.id = self.services.id(), error, "the connector did not close well");
        }
        session.way.release();
    }
}

/// One call to one instance, until the deadline of the task this is part of. After it, the call is given up; a process
/// that does not even answer then is ended, and an instance beside us keeps the place of this call until it answers.
async fn ask(session: &Session, op: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Failed> {
    let (id, answer) = session.calls.begin().map_err(|gone| lost(op, gone))?;
    let deadline = tokio::time::Instant::from_std(deadline());
    match tokio::time::timeout_at(deadline, session.way.call(id, op, body)).await {
        Ok(Ok(())) => {}
        not_sent => {
            session.calls.withdraw(id);
            let reason = match not_sent {
                Ok(Err(reason)) => reason,
                _ => "calls before this one have not been taken".to_owned(),
            };
            let message = format!("`{op}` could not begin: {reason}");
            return Err(Failed::Unsent(Error::new(ErrorKind::Transient, message).unreachable()));
        }
    }
    tokio::pin!(answer);
    let answered = match tokio::time::timeout_at(deadline, &mut answer).await {
        Ok(answered) => answered,
        Err(_) => {
            session.way.cancel(id);
            match tokio::time::timeout(GRACE, &mut answer).await {
                Ok(answered) => answered,
                Err(_) => {
                    session.way.kill(&format!("`{op}` was not answered, nor given up when asked"));
                    answer.await
                }
            }
        }
    };
    let gone = || Gone { reason: "the connector is closed".into(), is_unsent: false };
    let (status, body) = answered.unwrap_or_else(|_| Err(gone())).map_err(|gone| lost(op, gone))?;
    match status {
        Status::Ok => Ok(body),
        Status::Err => Err(Failed::Said(serde_json::from_slice(&body).unwrap_or_else(|e| {
            Error::new(ErrorKind::Internal, format!("`{op}` failed without a readable error"))
                .with_detail(e.to_string())
        }))),
        Status::Panic => {
            let words: String = String::from_utf8_lossy(&body).chars().take(300).collect();
            let message =
                format!("the connector panicked: {words}; this is a defect in it, please report it");
            Err(Failed::Lost(Error::new(ErrorKind::Internal, message)))
        }
        // The caller's own clock says the same at this moment, in nearly the same words.
        Status::Cancelled if deadline <= tokio::time::Instant::now() => {
            let message = format!("`{op}` took longer than it may and was given up");
            Err(Failed::Lost(Error::new(ErrorKind::Transient, message)))
        }
        Status::Cancelled => {
            Err(Failed::Lost(Error::new(ErrorKind::Cancelled, format!("the connector gave `{op}` up"))))
        }
    }
}

fn lost(op: &str, gone: Gone) -> Failed {
    let message = format!("the connector was gone before `{op}` was answered: {}", gone.reason);
    let error = Error::new(ErrorKind::Transient, message);
    if gone.is_unsent { Failed::Unsent(error.unreachable()) } else { Failed::Lost(error) }
}
