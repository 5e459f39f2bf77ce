//! The description of keys for people: the content of config/reference.md, which a test holds against it.

use std::fmt::Write;

use serde_json::Value;

use super::schema::literal;
use super::{Choice, Connectors, FILES, HOST, Key, Kind, LIBRARY, Table};

const HEAD: &str = "\
# Every key

Generated from the same description as the schemas in schema/; do not edit. README.md is the way to learn it, this is the
place to look things up. What a condition can say stands in [conditions.md](conditions.md).

- *A length of time* is a whole number and a unit: `30s`, `15m`, `2h`, `3d`, `2w`, `1mo`, `1y`. Seconds, minutes and hours
  are elapsed time; days and longer are calendar days where the customer lives.
- *A time of day* is written `\"09:30\"`.
- *A name* has lower-case letters, digits, `-` and `_`.
- *A label* is a text by language, `{ en = \"…\", de = \"…\" }`; `en` must be there.

";

/// All tables of all files, with all their keys, as Markdown.
pub fn reference(connectors: &Connectors) -> String {
    let mut writer = Writer { out: HEAD.to_owned(), done: Vec::new() };
    for file in FILES {
        writer.table(file.root, 2);
        if std::ptr::eq(file.root, super::ZYKLUS.root) {
            writer.table(&HOST, 3);
            writer.table(&LIBRARY, 3);
            for (kind, schema) in connectors {
                writer.connector(kind, schema);
            }
        }
    }
    writer.out.truncate(writer.out.trim_end().len());
    writer.out + "\n"
}

struct Writer {
    out: String,
    done: Vec<&'static str>,
}

impl Writer {
    fn heading(&mut self, level: usize, title: &str, doc: &str, is_later: bool) {
        let later = if is_later { " Comes with a later version; `zyklus check` says so." } else { "" };
        // Writing into a String cannot fail.
        let _ = write!(self.out, "{} {title}\n\n{doc}{later}\n\n", "#".repeat(level));
    }

    fn table(&mut self, table: &'static Table, level: usize) {
        if self.done.contains(&table.name) {
            return;
        }
        self.done.push(table.name);
        let title = if level == 2 { table.title.to_owned() } else { format!("`{}`", table.title) };
        self.heading(level, &title, table.doc, table.is_later);
        self.out += "| key | value | what it does | without it | example |\n|---|---|---|---|---|\n";
        for key in table.keys {
            let later = if key.is_later { "; comes with a later version" } else { "" };
            let _ = writeln!(
                self.out,
                "| `{}` | {} | {}{later} | {} | {} |",
                key.name,
                words(key.kind),
                key.doc.replace('|', "\\|"),
                without(key),
                example(key)
            );
        }
        self.out.push('\n');
        for key in table.keys {
            self.below(key.kind, 3);
        }
    }

    fn below(&mut self, kind: Kind, level: usize) {
        match kind {
            Kind::Table(table) | Kind::Part(table) => self.table(table, level),
            Kind::OneOf(choice) => self.choice(choice, level),
            Kind::List(of) | Kind::Some(of) | Kind::Named(_, of) | Kind::Chosen(_, of) => {
                self.below(*of, level);
            }
            Kind::Any(kinds) => kinds.iter().for_each(|kind| self.below(*kind, level)),
            Kind::Text
            | Kind::Id
            | Kind::Event
            | Kind::Cel
            | Kind::Expression
            | Kind::Length
            | Kind::Offset
            | Kind::Time
            | Kind::Date
            | Kind::Bool
            | Kind::True
            | Kind::False
            | Kind::Number
            | Kind::Int(..)
            | Kind::Positive
            | Kind::Words(_)
            | Kind::Form(..)
            | Kind::Label
            | Kind::Anything
            | Kind::Connector => {}
        }
    }

    fn choice(&mut self, choice: &'static Choice, level: usize) {
        if self.done.contains(&choice.name) {
            return;
        }
        self.done.push(choice.name);
        self.heading(level, &format!("A {}", choice.name), choice.doc, false);
        for table in choice.tables {
            self.table(table, level + 1);
        }
    }

    /// A connector's own keys, as its schema describes them.
    fn connector(&mut self, kind: &str, schema: &Value) {
        let doc = schema.get("description").and_then(Value::as_str).unwrap_or("Its own keys.");
        self.heading(4, &format!("`type = \"{kind}\"`"), doc, false);
        self.properties(schema, schema);
        for (name, keys) in tables_of(schema) {
            let _ = writeln!(self.out, "The keys of {name}:\n");
            self.properties(schema, keys);
        }
    }

