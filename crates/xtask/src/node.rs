//! Node and the real shop that runs on it. Everything lands below the target folder; nothing is
//! installed for the whole machine, and no shop is left running.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::{output, root, run, target, which};

/// The oldest Node that Vendure runs on.
const OLDEST: u32 = 20;
/// The Node that is fetched as a package when the machine's own is older.
const FETCHED: &str = "22.23.3";

/// A Node to run shops with.
pub(crate) struct Node {
    /// Its program.
    pub(crate) path: PathBuf,
    /// The folder whose `include/node` holds its headers, for modules that have to be compiled.
    headers: Option<PathBuf>,
}

/// The machine's Node when it is new enough, else one from npm's own `node-linux-*` package.
///
/// # Errors
/// When the package cannot be fetched.
pub(crate) fn program() -> Result<Node> {
    let own = which("node").context("Node is missing; run `cargo xtask setup`")?;
    let version = output(&own, &["--version"]).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= OLDEST) {
        return Ok(with_headers(own));
    }
    let machine = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "x64",
        other => anyhow::bail!("Node {version} is too old, and there is no newer one for {other}"),
    };
    let package = format!("node-linux-{machine}");
    let folder = target()?.join(format!("peers/node-{FETCHED}"));
    let path = folder.join("node_modules").join(&package).join("bin/node");
    if !path.is_file() {
        eprintln!("Node {version} is older than {OLDEST}; fetching {FETCHED}");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("package.json"), "{\"private\":true}\n")?;
        let mut command = Command::new("npm");
        command.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"]);
        command.arg(format!("{package}@{FETCHED}")).current_dir(&folder).stdout(Stdio::null());
        run(command)?;
    }
    Ok(with_headers(path))
}

fn with_headers(path: PathBuf) -> Node {
    let headers = path.ancestors().nth(2).filter(|prefix| prefix.join("include/node/node.h").is_file());
    Node { headers: headers.map(Path::to_path_buf), path }
}

/// Installs tests/peers/vendure and fills its template database, unless that was done before.
/// Returns the folder that holds it.
///
/// # Errors
/// When npm cannot install the packages or Vendure cannot fill the database.
pub(crate) fn vendure(node: &Node) -> Result<PathBuf> {
    let source = root().join("tests/peers/vendure");
    let packages = ["package.json", "package-lock.json"];
    let programs = ["index.js", "catalogue.js"];
    let peers = target()?.join("peers");
    let folder = peers.join(format!("vendure-{:016x}", hash(&source, &packages)?));
    if !folder.join("installed").is_file() {
        fs::create_dir_all(&folder)?;
        copy(&source, &packages, &folder)?;
        eprintln!("installing Vendure (a few minutes, once)");
        let mut command = Command::new("npm");
        command.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).env("PATH", path_with(node)?);
        if let Some(prefix) = &node.headers {
            command.env("npm_config_nodedir", prefix);
        }
        run(command)?;
        fs::write(folder.join("installed"), "")?;
        forget_older(&peers, &folder)?;
    }
    let stamp = folder.join("template.stamp");
    let wanted = format!("{:016x}", hash(&source, &[packages, programs].concat())?);
    if fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
        copy(&source, &programs, &folder)?;
        let filling = folder.join("filling.sqlite");
        drop(fs::remove_file(&filling));
        let mut command = Command::new(&node.path);
        command.args(["index.js", "populate"]).env("ZYKLUS_SHOP_DB", &filling).current_dir(&folder);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        run(command)?;
        fs::rename(&filling, folder.join("template.sqlite"))?;
        fs::write(&stamp, wanted)?;
    }
    Ok(folder)
}

/// npm and the compilers it starts must use the same Node as the shop will.
fn path_with(node: &Node) -> Result<std::ffi::OsString> {
    let own = node.path.parent().context("a program lies in a folder")?.to_path_buf();
    let rest = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&rest)))?)
}

fn hash(folder: &Path, files: &[&str]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let path = folder.join(file);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn copy(source: &Path, files: &[&str], folder: &Path) -> Result<()> {
    for file in files {
        fs::copy(source.join(file), folder.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    Ok(())
}

fn forget_older(peers: &Path, kept: &Path) -> Result<()> {
    for entry in fs::read_dir(peers)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("vendure-") && path != kept {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}
