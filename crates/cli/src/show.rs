//! Results as text for people. Never computes a figure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use jiff::tz::TimeZone;
use zyklus_engine::Why;
use zyklus_engine::why::{NextKind, Outside};
use zyklus_model::{At, CustomerId};
use zyklus_runtime::{Plan, Report};

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(head.to_vec());
    table
}

/// An instant where the shop is, to the second.
fn when(at: At, zone: &TimeZone) -> String {
    at.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The same with the zone's name, for headings.
fn as_of(at: At, zone: &TimeZone) -> String {
    format!("{} {}", when(at, zone), zone.iana_name().unwrap_or("UTC"))
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
        "As of {} · lifecycle {}\n{} customers, {} of them bought · {} orders · {} {} after refunds\n\
         repeat rate {} · churn in 90 days {}\n",
        as_of(report.at, zone),
        report.lifecycle,
        report.customers,
        report.buyers,
        report.orders,
        report.revenue,
        report.currency,
        percent(report.repeat_rate),
        percent(report.churn_90d)
    );
    for (currency, count) in &report.unrated {
        let _ = writeln!(text, "{count} orders in {currency} are in no sum: add {currency} to [rates]");
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
    let _ = write!(
        text,
        "\n{phases}\n\nMoves\n{moves}\n\nCohorts: share that ordered again so many months later\n{cohorts}\n"
    );
    text
}

/// A plan's tables.
pub(crate) fn plan(plan: &Plan, addresses: &BTreeMap<CustomerId, String>, zone: &TimeZone) -> String {
    let mut text = format!(
        "As of {}: {} customers, {} to be evaluated\n{} messages due within 24 hours, {} within 7 days\n",
        as_of(plan.at, zone),
        plan.customers,
        plan.due,
        plan.due_24h,
        plan.due_7d
    );
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
    if !plan.messages.is_empty() {
        let mut messages = table(&["journey", "sends", "24 h", "7 d", "for example"]);
        for row in &plan.messages {
            messages.add_row(vec![
                row.journey.clone(),
                row.target.clone(),
                row.count_24h.to_string(),
                row.count_7d.to_string(),
                samples(&row.samples),
            ]);
        }
        let _ = write!(text, "\nMessages\n{messages}\n");
    }
    for (journey, count) in &plan.inside_without_run {
        let _ = writeln!(
            text,
            "{count} customers stand in the phase that starts `{journey}` and did not start it: they came there before it went live"
        );
    }
    for (guard, count) in &plan.refused {
        let _ = writeln!(text, "{count} messages are kept back by: {guard}");
    }
    text
}

/// Why a customer stands where they stand.
pub(crate) fn why(why: &Why, zone: &TimeZone) -> String {
    let when = |at: At| when(at, zone);
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
            let _ = writeln!(text, "\n  because\n{}", indented(&phase.rule.explained.to_string()));
            for rule in &phase.lost {
                let _ = writeln!(text, "  not {}\n{}", rule.phase, indented(&rule.explained.to_string()));
            }
        }
    }
    for run in &why.inside {
        let _ = writeln!(
            text,
            "in journey {} since {}, at step {}{}",
            run.journey,
            when(run.since),
            run.step.as_deref().unwrap_or("(end)"),
            if run.is_ghost { ", only recording" } else { "" }
        );
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
            Outside::GroupTaken { journey } => format!("`{journey}` of the same group goes on"),
            Outside::DoesNotQualify { explained } => {
                format!("does not qualify\n{}", indented(&explained.to_string()))
            }
        };
        let guard =
            journey.guard.map_or(String::new(), |g| format!(" (and a message would be refused: {g})"));
        let _ = writeln!(text, "not in journey {}: {because}{guard}", journey.journey);
    }
    for next in &why.next {
        let what = match &next.what {
            NextKind::Delivery { journey, target } => format!("{target} of {journey} goes out"),
            NextKind::Step { journey, step } => format!("{journey} goes on at {step}"),
            NextKind::Evaluation => "the engine looks again".to_owned(),
        };
        let _ = writeln!(text, "next {}: {what}", when(next.at));
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
