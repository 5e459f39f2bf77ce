//! Lifecycles: phases in order, each with its condition. Reading them only; `phase` applies them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::DeValue;
use zyklus_model::nearest;

use crate::condition::{Condition, Named, Scope};
use crate::playbook_file::positive;
use crate::problem::Problem;
use crate::source::Source;
use crate::wait::Length;

/// A text by language (`en`, `de`).
pub type Label = BTreeMap<String, String>;

/// One phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its id, as in `phase.id`.
    pub id: Arc<str>,
    /// What people call it.
    pub label: Label,
    /// Who stands in it.
    pub when: Condition,
    /// Minimum stay: until then no other phase is considered.
    pub hold: Option<Length>,
}

/// A lifecycle: the first phase whose condition holds wins; any phase can follow any other.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifecycle {
    /// The file's name without `.toml`.
    pub id: Arc<str>,
    /// What people call it.
    pub label: Label,
    /// In the order of the file.
    pub phases: Vec<Phase>,
    /// Hash of everything that decides (ids, conditions, holds), not of labels.
    pub definition: String,
}

impl Lifecycle {
    /// Reads a lifecycle file.
    ///
    /// # Errors
    /// Every mistake found, with its place. Warnings alone are no error and are given beside the lifecycle.
    pub fn parse(id: &str, file: &str, text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut source = Source::new(file, text);
        let lifecycle = read(id, &mut source);
        match lifecycle {
            Some(lifecycle) if source.problems.iter().all(|p| p.is_warning) => {
                Ok((lifecycle, source.problems))
            }
            _ => Err(source.problems),
        }
    }

    /// The place of a phase in the order.
    pub fn position(&self, phase: &str) -> Option<usize> {
        self.phases.iter().position(|p| &*p.id == phase)
    }

    /// What people call a phase, in a language, falling back to English and to its id.
    pub fn label_of(&self, phase: &str, language: &str) -> String {
        let label = self.phases.iter().find(|p| &*p.id == phase).map(|p| &p.label);
        label
            .and_then(|l| l.get(language).or_else(|| l.get("en")))
            .cloned()
            .unwrap_or_else(|| phase.to_owned())
    }
}

fn read(id: &str, source: &mut Source<'_>) -> Option<Lifecycle> {
    let document = source.parse()?;
    let mut root = crate::source::Table::new("", document.span(), document.get_ref());
    let label = root.need(source, "label").and_then(|v| read_label(source, "label", v)).unwrap_or_default();
    let mut phases: Vec<Phase> = Vec::new();
    let items = root.need(source, "phases").and_then(|v| source.array_of("phases", v)).unwrap_or_default();
    let mut spans = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("phases[{index}]");
        let Some(mut table) = source.table(&path, item) else { continue };
        let id = table.need(source, "id").and_then(|v| {
            let id = source.parsed("id", v, identifier)?;
            if phases.iter().any(|p| *p.id == *id) {
                source.problem(v.span(), format!("there are two phases `{id}`"));
            }
            Some(id)
        });
        let label = table.need(source, "label").and_then(|v| read_label(source, &table.join("label"), v));
        let when = table.need(source, "when");
        let span = when.map_or_else(|| item.span(), |v| v.span());
        let when = when.and_then(|v| source.condition(&table.join("when"), v, Scope::Phase));
        let hold = table.take("hold").and_then(|v| {
            let Some(number) = v.get_ref().as_integer() else {
                return source.length(&table.join("hold"), v, positive);
            };
            let message = format!("`{}` is a number, not a length of time", table.join("hold"));
            source.problem_help(v.span(), message, format!("write \"{}d\" for days", number.as_str()));
            None
        });
        table.finish(source);
        if let (Some(id), Some(when)) = (id, when) {
            phases.push(Phase { id: id.into(), label: label.unwrap_or_default(), when, hold });
            spans.push(span);
        }
    }
    root.finish(source);
    check_references(source, &phases, &spans);
    match phases.last() {
        Some(last) if last.when.text().trim() != "true" => {
            let span = spans.last().cloned().unwrap_or(0..0);
            source.problem_help(
                span,
                format!("the last phase, `{}`, must take everybody who fits nowhere else", last.id),
                "write `when = \"true\"`",
            );
        }
        Some(_) => {}
        None => source.problem(0..0, "a lifecycle needs at least one [[phases]]"),
    }
    let mut hash = Sha256::new();
    for phase in &phases {
        let hold = phase.hold.map(|h| h.to_string()).unwrap_or_default();
        for part in [&*phase.id, phase.when.text(), &hold] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    let definition = hex::encode(&hash.finalize()[..16]);
    Some(Lifecycle { id: id.into(), label, phases, definition })
}

/// A comparison of `phase.id` with a phase that does not exist is a misspelling.
fn check_references(source: &mut Source<'_>, phases: &[Phase], spans: &[std::ops::Range<usize>]) {
    let ids: Vec<Arc<str>> = phases.iter().map(|p| Arc::clone(&p.id)).collect();
    for (phase, span) in phases.iter().zip(spans) {
        for name in phase_names(&phase.when) {
            if !ids.iter().any(|id| **id == *name) {
                let help = match nearest(&name, ids.iter().map(|id| &**id)) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => format!("phases are {}", ids.join(", ")),
                };
                source.problem_help(span.clone(), format!("there is no phase '{name}'"), help);
            }
        }
    }
}

/// The phases a condition compares with.
pub fn phase_names(condition: &Condition) -> Vec<String> {
    condition.references().iter().filter(|r| r.named == Named::Phase).map(|r| r.id.to_string()).collect()
}

/// Reads `{ en = "…", de = "…" }`.
pub fn read_label<'a>(source: &mut Source<'a>, path: &str, value: &Spanned<DeValue<'a>>) -> Option<Label> {
    let mut table = source.table(path, value)?;
    let mut label = Label::new();
    for (language, _, value) in table.rest() {
        if let Some(text) = source.text_of(&format!("{path}.{language}"), value) {
            label.insert(language, text);
        }
    }
    if !label.contains_key("en") {
        source.problem(value.span(), format!("`{path}` needs at least `en`"));
    }
    Some(label)
}

/// Checks an id: lower-case letters, digits, `-` and `_`.
pub fn identifier(text: &str) -> Result<String, String> {
    let fine = !text.is_empty()
        && text.len() <= 80
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if fine {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not an id; use lower-case letters, digits and -"))
    }
}
