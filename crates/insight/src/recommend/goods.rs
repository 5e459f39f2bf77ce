//! All that one night's learning leaves of a shop's products, in a form that can be stored: what goes together, what comes
//! next, what is bought again and what sells. Never keeps who bought what: whoever asks brings the customer's own lines.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    AfterFirst, CycleOptions, Cycles, Interactions, Learnt, Line, NeighbourOptions, Neighbours, Pairings,
    Popularity, Recommendation, Replenishment, Request, Stage, recommend,
};

/// What is sold now counts half as much after so many days.
const HALF_LIFE_DAYS: f64 = 30.0;
/// What came next counts from so many customers on.
const LEAST_CUSTOMERS: u32 = 2;
/// So many next items are kept of each.
const KEPT: usize = 20;
/// So many best sellers are kept.
const BEST: usize = 500;

/// What was learned of a shop's products. A product is the system it is of and its id there; inside it is its place in
/// the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goods {
    products: Vec<(String, String)>,
    neighbours: Neighbours,
    after_first: AfterFirst,
    cycles: Cycles,
    popularity: Popularity,
    #[serde(skip)]
    places: HashMap<(String, String), u32>,
}

impl Goods {
    /// Learns from all lines of a shop up to a day; items are places in `products`.
    #[must_use]
    pub fn learn(products: Vec<(String, String)>, lines: Vec<Line>, today: i32) -> Self {
        let interactions = Interactions::from_lines(lines);
        let mut popularity = Popularity::learn(&interactions, today, HALF_LIFE_DAYS);
        popularity.keep(BEST);
        Goods {
            neighbours: Neighbours::learn(&interactions, &NeighbourOptions::default()),
            after_first: AfterFirst::learn(&interactions, LEAST_CUSTOMERS, KEPT),
            cycles: Cycles::learn(&interactions, CycleOptions::default()),
            popularity,
            products,
            places: HashMap::new(),
        }
        .indexed()
    }

    /// To be called after reading what was stored: finds products by name from then on.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        self.places = (0..).zip(&self.products).map(|(place, name)| (name.clone(), place)).collect();
        self
    }

    /// System and id of the products, by place.
    pub fn products(&self) -> &[(String, String)] {
        &self.products
    }

    /// The place of a product, if it was ever bought.
    pub fn place(&self, system: &str, id: &str) -> Option<u32> {
        self.places.get(&(system.to_owned(), id.to_owned())).copied()
    }

    /// What to offer a customer, best first: at most so many, and none of those excluded.
    #[must_use]
    pub fn recommend(
        &self,
        lines: Vec<Line>,
        today: i32,
        most: usize,
        excluded: &BTreeSet<u32>,
    ) -> Vec<Recommendation> {
        let customer = lines.first().map_or(0, |line| line.customer);
        let interactions = Interactions::from_lines(lines);
        let learnt = Learnt {
            interactions: &interactions,
            neighbours: &self.neighbours,
            after_first: &self.after_first,
            cycles: &self.cycles,
            popularity: &self.popularity,
        };
        recommend(&learnt, &Request { customer, today, most, excluded })
    }

    /// What goes with what of it, among the products that are on offer.
    #[must_use]
    pub fn pairings(&self, on_offer: &HashSet<(String, String)>) -> Pairings {
        let together = |item| self.neighbours.of(item).map(|(other, _)| other).collect();
        let next = |item| self.after_first.of(item).iter().map(|next| next.item).collect();
        Pairings::of(&self.products, on_offer, together, next)
    }

    /// The customer's cycles of what they buy again and again, soonest due first; what they have given up is left out.
    #[must_use]
    pub fn replenishments(&self, lines: Vec<Line>, today: i32) -> Vec<Replenishment> {
        let customer = lines.first().map_or(0, |line| line.customer);
        let interactions = Interactions::from_lines(lines);
        let options = self.cycles.options();
        let cycles =
            interactions.purchases_of(customer).filter_map(|owned| self.cycles.replenishment(&owned));
        let mut due: Vec<Replenishment> =
            cycles.filter(|cycle| cycle.stage(today, options) != Stage::GivenUp).collect();
        due.sort_by_key(|cycle| (cycle.due_on, cycle.item));
        due
    }
}
