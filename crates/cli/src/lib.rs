//! The zyklus binary: arguments, configuration, wiring. Decides nothing.

mod args;
mod as_of;
mod backtest;
mod check;
mod commands;
mod connectors;
mod customer;
pub mod demo;
mod experiments;
mod feedback;
mod insight;
mod memory;
mod notification;
mod playtests;
mod plugins;
mod problems;
mod report;
pub mod schema;
mod show;
mod sync;
mod template;
mod told;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use zyklus_host::Registry;

use args::Args;

/// The connectors built into this program.
pub fn registry() -> Registry {
    Registry::new()
        .with::<zyklus_csv::CsvConnector>()
        .with::<zyklus_maildir::MaildirConnector>()
        .with::<zyklus_smtp::SmtpConnector>()
        .with::<zyklus_vendure::VendureConnector>()
}

/// How a command that did not do what it was asked ended.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration is wrong; it was said what and where. Exit code 2.
    Configuration,
    /// What was found is the answer, and the answer is no. Exit code 1.
    No,
    /// Something failed. Exit code 1.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Failed(error.into())
    }
}

/// Reads the arguments, does what they say, and gives the exit code: 0 done, 1 failed, 2 wrong usage or
/// configuration.
pub fn run() -> ExitCode {
    // Not an operator's word: the daemon starts this program again for a plugin, and that comes before everything else,
    // while there is one thread and nothing is open.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "plugin-process") {
        return zyklus_host::plugin::plugin_process(words);
    }
    let args = Args::parse();
    // The store, its copies, rejected rows and mails in folders hold personal data: whatever this program makes is its
    // user's alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(args.log_level()));
    // A panic's message can quote what it choked on, a customer's data or a secret: only its place is shown.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        eprintln!("zyklus: a defect{place}; please report it");
    }));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("zyklus: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(commands::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration) => ExitCode::from(2),
        Err(Failure::No) => ExitCode::from(1),
        Err(Failure::Failed(error)) => {
            eprintln!("zyklus: {error:#}");
            ExitCode::from(1)
        }
    }
}
