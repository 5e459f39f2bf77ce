//! `zyklus insight`: learn of the shop now, show what was learned of it or of one customer, and hold forecasts of the
//! past against what came. Never computes a figure.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::anyhow;
use zyklus_engine::outlook::{day_of, rfm_of, start_of};
use zyklus_insight::cadence::Basis;
use zyklus_insight::learned::{Learned, YEAR};
use zyklus_insight::predict::Prediction;
use zyklus_insight::purchase::fit::{Fit, Rung};
use zyklus_insight::purchase::{Doubt, Evidence, Model};
use zyklus_insight::spend::SpendModel;
use zyklus_insight::spend::fit::{Independence, SpendFit, SpendRung};
use zyklus_insight::validate::{Cutoff, Report};
use zyklus_model::{At, Money};
use zyklus_runtime::experiments::last_shares;
use zyklus_runtime::learn::{learn, learned_by, validate};
use zyklus_runtime::page::forecasts_page;
use zyklus_runtime::{Clock, Project};
use zyklus_store::OpenOptions;

use crate::args::{InsightCommand, Now};
use crate::commands::{Done, by_hand, clock, load, one_customer, open, print, print_json};
use crate::experiments::experiments;
use crate::report::{Form, in_file};
use crate::show::{as_of, counted, table};

const NOTHING: &str =
    "nothing was learned yet: `zyklus insight fit` does it now, a daemon does it each night";

pub(crate) async fn run(config: &Path, command: InsightCommand) -> Done {
    match command {
        InsightCommand::Fit { now, json } => fit(config, now, json).await,
        InsightCommand::Show { customer: Some(customer), json } => of_customer(config, &customer, json).await,
        InsightCommand::Show { customer: None, json } => of_shop(config, json).await,
        InsightCommand::Feedback { days, now, json } => crate::feedback::run(config, now, days, json).await,
        InsightCommand::Validate { window, cutoffs, json, html } => {
            hold(config, window, cutoffs, Form::of(json, html)).await
        }
    }
}

async fn fit(config: &Path, now: Option<Now>, json: bool) -> Done {
    let project = load(config, false)?;
    let now = clock(now, &project).now();
    if now > Clock::System.now() {
        return Err(anyhow!("--now is in the future: there is nothing to learn from yet").into());
    }
    let store = by_hand(&project).await?;
    let report = learn(&store, &project, now).await?;
    let learned = learned_by(&store, now).await?;
    store.close().await;
    let Some((report, (at, learned))) = report.zip(learned) else {
        return Err(anyhow!("nobody has ordered yet: there is nothing to learn from").into());
    };
    if json {
        return print_json(&report);
    }
    let mut text = told(at, &learned, &project);
    if let Some(reviews) = report.reviews {
        let _ = writeln!(
            text,
            "Words         how customers praise and blame was learned from {}.",
            counted(reviews, "review")
        );
    }
    print(&text)
}

async fn of_shop(config: &Path, json: bool) -> Done {
    let project = load(config, false)?;
    let store = open(&project, OpenOptions::reading()).await?;
    let (learned, shares) = (learned_by(&store, Clock::System.now()).await?, last_shares(&store).await?);
    store.close().await;
    if learned.is_none() && shares.is_none() {
        return Err(anyhow!(NOTHING).into());
    }
    if json {
        let (at, learned) = learned.unzip();
        let (shares_at, shares) = shares.unzip();
        let splits = shares.map(|shares| shares.splits.clone());
        let all =
            serde_json::json!({ "at": at, "learned": learned, "shares_at": shares_at, "splits": splits });
        return print_json(&all);
    }
    let mut text = learned.map_or(format!("{NOTHING}\n"), |(at, learned)| told(at, &learned, &project));
    text.push_str(&experiments(shares.as_ref(), &project));
    print(&text)
}

