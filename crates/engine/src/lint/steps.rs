//! Steps: what is never reached, waits and expiries of no length, splits that split nothing, reviews asked for by score,
//! and questions about steps that cannot be answered.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{Value, get, items, length, local_time, looks_like_months, minutes_not_months, text};
use crate::source::Source;

/// What a list of steps says, and the lists in it. `is_gated`: only customers with certain scores come here.
pub(super) fn judge(
    source: &mut Source<'_>,
    path: &str,
    all: &[&Value<'_>],
    is_gated: bool,
    zone: &TimeZone,
) {
    let mut kinds = BTreeMap::new();
    collect(all, &mut kinds);
    list(source, all, is_gated, zone);
    questions(source, path, all, &kinds);
}

/// Fields that say how good a customer's word was.
const SCORES: [&str; 6] = [
    "feedback.nps",
    "feedback.rating",
    "feedback.sentiment",
    "feedback.topics",
    "feedback.contradicts",
    "event.score",
];

/// Whether a condition asks how good a customer's word was.
pub(super) fn reads_score(condition: &str) -> bool {
    let answers = condition.contains("answer(") && condition.contains(".score");
    answers || SCORES.iter().any(|field| condition.contains(field))
}

/// The least number of days before something is sent; none if nothing is.
pub(super) fn days_before_sending(all: &[&Value<'_>]) -> Option<f64> {
    let (first, rest) = all.split_first()?;
    if get(first, "send").is_some() {
        return Some(0.0);
    }
    if get(first, "wait").is_some() {
        let days = if get(first, "until").is_some() { 0.0 } else { length(first, "wait")?.rough_days() };
        return days_before_sending(rest).map(|more| more + days);
    }
    let inside = ways(first).into_iter().filter_map(|way| days_before_sending(&way));
    let after = if ends(first) { None } else { days_before_sending(rest) };
    inside.chain(after).min_by(f64::total_cmp)
}

fn list(source: &mut Source<'_>, all: &[&Value<'_>], is_gated: bool, zone: &TimeZone) {
    for pair in all.windows(2) {
        // Behind an `exit` of its own the reader has said so.
        if get(pair[0], "exit").is_none() && ends(pair[0]) {
            source.problem_help(
                pair[1].span(),
                "this step is never reached: every way before it ends the run",
                "take it out, or let one of the ways go on",
            );
        }
    }
    for step in all {
        one(source, step, is_gated, zone);
        let is_gated = is_gated || text(step, "if").is_some_and(reads_score);
        ways(step).iter().for_each(|way| list(source, way, is_gated, zone));
    }
}

fn one(source: &mut Source<'_>, step: &Value<'_>, is_gated: bool, zone: &TimeZone) {
    if let (Some(wait), Some(value)) = (length(step, "wait"), get(step, "wait"))
        && get(step, "ask").is_none()
    {
        if wait.count == 0 && get(step, "at").is_none() {
            let help = "take the step out, or say until when: at = \"10:00\"";
            source.warn(value.span(), format!("\"{wait}\" is no wait at all"), help);
        } else if looks_like_months(wait) && wait.count <= 3 {
            minutes_not_months(source, value, wait);
        }
    }
    for (key, what) in [("expires", "it would never be sent"), ("for", "it would come off at once")] {
        let (Some(given), Some(value)) = (length(step, key), get(step, key)) else { continue };
        if given.count == 0 {
            let help = format!("write how long, for example {key} = \"3d\", or take it out");
            source.problem_help(value.span(), format!("`{key}` is no time at all: {what}"), help);
        } else if key == "for" && looks_like_months(given) {
            minutes_not_months(source, value, given);
        }
    }
    if let (Some(at), Some(value)) = (text(step, "at"), get(step, "at")) {
        local_time::judge(source, value, at, zone);
    }
    if let (Some(template), Some(value), true) = (text(step, "send"), get(step, "send"), is_gated)
        && template.contains("review")
    {
        source.warn(
            value.span(),
            format!("\"{template}\" goes only to customers with certain scores"),
            "ask everybody for a review, happy or not: asking only the happy ones (review gating) misleads buyers, \
             and review platforms close accounts for it",
        );
    }
    if let Some(value) = get(step, "split") {
        let ways = items(get(step, "ways"));
        if ways.len() == 1 {
            let help = "add another, for example { name = \"nothing\", steps = [] }";
            source.warn(
                value.span(),
                "this split has one way only: there is nothing to compare it with",
                help,
            );
        }
        for (index, way) in ways.iter().enumerate() {
            let name = text(way, "name");
            if name.is_some() && ways[..index].iter().any(|other| text(other, "name") == name) {
                let place = get(way, "name").map_or(way.span(), |v| v.span());
                let message = format!("this split has two ways \"{}\"", name.unwrap_or_default());
                source.problem_help(place, message, "give one of them another name");
            }
        }
    }
}

/// The lists of steps in a step.
fn ways<'d, 'a>(step: &'d Value<'a>) -> Vec<Vec<&'d Value<'a>>> {
    let branches = ["then", "else"].into_iter().filter_map(|key| get(step, key)).map(|v| items(Some(v)));
    let split = items(get(step, "ways")).into_iter().map(|way| items(get(way, "steps")));
    branches.chain(split).collect()
}

/// Whether no run goes on behind a step.
fn ends(step: &Value<'_>) -> bool {
    if get(step, "exit").is_some() {
        return true;
    }
    let ways = ways(step);
    let is_whole = get(step, "split").is_some() || get(step, "else").is_some();
    is_whole && !ways.is_empty() && ways.iter().all(|way| way.iter().any(|step| ends(step)))
}

/// What a named step can be asked.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Sent,
    TimedOut,
    Nothing,
}

fn collect(all: &[&Value<'_>], kinds: &mut BTreeMap<String, Asked>) {
    for step in all {
        if let Some(id) = text(step, "id") {
            let kind = if get(step, "send").is_some() {
                Asked::Sent
            } else if get(step, "wait").is_some() && get(step, "until").is_some() {
                Asked::TimedOut
            } else {
                Asked::Nothing
            };
            kinds.insert(id.to_owned(), kind);
        }
        ways(step).iter().for_each(|way| collect(way, kinds));
    }
}

/// `sent('…')` of a step that sends nothing, `timed_out('…')` of one that waits for nothing.
fn questions(source: &mut Source<'_>, path: &str, all: &[&Value<'_>], kinds: &BTreeMap<String, Asked>) {
    for step in all {
        for key in ["if", "until"] {
            let (Some(condition), Some(value)) = (text(step, key), get(step, key)) else { continue };
            for (function, wanted, lacks) in [
                ("sent", Asked::Sent, "it sends nothing"),
                ("timed_out", Asked::TimedOut, "it is no `wait` with an `until`"),
            ] {
                for id in arguments(condition, function) {
                    if kinds.get(id).is_some_and(|kind| *kind != wanted) {
                        source.warn(
                            value.span(),
                            format!("`{function}('{id}')` is never true in `{path}`: {lacks}"),
                            "name the step that is meant with an `id` of its own",
                        );
                    }
                }
            }
        }
        ways(step).iter().for_each(|way| questions(source, path, way, kinds));
    }
}

/// The quoted arguments of a function's calls in a condition.
fn arguments<'c>(condition: &'c str, function: &str) -> Vec<&'c str> {
    let opening = format!("{function}(");
    let calls = condition.split(opening.as_str()).skip(1);
    let quoted = |rest: &'c str| {
        let mark = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        rest[1..].split(mark).next()
    };
    calls.filter_map(quoted).collect()
}
