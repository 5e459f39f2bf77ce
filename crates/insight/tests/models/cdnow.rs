//! CDNOW as the tests use it: orders, the published summary that follows from them, and reference figures. Never more
//! than reading; tests/data/README.md says where it comes from.

use std::collections::BTreeMap;

use zyklus_insight::rfm::{Day, History, Rfm};
use zyklus_insight::span::{Span, Unit};

/// 30 September 1997, the end of the calibration.
pub(crate) const CUT: Day = 272;
/// The holdout's 39 weeks.
pub(crate) const HOLDOUT: Day = 39 * 7;

fn lines(text: &str) -> impl Iterator<Item = Vec<f64>> + '_ {
    text.lines().skip(1).map(|line| line.split(',').map(|field| field.parse().unwrap()).collect())
}

/// Every line: customer, day, cents.
pub(crate) fn orders() -> (Vec<u32>, Vec<Day>, Vec<i64>) {
    let (mut customers, mut days, mut cents) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines(include_str!("../data/cdnow_orders.csv")) {
        customers.push(line[0] as u32);
        days.push(line[1] as Day);
        cents.push(line[2] as i64);
    }
    (customers, days, cents)
}

/// Every customer, by ascending number.
pub(crate) fn histories() -> Vec<History> {
    let (customers, days, cents) = orders();
    let mut own: BTreeMap<u32, Vec<(Day, i64)>> = BTreeMap::new();
    for ((customer, day), cents) in customers.into_iter().zip(days).zip(cents) {
        own.entry(customer).or_default().push((day, cents));
    }
    own.into_values().map(|orders| History::new(orders).unwrap()).collect()
}

/// The published summary: weeks and dollars rounded to two decimals.
pub(crate) fn published(rfm: &Rfm) -> Rfm {
    let rounded = |span: Span| {
        let weeks = (span.as_weeks() * 100.0 + 0.5).floor() / 100.0;
        Span::new(weeks, Unit::Week).unwrap()
    };
    let spend = rfm.spend().map(|cents| (cents + 0.5).floor());
    Rfm::new(rfm.repeats(), rounded(rfm.recency()), rounded(rfm.age()), spend).unwrap()
}

/// The published summary of every customer, by ascending number.
pub(crate) fn summary() -> Vec<Rfm> {
    histories().iter().map(|history| published(&history.rfm(CUT).unwrap())).collect()
}

/// What the models say of a customer at the exact maximum.
pub(crate) struct Reference {
    pub(crate) bg_alive: f64,
    pub(crate) bg_39: f64,
    pub(crate) mbg_alive: f64,
    pub(crate) mbg_39: f64,
    pub(crate) pareto_alive: f64,
    pub(crate) pareto_39: f64,
    /// In dollars.
    pub(crate) spend: f64,
    /// In dollars.
    pub(crate) value: f64,
}

/// By ascending number of the customer.
pub(crate) fn reference() -> Vec<Reference> {
    lines(include_str!("../data/cdnow_reference.csv"))
        .map(|line| Reference {
            bg_alive: line[1],
            bg_39: line[2],
            mbg_alive: line[3],
            mbg_39: line[4],
            pareto_alive: line[5],
            pareto_39: line[6],
            spend: line[7],
            value: line[8],
        })
        .collect()
}