async fn of_customer(config: &Path, text: &str, json: bool) -> Done {
    let project = load(config, false)?;
    let store = open(&project, OpenOptions::reading()).await?;
    let learned = learned_by(&store, Clock::System.now()).await?;
    let id = one_customer(&store, text).await?;
    let snapshot = store.snapshots(&[id]).await?.into_iter().next();
    store.close().await;
    let (at, learned) = learned.ok_or_else(|| anyhow!(NOTHING))?;
    let now = Clock::System.now();
    let zone = &project.shop.zone;
    let rfm = snapshot.as_ref().and_then(|snapshot| rfm_of(snapshot, now, zone));
    let rfm = rfm.ok_or_else(|| anyhow!("{id} has not ordered yet: there is nothing to tell from"))?;
    let prediction = learned.predict(&rfm);
    if json {
        let all = serde_json::json!({
            "customer": id, "at": now, "learned_at": at, "orders": rfm, "prediction": prediction
        });
        return print_json(&all);
    }
    print(&forecast(&prediction, now, at, &project))
}

async fn hold(config: &Path, window: Option<u32>, cutoffs: u32, form: Form) -> Done {
    let project = load(config, false)?;
    let store = open(&project, OpenOptions::reading()).await?;
    let now = Clock::System.now();
    let report = validate(&store, &project, now, window, cutoffs).await;
    store.close().await;
    let report = report?.map_err(|error| {
        anyhow!("{error}; this shop's orders do not reach far enough back for it, or --window is too long")
    })?;
    match form {
        Form::Text => print(&held(&report, &project)),
        Form::Json => print_json(&report),
        Form::Html(file) => in_file(&file, &forecasts_page(&report, &project.shop, now)),
    }
}

/// What was learned of the shop, in words.
fn told(at: At, learned: &Learned, project: &Project) -> String {
    let zone = &project.shop.zone;
    let mut text = format!(
        "Learned as of {} from {} with {}.\n",
        as_of(at, zone),
        counted(learned.customers, "customer"),
        counted(learned.purchases, "purchase"),
    );
    let days = |span: zyklus_insight::span::Span| span.as_days();
    let how = match learned.basis {
        Basis::Measured => "of 100 orders that are followed by another, 80 are within that time".to_owned(),
        Basis::Raised { from } => {
            format!("80 of 100 next orders come within {:.0}, but it is never less than 30", days(from))
        }
        Basis::Lowered { from } => {
            format!("80 of 100 next orders come within {:.0}, but it is never more than 180", days(from))
        }
        Basis::Unknown => "nobody has ordered twice yet".to_owned(),
    };
    let _ = writeln!(text, "\nHorizon       {:.0} days: {how}.", days(learned.horizon));
    match learned.base_rate {
        Some(rate) => {
            let _ = writeln!(
                text,
                "Base rate     {:.1} % of all customers ordered within the last horizon.",
                rate * 100.0
            );
        }
        None => text.push_str("Base rate     not known: nobody was a customer a horizon ago.\n"),
    }
    match learned.cadence.new_until() {
        Some(span) => {
            let _ = writeln!(
                text,
                "Second order  half of all customers have placed one after {:.0} days.",
                days(span)
            );
        }
        None => text
            .push_str("Second order  fewer than half of all customers place one, as far as can be seen.\n"),
    }
    let _ = writeln!(text, "\nPurchases     {}", purchases(&learned.purchase));
    let _ = writeln!(text, "              {}", rung(&learned.purchase.rung));
    if let Some(capped) = learned.purchase.capped {
        let _ = writeln!(
            text,
            "              {} of uncommonly many orders counted as having {}.",
            counted(capped.customers as u64, "customer"),
            capped.repeats
        );
    }
    let _ = writeln!(text, "Spend         {}", spend(&learned.spend, project));
    text
}

fn errors(errors: &[f64]) -> String {
    let percent: Vec<String> = errors.iter().map(|error| format!("{:.0} %", error * 100.0)).collect();
    percent.join(", ")
}

