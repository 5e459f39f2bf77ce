//! The daemon's side of a plugin's process: starts it, reads what it says, writes what it is asked, and ends it when it
//! hangs, floods or burns. Trusts nothing it says.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use zyklus_connect::abi::Status;

use super::error::LibraryError;
use super::frame::{self, Kind};
use super::library::LOAD_WITHIN;
use super::place;
use super::services::{LARGEST_REQUEST, Services};
use super::session::{Calls, LARGEST_ANSWER, Session, Way};

/// What a process gets of the daemon's environment: nothing that could hold a secret.
const ENVIRONMENT: [&str; 4] = ["TZ", "TZDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Of what it prints, a line is cut after so many bytes.
const LONGEST_LINE: u64 = 2_000;
/// How often its processor time is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// So much may wait for a process that does not read, in bytes.
const MOST_QUEUED: usize = 256 * 1024 * 1024;
/// What a message costs besides its body.
const MESSAGE: usize = 1024;
/// A process that closed its pipes gets so long to end by itself.
const END_WITHIN: Duration = Duration::from_millis(500);

/// The program that becomes a plugin's process, and what comes before its own arguments.
#[derive(Debug, Clone)]
pub struct ChildCommand {
    /// The daemon's program.
    pub program: PathBuf,
    /// What tells it what to be.
    pub args: Vec<OsString>,
}

impl ChildCommand {
    /// This program, which then calls [`super::plugin_process`] with what follows the word `plugin-process`.
    pub fn this_program() -> Self {
        // The link, not what it names: an update may have replaced the file of a daemon that runs on.
        ChildCommand { program: "/proc/self/exe".into(), args: vec!["plugin-process".into()] }
    }
}

/// What a process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Memory in bytes.
    pub memory: u64,
    /// Processor time of one call.
    pub cpu: Duration,
    /// Whether it may have a network of its own.
    pub network: bool,
}

/// A message to the process.
struct Message {
    kind: Kind,
    id: u64,
    code: i32,
    parts: Vec<Vec<u8>>,
}

impl Message {
    fn size(&self) -> usize {
        MESSAGE + self.parts.iter().map(Vec::len).sum::<usize>()
    }
}

/// What waits to be written to a process.
#[derive(Clone)]
struct Queue {
    to: mpsc::Sender<Option<Message>>,
    size: Arc<AtomicUsize>,
}

impl Queue {
    /// Where nobody writes any more, nobody waits either.
    fn send(&self, message: Message) -> Result<(), String> {
        self.size.fetch_add(message.size(), Ordering::Relaxed);
        self.to.send(Some(message)).map_err(|_| "its process has gone".to_owned())
    }

    /// Nothing follows.
    fn end(&self) {
        self.to.send(None).ok();
    }

    fn is_too_long(&self) -> bool {
        self.size.load(Ordering::Relaxed) > MOST_QUEUED
    }
}