    /// The keys of a table that a connector's schema describes.
    fn properties(&mut self, root: &Value, table: &Value) {
        self.out += "| key | value | what it does |\n|---|---|---|\n";
        let needed = table.get("required").and_then(Value::as_array).into_iter().flatten();
        let needed: Vec<&str> = needed.filter_map(Value::as_str).collect();
        for (name, value) in table.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let doc = value.get("description").and_then(Value::as_str).unwrap_or_default();
            let doc = doc.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            let must = if needed.contains(&name.as_str()) { " Must be there." } else { "" };
            let _ = writeln!(self.out, "| `{name}` | {} | {doc}{must} |", type_of(root, value));
        }
        self.out.push('\n');
    }
}

/// What a value refers to elsewhere in its schema, if it does.
fn referred<'s>(root: &'s Value, value: &'s Value) -> Option<&'s Value> {
    let ways = ["anyOf", "allOf", "oneOf"].iter().filter_map(|way| value.get(way)?.as_array()).flatten();
    let pointer = std::iter::once(value).chain(ways).find_map(|way| way.get("$ref")?.as_str())?;
    root.pointer(pointer.strip_prefix('#')?)
}

/// The tables among a connector's keys, each with the keys it stands under.
fn tables_of(schema: &Value) -> Vec<(String, &Value)> {
    let mut tables: Vec<(Vec<String>, &Value)> = Vec::new();
    for (name, value) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let Some(table) = referred(schema, value).filter(|table| table.get("properties").is_some()) else {
            continue;
        };
        let shown = format!("`{name}`");
        match tables.iter_mut().find(|(_, known)| std::ptr::eq(*known, table)) {
            Some((names, _)) => names.push(shown),
            None => tables.push((vec![shown], table)),
        }
    }
    tables.into_iter().map(|(names, table)| (names.join(", "), table)).collect()
}

/// The words a value may be, where it is one of some.
fn words_of(value: &Value) -> Vec<&str> {
    let ways = value.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let listed = value.get("enum").and_then(Value::as_array).into_iter().flatten();
    ways.filter_map(|way| way.get("const")).chain(listed).filter_map(Value::as_str).collect()
}

fn type_of(root: &Value, value: &Value) -> String {
    if value.get("writeOnly") == Some(&Value::Bool(true)) {
        return "a secret".to_owned();
    }
    if let Some(other) = referred(root, value) {
        let words = words_of(other);
        return match words.as_slice() {
            [] if other.get("properties").is_some() => "a table, below".to_owned(),
            [] => type_of(root, other),
            words => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        };
    }
    let word = match value.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).find(|t| *t != "null"),
        Some(one) => one.as_str(),
        None => None,
    };
    let word = match word {
        Some("boolean") => "true or false",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("string") => "a text",
        Some("array") => "a list",
        Some("object") => "a table",
        Some(_) | None => "see its README",
    };
    word.to_owned()
}

fn without(key: &Key) -> String {
    match key.default {
        _ if key.is_needed => "must be there".to_owned(),
        default if literal(default).is_some() => format!("`{default}`"),
        default => default.to_owned(),
    }
}

fn example(key: &Key) -> String {
    format!("`{} = {}`", key.name, key.example.replace('|', "\\|"))
}

fn words(kind: Kind) -> String {
    let joined =
        |words: &[&str]| words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Text => "a text".to_owned(),
        Kind::Id => "a name".to_owned(),
        Kind::Event => "an event's name".to_owned(),
        Kind::Cel => "a condition".to_owned(),
        Kind::Expression => "an expression".to_owned(),
        Kind::Length => "a length of time".to_owned(),
        Kind::Offset => "a length of time, also with `-`".to_owned(),
        Kind::Time => "a time of day".to_owned(),
        Kind::Date => "a date".to_owned(),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::True => "`true`".to_owned(),
        Kind::Number => "a number".to_owned(),
        Kind::False => "`false`".to_owned(),
        Kind::Int(from, to) => format!("a whole number, {from} to {to}"),
        Kind::Positive => "a number above 0".to_owned(),
        Kind::Words(list) => joined(list),
        Kind::Form(_, doc) => doc.to_owned(),
        Kind::Label => "a label".to_owned(),
        Kind::Anything => "anything".to_owned(),
        Kind::List(of) => format!("a list: {}", words(*of)),
        Kind::Some(of) => format!("a list of one or more: {}", words(*of)),
        Kind::Named(_, of) => format!("named values: {}", words(*of)),
        Kind::Chosen(names, of) => {
            let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            format!("for any of {names}: {}", words(*of))
        }
        Kind::Table(table) => format!("`{}`", table.title),
        Kind::OneOf(choice) => format!("a {}, below", choice.name),
        Kind::Any(kinds) => kinds.iter().map(|kind| words(*kind)).collect::<Vec<_>>().join(", or "),
        Kind::Part(table) => format!("keys of `{}`", table.title),
        Kind::Connector => format!("`{}`", HOST.title),
    }
}
