//! An instance in the daemon's own process: a thread that calls it, and the functions it calls back. Holds no pointer that
//! a stranger could make dangle: what a library gives back is a number, and a number without an owner is ignored.

#![expect(unsafe_code, reason = "foreign code is called, and calls back")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use zyklus_connect::abi::{Bytes, HostTable, MINOR, ReplyFn, Status};

use super::library::{Functions, Loaded};
use super::services::{LARGEST_REQUEST, Reply, Services};
use super::session::{Calls, LARGEST_ANSWER, Session, Way};

/// Calls that wait for a thread that is busy.
const QUEUE: usize = 64;

/// What an instance's callbacks find by its number.
struct Shared {
    calls: Arc<Calls>,
    services: Arc<Services>,
}

fn instances() -> MutexGuard<'static, HashMap<usize, Arc<Shared>>> {
    static INSTANCES: OnceLock<Mutex<HashMap<usize, Arc<Shared>>>> = OnceLock::new();
    INSTANCES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a callback of an instance that is there; no panic of ours goes into foreign code.
fn with(ctx: *mut c_void, run: impl FnOnce(&Shared)) {
    let done = catch_unwind(AssertUnwindSafe(|| {
        let shared = instances().get(&ctx.addr()).cloned();
        if let Some(shared) = shared {
            run(&shared);
        }
    }));
    if done.is_err() {
        tracing::error!("answering a plugin ended in a defect of the host");
    }
}

/// A call's answer, copied; one that is too large is an error instead.
pub(super) fn copied(status: i32, body: Bytes) -> (Status, Vec<u8>) {
    // SAFETY: the plugin lends it for the duration of its call.
    match unsafe { body.copy(LARGEST_ANSWER) } {
        Some(body) => (Status::from_code(status), body),
        None => {
            let (len, most) = (body.len, LARGEST_ANSWER >> 20);
            let message = format!("the connector answered with {len} bytes; {most} MiB at most");
            let error = zyklus_connect::Error::new(zyklus_connect::ErrorKind::Internal, message);
            (Status::Err, serde_json::to_vec(&error).unwrap_or_default())
        }
    }
}

