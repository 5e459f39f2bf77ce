//! Installs Debian packages. Never starts a service, never replaces the machine's mail system, and on
//! any other system only says what is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use crate::process::{output, run, which};

/// One thing that has to be on the machine.
pub(crate) struct Need {
    /// What it is, for people.
    pub(crate) what: &'static str,
    /// The Debian packages that bring it.
    pub(crate) packages: &'static [&'static str],
    /// Whether it is there already.
    pub(crate) found: fn() -> bool,
}

/// Installs the packages of every need that is not met.
///
/// # Errors
/// When packages cannot be installed here; the message names what is missing and the command to run.
pub(crate) fn meet(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.found)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what: Vec<&str> = missing.iter().map(|need| need.what).collect();
    let packages: Vec<String> =
        missing.iter().flat_map(|need| need.packages).map(|&name| name.to_owned()).collect();
    install(&packages).with_context(|| format!("missing on this machine: {}", what.join(", ")))?;
    if let Some(still) = missing.iter().find(|need| !(need.found)()) {
        bail!("{} is still not found after installing {}", still.what, still.packages.join(" "));
    }
    Ok(())
}

/// Unpacks a package into `folder` without installing it, and installs the libraries it needs.
///
/// Postfix is taken this way: installing it would remove another mail system and could start its own.
///
/// # Errors
/// As [`meet`].
pub(crate) fn unpack(package: &str, folder: &Path) -> Result<()> {
    if which("apt-get").is_none() {
        bail!("{package} is missing, and this machine has no apt-get to fetch it with");
    }
    let list = |package: &str| {
        let only = ["--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces"];
        output("apt-cache", &[&["depends", "--no-enhances"], &only[..], &[package]].concat())
    };
    if list(package).is_none() {
        update()?;
    }
    let depends = list(package).with_context(|| format!("no package source here knows {package}"))?;
    let libraries: Vec<String> = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with("lib") && !installed(name))
        .map(str::to_owned)
        .collect();
    if !libraries.is_empty() {
        install(&libraries)?;
    }
    fs::create_dir_all(folder)?;
    let download = || {
        let mut command = Command::new("apt-get");
        // apt says on standard error that it does not use its sandbox user when run as root; it need not.
        command.args(["-qq", "-o", "APT::Sandbox::User=root", "download", package]).current_dir(folder);
        run(command)
    };
    if download().is_err() {
        update()?;
        download()?;
    }
    for file in fs::read_dir(folder)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            let mut command = Command::new("dpkg-deb");
            command.arg("--extract").arg(&file).arg(folder);
            run(command)?;
            fs::remove_file(&file)?;
        }
    }
    Ok(())
}

fn installed(package: &str) -> bool {
    output("dpkg-query", &["--show", "--showformat", "${db:Status-Status}", package]).as_deref()
        == Some("installed")
}

fn update() -> Result<()> {
    run(as_root(&["apt-get", "-qq", "update"])?)
}

fn install(packages: &[String]) -> Result<()> {
    let names = packages.join(" ");
    if which("apt-get").is_none() {
        bail!("this machine has no apt-get; install what Debian calls {names} in its own way");
    }
    let by_hand = || format!("run `apt-get install --no-install-recommends {names}` as root, then again");
    let mut words = vec!["apt-get", "-qq", "install", "--yes", "--no-install-recommends"];
    words.extend(packages.iter().map(String::as_str));
    let command = as_root(&words).with_context(by_hand)?;
    update()?;
    eprintln!("installing {names}");
    let quiet = QuietServices::begin();
    let done = run(command).with_context(by_hand);
    drop(quiet);
    done
}

/// A command run as root: as it is, or through sudo when that asks for no password.
fn as_root(words: &[&str]) -> Result<Command> {
    let root = geteuid().is_root();
    if !root && output("sudo", &["-n", "true"]).is_none() {
        bail!("this needs root, and sudo is not there or asks for a password");
    }
    let mut command = Command::new(if root { "env" } else { "sudo" });
    if !root {
        command.args(["-n", "env"]);
    }
    command.arg("DEBIAN_FRONTEND=noninteractive").args(words);
    Ok(command)
}

/// While this lives, Debian's packages neither start services nor make a database cluster of their own.
/// Without root it does nothing; an administrator's own policy stays as it is.
struct QuietServices {
    made: Vec<PathBuf>,
}

impl QuietServices {
    fn begin() -> Self {
        let mut quiet = Self { made: Vec::new() };
        quiet.make("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755);
        quiet.make(
            "/etc/postgresql-common/createcluster.d/zyklus.conf",
            "create_main_cluster = false\n",
            0o644,
        );
        quiet
    }

    fn make(&mut self, path: &str, text: &str, mode: u32) {
        let path = PathBuf::from(path);
        let written = !path.exists()
            && path.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok())
            && fs::write(&path, text).is_ok()
            && fs::set_permissions(&path, fs::Permissions::from_mode(mode)).is_ok();
        if written {
            self.made.push(path);
        }
    }
}

impl Drop for QuietServices {
    fn drop(&mut self) {
        for path in &self.made {
            drop(fs::remove_file(path));
        }
    }
}
