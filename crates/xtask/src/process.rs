//! Runs other programs and reacts to signals. Never leaves a child behind when it returns.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static CHILD: AtomicI32 = AtomicI32::new(0);

/// From now on SIGINT, SIGTERM and SIGHUP end the running child and then this program in good order,
/// instead of killing it where it stands.
pub(crate) fn catch_signals() -> Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot listen for signals")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            // A terminal has already sent Ctrl-C to the child, and a second one would cut its shutdown short.
            if signal == SIGINT && std::io::stdin().is_terminal() {
                continue;
            }
            if let Some(child) = Pid::from_raw(CHILD.load(Ordering::SeqCst)) {
                let _ = kill_process(child, Signal::TERM);
            }
        }
    });
    Ok(())
}

/// Whether a signal has asked this program to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this package lies two folders below the root").to_path_buf()
}

/// The folder cargo builds into: this program was built there.
pub(crate) fn target() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("cannot find this program's own file")?;
    let target = exe.ancestors().nth(2).context("this program does not lie in a target folder")?;
    Ok(target.to_path_buf())
}

/// The cargo that runs this program, in the root of the workspace, with a caller's environment.
///
/// What cargo told *this* program about its package is taken out again: some build scripts watch those
/// variables, and would build everything a second time.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO_BIN_NAME" {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a program to its end and says so when it fails.
///
/// # Errors
/// As [`succeeds`], and when the program fails.
pub(crate) fn run(command: Command) -> Result<()> {
    let shown = shown(&command);
    if !succeeds(command)? {
        bail!("`{shown}` failed");
    }
    Ok(())
}

/// Runs a program to its end. Whether it succeeded; if not, it has said why itself.
///
/// # Errors
/// When it cannot be started, or a signal has asked this program to end.
pub(crate) fn succeeds(mut command: Command) -> Result<bool> {
    if interrupted() {
        bail!("interrupted");
    }
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", shown(&command)))?;
    CHILD.store(child.id().cast_signed(), Ordering::SeqCst);
    if interrupted() {
        drop(child.kill());
    }
    let status = child.wait();
    CHILD.store(0, Ordering::SeqCst);
    let status = status.with_context(|| format!("cannot wait for `{}`", shown(&command)))?;
    if interrupted() {
        bail!("interrupted");
    }
    Ok(status.success())
}

/// The same command, but one that is asked to end when this program is killed and cannot ask it itself.
pub(crate) fn tied(command: &Command) -> Command {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    tied.current_dir(command.get_current_dir().unwrap_or(Path::new(".")));
    tied
}

/// What a program prints, or nothing when it cannot be run or fails.
pub(crate) fn output(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).current_dir("/").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where `PATH` finds a program.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}
