//! How often things are bought again, and when a customer's are due. Never says that a customer will buy: only when
//! their own rhythm and that of others would have it.
//!
//! The logarithm of a gap between two purchases of an item by one customer is taken to scatter normally around the
//! customer's own mean, and those means around the item's. A customer's mean is then the one of their own gaps, drawn
//! towards the item's by κ = σ² / τ² gaps' worth (the posterior mean of the normal model: A. Gelman et al., Bayesian
//! Data Analysis, 3rd ed. 2013, equation 2.11). σ² and τ² come from the shop's own gaps by the analysis of variance
//! of the unbalanced one-way layout (S. Searle, G. Casella, C. McCulloch, Variance Components, 1992, section 3.6),
//! with the items' sums of squares pooled.

use serde::{Deserialize, Serialize};

use super::interactions::{Interactions, Purchases};

/// When an item counts as something that is bought again, and when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CycleOptions {
    /// An item has a cycle from so many customers on who bought it again.
    pub least_customers: u32,
    /// And when at least this share of its customers did.
    pub least_share: f64,
    /// A customer has a cycle of their own from so many gaps on, whatever others do.
    pub least_own_gaps: u32,
    /// From this part of a cycle on an item is due.
    pub due_from: f64,
    /// After so many cycles nobody waits for it any more.
    pub given_up_after: f64,
}

impl Default for CycleOptions {
    fn default() -> Self {
        Self { least_customers: 3, least_share: 0.1, least_own_gaps: 2, due_from: 0.8, given_up_after: 3.0 }
    }
}

/// Where in its cycle an item of a customer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// They will still have some.
    Early,
    /// Now.
    Due,
    /// They have stopped, or buy it elsewhere.
    GivenUp,
}

/// A customer's cycle of one item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replenishment {
    /// The item.
    pub item: u32,
    /// Days between two purchases, at least one: the middle of what is expected, not its mean.
    pub every_days: f64,
    /// The last purchase.
    pub last_day: i32,
    /// The day on which a cycle will have passed since then.
    pub due_on: i32,
    /// How often the customer bought it.
    pub times: u32,
}

impl Replenishment {
    /// How many cycles have passed on a day since the last purchase.
    #[must_use]
    pub fn elapsed(&self, today: i32) -> f64 {
        (f64::from(today) - f64::from(self.last_day)).max(0.0) / self.every_days
    }

    /// Where it stands on a day.
    #[must_use]
    pub fn stage(&self, today: i32, options: &CycleOptions) -> Stage {
        let elapsed = self.elapsed(today);
        if elapsed < options.due_from {
            Stage::Early
        } else if elapsed <= options.given_up_after {
            Stage::Due
        } else {
            Stage::GivenUp
        }
    }
}

/// What one item's gaps sum up to.
#[derive(Debug, Clone, Copy, Default)]
struct Item {
    customers: u32,
    repeaters: u32,
    gaps: f64,
    sum: f64,
    /// Sum over series of (sum of gaps)² / number.
    series_squares: f64,
    /// Sum over series of number².
    number_squares: f64,
}

/// The cycles of all items of a shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cycles {
    options: CycleOptions,
    items: Vec<u32>,
    /// Beside `items`: the mean logarithm of its gaps, if anybody bought it again, and whether it has a cycle.
    known: Vec<Option<(f64, bool)>>,
    /// How many gaps the item's mean counts for beside a customer's own.
    prior_gaps: f64,
}

/// The logarithms of the gaps of one customer's purchases.
fn gaps(days: &[i32]) -> impl Iterator<Item = f64> + '_ {
    days.windows(2).map(|pair| (f64::from(pair[1]) - f64::from(pair[0])).max(1.0).ln())
}

/// The days between two purchases by a customer's own gaps alone: their geometric mean, at least one day. Of the days of
/// purchases, ascending; nothing from fewer gaps than `least`.
#[must_use]
pub fn own_rhythm(days: &[i32], least: u32) -> Option<f64> {
    let number = days.len().saturating_sub(1);
    if number == 0 || number < least as usize {
        return None;
    }
    Some((gaps(days).sum::<f64>() / number as f64).exp().max(1.0))
}

impl Cycles {
    /// κ where a shop's gaps cannot tell it: two gaps of one's own weigh as much as everybody else's.
    const USUAL_PRIOR: f64 = 2.0;