/// What a process's threads share.
struct Shared {
    path: PathBuf,
    pid: u32,
    child: Mutex<Child>,
    /// Why it was killed, if we did.
    why: Mutex<Option<String>>,
    /// The last line it printed.
    last_words: Mutex<String>,
    services: Mutex<Option<Arc<Services>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that has opened its library and waits for its first call. Ends when it is dropped.
pub(crate) struct Process {
    shared: Arc<Shared>,
    /// Its manifest's bytes.
    pub(crate) manifest: Vec<u8>,
    /// Its table's minor.
    pub(crate) minor: u16,
    /// What could not be taken from it.
    pub(crate) note: String,
    attach: mpsc::Sender<Attached>,
    queue: Queue,
}

struct Attached {
    calls: Arc<Calls>,
    services: Arc<Services>,
    queue: Queue,
}

type Hello = Result<(Vec<u8>, u16, String), String>;

/// Starts a process for a library's copy, and waits until it has opened it. Blocks.
pub(crate) fn start(
    command: &ChildCommand,
    copy: &Path,
    sha256: &str,
    limits: &ProcessLimits,
) -> Result<Process, LibraryError> {
    let failed = |reason: String| LibraryError::Process { path: copy.to_path_buf(), reason };
    if !place::holds(copy, sha256) {
        return Err(failed("its private copy is not what it was; the next try makes it anew".into()));
    }
    let mut command_line = Command::new(&command.program);
    command_line
        .args(&command.args)
        .arg(copy)
        .arg(limits.memory.to_string())
        .arg(if limits.network { "network" } else { "confined" })
        .env_clear()
        // The program's own allocator would set a gigabyte aside, which the limit counts.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the daemon, which lets it finish; and what it starts itself is ended with it.
        .process_group(0);
    for name in ENVIRONMENT {
        if let Some(value) = std::env::var_os(name) {
            command_line.env(name, value);
        }
    }
    let mut child = command_line.spawn().map_err(|e| failed(e.to_string()))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let shared = Arc::new(Shared {
        path: copy.to_path_buf(),
        pid: child.id(),
        child: Mutex::new(child),
        why: Mutex::default(),
        last_words: Mutex::default(),
        services: Mutex::default(),
    });
    let (hello, said) = mpsc::channel();
    let (attach, attached) = mpsc::channel();
    let (to, messages) = mpsc::channel();
    let queue = Queue { to, size: Arc::default() };
    let size = Arc::clone(&queue.size);
    let started = [
        stderr.map(|stderr| {
            let shared = Arc::clone(&shared);
            thread("plugin stderr", move || overhear(&shared, stderr))
        }),
        stdin.map(|stdin| thread("plugin write", move || write(stdin, &messages, &size))),
        stdout.map(|stdout| {
            let shared = Arc::clone(&shared);
            thread("plugin read", move || listen(&shared, stdout, &hello, &attached))
        }),
    ];
    if let Some(error) = started.into_iter().flatten().find_map(Result::err) {
        shared.kill("there is no thread for it");
        return Err(failed(error.to_string()));
    }
    let (manifest, minor, note) = match said.recv_timeout(LOAD_WITHIN) {
        Ok(Ok(hello)) => hello,
        Ok(Err(reason)) => return Err(failed(reason)),
        Err(_) => {
            let seconds = LOAD_WITHIN.as_secs();
            shared.kill("it did not open its library in time");
            return Err(LibraryError::Hangs { path: copy.to_path_buf(), what: "loading", seconds });
        }
    };
    Ok(Process { shared, manifest, minor, note, attach, queue })
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// What the process prints goes to the log.
fn overhear(shared: &Shared, stderr: impl Read) {
    let mut lines = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if line.is_empty() {
            continue;
        }
        let services = lock(&shared.services).clone();
        if let Some(services) = services {
            services.log(0, 3, "stderr", &line, "");
        }
        *lock(&shared.last_words) = line;
    }
}

fn write(mut stdin: ChildStdin, messages: &mpsc::Receiver<Option<Message>>, size: &AtomicUsize) {
    while let Ok(Some(message)) = messages.recv() {
        size.fetch_sub(message.size(), Ordering::Relaxed);
        let parts: Vec<&[u8]> = message.parts.iter().map(Vec::as_slice).collect();
        if frame::write(&mut stdin, message.kind, message.id, message.code, &parts).is_err() {
            // It has gone, as the reading thread finds out.
            return;
        }
    }
}

fn listen(
    shared: &Arc<Shared>,
    stdout: impl Read,
    hello: &mpsc::Sender<Hello>,
    attached: &mpsc::Receiver<Attached>,
) {
    let mut stdout = BufReader::with_capacity(64 * 1024, stdout);
    let said = match frame::read(&mut stdout, LARGEST_ANSWER) {
        Ok(Some(mut frame)) if frame.kind == Kind::Hello && frame.code == 0 => {
            let note = frame.text(1);
            Ok((frame.take(0), u16::try_from(frame.id).unwrap_or(0), note))
        }
        Ok(Some(frame)) if frame.kind == Kind::Hello => Err(frame.text(0)),
        Ok(Some(_)) => Err("it said something before its greeting".to_owned()),
        Ok(None) => Err(shared.ended(None)),
        Err(error) => Err(shared.ended(Some(error.to_string()))),
    };
    let is_well = said.is_ok();
    let is_wanted = hello.send(said).is_ok() && is_well;
    let Some(Attached { calls, services, queue }) = is_wanted.then(|| attached.recv().ok()).flatten() else {
        shared.kill("it was only looked at");
        shared.ended(None);
        return;
    };
    let most = LARGEST_ANSWER.max(LARGEST_REQUEST) + 4096;
    let broken = loop {
        let mut frame = match frame::read(&mut stdout, most) {
            Ok(Some(frame)) => frame,
            Ok(None) => break None,
            Err(error) => break Some(format!("it wrote nonsense into its pipe: {error}")),
        };
        match frame.kind {
            Kind::Complete => calls.complete(frame.id, Status::from_code(frame.code), frame.take(0)),
            Kind::Log => {
                let level = u32::try_from(frame.code).unwrap_or(1);
                services.log(frame.id, level, &frame.text(0), &frame.text(1), &frame.text(2));
            }
            Kind::Request => {
                if queue.is_too_long() {
                    break Some("it does not read the answers it asked for".to_owned());
                }
                let (queue, id) = (queue.clone(), frame.id);
                let reply = move |status: Status, body: &[u8]| {
                    let parts = vec![body.to_vec()];
                    queue.send(Message { kind: Kind::Reply, id, code: status.code(), parts }).ok();
                };
                services.serve(&frame.text(0), frame.take(1), Box::new(reply));
            }
            Kind::Hello | Kind::Call | Kind::Cancel | Kind::Reply => {
                break Some("it wrote nonsense into its pipe: a frame that is not its own".to_owned());
            }
        }
    };
    let reason = services.scrub(&shared.ended(broken));
    queue.end();
    calls.end(&reason);
    tracing::debug!(connector.id = services.id(), reason, "a plugin's process ended");
}

impl Shared {
    /// Ends the process and what it started; the first reason counts.
    fn kill(&self, why: &str) {
        let mut child = lock(&self.child);
        // One that was waited for may have given its number away.
        if matches!(child.try_wait(), Ok(None)) {
            lock(&self.why).get_or_insert_with(|| why.to_owned());
            if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
                // The group is there as long as its leader was not waited for.
                kill_process_group(pid, Signal::KILL).ok();
            }
        }
    }

