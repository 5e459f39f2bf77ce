//! What customers buy, on the page: who comes back, what the customers of each month and source bring in, what is expected
//! of them. Never computes a figure.

use super::super::charts;
use super::super::html::{Html, Td, Th};
use super::super::teller::{Teller, Unit};
use super::{measure_heads, measured, row};
use crate::kpis::UNKNOWN_SOURCE;
use crate::report::Report;

/// Who comes back, and for how much.
pub(in crate::page) fn buying(html: &mut Html, report: &Report, t: &Teller) {
    let (buying, churn) = (&report.kpis.buying, &report.kpis.churn);
    html.section("buying", t.say("Buying again", "Wieder kaufen"));
    html.figure(
        t.say("When the second order comes", "Wann die zweite Bestellung kommt"),
        t.say(
            "share of all buyers, by days since their first order, with 95 % band",
            "Anteil aller Käufer nach Tagen seit ihrer ersten Bestellung, mit 95-%-Band",
        ),
        &charts::second_order(buying.second_order.as_ref(), t),
    );
    let mut rows = Vec::new();
    for repeat in &buying.repeat {
        let name = format!(
            "{} {}",
            t.say("Second order within", "Zweite Bestellung binnen"),
            match t.language {
                super::super::Language::English => t.days(repeat.within_days as f64),
                super::super::Language::German =>
                    format!("{}\u{a0}Tagen", t.count(repeat.within_days.unsigned_abs())),
            }
        );
        rows.push(row(&name, repeat.share, Unit::Share, t));
    }
    rows.push(row(
        t.say("Purchases per buyer, last 365 days", "Käufe je Käufer, letzte 365 Tage"),
        buying.frequency,
        Unit::Plain,
        t,
    ));
    rows.push(row(t.say("Average order", "Mittlere Bestellung"), buying.order_mean_minor, Unit::Money, t));
    rows.push(row(
        t.say("Median order", "Median der Bestellungen"),
        buying.order_median_minor,
        Unit::Money,
        t,
    ));
    rows.push(row(
        t.say("Orders with a coupon", "Bestellungen mit Gutschein"),
        buying.with_coupon,
        Unit::Share,
        t,
    ));
    rows.push(row(
        t.say("Discount, of the full price", "Rabatt am vollen Preis"),
        buying.discount,
        Unit::Share,
        t,
    ));
    let gap = churn.gap_days.zip(churn.gap_share).map(|(days, share)| match t.language {
        super::super::Language::English => {
            format!("Churn in 90 days (gone: no order for {}; {} of orders are followed by another within it)", t.days(days), t.percent(share))
        }
        super::super::Language::German => {
            format!("Abwanderung in 90 Tagen (fort: keine Bestellung seit {} Tagen; {} der Bestellungen folgt bis dahin eine weitere)", t.number(days, 0), t.percent(share))
        }
    });
    let plain =
        t.say("Churn in 90 days, by the usual gap", "Abwanderung in 90 Tagen nach dem üblichen Abstand");
    rows.push(row(gap.as_deref().unwrap_or(plain), churn.by_gap, Unit::Share, t));
    rows.push(row(
        t.say("Came back in 90 days, of those gone", "In 90 Tagen zurück, von den Abgewanderten"),
        churn.reactivation,
        Unit::Share,
        t,
    ));
    rows.push(row(
        t.say("Churn in 90 days, by the shop's model", "Abwanderung in 90 Tagen nach dem Modell des Shops"),
        churn.by_model,
        Unit::Share,
        t,
    ));
    html.table(t.say("Orders", "Bestellungen"), &measure_heads("", t), &rows);
    html.end_section();
}

