//! Reads TOML tables key by key, and keeps for every mistake the place it stands at. Never does I/O.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zyklus_model::nearest;

use crate::condition::{Condition, ConditionError, Expression, Named, Reference, Scope};
use crate::problem::Problem;
use crate::wait::Length;

/// A file being read: its text, and the mistakes found so far.
pub struct Source<'a> {
    /// The file's name.
    pub file: Arc<str>,
    /// Its text.
    pub text: &'a str,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// What its conditions name, to be checked once all files are read.
    pub mentions: Vec<Mention>,
}

/// A phase, journey or step that a file names, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// What kind of thing.
    pub named: Named,
    /// Its id, as written.
    pub id: Arc<str>,
    /// The journey it is named in, if it is one.
    pub journey: Option<Arc<str>>,
    /// The place, as a problem without words.
    pub place: Problem,
}

/// A table being read; what is never asked for is an unknown key.
pub struct Table<'d, 'a> {
    /// Where it stands, as in `journeys.welcome.goal`.
    pub path: String,
    /// Its place in the file.
    pub span: Range<usize>,
    entries: BTreeMap<&'d str, (Range<usize>, &'d Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
}

impl<'a> Source<'a> {
    /// Starts on a file.
    pub fn new(file: &str, text: &'a str) -> Self {
        Source { file: file.into(), text, problems: Vec::new(), mentions: Vec::new() }
    }

    /// Parses the whole file.
    pub fn parse(&mut self) -> Option<Spanned<DeTable<'a>>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                self.problem(span, error.message().to_owned());
                None
            }
        }
    }

    /// Notes a mistake.
    pub fn problem(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::at(&self.file, self.text, span, message));
    }

    /// Notes a mistake and what to do about it.
    pub fn problem_help(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::at(&self.file, self.text, span, message).help(help));
    }

    /// Notes something that works but is doubtful.
    pub fn warn(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::at(&self.file, self.text, span, message).help(help).warning());
    }

    /// Says of tables that belong to a later version that they do, wherever they stand.
    pub fn later_tables(&mut self, root: &mut Table<'_, 'a>) {
        for later in ["coupons", "surveys", "loyalty", "referral"] {
            if root.has(later)
                && let Some(value) = root.take(later)
            {
                let help = "take this table out for now; it will stand in programmes.toml";
                self.problem_help(value.span(), format!("this version cannot run `[{later}]` yet"), help);
            }
        }
    }

    /// The value as a table.
    pub fn table<'d>(&mut self, path: &str, value: &'d Spanned<DeValue<'a>>) -> Option<Table<'d, 'a>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Table::new(path, value.span(), table)),
            other => {
                self.problem_help(
                    value.span(),
                    format!("`{path}` is {}, not a table", article(other)),
                    "write it in braces: { … }",
                );
                None
            }
        }
    }

    /// The value as text.
    pub fn text_of(&mut self, path: &str, value: &Spanned<DeValue<'a>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            other => {
                self.problem_help(
                    value.span(),
                    format!("`{path}` is {}, not a text", article(other)),
                    "put it in quotation marks",
                );
                None
            }
        }
    }

    /// The value as a whole number within a range.
    pub fn int_of(&mut self, path: &str, value: &Spanned<DeValue<'a>>, range: Range<i64>) -> Option<i64> {
        let number =
            value.get_ref().as_integer().and_then(|i| i64::from_str_radix(i.as_str(), i.radix()).ok());
        match number {
            Some(number) if range.contains(&number) => Some(number),
            Some(number) => {
                self.problem(
                    value.span(),
                    format!("`{path}` is {number}; it must be between {} and {}", range.start, range.end - 1),
                );
                None
            }
            None => {
                self.problem(
                    value.span(),
                    format!("`{path}` is {}, not a whole number", article(value.get_ref())),
                );
                None
            }
        }
    }

    /// The value as a number.
    pub fn number_of(&mut self, path: &str, value: &Spanned<DeValue<'a>>) -> Option<f64> {
        let text = match value.get_ref() {
            DeValue::Integer(i) => i.as_str(),
            DeValue::Float(f) => f.as_str(),
            other => {
                self.problem(value.span(), format!("`{path}` is {}, not a number", article(other)));
                return None;
            }
        };
        text.parse().ok()
    }

    /// The value as true or false.
    pub fn bool_of(&mut self, path: &str, value: &Spanned<DeValue<'a>>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => {
                self.problem(value.span(), format!("`{path}` is {}, not true or false", article(other)));
                None
            }
        }
    }

    /// The value as a list.
    pub fn array_of<'d>(
        &mut self,
        path: &str,
        value: &'d Spanned<DeValue<'a>>,
    ) -> Option<Vec<&'d Spanned<DeValue<'a>>>> {
        match value.get_ref() {
            DeValue::Array(items) => Some(items.iter().collect()),
            other => {
                self.problem_help(
                    value.span(),
                    format!("`{path}` is {}, not a list", article(other)),
                    "put it in square brackets: [ … ]",
                );
                None
            }
        }
    }

    /// The value as one of a few words.
    pub fn word_of<T: Copy>(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'a>>,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text_of(path, value)?;
        if let Some((_, found)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*found);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = match nearest(&text, known.iter().copied()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("write one of {}", known.join(", ")),
        };
        self.problem_help(value.span(), format!("`{path}` cannot be \"{text}\""), help);
        None
    }

    /// The value as whatever a parsing function makes of a text; its error is the message.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'a>>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text_of(path, value)?;
        match parse(&text) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.problem(value.span(), format!("`{path}`: {error}"));
                None
            }
        }
    }

    /// The value as a stretch of time; a bare number has no unit.
    pub fn length<E: std::fmt::Display>(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'a>>,
        parse: impl FnOnce(&str) -> Result<Length, E>,
    ) -> Option<Length> {
        let DeValue::Integer(number) = value.get_ref() else { return self.parsed(path, value, parse) };
        let help = format!("write a text with a unit: \"{}d\"", number.as_str());
        self.problem_help(value.span(), format!("`{path}` is a number without a unit"), help);
        None
    }

    /// The value as a condition.
    pub fn condition(&mut self, path: &str, value: &Spanned<DeValue<'a>>, scope: Scope) -> Option<Condition> {
        let text = self.text_of(path, value)?;
        match Condition::parse(&text, scope) {
            Ok(condition) => {
                self.mention_all(value.span(), &text, condition.references());
                Some(condition)
            }
            Err(error) => {
                self.condition_problem(value.span(), &text, error);
                None
            }
        }
    }

    /// The value as an expression of any type.
    pub fn expression(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'a>>,
        scope: Scope,
    ) -> Option<Expression> {
        let text = self.text_of(path, value)?;
        match Expression::parse(&text, scope) {
            Ok(expression) => {
                self.mention_all(value.span(), &text, expression.references());
                Some(expression)
            }
            Err(error) => {
                self.condition_problem(value.span(), &text, error);
                None
            }
        }
    }

    /// Notes that a file names something.
    pub fn mention(&mut self, named: Named, id: &str, span: Range<usize>) {
        let place = Problem::at(&self.file, self.text, span, "");
        self.mentions.push(Mention { named, id: id.into(), journey: None, place });
    }

    fn mention_all(&mut self, span: Range<usize>, decoded: &str, references: &[Reference]) {
        for reference in references {
            let place = self.inside(span.clone(), decoded, &reference.span);
            self.mention(reference.named, &reference.id, place);
        }
    }

    /// The place in the file of a part of a decoded text.
    pub(crate) fn inside(&self, span: Range<usize>, decoded: &str, part: &Range<usize>) -> Range<usize> {
        let raw = self.text.get(span.clone()).unwrap_or("");
        // Escapes make the text in the file differ from the decoded one; then the whole value is pointed at.
        match raw.find(decoded) {
            Some(offset) => {
                let start = span.start + offset + part.start.min(decoded.len());
                start..(span.start + offset + part.end.min(decoded.len())).max(start)
            }
            None => span,
        }
    }

    fn condition_problem(&mut self, span: Range<usize>, decoded: &str, error: ConditionError) {
        let place = self.inside(span, decoded, &error.span);
        match error.help {
            Some(help) => self.problem_help(place, error.message, help),
            None => self.problem(place, error.message),
        }
    }
}

