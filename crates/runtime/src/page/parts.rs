//! The page's sections: which figures stand where, and what is said about them. Never computes a figure.

mod customers;
mod lifecycle;

pub(super) use customers::{buying, cohorts, value};
pub(super) use lifecycle::{journeys, phases, weakest};

use super::html::{Html, Td, Th};
use super::teller::{Teller, Unit};
use crate::kpis::Measure;
use crate::report::Report;

/// The heads of a table of figures with their intervals.
fn measure_heads<'a>(first: &'a str, t: &Teller) -> [Th<'a>; 4] {
    // The words live as long as the program.
    let (figure, cases): (&'static str, &'static str) = match t.language {
        super::Language::English => ("figure", "cases"),
        super::Language::German => ("Wert", "Fälle"),
    };
    let interval = match t.language {
        super::Language::English => "95 % interval",
        super::Language::German => "95-%-Intervall",
    };
    [Th::Text(first), Th::Number(figure), Th::Number(interval), Th::Number(cases)]
}

/// A figure over three columns: value, interval, cases; or why it is missing.
fn measured(measure: Measure, unit: Unit, t: &Teller) -> Vec<Td> {
    match measure.get() {
        Ok(estimate) => {
            let cell = if estimate.is_weak() { Td::Weak } else { Td::Number };
            vec![
                cell(t.value(estimate.value(), unit)),
                cell(t.interval(&estimate, unit)),
                cell(t.cases(&estimate)),
            ]
        }
        Err(why) => vec![Td::Missing(format!("{}: {}", t.unknown(), t.why(why)), 3)],
    }
}

fn row(name: &str, measure: Measure, unit: Unit, t: &Teller) -> Vec<Td> {
    let mut cells = vec![Td::Head(name.to_owned())];
    cells.extend(measured(measure, unit, t));
    cells
}

/// A figure in one cell; a dash if there is none, and the reason elsewhere in the row.
fn cell(measure: Measure, unit: Unit, t: &Teller) -> Td {
    match measure.get() {
        Ok(estimate) if estimate.is_weak() => Td::Weak(t.value(estimate.value(), unit)),
        Ok(estimate) => Td::Number(t.value(estimate.value(), unit)),
        Err(_) => Td::Weak("–".to_owned()),
    }
}

/// The most important figures.
pub(super) fn glance(html: &mut Html, report: &Report, t: &Teller) {
    let kpis = &report.kpis;
    html.section("glance", t.say("At a glance", "Auf einen Blick"));
    html.raw("<dl class=\"tiles\">");
    let buyers = format!("{} {}", t.count(report.buyers), t.say("of them bought", "davon haben gekauft"));
    html.tile(t.say("Customers", "Kunden"), &t.count(report.customers), &buyers, false);
    let orders = format!("{} {}", t.count(report.orders), t.say("orders, ever", "Bestellungen insgesamt"));
    let revenue = report.revenue_minor as f64;
    html.tile(t.say("Revenue after refunds", "Umsatz nach Erstattungen"), &t.money(revenue), &orders, false);
    let mut tile = |name: &str, measure: Measure, unit: Unit| match measure.get() {
        Ok(found) => {
            let note = format!("{} · n\u{a0}=\u{a0}{}", t.interval(&found, unit), t.cases(&found));
            html.tile(name, &t.value(found.value(), unit), &note, found.is_weak());
        }
        Err(why) => html.tile(name, "–", &t.why(why), true),
    };
    if let Some(year) = kpis.buying.repeat.iter().find(|row| row.within_days == 90) {
        tile(t.say("Second order within 90 days", "Zweite Bestellung in 90 Tagen"), year.share, Unit::Share);
    }
    tile(t.say("Average order", "Mittlere Bestellung"), kpis.buying.order_mean_minor, Unit::Money);
    tile(t.say("Churn in 90 days", "Abwanderung in 90 Tagen"), kpis.churn.by_gap, Unit::Share);
    tile(
        t.say("Expected value per buyer, 365 days", "Erwarteter Wert je Käufer, 365 Tage"),
        kpis.predicted.mean_minor,
        Unit::Money,
    );
    tile(t.say("Net promoter score", "Net Promoter Score"), kpis.voices.nps, Unit::Plain);
    tile(t.say("What journeys changed", "Was Journeys änderten"), kpis.effects.overall, Unit::Points);
    html.raw("</dl>");
    html.end_section();
}

