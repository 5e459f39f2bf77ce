//! Results as text for people. Never computes a figure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use jiff::tz::TimeZone;
use zyklus_engine::change::{Fate, Shift};
use zyklus_engine::condition::Explained;
use zyklus_engine::why::{NextKind, Outside};
use zyklus_model::{At, CustomerId, Delivery, Holdout, RunState};
use zyklus_runtime::journeys::Arm;
use zyklus_runtime::{Plan, Report};

use crate::report::key_figures;
use crate::told::{AHEAD_DAYS, Told};

/// So many lines of reasons are shown for one rule; `--json` has all of them.
const MOST_REASONS: usize = 12;

pub(crate) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(head.to_vec());
    table
}

/// So many of something, whose plural ends in s.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// An instant where the shop is, to the second.
pub(crate) fn when(at: At, zone: &TimeZone) -> String {
    at.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The same with the zone's name, for headings.
pub(crate) fn as_of(at: At, zone: &TimeZone) -> String {
    format!("{} {}", when(at, zone), zone.iana_name().unwrap_or("UTC"))
}

/// A delivery on a line.
pub(crate) fn delivery(d: &Delivery, zone: &TimeZone) -> String {
    let reason = d.reason.map_or(String::new(), |r| format!(" ({r})"));
    let due_at = when(d.due_at, zone);
    format!("{}  {due_at}  {}  {}/{}  {}{reason}\n", d.id, d.state, d.journey, d.target, d.customer)
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |s| format!("{:.1} %", s * 100.0))
}

/// The phases of a report.
pub(crate) fn phases(report: &Report) -> String {
    let mut phases = table(&["phase", "", "customers", "share", "revenue"]);
    for row in &report.phases {
        phases.add_row(vec![
            row.phase.clone(),
            row.label.clone(),
            row.customers.to_string(),
            percent(Some(row.share)),
            row.revenue.clone(),
        ]);
    }
    phases.to_string()
}

/// How often there is what.
pub(crate) fn counts(head: &[&str], rows: &BTreeMap<(&str, &str), u64>) -> String {
    let mut counts = table(head);
    for ((first, second), count) in rows {
        counts.add_row(vec![(*first).to_owned(), (*second).to_owned(), count.to_string()]);
    }
    counts.to_string()
}

/// A report's tables.
pub(crate) fn report(report: &Report, zone: &TimeZone) -> String {
    let mut text = format!(
        "As of {} · lifecycle {}\n{}, {} of them bought · {} · {} {} after refunds\n\
         repeat rate {} · churn in 90 days {}\n",
        as_of(report.at, zone),
        report.lifecycle,
        counted(report.customers, "customer"),
        report.buyers,
        counted(report.orders, "order"),
        report.revenue,
        report.currency,
        percent(report.repeat_rate),
        percent(report.churn_90d)
    );
    for (currency, count) in &report.unrated {
        let _ = writeln!(
            text,
            "without a rate for {currency}, and in no sum: {}; add {currency} to [rates]",
            counted(*count, "order")
        );
    }
    let phases = phases(report);
    let mut moves = table(&["from", "to", "last 30 days", "ever", "of all who left"]);
    for row in &report.moves {
        moves.add_row(vec![
            row.from.clone().unwrap_or_else(|| "(new)".into()),
            row.to.clone(),
            row.last_30d.to_string(),
            row.ever.to_string(),
            percent(Some(row.conversion)),
        ]);
    }
    let mut cohorts = table(&["first order", "customers", "+1", "+2", "+3", "+6", "+12"]);
    for row in &report.cohorts {
        let at = |month: usize| {
            let active = row.active.get(month).copied();
            active.map_or(String::new(), |a| format!("{:.0} %", a as f64 * 100.0 / row.customers as f64))
        };
        cohorts.add_row(vec![
            row.month.clone(),
            row.customers.to_string(),
            at(1),
            at(2),
            at(3),
            at(6),
            at(12),
        ]);
    }
    let journeys = journeys(report);
    let _ = write!(
        text,
        "\n{phases}\n{journeys}\n{}\nMoves\n{moves}\n\nCohorts: share that ordered again so many months later\n{cohorts}\n",
        key_figures(report)
    );
    text
}

