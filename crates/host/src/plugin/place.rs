//! A library's file before anything of it runs: where it lies, who could change it, what is in it; and the private copy
//! that is opened instead, so that what was hashed is what is mapped. Never opens a library.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::LibraryError;

/// A library may be so large, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;

/// A library's file as it was read once.
pub struct Candidate {
    /// Where it really lies.
    pub path: PathBuf,
    /// Its hash, in hexadecimal.
    pub sha256: String,
    bytes: Vec<u8>,
}

impl Candidate {
    /// Finds and reads a library below the plugin folder; refuses what others could have changed.
    ///
    /// # Errors
    /// Where it is not, or whose it is.
    pub fn read(folder: &Path, library: &Path) -> Result<Self, LibraryError> {
        let folder = folder
            .canonicalize()
            .map_err(|source| LibraryError::Folder { folder: folder.to_path_buf(), source })?;
        let path = folder.join(library).canonicalize().map_err(|_| LibraryError::Missing {
            library: library.to_path_buf(),
            folder: folder.clone(),
            found: libraries(&folder),
        })?;
        let Ok(below) = path.strip_prefix(&folder) else {
            return Err(LibraryError::Outside { path, folder });
        };
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LibraryError::Read { path, source }
        };
        // The plugin folder itself, and every folder down to the file.
        let folders = below.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty());
        for place in folders.map(|part| folder.join(part)).chain([folder.clone()]) {
            safe(&place, &fs::symlink_metadata(&place).map_err(failed(&place))?)?;
        }
        let mut options = OpenOptions::new();
        // Whatever stands there by now instead is not followed.
        let file = options.read(true).custom_flags(libc::O_NOFOLLOW).open(&path).map_err(failed(&path))?;
        let about = file.metadata().map_err(failed(&path))?;
        if !about.is_file() {
            return Err(failed(&path)(std::io::Error::other("it is not a file")));
        }
        safe(&path, &about)?;
        let bytes = read_all(file).map_err(failed(&path))?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Ok(Candidate { path, sha256, bytes })
    }

    /// Copies it into a private folder under its hash; the copy is what is to be opened.
    ///
    /// # Errors
    /// Why there is no copy.
    pub fn stage(&self, private: &Path) -> Result<PathBuf, LibraryError> {
        let copy = private.join(format!("{}.so", self.sha256));
        let failed = |source| LibraryError::Stage { path: copy.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(private).map_err(failed)?;
        fs::set_permissions(private, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        safe(private, &fs::symlink_metadata(private).map_err(failed)?)?;
        // The same file is mapped once, however many instances there are, so one that is right stays.
        if !holds(&copy, &self.sha256) {
            let mut made = tempfile::Builder::new().prefix(".new-").tempfile_in(private).map_err(failed)?;
            made.write_all(&self.bytes).map_err(failed)?;
            made.as_file().set_permissions(fs::Permissions::from_mode(0o500)).map_err(failed)?;
            made.persist(&copy).map_err(|e| failed(e.error))?;
        }
        Ok(copy)
    }
}

/// Whether a copy is there, and still what it was when it was made.
pub(super) fn holds(copy: &Path, sha256: &str) -> bool {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(copy);
    file.and_then(read_all).is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == sha256)
}

fn read_all(file: File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}

fn safe(path: &Path, about: &Metadata) -> Result<(), LibraryError> {
    judge(path, about.mode(), about.uid(), rustix::process::geteuid().as_raw())
}

/// Whether nobody but root and the daemon's user can change it.
fn judge(path: &Path, mode: u32, owner: u32, daemon: u32) -> Result<(), LibraryError> {
    if mode & 0o022 != 0 {
        return Err(LibraryError::Writable { path: path.to_path_buf(), mode: mode & 0o777 });
    }
    if owner != 0 && owner != daemon {
        return Err(LibraryError::Owner { path: path.to_path_buf(), owner, daemon });
    }
    Ok(())
}

/// The libraries of a folder, sorted.
fn libraries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".so"))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A safe plugin folder with a library in it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("plugins");
        fs::create_dir(&folder).unwrap();
        write(&folder.join("a.so"), b"one", 0o644);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        (dir, folder)
    }

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(folder: &Path, library: &str) -> String {
        Candidate::read(folder, Path::new(library)).err().expect("it is refused").to_string()
    }

    #[test]
    fn what_others_could_change_is_refused_with_its_place() {
        let (_dir, folder) = folder();
        assert_eq!(
            Candidate::read(&folder, Path::new("a.so")).unwrap().sha256,
            hex::encode(Sha256::digest(b"one"))
        );
        let missing = refusal(&folder, "b.so");
        assert!(missing.contains("no `b.so` in") && missing.ends_with("there are: a.so"), "{missing}");
        for mode in [0o646, 0o664] {
            write(&folder.join("a.so"), b"one", mode);
            let open = refusal(&folder, "a.so");
            assert!(open.contains("a.so can be written by more than its owner"), "{open}");
        }
        write(&folder.join("a.so"), b"one", 0o644);
        fs::create_dir(folder.join("sub")).unwrap();
        write(&folder.join("sub/c.so"), b"c", 0o644);
        fs::set_permissions(folder.join("sub"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(refusal(&folder, "sub/c.so").contains("sub can be written"), "a folder on the way");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o775)).unwrap();
        assert!(refusal(&folder, "a.so").contains("plugins can be written"), "the folder itself");
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        let (dir, folder) = folder();
        write(&dir.path().join("outside.so"), b"x", 0o644);
        symlink(dir.path().join("outside.so"), folder.join("link.so")).unwrap();
        for library in ["link.so", "../outside.so", dir.path().join("outside.so").to_str().unwrap()] {
            assert!(refusal(&folder, library).contains("lies outside the plugin folder"), "{library}");
        }
        assert!(refusal(&folder, ".").contains("cannot be read"), "a folder is no library");
    }

    #[test]
    fn a_strangers_file_is_refused() {
        let path = Path::new("/plugins/a.so");
        for (owner, daemon, is_fine) in
            [(0, 1000, true), (1000, 1000, true), (1001, 1000, false), (1001, 0, false)]
        {
            assert_eq!(judge(path, 0o100_644, owner, daemon).is_ok(), is_fine, "{owner} {daemon}");
        }
        let refused = judge(path, 0o100_644, 1001, 1000).unwrap_err().to_string();
        assert!(refused.starts_with("/plugins/a.so belongs to user 1001"), "{refused}");
    }

    #[test]
    fn a_file_swapped_after_hashing_is_not_what_is_opened() {
        let (dir, folder) = folder();
        let candidate = Candidate::read(&folder, Path::new("a.so")).unwrap();
        write(&folder.join("a.so"), b"evil", 0o644);
        let private = dir.path().join("private");
        let copy = candidate.stage(&private).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), b"one");
        assert_eq!(fs::metadata(&private).unwrap().mode() & 0o777, 0o700);
        // Nor is a copy that somebody changed afterwards.
        let inode = fs::metadata(&copy).unwrap().ino();
        assert_eq!(fs::metadata(candidate.stage(&private).unwrap()).unwrap().ino(), inode);
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(&copy, b"evil").unwrap();
        assert!(!holds(&copy, &candidate.sha256));
        assert_eq!(fs::read(candidate.stage(&private).unwrap()).unwrap(), b"one");
    }
}
