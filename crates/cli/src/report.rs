//! `zyklus report`: shows figures as tables, as JSON or as a page. Never computes one.

use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_table::Table;
use zyklus_model::{Currency, Money};
use zyklus_runtime::kpis::{Kpis, Measure};
use zyklus_runtime::page::page;
use zyklus_runtime::{Project, Report, book_for_reading, report};
use zyklus_store::OpenOptions;

use crate::args::Now;
use crate::commands::{Done, clock, load, open, print, print_json};
use crate::show;
use crate::show::table;

/// So many weak links are named.
const LINKS: usize = 3;

/// How figures are to be shown.
pub(crate) enum Form {
    /// As tables.
    Text,
    /// As JSON.
    Json,
    /// As a page in a file.
    Html(PathBuf),
}

impl Form {
    pub(crate) fn of(json: bool, html: Option<PathBuf>) -> Self {
        match html {
            Some(file) => Form::Html(file),
            None if json => Form::Json,
            None => Form::Text,
        }
    }
}

/// The figures now, or with the clock at another instant.
pub(crate) async fn figures(config: &Path, now: Option<Now>, form: Form) -> Done {
    let project = load(config, false)?;
    let store = open(&project, OpenOptions::reading()).await?;
    let book = book_for_reading(&store, &project).await?;
    let figures = report(&store, &project, &book, clock(now, &project).now()).await?;
    store.close().await;
    shown(&figures, &project, &form)
}

/// Shows figures.
pub(crate) fn shown(figures: &Report, project: &Project, form: &Form) -> Done {
    match form {
        Form::Text => print(&show::report(figures, &project.shop.zone)),
        Form::Json => print_json(figures),
        Form::Html(file) => in_file(file, &page(figures, &project.shop)),
    }
}

/// Writes a page to where it was asked for.
pub(crate) fn in_file(file: &Path, page: &str) -> Done {
    std::fs::write(file, page)
        .with_context(|| format!("the page cannot be written to {}", file.display()))?;
    print(&format!("The page is in {}; open it with any browser.\n", file.display()))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Adds a row: value, interval and cases, or why there is none.
fn add(table: &mut Table, name: String, measure: Measure, say: &dyn Fn(f64) -> String) {
    match measure.get() {
        Ok(found) => {
            let few = if found.is_weak() { " (few)" } else { "" };
            let interval = format!("{} to {}", say(found.low()), say(found.high()));
            table.add_row(vec![name, say(found.value()), interval, format!("{}{few}", found.n())]);
        }
        Err(why) => {
            table.add_row(vec![name, "–".to_owned(), why.to_string(), String::new()]);
        }
    }
}

/// The most useful of the key figures; `--json` and `--html` have all.
pub(crate) fn key_figures(report: &Report) -> String {
    let kpis = &report.kpis;
    let currency: Currency = report.currency.parse().expect("a report is in the shop's currency");
    let money = |minor: f64| Money::new(minor.round() as i64, currency).decimal();
    let points = |share: f64| format!("{:+.1} points", share * 100.0);
    let plain = |value: f64| format!("{value:.1}");
    let twice = |value: f64| format!("{value:.2}");
    let amount = |what: &str| format!("{what}, {currency}");
    let mut rows = table(&["figure", "value", "95 % interval, or why none", "cases"]);
    for row in kpis.buying.repeat.iter().filter(|row| [90, 365].contains(&row.within_days)) {
        add(&mut rows, format!("second order within {} days", row.within_days), row.share, &percent);
    }
    add(&mut rows, "purchases per buyer, 365 days".to_owned(), kpis.buying.frequency, &twice);
    add(&mut rows, amount("average order"), kpis.buying.order_mean_minor, &money);
    add(&mut rows, amount("median order"), kpis.buying.order_median_minor, &money);
    let gap = kpis.churn.gap_days.map(|days| format!(" (no order for {days:.0} days)"));
    let churn = format!("churn in 90 days{}", gap.unwrap_or_default());
    add(&mut rows, churn, kpis.churn.by_gap, &percent);
    add(&mut rows, amount("expected value of a buyer, 365 days"), kpis.predicted.mean_minor, &money);
    add(&mut rows, "net promoter score".to_owned(), kpis.voices.nps, &plain);
    add(&mut rows, "satisfied (4 or 5 of 5)".to_owned(), kpis.voices.csat, &percent);
    add(
        &mut rows,
        "unsubscribed, per marketing message".to_owned(),
        kpis.messages.unsubscribed,
        &twice_percent,
    );
    add(&mut rows, "reported as spam, per message".to_owned(), kpis.messages.complained, &twice_percent);
    add(&mut rows, "lift of all journeys".to_owned(), kpis.effects.overall, &points);
    format!(
        "Key figures of the last 365 days (--html FILE makes a page of all of them)\n{rows}\n{}",
        links(kpis, &money)
    )
}

fn twice_percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// The links that could bring most.
fn links(kpis: &Kpis, money: &dyn Fn(f64) -> String) -> String {
    let mut rows = table(&["from", "to", "now, in 90 days", "at its best", "could bring a year", ""]);
    let ranked = kpis.phases.links.ranked.iter().filter(|link| link.worth_minor > 0);
    let mut is_empty = true;
    for link in ranked.take(LINKS) {
        is_empty = false;
        let sure = match (link.sure, link.weak) {
            (true, _) => "more than chance",
            (false, true) => "few cases",
            (false, false) => "may be chance",
        };
        rows.add_row(vec![
            link.from.clone(),
            link.to.clone(),
            percent(link.now),
            percent(link.best),
            money(link.worth_minor as f64),
            sure.to_owned(),
        ]);
    }
    if is_empty { String::new() } else { format!("\nWeakest links\n{rows}\n") }
}
