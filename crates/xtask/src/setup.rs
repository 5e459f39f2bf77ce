//! What the tests need on the machine, and where it ends up. Installs only; starts nothing.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Need};
use crate::process::{cargo, output, run, target, which};
use crate::{cluster, node};

/// The version of cargo-nextest that gets installed when none is there.
const NEXTEST: &str = "0.9.143";

const POSTGRES: Need =
    Need { what: "PostgreSQL's server", packages: &["postgresql"], found: || cluster::programs().is_some() };
const SQLITE: Need =
    Need { what: "SQLite's shell", packages: &["sqlite3"], found: || which("sqlite3").is_some() };
/// With the module that makes environments of its own; Debian has it in another package.
const PYTHON: Need = Need {
    what: "Python with venv",
    packages: &["python3", "python3-venv"],
    found: || output("python3", &["-c", "import ensurepip"]).is_some(),
};
const SETPRIV: Need =
    Need { what: "setpriv", packages: &["util-linux"], found: || which("setpriv").is_some() };

/// Where the peers lie that the tests start themselves.
pub(crate) struct Peers {
    smtp_sink: Option<PathBuf>,
    node: Option<PathBuf>,
    vendure: Option<PathBuf>,
    postgres: Option<PathBuf>,
}

impl Peers {
    /// What the tests are told, as `tests/README.md` lists it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let all = [
            ("ZYKLUS_TEST_SMTP_SINK", &self.smtp_sink),
            ("ZYKLUS_TEST_NODE", &self.node),
            ("ZYKLUS_TEST_VENDURE", &self.vendure),
            ("ZYKLUS_TEST_POSTGRES_PROGRAMS", &self.postgres),
        ];
        all.into_iter().filter_map(|(name, path)| Some((name, path.clone()?))).collect()
    }
}

/// Installs all of it.
///
/// # Errors
/// When something is missing and cannot be installed here; the message says what, and what to do.
pub(crate) fn everything(browser: bool) -> Result<Peers> {
    let mut needs = vec![
        POSTGRES,
        SQLITE,
        SETPRIV,
        Need { what: "Node", packages: &["nodejs"], found: || which("node").is_some() },
        Need { what: "npm", packages: &["npm"], found: || which("npm").is_some() },
        Need { what: "a C++ compiler", packages: &["g++"], found: || which("g++").is_some() },
        Need { what: "make", packages: &["make"], found: || which("make").is_some() },
        PYTHON,
    ];
    if browser {
        needs.push(Need {
            what: "Chromium",
            packages: &["chromium", "fonts-liberation"],
            found: || which("chromium").is_some(),
        });
    }
    debian::meet(&needs)?;
    nextest()?;
    let mut peers = found()?;
    if peers.smtp_sink.is_none() {
        debian::unpack("postfix", &unpacked_postfix()?)?;
        peers.smtp_sink = smtp_sink()?;
    }
    if peers.smtp_sink.is_none() {
        bail!("Debian's postfix package brought no smtp-sink");
    }
    let node = node::program()?;
    peers.vendure = Some(node::vendure(&node)?);
    peers.node = Some(node.path);
    peers.postgres = cluster::programs();
    Ok(peers)
}

/// Installs what the benchmarks compare with, and no shop.
///
/// # Errors
/// As [`everything`].
pub(crate) fn benchmarks() -> Result<Peers> {
    debian::meet(&[POSTGRES, SQLITE, SETPRIV, PYTHON])?;
    found()
}

/// What an earlier setup has left, for a quick run. Tests that need more fail and say so.
///
/// # Errors
/// When cargo-nextest is not there.
pub(crate) fn present() -> Result<Peers> {
    if output("cargo", &["nextest", "--version"]).is_none() {
        bail!("cargo-nextest is missing; run `cargo xtask setup`");
    }
    found()
}

fn found() -> Result<Peers> {
    Ok(Peers { smtp_sink: smtp_sink()?, node: None, vendure: None, postgres: cluster::programs() })
}

fn unpacked_postfix() -> Result<PathBuf> {
    Ok(target()?.join("peers/postfix"))
}

fn smtp_sink() -> Result<Option<PathBuf>> {
    let places = [PathBuf::from("/usr/sbin/smtp-sink"), unpacked_postfix()?.join("usr/sbin/smtp-sink")];
    Ok(places.into_iter().find(|file| file.is_file()))
}

fn nextest() -> Result<()> {
    if output("cargo", &["nextest", "--version"]).is_some() {
        return Ok(());
    }
    eprintln!("installing cargo-nextest {NEXTEST}");
    run(cargo(&["install", "cargo-nextest", "--locked", "--version", NEXTEST]))
        .context("cannot install cargo-nextest; its site also offers a ready-made program")
}