/// What journeys came to, if any has run.
fn journeys(report: &Report) -> String {
    let mut journeys =
        table(&["journey", "started", "live", "ended", "goal", "held out", "lift", "after clicks"]);
    let mut is_empty = true;
    for row in report.journeys.iter().filter(|row| row.started > 0 || row.orders > 0) {
        is_empty = false;
        let points = |share: f64| format!("{:+.1}", share * 100.0);
        let lift = row.lift.map_or("–".to_owned(), |l| {
            format!("{} points ({} to {})", points(l.difference), points(l.low), points(l.high))
        });
        journeys.add_row(vec![
            row.journey.clone(),
            row.started.to_string(),
            row.live.to_string(),
            ended(&row.ended),
            arm(row.treated),
            arm(row.held),
            lift,
            format!("{}, {} {}", counted(row.orders, "order"), row.revenue, report.currency),
        ]);
    }
    let live = if is_empty {
        String::new()
    } else {
        format!(
            "\nJourneys: customers who reached the goal, treated and held out; orders within five days of a click\n{journeys}\n"
        )
    };
    live + &in_shadow(report)
}

/// Who reached the goal; nothing without one.
fn arm(arm: Arm) -> String {
    match arm.reached {
        Some(reached) if arm.customers > 0 => format!("{reached} of {}", arm.customers),
        _ => "–".to_owned(),
    }
}

/// What journeys would have done in shadow mode, if any ran in it.
fn in_shadow(report: &Report) -> String {
    let mut journeys =
        table(&["journey", "started", "live", "ended", "goal", "would-be messages", "would-be actions"]);
    let mut is_empty = true;
    for row in &report.journeys {
        let Some(shadow) = &row.shadow else { continue };
        is_empty = false;
        journeys.add_row(vec![
            format!("{} (shadow)", row.journey),
            shadow.started.to_string(),
            shadow.live.to_string(),
            ended(&shadow.ended),
            arm(shadow.customers),
            shadow.messages.to_string(),
            shadow.actions.to_string(),
        ]);
    }
    if is_empty {
        return String::new();
    }
    format!(
        "\nIn the shadow: what only was recorded; customers who reached the goal without it\n{journeys}\n"
    )
}

fn ended(ends: &BTreeMap<String, u64>) -> String {
    ends.iter().map(|(end, count)| format!("{end} {count}")).collect::<Vec<_>>().join(", ")
}

