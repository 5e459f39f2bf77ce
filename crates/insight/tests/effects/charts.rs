//! Charts as text, reviewed as pictures: every chart once with German words, which are long, and what it does with too
//! little or with hostile words.

use zyklus_insight::chart::{
    Bar, Bars, Bin, Bucket, Calibration, CurvePoint, Curves, Flow, FlowChart, FlowNode, Frame, HeatCell,
    HeatMap, HeatRow, Histogram, Marker, Series, bars, bins, calibration, curves, flow, heat_map, histogram,
};
use zyklus_insight::interval::{Level, Tally, Unknown, share, share_difference};
use zyklus_insight::survival::{Curve, Spell, curve};

use super::dice::Dice;

const L: Level = Level::P95;

fn frame<'a>(id: &'a str, title: &'a str) -> Frame<'a> {
    Frame { id, title, description: "Was zu sehen ist, in einem Satz.", empty: "Noch keine Daten" }
}

/// German numbers: 1.234,5.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.*}", decimals, value.abs());
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push('.');
        }
        grouped.push(digit);
    }
    let sign = if value < 0.0 && text.chars().any(|c| ('1'..='9').contains(&c)) { "−" } else { "" };
    if part.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped},{part}") }
}

fn whole(value: f64) -> String {
    number(value, 0)
}

fn percent(value: f64) -> String {
    format!("{} %", number(100.0 * value, 0))
}

fn points(value: f64) -> String {
    format!("{} %-Pkt.", number(100.0 * value, 1))
}

fn euro(value: f64) -> String {
    format!("{} €", number(value, 0))
}

/// Every tag is closed, in order: enough of an XML reader for what a chart writes.
fn well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in svg.split('<').skip(1) {
        let tag = part.split('>').next().unwrap();
        assert_ne!(tag.len(), part.len(), "a tag without an end: {part}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed in order");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert!(svg.starts_with("<svg ") && svg.contains("<title id=") && svg.contains("<desc id="));
    assert!(!svg.contains("NaN") && !svg.contains("inf\""));
    assert!(!svg.contains("<script") && !svg.contains(" style="));
}

fn check(name: &str, svg: &str) {
    well_formed(svg);
    insta::assert_snapshot!(name, svg);
}

#[test]
fn phases_flow() {
    let names = ["Interessent", "Neukunde", "Aktiv", "Abwanderungsgefährdet", "Abgewandert", "Verloren"];
    let nodes = |column| names.iter().enumerate().map(move |(kind, label)| FlowNode { label, column, kind });
    let at = |column: usize, kind: usize| column * names.len() + kind;
    let moved = [
        (0, 0, 820),
        (0, 1, 260),
        (1, 1, 90),
        (1, 2, 210),
        (1, 3, 130),
        (2, 2, 1_240),
        (2, 3, 310),
        (3, 2, 95),
        (3, 3, 160),
        (3, 4, 220),
        (4, 2, 24),
        (4, 4, 380),
        (4, 5, 90),
        (5, 2, 3),
        (5, 5, 640),
    ];
    let between = |column: usize, more: u64| {
        moved.map(|(from, to, customers)| Flow {
            from: at(column, from),
            to: at(column + 1, to),
            customers: customers * more / 10,
        })
    };
    let two = FlowChart {
        frame: frame("flow", "Wanderung zwischen den Phasen"),
        columns: vec!["1. September 2026", "1. Oktober 2026"],
        count: &whole,
        nodes: nodes(0).chain(nodes(1)).collect(),
        flows: between(0, 10).to_vec(),
    };
    check("flow", &flow(&two));
    let three = FlowChart {
        columns: vec!["1. September 2026", "1. Oktober 2026", "1. November 2026"],
        nodes: nodes(0).chain(nodes(1)).chain(nodes(2)).collect(),
        flows: between(0, 10).into_iter().chain(between(1, 11)).collect(),
        ..two
    };
    check("flow-three", &flow(&three));
}

