//! What can stand in the operator's files: every table, its keys, their values, a sentence and an example of each.
//!
//! One description, three uses: the JSON schemas for editors ([`schema`]), the reference for people ([`reference()`]), and
//! tests that hold it against the readers, key by key, so that neither says what the other does not do. It reads no
//! file itself and checks no value: `playbook_file`, `steps`, `lifecycle`, `settings` and the runtime do.

mod lifecycle;
mod playbook;
mod reference;
mod schema;
mod steps;
mod zyklus;

pub use lifecycle::LIFECYCLE;
pub use playbook::PLAYBOOK;
pub use reference::reference;
pub use schema::{Connectors, schema};
pub use zyklus::{HOST, LIBRARY, ZYKLUS};

/// What the value of a key may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A text without a form of its own.
    Text,
    /// Lower-case letters, digits, `-` and `_`.
    Id,
    /// An event's name: lower-case words joined by dots.
    Event,
    /// A condition.
    Cel,
    /// An expression of any type.
    Expression,
    /// A stretch of time that is not negative.
    Length,
    /// A stretch of time, possibly negative.
    Offset,
    /// A local time of day, `"09:30"`.
    Time,
    /// `"2026-12-25"`, with or without quotation marks.
    Date,
    /// True or false.
    Bool,
    /// `true` and nothing else.
    True,
    /// `false`, to switch something off.
    False,
    /// A whole number, from and to included.
    Int(i64, i64),
    /// A number.
    Number,
    /// A number above zero.
    Positive,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A text of this form (a regular expression), with its description.
    Form(&'static str, &'static str),
    /// A text by language.
    Label,
    /// Anything at all.
    Anything,
    /// A list of these.
    List(&'static Kind),
    /// A list of at least one of these.
    Some(&'static Kind),
    /// A table whose names of this form the operator chooses, all values of one kind.
    Named(&'static str, &'static Kind),
    /// A table with names from a list, all values of one kind.
    Chosen(&'static [&'static str], &'static Kind),
    /// A table.
    Table(&'static Table),
    /// A table of one of these kinds.
    OneOf(&'static Choice),
    /// A value of one of these kinds.
    Any(&'static [Kind]),
    /// Any key of another table, none of which must be there.
    Part(&'static Table),
    /// A connector: its own keys stand in its manifest.
    Connector,
}

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What it does, in one sentence without a full stop.
    pub doc: &'static str,
    /// A value, as it is written in the file.
    pub example: &'static str,
    /// What holds without it: a value as it is written, or words.
    pub default: &'static str,
    /// Whether it must be there.
    pub is_needed: bool,
    /// Whether this version knows the key but cannot do what it says.
    pub is_later: bool,
}

impl Key {
    /// A key that may be left out.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str, example: &'static str) -> Self {
        Key { name, kind, doc, example, default: "", is_needed: false, is_later: false }
    }

    /// What holds without it.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    /// It must be there.
    #[must_use]
    pub const fn needed(mut self) -> Self {
        self.is_needed = true;
        self
    }

    /// It comes with a later version.
    #[must_use]
    pub const fn later(mut self) -> Self {
        self.is_later = true;
        self
    }
}

/// A table and its keys.
#[derive(Debug)]
pub struct Table {
    /// Its name among the definitions of the schema.
    pub name: &'static str,
    /// Its heading in the reference, as it stands in a file.
    pub title: &'static str,
    /// What it is for, in whole sentences.
    pub doc: &'static str,
    /// Its keys, in the order to read them.
    pub keys: &'static [Key],
    /// Whether this version knows it but cannot do what it says.
    pub is_later: bool,
    /// Whether it can hold further keys of the operator's choice.
    pub is_open: bool,
}

/// Tables of which a value is one, told apart by the key they begin with.
#[derive(Debug)]
pub struct Choice {
    /// Its name among the definitions of the schema.
    pub name: &'static str,
    /// What they are, in whole sentences.
    pub doc: &'static str,
    /// The alternatives; the first key of each must be there.
    pub tables: &'static [&'static Table],
}

/// A file of the operator's: its outermost table.
#[derive(Debug)]
pub struct File {
    /// The schema's name, as in `schema/NAME.json`.
    pub name: &'static str,
    /// Where it lies in the configuration's folder.
    pub place: &'static str,
    /// The outermost table.
    pub root: &'static Table,
}

/// The form of an id, for names the operator chooses.
const ID_FORM: &str = "^[a-z0-9_-]{1,80}$";

/// The three kinds of files.
pub static FILES: [&File; 3] = [&ZYKLUS, &LIFECYCLE, &PLAYBOOK];
