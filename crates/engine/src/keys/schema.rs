//! The description of keys as JSON schemas (draft 2020-12), for editors and anybody else's tools.
//!
//! A schema says what it can: names, types, forms, words. What conditions mean, whether a phase or a template exists and
//! what belongs together, `zyklus check` says.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Choice, File, HOST, ID_FORM, Key, Kind, LIBRARY, Table};

/// The configuration schema of each kind of connector, by the word after `type =`.
pub type Connectors = BTreeMap<String, Value>;

const LENGTH: &str = "^[0-9]+(s|m|h|d|w|mo|y)$";

/// The JSON schema of a file.
pub fn schema(file: &File, connectors: &Connectors) -> Value {
    let parts = file.root.keys.iter().filter_map(|key| match key.kind {
        Kind::Part(table) => Some(table.name),
        _ => None,
    });
    let mut writer = Writer { definitions: Map::new(), parts: parts.collect(), connectors };
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": file.place,
    });
    merge(&mut root, writer.table(file.root));
    for key in file.root.keys {
        if let Kind::Part(part) = key.kind {
            merge(&mut root, unless_there(key, file.root, part));
        }
    }
    root["$defs"] = Value::Object(writer.definitions);
    root
}

/// What a table that can take keys from elsewhere must have itself, if there is no elsewhere.
fn unless_there(elsewhere: &Key, root: &Table, part: &'static Table) -> Value {
    let needed = needed(part);
    let mut properties = Map::new();
    for key in root.keys {
        if matches!(key.kind, Kind::Named(_, Kind::Table(table)) if std::ptr::eq(*table, part)) {
            properties.insert(key.name.into(), json!({ "additionalProperties": { "required": needed } }));
        }
    }
    json!({ "if": { "required": [elsewhere.name] }, "else": { "properties": properties } })
}

fn needed(table: &Table) -> Vec<&'static str> {
    table.keys.iter().filter(|key| key.is_needed).map(|key| key.name).collect()
}

/// Adds the entries of one object to another.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

struct Writer<'c> {
    definitions: Map<String, Value>,
    /// Tables whose keys can also stand elsewhere in the file.
    parts: Vec<&'static str>,
    connectors: &'c Connectors,
}

