//! The folder itself: `tmp` for drafts, `new` for mails nobody has read, `cur` for those a mail program has taken.
//! Knows nothing of messages; blocks, so that it is called off the daemon's threads.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// A draft older than this was left behind by a crash (the Maildir convention's 36 hours).
const DRAFT_DEAD_AFTER: Duration = Duration::from_secs(36 * 3600);

/// Tells drafts of one process apart.
static DRAFTS: AtomicU32 = AtomicU32::new(0);

/// Whether a folder is there and others than its owner can get into it.
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).is_ok_and(|about| about.is_dir() && about.mode() & 0o077 != 0)
}

/// The file name of a delivery: always the same, and fit for any file system whatever the id holds.
pub(crate) fn name_of(delivery: &str) -> String {
    let digest = Sha256::digest(delivery.as_bytes());
    format!("{}.eml", hex::encode(&digest[..16]))
}

/// A Maildir.
#[derive(Clone)]
pub(crate) struct Folder(Arc<Path>);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Folder(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes what is missing of it and clears away what earlier crashes left in `tmp`.
    pub(crate) fn make(&self) -> io::Result<()> {
        for part in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(self.0.join(part))?;
        }
        for entry in std::fs::read_dir(self.0.join("tmp"))? {
            let entry = entry?;
            let ours = entry.file_name().to_string_lossy().contains(".eml.");
            let age =
                entry.metadata().and_then(|about| about.modified()).ok().and_then(|at| at.elapsed().ok());
            if ours && age.is_some_and(|age| age > DRAFT_DEAD_AFTER) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Whether a draft can be written.
    pub(crate) fn probe(&self) -> io::Result<()> {
        let draft = self.draft("check");
        File::create_new(&draft).and_then(|mut file| file.write_all(b"zyklus"))?;
        std::fs::remove_file(&draft)
    }

    /// Writes a file that is whole and on the disk as soon as it can be seen; one that was delivered before,
    /// read or not, stays as it is.
    pub(crate) fn write_once(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let target = self.0.join("new").join(name);
        if target.try_exists()? || self.was_read(name)? {
            return Ok(());
        }
        // A name of its own for each try: two at once never write into the same file.
        let draft = self.draft(name);
        let written = write_synced(&draft, bytes).and_then(|()| std::fs::rename(&draft, &target));
        if let Err(error) = written {
            return match std::fs::remove_file(&draft) {
                Err(left) if left.kind() != ErrorKind::NotFound => {
                    Err(io::Error::new(error.kind(), format!("{error}; and a draft is left behind: {left}")))
                }
                _ => Err(error),
            };
        }
        // The new name, too, must outlive a power cut before anybody says "delivered".
        File::open(self.0.join("new"))?.sync_all()
    }

    fn draft(&self, name: &str) -> PathBuf {
        let count = DRAFTS.fetch_add(1, Ordering::Relaxed);
        self.0.join("tmp").join(format!("{name}.{}.{count}", std::process::id()))
    }

    /// Mail programs move a mail to `cur` and add flags after a colon.
    fn was_read(&self, name: &str) -> io::Result<bool> {
        for entry in std::fs::read_dir(self.0.join("cur"))? {
            if entry?.file_name().to_string_lossy().starts_with(name) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("mail"));
        folder.make().unwrap();
        (dir, folder)
    }

    fn names(folder: &Folder, part: &str) -> Vec<String> {
        let entries = std::fs::read_dir(folder.path().join(part)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_same_delivery_is_one_file_even_after_it_was_read() {
        let (_dir, folder) = folder();
        folder.write_once("a.eml", b"one").unwrap();
        folder.write_once("a.eml", b"two").unwrap();
        assert_eq!(names(&folder, "new"), ["a.eml"]);
        let new = folder.path().join("new/a.eml");
        assert_eq!(std::fs::read(&new).unwrap(), b"one");
        std::fs::rename(&new, folder.path().join("cur/a.eml:2,S")).unwrap();
        folder.write_once("a.eml", b"one").unwrap();
        assert!(names(&folder, "new").is_empty() && names(&folder, "tmp").is_empty());
    }

    #[test]
    fn tries_at_once_leave_one_whole_file() {
        let (_dir, folder) = folder();
        let bytes = vec![b'x'; 300_000];
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| folder.write_once("a.eml", &bytes).unwrap());
            }
        });
        assert_eq!(names(&folder, "new"), ["a.eml"]);
        assert_eq!(std::fs::read(folder.path().join("new/a.eml")).unwrap(), bytes);
        assert!(names(&folder, "tmp").is_empty());
    }

    #[test]
    fn what_a_crash_left_in_tmp_is_cleared_away_and_nothing_else() {
        let (_dir, folder) = folder();
        let long_ago = SystemTime::now() - DRAFT_DEAD_AFTER - Duration::from_secs(60);
        for (name, at) in [
            ("old.eml.1.0", Some(long_ago)),
            ("fresh.eml.1.1", None),
            ("another-programs-draft", Some(long_ago)),
        ] {
            let file = File::create(folder.path().join("tmp").join(name)).unwrap();
            if let Some(at) = at {
                file.set_modified(at).unwrap();
            }
        }
        folder.make().unwrap();
        assert_eq!(names(&folder, "tmp"), ["another-programs-draft", "fresh.eml.1.1"]);
    }

    #[test]
    fn a_failed_write_leaves_no_draft() {
        let (_dir, folder) = folder();
        std::fs::remove_dir_all(folder.path().join("new")).unwrap();
        assert!(folder.write_once("a.eml", b"one").is_err());
        assert!(names(&folder, "tmp").is_empty());
        assert!(folder.probe().is_ok());
        std::fs::remove_dir_all(folder.path().join("tmp")).unwrap();
        assert!(folder.probe().is_err());
    }

    #[test]
    fn names_follow_from_the_delivery_alone() {
        assert_eq!(name_of("dlv_1"), name_of("dlv_1"));
        assert_ne!(name_of("dlv_1"), name_of("dlv_2"));
        let odd = name_of("../dlv:1");
        assert!(odd.len() == 36 && !odd.contains(['/', ':']), "{odd}");
    }
}
