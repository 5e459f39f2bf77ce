//! `cargo xtask`: installs what the tests need, starts it, runs them and takes everything down again.
//! Never part of the product, and never leaves a process or a folder behind in the system.

mod cluster;
mod debian;
mod node;
mod process;
mod setup;

use std::process::{Command, ExitCode};

use anyhow::Result;
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
        Task::Setup { browser } => setup::everything(browser).map(|_| true),
        Task::Test { fast, args } => test(fast, &args),
        Task::Bench { args } => bench(&args),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the tests; whether they passed. Prints nothing after the test runner has: its summary is what is
/// read last.
fn test(fast: bool, args: &[String]) -> Result<bool> {
    let peers = if fast { setup::present()? } else { setup::everything(false)? };
    let mut runner = process::cargo(&["nextest", "run"]);
    if let Some(only) = packages(args) {
        // The end-to-end tests run the program; nobody else needs it built.
        if only.contains(&"zyklus-tests") {
            process::run(process::cargo(&["build", "--package", "zyklus-cli"]))?;
        }
    } else {
        // The same selection as the test runner's, so that nothing is built twice.
        process::run(process::cargo(&["build", "--workspace", "--bins", "--tests"]))?;
        runner.arg("--workspace");
    }
    if !fast && args.is_empty() {
        process::run(process::cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
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

/// The packages that the arguments choose, or nothing when they leave it at all of them.
fn packages(args: &[String]) -> Option<Vec<&str>> {
    let mut chosen = Vec::new();
    for (at, arg) in args.iter().enumerate() {
        if arg == "-p" || arg == "--package" {
            chosen.extend(args.get(at + 1).map(String::as_str));
        } else if let Some(name) = arg.strip_prefix("--package=").or_else(|| arg.strip_prefix("-p")) {
            chosen.push(name);
        }
    }
    (!chosen.is_empty()).then_some(chosen)
}

/// Runs the benchmarks against the release build of the daemon; whether they succeeded.
fn bench(args: &[String]) -> Result<bool> {
    let peers = setup::benchmarks()?;
    // The same selection as below and the daemon, so that nothing is built twice.
    let both = ["--package", "zyklus-cli", "--package", "zyklus-tests", "--bins", "--bench", "bench"];
    process::run(process::cargo(&[&["build", "--release"], &both[..]].concat()))?;
    let mut runner = process::cargo(&["bench", "--package", "zyklus-tests", "--bench", "bench"]);
    runner.args(args);
    with_peers(&peers, runner)
}

/// Runs `command` with a PostgreSQL cluster of its own and the peers' addresses in its environment.
fn with_peers(peers: &setup::Peers, mut command: Command) -> Result<bool> {
    let cluster = cluster::Cluster::start()?;
    command.env("ZYKLUS_TEST_POSTGRES", cluster.url()).env("TMPDIR", cluster.scratch());
    command.envs(peers.environment());
    process::succeeds(process::tied(&command))
}
