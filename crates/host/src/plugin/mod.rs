//! Connectors outside the binary: libraries, in a process of their own or in the daemon's. ABI.md in crates/connect is what
//! they speak; a broken, wrong, unpinned or hanging one marks its connector failed, and nothing else.
//!
//! The order in which a library comes to life: [`place`](Candidate) looks at whose it is, reads and hashes it; the hash is
//! compared with the one in the configuration or in `plugins.lock`; a private copy is made; only that is opened, and its
//! table and manifest are looked at, in a child process unless the operator trusts it with ours.

mod child;
mod confine;
mod error;
mod frame;
mod instance;
mod library;
mod link;
mod lock;
mod place;
mod process;
mod remote;
mod services;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zyklus_connect::{Manifest, abi};

pub use child::plugin_process;
pub use error::LibraryError;
pub use lock::{Lock, Locked};
pub use place::Candidate;
pub use process::{ChildCommand, ProcessLimits};
pub(crate) use remote::open;
pub use settings::{Isolation, LibrarySettings};
pub(crate) use settings::{KEYS, read as read_settings};
pub(crate) use tokens::TokenFile;

/// Where libraries are, and what may be loaded.
#[derive(Debug, Clone)]
pub struct PluginOptions {
    /// The folder they lie in.
    pub folder: PathBuf,
    /// Where the copies are that are opened.
    pub private: PathBuf,
    /// `plugins.lock`.
    pub lock: PathBuf,
    /// Libraries that need no pin.
    pub allow_unpinned: Vec<String>,
    /// The program that becomes a plugin's process.
    pub command: ChildCommand,
}

impl PluginOptions {
    /// Beside a configuration: `plugins`, `plugins.lock`, and the copies among what connectors keep.
    pub fn beside(base_dir: &Path) -> Self {
        PluginOptions {
            folder: base_dir.join("plugins"),
            private: base_dir.join("connectors").join(".libraries"),
            lock: base_dir.join("plugins.lock"),
            allow_unpinned: Vec::new(),
            command: ChildCommand::this_program(),
        }
    }
}

/// A library that may be opened, and has been looked at.
#[derive(Debug, Clone)]
pub struct Plugin(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: LibrarySettings,
    path: PathBuf,
    copy: PathBuf,
    sha256: String,
    manifest: Manifest,
    minor: u16,
    command: ChildCommand,
}

impl Plugin {
    /// What it is and can do, before it is opened.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// Where the library lies.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Its hash.
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// The ABI it was built for: `1.0`.
    pub fn abi(&self) -> String {
        format!("{}.{}", abi::MAJOR, self.0.minor)
    }

    /// What the configuration says of it.
    pub fn settings(&self) -> &LibrarySettings {
        &self.0.settings
    }

    /// Where it runs.
    pub fn isolation(&self) -> Isolation {
        self.0.settings.isolation
    }

    /// What a lock file says of it.
    pub fn locked(&self) -> Locked {
        Locked {
            library: self.0.settings.library.clone(),
            kind: self.0.manifest.kind.clone(),
            version: self.0.manifest.version.clone(),
            abi: self.abi(),
            sha256: self.0.sha256.clone(),
        }
    }

    pub(crate) fn copy(&self) -> &Path {
        &self.0.copy
    }

    pub(crate) fn command(&self) -> &ChildCommand {
        &self.0.command
    }

    pub(crate) fn limits(&self) -> ProcessLimits {
        self.0.settings.limits
    }
}

/// Brings a library as far as its manifest: whose it is, whether it is pinned, a private copy, its table. Blocks for some
/// milliseconds; for a library that hangs, 10 seconds.
///
/// # Errors
/// What is wrong with it, where, and what to do.
pub fn prepare(settings: &LibrarySettings, options: &PluginOptions) -> Result<Plugin, LibraryError> {
    let candidate = Candidate::read(&options.folder, &settings.library)?;
    pinned(&candidate, settings, options)?;
    look(candidate, settings, options)
}

/// The same for a library that is about to be pinned: whatever it is.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_unpinned(settings: &LibrarySettings, options: &PluginOptions) -> Result<Plugin, LibraryError> {
    look(Candidate::read(&options.folder, &settings.library)?, settings, options)
}

/// Whether somebody the operator trusts says that it is the right one.
fn pinned(
    candidate: &Candidate,
    settings: &LibrarySettings,
    options: &PluginOptions,
) -> Result<(), LibraryError> {
    let (by, expected) = match &settings.sha256 {
        Some(sha256) => ("the configuration".to_owned(), sha256.clone()),
        None => match Lock::read(&options.lock)?.find(&settings.library) {
            Some(locked) => (options.lock.display().to_string(), locked.sha256.clone()),
            None if options.allow_unpinned.iter().any(|name| Path::new(name) == settings.library) => {
                return Ok(());
            }
            None => {
                let (path, sha256) = (candidate.path.clone(), candidate.sha256.clone());
                return Err(LibraryError::Unpinned { path, sha256 });
            }
        },
    };
    if candidate.sha256.eq_ignore_ascii_case(&expected) {
        return Ok(());
    }
    let (path, found) = (candidate.path.clone(), candidate.sha256.clone());
    Err(LibraryError::WrongHash { path, by, found, expected })
}

fn look(
    candidate: Candidate,
    settings: &LibrarySettings,
    options: &PluginOptions,
) -> Result<Plugin, LibraryError> {
    let copy = candidate.stage(&options.private)?;
    // A path the process can open, wherever it starts.
    let copy = copy.canonicalize().map_err(|source| LibraryError::Stage { path: copy, source })?;
    let (manifest, minor) = match settings.isolation {
        Isolation::InProcess => {
            let loaded = library::load(&copy)?;
            (library::parse_manifest(&candidate.path, loaded.manifest)?, loaded.minor)
        }
        Isolation::Process => {
            let process = process::start(&options.command, &copy, &candidate.sha256, &settings.limits)?;
            (library::parse_manifest(&candidate.path, &process.manifest)?, process.minor)
        }
    };
    Ok(Plugin(Arc::new(Inner {
        settings: settings.clone(),
        path: candidate.path,
        copy,
        sha256: candidate.sha256,
        manifest,
        minor,
        command: options.command.clone(),
    })))
}
