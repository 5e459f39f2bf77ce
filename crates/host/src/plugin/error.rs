//! Why a library is not used, and what to do. Each says what and where.

use std::path::PathBuf;

/// Why a library is not used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// There is no such file.
    #[error("there is no `{library}` in {folder}{}", there(.found))]
    Missing {
        /// As the configuration names it.
        library: PathBuf,
        /// Where it was looked for.
        folder: PathBuf,
        /// What libraries are there.
        found: Vec<String>,
    },
    /// The folder of all plugins cannot be used.
    #[error("the plugin folder {folder} cannot be used; make it, or name another as `folder` in [plugins]")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It leads out of the folder.
    #[error("{path} lies outside the plugin folder {folder}; put the library itself there")]
    Outside {
        /// Where it leads.
        path: PathBuf,
        /// Where it should lie.
        folder: PathBuf,
    },
    /// Somebody else could change it.
    #[error("{path} can be written by more than its owner (mode {mode:03o}); run `chmod go-w {path}`")]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to user {owner}, not to root or the daemon's user {daemon}; run `chown {daemon} {path}`"
    )]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this.
        daemon: u32,
    },
    /// It cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its hash is written nowhere.
    #[error(
        "{path} is not pinned: nothing says that it is the right one; run `zyklus plugin lock`, or write \
         sha256 = \"{sha256}\""
    )]
    Unpinned {
        /// Which.
        path: PathBuf,
        /// Its hash.
        sha256: String,
    },
    /// It is another than the pinned one.
    #[error(
        "{path} is not the library that {by} pins: it has sha256 {found}, and {expected} was expected; if it is meant to be another now, `zyklus plugin lock` pins it"
    )]
    WrongHash {
        /// Which.
        path: PathBuf,
        /// Who says so.
        by: String,
        /// What it has.
        found: String,
        /// What it should have.
        expected: String,
    },
    /// The lock file cannot be read.
    #[error("{path} cannot be read: {reason}; `zyklus plugin lock` writes it anew")]
    Lock {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The copy that is opened could not be made.
    #[error("the copy {path} of the library could not be made")]
    Stage {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The linker refused it.
    #[error("{path} cannot be loaded: {reason}")]
    Load {
        /// Which.
        path: PathBuf,
        /// The linker's words.
        reason: String,
    },
    /// It is a library, and no plugin.
    #[error("{path} is no plugin: {reason}")]
    NoPlugin {
        /// Which.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// Something took too long.
    #[error("{path}: {what} took longer than {seconds} s and was given up")]
    Hangs {
        /// Which.
        path: PathBuf,
        /// What.
        what: &'static str,
        /// How long it was given.
        seconds: u64,
    },
    /// Its process could not be started, or ended at once.
    #[error("the process of {path} did not start: {reason}")]
    Process {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

fn there(found: &[String]) -> String {
    match found {
        [] => "; there is no library at all".to_owned(),
        some => format!("; there are: {}", some.join(", ")),
    }
}
