//! Lines as rows of fields. A row that is broken costs its own first line only: reading goes on at the next
//! line, so one stray quotation mark cannot swallow the file.

use std::io;

use crate::config::Delimiter;
use crate::lines::{Line, Lines, MAX_LINE, Place};

/// A quoted field may run over so many lines, and so many bytes, before its quotation mark counts as stray.
const MAX_ROW_LINES: usize = 1000;
const MAX_ROW_BYTES: usize = 256 * 1024;

/// A row whose fields could be told apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    text: String,
    ends: Vec<usize>,
}

impl Row {
    /// A field's text by its position, without surrounding blanks.
    pub(crate) fn field(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(self.text[start..end].trim())
    }

    /// How many fields.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// One row of a file, whole or broken.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The fields, or what is wrong.
    pub(crate) row: Result<Row, String>,
    /// The physical lines it was made of.
    pub(crate) lines: Vec<Line>,
    /// Whether it may still be growing: the file ended within it.
    pub(crate) at_end: bool,
}

impl Entry {
    /// The number of its first line, from one.
    pub(crate) fn number(&self) -> u64 {
        self.start().lines + 1
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> Place {
        self.lines[0].start
    }

    /// Its bytes as they stand in the file.
    pub(crate) fn raw(&self) -> String {
        let bytes: Vec<&[u8]> = self.lines.iter().map(|l| l.bytes.as_slice()).collect();
        String::from_utf8_lossy(&bytes.join(&b'\n')).into_owned()
    }
}

/// Reads rows.
pub(crate) struct Rows {
    lines: Lines,
    delimiter: Delimiter,
    /// How many fields a row must have; `None` = any (the header).
    expected: Option<usize>,
}

impl Rows {
    /// Rows of these lines.
    pub(crate) fn new(lines: Lines, delimiter: Delimiter, expected: Option<usize>) -> Self {
        Rows { lines, delimiter, expected }
    }

    /// Where the next row begins.
    pub(crate) fn place(&self) -> Place {
        self.lines.place()
    }

    /// Puts a row back, to be read again.
    pub(crate) fn give_back(&mut self, entry: Entry) {
        self.lines.give_back(entry.lines);
    }

    /// The next row; blank lines are passed over. `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        let first = loop {
            match self.lines.next()? {
                None => return Ok(None),
                Some(line) if line.bytes.iter().all(u8::is_ascii_whitespace) && line.terminated => {}
                Some(line) => break line,
            }
        };
        if first.bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let mut at_end = !first.terminated;
        if first.too_long {
            let problem = format!("the line is longer than {} KiB", MAX_LINE / 1024);
            return Ok(Some(Entry { row: Err(problem), lines: vec![first], at_end }));
        }
        let mut splitter = Splitter::new(self.delimiter);
        let mut lines = vec![first];
        let mut size = 0;
        let row = loop {
            let line = lines.last().expect("a row has a first line");
            size += line.bytes.len();
            match splitter.feed(&line.bytes) {
                Split::Whole => break splitter.finish(self.expected),
                Split::Broken(problem) => break Err(problem.to_owned()),
                Split::Open => {}
            }
            let more = lines.len() < MAX_ROW_LINES && size < MAX_ROW_BYTES;
            let next = if more { self.lines.next()? } else { None };
            match next {
                Some(line) if !line.too_long => lines.push(line),
                Some(line) => {
                    self.lines.give_back(vec![line]);
                    break Err(UNCLOSED.to_owned());
                }
                None => {
                    at_end |= more;
                    break Err(UNCLOSED.to_owned());
                }
            }
        };
        at_end |= lines.last().is_some_and(|l| !l.terminated);
        if row.is_err() && lines.len() > 1 {
            let rest = lines.split_off(1);
            self.lines.give_back(rest);
        }
        Ok(Some(Entry { row, lines, at_end }))
    }
}

const UNCLOSED: &str = "a quotation mark is opened here and never closed";

/// How far a row has come after a line.
enum Split {
    Whole,
    Open,
    Broken(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    QuoteSeen,
}

/// Splits a row into fields, line by line (RFC 4180; a quotation mark inside an unquoted field is itself).
struct Splitter {
    delimiter: Delimiter,
    text: Vec<u8>,
    ends: Vec<usize>,
    state: State,
}

impl Splitter {
    fn new(delimiter: Delimiter) -> Self {
        Splitter { delimiter, text: Vec::new(), ends: Vec::new(), state: State::FieldStart }
    }

    fn end_field(&mut self) {
        self.ends.push(self.text.len());
        self.state = State::FieldStart;
    }

