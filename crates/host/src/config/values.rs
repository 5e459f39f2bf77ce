//! Says in plain words where a value does not fit its schema. Never quotes a secret.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;
use zyklus_model::nearest;

use super::place::step;

/// One misfit: the JSON pointer, what is wrong, what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) pointer: String,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// All misfits of a value; the schema itself must be valid.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<Vec<Misfit>, String> {
    let validator = jsonschema::validator_for(schema).map_err(|e| e.to_string())?;
    let mut misfits = Vec::new();
    for error in validator.iter_errors(value) {
        explain(&error, &mut misfits);
    }
    misfits.dedup();
    Ok(misfits)
}

/// What is wrong with the input of an action: how it does not fit the schema, with what to do; keys the schema does not have
/// included. A schema that is none says nothing.
pub fn input_misfits(schema: &Value, input: &Value) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
    if schema["additionalProperties"] == Value::Bool(false) {
        let given = input.as_object().into_iter().flatten().map(|(key, _)| key);
        found.extend(given.filter(|key| !known.contains(&key.as_str())).map(|key| {
            let help = nearest(key, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let all = || match known.as_slice() {
                [] => "it takes no keys".to_owned(),
                known => format!("it takes {}", known.join(", ")),
            };
            (format!("there is no key `{key}`"), Some(help.unwrap_or_else(all)))
        }));
    }
    let misfits = check(schema, input).unwrap_or_default();
    found.extend(misfits.into_iter().map(|Misfit { pointer, message, help }| {
        let place = pointer.trim_start_matches('/').replace('/', ".");
        // What is missing names itself.
        let is_named = place.is_empty() || message.contains(&format!("`{place}`"));
        (if is_named { message } else { format!("`{place}`: {message}") }, help)
    }));
    found
}

fn explain(error: &ValidationError<'_>, out: &mut Vec<Misfit>) {
    use ValidationErrorKind as Kind;
    let given = show(error.instance());
    let mut help = None;
    let mut pointer = error.instance_path().as_str().to_owned();
    let message = match error.kind() {
        // Unknown keys have been reported by the walk along the schema, with the nearest right name.
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => return,
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            match best_branch(context, error.instance_path().as_str()) {
                Some(branch) => return branch.iter().for_each(|e| explain(e, out)),
                None => format!("{given} does not fit"),
            }
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            pointer = step(&pointer, name);
            help = Some(format!("add `{name} = …`"));
            format!("`{name}` is missing")
        }
        Kind::Maximum { limit } => format!("{given} is greater than the maximum of {limit}"),
        Kind::Minimum { limit } => format!("{given} is less than the minimum of {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("{given} must be less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("{given} must be greater than {limit}"),
        Kind::MaxLength { limit } => format!("{given} is longer than {limit} characters"),
        Kind::MinLength { limit } => format!("{given} is shorter than {limit} characters"),
        Kind::MaxItems { limit } => format!("there are more than {limit} entries"),
        Kind::MinItems { limit } => format!("there are fewer than {limit} entries"),
        Kind::Pattern { pattern } => format!("{given} does not have the form {pattern}"),
        Kind::Format { format } => format!("{given} is not a {format}"),
        Kind::Constant { expected_value } => format!("{given} is not {expected_value}"),
        Kind::Enum { options } => {
            let options: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            help = error
                .instance()
                .as_str()
                .and_then(|text| nearest(text, options.iter().copied()))
                .map(|near| format!("did you mean \"{near}\"?"));
            let options: Vec<String> = options.iter().map(|o| format!("\"{o}\"")).collect();
            format!("{given} is not one of {}", options.join(", "))
        }
        Kind::Type { kind } => {
            format!("{given} is {}; {} is wanted", type_of(error.instance()), wanted(kind))
        }
        _ => error.masked().to_string(),
    };
    out.push(Misfit { pointer, message, help });
}

/// The alternative the operator most likely meant: not "nothing", the right tag, fewest misfits.
fn best_branch<'b>(
    context: &'b [Vec<ValidationError<'static>>],
    here: &str,
) -> Option<&'b Vec<ValidationError<'static>>> {
    let cost = |branch: &Vec<ValidationError<'static>>| {
        branch.iter().fold(0, |sum, e| {
            sum + match e.kind() {
                // The value is of another type altogether: another alternative was meant, if there is one.
                ValidationErrorKind::Type { .. } if e.instance_path().as_str() == here => 1000,
                // Another variant's tag.
                ValidationErrorKind::Constant { .. } => 100,
                ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => 2,
                _ => 1,
            }
        })
    };
    let is_null_only = |branch: &Vec<ValidationError<'static>>| {
        branch.iter().any(|e| {
            matches!(e.kind(), ValidationErrorKind::Type { kind: TypeKind::Single(t) } if t.as_str() == "null")
        })
    };
    context.iter().filter(|branch| !branch.is_empty() && !is_null_only(branch)).min_by_key(|b| cost(b))
}

/// A value as it may be quoted: texts and numbers, cut; tables and lists only by their type.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > 60 => {
            format!("\"{}…\"", text.chars().take(60).collect::<String>())
        }
        Value::Object(_) => "the table".to_owned(),
        Value::Array(_) => "the list".to_owned(),
        scalar => scalar.to_string(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(n) if n.is_f64() => "a number with a fraction",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn word(name: &str) -> &'static str {
    match name {
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        "object" => "a table",
        _ => "nothing",
    }
}

fn wanted(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => word(one.as_str()).to_owned(),
        TypeKind::Multiple(set) => {
            set.iter().map(|t| word(t.as_str())).filter(|w| *w != "nothing").collect::<Vec<_>>().join(" or ")
        }
    }
}
