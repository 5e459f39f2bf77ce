//! The lifecycle on the page: where going on more often would bring most, the phases, what journeys changed. Never
//! computes a figure.

use super::super::charts;
use super::super::html::{Html, Td, Th};
use super::super::teller::{Language, Teller, Unit};
use super::{cell, measured};
use crate::kpis::NoNumber;
use crate::report::Report;

/// Links beyond so many are not shown.
const MOST_LINKS: usize = 10;

/// Phases with what people call them, in the lifecycle's order.
fn labels(report: &Report) -> Vec<(String, String)> {
    report.phases.iter().map(|row| (row.phase.clone(), row.label.clone())).collect()
}

fn label(labels: &[(String, String)], phase: &str) -> String {
    labels.iter().find(|(id, _)| id == phase).map_or_else(|| phase.to_owned(), |(_, label)| label.clone())
}

/// The weakest links, in money.
pub(in crate::page) fn weakest(html: &mut Html, report: &Report, t: &Teller) {
    let links = &report.kpis.phases.links;
    let labels = labels(report);
    html.section("weakest", t.say("Where to begin", "Wo anfangen"));
    html.element(
        "p",
        t.say(
            "Each transition to a phase worth more, and what it would bring in a year if it went as well as in its better quarters. Not the lowest rate is the weakest link, but the one that costs most.",
            "Jeder Übergang in eine wertvollere Phase, und was er in einem Jahr brächte, liefe er so gut wie in seinen besseren Quartalen. Nicht die kleinste Quote ist die schwächste Stelle, sondern die, die am meisten kostet.",
        ),
    );
    let shown: Vec<_> = links.ranked.iter().filter(|link| link.worth_minor > 0).take(MOST_LINKS).collect();
    let row = |link: &&crate::kpis::LinkRow| {
        let figure = if link.weak { Td::Weak } else { Td::Number };
        let sure = match (link.sure, link.weak) {
            (true, _) => t.say("yes", "ja"),
            (false, true) => t.say("too few to say", "zu wenige Fälle"),
            (false, false) => t.say("may be chance", "kann Zufall sein"),
        };
        vec![
            Td::Head(format!("{} → {}", label(&labels, &link.from), label(&labels, &link.to))),
            figure(t.money(link.worth_minor as f64)),
            figure(t.percent(link.now)),
            figure(t.percent(link.best)),
            figure(t.count(link.n)),
            figure(t.count(link.customers)),
            figure(t.money(link.value_minor as f64)),
            Td::Text(sure.to_owned()),
        ]
    };
    let rows: Vec<Vec<Td>> = shown.iter().map(row).collect();
    html.table(
        t.say(
            "Weakest links, by what they could bring in a year",
            "Schwächste Stellen nach dem, was sie im Jahr bringen könnten",
        ),
        &[
            Th::Text(t.say("transition", "Übergang")),
            Th::Number(t.say("could bring", "könnte bringen")),
            Th::Number(t.say("now, in 90 days", "jetzt, in 90 Tagen")),
            Th::Number(t.say("at its best", "zu besten Zeiten")),
            Th::Number(t.say("cases", "Fälle")),
            Th::Number(t.say("customers a year", "Kunden im Jahr")),
            Th::Number(t.say("worth more by", "mehr wert um")),
            Th::Text(t.say("more than chance", "mehr als Zufall")),
        ],
        &rows,
    );
    let silent = links.unknown.len();
    if rows.is_empty() {
        html.element(
            "p",
            t.say(
                "No transition is known to be below its better times.",
                "Von keinem Übergang ist bekannt, dass er hinter seinen besseren Zeiten zurückbleibt.",
            ),
        );
    }
    if silent > 0 {
        html.classed(
            "p",
            "note",
            &match t.language {
                Language::English => {
                    format!("{silent} more cannot be judged: too few customers came to them, now or in earlier quarters.")
                }
                Language::German => format!(
                    "{silent} weitere sind nicht zu beurteilen: Zu wenige Kunden kamen zu ihnen, jetzt oder in früheren Quartalen."
                ),
            },
        );
    }
    html.classed(
        "p",
        "note",
        if links.valued_by == "predicted_365d" {
            t.say(
                "A phase is worth what its customers are expected to bring in within 365 days, on average.",
                "Eine Phase ist wert, was ihre Kunden in 365 Tagen im Mittel einbringen dürften.",
            )
        } else {
            t.say(
                "A phase is worth what those who stood in it 90 days ago have spent since, on average; once something was learned of the shop, what they are expected to spend in a year.",
                "Eine Phase ist wert, was Kunden, die vor 90 Tagen in ihr standen, seither im Mittel ausgaben; sobald über den Shop etwas gelernt wurde, was sie in einem Jahr ausgeben dürften.",
            )
        },
    );
    html.end_section();
}