    fn feed(&mut self, line: &[u8]) -> Split {
        let delimiter = match self.delimiter {
            Delimiter::Char(c) => c,
            Delimiter::Blanks => {
                for word in line.split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty()) {
                    self.text.extend_from_slice(word);
                    self.end_field();
                }
                return Split::Whole;
            }
        };
        for &byte in line {
            match self.state {
                State::FieldStart if byte == b'"' => self.state = State::Quoted,
                State::FieldStart | State::Plain if byte == delimiter => self.end_field(),
                State::FieldStart | State::Plain => {
                    self.text.push(byte);
                    self.state = State::Plain;
                }
                State::Quoted if byte == b'"' => self.state = State::QuoteSeen,
                State::Quoted => self.text.push(byte),
                State::QuoteSeen if byte == b'"' => {
                    self.text.push(byte);
                    self.state = State::Quoted;
                }
                State::QuoteSeen if byte == delimiter => self.end_field(),
                State::QuoteSeen => {
                    return Split::Broken(
                        "text follows a closing quotation mark; write a quotation mark inside quotes twice",
                    );
                }
            }
        }
        if self.state == State::Quoted {
            self.text.push(b'\n');
            return Split::Open;
        }
        self.end_field();
        Split::Whole
    }

    fn finish(self, expected: Option<usize>) -> Result<Row, String> {
        let text = String::from_utf8(self.text).map_err(|e| {
            let byte = e.as_bytes()[e.utf8_error().valid_up_to()];
            format!(
                "not UTF-8: byte 0x{byte:02X} (a file in Latin-1 or Windows-1252?); save the file as UTF-8"
            )
        })?;
        // A multi-byte character never contains an ASCII delimiter, so every end is a character's border.
        match expected {
            Some(count) if count != self.ends.len() => {
                Err(format!("{} fields where the header has {count}", self.ends.len()))
            }
            _ => Ok(Row { text, ends: self.ends }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8], delimiter: Delimiter, expected: usize) -> Vec<(u64, Result<Vec<String>, String>)> {
        let lines = Lines::new(Box::new(Cursor::new(text.to_vec())), Place::START);
        let mut rows = Rows::new(lines, delimiter, Some(expected));
        let mut found = Vec::new();
        while let Some(entry) = rows.next().unwrap() {
            let number = entry.number();
            let fields = |r: Row| (0..r.len()).map(|i| r.field(i).unwrap().to_owned()).collect();
            found.push((number, entry.row.map(fields)));
        }
        found
    }

    fn comma(text: &str, expected: usize) -> Vec<(u64, Result<Vec<String>, String>)> {
        read(text.as_bytes(), Delimiter::Char(b','), expected)
    }

    #[test]
    fn quotes_line_ends_and_byte_order_mark_are_understood() {
        let found = comma("\u{feff}a,\"b \"\"x\"\", y\"\r\n\r\n\"two\r\nlines\",é\n", 2);
        assert_eq!(found[0], (1, Ok(vec!["a".into(), "b \"x\", y".into()])));
        assert_eq!(found[1], (3, Ok(vec!["two\nlines".into(), "é".into()])));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_stray_quotation_mark_costs_one_line() {
        let found = comma("1,\"a\n2,b\n3,c\n", 2);
        assert!(found[0].1.as_ref().unwrap_err().contains("never closed"));
        assert_eq!(found[1], (2, Ok(vec!["2".into(), "b".into()])));
        assert_eq!(found.len(), 3);
        let found = comma("1,\"a\n2,\"b\"\n3,c\n", 2);
        assert!(found[0].1.as_ref().unwrap_err().contains("closing quotation mark"), "{:?}", found[0]);
        assert_eq!(found[1], (2, Ok(vec!["2".into(), "b".into()])));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn wrong_field_counts_and_latin_1_name_the_line() {
        let found = read(b"1,2\n1,2,3\nM\xfcller,2\n", Delimiter::Char(b','), 2);
        assert!(found[0].1.is_ok());
        assert_eq!(found[1], (2, Err("3 fields where the header has 2".into())));
        assert_eq!(found[2].0, 3);
        assert!(found[2].1.as_ref().unwrap_err().contains("0xFC (a file in Latin-1"));
    }

    #[test]
    fn runs_of_blanks_separate_once() {
        let found = read(b" 00001 19970101  1   11.77\r\n", Delimiter::Blanks, 4);
        assert_eq!(found[0].1.as_ref().unwrap().join("|"), "00001|19970101|1|11.77");
    }

    #[test]
    fn an_endless_line_is_reported_and_passed_over() {
        let text = format!("1,{}\n2,b\n", "x".repeat(MAX_LINE * 3));
        let found = comma(&text, 2);
        assert!(found[0].1.as_ref().unwrap_err().contains("longer than 1024 KiB"));
        assert_eq!(found[1], (2, Ok(vec!["2".into(), "b".into()])));
    }

    proptest! {
        #[test]
        fn what_a_csv_writer_writes_is_read_back(
            table in prop::collection::vec(prop::collection::vec("[a-zé\",;\n ]{0,6}", 3), 1..8),
        ) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(vec![]);
            for row in &table {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let found: Vec<_> = read(&text, Delimiter::Char(b','), 3).into_iter().map(|(_, r)| r.unwrap()).collect();
            let wanted: Vec<Vec<String>> =
                table.iter().map(|r| r.iter().map(|f| f.trim().to_owned()).collect()).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