/// A plan's tables.
pub(crate) fn plan(plan: &Plan, addresses: &BTreeMap<CustomerId, String>, zone: &TimeZone) -> String {
    let mut text = format!(
        "As of {}: {}, {} to be evaluated\n{} due within 24 hours, {} within 7 days\n",
        as_of(plan.at, zone),
        counted(plan.customers, "customer"),
        plan.due,
        counted(plan.due_24h, "message"),
        plan.due_7d
    );
    if let Some(from) = plan.played_from {
        let _ = writeln!(text, "played forward from {}, as if nothing else happened", when(from, zone));
    }
    let named = |id: &CustomerId| match addresses.get(id) {
        Some(address) => format!("{id} {address}"),
        None => id.to_string(),
    };
    let samples = |ids: &[CustomerId]| ids.iter().map(named).collect::<Vec<_>>().join("\n");
    if !plan.moves.is_empty() {
        let mut moves = table(&["from", "to", "customers", "for example"]);
        for row in &plan.moves {
            let from = row.from.clone().unwrap_or_else(|| "(new)".into());
            moves.add_row(vec![from, row.to.clone(), row.customers.to_string(), samples(&row.samples)]);
        }
        let _ = write!(text, "\nPhases\n{moves}\n");
    }
    if !plan.starts.is_empty() {
        let mut starts = table(&["journey", "customers who start", "for example"]);
        for row in &plan.starts {
            starts.add_row(vec![row.journey.clone(), row.customers.to_string(), samples(&row.samples)]);
        }
        let _ = write!(text, "\nJourneys\n{starts}\n");
    }
    if !plan.new_journeys.is_empty() {
        text.push('\n');
    }
    for new in &plan.new_journeys {
        let _ = writeln!(text, "{}: new, {}; begins with {}", new.journey, new.mode, new.begins_with);
    }
    if !plan.messages.is_empty() {
        let is_played = plan.played_from.is_some();
        let columns = ["journey", "sends", "until then", "24 h", "7 d", "for example"];
        let head = columns.into_iter().filter(|column| is_played || *column != "until then");
        let mut messages = table(&head.collect::<Vec<_>>());
        for row in &plan.messages {
            let mut cells = vec![row.journey.clone(), row.target.clone()];
            cells.extend(is_played.then(|| row.count_before.to_string()));
            cells.extend([row.count_24h.to_string(), row.count_7d.to_string(), samples(&row.samples)]);
            messages.add_row(cells);
        }
        let _ = write!(text, "\nMessages\n{messages}\n");
    }
    under_way(&mut text, plan);
    for (journey, count) in &plan.inside_without_run {
        let _ = writeln!(
            text,
            "{count} customers are where `{journey}` starts and did not start it: they came there before it went live"
        );
    }
    for row in &plan.backfills {
        let _ = writeln!(
            text,
            "{} customers are let into `{}` from before it went live: {} a day for {} days, at most {} messages each; first {}",
            row.customers,
            row.journey,
            row.per_day,
            row.days,
            row.messages_at_most,
            samples(&row.samples)
        );
    }
    for loss in &plan.outranked {
        let _ = writeln!(text, "{} messages of `{}` give way to `{}`", loss.count, loss.journey, loss.to);
    }
    for redraw in &plan.redrawn {
        let _ = writeln!(
            text,
            "the holdout of `{}` was drawn on {} and is drawn anew by its `epoch`: give a comparison 90 days",
            redraw.journey, redraw.drawn_at
        );
    }
    if let Some(redraw) = &plan.redrawn_globally {
        let _ = writeln!(
            text,
            "the holdout of all marketing is drawn anew by its `epoch`: {} customers who were held out get marketing, {} \
             others get none any more; give a comparison 90 days",
            redraw.released, redraw.held
        );
    }
    for (guard, count) in &plan.refused {
        let _ = writeln!(text, "{count} messages are kept back by: {guard}");
    }
    text
}

/// What becomes of runs going on.
fn under_way(text: &mut String, plan: &Plan) {
    if plan.changes.is_empty() {
        return;
    }
    let mut changes = table(&["journey", "at step", "runs", "what becomes of them", "for example"]);
    for row in &plan.changes {
        let samples: Vec<String> = row.samples.iter().map(|s| s.customer.to_string()).collect();
        changes.add_row(vec![
            row.journey.clone(),
            row.step.clone().unwrap_or_else(|| "(end)".into()),
            row.runs.to_string(),
            fate(&row.fate),
            samples.join(" "),
        ]);
    }
    let _ = write!(text, "\nRuns under way\n{changes}\n");
    let _ = writeln!(text, "{} runs go on unchanged", plan.runs_unchanged);
}

fn fate(fate: &Fate) -> String {
    let when = |due: Shift| match due {
        Shift::Same => "",
        Shift::Earlier => ", due earlier",
        Shift::Later => ", due later",
        Shift::Now => ", at once",
    };
    match fate {
        Fate::Unchanged => "nothing".into(),
        Fate::Paused => "paused where they are".into(),
        Fate::Finishes => "finish on the old definition".into(),
        Fate::GoesOn { due } => format!("go on{}", when(*due)),
        Fate::Moves { to, due } => format!("moved to {to}{}", when(*due)),
        Fate::Ends { end, reason } => {
            format!("end: {}", reason.clone().unwrap_or_else(|| end.as_str().replace('_', " ")))
        }
    }
}

