//! One customer's list: what is due again and what goes with what they have, by turns, then what everybody buys. Never
//! offers what was excluded, what the customer has and nobody buys twice, or an item twice.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::after_first::AfterFirst;
use super::cycles::{Cycles, Replenishment, Stage};
use super::interactions::{Interactions, Purchases};
use super::neighbours::{Neighbours, Owned};
use super::popular::Popularity;

/// Why an item is offered; the caller makes the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Goes with something the customer has.
    BoughtTogether {
        /// What they have: of all their items the one that spoke for it most.
        with: u32,
        /// How many customers bought both, in one order or several.
        times: u32,
    },
    /// The customer's supply is running out.
    DueAgain {
        /// Days between two purchases, rounded.
        every_days: u32,
    },
    /// Others bought it in their second order.
    BoughtNext {
        /// What they and this customer bought in their first.
        after: u32,
        /// How many customers.
        times: u32,
    },
    /// Sells well now.
    Popular,
}

/// An item to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// The item.
    pub item: u32,
    /// Why.
    pub reason: Reason,
}

/// What was learnt from a shop's orders.
#[derive(Debug, Clone, Copy)]
pub struct Learnt<'a> {
    /// Who bought what.
    pub interactions: &'a Interactions,
    /// What goes together.
    pub neighbours: &'a Neighbours,
    /// What comes next.
    pub after_first: &'a AfterFirst,
    /// What is bought again.
    pub cycles: &'a Cycles,
    /// What sells now.
    pub popularity: &'a Popularity,
}

/// For whom, when and how many.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The customer; one who is not known gets what sells.
    pub customer: u32,
    /// The day.
    pub today: i32,
    /// At most so many.
    pub most: usize,
    /// Never these: out of stock, no longer sold, not to be advertised.
    pub excluded: &'a BTreeSet<u32>,
}

/// The list for one customer, best first.
///
/// What is due comes by how often the customer bought it, then by how long it has been due; it takes turns with what is
/// new to them and goes with what they have: after a single order first what others bought next, then neighbours. Best
/// sellers fill the rest. Whatever the customer has comes back only when it is due.
#[must_use]
pub fn recommend(learnt: &Learnt<'_>, request: &Request<'_>) -> Vec<Recommendation> {
    let purchases: Vec<Purchases<'_>> = learnt.interactions.purchases_of(request.customer).collect();
    let mut taken = BTreeSet::new();
    let due = due(learnt, &purchases, request.today)
        .into_iter()
        .filter(|offer| !request.excluded.contains(&offer.item))
        .collect::<Vec<_>>();
    let has = |item: u32| purchases.binary_search_by_key(&item, |owned| owned.item).is_ok();
    let mut new = new(learnt, &purchases);
    new.retain(|offer| !request.excluded.contains(&offer.item) && !has(offer.item));
    let popular = learnt.popularity.ranked().iter();
    let popular = popular.map(|(item, _)| Recommendation { item: *item, reason: Reason::Popular });
    let popular = popular.filter(|offer| !request.excluded.contains(&offer.item) && !has(offer.item));
    by_turns(due, new).chain(popular).filter(|offer| taken.insert(offer.item)).take(request.most).collect()
}

/// One of each while both last, then the rest.
fn by_turns<T>(first: Vec<T>, second: Vec<T>) -> impl Iterator<Item = T> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut firsts_turn = true;
    std::iter::from_fn(move || {
        let next = if firsts_turn {
            first.next().or_else(|| second.next())
        } else {
            second.next().or_else(|| first.next())
        };
        firsts_turn = !firsts_turn;
        next
    })
}

fn due(learnt: &Learnt<'_>, purchases: &[Purchases<'_>], today: i32) -> Vec<Recommendation> {
    let options = learnt.cycles.options();
    let cycles = purchases.iter().filter_map(|owned| learnt.cycles.replenishment(owned));
    let mut due: Vec<Replenishment> =
        cycles.filter(|cycle| cycle.stage(today, options) == Stage::Due).collect();
    due.sort_by(|a, b| {
        let longest = b.elapsed(today).total_cmp(&a.elapsed(today));
        b.times.cmp(&a.times).then(longest).then(a.item.cmp(&b.item))
    });
    let offer = |cycle: Replenishment| {
        let every_days = cycle.every_days.round() as u32;
        Recommendation { item: cycle.item, reason: Reason::DueAgain { every_days } }
    };
    due.into_iter().map(offer).collect()
}

fn new(learnt: &Learnt<'_>, purchases: &[Purchases<'_>]) -> Vec<Recommendation> {
    let mut offers = Vec::new();
    let first_day = purchases.iter().filter_map(|owned| owned.days.first()).min();
    let one_order = purchases.iter().all(|owned| owned.days.first() == first_day && owned.days.len() == 1);
    if one_order {
        let nexts = |owned: &Purchases<'_>| {
            let after = owned.item;
            learnt.after_first.of(after).iter().map(move |next| (after, *next)).collect::<Vec<_>>()
        };
        let mut nexts: Vec<_> = purchases.iter().flat_map(nexts).collect();
        nexts.sort_by(|a, b| {
            b.1.score.total_cmp(&a.1.score).then(a.1.item.cmp(&b.1.item)).then(a.0.cmp(&b.0))
        });
        offers.extend(nexts.into_iter().map(|(after, next)| Recommendation {
            item: next.item,
            reason: Reason::BoughtNext { after, times: next.times },
        }));
    }
    let owned: Vec<Owned> =
        purchases.iter().map(|owned| Owned { item: owned.item, times: owned.times() }).collect();
    offers.extend(learnt.neighbours.cross_sell(&owned).into_iter().map(|(item, _, with)| Recommendation {
        item,
        reason: Reason::BoughtTogether { with: with.item, times: with.times },
    }));
    offers
}
