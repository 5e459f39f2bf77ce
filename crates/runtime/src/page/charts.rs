//! The page's charts: puts a report's figures into the shapes that `insight` draws. Never computes a figure.

use std::collections::BTreeMap;

use zyklus_insight::chart::{
    Bar, Bars, Bin, CurvePoint, Curves, Flow, FlowChart, FlowNode, Frame, HeatCell, HeatMap, HeatRow,
    Histogram, Marker, Series, bars, curves, flow, heat_map, histogram,
};
use zyklus_insight::interval::Unknown;

use super::teller::Teller;
use crate::kpis::{CohortCells, FlowFigures, Predicted, RealisedRow, SecondOrder};

/// Bars beyond so many, the oldest, are left out.
const MOST_BARS: usize = 12;

/// Where everybody was and is. `phases` are those of the lifecycle in their order, with what people call them.
pub(super) fn phase_flow(figures: &FlowFigures, phases: &[(String, String)], t: &Teller) -> String {
    let title = t.say("Flow between phases", "Wanderung zwischen den Phasen");
    let description = t.say(
        "On the left where customers were, on the right where they are now; the thicker a ribbon, the more of them.",
        "Links, wo Kunden waren, rechts, wo sie jetzt sind; je dicker ein Band, desto mehr.",
    );
    let new = t.say("(not known yet)", "(noch nicht bekannt)");
    let place = |phase: &Option<String>| match phase {
        Some(phase) => phases.iter().position(|(id, _)| id == phase).unwrap_or(phases.len()),
        None => phases.len() + 1,
    };
    let gone = t.say("(another one)", "(eine andere)");
    let label = |place: usize| match phases.get(place) {
        Some((_, label)) => label.as_str(),
        None if place == phases.len() => gone,
        None => new,
    };
    let mut counts: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for row in &figures.rows {
        *counts.entry((place(&row.from), place(&row.to))).or_default() += row.customers;
    }
    let mut numbers: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (from, to) in counts.keys() {
        numbers.insert((0, *from), 0);
        numbers.insert((1, *to), 0);
    }
    let mut nodes = Vec::with_capacity(numbers.len());
    for ((column, place), number) in &mut numbers {
        *number = nodes.len();
        nodes.push(FlowNode { label: label(*place), column: *column, kind: *place });
    }
    let flows = counts.iter().map(|((from, to), customers)| Flow {
        from: numbers[&(0, *from)],
        to: numbers[&(1, *to)],
        customers: *customers,
    });
    let flows = flows.collect();
    let columns = [t.day(figures.from), t.day(figures.to)];
    let count = |n: f64| t.number(n, 0);
    flow(&FlowChart {
        frame: Frame { id: "flow", title, description, empty: nothing(t) },
        columns: columns.iter().map(String::as_str).collect(),
        count: &count,
        nodes,
        flows,
    })
}

pub(super) fn nothing(t: &Teller) -> &'static str {
    match t.language {
        super::Language::English => "There is nothing to draw yet.",
        super::Language::German => "Noch gibt es nichts zu zeichnen.",
    }
}

/// How many buyers have come back after how many days.
pub(super) fn second_order(found: Option<&SecondOrder>, t: &Teller) -> String {
    let points = found.iter().flat_map(|found| &found.points);
    let points = points.map(|p| CurvePoint { x: p.days, share: p.share, low: p.low, high: p.high }).collect();
    // All are waited for at the beginning; that number stands in the curve's name.
    let left = || found.iter().flat_map(|found| &found.at_risk).filter(|left| left.days > 0.0);
    let buyers = t.count(found.map_or(0, |found| found.n));
    let label = format!("{} {buyers} {}", t.say("of", "von"), t.say("buyers", "Käufern"));
    let series = Series { label: &label, points, at_risk: left().map(|left| left.customers).collect() };
    let (days, share) = (|n: f64| t.number(n, 0), |share: f64| t.axis_percent(share));
    curves(&Curves {
        frame: Frame {
            id: "second-order",
            title: t.say("When the second order comes", "Wann die zweite Bestellung kommt"),
            description: t.say(
                "The share of buyers who have ordered a second time, by days since the first order, with its 95 % band.",
                "Der Anteil der Käufer mit einer zweiten Bestellung nach Tagen seit der ersten, mit 95-%-Band.",
            ),
            empty: nothing(t),
        },
        x_axis: t.say("days since the first order", "Tage seit der ersten Bestellung"),
        y_axis: t.say("share with a second order", "Anteil mit zweiter Bestellung"),
        x: &days,
        y: &share,
        count: &days,
        risk_label: t.say("still waited for", "noch erwartet"),
        risk_at: left().map(|left| left.days).collect(),
        series: vec![series],
    })
}