#[test]
fn cohorts_are_a_heat_map() {
    let months = ["Januar 2026", "Februar 2026", "März 2026", "April 2026", "Mai 2026", "September 2026"];
    let row = |(at, label): (usize, &&'static str)| {
        let age = 5 - at;
        let value = |k: usize| if k == 0 { 1.0 } else { 0.31 / (k as f64).sqrt() + 0.01 * at as f64 };
        let cell = |k: usize| HeatCell { value: Some(value(k)), complete: k < age };
        HeatRow { label, n: 1_204 + 37 * at as u64, cells: (0..=age).map(cell).collect() }
    };
    let chart = HeatMap {
        frame: frame("heat", "Wiederkäufer nach Monat der ersten Bestellung"),
        columns: "Monate nach der ersten Bestellung",
        rows_name: "Erste Bestellung",
        n_name: "Kunden",
        incomplete: "Monat noch nicht abgeschlossen",
        value: &percent,
        count: &whole,
        rows: months.iter().enumerate().map(row).collect(),
    };
    check("heat", &heat_map(&chart));
    let long = HeatRow {
        label: "Dez. 2024",
        n: 12,
        cells: (0..24).map(|k| HeatCell { value: (k != 3).then_some(0.1), complete: k < 23 }).collect(),
    };
    check(
        "heat-wide",
        &heat_map(&HeatMap { rows: vec![long], value: &|share| number(100.0 * share, 1), ..chart }),
    );
}

#[test]
fn values_are_a_histogram() {
    let count = |at: u64| [310, 420, 365, 240, 170, 120, 75, 52, 31, 22, 12, 9][at as usize];
    let bins =
        (0..12).map(|at| Bin { low: 50.0 * at as f64, high: 50.0 * (at + 1) as f64, count: count(at) });
    let chart = Histogram {
        frame: frame("clv", "Kundenwert in den nächsten 12 Monaten"),
        x_axis: "Erwarteter Kundenwert in 12 Monaten (€)",
        y_axis: "Kunden",
        x: &euro,
        y: &whole,
        bins: bins.collect(),
        markers: vec![
            Marker { at: 128.0, label: "Median" },
            Marker { at: 171.0, label: "Mittelwert" },
            Marker { at: 560.0, label: "Oberstes Prozent" },
        ],
    };
    check("histogram", &histogram(&chart));
}

#[test]
fn bins_are_round_and_hold_every_value() {
    let found = bins(&[3.0, 10.0, 19.9, 20.0, 87.0, f64::NAN], 8);
    let shape: Vec<_> = found.iter().map(|bin| (bin.low, bin.high, bin.count)).collect();
    assert_eq!(shape[..2], [(0.0, 20.0, 3), (20.0, 40.0, 1)]);
    assert_eq!((shape.len(), shape[4]), (5, (80.0, 100.0, 1)));
    assert_eq!(bins(&[f64::INFINITY], 8), []);
    for odd in
        [vec![5.0; 3], vec![1e300, 1.000_000_000_000_01e300], vec![-1e-300, 1e-300], vec![f64::MAX, f64::MIN]]
    {
        let held: u64 = bins(&odd, 8).iter().map(|bin| bin.count).sum();
        assert_eq!(held, odd.len() as u64, "{odd:?}");
    }
}

/// Waits with this mean, watched for 180 days at most.
fn waits(seed: u64, n: usize, mean: f64) -> Curve {
    let mut dice = Dice::new(seed);
    let mut spell = || {
        let (days, watched) = (dice.wait(mean), 30.0 + 150.0 * dice.even());
        if days < watched { Spell { days, exit: Some(()) } } else { Spell { days: watched, exit: None } }
    };
    let spells: Vec<Spell<()>> = (0..n).map(|_| spell()).collect();
    curve(&spells, L).unwrap()
}

#[test]
fn survival_is_curves_with_bands() {
    let risk_at: Vec<f64> = (0..7).map(|at| 30.0 * f64::from(at)).collect();
    let series = |label, curve: &Curve| {
        let step = |step: &zyklus_insight::survival::Step| CurvePoint {
            x: step.days,
            share: 1.0 - step.share,
            low: 1.0 - step.high,
            high: 1.0 - step.low,
        };
        let start = CurvePoint { x: 0.0, share: 0.0, low: 0.0, high: 0.0 };
        Series {
            label,
            points: std::iter::once(start).chain(curve.steps().iter().map(step)).collect(),
            at_risk: risk_at.iter().map(|at| curve.at_risk(*at)).collect(),
        }
    };
    let chart = Curves {
        frame: frame("second", "Zweite Bestellung nach der ersten"),
        x_axis: "Tage seit der ersten Bestellung",
        y_axis: "Anteil mit zweiter Bestellung",
        x: &whole,
        y: &percent,
        count: &whole,
        risk_label: "Noch unter Beobachtung",
        series: vec![
            series("Newsletter-Abonnenten", &waits(1, 60, 90.0)),
            series("Übrige", &waits(2, 40, 300.0)),
        ],
        risk_at,
    };
    check("curves", &curves(&chart));
}

