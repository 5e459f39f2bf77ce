//! Writes CSV text (RFC 4180: quotes where they are needed). Never reads any.

use std::fmt::{Display, Write};

use zyklus_model::At;

/// A CSV text that grows row by row.
pub(super) struct Table {
    text: String,
    is_row_start: bool,
}

impl Table {
    /// With these columns.
    pub(super) fn new(columns: &str) -> Self {
        Table { text: format!("{columns}\n"), is_row_start: true }
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.is_row_start) {
            self.text.push(',');
        }
    }

    /// A field of text.
    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.comma();
        if value.contains(['"', ',', '\n', '\r']) {
            self.text.push('"');
            self.text.push_str(&value.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(value);
        }
        self
    }

    /// A field of something that needs no quotes.
    pub(super) fn show(&mut self, value: impl Display) -> &mut Self {
        self.comma();
        write!(self.text, "{value}").expect("a text can always grow");
        self
    }

    /// An instant, or nothing.
    pub(super) fn at(&mut self, at: Option<At>) -> &mut Self {
        match at {
            Some(at) => self.show(at),
            None => self.text(""),
        }
    }

    /// Cents as euros.
    pub(super) fn euros(&mut self, cents: i64) -> &mut Self {
        self.show(format_args!("{}.{:02}", cents / 100, cents % 100))
    }

    /// The end of a row.
    pub(super) fn end(&mut self) {
        self.text.push('\n');
        self.is_row_start = true;
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}
