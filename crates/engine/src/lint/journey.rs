//! A journey's own keys: windows of no length, values without effect, a goal that is over too early.

use jiff::tz::TimeZone;
use toml::de::DeTable;

use super::across::nothing_brings;
use super::{Value, get, items, length, local_time, looks_like_months, minutes_not_months, steps, text};
use crate::source::Source;

/// What each key says by itself, in a journey or in `[defaults]`.
pub(super) fn keys(source: &mut Source<'_>, path: &str, journey: &Value<'_>) {
    if let Some(goal) = get(journey, "goal")
        && let (Some(within), Some(value)) = (length(goal, "within"), get(goal, "within"))
    {
        if within.count == 0 {
            let help = "say how long an order still counts, for example within = \"14d\"";
            source.problem_help(value.span(), format!("`{path}.goal.within` is no time at all"), help);
        } else if looks_like_months(within) {
            minutes_not_months(source, value, within);
        }
    }
    if let (Some(late), Some(value)) = (length(journey, "late"), get(journey, "late"))
        && late.count == 0
    {
        let help = "we hear of everything a little later than it happens; write \"1h\" for quick things";
        source.problem_help(
            value.span(),
            format!("`{path}.late` is no time at all: nothing would start it"),
            help,
        );
    }
    if let Some(value) = get(journey, "reenter")
        && let Some(after) = text(journey, "reenter").and_then(|t| t.strip_prefix("after ")?.parse().ok())
        && looks_like_months(after)
    {
        minutes_not_months(source, value, after);
    }
    if let (Some(epoch), None) = (get(journey, "epoch"), get(journey, "holdout"))
        && path != "defaults"
    {
        let help = "it draws the holdout anew: write `holdout`, or take it out";
        source.warn(epoch.span(), format!("`{path}.epoch` has no effect without a `holdout`"), help);
    }
}

/// What the keys of a journey say together.
pub(super) fn judge(
    source: &mut Source<'_>,
    path: &str,
    journey: &Value<'_>,
    segments: Option<&DeTable<'_>>,
    zone: &TimeZone,
) {
    if let Some(start) = get(journey, "start") {
        for key in ["schedule", "at"] {
            let clock = text(start, key).and_then(|text| text.split_whitespace().last());
            if let (Some(value), Some(clock)) = (get(start, key), clock) {
                local_time::judge(source, value, clock, zone);
            }
        }
    }
    if let Some(start) = get(journey, "start")
        && let (Some(name), Some(value)) = (text(start, "event"), get(start, "event"))
        && let Some((message, help, is_wrong)) = nothing_brings(name)
    {
        if is_wrong {
            source.problem_help(value.span(), message, help);
        } else {
            source.warn(value.span(), message, help);
        }
    }
    let all = items(get(journey, "steps"));
    if let Some(goal) = get(journey, "goal")
        && let (Some(within), Some(value)) = (length(goal, "within"), get(goal, "within"))
        && let Some(days) = steps::days_before_sending(&all)
        && within.count > 0
        && days >= within.rough_days()
    {
        let help = "write a longer `within`: it counts from the start of the run, not from the message";
        source.warn(
            value.span(),
            format!("the goal's window is over before the first message goes out, after {days:.0} days"),
            help,
        );
    }
    let gate = [
        get(journey, "start").and_then(|start| text(start, "where")),
        get(journey, "start").and_then(|start| text(start, "segment")).map(|named| {
            segments.and_then(|s| s.get(named)).and_then(|s| s.get_ref().as_str()).unwrap_or(named)
        }),
        text(journey, "when"),
        text(journey, "exit"),
    ];
    let is_gated = gate.into_iter().flatten().any(steps::reads_score);
    steps::judge(source, path, &all, is_gated, zone);
}
