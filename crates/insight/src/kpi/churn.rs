//! Who has gone, in a business where nobody says goodbye: by the shop's own gaps between orders, or by a model's
//! probability. People called gone do return, so the returns are counted beside them.

use serde::Serialize;
use zyklus_model::At;

use super::buying::purchases;
use super::{Order, Split};
use crate::interval::{Figure, Level, Tally, figure, share};
use crate::survival::days;

/// Churn between two points in time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Churn {
    /// Of those active at the first, the share no longer active at the second.
    #[serde(serialize_with = "figure")]
    pub share: Figure,
    /// Customers who counted as gone at the first and ordered before the second.
    pub reactivated: u64,
    /// Of those who counted as gone, the share that did.
    #[serde(serialize_with = "figure")]
    pub reactivation: Figure,
}

/// Active is who has bought within the last `gap` days, usually the 0.9 quantile of the shop's gaps, of a category or of
/// everything, as the rows are chosen.
pub fn churn_by_gap(orders: &[Order], gap: f64, (from, to): (At, At), split: Split, level: Level) -> Churn {
    let lives = purchases(orders, to, split);
    let (mut left, mut back) = (Tally::default(), Tally::default());
    for life in lives.values() {
        let before = life.partition_point(|at| *at <= from);
        let Some(last) = before.checked_sub(1).map(|at| life[at]) else { continue };
        let newest = life[life.len() - 1];
        if days(last, from) <= gap {
            left = left.plus(Tally::count([days(newest, to) > gap]));
        } else {
            back = back.plus(Tally::count([newest > from]));
        }
    }
    Churn { share: share(left, level), reactivated: back.hits(), reactivation: share(back, level) }
}

/// A model's chance that a customer orders within its horizon, or is still a customer, at two points in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// At the first.
    pub before: f64,
    /// At the second.
    pub after: f64,
    /// Whether they ordered in between.
    pub ordered: bool,
}

/// Active is whose chance is at least `threshold`. A chance that is not finite is none.
pub fn churn_by_model(customers: &[Chance], threshold: f64, level: Level) -> Churn {
    let known = || customers.iter().filter(|one| one.before.is_finite() && one.after.is_finite());
    let left = Tally::count(
        known().filter(|one| one.before >= threshold).map(|one| one.after < threshold && !one.ordered),
    );
    let back = Tally::count(known().filter(|one| one.before < threshold).map(|one| one.ordered));
    Churn { share: share(left, level), reactivated: back.hits(), reactivation: share(back, level) }
}
