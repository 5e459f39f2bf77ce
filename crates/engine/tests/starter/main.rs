//! The starter configuration under config/: that it loads, that it puts people into the phases a person expects, and that
//! each of its journeys starts for whom it is meant. Never touches a store.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; the lint spares only the test functions"
)]

mod life;
mod loads;
mod people;
mod person;
mod phases;
mod playtests;
mod stories;
mod told;

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use zyklus_engine::{Book, Lifecycle, Playbook, Settings};
use zyklus_model::At;

const MODELS: [&str; 5] = [
    "ecommerce",
    "reach-to-advocate",
    "acquisition-to-win-back",
    "awareness-to-loyalty",
    "awareness-to-reactivation",
];

fn config() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn files(folder: &str) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(config().join(folder)).unwrap();
    let toml = entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "toml"));
    toml.map(|p| (p.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&p).unwrap()))
        .collect()
}

fn lifecycle(id: &str) -> Lifecycle {
    let file = format!("lifecycles/{id}.toml");
    let text = std::fs::read_to_string(config().join(&file)).unwrap();
    let (lifecycle, warnings) = Lifecycle::parse(id, &file, &text).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    lifecycle
}

fn playbooks() -> Vec<Playbook> {
    let mut segments = BTreeMap::new();
    let mut all = Vec::new();
    for (name, text) in files("playbooks") {
        let (playbook, warnings) =
            Playbook::parse(&format!("playbooks/{name}.toml"), &text, &segments).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        segments.extend(playbook.segments.clone());
        all.push(playbook);
    }
    all
}

fn book(model: &str, playbooks: Vec<Playbook>) -> Book {
    let settings = Settings { zone: TimeZone::get("Europe/Berlin").unwrap(), ..Settings::default() };
    let mut book = Book::assemble(lifecycle(model), playbooks, settings, 2).unwrap();
    book.active_from =
        book.journeys.iter().map(|j| (j.root().to_owned(), at("2020-01-01T00:00:00Z"))).collect();
    book
}

fn at(text: &str) -> At {
    text.parse().unwrap()
}
