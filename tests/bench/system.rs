//! What the benchmarks ask the operating system, and the peers that it has. Never part of what is timed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use zyklus_tests::postgres::{Database, fresh_database};
use zyklus_tests::process::variable;

/// Says on standard error what is being done.
pub(crate) fn say(what: &str) {
    eprintln!("bench: {what}");
}

/// Fails when SQLite's shell is not there.
pub(crate) fn need_sqlite() -> Result<()> {
    let found = Command::new("sqlite3").arg("--version").stdout(Stdio::null()).stdin(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("sqlite3, SQLite's shell, is not here; `cargo xtask setup` installs it"),
    }
}

/// Runs SQLite's shell on a file, one argument after the other; what it prints.
pub(crate) fn sqlite(file: &Path, commands: &[&str]) -> Result<String> {
    let output = Command::new("sqlite3").arg("-bail").arg(file).args(commands).stdin(Stdio::null()).output();
    let output = output.context("cannot run sqlite3; `cargo xtask setup` installs it")?;
    if !output.status.success() || !output.stderr.is_empty() {
        bail!("sqlite3: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A database on the run's PostgreSQL; nothing when the benchmark was started without `cargo xtask bench`.
pub(crate) fn postgres() -> Result<Option<Database>> {
    if variable("ZYKLUS_TEST_POSTGRES").is_err() {
        say("PostgreSQL is not measured: run `cargo xtask bench`");
        return Ok(None);
    }
    fresh_database().map(Some)
}

/// A figure of /proc/PID/status that is in kB, in megabytes (10^6 bytes): `VmHWM` is the most that was ever
/// resident, `VmRSS` what is now.
pub(crate) fn memory(process: &str, field: &str) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    Ok(kilobytes.with_context(|| format!("{path} has no {field}"))? * 1_024.0 / 1e6)
}

/// How long a process has kept processors busy, all its threads together, in user and kernel mode.
pub(crate) fn busy(process: u32) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name, in parentheses, may hold anything; after it the state is the third field, utime the 14th.
    let (_, rest) = text.rsplit_once(')').with_context(|| format!("{path} is not readable"))?;
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}
