//! Forecasts of the past against what came, as a page like the report's. Never computes a figure.

use zyklus_engine::outlook::start_of;
use zyklus_insight::chart::{Bucket, Calibration, Frame, calibration};
use zyklus_insight::interval::{Level, Tally, share};
use zyklus_insight::validate::{Bin, Cutoff, Group, Report};
use zyklus_model::At;

use super::charts::nothing;
use super::html::{Html, Td, Th};
use super::opened;
use super::teller::Teller;
use crate::shop::ShopSettings;

/// What [`crate::learn::validate`] found at `at`, in the language of the shop's locale.
pub fn forecasts_page(report: &Report, shop: &ShopSettings, at: At) -> String {
    let t = Teller::of(shop);
    let what = t.say("forecasts against what came", "Vorhersagen und was kam");
    let mut html = opened(&format!("{} – {what}", shop.imprint.name), &t);
    let days = within(report.window_days, &t);
    html.classed(
        "p",
        "note",
        &format!(
            "{} {}. {} {days} {}",
            t.say("As of", "Stand"),
            t.instant(at),
            t.say(
                "On each day below it was forecast who would order",
                "An jedem der Tage unten wurde vorhergesagt, wer"
            ),
            t.say(
                "after it, by what was known then, and this is what came.",
                "danach bestellt, nach dem damaligen Wissen; und das kam.",
            ),
        ),
    );
    html.raw("</header>\n<main>");
    if let Some(last) = report.cutoffs.last() {
        chances(&mut html, last, &days, &t);
    }
    totals(&mut html, report, &t);
    told(&mut html, report, &t);
    html.raw("</main>\n</body>\n</html>");
    html.finish()
}

/// "within 60 days"; German wants the dative.
fn within(days: u32, t: &Teller) -> String {
    match days {
        1 => t.say("within a day", "binnen eines Tages").to_owned(),
        _ => {
            format!("{} {}\u{a0}{}", t.say("within", "binnen"), t.count(days.into()), t.say("days", "Tagen"))
        }
    }
}

fn date(cutoff: &Cutoff, t: &Teller) -> String {
    t.day(start_of(cutoff.day, &t.zone))
}

/// Whether a chance of 30 % is one, on the last day.
fn chances(html: &mut Html, last: &Cutoff, days: &str, t: &Teller) {
    html.section("chances", t.say("Is a chance of 30 % one?", "Sind 30 % auch 30 %?"));
    html.element(
        "p",
        t.say(
            "Each dot is a tenth of the customers, by their chance. The nearer to the dashed line, the better; the bar \
             through it is where the truth is likely to lie. A hollow dot stands for few customers.",
            "Jeder Punkt ist ein Zehntel der Kunden, nach ihrer Wahrscheinlichkeit. Je näher an der gestrichelten Linie, \
             desto besser; der Strich zeigt, wo die Wahrheit vermutlich liegt. Hohle Punkte stehen für wenige Kunden.",
        ),
    );
    let groups = [
        ("all", &last.all, t.say("All customers", "Alle Kunden")),
        ("one-time", &last.one_time, t.say("Customers with one purchase", "Kunden mit einem Kauf")),
        ("repeat", &last.repeat, t.say("Customers with several purchases", "Kunden mit mehreren Käufen")),
    ];
    for (id, group, title) in groups {
        let unit = format!(
            "{}, {} {}",
            date(last, t),
            t.count(group.customers as u64),
            t.say("customers", "Kunden")
        );
        html.figure(title, &unit, &drawn(id, group, title, days, t));
    }
    html.end_section();
}

fn drawn(id: &str, group: &Group, title: &str, days: &str, t: &Teller) -> String {
    let bucket = |bin: &Bin| {
        let n = bin.customers as u64;
        let tally = Tally::new((bin.came * n as f64).round() as u64, n).ok()?;
        Some(Bucket { predicted: bin.said, seen: share(tally, Level::P95).ok()? })
    };
    let x_axis = format!("{} {days}", t.say("chance of an order", "Wahrscheinlichkeit einer Bestellung"));
    let value = |share: f64| t.axis_percent(share);
    calibration(&Calibration {
        frame: Frame {
            id,
            title,
            description: t.say(
                "The chance that was forecast, and the share of customers that did order.",
                "Die vorhergesagte Wahrscheinlichkeit und der Anteil der Kunden, die bestellten.",
            ),
            empty: nothing(t),
        },
        x_axis: &x_axis,
        y_axis: t.say("share that ordered", "Anteil mit Bestellung"),
        diagonal: t.say("it came as forecast", "es kam wie vorhergesagt"),
        value: &value,
        buckets: group.calibration.iter().filter_map(bucket).collect(),
    })
}

