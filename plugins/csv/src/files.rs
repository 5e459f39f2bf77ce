//! Which files a stream has, and opening one at a place in it. Never interprets what is in them.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::bufread::MultiGzDecoder;
use zyklus_connect::{Error, ErrorKind, Result};

use crate::config::Table;
use crate::lines::{EMPTY_HASH, hash_on};

const BUFFER: usize = 64 * 1024;
/// What a folder's files end in to be read; each may be followed by `.gz`.
const ENDINGS: &[&str] = &[".csv", ".tsv", ".txt"];

/// A file as it stands on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its name without the folder.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its size on disk, in bytes.
    pub(crate) size: u64,
    /// When it last changed, in microseconds since 1970.
    pub(crate) changed_at: i64,
}

impl Found {
    fn new(path: PathBuf) -> io::Result<Option<Self>> {
        let meta = fs::metadata(&path)?;
        let (Some(name), true) = (path.file_name().and_then(|n| n.to_str()), meta.is_file()) else {
            return Ok(None);
        };
        let since = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed_at = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Ok(Some(Found { name: name.to_owned(), size: meta.len(), changed_at, path }))
    }

    /// Whether it is compressed.
    pub(crate) fn is_gz(&self) -> bool {
        self.name.ends_with(".gz")
    }

    /// The name rows get their ids from: compressing a file later must not rename its rows.
    pub(crate) fn plain_name(&self) -> &str {
        self.name.strip_suffix(".gz").unwrap_or(&self.name)
    }

    /// About how many bytes it has after decompression.
    pub(crate) fn plain_size(&self) -> u64 {
        self.gz_size().unwrap_or(self.size)
    }

    /// The last four bytes of a gzip file: the size before compression, modulo 2^32 (RFC 1952, ISIZE).
    fn gz_size(&self) -> Option<u64> {
        if !self.is_gz() || self.size < 18 {
            return None;
        }
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::End(-4)).ok()?;
        let mut bytes = [0; 4];
        file.read_exact(&mut bytes).ok()?;
        Some(u64::from(u32::from_le_bytes(bytes)))
    }

    /// Opens it from the beginning, decompressing.
    pub(crate) fn open(&self) -> io::Result<Box<dyn BufRead + Send>> {
        let file = BufReader::with_capacity(BUFFER, File::open(&self.path)?);
        Ok(if self.is_gz() {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        })
    }

    /// Opens it after so many bytes.
    pub(crate) fn open_at(&self, bytes: u64) -> io::Result<Box<dyn BufRead + Send>> {
        if self.is_gz() {
            let mut input = self.open()?;
            let skipped = io::copy(&mut input.by_ref().take(bytes), &mut io::sink())?;
            return if skipped == bytes { Ok(input) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
    }

    /// Whether its first bytes are still those that were read before.
    pub(crate) fn still_begins_with(&self, bytes: u64, hash: u64) -> io::Result<bool> {
        let mut input = self.open()?.take(bytes);
        let (mut state, mut seen) = (EMPTY_HASH, 0);
        let mut chunk = vec![0; BUFFER];
        loop {
            let count = input.read(&mut chunk)?;
            if count == 0 {
                return Ok(seen == bytes && state == hash);
            }
            seen += count as u64;
            state = hash_on(state, &chunk[..count]);
        }
    }
}

/// The stream's files in the order they are read: by name.
pub(crate) fn list(table: &Table) -> Result<Vec<Found>> {
    let shown = table.path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let field = format!("{}.path", table.stream.name());
    let failed = |e: io::Error| {
        let kind = match e.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::Permission,
            _ => ErrorKind::Transient,
        };
        let advice = match kind {
            ErrorKind::NotFound => "does not exist; create it or correct `path`",
            ErrorKind::Permission => "may not be read; give the daemon's user permission",
            _ => "cannot be read",
        };
        let mut error = Error::new(kind, format!("`{}` {advice}", table.shown));
        // What the system says adds nothing to what is said of a file that is not there.
        if kind == ErrorKind::Transient {
            error = error.with_detail(e.to_string());
        }
        error.field = Some(field.clone());
        error
    };
    let pattern = shown.contains(['*', '?']).then_some(shown.as_str());
    let folder = match pattern {
        Some(_) => table.path.parent().unwrap_or(Path::new(".")),
        None if fs::metadata(&table.path).map_err(failed)?.is_dir() => &table.path,
        None => return Ok(Found::new(table.path.clone()).map_err(failed)?.into_iter().collect()),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let plain = name.strip_suffix(".gz").unwrap_or(name);
        let wanted = match pattern {
            Some(pattern) => matches(pattern.as_bytes(), name.as_bytes()),
            None => ENDINGS.iter().any(|e| plain.to_lowercase().ends_with(e)),
        };
        if wanted && !name.starts_with('.') {
            match Found::new(path) {
                Ok(file) => found.extend(file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(failed(e)),
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Whether a file name fits a pattern of `*` (any run) and `?` (any one byte).
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some(b'*'), _) => matches(&pattern[1..], name) || (!name.is_empty() && matches(pattern, &name[1..])),
        (Some(b'?'), Some(_)) => matches(&pattern[1..], &name[1..]),
        (Some(p), Some(n)) => p == n && matches(&pattern[1..], &name[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, fits) in [
            ("orders-*.csv", "orders-2026.csv", true),
            ("orders-*.csv", "orders-.csv", true),
            ("orders-*.csv", "orders-2026.csv.gz", false),
            ("*.csv*", "orders-2026.csv.gz", true),
            ("o?.csv", "o1.csv", true),
            ("o?.csv", "o.csv", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }
}
