//! The peers that are Python packages: an environment of their own, made for the run and thrown away with it, and the
//! scripts of `peers/` in it. Never uses a package that the machine has.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::work::Outcome;
use crate::system::say;

/// The scripts that say what they need.
const SCRIPTS: [&str; 3] = ["purchase_models.py", "order_summaries.py", "item_neighbours.py"];

/// An environment with all that the scripts need.
#[derive(Debug)]
pub(crate) struct Python {
    folder: TempDir,
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/peers")
}

/// What a script says it needs, as Python's "inline script metadata" has it (PEP 723).
fn requirements(script: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(scripts().join(script))?;
    let lines = text.lines().skip_while(|line| *line != "# /// script").take_while(|line| *line != "# ///");
    let quoted = lines.filter_map(|line| line.strip_prefix("#   \"")?.strip_suffix("\","));
    let found: Vec<String> = quoted.map(str::to_owned).collect();
    ensure!(!found.is_empty(), "{script} does not say what it needs");
    Ok(found)
}

impl Python {
    /// Makes the environment; fails when there is no Python that can, or when PyPI does not answer.
    pub(crate) fn set() -> Result<Self> {
        say("installing the Python packages to compare with");
        let folder = tempfile::tempdir()?;
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(folder.path());
        quietly(&mut venv).context("Python with venv is not here; `cargo xtask setup` installs it")?;
        let mut packages: Vec<String> = Vec::new();
        for script in SCRIPTS {
            packages.extend(requirements(script)?);
        }
        packages.sort_unstable();
        packages.dedup();
        let mut pip = Command::new(folder.path().join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(&packages);
        quietly(&mut pip).with_context(|| {
            format!(
                "pip cannot install {}: PyPI must be reachable, and python3 be 3.11 or newer",
                packages.join(" ")
            )
        })?;
        Ok(Python { folder })
    }

    /// What a script has measured.
    pub(crate) fn run(&self, script: &str, folder: &Path, args: &[&str]) -> Result<Outcome> {
        let mut command = Command::new(self.folder.path().join("bin/python"));
        // Warnings are about versions. Matrix libraries keep idle threads busy, which would count against their users.
        command.args(["-W", "ignore", "-B"]).arg(scripts().join(script)).arg(folder).args(args);
        command.env("OPENBLAS_NUM_THREADS", "1").env_remove("PYTHONPATH");
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "{script} {} failed: {}", args.join(" "), output.status);
        Outcome::of(&output.stdout)
    }
}

/// Runs a command whose words matter only when it fails.
fn quietly(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{}: {}", output.status, String::from_utf8_lossy(&said).trim());
    }
    Ok(())
}