    /// Learns the items' cycles.
    #[must_use]
    pub fn learn(interactions: &Interactions, options: CycleOptions) -> Self {
        let mut sums = vec![Item::default(); interactions.items().len()];
        let (mut squares_within, mut freedom_within) = (0.0, 0.0);
        for row in 0..interactions.customers().len() {
            for cell in interactions.row(row) {
                let item = &mut sums[interactions.item_at(cell) as usize];
                item.customers += 1;
                let (mut number, mut sum) = (0.0, 0.0);
                for gap in gaps(interactions.days_at(cell)) {
                    number += 1.0;
                    sum += gap;
                }
                if number > 0.0 {
                    let mean = sum / number;
                    squares_within +=
                        gaps(interactions.days_at(cell)).map(|gap| (gap - mean).powi(2)).sum::<f64>();
                    freedom_within += number - 1.0;
                    item.repeaters += 1;
                    item.gaps += number;
                    item.sum += sum;
                    item.series_squares += sum * mean;
                    item.number_squares += number * number;
                }
            }
        }
        let known = sums.iter().map(|item| {
            let share = f64::from(item.repeaters) / f64::from(item.customers.max(1));
            let bought_again =
                item.repeaters >= options.least_customers.max(1) && share >= options.least_share;
            (item.gaps > 0.0).then(|| (item.sum / item.gaps, bought_again))
        });
        Self {
            options,
            items: interactions.items().to_vec(),
            known: known.collect(),
            prior_gaps: prior_gaps(&sums, squares_within, freedom_within),
        }
    }

    /// The options they were learnt with.
    #[must_use]
    pub fn options(&self) -> &CycleOptions {
        &self.options
    }

    /// How many gaps the item's mean counts for beside a customer's own; finite, and above zero.
    #[must_use]
    pub fn prior_gaps(&self) -> f64 {
        self.prior_gaps
    }

    /// The days between two purchases of an item over all its customers, when it is bought again at all.
    #[must_use]
    pub fn of_item(&self, item: u32) -> Option<f64> {
        self.known(item).filter(|(_, bought_again)| *bought_again).map(|(mean, _)| mean.exp().max(1.0))
    }

    /// A customer's cycle of something they bought; `None` when neither they nor others buy it again.
    #[must_use]
    pub fn replenishment(&self, purchases: &Purchases<'_>) -> Option<Replenishment> {
        let own = f64::from(purchases.times()) - 1.0;
        let known = self.known(purchases.item);
        let has_own = own >= f64::from(self.options.least_own_gaps.max(1));
        if !has_own && !known.is_some_and(|(_, bought_again)| bought_again) {
            return None;
        }
        let sum: f64 = gaps(purchases.days).sum();
        let mean = match known {
            Some((mean, _)) => (self.prior_gaps * mean + sum) / (self.prior_gaps + own),
            None => sum / own,
        };
        let every_days = mean.exp().max(1.0);
        let last_day = purchases.last_day();
        let due_on = (f64::from(last_day) + every_days.round()) as i32;
        Some(Replenishment { item: purchases.item, every_days, last_day, due_on, times: purchases.times() })
    }

    fn known(&self, item: u32) -> Option<(f64, bool)> {
        self.items.binary_search(&item).ok().and_then(|place| self.known[place])
    }
}

/// κ = σ² / τ², held within what can be used.
fn prior_gaps(items: &[Item], squares_within: f64, freedom_within: f64) -> f64 {
    let (mut squares_between, mut freedom_between, mut weight) = (0.0, 0.0, 0.0);
    for item in items.iter().filter(|item| item.repeaters > 1) {
        squares_between += item.series_squares - item.sum * item.sum / item.gaps;
        freedom_between += f64::from(item.repeaters) - 1.0;
        weight += item.gaps - item.number_squares / item.gaps;
    }
    if freedom_within < 1.0 || freedom_between < 1.0 || weight <= 0.0 {
        return Cycles::USUAL_PRIOR;
    }
    let within = squares_within / freedom_within;
    let between = (squares_between - freedom_between * within) / weight;
    if within <= 0.0 && between <= 0.0 {
        return Cycles::USUAL_PRIOR;
    }
    (within / between.max(1e-9)).clamp(0.1, 1000.0)
}
