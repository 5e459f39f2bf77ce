//! `zyklus backtest`: opens the store for reading, replays it, and prints what would have happened. Computes nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use jiff::tz::TimeZone;
use zyklus_runtime::backtest::{Backtest, COLUMNS, HEADS, Side, difference, page};
use zyklus_runtime::{Window, backtest};
use zyklus_store::OpenOptions;

use crate::Failure;
use crate::args::Now;
use crate::commands::{Done, load, open, print, print_json, write_file};
use crate::problems::rendered;
use crate::show::{table, when};

/// What to replay and how to print it.
#[derive(Debug, clap::Args)]
pub(crate) struct BacktestArgs {
    /// From this instant, or the beginning of this day in the shop's time zone.
    #[arg(long)]
    from: Now,
    /// To this instant, or the end of this day.
    #[arg(long)]
    to: Now,
    /// Compare with the playbooks of this folder.
    #[arg(long, value_name = "DIR")]
    playbook: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Also write it as one HTML file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) async fn run(config: &Path, args: BacktestArgs) -> Done {
    let project = load(config, false)?;
    let zone = &project.shop.zone;
    let window = Window { from: args.from.start(zone), to: args.to.at(zone) };
    if window.from >= window.to {
        eprintln!(
            "zyklus: the window ends ({}) before it begins ({})",
            when(window.to, zone),
            when(window.from, zone)
        );
        return Err(Failure::Configuration);
    }
    let mut books = vec![("playbooks".to_owned(), project.book.clone())];
    if let Some(folder) = &args.playbook {
        match project.book_with(folder) {
            Ok(book) => books.push((folder.display().to_string(), book)),
            Err(problems) => {
                problems.iter().for_each(|problem| eprintln!("{}", rendered(problem, Path::new("."))));
                return Err(Failure::Configuration);
            }
        }
    }
    let store = open(&project, OpenOptions::reading()).await?;
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let result = backtest(&store, books, window, &|customers| {
        bar.set_message(format!("{customers} customers replayed"));
        bar.tick();
    })
    .await?;
    bar.finish_and_clear();
    store.close().await;
    if let Some(file) = &args.html {
        write_file(file, page(&result).as_bytes())?;
    }
    if args.json { print_json(&result) } else { print(&text(&result, zone)) }
}

/// The figures of the sides, and the difference if there are two.
fn compared(name: &str, figures: &[u64]) -> Vec<String> {
    let mut cells = vec![name.to_owned()];
    cells.extend(figures.iter().map(u64::to_string));
    if let [first, second] = figures {
        cells.push(difference(*first, *second));
    }
    cells
}

/// A table with a column for each side.
fn sided(result: &Backtest, first: &str, names: &[String], figure: &dyn Fn(&Side, &str) -> u64) -> String {
    let mut head = vec![first];
    head.extend(result.sides.iter().map(|side| side.playbooks.as_str()));
    if result.sides.len() == 2 {
        head.push("difference");
    }
    let mut table = table(&head);
    for name in names {
        let figures: Vec<u64> = result.sides.iter().map(|side| figure(side, name)).collect();
        table.add_row(compared(name, &figures));
    }
    table.to_string()
}

fn text(result: &Backtest, zone: &TimeZone) -> String {
    let mut text = format!(
        "Replayed {} to {} · lifecycle {} · days in {}\nNothing was sent: this is what would have gone out.\n\n",
        when(result.from, zone),
        when(result.to, zone),
        result.lifecycle,
        result.time_zone
    );
    let names: Vec<String> = HEADS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let head = |side: &Side, name: &str| HEADS.iter().find(|(n, _)| *n == name).map_or(0, |(_, f)| f(side));
    let _ = write!(text, "{}\n\n", sided(result, "", &names, &head));
    let journeys: BTreeSet<&String> =
        result.sides.iter().flat_map(|s| &s.journeys).map(|j| &j.journey).collect();
    let journeys: Vec<String> = journeys.into_iter().cloned().collect();
    for (title, figure) in COLUMNS {
        let of = |side: &Side, name: &str| side.journeys.iter().find(|j| j.journey == name).map_or(0, figure);
        let _ = write!(text, "Journeys: {title}\n{}\n\n", sided(result, "journey", &journeys, &of));
    }
    let guards: BTreeSet<&String> = result.sides.iter().flat_map(|s| s.guards.keys()).collect();
    let guards: Vec<String> = guards.into_iter().cloned().collect();
    let refused = |side: &Side, name: &str| side.guards.get(name).map_or(0, |g| g.refused);
    let delayed = |side: &Side, name: &str| side.guards.get(name).map_or(0, |g| g.delayed);
    let _ = write!(text, "Refused by guards\n{}\n\n", sided(result, "guard", &guards, &refused));
    let _ = write!(text, "Delayed by guards\n{}\n\n", sided(result, "guard", &guards, &delayed));
    let shares: BTreeSet<u64> =
        result.sides.iter().flat_map(|s| &s.per_customer).map(|s| s.messages).collect();
    let shares: Vec<String> = shares.into_iter().map(|n| n.to_string()).collect();
    let of = |side: &Side, name: &str| {
        let share = side.per_customer.iter().find(|s| s.messages.to_string() == name);
        share.map_or(0, |share| share.customers)
    };
    let _ =
        write!(text, "Customers who got so many messages\n{}\n\n", sided(result, "messages", &shares, &of));
    for side in &result.sides {
        let mut head = vec!["at"];
        head.extend(result.phases.iter().map(String::as_str));
        let mut phases = table(&head);
        for standing in &side.over_time {
            let at = when(standing.at, zone).chars().take(16).collect::<String>();
            let count = |phase: &String| standing.phases.get(phase).copied().unwrap_or(0).to_string();
            phases.add_row(std::iter::once(at).chain(result.phases.iter().map(count)).collect::<Vec<_>>());
        }
        let of = if result.sides.len() > 1 { format!(", {}", side.playbooks) } else { String::new() };
        let _ = write!(text, "Phases by {}{of}\n{phases}\n\n", result.period);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_told_on_the_shops_clock() {
        let result = Backtest {
            from: "2026-06-30T22:00:00Z".parse().unwrap(),
            to: "2026-07-31T22:00:00Z".parse().unwrap(),
            lifecycle: "l".into(),
            time_zone: "Europe/Berlin".into(),
            period: "week".into(),
            phases: Vec::new(),
            sides: Vec::new(),
        };
        let told = text(&result, &TimeZone::get("Europe/Berlin").unwrap());
        assert!(told.starts_with("Replayed 2026-07-01 00:00:00 to 2026-08-01 00:00:00 · "), "{told}");
    }
}
