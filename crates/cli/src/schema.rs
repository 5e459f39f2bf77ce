//! The JSON schemas of the operator's files, and the reference of all their keys: the engine's description, and what the
//! connectors in this program say of themselves. Writes no file.

use serde_json::Value;
use zyklus_engine::keys::{self, Connectors, FILES};

/// The schema of a kind of file (`zyklus`, `lifecycle`, `playbook`) as text; empty for another word.
pub fn of(name: &str) -> String {
    let file = FILES.iter().find(|file| file.name == name);
    file.map(|file| json_text(&keys::schema(file, &connectors()))).unwrap_or_default()
}

/// The files made of the description, by their path in the configuration's folder.
pub fn generated() -> Vec<(String, String)> {
    let connectors = connectors();
    let schemas = FILES.iter().map(|file| (format!("schema/{}.json", file.name), of(file.name)));
    schemas.chain([("reference.md".to_owned(), keys::reference(&connectors))]).collect()
}

/// The configuration schema of every connector in this program.
fn connectors() -> Connectors {
    let registry = crate::registry();
    let schema = |kind: &str| registry.manifest(kind).map(|manifest| manifest.config_schema.clone());
    registry.kinds().into_iter().filter_map(|kind| Some((kind.to_owned(), schema(kind)?))).collect()
}

fn json_text(value: &Value) -> String {
    // Maps with texts as keys can always be written.
    let text = serde_json::to_string_pretty(value).expect("JSON can be written");
    text + "\n"
}
