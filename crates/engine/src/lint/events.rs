//! What conditions ask of an event: something the event does not have is never there, and the condition never holds. In
//! a `key` that is a mistake; elsewhere it is doubtful.

use super::{Value, get, items, text};
use crate::source::Source;
use zyklus_model::nearest;

const ORDER: &[&str] =
    &["name", "order_id", "number", "order_number", "total", "currency", "cart_id", "product_ids", "coupons"];
const CONSENT: &[&str] = &["name", "channel", "purpose", "basis"];

/// What the events have that every shop's facts bring.
const KNOWN: &[(&str, &[&str])] = &[
    ("cart.updated", &["name", "cart_id", "total", "currency", "product_ids"]),
    ("consent.granted", CONSENT),
    ("consent.requested", CONSENT),
    ("consent.withdrawn", CONSENT),
    ("customer.created", &["name", "has_account"]),
    ("feedback.received", &["name", "feedback_id", "kind", "score", "product"]),
    ("mail.clicked", &["name", "delivery_id", "journey", "step", "link"]),
    ("order.cancelled", ORDER),
    ("order.delivered", ORDER),
    ("order.paid", ORDER),
    ("order.placed", ORDER),
    ("order.refunded", ORDER),
    ("order.shipped", ORDER),
];

/// What a journey's conditions ask of the event that starts it. A goal's event is a later one of any name, and no
/// doubt is cast on it.
pub(super) fn judge(source: &mut Source<'_>, journey: &Value<'_>) {
    let Some(start) = get(journey, "start") else { return };
    let Some((name, known)) =
        text(start, "event").and_then(|name| KNOWN.iter().find(|(event, _)| *event == name))
    else {
        return;
    };
    let key = get(journey, "key");
    let mut conditions: Vec<&Value<'_>> = get(start, "where").into_iter().chain(key).collect();
    conditions.extend(["when", "exit"].into_iter().filter_map(|key| get(journey, key)));
    steps(&items(get(journey, "steps")), &mut conditions);
    for value in conditions {
        let Some(condition) = value.get_ref().as_str() else { continue };
        for (at, asked) in asked(condition) {
            if known.contains(&asked) {
                continue;
            }
            let span = source.inside(value.span(), condition, &(at..at + asked.len()));
            let help = match nearest(asked, known.iter().copied()) {
                Some(near) => format!("did you mean `event.{near}`?"),
                None => format!("it has {}", known.join(", ")),
            };
            let message = format!("the event \"{name}\" has no `{asked}`");
            // All runs would have the same key: the second of two orders would start nothing.
            if key.is_some_and(|key| std::ptr::eq(key, value)) {
                source.problem_help(span, message, help);
            } else {
                source.warn(span, message, help);
            }
        }
    }
}

/// The conditions in a list of steps and in the lists in it.
fn steps<'d, 'a>(all: &[&'d Value<'a>], conditions: &mut Vec<&'d Value<'a>>) {
    for step in all {
        conditions.extend(["if", "until"].into_iter().filter_map(|key| get(step, key)));
        for list in ["then", "else"] {
            steps(&items(get(step, list)), conditions);
        }
        for way in items(get(step, "ways")) {
            steps(&items(get(way, "steps")), conditions);
        }
    }
}

/// What a condition asks of `event`, each with its place.
fn asked(condition: &str) -> Vec<(usize, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let found = condition.match_indices("event.").filter_map(|(start, word)| {
        let before = condition[..start].chars().next_back();
        if before.is_some_and(|c| is_word(c) || matches!(c, '.' | '\'' | '"')) {
            return None;
        }
        let at = start + word.len();
        let rest = &condition[at..];
        let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        (!name.is_empty()).then_some((at, name))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::KNOWN;

    #[test]
    fn the_guide_lists_what_each_event_has() {
        let guide = include_str!("../../../../config/README.md");
        let (_, table) = guide.split_once("| event | `event.…` |").expect("the table");
        for (event, fields) in KNOWN {
            let (family, word) = event.split_once('.').expect("two words");
            let row = table.lines().find(|line| line.starts_with(&format!("| `{family}."))).expect(event);
            let (names, listed) = row[2..].split_once(" | ").expect("two cells");
            assert!(names.contains(&format!(".{word}`")), "{event}: {row}");
            for field in fields.iter().filter(|field| **field != "name") {
                assert!(listed.contains(&format!("`{field}`")), "{event} has `{field}`: {row}");
            }
        }
    }
}