/// A text on loan, cut to a length.
pub(super) fn text(bytes: Bytes, most: usize) -> String {
    let bytes = Bytes { len: bytes.len.min(most), ..bytes };
    // SAFETY: the plugin lends it for the duration of its call.
    let copy = unsafe { bytes.copy(most) }.unwrap_or_default();
    String::from_utf8(copy).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// A reply that a plugin is owed: called once, also when nobody comes to it.
pub(super) struct Owed {
    reply: ReplyFn,
    user: *mut c_void,
    is_paid: bool,
}

// SAFETY: a reply comes from any thread, and `user` is only handed back.
unsafe impl Send for Owed {}

impl Owed {
    pub(super) fn new(reply: ReplyFn, user: *mut c_void) -> Self {
        Owed { reply, user, is_paid: false }
    }

    pub(super) fn pay(mut self, status: Status, body: &[u8]) {
        self.is_paid = true;
        (self.reply)(self.user, status.code(), Bytes::lend(body));
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.is_paid {
            (self.reply)(self.user, Status::Cancelled.code(), Bytes::EMPTY);
        }
    }
}

extern "C" fn complete(ctx: *mut c_void, call: u64, status: i32, body: Bytes) {
    with(ctx, |shared| {
        let (status, body) = copied(status, body);
        shared.calls.complete(call, status, body);
    });
}

extern "C" fn log(ctx: *mut c_void, call: u64, level: u32, target: Bytes, message: Bytes, fields: Bytes) {
    with(ctx, |shared| {
        let [target, message, fields] = [target, message, fields].map(|bytes| text(bytes, 16 * 1024));
        shared.services.log(call, level, &target, &message, &fields);
    });
}

extern "C" fn request(
    ctx: *mut c_void,
    _call: u64,
    service: Bytes,
    body: Bytes,
    reply: ReplyFn,
    user: *mut c_void,
) {
    let owed = Owed::new(reply, user);
    with(ctx, |shared| {
        // SAFETY: the plugin lends it for the duration of its call.
        let Some(body) = (unsafe { body.copy(LARGEST_REQUEST) }) else {
            return owed.pay(Status::Panic, b"the request is too large");
        };
        let reply: Reply = Box::new(move |status, body| owed.pay(status, body));
        shared.services.serve(&text(service, 100), body, reply);
    });
}

struct Job {
    id: u64,
    op: &'static str,
    body: Vec<u8>,
}

/// The instance itself, as long as it may be named.
struct This(*mut c_void);

// SAFETY: it is handed to the library's functions alone, which take it from the threads ABI.md says.
unsafe impl Send for This {}

struct Thread {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    this: Arc<Mutex<Option<This>>>,
    functions: Functions,
    services: Arc<Services>,
}

/// Makes an instance, on a thread of its own.
pub(crate) async fn start(loaded: Loaded, services: Arc<Services>) -> Result<Session, String> {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let calls = Arc::new(Calls::default());
    let shared = Arc::new(Shared { calls: Arc::clone(&calls), services: Arc::clone(&services) });
    instances().insert(number, shared);
    let (jobs, queue) = mpsc::channel(QUEUE);
    let this = Arc::new(Mutex::new(None));
    let (made, is_made) = tokio::sync::oneshot::channel();
    let work = {
        let (this, calls) = (Arc::clone(&this), Arc::clone(&calls));
        move || live(number, loaded.functions, queue, &this, &calls, made)
    };
    let thread = std::thread::Builder::new().name(format!("plugin {}", services.id()));
    thread.spawn(work).map_err(|e| format!("there is no thread for it: {e}"))?;
    match is_made.await {
        Ok(true) => {}
        Ok(false) | Err(_) => {
            instances().remove(&number);
            return Err("its function `create` gave nothing".into());
        }
    }
    let way = Thread { jobs: Mutex::new(Some(jobs)), this, functions: loaded.functions, services };
    Ok(Session { calls, way: Arc::new(way) })
}

/// The whole life of an instance.
fn live(
    number: usize,
    functions: Functions,
    mut queue: mpsc::Receiver<Job>,
    this: &Mutex<Option<This>>,
    calls: &Calls,
    made: tokio::sync::oneshot::Sender<bool>,
) {
    let lock = || this.lock().unwrap_or_else(PoisonError::into_inner);
    let ctx = std::ptr::without_provenance_mut(number);
    let size = size_of::<HostTable>() as u32;
    let table = HostTable { size, abi_minor: MINOR.into(), ctx, complete, log, request };
    // Leaked: a thread of the library may use it at any time.
    let table: &'static HostTable = Box::leak(Box::new(table));
    // SAFETY: the library was found to be a plugin.
    let instance = unsafe { (functions.create)(table) };
    if instance.is_null() {
        made.send(false).ok();
        return;
    }
    *lock() = Some(This(instance));
    // Whoever waited for this may have given up: then nobody holds the other end of the queue, and it ends below.
    made.send(true).ok();
    while let Some(job) = queue.blocking_recv() {
        let (op, body) = (Bytes::lend(job.op.as_bytes()), Bytes::lend(&job.body));
        // SAFETY: the instance is there; what is lent outlives the call.
        unsafe { (functions.call)(instance, job.id, op, body) };
    }
    let instance = lock().take();
    if calls.oldest().is_none() {
        if let Some(This(instance)) = instance {
            // SAFETY: no call is open, and nobody can name it any more.
            unsafe { (functions.destroy)(instance) };
        }
        instances().remove(&number);
    } else {
        tracing::warn!("a plugin has calls that never ended: it is left in memory");
    }
    calls.end("the connector is closed");
}

impl Thread {
    fn jobs(&self) -> Result<mpsc::Sender<Job>, String> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.clone().ok_or_else(|| "the connector is closed".to_owned())
    }
}

impl Way for Thread {
    fn call(&self, id: u64, op: &'static str, body: Vec<u8>) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let jobs = self.jobs()?;
            jobs.send(Job { id, op, body }).await.map_err(|_| "the connector is closed".to_owned())
        }
        .boxed()
    }

    fn call_now(&self, id: u64, op: &'static str, body: Vec<u8>) -> Result<(), String> {
        let busy = |_| "the connector is busy: calls before this one have not been taken".to_owned();
        self.jobs()?.try_send(Job { id, op, body }).map_err(busy)
    }

    fn cancel(&self, id: u64) {
        let (this, cancel) = (Arc::clone(&self.this), self.functions.cancel);
        // On a thread that may block, as may the library.
        self.services.handle().spawn_blocking(move || {
            let this = this.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(This(instance)) = *this {
                // SAFETY: the instance is not destroyed while its place is locked.
                unsafe { cancel(instance, id) };
            }
        });
    }

    fn kill(&self, _: &str) -> bool {
        false
    }

    fn release(&self) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
