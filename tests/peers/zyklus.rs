//! The built `zyklus`, run in a folder as an operator would. Knows nothing of what it does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Ended, Running, Start};

/// The program and the folder with its configuration.
#[derive(Clone, Debug)]
pub struct Zyklus {
    program: PathBuf,
    folder: PathBuf,
    env: Vec<(String, String)>,
}

impl Zyklus {
    /// The program built beside this test, to be run in `folder`.
    ///
    /// # Errors
    /// When it was not built: `cargo xtask test` does that first.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self> {
        let test = std::env::current_exe()?;
        let program = test.ancestors().nth(2).context("a test lies in target/…/deps")?.join("zyklus");
        if !program.is_file() {
            bail!("{} is not built; run the tests with `cargo xtask test`", program.display());
        }
        let env = vec![("NO_COLOR".to_owned(), "1".to_owned())];
        Ok(Self { program, folder: folder.into(), env })
    }

    /// Sets a variable for every later run.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The folder it runs in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program's file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started. A failure of its own is in [`Ended::status`].
    pub async fn run(&self, args: &[&str]) -> Result<Ended> {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let output = tokio::task::spawn_blocking(move || command.output()).await?;
        let output = output.with_context(|| format!("cannot run {}", self.program.display()))?;
        Ok(Ended {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it to its end and expects success.
    ///
    /// # Errors
    /// When it fails; with all it printed.
    pub async fn succeed(&self, args: &[&str]) -> Result<String> {
        let ended = self.run(args).await?;
        if !ended.status.success() {
            bail!("zyklus {}: {}\n{}{}", args.join(" "), ended.status, ended.stdout, ended.stderr);
        }
        Ok(ended.stdout)
    }

    /// Starts it beside the test; what it prints goes to `log`. End it with [`Running::signal`] and
    /// [`Running::wait`], or kill it by dropping it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, args: &[&str], log: &Path) -> Result<Running> {
        Running::start(Start {
            program: &self.program,
            args: args.iter().map(Into::into).collect(),
            env: self.env.iter().map(|(name, value)| (name.as_str(), value.into())).collect(),
            folder: &self.folder,
            log,
            user: None,
        })
    }
}

/// How long an operator waits for a daemon to end after SIGTERM: the 20 s it has to drain, and a little.
pub const SHUTDOWN: Duration = Duration::from_secs(25);
