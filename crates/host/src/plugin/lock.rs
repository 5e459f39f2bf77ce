//! `plugins.lock`: the libraries a configuration may load, each with its hash. Written by `zyklus plugin lock`, read
//! whenever a library is about to be opened.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LibraryError;

const HEAD: &str = "# Written by `zyklus plugin lock`: the libraries this configuration may load. Keep it in version control.\n";

/// One library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// As the configuration names it.
    pub library: PathBuf,
    /// Its kind.
    pub kind: String,
    /// Its own version.
    pub version: String,
    /// The ABI it was built for.
    pub abi: String,
    /// Its hash.
    pub sha256: String,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Sorted by library.
    #[serde(default, rename = "plugin")]
    pub plugins: Vec<Locked>,
}

impl Lock {
    /// Reads it; one that is not there is empty.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(path: &Path) -> Result<Self, LibraryError> {
        let failed = |reason: String| LibraryError::Lock { path: path.to_path_buf(), reason };
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|e| failed(e.message().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// What it says of a library.
    pub fn find(&self, library: &Path) -> Option<&Locked> {
        self.plugins.iter().find(|locked| locked.library == library)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut sorted = self.plugins.clone();
        sorted.sort_by(|a, b| a.library.cmp(&b.library));
        sorted.iter().fold(HEAD.to_owned(), |mut text, locked| {
            let entry = toml::to_string(locked).expect("these are texts");
            write!(text, "\n[[plugin]]\n{entry}").expect("a text takes everything");
            text
        })
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = tempfile::Builder::new().prefix(".plugins.lock").tempfile_in(folder)?;
        std::fs::write(made.path(), self.text())?;
        made.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nonsense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plugins.lock");
        assert_eq!(Lock::read(&path).unwrap(), Lock::default());
        let locked = |library: &str| Locked {
            library: library.into(),
            kind: "acme".into(),
            version: "1.2.0".into(),
            abi: "1.0".into(),
            sha256: "00ff".into(),
        };
        let lock = Lock { plugins: vec![locked("b.so"), locked("a \"quoted\".so")] };
        lock.write(&path).unwrap();
        let read = Lock::read(&path).unwrap();
        assert_eq!(read.plugins, [locked("a \"quoted\".so"), locked("b.so")]);
        assert_eq!(read.find(Path::new("b.so")), Some(&locked("b.so")));
        std::fs::write(&path, "[[plugin]]\nlibrary = 5\n").unwrap();
        let error = Lock::read(&path).unwrap_err().to_string();
        assert!(error.contains("plugins.lock cannot be read") && error.contains("plugin lock"), "{error}");
    }
}
