//! What can be read and would do nothing, the wrong thing or something nobody meant: warnings, and a few mistakes.
//!
//! The readers say what cannot be understood. This looks once more at files that can be: steps that are never reached,
//! times that do not exist, windows of no length, names nearly like known ones, questions that only happy customers
//! get. It reads the text itself, so that every word has its place, and it decides nothing.

mod across;
mod events;
mod journey;
mod local_time;
mod steps;

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeValue;

use crate::problem::Problem;
use crate::source::Source;
use crate::wait::{Length, Unit};

pub use across::across;

type Value<'a> = Spanned<DeValue<'a>>;

/// What is doubtful about a playbook file. `zone` is the shop's. A file that cannot be read is not looked at.
pub fn playbook(file: &str, text: &str, zone: &TimeZone) -> Vec<Problem> {
    let mut source = Source::new(file, text);
    let Some(document) = source.parse() else { return Vec::new() };
    let root = document.get_ref();
    let segments = root.get("segments").and_then(|v| v.get_ref().as_table());
    if let Some(defaults) = root.get("defaults") {
        journey::keys(&mut source, "defaults", defaults);
    }
    let journeys = root.get("journeys").and_then(|v| v.get_ref().as_table());
    for (id, journey) in journeys.into_iter().flat_map(|table| table.iter()) {
        let path = format!("journeys.{}", id.get_ref());
        journey::keys(&mut source, &path, journey);
        journey::judge(&mut source, &path, journey, segments, zone);
        events::judge(&mut source, journey);
    }
    source.problems.sort_by_key(|problem| problem.span.start);
    source.problems
}

/// A key of a table.
fn get<'d, 'a>(value: &'d Value<'a>, key: &str) -> Option<&'d Value<'a>> {
    value.get_ref().as_table()?.get(key)
}

/// A key of a table, as text.
fn text<'d>(value: &'d Value<'_>, key: &str) -> Option<&'d str> {
    get(value, key)?.get_ref().as_str()
}

/// The items of an array; none of anything else.
fn items<'d, 'a>(value: Option<&'d Value<'a>>) -> Vec<&'d Value<'a>> {
    value.and_then(|v| v.get_ref().as_array()).into_iter().flat_map(|items| items.iter()).collect()
}

/// A key of a table, as a length of time.
fn length(value: &Value<'_>, key: &str) -> Option<Length> {
    text(value, key)?.parse().ok()
}

/// Two minutes are hardly meant where months are usual: `2m` is what people write who mean `2mo`.
fn looks_like_months(length: Length) -> bool {
    length.unit == Unit::Minutes && (1..=12).contains(&length.count)
}

fn minutes_not_months(source: &mut Source<'_>, value: &Value<'_>, length: Length) {
    let count = length.count;
    let plural = if count == 1 { "" } else { "s" };
    source.warn(
        value.span(),
        format!("\"{count}m\" is {count} minute{plural}"),
        format!("for months write \"{count}mo\"; if minutes are meant, write \"{}s\"", count * 60),
    );
}
