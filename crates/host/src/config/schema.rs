//! What a connector's JSON schema says about the keys of a table: which are known, which are secrets.
//! Never checks values; the `values` module does.

use std::collections::BTreeMap;

use serde_json::Value;
use zyklus_model::nearest;

use super::place::step;

/// References and alternatives are followed so deep; schemas of connectors are not deeper.
const DEEPEST: usize = 24;

/// What walking a value along its schema found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// JSON pointers of all values that are secrets.
    pub(crate) secrets: Vec<String>,
    /// JSON pointers of unknown keys, each with what to do.
    pub(crate) unknown: Vec<(String, String, String)>,
}

/// Walks a value along its schema. `also_known` are further keys of the outermost table (the host's own).
pub(crate) fn walk(root: &Value, value: &Value, also_known: &[&str]) -> Found {
    let mut walk = Walk { root, found: Found::default() };
    walk.visit(&[root], value, "", also_known);
    walk.found
}

/// Whether the outermost table of a schema has this key.
pub(crate) fn has_property(root: &Value, key: &str) -> bool {
    let mut views = Vec::new();
    flatten(root, root, &mut views, 0);
    views.iter().any(|v| v.get("properties").and_then(|p| p.get(key)).is_some())
}

struct Walk<'a> {
    root: &'a Value,
    found: Found,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, schemas: &[&'a Value], value: &Value, pointer: &str, also_known: &[&str]) {
        let mut views = Vec::new();
        for schema in schemas {
            flatten(self.root, schema, &mut views, 0);
        }
        if views.iter().any(|v| v.get("writeOnly") == Some(&Value::Bool(true))) {
            if !value.is_null() {
                self.found.secrets.push(pointer.to_owned());
            }
            return;
        }
        match value {
            Value::Object(fields) => {
                views.retain(|view| tag_fits(view, fields));
                let mut known: BTreeMap<&str, Vec<&'a Value>> = BTreeMap::new();
                for (name, schema) in
                    views.iter().filter_map(|v| v.get("properties")?.as_object()).flat_map(|p| p.iter())
                {
                    known.entry(name).or_default().push(schema);
                }
                let others: Vec<&'a Value> = views
                    .iter()
                    .filter_map(|v| v.get("additionalProperties"))
                    .filter(|s| **s != Value::Bool(false))
                    .collect();
                let open = !others.is_empty() || views.iter().any(|view| takes_anything(view));
                for (name, field) in fields {
                    let child = step(pointer, name);
                    if let Some(schemas) = known.get(name.as_str()) {
                        self.visit(schemas, field, &child, &[]);
                    } else if open {
                        self.visit(&others, field, &child, &[]);
                    } else if !views.is_empty() {
                        let names = known.keys().copied().chain(also_known.iter().copied());
                        let help = match nearest(name, names.clone()) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("the keys here are: {}", names.collect::<Vec<_>>().join(", ")),
                        };
                        self.found.unknown.push((child, name.clone(), help));
                    }
                }
            }
            Value::Array(items) => {
                let schemas: Vec<&'a Value> = views.iter().filter_map(|v| v.get("items")).collect();
                for (i, item) in items.iter().enumerate() {
                    let mut schemas = schemas.clone();
                    schemas.extend(views.iter().filter_map(|v| v.get("prefixItems")?.get(i)));
                    self.visit(&schemas, item, &format!("{pointer}/{i}"), &[]);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Every schema that may apply: references followed, alternatives side by side.
fn flatten<'a>(root: &'a Value, schema: &'a Value, views: &mut Vec<&'a Value>, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    let mut leaf = true;
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        leaf = false;
        if let Some(target) = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
            flatten(root, target, views, depth + 1);
        }
    }
    for word in ["allOf", "anyOf", "oneOf"] {
        if let Some(parts) = schema.get(word).and_then(Value::as_array) {
            leaf = false;
            parts.iter().for_each(|part| flatten(root, part, views, depth + 1));
        }
    }
    let says_something = ["properties", "additionalProperties", "items", "writeOnly"];
    if leaf || says_something.iter().any(|word| schema.get(word).is_some()) {
        views.push(schema);
    }
}

/// Whether an alternative is the one the value's tag names, or has no tag.
fn tag_fits(view: &Value, fields: &serde_json::Map<String, Value>) -> bool {
    let Some(properties) = view.get("properties").and_then(Value::as_object) else { return true };
    properties.iter().all(|(name, schema)| match (schema.get("const"), fields.get(name)) {
        (Some(wanted), Some(given)) => wanted == given,
        _ => true,
    })
}

/// Whether a schema says nothing about an object's keys.
fn takes_anything(view: &Value) -> bool {
    match view {
        Value::Bool(yes) => *yes,
        Value::Object(words) => {
            let object = match words.get("type") {
                None => !words.contains_key("const") && !words.contains_key("enum"),
                Some(Value::String(t)) => t == "object",
                Some(types) => types.as_array().is_some_and(|ts| ts.iter().any(|t| t == "object")),
            };
            object
                && (words.contains_key("patternProperties")
                    || (!words.contains_key("properties") && !words.contains_key("additionalProperties")))
        }
        _ => false,
    }
}
