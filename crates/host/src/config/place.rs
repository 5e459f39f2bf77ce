//! TOML into JSON, remembering where each value stands. Never judges a value's meaning.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::problem::ConfigProblem;

/// The configuration file a table comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// How the file is called in messages: `zyklus.toml`.
    pub file: &'a str,
    /// The whole file.
    pub text: &'a str,
}

impl Source<'_> {
    /// Line and column (in characters) of a byte offset, both from 1.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }
}

/// Where one value stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// Where every value of a table stands, by JSON pointer.
#[derive(Debug, Default)]
pub(crate) struct Places(HashMap<String, Place>);

impl Places {
    /// The place of a pointer, or of the nearest thing around it.
    pub(crate) fn find(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.0.get(pointer) {
                return place.clone();
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return Place { key: 0..0, value: 0..0 },
            }
        }
    }
}

/// One more step of a JSON pointer.
pub(crate) fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A JSON pointer as the operator writes it: `connectors.shop.page_size`, `connectors.csv.files[2].path`.
pub(crate) fn dotted(root: &str, pointer: &str) -> String {
    let mut out = root.to_owned();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            out.push('.');
            out.push_str(&part);
        }
    }
    out
}

/// Converts a table; `root` is its dotted name.
pub(crate) fn to_json(
    source: &Source<'_>,
    root: &str,
    table: &Spanned<DeValue<'_>>,
    problems: &mut Vec<ConfigProblem>,
) -> (Value, Places) {
    let mut places = Places::default();
    let mut walk = Walk { source, root, places: &mut places, problems };
    let value = walk.value(String::new(), table.span(), table);
    (value, places)
}

struct Walk<'a, 's> {
    source: &'a Source<'s>,
    root: &'a str,
    places: &'a mut Places,
    problems: &'a mut Vec<ConfigProblem>,
}

impl Walk<'_, '_> {
    fn value(&mut self, pointer: String, key: Range<usize>, value: &Spanned<DeValue<'_>>) -> Value {
        self.places.0.insert(pointer.clone(), Place { key, value: value.span() });
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(yes) => Value::Bool(*yes),
            DeValue::Datetime(at) => Value::String(at.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => number.into(),
                Err(_) => self.wrong(&pointer, value.span(), "is not a whole number of 64 bits"),
            },
            DeValue::Float(number) => {
                let parsed = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                match parsed {
                    Some(number) => Value::Number(number),
                    None => self.wrong(&pointer, value.span(), "is not a finite number"),
                }
            }
            DeValue::Array(items) => Value::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| self.value(format!("{pointer}/{i}"), item.span(), item))
                    .collect(),
            ),
            DeValue::Table(table) => {
                let mut fields = Map::new();
                for (name, item) in table.iter() {
                    let child = step(&pointer, name.get_ref());
                    fields.insert(name.get_ref().to_string(), self.value(child, name.span(), item));
                }
                Value::Object(fields)
            }
        }
    }

    fn wrong(&mut self, pointer: &str, span: Range<usize>, what: &str) -> Value {
        let text = self.source.text.get(span.clone()).unwrap_or_default();
        self.problems.push(ConfigProblem::at(
            self.source,
            dotted(self.root, pointer),
            span,
            format!("{text} {what}"),
        ));
        Value::Null
    }
}
