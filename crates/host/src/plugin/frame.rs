//! What goes through the pipes between the daemon and a plugin's process: a length, a kind, a number, a code and some
//! byte strings. Both ends are the same program, so there are no versions.

use std::io::{self, Read, Write};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Child: what it opened. Code is a status; the manifest or the reason, and a note on what could not be confined.
    Hello,
    /// Parent: a call; op and body.
    Call,
    /// Parent: nobody waits for a call any more.
    Cancel,
    /// Child: a call's answer; code is a status.
    Complete,
    /// Child: a log line; code is a level; target, message, fields.
    Log,
    /// Child: a request by its own number; service and body.
    Request,
    /// Parent: a request's answer; code is a status.
    Reply,
}

const KINDS: [Kind; 7] =
    [Kind::Hello, Kind::Call, Kind::Cancel, Kind::Complete, Kind::Log, Kind::Request, Kind::Reply];
/// Kind, number, code and count of parts.
const HEAD: usize = 1 + 8 + 4 + 1;
const MOST_PARTS: usize = 4;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) code: i32,
    pub(crate) parts: Vec<Vec<u8>>,
}

impl Frame {
    /// The part at a place; empty when it is not there.
    pub(crate) fn take(&mut self, at: usize) -> Vec<u8> {
        self.parts.get_mut(at).map(std::mem::take).unwrap_or_default()
    }

    /// The part as text, whatever it is.
    pub(crate) fn text(&self, at: usize) -> String {
        String::from_utf8_lossy(self.parts.get(at).map_or(&[], Vec::as_slice)).into_owned()
    }
}

/// Writes a frame.
pub(crate) fn write(to: &mut impl Write, kind: Kind, id: u64, code: i32, parts: &[&[u8]]) -> io::Result<()> {
    let too_long = |_| io::Error::other("a frame is longer than 4 GiB");
    let length = HEAD + parts.iter().map(|part| 4 + part.len()).sum::<usize>();
    let mut head = Vec::with_capacity(4 + HEAD + 4 * parts.len());
    head.extend(u32::try_from(length).map_err(too_long)?.to_le_bytes());
    head.push(kind as u8);
    head.extend(id.to_le_bytes());
    head.extend(code.to_le_bytes());
    head.push(u8::try_from(parts.len()).map_err(|_| io::Error::other("a frame has too many parts"))?);
    for part in parts {
        head.extend(u32::try_from(part.len()).map_err(too_long)?.to_le_bytes());
    }
    to.write_all(&head)?;
    parts.iter().try_for_each(|part| to.write_all(part))?;
    to.flush()
}

/// Reads a frame of at most `most` bytes; `None` at the end.
pub(crate) fn read(from: &mut impl Read, most: usize) -> io::Result<Option<Frame>> {
    let mut length = [0; 4];
    if !read_or_end(from, &mut length)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > most {
        return Err(nonsense(format!("a frame of {length} bytes; {most} at most")));
    }
    let mut rest = Vec::new();
    from.take(length as u64).read_to_end(&mut rest)?;
    if rest.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    decode(&rest).map(Some)
}

/// `false` when nothing at all comes any more.
fn read_or_end(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn nonsense(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn decode(bytes: &[u8]) -> io::Result<Frame> {
    let cut = || nonsense("a frame that is cut".into());
    let (head, mut rest) = bytes.split_at_checked(HEAD).ok_or_else(cut)?;
    let kind = *KINDS.get(usize::from(head[0])).ok_or_else(|| nonsense("a frame of no kind".into()))?;
    let id = u64::from_le_bytes(head[1..9].try_into().map_err(|_| cut())?);
    let code = i32::from_le_bytes(head[9..13].try_into().map_err(|_| cut())?);
    let count = usize::from(head[13]);
    if count > MOST_PARTS {
        return Err(nonsense("a frame of too many parts".into()));
    }
    let (lengths, mut body) = rest.split_at_checked(4 * count).ok_or_else(cut)?;
    rest = lengths;
    let mut parts = Vec::with_capacity(count);
    for length in rest.chunks_exact(4) {
        let length = u32::from_le_bytes(length.try_into().map_err(|_| cut())?) as usize;
        let (part, after) = body.split_at_checked(length).ok_or_else(cut)?;
        parts.push(part.to_vec());
        body = after;
    }
    if body.is_empty() {
        Ok(Frame { kind, id, code, parts })
    } else {
        Err(nonsense("a frame with a rest".into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_come_through_and_end() {
        let mut bytes = Vec::new();
        for (number, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            write(&mut bytes, kind, u64::MAX - 5, -3, &[b"op", b"", &[7; 300]]).unwrap();
        }
        let mut from = bytes.as_slice();
        for kind in KINDS {
            let parts = vec![b"op".to_vec(), Vec::new(), vec![7; 300]];
            assert_eq!(
                read(&mut from, 1_000).unwrap(),
                Some(Frame { kind, id: u64::MAX - 5, code: -3, parts })
            );
        }
        assert_eq!(read(&mut from, 1_000).unwrap(), None);
        assert!(read(&mut &bytes[..20], 1_000).is_err(), "cut");
        assert!(read(&mut bytes.as_slice(), 100).unwrap_err().to_string().contains("100 at most"));
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut from = bytes.as_slice();
            while let Ok(Some(frame)) = read(&mut from, 150) {
                prop_assert!(frame.parts.iter().map(Vec::len).sum::<usize>() <= 150);
            }
            let _ = decode(&bytes);
        }
    }
}
