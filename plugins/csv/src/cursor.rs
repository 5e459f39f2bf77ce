//! Where reading stands in every file, as stored by the host. Never touches a file's content itself.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use zyklus_connect::{Cursor, Error, ErrorKind, Result};

use crate::files::Found;
use crate::lines::Place;

/// Where reading stands in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Bytes to pass over before reading on. Stands before the last row while that row may still grow (a line
    /// without an end, the last order's lines), so that growth gives the whole row again.
    pub(crate) bytes: u64,
    /// Lines in them.
    pub(crate) lines: u64,
    /// Their fingerprint, hexadecimal: whether the file was rewritten or only appended to.
    pub(crate) hash: String,
    /// The file's size on disk when this round of reading came to it.
    pub(crate) size: u64,
    /// Its time of change then, microseconds.
    pub(crate) changed_at: i64,
    /// Everything up to that size has been taken.
    pub(crate) done: bool,
    /// A last line without an end is left until the file has been quiet from one look to the next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) waiting: bool,
    /// The fingerprint of the table's settings it was read with: under others, every row may become something else,
    /// and what was rejected may be fine.
    #[serde(default)]
    pub(crate) settings: String,
}

impl Mark {
    fn fresh(file: &Found, settings: &str) -> Self {
        let mut mark = Mark {
            bytes: 0,
            lines: 0,
            hash: String::new(),
            size: file.size,
            changed_at: file.changed_at,
            done: false,
            waiting: false,
            settings: settings.to_owned(),
        };
        mark.stand_at(Place::START);
        mark
    }

    /// The place to read on from.
    pub(crate) fn place(&self) -> Place {
        let hash = u64::from_str_radix(&self.hash, 16).unwrap_or(0);
        Place { bytes: self.bytes, lines: self.lines, hash }
    }

    /// Moves on.
    pub(crate) fn stand_at(&mut self, place: Place) {
        (self.bytes, self.lines, self.hash) = (place.bytes, place.lines, format!("{:x}", place.hash));
    }

    fn is_of(&self, file: &Found) -> bool {
        self.size == file.size && self.changed_at == file.changed_at
    }
}

/// The cursor of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// By file name.
    pub(crate) files: BTreeMap<String, Mark>,
    /// How many records were read so far, for the estimate of the whole.
    #[serde(default)]
    pub(crate) records: u64,
    /// The last page was the last: the next one looks at every file anew.
    #[serde(default)]
    pub(crate) caught_up: bool,
}

impl Position {
    /// From the host's stored value.
    pub(crate) fn parse(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Position::default()) };
        serde_json::from_value(cursor.0.clone()).map_err(|e| {
            Error::new(
                ErrorKind::Invalid,
                "the stored cursor is not one of this connector; read from the start",
            )
            .with_detail(e.to_string())
        })
    }

    /// For the host to store.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_value(self).expect("a position has only text keys"))
    }

    /// Compares the marks with the files as they stand: forgets files that are gone, reads on in files that
    /// grew, starts over in files that were rewritten or that were read with other settings. In the middle of a round only files that are neither
    /// done nor `open` already are looked at.
    pub(crate) fn begin(&mut self, files: &[Found], open: Option<&str>, settings: &str) -> io::Result<()> {
        self.files.retain(|name, _| files.iter().any(|f| f.name == *name));
        for file in files {
            let Some(mark) = self.files.get_mut(&file.name) else {
                self.files.insert(file.name.clone(), Mark::fresh(file, settings));
                continue;
            };
            if mark.settings != settings {
                *mark = Mark::fresh(file, settings);
                continue;
            }
            if !self.caught_up && (mark.done || open == Some(file.name.as_str())) {
                continue;
            }
            if mark.is_of(file) {
                mark.done &= !mark.waiting;
                continue;
            }
            let place = mark.place();
            let appended = file.still_begins_with(place.bytes, place.hash)?;
            *mark = Mark::fresh(file, settings);
            if appended {
                mark.stand_at(place);
            }
        }
        self.caught_up = false;
        Ok(())
    }
}