/// A figure, or a dash.
fn cell(value: Option<f64>, say: impl Fn(f64) -> String) -> Td {
    value.map_or_else(|| Td::Weak("–".to_owned()), |value| Td::Number(say(value)))
}

/// What was forecast in all, day by day.
fn totals(html: &mut Html, report: &Report, t: &Teller) {
    html.section("totals", t.say("In all", "Insgesamt"));
    let heads = [
        Th::Text(t.say("as of", "Stand")),
        Th::Number(t.say("customers", "Kunden")),
        Th::Number(t.say("of them ordered", "davon bestellten")),
        Th::Number(t.say("purchases forecast", "Käufe vorhergesagt")),
        Th::Number(t.say("purchases that came", "Käufe, die kamen")),
        Th::Number(t.say("error", "Fehler")),
        Th::Number("AUC"),
        Th::Number("Brier"),
    ];
    let percent = |share: f64| t.percent(share);
    let rows: Vec<Vec<Td>> = report
        .cutoffs
        .iter()
        .map(|cutoff| {
            let group = &cutoff.all;
            vec![
                Td::Head(date(cutoff, t)),
                Td::Number(t.count(group.customers as u64)),
                cell(group.ordered, percent),
                Td::Number(t.number(group.forecast, 0)),
                Td::Number(t.number(group.orders, 0)),
                cell(group.forecast_error, percent),
                cell(group.auc, |auc| t.number(auc, 3)),
                cell(group.brier, |brier| t.number(brier, 3)),
            ]
        })
        .collect();
    html.table(t.say("Forecasts, and what came", "Vorhersagen und was kam"), &heads, &rows);
    html.element(
        "p",
        t.say(
            "AUC: how often somebody who ordered had been given a higher chance than somebody who did not; 0.5 is guessing. \
             Brier: the mean squared distance between the chance and what came; 0 is perfect.",
            "AUC: wie oft jemand, der bestellte, eine höhere Wahrscheinlichkeit hatte als jemand, der es nicht tat; 0,5 ist \
             geraten. Brier: mittlerer quadrierter Abstand zwischen Wahrscheinlichkeit und Ausgang; 0 ist vollkommen.",
        ),
    );
    html.end_section();
}

/// How well buyers were told from the others, by three rules.
fn told(html: &mut Html, report: &Report, t: &Teller) {
    html.section(
        "told",
        t.say("Who would order, told from who would not", "Wer bestellen wird und wer nicht"),
    );
    let heads = [
        Th::Text(t.say("as of", "Stand")),
        Th::Number(t.say("by chance, against the base rate", "nach Wahrscheinlichkeit, gegen die Grundrate")),
        Th::Number(
            t.say("by chance, limit best the time before", "nach Wahrscheinlichkeit, zuvor beste Grenze"),
        ),
        Th::Number(t.say("by days since the last order", "nach Tagen seit der letzten Bestellung")),
        Th::Number(t.say("those days", "diese Tage")),
    ];
    let share = |share: f64| t.number(share, 3);
    let rows: Vec<Vec<Td>> = report
        .cutoffs
        .iter()
        .map(|cutoff| {
            let told = &cutoff.told;
            vec![
                Td::Head(date(cutoff, t)),
                cell(told.by_base_rate, share),
                cell(told.by_model, share),
                cell(told.by_fixed_window, share),
                cell(told.fixed_window_days, |days| t.number(days, 0)),
            ]
        })
        .collect();
    html.table(
        t.say(
            "Mean share told rightly; 0.5 is guessing",
            "Mittlerer richtig erkannter Anteil; 0,5 ist geraten",
        ),
        &heads,
        &rows,
    );
    html.element(
        "p",
        t.say(
            "Limits come from the day before in the list, never from the days they are judged by.",
            "Grenzen stammen vom Tag davor in der Liste, nie aus den Tagen, an denen sie gemessen werden.",
        ),
    );
    html.end_section();
}
