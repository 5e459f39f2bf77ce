//! How well a way of recommending would have done on the shop's own past: it sees the orders before a day, and is
//! measured against each known customer's next order. Never lets the future into what is learnt.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::interactions::{Interactions, Line};

/// A shop's orders, cut in two at a day.
#[derive(Debug, Clone)]
pub struct Split {
    /// What was known before the day.
    pub before: Interactions,
    /// The first order from that day on of every customer with one before.
    next: Vec<(u32, BTreeSet<u32>)>,
}

/// How good lists were, as means over customers; each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How many customers were asked about.
    pub customers: u32,
    /// The share of the next order's items that were among the first `k`.
    pub recall: f64,
    /// The normalised discounted cumulative gain of the first `k` with gains 0 and 1: 1 when the list begins with
    /// items of the next order. Source: K. Järvelin and J. Kekäläinen, ACM TOIS 20(4), 2002; the discount is
    /// 1 / log2(place + 1).
    pub ndcg: f64,
    /// The share of customers for whom at least one of the first `k` was right.
    pub hit_rate: f64,
}

/// Both ways of looking at it; `None` where there was nobody to ask about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Backtest {
    /// Against everything in the next order.
    pub all: Option<Scores>,
    /// Against what the customer had never bought before, with what they had taken out of the list.
    pub new_items: Option<Scores>,
}

impl Split {
    /// Cuts the lines: what is on `day` belongs to what comes next.
    #[must_use]
    pub fn at(lines: &[Line], day: i32) -> Self {
        let (before, after): (Vec<Line>, Vec<Line>) = lines.iter().partition(|line| line.day < day);
        let before = Interactions::from_lines(before);
        let after = Interactions::from_lines(after);
        let known =
            after.customers().iter().filter(|customer| before.customers().binary_search(customer).is_ok());
        let next = known.map(|customer| {
            let first = after.purchases_of(*customer).filter_map(|bought| bought.days.first().copied()).min();
            let items = after.purchases_of(*customer).filter(|bought| bought.days.first().copied() == first);
            (*customer, items.map(|bought| bought.item).collect())
        });
        let next = next.collect();
        Self { before, next }
    }

    /// The customers there is something to ask about, rising.
    pub fn customers(&self) -> impl Iterator<Item = u32> + '_ {
        self.next.iter().map(|(customer, _)| *customer)
    }

    /// Asks for every such customer's list, best first, and compares its first `k` with what they bought. For the
    /// figures about new items lists should be longer than `k` when they contain what customers have.
    #[must_use]
    pub fn score(&self, k: usize, mut list: impl FnMut(u32) -> Vec<u32>) -> Backtest {
        let (mut all, mut new_items) = (Sums::default(), Sums::default());
        for (customer, truth) in &self.next {
            let listed = list(*customer);
            all.add(k, &listed, truth);
            let had: BTreeSet<u32> = self.before.purchases_of(*customer).map(|bought| bought.item).collect();
            let new_truth: BTreeSet<u32> = truth.difference(&had).copied().collect();
            let new_listed: Vec<u32> = listed.into_iter().filter(|item| !had.contains(item)).collect();
            new_items.add(k, &new_listed, &new_truth);
        }
        Backtest { all: all.means(), new_items: new_items.means() }
    }
}

#[derive(Default)]
struct Sums {
    customers: u32,
    recall: f64,
    ndcg: f64,
    hits: f64,
}

impl Sums {
    fn add(&mut self, k: usize, listed: &[u32], truth: &BTreeSet<u32>) {
        if truth.is_empty() {
            return;
        }
        let mut seen = BTreeSet::new();
        let (mut found, mut gain) = (0u32, 0.0);
        let distinct = listed.iter().filter(|item| seen.insert(**item)).take(k);
        for (item, discount) in distinct.zip(discounts()) {
            if truth.contains(item) {
                found += 1;
                gain += discount;
            }
        }
        let best: f64 = discounts().take(k.min(truth.len())).sum();
        self.customers += 1;
        self.recall += f64::from(found) / f64::from(super::interactions::count(truth.len()));
        self.ndcg += if best > 0.0 { gain / best } else { 0.0 };
        self.hits += f64::from(u8::from(found > 0));
    }

    fn means(&self) -> Option<Scores> {
        let customers = f64::from(self.customers);
        (self.customers > 0).then(|| Scores {
            customers: self.customers,
            recall: self.recall / customers,
            ndcg: self.ndcg / customers,
            hit_rate: self.hits / customers,
        })
    }
}

/// 1 / log2(place + 1) for places from 1 on.
fn discounts() -> impl Iterator<Item = f64> {
    (2u32..).map(|place| 1.0 / f64::from(place).log2())
}