/// Why a customer stands where they stand.
pub(crate) fn why(told: &Told, zone: &TimeZone) -> String {
    let why = &told.why;
    let when = |at: At| when(at, zone);
    let reasons = |explained: &Explained| indented(&explained.shown(&when, MOST_REASONS));
    let mut text = format!("{} as of {} · lifecycle {}\n", why.customer, as_of(why.at, zone), why.lifecycle);
    match &why.phase {
        None => text.push_str("nothing is known that puts this customer into a phase\n"),
        Some(phase) => {
            let _ = write!(text, "\nphase {} since {}", phase.phase, when(phase.since));
            if let Some(previous) = &phase.previous {
                let _ = write!(text, ", before that {previous}");
            }
            if let Some(until) = phase.held_until {
                let _ = write!(text, ", held there until {}", when(until));
            }
            let _ = writeln!(text, "\n  because\n{}", reasons(&phase.rule.explained));
            for rule in &phase.lost {
                let _ = writeln!(text, "  not {}\n{}", rule.phase, reasons(&rule.explained));
            }
        }
    }
    for run in &why.inside {
        let rival = run.waits_for.as_deref().unwrap_or("another");
        let state = match run.state {
            RunState::Queued => format!("waiting to begin when the run of {rival} has ended"),
            RunState::Waiting => format!("standing still until {rival} of the same group has ended"),
            RunState::Live | RunState::Ended => {
                format!("at step {}", run.step.as_deref().unwrap_or("(end)"))
            }
        };
        let held = match run.held {
            Some(Holdout::Global) => ", held out of all marketing",
            Some(Holdout::Journey) => ", held out, only recording",
            None if run.is_ghost => ", only recording",
            None => "",
        };
        let _ = writeln!(text, "in journey {} since {}, {state}{held}", run.journey, when(run.since));
        run.ways.iter().for_each(|way| text.push_str(&crate::experiments::way(way, zone)));
    }
    for start in &why.turned_away {
        let because = match &start.because {
            Outside::QueueFull { waiting_since } => {
                format!("one has been waiting since {}", when(*waiting_since))
            }
            _ => "a run goes on".to_owned(),
        };
        let _ = writeln!(
            text,
            "what happened on {} started no second run of {}: {because}",
            when(start.happened_at),
            start.journey
        );
    }
    for waiting in &why.waiting {
        if let Some(winner) = &waiting.outranked_by {
            let _ = writeln!(
                text,
                "{} of {} gives way to {} of {}",
                waiting.target, waiting.journey, winner.target, winner.journey
            );
        }
    }
    for journey in &why.outside {
        let because = match &journey.because {
            Outside::Off => "it is switched off".to_owned(),
            Outside::NotActive => "the daemon has not started it yet".to_owned(),
            Outside::NotStarted { start } => format!("waiting for {start}"),
            Outside::BeforeActive { happened_at, active_from } => {
                format!(
                    "what starts it happened on {}, before it went live on {}",
                    when(*happened_at),
                    when(*active_from)
                )
            }
            Outside::TooLate { happened_at } => {
                format!("what happened on {} arrived too late", when(*happened_at))
            }
            Outside::Reentry { again_at: Some(at) } => {
                format!("has been in it, may enter again from {}", when(*at))
            }
            Outside::Reentry { again_at: None } => "has been in it, and enters once only".to_owned(),
            Outside::Running => "a run was going on".to_owned(),
            Outside::QueueFull { waiting_since } => {
                format!("one had been waiting since {}", when(*waiting_since))
            }
            Outside::GroupTaken { journey } => format!("`{journey}` of the same group goes on"),
            Outside::DoesNotFit { happened_at, explained } => {
                format!("what happened on {} does not fit\n{}", when(*happened_at), reasons(explained))
            }
            Outside::DoesNotQualify { explained } => {
                format!("does not qualify\n{}", reasons(explained))
            }
        };
        let guard =
            journey.guard.map_or(String::new(), |g| format!(" (and a message would be refused: {g})"));
        let _ = writeln!(text, "not in journey {}: {because}{guard}", journey.journey);
        if let (Some((ended_at, end)), Some(since)) = (journey.last_run, journey.last_run_since) {
            let recorded = if journey.last_run_recorded { ", only recording" } else { "" };
            let acted = journey.last_run_acted.iter();
            let acted: Vec<String> =
                acted.map(|(step, outcome)| acted_so(step, outcome, journey.last_run_is_ghost)).collect();
            let acted = if acted.is_empty() { "no step done".to_owned() } else { acted.join(", ") };
            let _ = writeln!(
                text,
                "    its last run went from {} to {} ({end}){recorded}: {acted}",
                when(since),
                when(ended_at),
            );
        }
    }
    for next in &why.next {
        let what = match &next.what {
            NextKind::Delivery { journey, target } => format!("{target} of {journey} goes out"),
            NextKind::Step { journey, step } => format!("{journey} goes on at {step}"),
            NextKind::Evaluation => "the engine looks again".to_owned(),
        };
        let _ = writeln!(text, "next {}: {what}", when(next.at));
    }
    let _ = match &told.next_message {
        Some(next) => writeln!(
            text,
            "next message if nothing else happens: {} of {} on {}",
            next.target,
            next.journey,
            when(next.at)
        ),
        None => writeln!(text, "no message within {AHEAD_DAYS} days if nothing else happens"),
    };
    text
}