fn purchases(fit: &Fit) -> String {
    let known = || errors(&fit.standard_errors());
    match &fit.model {
        Model::Bg(m) => format!(
            "BG/NBD, r {:.4}, alpha {:.2} days, a {:.4}, b {:.4}; known to {}.",
            m.r(),
            m.alpha().as_days(),
            m.a(),
            m.b(),
            known()
        ),
        Model::Mbg(m) => format!(
            "MBG/NBD, r {:.4}, alpha {:.2} days, a {:.4}, b {:.4}; known to {}.",
            m.r(),
            m.alpha().as_days(),
            m.a(),
            m.b(),
            known()
        ),
        Model::Pareto(m) => format!(
            "Pareto/NBD, r {:.4}, alpha {:.2} days, s {:.4}, beta {:.2} days; known to {}.",
            m.r(),
            m.alpha().as_days(),
            m.s(),
            m.beta().as_days(),
            known()
        ),
        Model::Nbd(m) => {
            format!(
                "NBD without leaving, r {:.4}, alpha {:.2} days; known to {}.",
                m.r(),
                m.alpha().as_days(),
                known()
            )
        }
        Model::Base(rates) => match rates.evidence() {
            Evidence::Observed { customers } => {
                format!("base rates: what {} did within a horizon.", counted(customers as u64, "customer"))
            }
            Evidence::Pooled { repeats } => {
                format!("one rate for everybody, from {}.", counted(repeats as u64, "repeat purchase"))
            }
        },
    }
}

fn rung(rung: &Rung) -> String {
    match rung {
        Rung::Full { gain, .. } => {
            format!(
                "The full model: that customers leave explains the orders better, by {gain:.1} in the log-likelihood."
            )
        }
        Rung::Shrunk { full } => {
            format!("Held near what is usual in shops, because for the full model {}.", doubt(full))
        }
        Rung::NobodyLeaves { full, shrunk } => format!(
            "Nobody is taken to leave, because for the full model {} and for the one held near what is usual {}.",
            doubt(full),
            doubt(shrunk)
        ),
        Rung::BaseRates { doubt: why } => format!("No model, because {}.", doubt(why)),
    }
}

fn doubt(doubt: &Doubt) -> String {
    match doubt {
        Doubt::FewCustomers { customers, needed } => {
            format!("there are {customers:.0} customers, and it takes {needed:.0}")
        }
        Doubt::FewRepeaters { repeaters, needed } => {
            format!("there are {repeaters:.0} customers who ordered again, and it takes {needed:.0}")
        }
        Doubt::OutOfBounds { parameter, value } => {
            format!("{parameter} ran away to {value:.3e}")
        }
        Doubt::Flat { .. } => "its parameters cannot be told apart".to_owned(),
        Doubt::NoGain { gain, needed } => {
            format!(
                "leaving explains the orders hardly better than staying (by {gain:.2}, and it takes {needed:.1})"
            )
        }
        Doubt::NotFound { .. } => "no best parameters were found".to_owned(),
    }
}

fn money(minor: f64, project: &Project) -> String {
    let currency = project.shop.currency;
    format!("{} {}", Money::new(minor.round() as i64, currency).decimal(), currency.code())
}

fn spend(fit: &SpendFit, project: &Project) -> String {
    let model = match &fit.model {
        SpendModel::GammaGamma(m) => {
            format!("gamma-gamma, p {:.4}, q {:.4}, v {}", m.p(), m.q(), money(m.v(), project))
        }
        SpendModel::Means(_) => "customers' means, pulled towards the shop's".to_owned(),
        SpendModel::Unknown => return "not known: no repeat purchase has a positive amount.".to_owned(),
    };
    let why = match &fit.rung {
        SpendRung::Full { .. } | SpendRung::Unknown => String::new(),
        SpendRung::Shrunk { full } => format!(", held near what is usual because {}", doubt(full)),
        SpendRung::Means { doubt: why } => format!(", because for gamma-gamma {}", doubt(why)),
    };
    let broken = match fit.independence {
        Independence::Broken { correlation } => format!(
            " Spend goes with frequency (correlation {correlation:.2}): values of frequent customers are off."
        ),
        Independence::Holds { .. } | Independence::Unknown => String::new(),
    };
    format!("{model}, from {}{why}.{broken}", counted(fit.customers as u64, "customer"))
}

