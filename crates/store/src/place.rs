//! Where an SQLite file may lie and who may write to it: refuses network file systems and a second writer.
//! Never opens the database itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};

/// Holds the lock file; the lock goes when this is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// `<database>.lock`.
pub(crate) fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

impl Lock {
    /// Takes the lock of a database file, or says who has it.
    pub(crate) fn take(database: &Path) -> Result<Self> {
        let path = lock_path(database);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| StoreError::file("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(StoreError::Locked { path: database.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::file("lock", &path, error)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        // The number only helps the next reader; a full disk must not keep the daemon from starting.
        if let Err(error) = written {
            tracing::warn!(%error, "cannot write the process number into the lock file");
        }
        Ok(Lock { _file: file })
    }
}

const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "ncpfs",
    "gfs2",
    "ocfs2",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.davfs",
    "davfs",
    "virtiofs",
];

/// Refuses a database on a file system that other machines share.
pub(crate) fn refuse_network(database: &Path) -> Result<()> {
    let folder = database.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    // Only Linux has this file; elsewhere nothing is known and nothing is refused.
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return Ok(()) };
    match file_system(&mounts, &folder) {
        Some(kind) if NETWORK.contains(&kind) => {
            Err(StoreError::NetworkFileSystem { path: database.to_owned(), kind: kind.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The file system type of the mount that holds `folder`: the longest mount point, the later one among equals.
fn file_system<'m>(mounts: &'m str, folder: &Path) -> Option<&'m str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let (left, right) = line.split_once(" - ")?;
        let (Some(point), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else { continue };
        let point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        if folder.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /srv/my\\040shop rw,nosuid shared:5 - nfs4 server:/x rw
31 30 0:41 / /srv/my\\040shop/local rw - ext4 /dev/sdb rw";

    #[test]
    fn longest_mount_point_decides() {
        assert_eq!(file_system(MOUNTS, Path::new("/srv")), Some("ext4"));
        assert_eq!(file_system(MOUNTS, Path::new("/srv/my shop/data")), Some("nfs4"));
        assert_eq!(file_system(MOUNTS, Path::new("/srv/my shop/local/data")), Some("ext4"));
        assert_eq!(file_system(MOUNTS, Path::new("/srv/my shopping")), Some("ext4"));
    }

    #[test]
    fn second_lock_names_the_first_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let first = Lock::take(&path).unwrap();
        match Lock::take(&path) {
            Err(StoreError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        Lock::take(&path).unwrap();
    }
}