    /// Waits for the end of a process whose pipe has ended, and says why it did.
    fn ended(&self, broken: Option<String>) -> String {
        let closed = Instant::now();
        if let Some(broken) = &broken {
            self.kill(broken);
        }
        let status = loop {
            let waited = lock(&self.child).try_wait();
            match waited {
                Ok(Some(status)) => break Some(status),
                Ok(None) if closed.elapsed() > END_WITHIN => self.kill("it closed its pipe"),
                Ok(None) => {}
                Err(_) => break None,
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // What it said last is read by another thread.
        std::thread::sleep(Duration::from_millis(5));
        let why = lock(&self.why).clone();
        let how = why.unwrap_or_else(|| status.map_or_else(|| "it is gone".to_owned(), how));
        let words = lock(&self.last_words).clone();
        if words.is_empty() { how } else { format!("{how}; its last words: {words}") }
    }

    /// Processor time used so far.
    fn cpu(&self) -> Option<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The name in brackets may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }
}

/// How a process ended, in words.
fn how(status: ExitStatus) -> String {
    let signal = status.signal();
    let name = match signal {
        Some(4) => " (illegal instruction)",
        Some(6) => " (abort)",
        Some(7) => " (bus error)",
        Some(9) => " (kill)",
        Some(11) => " (segmentation fault)",
        Some(31) => " (forbidden system call)",
        _ => "",
    };
    match (signal, status.code()) {
        (Some(signal), _) => format!("it was ended by signal {signal}{name}"),
        (None, Some(code)) => format!("it ended by itself with {code}"),
        (None, None) => "it ended".to_owned(),
    }
}

impl Process {
    /// Takes it into use. Must be called within a tokio runtime.
    pub(crate) fn attach(self, services: Arc<Services>, cpu: Duration) -> Session {
        let calls = Arc::new(Calls::default());
        *lock(&self.shared.services) = Some(Arc::clone(&services));
        let attached = Attached { calls: Arc::clone(&calls), services, queue: self.queue.clone() };
        // The reading thread waits for this.
        drop(self.attach.send(attached));
        tokio::spawn(watch(Arc::clone(&self.shared), Arc::clone(&calls), cpu));
        let way = Pipe { shared: Arc::clone(&self.shared), queue: self.queue.clone() };
        Session { calls, way: Arc::new(way) }
    }
}

/// Ends a process in which one call uses too much processor time.
async fn watch(shared: Arc<Shared>, calls: Arc<Calls>, most: Duration) {
    let mut since: Option<(u64, Duration)> = None;
    while calls.gone().is_none() {
        tokio::time::sleep(LOOK_EVERY).await;
        let (Some(oldest), Some(used)) = (calls.oldest(), shared.cpu()) else {
            since = None;
            continue;
        };
        match since {
            Some((call, before)) if call == oldest => {
                if used.saturating_sub(before) > most {
                    shared.kill(&format!("one call used more than {} s of processor time", most.as_secs()));
                }
            }
            _ => since = Some((oldest, used)),
        }
    }
}

/// The way to a process.
struct Pipe {
    shared: Arc<Shared>,
    queue: Queue,
}

impl Pipe {
    fn send(&self, kind: Kind, id: u64, parts: Vec<Vec<u8>>) -> Result<(), String> {
        self.queue.send(Message { kind, id, code: 0, parts })
    }
}

impl Way for Pipe {
    fn call(&self, id: u64, op: &'static str, body: Vec<u8>) -> BoxFuture<'_, Result<(), String>> {
        // The daemon bounds how many calls are under way, so the queue needs no bound.
        std::future::ready(self.call_now(id, op, body)).boxed()
    }

    fn call_now(&self, id: u64, op: &'static str, body: Vec<u8>) -> Result<(), String> {
        self.send(Kind::Call, id, vec![op.as_bytes().to_vec(), body])
    }

    fn cancel(&self, id: u64) {
        // A process that has gone has no call open.
        drop(self.send(Kind::Cancel, id, Vec::new()));
    }

    fn kill(&self, reason: &str) -> bool {
        self.shared.kill(reason);
        true
    }

    fn release(&self) {
        self.queue.end();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.release();
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("path", &self.shared.path).field("pid", &self.shared.pid).finish()
    }
}
