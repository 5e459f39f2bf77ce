//! The rejects file: every row that was not taken (or not wholly), with the reason, once.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::fields::Stream;
use crate::lines::{EMPTY_HASH, hash_on};

/// The file stops growing here: it is for repairing rows by hand. Every later row is still reported.
const MAX_ROWS: usize = 100_000;

/// A row for the file.
#[derive(Debug, Clone)]
pub(crate) struct RejectedRow {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) problem: String,
    pub(crate) raw: String,
}

/// All rejects files of a connector: `<folder>/<stream>.csv` with the columns problem, file, line, row.
#[derive(Debug)]
pub(crate) struct Rejects {
    folder: PathBuf,
    /// Fingerprints of what each file holds, so that reading a page again writes nothing again.
    known: HashMap<Stream, HashSet<u64>>,
}

fn fingerprint(file: &str, line: &str, raw: &str) -> u64 {
    [file, line, raw].iter().fold(EMPTY_HASH, |h, part| hash_on(hash_on(h, part.as_bytes()), &[0]))
}

impl Rejects {
    /// Files in this folder, which is made when the first row is rejected.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Rejects { folder, known: HashMap::new() }
    }

    fn path(&self, stream: Stream) -> PathBuf {
        self.folder.join(format!("{}.csv", stream.name()))
    }

    /// Appends the rows that are not in the stream's file yet.
    pub(crate) fn append(&mut self, stream: Stream, rows: &[RejectedRow]) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let path = self.path(stream);
        let mut known = match self.known.remove(&stream) {
            Some(known) => known,
            None => read_known(&path)?,
        };
        let mut fresh = Vec::new();
        for row in rows {
            let print = fingerprint(&row.file, &row.line.to_string(), &row.raw);
            if known.len() < MAX_ROWS && known.insert(print) {
                fresh.push(row);
            }
        }
        if !fresh.is_empty() {
            write(&path, &fresh)?;
        }
        // Only now: after a failed write the file is read again before the next try.
        self.known.insert(stream, known);
        Ok(())
    }
}

/// The fingerprints of the rows a rejects file holds.
fn read_known(path: &Path) -> io::Result<HashSet<u64>> {
    let mut known = HashSet::new();
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(known),
        Err(e) => return Err(e),
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(io::BufReader::new(file));
    for record in reader.byte_records() {
        let record = record.map_err(io::Error::other)?;
        let field = |i: usize| String::from_utf8_lossy(record.get(i).unwrap_or_default()).into_owned();
        known.insert(fingerprint(&field(1), &field(2), &field(3)));
    }
    Ok(known)
}

fn write(path: &Path, rows: &[&RejectedRow]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let is_empty = file.metadata()?.len() == 0;
    let mut writer = csv::Writer::from_writer(io::BufWriter::new(file));
    if is_empty {
        writer.write_record(["problem", "file", "line", "row"]).map_err(io::Error::other)?;
    }
    for row in rows {
        let line = row.line.to_string();
        writer.write_record([&row.problem, &row.file, &line, &row.raw]).map_err(io::Error::other)?;
    }
    writer.flush()
}