/// One customer's forecast, in words.
fn forecast(p: &Prediction, now: At, learned_at: At, project: &Project) -> String {
    let zone = &project.shop.zone;
    let today = day_of(now, zone);
    let date = |days: Option<f64>| {
        let day = days.map(|days| start_of(today.saturating_add(days.round() as i32), zone));
        day.map_or("never".to_owned(), |at| at.timestamp().to_zoned(zone.clone()).date().to_string())
    };
    let mut text =
        format!("As of {}, by what was learned as of {}.\n\n", as_of(now, zone), as_of(learned_at, zone));
    let _ = writeln!(
        text,
        "An order within {:.0} days  {:.0} %, {:.2} orders expected",
        p.horizon_days,
        p.any_order * 100.0,
        p.expected_orders
    );
    let _ = writeln!(
        text,
        "Next order                even odds by {}; by {} in one of ten cases, by {} in nine",
        date(p.next_order_days),
        date(p.next_order_early_days),
        date(p.next_order_late_days)
    );
    if let Some(alive) = p.alive {
        let _ = writeln!(text, "Still a customer          {:.0} %", alive * 100.0);
    }
    if let Some(spend) = p.expected_spend {
        let _ = writeln!(text, "An order is worth         {}", money(spend, project));
    }
    match p.value {
        Some(value) => {
            let _ = writeln!(
                text,
                "Value of {YEAR} days         {} ({} to {} in nine of ten cases)",
                money(value.expected, project),
                money(value.low, project),
                money(value.high, project)
            );
        }
        None => text.push_str("Value                     not known\n"),
    }
    text
}

/// Forecasts of the past against what came.
fn held(report: &Report, project: &Project) -> String {
    let zone = &project.shop.zone;
    let share = |share: Option<f64>| share.map_or("–".to_owned(), |s| format!("{s:.3}"));
    let day = |day| start_of(day, zone).timestamp().to_zoned(zone.clone()).date().to_string();
    let mut all = table(&["as of", "customers", "ordered", "forecast", "came", "error", "AUC", "Brier"]);
    for cutoff in &report.cutoffs {
        let g = &cutoff.all;
        all.add_row(vec![
            day(cutoff.day),
            g.customers.to_string(),
            g.ordered.map_or("–".into(), |s| format!("{:.1} %", s * 100.0)),
            format!("{:.0}", g.forecast),
            format!("{:.0}", g.orders),
            g.forecast_error.map_or("–".into(), |e| format!("{:+.1} %", e * 100.0)),
            share(g.auc),
            share(g.brier),
        ]);
    }
    let mut told = table(&["as of", "by base rate", "by model", "by days since last", "those days"]);
    for Cutoff { day: at, told: t, .. } in &report.cutoffs {
        told.add_row(vec![
            day(*at),
            share(t.by_base_rate),
            share(t.by_model),
            share(t.by_fixed_window),
            t.fixed_window_days.map_or("–".into(), |d| format!("{d:.0}")),
        ]);
    }
    let mut tenths = table(&["chance said", "came", "customers"]);
    for bin in report.cutoffs.last().map_or(&[][..], |cutoff| &cutoff.all.calibration) {
        tenths.add_row(vec![
            format!("{:.1} %", bin.said * 100.0),
            format!("{:.1} %", bin.came * 100.0),
            bin.customers.to_string(),
        ]);
    }
    format!(
        "Forecasts of the {} days after each cut-off, by what was known then, against what came:\n{all}\n\
         Who would order was told from who would not (0.5 is guessing; thresholds come from the cut-off before):\n{told}\n\
         The last cut-off, by tenths of the customers:\n{tenths}\n",
        report.window_days
    )
}