/// The phases: who stands where, who goes where, how long it takes.
pub(in crate::page) fn phases(html: &mut Html, report: &Report, t: &Teller) {
    let figures = &report.kpis.phases;
    let labels = labels(report);
    html.section("phases", t.say("Phases", "Phasen"));
    let row = |row: &crate::report::PhaseRow| {
        vec![
            Td::Head(row.label.clone()),
            Td::Number(t.count(row.customers)),
            Td::Number(t.percent(row.share)),
            Td::Number(t.money(row.revenue_minor as f64)),
        ]
    };
    html.table(
        t.say("Where everybody stands", "Wo alle stehen"),
        &[
            Th::Text(t.say("phase", "Phase")),
            Th::Number(t.say("customers", "Kunden")),
            Th::Number(t.say("share", "Anteil")),
            Th::Number(t.say("their revenue so far", "ihr bisheriger Umsatz")),
        ],
        &report.phases.iter().map(row).collect::<Vec<_>>(),
    );
    let unit = t.say("number of customers then and now", "Zahl der Kunden damals und jetzt");
    let title = t.say("Flow between phases in 90 days", "Wanderung zwischen den Phasen in 90 Tagen");
    html.figure(title, unit, &charts::phase_flow(&figures.flow, &labels, t));
    let mut rows = Vec::new();
    for row in &figures.conversions {
        let mut cells = vec![
            Td::Head(format!("{} → {}", label(&labels, &row.from), label(&labels, &row.to))),
            Td::Number(t.count(row.entered)),
            Td::Number(t.count(row.arrived)),
        ];
        cells.extend(row.within.iter().map(|within| match within.share.get() {
            Ok(share) => {
                let text = format!("{} ({})", t.percent(share.value()), t.interval(&share, Unit::Share));
                if share.is_weak() { Td::Weak(text) } else { Td::Number(text) }
            }
            Err(_) => Td::Weak(t.say("too early", "zu früh").to_owned()),
        }));
        rows.push(cells);
    }
    html.table(
        t.say(
            "Who goes on to which phase, and within how many days",
            "Wer in welche Phase weiterzieht, und in wie vielen Tagen",
        ),
        &[
            Th::Text(t.say("transition", "Übergang")),
            Th::Number(t.say("entered", "Eintritte")),
            Th::Number(t.say("arrived so far", "bisher angekommen")),
            Th::Number(t.say("in 30 days", "in 30 Tagen")),
            Th::Number(t.say("in 90 days", "in 90 Tagen")),
            Th::Number(t.say("in 365 days", "in 365 Tagen")),
        ],
        &rows,
    );
    let row = |row: &crate::kpis::TimesRow| {
        let figure = if row.weak { Td::Weak } else { Td::Number };
        vec![
            Td::Head(label(&labels, &row.phase)),
            figure(t.count(row.n)),
            figure(t.quantile(row.quarter)),
            figure(t.quantile(row.median)),
            figure(t.quantile(row.three_quarters)),
        ]
    };
    html.table(
        t.say(
            "How long phases last, those still in them included",
            "Wie lange Phasen dauern, wer noch darin ist, mitgezählt",
        ),
        &[
            Th::Text(t.say("phase", "Phase")),
            Th::Number(t.say("stays", "Aufenthalte")),
            Th::Number(t.say("a quarter has left after", "ein Viertel ist fort nach")),
            Th::Number(t.say("half have left after", "die Hälfte ist fort nach")),
            Th::Number(t.say("three quarters have left after", "drei Viertel sind fort nach")),
        ],
        &figures.times.iter().map(row).collect::<Vec<_>>(),
    );
    html.end_section();
}

/// What journeys changed, beside what followed a click.
pub(in crate::page) fn journeys(html: &mut Html, report: &Report, t: &Teller) {
    let effects = &report.kpis.effects;
    if effects.journeys.is_empty() {
        return;
    }
    html.section("journeys", t.say("What journeys changed", "Was Journeys änderten"));
    html.element(
        "p",
        t.say(
            "The lift is what a journey changed: the goal among customers it reached against those held out. Revenue after clicks is no such thing; some of it would have come anyway.",
            "Der Effekt ist, was eine Journey änderte: das Ziel bei den erreichten Kunden gegen die Kontrollgruppe. Umsatz nach Klicks ist das nicht; ein Teil davon wäre ohnehin gekommen.",
        ),
    );
    let needs = |effect: &crate::kpis::Effect| match (effect.needs.more, effect.needs.why) {
        (Some(0), _) => t.say("enough", "genug").to_owned(),
        (Some(more), _) => format!("{} {}", t.say("about", "etwa"), t.count(more)),
        (None, Some(NoNumber::NoDifference)) => {
            t.say("no difference so far", "bisher kein Unterschied").to_owned()
        }
        (None, _) => "–".to_owned(),
    };
    let mut rows = Vec::new();
    for effect in &effects.journeys {
        let mut cells = vec![Td::Head(effect.label.clone())];
        cells.push(cell(effect.treated, Unit::Share, t));
        cells.push(cell(effect.held, Unit::Share, t));
        cells.extend(measured(effect.lift, Unit::Points, t));
        cells.push(Td::Number(needs(effect)));
        cells.push(Td::Number(t.count(effect.orders)));
        cells.push(Td::Number(t.money(effect.attributed_minor as f64)));
        rows.push(cells);
    }
    html.table(
        t.say(
            "Goal with and without, and orders within five days of a click",
            "Ziel mit und ohne, und Bestellungen binnen fünf Tagen nach einem Klick",
        ),
        &[
            Th::Text("Journey"),
            Th::Number(t.say("goal, reached", "Ziel, erreichte Kunden")),
            Th::Number(t.say("goal, held out", "Ziel, Kontrollgruppe")),
            Th::Number(t.say("lift", "Effekt")),
            Th::Number(t.say("95 % interval", "95-%-Intervall")),
            Th::Number(t.say("smaller arm", "kleinere Gruppe")),
            Th::Number(t.say("more customers needed", "weitere Kunden nötig")),
            Th::Number(t.say("orders after clicks", "Bestellungen nach Klicks")),
            Th::Number(t.say("revenue after clicks", "Umsatz nach Klicks")),
        ],
        &rows,
    );
    html.classed(
        "p",
        "note",
        t.say(
            "More customers needed: so that a true lift of the size measured is found with 80 % probability. The interval is wider than for a single look: it holds however often you look.",
            "Weitere Kunden nötig: damit ein wahrer Effekt der gemessenen Größe mit 80 % Wahrscheinlichkeit gefunden wird. Das Intervall ist breiter als für einen einzigen Blick: Es gilt, so oft Sie auch hinsehen.",
        ),
    );
    html.end_section();
}
