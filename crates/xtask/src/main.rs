//! `cargo xtask`: installs what the tests need, starts it, runs them and takes everything down again.
//! Never part of the product, and never leaves a process or a folder behind in the system.

mod cluster;
mod debian;
mod node;
mod process;
mod setup;

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::Parser;

/// Sets up what the tests need and runs them.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
enum Task {
    /// Install what the tests and benchmarks need, and nothing else.
    Setup {
        /// Also install Chromium, for looking at pages and mails.
        #[arg(long)]
        browser: bool,
    },
    /// Set up, then run every test: documentation tests first, cargo-nextest last.
    Test {
        /// Leave out setup, documentation tests and every test that needs a real shop.
        #[arg(long)]
        fast: bool,
        /// Passed on to `cargo nextest run`; with any, documentation tests are left out.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NEXTEST_ARGS")]
        args: Vec<String>,
    },
    /// Set up, then run the benchmarks of tests/bench in release mode.
    Bench {
        /// Passed on to `cargo bench`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "BENCH_ARGS")]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = process::catch_signals().and_then(|()| match Task::parse() {
        Task::Setup { browser } => setup::everything(browser).map(drop),
        Task::Test { fast, args } => test(fast, &args),
        Task::Bench { args } => bench(&args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the tests. Prints nothing after the test runner has: its summary is the last thing read.
fn test(fast: bool, args: &[String]) -> Result<()> {
    let peers = if fast { setup::present()? } else { setup::everything(false)? };
    process::run(process::cargo(&["build", "--workspace", "--bins", "--tests"]))?;
    if !fast && args.is_empty() {
        process::run(process::cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    }
    let mut runner = process::cargo(&["nextest", "run"]);
    if !args.iter().any(|arg| arg == "-p" || arg.starts_with("--package")) {
        runner.arg("--workspace");
    }
    if std::env::var_os("CI").is_some() {
        runner.args(["--profile", "ci"]);
    }
    if fast {
        runner.args(["--filterset", "not test(/vendure/)"]);
        eprintln!("--fast: the tests against a real Vendure are left out");
    }
    runner.args(args);
    with_peers(&peers, runner)
}

/// Runs the benchmarks against the release build of the daemon.
fn bench(args: &[String]) -> Result<()> {
    let peers = setup::everything(false)?;
    process::run(process::cargo(&["build", "--release", "--package", "zyklus-cli"]))?;
    let mut runner = process::cargo(&["bench", "--package", "zyklus-tests", "--benches"]);
    runner.args(args);
    with_peers(&peers, runner)
}

/// Runs `command` with a PostgreSQL cluster of its own and the peers' addresses in its environment.
fn with_peers(peers: &setup::Peers, mut command: Command) -> Result<()> {
    let cluster = cluster::Cluster::start()?;
    command.env("ZYKLUS_TEST_POSTGRES", cluster.url()).envs(peers.environment());
    let done = process::run(command);
    drop(cluster);
    if process::interrupted() {
        bail!("interrupted");
    }
    done
}
