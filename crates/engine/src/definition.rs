//! What a run lives by, as a hash and as a text from which the journey can be built again: a playbook file with
//! nothing but this journey, in which nothing is taken from elsewhere. Never reads or writes a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use toml::de::DeValue;

use crate::playbook::{Journey, Playbook, Start};

/// Keys that change nothing for a run that goes on: what it is called, whether it acts at all, who comes in later,
/// and what a change means.
const NOT_LIVED_BY: [&str; 5] = ["label", "was", "mode", "on_change", "backfill"];

impl Journey {
    /// Reads a journey from the text it was kept as. The hash it was kept under stays its definition. `None` when
    /// this version of the language does not read the text any more.
    pub fn rebuild(definition: &str, text: &str) -> Option<Journey> {
        let (playbook, _) = Playbook::parse("definition.toml", text, &BTreeMap::new()).ok()?;
        let mut journey = playbook.journeys.into_iter().next()?;
        definition.clone_into(&mut journey.definition);
        Some(journey)
    }
}

/// The hash and the text of a journey: its own keys, those of the file's defaults it does not have itself, and the
/// segment it starts from. Comments, blanks and the order of keys are no change.
pub(crate) fn written(
    id: &str,
    journey: &DeValue<'_>,
    defaults: Option<&DeValue<'_>>,
    start: Option<&Start>,
) -> (String, String) {
    let mut entries: BTreeMap<&str, &DeValue<'_>> = BTreeMap::new();
    for part in [defaults, Some(journey)] {
        let table = part.and_then(DeValue::as_table);
        entries.extend(
            table.into_iter().flatten().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())),
        );
    }
    let segment = match start {
        Some(Start::Segment { id, condition }) => Some((id.as_str(), condition.text())),
        _ => None,
    };
    let mut hash = Sha256::new();
    feed(&mut hash, "segment", segment.map_or("", |(_, text)| text));
    let mut text = String::new();
    // A condition that stands in the journey itself needs no name.
    if let Some((segment, condition)) = segment.filter(|(id, _)| !id.contains(':')) {
        let _ = writeln!(text, "[segments]\n{} = {}", quoted(segment), quoted(condition));
    }
    let _ = writeln!(text, "[journeys.{}]", quoted(id));
    for (key, value) in entries {
        if !NOT_LIVED_BY.contains(&key) {
            feed(&mut hash, "key", key);
            feed_value(&mut hash, value);
        }
        let _ = write!(text, "{} = ", quoted(key));
        write_value(&mut text, value);
        text.push('\n');
    }
    feed(&mut hash, "end", "");
    (hex::encode(&hash.finalize()[..16]), text)
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Writes a value on one line, as every version of TOML reads it.
fn write_value(text: &mut String, value: &DeValue<'_>) {
    match value {
        DeValue::String(value) => text.push_str(&quoted(value)),
        DeValue::Integer(number) => text.push_str(&number.to_string()),
        DeValue::Float(number) => text.push_str(number.as_str()),
        DeValue::Boolean(flag) => text.push_str(if *flag { "true" } else { "false" }),
        DeValue::Datetime(date) => text.push_str(&date.to_string()),
        DeValue::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write_value(text, item.get_ref());
            }
            text.push(']');
        }
        DeValue::Table(table) => {
            text.push('{');
            for (index, (key, value)) in table.iter().enumerate() {
                let comma = if index == 0 { " " } else { ", " };
                let _ = write!(text, "{comma}{} = ", quoted(key.get_ref()));
                write_value(text, value.get_ref());
            }
            text.push_str(" }");
        }
    }
}

fn feed(hash: &mut Sha256, kind: &str, text: &str) {
    hash.update(kind);
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

fn feed_value(hash: &mut Sha256, value: &DeValue<'_>) {
    match value {
        DeValue::String(text) => feed(hash, "text", text),
        DeValue::Integer(number) => feed(hash, "int", number.as_str()),
        DeValue::Float(number) => feed(hash, "float", number.as_str()),
        DeValue::Boolean(flag) => feed(hash, "bool", if *flag { "true" } else { "false" }),
        DeValue::Datetime(date) => feed(hash, "date", &date.to_string()),
        DeValue::Array(items) => {
            feed(hash, "array", "");
            items.iter().for_each(|item| feed_value(hash, item.get_ref()));
            feed(hash, "end", "");
        }
        DeValue::Table(table) => {
            feed(hash, "table", "");
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.get_ref().cmp(b.get_ref()));
            for (key, value) in entries {
                feed(hash, "key", key.get_ref());
                feed_value(hash, value.get_ref());
            }
            feed(hash, "end", "");
        }
    }
}
