//! Starts and ends the programs that tests run against. A program started here dies with the test
//! process, even when that is killed: Linux is asked to do it (setpriv --pdeathsig).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};

/// A port on loopback that is free now. Another program may take it; callers that mind try again.
///
/// # Errors
/// When loopback has no free port.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The value of a variable that `cargo xtask test` sets.
///
/// # Errors
/// When it is not set: the test was run in another way.
pub fn variable(name: &str) -> Result<OsString> {
    std::env::var_os(name)
        .with_context(|| format!("{name} is not set; run the tests with `cargo xtask test`"))
}

/// A program that runs beside the test, in its own process group. Dropping it kills the group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    log: PathBuf,
}

/// What to start and how.
#[derive(Debug)]
pub struct Start<'a> {
    /// The program's file.
    pub program: &'a Path,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Added to this process's environment.
    pub env: Vec<(&'a str, OsString)>,
    /// Where it runs.
    pub folder: &'a Path,
    /// The file for what it prints on both outputs; it is replaced.
    pub log: &'a Path,
    /// A system user to run as when the test is root; ignored otherwise.
    pub user: Option<&'a str>,
}

impl Running {
    /// Starts it. That it runs does not mean that it is ready.
    ///
    /// # Errors
    /// When the program or its log cannot be opened.
    pub fn start(start: Start<'_>) -> Result<Self> {
        let name = start.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = File::create(start.log).with_context(|| format!("cannot write {}", start.log.display()))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = start.user.filter(|_| geteuid().is_root()) {
            command.args(["--reuid", user, "--regid", "nogroup", "--clear-groups"]);
        }
        command.arg("--").arg(start.program).args(start.args).envs(start.env).current_dir(start.folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = spawn(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name, log: start.log.to_path_buf() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When the program ends before, or `limit` passes; with what it printed.
    pub async fn ready(&mut self, limit: Duration, mut ready: impl FnMut(&str) -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !ready(&self.printed()) {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended too early, {status}:\n{}", self.name, self.printed());
            }
            if Instant::now() > deadline {
                bail!("{} was not ready after {limit:?}:\n{}", self.name, self.printed());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Sends it a signal. One that has already ended is left alone.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, signal);
        }
    }

    /// How it ended, or nothing when it still runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `limit`; with what it printed.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} still runs after {limit:?}:\n{}", self.name, self.printed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            drop(self.child.wait());
        }
    }
}

/// What a program that ended has left.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a program to its end. Blocks; for programs that take a moment, not for servers.
///
/// # Errors
/// When it cannot be started.
pub fn run(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Ended> {
    let program = program.as_ref();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    Ok(Ended {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

type Job = (Command, Sender<std::io::Result<Child>>);

/// Starts a program from a thread that lives as long as the process. The death signal comes when the
/// *thread* that started the program ends, and a test's worker threads may end before the test does.
fn spawn(command: Command) -> Result<Child> {
    static KEEPER: OnceLock<Sender<Job>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in queue {
                drop(answer.send(command.spawn()));
            }
        });
        jobs
    });
    let (answer, answered) = channel();
    keeper.send((command, answer)).ok().context("the thread that starts programs is gone")?;
    Ok(answered.recv().context("the thread that starts programs is gone")??)
}