/// A step of a run and how it ended. A run that only records puts no labels on.
fn acted_so(step: &str, outcome: &str, is_ghost: bool) -> String {
    match outcome {
        "tagged" | "untagged" if is_ghost => format!("{step} would be {outcome}"),
        _ => format!("{step} {outcome}"),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// What a restored store was told, and what that means for its daemon.
pub(crate) fn restored(restored: &zyklus_store::Restored) -> String {
    let mut text =
        "Restored. What was there before stands beside it, ending in .before-restore.\n".to_owned();
    if restored.is_merged {
        text += &format!(
            "Taken over from it: {} deliveries that are over or may have gone, {} suppressions, {} consents.\n",
            restored.deliveries, restored.suppressions, restored.consents
        );
    } else {
        text += &format!(
            "It could not be asked what it sent since the backup. {} deliveries whose time had come are `unknown` now \
             and stay where they are; `zyklus delivery retry --state unknown` sends them. Steps of journeys that were \
             reached since the backup may be taken again: look at `zyklus plan` before `zyklus run`.\n",
            restored.held
        );
    }
    text + "What the shops tell until every stream has caught up counts as history, and starts no journey.\n"
}

#[cfg(test)]
mod tests {
    use zyklus_model::{DeliveryId, DeliveryKind, DeliveryState, Purpose};

    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!((counted(1, "order"), counted(0, "order")), ("1 order".to_owned(), "0 orders".to_owned()));
    }

    #[test]
    fn a_run_in_the_shadow_puts_on_no_labels() {
        assert_eq!(acted_so("tag:vip", "tagged", true), "tag:vip would be tagged");
        assert_eq!(acted_so("tag:vip", "tagged", false), "tag:vip tagged");
        assert_eq!(acted_so("send:mail", "shadow", true), "send:mail shadow");
    }

    #[test]
    fn a_delivery_is_due_on_the_shops_clock() {
        let at: At = "2026-07-01T08:00:00Z".parse().unwrap();
        let delivery = Delivery {
            id: DeliveryId::derive(&[b"d"]),
            customer: CustomerId::derive(&[b"c"]),
            run: None,
            journey: "j".into(),
            step: "s".into(),
            kind: DeliveryKind::Message,
            channel: None,
            connector: None,
            target: "t".into(),
            purpose: Purpose::Marketing,
            capped: true,
            state: DeliveryState::Pending,
            reason: None,
            outranked_by: None,
            created_at: at,
            due_at: at,
            expires_at: at,
            done_at: None,
            attempt_count: 0,
            payload: serde_json::Value::Null,
        };
        let line = super::delivery(&delivery, &TimeZone::get("Europe/Berlin").unwrap());
        assert!(line.contains("  2026-07-01 10:00:00  pending  j/t  "), "{line}");
    }
}
