//! What customers bought in their second order after a certain item in their first. Never counts the same item again:
//! that is a cycle, not a discovery.

use serde::{Deserialize, Serialize};

use super::interactions::{Interactions, count};
use crate::association::{attracts, g2};

/// Something bought next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Next {
    /// The item.
    pub item: u32,
    /// How many customers bought it in their second order after the other in their first.
    pub times: u32,
    /// Dunning's G² over all customers with a second order; above zero.
    pub score: f64,
}

/// For every item of a first order, what came next.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AfterFirst {
    firsts: Vec<u32>,
    starts: Vec<usize>,
    nexts: Vec<Next>,
}

impl AfterFirst {
    /// Items of an order beyond so many, in rising order of their numbers, are not paired: a wholesaler's order would
    /// cost its square.
    const MOST_ITEMS: usize = 200;

    /// Learns the lists: pairs that attract each other and that at least `least_customers` (two or more is wise)
    /// bought one after the other, the `keep` surest an item. An order is a day on which something was bought.
    #[must_use]
    pub fn learn(interactions: &Interactions, least_customers: u32, keep: usize) -> Self {
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        let item_count = interactions.items().len();
        let (mut in_first, mut in_next) = (vec![0u64; item_count], vec![0u64; item_count]);
        let mut customers = 0u64;
        for row in 0..interactions.customers().len() {
            let days = |cell: usize| interactions.days_at(cell);
            let Some(first) = interactions.row(row).filter_map(|cell| days(cell).first().copied()).min()
            else {
                continue;
            };
            let later = interactions.row(row).flat_map(|cell| days(cell).iter().copied());
            let Some(second) = later.filter(|day| *day > first).min() else { continue };
            customers += 1;
            let cells = interactions.row(row);
            let firsts = cells.clone().filter(|cell| days(*cell).first() == Some(&first));
            let firsts: Vec<u32> =
                firsts.map(|cell| interactions.item_at(cell)).take(Self::MOST_ITEMS).collect();
            let nexts = cells.filter(|cell| days(*cell).first() == Some(&second));
            let nexts: Vec<u32> =
                nexts.map(|cell| interactions.item_at(cell)).take(Self::MOST_ITEMS).collect();
            firsts.iter().for_each(|item| in_first[*item as usize] += 1);
            nexts.iter().for_each(|item| in_next[*item as usize] += 1);
            pairs.extend(firsts.iter().flat_map(|first| nexts.iter().map(|next| (*first, *next))));
        }
        pairs.sort_unstable();
        let mut made = Self::default();
        for of_first in pairs.chunk_by(|a, b| a.0 == b.0) {
            let first = of_first[0].0 as usize;
            let mut nexts: Vec<Next> = Vec::new();
            for same in of_first.chunk_by(|a, b| a.1 == b.1) {
                let next = same[0].1 as usize;
                let both = same.len() as u64;
                let (one, other) = (in_first[first] - both, in_next[next] - both);
                let neither = customers - both - one - other;
                let score = g2(both, one, other, neither);
                let times = count(same.len());
                if times >= least_customers && attracts(both, one, other, neither) && score > 0.0 {
                    nexts.push(Next { item: interactions.items()[next], times, score });
                }
            }
            nexts.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
            nexts.truncate(keep);
            if !nexts.is_empty() {
                made.firsts.push(interactions.items()[first]);
                made.starts.push(made.nexts.len());
                made.nexts.extend(nexts);
            }
        }
        made
    }

    /// What came next after an item, surest first.
    #[must_use]
    pub fn of(&self, first: u32) -> &[Next] {
        let Ok(place) = self.firsts.binary_search(&first) else { return &[] };
        let to = self.starts.get(place + 1).copied().unwrap_or(self.nexts.len());
        &self.nexts[self.starts[place]..to]
    }
}