/// What customers say, what became of messages, how long visitors look.
pub(super) fn voices(html: &mut Html, report: &Report, t: &Teller) {
    let kpis = &report.kpis;
    let (voices, messages) = (&kpis.voices, &kpis.messages);
    html.section("voices", t.say("Voices, messages, visits", "Stimmen, Nachrichten, Besuche"));
    let rows = [
        row(
            t.say("Net promoter score (−100 to 100)", "Net Promoter Score (−100 bis 100)"),
            voices.nps,
            Unit::Plain,
            t,
        ),
        row(t.say("Satisfied: 4 or 5 of 5", "Zufrieden: 4 oder 5 von 5"), voices.csat, Unit::Share, t),
        row(
            t.say("Reviews with 4 or 5 stars", "Bewertungen mit 4 oder 5 Sternen"),
            voices.stars,
            Unit::Share,
            t,
        ),
        row(
            t.say("Answered within 30 days of being asked", "Antwort binnen 30 Tagen nach der Bitte"),
            voices.response,
            Unit::Share,
            t,
        ),
        row(
            t.say(
                "Unsubscribed, per marketing message that arrived",
                "Abgemeldet, je angekommener Werbenachricht",
            ),
            messages.unsubscribed,
            Unit::Share,
            t,
        ),
        row(
            t.say(
                "Reported as spam, per message that arrived",
                "Als Spam gemeldet, je angekommener Nachricht",
            ),
            messages.complained,
            Unit::Share,
            t,
        ),
        row(
            t.say("Came back, per message accepted", "Zurückgekommen, je angenommener Nachricht"),
            messages.bounced,
            Unit::Share,
            t,
        ),
        row(
            t.say("Active time of a visit (median)", "Aktive Zeit eines Besuchs (Median)"),
            kpis.visits.active_seconds,
            Unit::Seconds,
            t,
        ),
    ];
    html.table(
        t.say(
            "What customers say, and what messages cost in goodwill",
            "Was Kunden sagen, und was Nachrichten an Wohlwollen kosten",
        ),
        &measure_heads("", t),
        &rows,
    );
    if messages.complaints_notice {
        html.element(
            "p",
            if messages.complaints_harm {
                t.say(
                    "Spam reports have reached 0.3 %: mailbox providers begin to refuse mail.",
                    "Die Spam-Meldungen haben 0,3 % erreicht: Postfachanbieter beginnen, Mails abzulehnen.",
                )
            } else {
                t.say(
                    "Spam reports have reached 0.1 %, which mailbox providers notice.",
                    "Die Spam-Meldungen haben 0,1 % erreicht; das bemerken Postfachanbieter.",
                )
            },
        );
    }
    html.end_section();
}

/// How to read it all.
pub(super) fn notes(html: &mut Html, report: &Report, t: &Teller) {
    html.section("notes", t.say("How to read this", "So liest man das"));
    html.raw("<ul>");
    html.element(
        "li",
        t.say(
            "The interval says where the truth is likely to lie: of 100 such intervals about 95 hold it. Figures from fewer than 30 cases are pale; do not compare them.",
            "Das Intervall sagt, wo die Wahrheit vermutlich liegt: Von 100 solchen Intervallen treffen etwa 95. Zahlen aus weniger als 30 Fällen sind blass; vergleichen Sie sie nicht.",
        ),
    );
    html.element(
        "li",
        t.say(
            "Money is what customers paid less refunds, tax and shipping included, since the shop's orders say no more than that. Cancelled orders are in no figure.",
            "Geld ist, was Kunden zahlten, abzüglich Erstattungen, mit Steuern und Versand, denn mehr sagen die Bestellungen des Shops nicht. Stornierte Bestellungen zählen nirgends.",
        ),
    );
    html.element(
        "li",
        t.say(
            "Orders of one customer within 24 hours are one purchase where it is asked who comes back.",
            "Bestellungen eines Kunden binnen 24 Stunden sind ein Kauf, wo gefragt wird, wer wiederkommt.",
        ),
    );
    html.element(
        "li",
        t.say(
            "Who is still waiting counts as waiting, not as lost (Kaplan and Meier; Aalen and Johansen).",
            "Wer noch wartet, zählt als wartend, nicht als verloren (Kaplan und Meier; Aalen und Johansen).",
        ),
    );
    for (currency, orders) in &report.unrated {
        let orders = t.count(*orders);
        html.element(
            "li",
            &match t.language {
                super::Language::English => {
                    format!("{orders} orders in {currency} have no rate and are in no sum; add {currency} to [rates].")
                }
                super::Language::German => format!(
                    "{orders} Bestellungen in {currency} haben keinen Kurs und stehen in keiner Summe; ergänzen Sie {currency} in [rates]."
                ),
            },
        );
    }
    html.raw("</ul>");
    html.end_section();
}
