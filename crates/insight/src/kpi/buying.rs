//! How often and how much customers buy. Orders in any order; what was placed after `now` is not looked at.

use std::collections::BTreeMap;

use serde::Serialize;
use zyklus_model::At;
use zyklus_model::time::DAY_MICROS;

use super::{Order, Split};
use crate::interval::{Figure, Level, Moments, Tally, Unknown, figure, mean, median, ratio, share};
use crate::survival::{Curve, Quantile, Spell, curve, days};

/// Each customer's purchases by time, as the instants they began.
pub(super) fn purchases(orders: &[Order], now: At, split: Split) -> BTreeMap<u64, Vec<At>> {
    let mut lives: BTreeMap<u64, Vec<At>> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.at <= now) {
        lives.entry(order.customer).or_default().push(order.at);
    }
    for life in lives.values_mut() {
        life.sort_unstable();
        if split == Split::Merged {
            // `dedup_by` compares with the last one kept, which is the first of its purchase.
            life.dedup_by(|later, first| later.micros_since(*first) < DAY_MICROS);
        }
    }
    lives
}

/// How many first-time buyers come back in time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repeat {
    /// The days given to come back.
    pub within_days: i64,
    /// The share that did, of those whose first purchase is at least that long ago.
    #[serde(serialize_with = "figure")]
    pub share: Figure,
    /// First purchases in the window that are too young to be counted.
    pub too_young: u64,
}

/// Of the customers whose first purchase lies in `[from, to)` and at least `within` days back, the share whose second one
/// followed within those days.
pub fn repeat_rate(
    orders: &[Order],
    (from, to): (At, At),
    within: i64,
    now: At,
    split: Split,
    level: Level,
) -> Repeat {
    let lives = purchases(orders, now, split);
    let cohort: Vec<&Vec<At>> = lives.values().filter(|life| from <= life[0] && life[0] < to).collect();
    let old = |life: &&&Vec<At>| life[0].plus_days(within) <= now;
    let came = |life: &Vec<At>| life.get(1).is_some_and(|second| *second <= life[0].plus_days(within));
    let tally = Tally::count(cohort.iter().filter(old).map(|life| came(life)));
    Repeat { within_days: within, share: share(tally, level), too_young: cohort.len() as u64 - tally.of() }
}

/// After how many days customers buy a second time, of all whose first purchase lies in `[from, to)`, the young ones as
/// far as they have come: the share that has is `gone_by`.
///
/// # Errors
/// [`Unknown::Empty`] without such customers.
pub fn second_order_curve(
    orders: &[Order],
    (from, to): (At, At),
    now: At,
    split: Split,
    level: Level,
) -> Result<Curve, Unknown> {
    let lives = purchases(orders, now, split);
    let cohort = lives.values().filter(|life| from <= life[0] && life[0] < to);
    let spells: Vec<Spell<()>> = cohort.map(|life| gap(life[0], life.get(1).copied(), now)).collect();
    curve(&spells, level)
}

/// The days between purchases, the one everybody is still in included: without it only the short gaps are seen.
///
/// # Errors
/// [`Unknown::Empty`] without orders.
pub fn gap_curve(orders: &[Order], now: At, split: Split, level: Level) -> Result<Curve, Unknown> {
    let lives = purchases(orders, now, split);
    let gaps = lives.values().flat_map(|life| {
        let next = |at: usize| life.get(at + 1).copied();
        (0..life.len()).map(move |at| gap(life[at], next(at), now))
    });
    curve(&gaps.collect::<Vec<_>>(), level)
}

/// By when the given share of purchases has been followed by another: 0.8 and 0.9 are what is called overdue. If so many
/// never come back, that is what it says.
///
/// # Errors
/// [`Unknown::Empty`] without orders.
pub fn gap_days(
    orders: &[Order],
    gone: f64,
    now: At,
    split: Split,
    level: Level,
) -> Result<Quantile, Unknown> {
    Ok(gap_curve(orders, now, split, level)?.quantile(gone))
}

fn gap(from: At, next: Option<At>, now: At) -> Spell<()> {
    Spell { days: days(from, next.unwrap_or(now)), exit: next.map(|_| ()) }
}

/// Purchases a buyer in the 365 days until `now`; `n` is the active base. Who bought nothing in them is not in it, so the
/// base belongs beside it.
///
/// # Errors
/// As [`mean`].
pub fn purchase_frequency(orders: &[Order], now: At, split: Split, level: Level) -> Figure {
    let since = now.plus_days(-365);
    let lives = purchases(orders, now, split);
    let recent = lives.values().map(|life| life.iter().filter(|at| **at > since).count());
    mean(&Moments::of(recent.filter(|count| *count > 0).map(|count| count as f64)), level)
}

/// What an order is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Basket {
    /// Σ net / orders, in minor units; its interval counts a customer's orders as belonging together.
    #[serde(serialize_with = "figure")]
    pub mean_minor: Figure,
    /// The median, which a few large orders do not move. Its interval takes orders for independent.
    #[serde(serialize_with = "figure")]
    pub median_minor: Figure,
    /// How many orders.
    pub orders: u64,
}

/// The average order in `[from, to)`, both ways.
pub fn average_order(orders: &[Order], (from, to): (At, At), level: Level) -> Basket {
    let inside: Vec<&Order> = orders.iter().filter(|order| from <= order.at && order.at < to).collect();
    let pairs = by_customer(&inside, |order| (order.net_minor as f64, 1.0));
    let values: Vec<f64> = inside.iter().map(|order| order.net_minor as f64).collect();
    Basket {
        mean_minor: ratio(&pairs, level),
        median_minor: median(&values, level),
        orders: inside.len() as u64,
    }
}

/// Σ discount / Σ gross in `[from, to)`, a share of the full price.
///
/// # Errors
/// As [`ratio`].
pub fn discount_rate(orders: &[Order], (from, to): (At, At), level: Level) -> Figure {
    let inside: Vec<&Order> = orders.iter().filter(|order| from <= order.at && order.at < to).collect();
    ratio(&by_customer(&inside, |order| (order.discount_minor as f64, order.gross_minor as f64)), level)
}

/// A pair of sums a customer.
fn by_customer(orders: &[&Order], pair: impl Fn(&Order) -> (f64, f64)) -> Vec<(f64, f64)> {
    let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for order in orders {
        let (one, other) = pair(order);
        let sum = sums.entry(order.customer).or_default();
        *sum = (sum.0 + one, sum.1 + other);
    }
    sums.into_values().collect()
}
