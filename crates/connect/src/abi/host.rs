//! The host as a library sees it: answering calls, logging, asking for HTTP, tokens and the time. Holds no pointer that
//! could dangle: what a reply belongs to is found by a number, and a number without an owner is ignored.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::channel::oneshot;
use zyklus_model::At;

use super::wire::TokenRequest;
use super::{Bytes, HostTable, Status};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse};
use crate::token::{Token, Tokens};

/// The clock is asked for so long before the system's own is taken.
const CLOCK_WITHIN: Duration = Duration::from_secs(5);

/// What the host gave an instance; it lives as long as the process.
#[derive(Clone, Copy)]
pub(super) struct HostRef(&'static HostTable);

type Answer = (Status, Vec<u8>);

enum Waiter {
    Task(oneshot::Sender<Answer>),
    Thread(mpsc::SyncSender<Answer>),
}

fn waiters() -> MutexGuard<'static, HashMap<usize, Waiter>> {
    static WAITERS: OnceLock<Mutex<HashMap<usize, Waiter>>> = OnceLock::new();
    WAITERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place among those who wait, given up when it is dropped.
struct Place(usize);

impl Place {
    fn take(waiter: Waiter) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let place = NEXT.fetch_add(1, Ordering::Relaxed);
        waiters().insert(place, waiter);
        Place(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        waiters().remove(&self.0);
    }
}

extern "C" fn replied(user: *mut c_void, status: i32, body: Bytes) {
    let waiter = waiters().remove(&user.addr());
    // SAFETY: the host lends the body for the duration of this call.
    let body = unsafe { body.copy(usize::MAX) }.unwrap_or_default();
    let answer = (Status::from_code(status), body);
    // Whoever has stopped waiting needs no answer.
    match waiter {
        Some(Waiter::Task(sender)) => drop(sender.send(answer)),
        Some(Waiter::Thread(sender)) => drop(sender.try_send(answer)),
        None => {}
    }
}

impl HostRef {
    /// # Safety
    /// `table` points to a table that lives as long as the process.
    pub(super) unsafe fn new(table: *const HostTable) -> Option<Self> {
        // SAFETY: the caller says so.
        let table = unsafe { table.as_ref() }?;
        (table.size as usize >= size_of::<HostTable>()).then_some(HostRef(table))
    }

    pub(super) fn complete(self, call: u64, status: Status, body: &[u8]) {
        (self.0.complete)(self.0.ctx, call, status.code(), Bytes::lend(body));
    }

    pub(super) fn log(self, call: u64, level: u32, target: &str, message: &str, fields: &str) {
        let [target, message, fields] = [target, message, fields].map(|text| Bytes::lend(text.as_bytes()));
        (self.0.log)(self.0.ctx, call, level, target, message, fields);
    }

    fn ask(self, service: &str, body: &[u8], place: &Place) {
        let user = std::ptr::without_provenance_mut(place.0);
        let (_, call) = current();
        let (service, body) = (Bytes::lend(service.as_bytes()), Bytes::lend(body));
        (self.0.request)(self.0.ctx, call, service, body, replied, user);
    }

    async fn request(self, service: &str, body: &[u8]) -> Answer {
        let (sender, answer) = oneshot::channel();
        let place = Place::take(Waiter::Task(sender));
        self.ask(service, body, &place);
        answer.await.unwrap_or_else(|_| (Status::Cancelled, Vec::new()))
    }

    /// The host's clock.
    pub(super) fn now(self) -> At {
        let (sender, answer) = mpsc::sync_channel(1);
        let place = Place::take(Waiter::Thread(sender));
        self.ask("now", &[], &place);
        match answer.recv_timeout(CLOCK_WITHIN) {
            Ok((Status::Ok, body)) if let Ok(at) = serde_json::from_slice(&body) => at,
            _ => {
                self.log(0, 2, "zyklus_connect", "the host did not say what time it is; the system did", "");
                let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                At::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
        }
    }
}

thread_local! {
    static CURRENT: Cell<(Option<HostRef>, u64)> = const { Cell::new((None, 0)) };
}
static LATEST: Mutex<Option<HostRef>> = Mutex::new(None);

/// The host and the call that this thread works for just now; beside any call, the host of the latest instance.
pub(super) fn current() -> (Option<HostRef>, u64) {
    match CURRENT.get() {
        (Some(host), call) => (Some(host), call),
        (None, _) => (*LATEST.lock().unwrap_or_else(PoisonError::into_inner), 0),
    }
}

pub(super) fn set_latest(host: HostRef) {
    *LATEST.lock().unwrap_or_else(PoisonError::into_inner) = Some(host);
}

/// A future that works for a call.
pub(super) struct Working<F> {
    pub(super) host: HostRef,
    pub(super) call: u64,
    pub(super) work: Pin<Box<F>>,
}

impl<F: Future> Future for Working<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        struct Before((Option<HostRef>, u64));
        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _before = Before(CURRENT.replace((Some(self.host), self.call)));
        self.work.as_mut().poll(context)
    }
}

fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("the contract's types are plain data")
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| {
        Error::new(ErrorKind::Internal, "the host's answer makes no sense").with_detail(e.to_string())
    })
}

/// The host's HTTP.
pub(super) struct HostHttp(pub(super) HostRef);

#[async_trait]
impl Http for HostHttp {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (status, body) = self.0.request("http", &json(&request)).await;
        let failed = |kind, message: String| HttpError { kind, message };
        let nonsense = |e: serde_json::Error| {
            failed(HttpErrorKind::NoAnswer, format!("the host's answer makes no sense: {e}"))
        };
        match status {
            Status::Ok => serde_json::from_slice(&body).map_err(nonsense),
            Status::Err => Err(serde_json::from_slice(&body).unwrap_or_else(nonsense)),
            Status::Cancelled => Err(failed(HttpErrorKind::Cancelled, "the host is stopping".into())),
            Status::Panic => Err(failed(HttpErrorKind::NoAnswer, "the host's HTTP failed".into())),
        }
    }
}

/// The host's store of tokens.
pub(super) struct HostTokens(pub(super) HostRef);

impl HostTokens {
    async fn ask(&self, request: &TokenRequest) -> Result<Option<Token>> {
        let (status, body) = self.0.request("token", &json(request)).await;
        match status {
            Status::Ok => read(&body),
            Status::Err => Err(read(&body).unwrap_or_else(|e| e)),
            Status::Cancelled => Err(Error::new(ErrorKind::Cancelled, "the host is stopping")),
            Status::Panic => Err(Error::new(ErrorKind::Internal, "the host's store of tokens failed")),
        }
    }
}

#[async_trait]
impl Tokens for HostTokens {
    async fn load(&self, name: &str) -> Result<Option<Token>, Error> {
        self.ask(&TokenRequest { name: name.to_owned(), store: None }).await
    }

    async fn store(&self, name: &str, token: &Token) -> Result<(), Error> {
        self.ask(&TokenRequest { name: name.to_owned(), store: Some(token.clone()) }).await.map(drop)
    }
}