/// Who orders again in which month.
pub(super) fn retention(rows: &[CohortCells], t: &Teller) -> String {
    let rows = rows.iter().map(|row| HeatRow {
        label: &row.month,
        n: row.customers,
        cells: row
            .cells
            .iter()
            .map(|cell| HeatCell {
                value: cell.ordering.get().ok().map(|share| share.value()),
                complete: cell.complete,
            })
            .collect(),
    });
    let (share, count) = (|share: f64| t.number(share * 100.0, 0), |n: f64| t.number(n, 0));
    heat_map(&HeatMap {
        frame: Frame {
            id: "cohorts",
            title: t.say("Who orders again", "Wer wieder bestellt"),
            description: t.say(
                "A row for each month of first orders, a column for each month after it; in each cell the share of the \
                 row's customers that ordered in that month, in per cent.",
                "Eine Zeile je Monat der ersten Bestellung, eine Spalte je Monat danach; in jedem Feld der Anteil der \
                 Kunden der Zeile, die in jenem Monat bestellten, in Prozent.",
            ),
            empty: nothing(t),
        },
        columns: t.say(
            "months after the first order; share ordering, in per cent",
            "Monate nach der ersten Bestellung; Anteil mit Bestellung, in Prozent",
        ),
        rows_name: t.say("first order", "erste Bestellung"),
        n_name: t.say("customers", "Kunden"),
        incomplete: t.say("this month is not over", "dieser Monat ist nicht vorbei"),
        value: &share,
        count: &count,
        rows: rows.collect(),
    })
}

/// What buyers are expected to bring in.
pub(super) fn predicted(found: &Predicted, t: &Teller) -> String {
    let bin =
        |bin: &crate::kpis::ValueBin| Bin { low: bin.low_minor, high: bin.high_minor, count: bin.customers };
    let mut markers = Vec::new();
    for (measure, label) in
        [(found.mean_minor, t.say("mean", "Mittel")), (found.median_minor, t.say("median", "Median"))]
    {
        markers.extend(measure.get().ok().map(|value| Marker { at: value.value(), label }));
    }
    // The smaller one above, so that no line runs through the name of another.
    markers.sort_by(|one: &Marker<'_>, other| one.at.total_cmp(&other.at));
    let axis = format!(
        "{} ({})",
        t.say("expected value of the next 365 days", "erwarteter Wert der nächsten 365 Tage"),
        t.currency
    );
    let (value, count) = (|minor: f64| t.axis_money(minor), |n: f64| t.number(n, 0));
    histogram(&Histogram {
        frame: Frame {
            id: "predicted",
            title: t.say("Expected value of buyers", "Erwarteter Wert der Käufer"),
            description: t.say(
                "How many buyers are expected to bring in how much.",
                "Wie viele Käufer voraussichtlich wie viel einbringen.",
            ),
            empty: t.say(
                "What was learned of the shop says nothing of this.",
                "Das über den Shop Gelernte sagt darüber nichts.",
            ),
        },
        x_axis: &axis,
        y_axis: t.say("buyers", "Käufer"),
        x: &value,
        y: &count,
        bins: found.bins.iter().map(bin).collect(),
        markers,
    })
}

/// The age, in months, at which most can be said of the latest cohorts: the oldest that three of them have reached, or
/// else the one that most have.
pub(super) fn telling_age(rows: &[RealisedRow]) -> Option<u32> {
    let mut known: BTreeMap<u32, u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.value_minor.get().is_ok()) {
        *known.entry(row.months).or_default() += 1;
    }
    let many = known.iter().rev().find(|(_, count)| **count >= 3).map(|(age, _)| *age);
    many.or_else(|| known.iter().max_by_key(|(_, count)| **count).map(|(age, _)| *age))
}

/// What the customers of each month have brought in by that age.
pub(super) fn realised(rows: &[RealisedRow], t: &Teller) -> String {
    let age = telling_age(rows).unwrap_or_default();
    let rows: Vec<&RealisedRow> =
        rows.iter().filter(|row| row.months == age && row.value_minor.get().is_ok()).collect();
    let rows = &rows[rows.len().saturating_sub(MOST_BARS)..];
    let notes: Vec<String> = rows
        .iter()
        .map(|row| format!("n = {}", t.count(row.value_minor.get().map_or(0, |value| value.n()))))
        .collect();
    let bars_of = rows.iter().zip(&notes).map(|(row, note)| Bar {
        label: &row.of,
        figure: row.value_minor.get().map_err(|_| Unknown::Empty),
        note,
    });
    let axis = format!(
        "{} {} ({})",
        t.say("brought in by a customer until month", "je Kunde eingebracht bis Monat"),
        age,
        t.currency
    );
    let value = |minor: f64| t.axis_money(minor);
    bars(&Bars {
        frame: Frame {
            id: "realised",
            title: t.say("Realised value by month of first order", "Erzielter Wert nach Monat der ersten Bestellung"),
            description: t.say(
                "A bar for each month of first orders: what a customer has brought in on average, with its 95 % interval.",
                "Ein Balken je Monat der ersten Bestellung: was ein Kunde im Mittel eingebracht hat, mit 95-%-Intervall.",
            ),
            empty: nothing(t),
        },
        axis: &axis,
        value: &value,
        unknown: t.unknown(),
        bars: bars_of.collect(),
    })
}