impl<'d, 'a> Table<'d, 'a> {
    /// Starts on a table.
    pub fn new(path: &str, span: Range<usize>, table: &'d DeTable<'a>) -> Self {
        let entries =
            table.iter().map(|(key, value)| (key.get_ref().as_ref(), (key.span(), value))).collect();
        Table { path: path.to_owned(), span, entries, known: Vec::new() }
    }

    /// Takes a key's value, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.entries.remove(key).map(|(_, value)| value)
    }

    /// Takes a key's value; a missing one is a mistake.
    pub fn need(&mut self, source: &mut Source<'a>, key: &'static str) -> Option<&'d Spanned<DeValue<'a>>> {
        let found = self.take(key);
        if found.is_none() {
            source.problem(self.span.clone(), format!("`{}` is missing", self.join(key)));
        }
        found
    }

    /// The path of a key in this table.
    pub fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Names still there, for tables whose keys the operator chooses, in the order of the file.
    pub fn rest(&mut self) -> Vec<(String, Range<usize>, &'d Spanned<DeValue<'a>>)> {
        let mut rest: Vec<_> = std::mem::take(&mut self.entries)
            .into_iter()
            .map(|(name, (span, value))| (name.to_owned(), span, value))
            .collect();
        rest.sort_by_key(|(_, span, _)| span.start);
        rest
    }

    /// Whether a key is (still) there.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Notes every key nobody asked for.
    pub fn finish(self, source: &mut Source<'a>) {
        for (key, (span, _)) in self.entries {
            let place = if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path) };
            let help = match nearest(key, self.known.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => {
                    let mut known = self.known.clone();
                    known.sort_unstable();
                    known.dedup();
                    format!("known are {}", known.join(", "))
                }
            };
            source.problem_help(span, format!("unknown key `{key}`{place}"), help);
        }
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
