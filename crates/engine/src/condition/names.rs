//! Names in conditions: which field a path means where, and what to say about a path that means none. Builds no nodes.

use std::ops::Range;

use zyklus_model::nearest;

use super::Scope;
use super::error::ConditionError;
use super::functions::FUNCTIONS;
use super::schema::{FIELDS, FieldId, Group, Type};

/// Names that later versions bring.
const LATER: &[&str] = &["loyalty", "referral", "coupon", "answer", "survey"];

/// What a dotted path means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Field(FieldId),
    /// The rest of the path inside a map field, never empty.
    Inside(FieldId, usize),
}

/// Finds what a path means where a condition stands.
pub(super) fn resolve(
    segments: &[&str],
    scope: Scope,
    span: Range<usize>,
) -> Result<Meaning, ConditionError> {
    let path = segments.join(".");
    for length in (1..=segments.len()).rev() {
        let Some(id) = FieldId::find(&segments[..length].join(".")) else { continue };
        let spec = id.spec();
        visible(spec.group, spec.path, scope, &span)?;
        return if length == segments.len() {
            Ok(Meaning::Field(id))
        } else if spec.kind == Type::Map {
            Ok(Meaning::Inside(id, length))
        } else {
            let error = ConditionError::new(
                span,
                format!("`{}` is {} and has no `{}`", spec.path, spec.kind, segments[length]),
            );
            Err(match segments[length] {
                "size" | "length" | "count" => error.help(format!("write `size({})`", spec.path)),
                _ => error,
            })
        };
    }
    Err(unknown(&path, scope, span))
}

/// Refuses a group where it is not known.
pub(super) fn visible(
    group: Group,
    name: &str,
    scope: Scope,
    span: &Range<usize>,
) -> Result<(), ConditionError> {
    if scope.shows(group) {
        return Ok(());
    }
    let place = match scope {
        Scope::Phase => "in a phase's `when`",
        Scope::Segment => "in a segment",
        Scope::StartWhere => "in a start's `where`",
        Scope::Key => "in a journey's `key`",
        Scope::JourneyWhen => "in a journey's `when`",
        Scope::Goal | Scope::Exit | Scope::If | Scope::Until => "here",
    };
    let help = match group {
        Group::Run => "it belongs to a run: use it in `goal`, `exit`, `if` or `until`",
        Group::Key => "it is known in a journey's `when`, `goal`, `exit`, `if` and `until`",
        _ => {
            "it is known inside journeys only; elsewhere use `events.count(\"name\", 30)` or `events.days_since(\"name\")`"
        }
    };
    Err(ConditionError::new(span.clone(), format!("`{name}` is not known {place}")).help(help))
}

/// Whether a path begins with a name of a later version, and the error that says so.
pub(super) fn later(path: &str, span: &Range<usize>) -> Option<ConditionError> {
    let name = LATER.iter().find(|name| {
        path.strip_prefix(**name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })?;
    Some(
        ConditionError::new(span.clone(), format!("`{name}` comes with a later version"))
            .help("leave this condition out for now"),
    )
}

/// Whether a path is the name of a group of fields, and the error that says so where something else is wanted.
pub(super) fn group(path: &str, wanted: &str, span: &Range<usize>) -> Option<ConditionError> {
    let inside: Vec<&str> = FIELDS
        .iter()
        .map(|field| field.path)
        .filter(|field| field.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
        .collect();
    let error = ConditionError::new(span.clone(), format!("`{path}` is a group of fields, not a {wanted}"));
    (!inside.is_empty()).then(|| error.help(format!("use one of {}", listed(&inside))))
}

fn unknown(path: &str, scope: Scope, span: Range<usize>) -> ConditionError {
    if let Some(error) = later(path, &span) {
        return error;
    }
    if matches!(path, "now" | "now.at" | "today") {
        return ConditionError::new(span, format!("`{path}` is not available: a condition must know when it changes"))
            .help("use a field that counts, as `orders.days_since_last` or `cart.hours_idle`, or events.days_since(\"name\")");
    }
    let is_group = FIELDS.iter().any(|field| field.path.starts_with(&format!("{path}.")));
    let function = FUNCTIONS
        .iter()
        .find(|function| function.key == path || (!is_group && function.key.split('.').next() == Some(path)));
    if let Some(function) = function {
        return ConditionError::new(span, format!("`{path}` is a function"))
            .help(format!("write it as `{}`", function.shape));
    }
    if let Some(error) = group(path, "value", &span) {
        return error;
    }
    let error = ConditionError::new(span, format!("there is no `{path}`"));
    match similar(path, scope) {
        Some(name) => error.help(format!("did you mean `{name}`?")),
        None => match path.split_once('.').map(|(group, _)| group) {
            Some(group) if FIELDS.iter().any(|field| field.path.starts_with(&format!("{group}."))) => {
                let siblings: Vec<&str> = FIELDS
                    .iter()
                    .map(|field| field.path)
                    .filter(|field| field.starts_with(&format!("{group}.")))
                    .collect();
                error.help(format!("known are {}", listed(&siblings)))
            }
            None => error.help(format!(
                "for a text, write '{path}'; conditions.md (written by `zyklus init`) lists all names"
            )),
            Some(_) => error.help("conditions.md (written by `zyklus init`) lists all names"),
        },
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The known name most like a wrong one, if any is like it.
pub(super) fn similar(path: &str, scope: Scope) -> Option<&'static str> {
    let fields = FIELDS.iter().filter(|field| scope.shows(field.group)).map(|field| field.path);
    let functions =
        FUNCTIONS.iter().filter(|function| scope.shows(function.group)).map(|function| function.key);
    nearest(path, fields.chain(functions))
}
