//! A file as lines with their place in it: line number, byte offset, and a running fingerprint of all bytes
//! before. Holds one line at a time, however long the file is.

use std::collections::VecDeque;
use std::io::{self, BufRead};

/// A line longer than this is not kept, only reported.
pub(crate) const MAX_LINE: usize = 1024 * 1024;

/// The fingerprint of nothing (FNV-1a, 64 bit: its state is the fingerprint, so it can be resumed).
pub(crate) const EMPTY_HASH: u64 = 0xcbf2_9ce4_8422_2325;

/// The fingerprint after some more bytes. Tells an appended file from a rewritten one; no security.
pub(crate) fn hash_on(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// A place between two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bytes before it, after decompression.
    pub(crate) bytes: u64,
    /// Lines before it.
    pub(crate) lines: u64,
    /// The fingerprint of these bytes.
    pub(crate) hash: u64,
}

impl Place {
    /// The beginning of a file.
    pub(crate) const START: Place = Place { bytes: 0, lines: 0, hash: EMPTY_HASH };
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Its bytes without the line end.
    pub(crate) bytes: Vec<u8>,
    /// Where it begins.
    pub(crate) start: Place,
    /// Where the next one begins.
    pub(crate) end: Place,
    /// Whether it had a line end; false only for the last one.
    pub(crate) terminated: bool,
    /// Whether it was longer than [`MAX_LINE`] and cut.
    pub(crate) too_long: bool,
}

/// Reads lines, and takes them back.
pub(crate) struct Lines {
    input: Box<dyn BufRead + Send>,
    place: Place,
    returned: VecDeque<Line>,
}

impl Lines {
    /// Lines of what follows `place`.
    pub(crate) fn new(input: Box<dyn BufRead + Send>, place: Place) -> Self {
        Lines { input, place, returned: VecDeque::new() }
    }

    /// Where the next line begins.
    pub(crate) fn place(&self) -> Place {
        self.returned.front().map_or(self.place, |line| line.start)
    }

    /// Puts lines back, to be read again in their order.
    pub(crate) fn give_back(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.returned.push_front(line);
        }
    }

    /// The next line; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.returned.pop_front() {
            return Ok(Some(line));
        }
        let start = self.place;
        let mut line = Line { bytes: Vec::new(), start, end: start, terminated: false, too_long: false };
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if chunk.is_empty() {
                break;
            }
            let newline = chunk.iter().position(|b| *b == b'\n');
            let used = newline.map_or(chunk.len(), |at| at + 1);
            self.place.bytes += used as u64;
            self.place.hash = hash_on(self.place.hash, &chunk[..used]);
            let text = &chunk[..newline.unwrap_or(used)];
            let room = MAX_LINE.saturating_sub(line.bytes.len());
            line.too_long |= text.len() > room;
            line.bytes.extend_from_slice(&text[..text.len().min(room)]);
            self.input.consume(used);
            if newline.is_some() {
                line.terminated = true;
                break;
            }
        }
        if self.place.bytes == start.bytes {
            return Ok(None);
        }
        self.place.lines += 1;
        line.end = self.place;
        if line.bytes.last() == Some(&b'\r') {
            line.bytes.pop();
        }
        if start.bytes == 0 && line.bytes.starts_with(b"\xef\xbb\xbf") {
            line.bytes.drain(..3);
        }
        Ok(Some(line))
    }
}