/// Customers by month and by source.
pub(in crate::page) fn cohorts(html: &mut Html, report: &Report, t: &Teller) {
    let cohorts = &report.kpis.cohorts;
    html.section("by-month", t.say("Customers by month and source", "Kunden nach Monat und Herkunft"));
    html.figure(
        t.say("Who orders again", "Wer wieder bestellt"),
        t.say("per cent of each month's new customers", "Prozent der Neukunden jedes Monats"),
        &charts::retention(&cohorts.retention, t),
    );
    html.figure(
        t.say("Realised value by month of first order", "Erzielter Wert nach Monat der ersten Bestellung"),
        &format!(
            "{} {}",
            t.currency,
            t.say(
                "per customer, who never came back included",
                "je Kunde, wer nie wiederkam, eingeschlossen"
            )
        ),
        &charts::realised(&cohorts.by_month, t),
    );
    let sourced = |found: &&crate::kpis::RealisedRow| found.value_minor.get().is_ok() || found.months == 3;
    let source = |found: &crate::kpis::RealisedRow| {
        let name = if found.of == UNKNOWN_SOURCE { t.say("(unknown)", "(nicht bekannt)") } else { &found.of };
        let mut cells = vec![Td::Head(name.to_owned()), Td::Number(t.count(found.customers))];
        cells.push(Td::Number(t.count(u64::from(found.months))));
        cells.extend(measured(found.value_minor, Unit::Money, t));
        cells
    };
    let mut rows: Vec<&crate::kpis::RealisedRow> = cohorts.by_source.iter().filter(sourced).collect();
    rows.sort_by(|a, b| {
        b.customers.cmp(&a.customers).then_with(|| (&a.of, a.months).cmp(&(&b.of, b.months)))
    });
    rows.truncate(30);
    html.table(
        t.say("Realised value by source", "Erzielter Wert nach Herkunft"),
        &[
            Th::Text(t.say("source", "Herkunft")),
            Th::Number(t.say("buyers", "Käufer")),
            Th::Number(t.say("months after the first order's", "Monate nach dem der ersten Bestellung")),
            Th::Number(t.say("value per customer", "Wert je Kunde")),
            Th::Number(t.say("95 % interval", "95-%-Intervall")),
            Th::Number(t.say("cases", "Fälle")),
        ],
        &rows.into_iter().map(source).collect::<Vec<_>>(),
    );
    html.end_section();
}

/// What is expected of customers.
pub(in crate::page) fn value(html: &mut Html, report: &Report, t: &Teller) {
    let predicted = &report.kpis.predicted;
    html.section("value", t.say("Expected value", "Erwarteter Wert"));
    let Some(learned_at) = predicted.learned_at else {
        html.element(
            "p",
            t.say(
                "Nothing has been learned of the shop yet, so nothing is foretold. A daemon learns each night; `zyklus insight fit` does it now.",
                "Über den Shop wurde noch nichts gelernt, also wird nichts vorhergesagt. Ein Daemon lernt jede Nacht; `zyklus insight fit` lernt jetzt.",
            ),
        );
        html.end_section();
        return;
    };
    html.figure(
        t.say("Expected value of buyers", "Erwarteter Wert der Käufer"),
        &format!(
            "{}, {} {}",
            t.say("number of buyers", "Zahl der Käufer"),
            t.currency,
            t.say("within the next 365 days", "in den nächsten 365 Tagen")
        ),
        &charts::predicted(predicted, t),
    );
    if predicted.beyond > 0 {
        let most = predicted.bins.last().map_or(0.0, |bin| bin.high_minor);
        html.classed(
            "p",
            "note",
            &format!(
                "{} {} {} {}.",
                t.count(predicted.beyond),
                t.say("buyers with more than", "Käufer mit mehr als"),
                t.money(most),
                t.say("are not drawn", "sind nicht gezeichnet")
            ),
        );
    }
    let rows = [
        row(t.say("Mean per buyer", "Mittel je Käufer"), predicted.mean_minor, Unit::Money, t),
        row(t.say("Median", "Median"), predicted.median_minor, Unit::Money, t),
    ];
    html.table(
        t.say(
            "Expected value of the next 365 days, worth today",
            "Erwarteter Wert der nächsten 365 Tage, heutiger Wert",
        ),
        &measure_heads("", t),
        &rows,
    );
    if let Some(sum) = predicted.sum_minor {
        html.element(
            "p",
            &format!(
                "{} {} {} {}; {} {} {}.",
                t.say("All", "Alle"),
                t.count(predicted.customers),
                t.say(
                    "buyers together are expected to bring in",
                    "Käufer zusammen bringen voraussichtlich ein:"
                ),
                t.money(sum),
                t.say("learned", "gelernt"),
                t.instant(learned_at),
                t.say(
                    "(the interval above is that of the mean, not of the forecast)",
                    "(das Intervall oben gilt dem Mittel, nicht der Vorhersage)"
                ),
            ),
        );
    }
    html.end_section();
}
