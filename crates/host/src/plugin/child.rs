//! A plugin's own process: the daemon's program again, started with nothing but two pipes. Confines itself, opens the
//! library, and hands calls and answers through. Ends when the daemon does.

#![expect(unsafe_code, reason = "foreign code is called, and calls back")]

use std::collections::{HashMap, HashSet};
use std::ffi::{OsString, c_void};
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use zyklus_connect::abi::{Bytes, HostTable, MINOR, ReplyFn, Status};

use super::confine::{self, Pipes};
use super::frame::{self, Kind};
use super::instance::{Owed, copied, text};
use super::library::{Loaded, load};
use super::services::LARGEST_REQUEST;

/// What is still running when the daemon has gone gets so long.
const LAST: Duration = Duration::from_secs(2);

struct Child {
    out: Mutex<File>,
    /// Requests the daemon has not answered.
    owed: Mutex<HashMap<u64, Owed>>,
    /// Calls the library has not answered.
    open: Mutex<HashSet<u64>>,
}

static CHILD: OnceLock<Child> = OnceLock::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes to the daemon. Without it there is nothing to live for.
fn tell(child: &Child, kind: Kind, id: u64, code: i32, parts: &[&[u8]]) {
    if frame::write(&mut *lock(&child.out), kind, id, code, parts).is_err() {
        confine::exit();
    }
}

extern "C" fn complete(_: *mut c_void, call: u64, status: i32, body: Bytes) {
    if let Some(child) = CHILD.get() {
        let (status, body) = copied(status, body);
        tell(child, Kind::Complete, call, status.code(), &[&body]);
        lock(&child.open).remove(&call);
    }
}

extern "C" fn log(_: *mut c_void, call: u64, level: u32, target: Bytes, message: Bytes, fields: Bytes) {
    if let Some(child) = CHILD.get() {
        let [target, message, fields] = [target, message, fields].map(|bytes| text(bytes, 16 * 1024));
        let parts = [target.as_bytes(), message.as_bytes(), fields.as_bytes()];
        tell(child, Kind::Log, call, i32::try_from(level).unwrap_or(1), &parts);
    }
}

extern "C" fn request(
    _: *mut c_void,
    _call: u64,
    service: Bytes,
    body: Bytes,
    reply: ReplyFn,
    user: *mut c_void,
) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let owed = Owed::new(reply, user);
    let Some(child) = CHILD.get() else { return };
    // SAFETY: the library lends it for the duration of its call.
    let Some(body) = (unsafe { body.copy(LARGEST_REQUEST) }) else {
        return owed.pay(Status::Panic, b"the request is too large");
    };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    lock(&child.owed).insert(number, owed);
    tell(child, Kind::Request, number, 0, &[text(service, 100).as_bytes(), &body]);
}

/// The whole life of a plugin's process; `args` are what the daemon appended to its own name for this: the library's copy,
/// its memory in bytes, and `network` or `confined`.
pub fn plugin_process(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let [copy, memory, network] = args.as_slice() else {
        eprintln!("zyklus: this is started by the daemon, for one plugin");
        return ExitCode::from(2);
    };
    let memory = memory.to_str().and_then(|text| text.parse::<u64>().ok());
    let (Some(memory), Ok(Pipes { from_parent, to_parent })) = (memory, confine::take_pipes()) else {
        eprintln!("zyklus: a plugin's process needs its pipes and a limit of its memory");
        return ExitCode::from(2);
    };
    let child = CHILD.get_or_init(|| Child {
        out: Mutex::new(to_parent),
        owed: Mutex::default(),
        open: Mutex::default(),
    });
    let mut note = String::new();
    if network != "network"
        && let Err(why) = confine::leave_network()
    {
        note = format!("it keeps the daemon's network, for the kernel does not let it leave: {why}");
    }
    let copy = PathBuf::from(copy);
    let loaded = confine::limit(memory)
        .map_err(|e| format!("it cannot be confined: {e}"))
        .and_then(|()| load(&copy).map_err(|e| e.to_string()));
    match loaded {
        Ok(loaded) => {
            tell(child, Kind::Hello, loaded.minor.into(), 0, &[loaded.manifest, note.as_bytes()]);
            live(child, loaded, from_parent);
        }
        Err(why) => tell(child, Kind::Hello, 0, 1, &[why.as_bytes()]),
    }
    confine::exit()
}

struct Job {
    id: u64,
    op: Vec<u8>,
    body: Vec<u8>,
}

struct This(*mut c_void);

// SAFETY: it is handed to the library's functions alone, which take it from the threads ABI.md says.
unsafe impl Send for This {}

fn live(child: &'static Child, loaded: Loaded, from_parent: File) {
    let size = size_of::<HostTable>() as u32;
    let ctx = std::ptr::null_mut();
    let table = HostTable { size, abi_minor: MINOR.into(), ctx, complete, log, request };
    let functions = loaded.functions;
    let table: &'static HostTable = Box::leak(Box::new(table));
    // SAFETY: the library was found to be a plugin.
    let instance = unsafe { (functions.create)(table) };
    if instance.is_null() {
        eprintln!("its function `create` gave nothing");
        return;
    }
    let (jobs, queue) = mpsc::channel::<Job>();
    let this = This(instance);
    std::thread::spawn(move || {
        let This(instance) = { this };
        let mut from_parent = from_parent;
        // The daemon is trusted with any length.
        while let Ok(Some(mut frame)) = frame::read(&mut from_parent, usize::MAX) {
            match frame.kind {
                Kind::Call => {
                    lock(&child.open).insert(frame.id);
                    let job = Job { id: frame.id, op: frame.take(0), body: frame.take(1) };
                    // The other end lives as long as the process.
                    drop(jobs.send(job));
                }
                // SAFETY: the instance lives as long as this thread.
                Kind::Cancel => unsafe { (functions.cancel)(instance, frame.id) },
                Kind::Reply => {
                    let owed = lock(&child.owed).remove(&frame.id);
                    if let Some(owed) = owed {
                        owed.pay(Status::from_code(frame.code), &frame.take(0));
                    }
                }
                Kind::Hello | Kind::Complete | Kind::Log | Kind::Request => {}
            }
        }
        drop(jobs);
        std::thread::sleep(LAST);
        confine::exit();
    });
    while let Ok(job) = queue.recv() {
        // SAFETY: the instance is there; what is lent outlives the call.
        unsafe { (functions.call)(instance, job.id, Bytes::lend(&job.op), Bytes::lend(&job.body)) };
    }
    if lock(&child.open).is_empty() {
        // SAFETY: no call is open; the other thread ends without naming it again.
        unsafe { (functions.destroy)(instance) };
    }
}