#[test]
fn calibration_is_points_on_a_diagonal() {
    let bucket = |at: u64| {
        let n = if at == 9 { 20 } else { 200 };
        let seen = share(Tally::new((n * (4 + at * 7)) / 100, n).unwrap(), L).unwrap();
        Bucket { predicted: 0.03 + 0.068 * at as f64, seen }
    };
    let chart = Calibration {
        frame: frame("calibration", "Vorhersage und Wirklichkeit"),
        x_axis: "Vorhergesagt: Bestellung binnen 90 Tagen",
        y_axis: "Eingetreten",
        diagonal: "Auf der Linie stimmt die Vorhersage",
        value: &percent,
        buckets: (0..10).map(bucket).collect(),
    };
    check("calibration", &calibration(&chart));
}

fn lifts() -> Vec<Bar<'static>> {
    let lift = |label, treated: (u64, u64), held: (u64, u64)| Bar {
        label,
        figure: share_difference(
            Tally::new(treated.0, treated.1).unwrap(),
            Tally::new(held.0, held.1).unwrap(),
            L,
        ),
        note: if held.1 < 30 { "n = 25" } else { "n = 1.000" },
    };
    vec![
        lift("Willkommen", (230, 1_800), (70, 900)),
        lift("Rückgewinnung Abwanderungsgefährdeter", (80, 1_000), (20, 200)),
        lift("Warenkorb-Erinnerung", (60, 400), (2, 25)),
        Bar { label: "Bald leer", figure: Err(Unknown::Empty), note: "" },
    ]
}

#[test]
fn lifts_are_bars_with_intervals() {
    let chart = Bars {
        frame: frame("lift", "Zusätzliche Bestellungen je Strecke"),
        axis: "Mehr Kunden mit Bestellung als in der Kontrollgruppe (Prozentpunkte)",
        value: &points,
        unknown: "unbekannt",
        bars: lifts(),
    };
    check("bars", &bars(&chart));
}

#[test]
fn words_are_escaped_and_nonsense_is_left_out() {
    let hostile = Frame {
        id: "a\" onload=\"x",
        title: "</title><script>alert(1)</script>",
        description: "a & b \u{0} \"c\"",
        empty: "<nothing>",
    };
    let evil = |_: f64| "<b>".to_owned();
    let empty = Bars { frame: hostile, axis: "", value: &evil, unknown: "", bars: vec![] };
    check("empty", &bars(&empty));
    let one = Bars {
        bars: vec![Bar { label: "<i>&</i>", figure: share(Tally::new(1, 2).unwrap(), L), note: "<" }],
        ..empty
    };
    well_formed(&bars(&one));
    let odd = |low, high| Bin { low, high, count: 3 };
    let chart = Histogram {
        frame: hostile,
        x_axis: "<",
        y_axis: ">",
        x: &evil,
        y: &evil,
        bins: vec![odd(f64::NAN, 1.0), odd(2.0, 1.0), odd(1e300, 2e300), odd(-1e-300, 1e-300)],
        markers: vec![Marker { at: f64::NAN, label: "<" }],
    };
    well_formed(&histogram(&chart));
    let lost = Flow { from: 7, to: 9, customers: 1 };
    let back = Flow { from: 1, to: 0, customers: 1 };
    let node = |column| FlowNode { label: "<", column, kind: 0 };
    let chart = FlowChart {
        frame: hostile,
        columns: vec![],
        count: &evil,
        nodes: vec![node(0), node(1)],
        flows: vec![lost, back],
    };
    assert!(flow(&chart).contains("&lt;nothing&gt;"));
    well_formed(&flow(&chart));
}
