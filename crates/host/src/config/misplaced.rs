//! Finds what looks like a value from the environment where none is taken: only secrets come from there, so that
//! everything else can be read in the file. Never looks at a secret.

use serde_json::Value;

use super::place::step;
use super::schema::Found;
use super::secret::placeholder;

/// Each misplaced value: JSON pointer, what is wrong, what to do.
pub(crate) fn find(config: &Value, found: &Found) -> Vec<(String, String, String)> {
    let mut misplaced = Vec::new();
    visit(config, "", found, &mut misplaced);
    misplaced
}

fn visit(value: &Value, pointer: &str, found: &Found, out: &mut Vec<(String, String, String)>) {
    if found.secrets.iter().any(|secret| secret == pointer) {
        return;
    }
    match value {
        Value::String(text) => {
            if let Some(name) = placeholder(text) {
                out.push((
                    pointer.to_owned(),
                    format!("`${{{name}}}` is not replaced here"),
                    "write the value itself; only secrets come from the environment".to_owned(),
                ));
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                visit(item, &format!("{pointer}/{i}"), found, out);
            }
        }
        Value::Object(fields) => {
            // A table like a secret's, at a key that knows no such table.
            if let Some((form @ ("env" | "file" | "credential"), Value::String(_))) =
                fields.iter().next().map(|(name, value)| (name.as_str(), value))
                && fields.len() == 1
                && found.unknown.iter().any(|(unknown, ..)| *unknown == step(pointer, form))
            {
                out.push((
                    pointer.to_owned(),
                    format!("this is not a secret and cannot come from `{form}`"),
                    "write the value itself".to_owned(),
                ));
                return;
            }
            for (name, field) in fields {
                visit(field, &step(pointer, name), found, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