impl Writer<'_> {
    fn table(&mut self, table: &'static Table) -> Value {
        let properties: Map<String, Value> =
            table.keys.iter().map(|key| (key.name.to_owned(), self.key(key))).collect();
        let mut doc = table.doc.to_owned();
        if table.is_later {
            doc += " Comes with a later version.";
        }
        let mut schema = json!({
            "description": doc,
            "type": "object",
            "properties": properties,
            "additionalProperties": table.is_open,
        });
        // Whether what can stand elsewhere must stand here, the file's outermost table says.
        let needed = if self.parts.contains(&table.name) { Vec::new() } else { needed(table) };
        if !needed.is_empty() {
            schema["required"] = json!(needed);
        }
        schema
    }

    fn key(&mut self, key: &Key) -> Value {
        let mut doc = sentence(key.doc);
        let default = literal(key.default);
        if default.is_none() && !key.default.is_empty() {
            doc += &format!(" Without it: {}.", key.default);
        }
        if key.is_later {
            doc += " Comes with a later version.";
        }
        let mut schema = self.kind(key.kind);
        // What the value must look like is said behind what it is for.
        if let Some(form) = schema.get("description").and_then(Value::as_str) {
            doc += &format!(" Written as {form}.");
        }
        schema["description"] = doc.into();
        if let Some(default) = default {
            schema["default"] = default;
        }
        if let Some(example) = literal(key.example) {
            schema["examples"] = json!([example]);
        }
        schema
    }

    fn kind(&mut self, kind: Kind) -> Value {
        let form = |pattern: &str| json!({ "type": "string", "pattern": pattern });
        match kind {
            Kind::Text => json!({ "type": "string" }),
            Kind::Id => form(ID_FORM),
            Kind::Event => form("^[a-z0-9_-]+(\\.[a-z0-9_-]+)*$"),
            Kind::Cel | Kind::Expression => json!({ "type": "string", "minLength": 1 }),
            Kind::Length => form(LENGTH),
            Kind::Offset => form("^-?[0-9]+(s|m|h|d|w|mo|y)$"),
            Kind::Time => form("^([01][0-9]|2[0-3]):[0-5][0-9]$"),
            Kind::Date => form("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::True => json!({ "const": true }),
            Kind::False => json!({ "const": false }),
            Kind::Int(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
            Kind::Number => json!({ "type": "number" }),
            Kind::Positive => json!({ "type": "number", "exclusiveMinimum": 0 }),
            Kind::Words(words) => json!({ "enum": words }),
            Kind::Form(pattern, doc) => {
                json!({ "type": "string", "pattern": pattern, "description": doc })
            }
            Kind::Label => self.define("label", |_| {
                json!({
                    "description": "A text by language.",
                    "type": "object",
                    "required": ["en"],
                    "additionalProperties": { "type": "string" },
                })
            }),
            Kind::Anything => json!({}),
            Kind::List(of) => json!({ "type": "array", "items": self.kind(*of) }),
            Kind::Some(of) => json!({ "type": "array", "items": self.kind(*of), "minItems": 1 }),
            Kind::Named(form, of) => {
                let mut schema = json!({ "type": "object", "additionalProperties": self.kind(*of) });
                if !form.is_empty() {
                    schema["propertyNames"] = json!({ "pattern": form });
                }
                schema
            }
            Kind::Chosen(names, of) => {
                let properties: Map<String, Value> =
                    names.iter().map(|name| ((*name).to_owned(), self.kind(*of))).collect();
                json!({ "type": "object", "properties": properties, "additionalProperties": false })
            }
            Kind::Table(table) => self.define(table.name, |writer| writer.table(table)),
            Kind::OneOf(choice) => self.define(choice.name, |writer| writer.choice(choice)),
            Kind::Any(kinds) => {
                let kinds: Vec<Value> = kinds.iter().map(|kind| self.kind(*kind)).collect();
                json!({ "anyOf": kinds })
            }
            Kind::Part(table) => self.kind(Kind::Table(table)),
            Kind::Connector => self.define("connector", Writer::connector),
        }
    }

    fn choice(&mut self, choice: &'static Choice) -> Value {
        let kinds: Vec<Value> = choice.tables.iter().map(|table| self.kind(Kind::Table(table))).collect();
        json!({ "description": choice.doc, "oneOf": kinds })
    }

    /// A reference to a definition, which is made when it is named for the first time.
    fn define(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.definitions.contains_key(name) {
            // Definitions may name themselves: the place is taken before they are made.
            self.definitions.insert(name.to_owned(), Value::Null);
            let made = make(self);
            self.definitions.insert(name.to_owned(), made);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// A connector is one of the kinds there are: the host's keys and its own.
    fn connector(&mut self) -> Value {
        self.define("secret", |_| {
            let reference = |key: &str| {
                json!({
                    "type": "object",
                    "properties": { key: { "type": "string" } },
                    "required": [key],
                    "additionalProperties": false,
                })
            };
            json!({
                "description": "Where a secret is: an environment variable, a file or a credential of systemd's.",
                "oneOf": [reference("env"), reference("file"), reference("credential")],
            })
        });
        let kinds: Vec<&String> = self.connectors.keys().collect();
        let mut all = Vec::new();
        for (kind, config) in self.connectors {
            let name = format!("connector_{kind}");
            all.push(self.define(&name, |writer| writer.one_connector(kind, config)));
        }
        let library = self.define(LIBRARY.name, Writer::library);
        json!({
            "description": HOST.doc,
            "type": "object",
            "if": { "required": ["library"] },
            "then": library,
            "else": { "properties": { "type": { "enum": kinds } }, "required": ["type"], "oneOf": all },
        })
    }

    /// A connector from a library: the host's keys, those about the library, and its own, which nobody knows here.
    fn library(&mut self) -> Value {
        let mut schema = self.table(&LIBRARY);
        for key in HOST.keys {
            schema["properties"][key.name] = self.key(key);
        }
        schema
    }

    fn one_connector(&mut self, kind: &str, config: &Value) -> Value {
        let mut schema = self.table(&HOST);
        schema["properties"]["type"] = json!({ "const": kind, "description": "The kind of connector." });
        if let Some(doc) = config.get("description") {
            schema["description"] = doc.clone();
        }
        let own = config.get("properties").and_then(Value::as_object).into_iter().flatten();
        for (name, value) in own {
            schema["properties"][name] = moved(value, kind);
        }
        let mut needed = vec![json!("type")];
        needed.extend(config.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
        schema["required"] = Value::Array(needed);
        for (name, value) in config.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            self.definitions.insert(format!("{kind}_{name}"), moved(value, kind));
        }
        schema
    }
}

/// A part of a connector's schema in its new place: references lead to where its definitions went, and where it wants a
/// secret, the file names one.
fn moved(value: &Value, kind: &str) -> Value {
    match value {
        Value::Object(object) if object.get("writeOnly") == Some(&Value::Bool(true)) => {
            let mut schema = json!({ "$ref": "#/$defs/secret" });
            if let Some(doc) = object.get("description") {
                schema["description"] = doc.clone();
            }
            schema
        }
        Value::Object(object) => {
            let entry = |(name, value): (&String, &Value)| {
                let value = match value.as_str().filter(|_| name == "$ref") {
                    Some(target) => target.replace("#/$defs/", &format!("#/$defs/{kind}_")).into(),
                    None => moved(value, kind),
                };
                (name.clone(), value)
            };
            Value::Object(object.iter().map(entry).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| moved(item, kind)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// A value as it is written in a file; none if these are words about it.
pub(super) fn literal(text: &str) -> Option<Value> {
    let document = toml::from_str::<toml::Table>(&format!("v = {text}")).ok()?;
    serde_json::to_value(document.get("v")?).ok()
}

/// A sentence: a capital letter, unless it begins with code or a digit, and a full stop.
pub(super) fn sentence(doc: &str) -> String {
    let mut chars = doc.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}
