//! What goes with what among the products that can be bought: as much of a night's learning as it takes to say how many
//! there are to recommend to a customer, small enough to keep a past of it. Never ranks, and knows no best sellers.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// So many are kept of what goes with a product: as many as a mail shows at most.
const KEPT: usize = 12;

/// A product as the shop names it: the system it is of, and its id there.
type Name = (String, String);

/// The products that go with each product, as far as they could be bought when that was learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairings {
    systems: Vec<String>,
    /// Place of the system and id there, of all that was ever bought; rising.
    products: Vec<(u32, Box<str>)>,
    /// What the same customers have.
    together: Lists,
    /// What else was bought in the second order after it.
    next: Lists,
    /// How many products stand in one of the lists.
    offered: usize,
}

/// Something of a customer's orders.
#[derive(Debug, Clone, Copy)]
pub struct Bought<'n> {
    /// The system the product is of.
    pub system: &'n str,
    /// Its id there.
    pub product: &'n str,
    /// The day of the order.
    pub day: i32,
}

impl Pairings {
    /// Of products by name, each with what goes with it and with what came next, nearest first, as places in `products`.
    /// Only what is on offer is kept.
    pub(super) fn of(
        products: &[Name],
        on_offer: &HashSet<Name>,
        together: impl Fn(u32) -> Vec<u32>,
        next: impl Fn(u32) -> Vec<u32>,
    ) -> Self {
        let mut named: Vec<(&Name, u32)> = products.iter().zip(0..).collect();
        named.sort_unstable();
        let mut systems: Vec<String> = named.iter().map(|((system, _), _)| system.clone()).collect();
        systems.dedup();
        // Where each of them is put; what cannot be bought is put nowhere.
        let mut places = vec![None; products.len()];
        for (place, (name, item)) in (0u32..).zip(&named) {
            places[*item as usize] = on_offer.contains(*name).then_some(place);
        }
        let place = |item: u32| places.get(item as usize).copied().flatten();
        let (mut all_together, mut all_next) = (Lists::default(), Lists::default());
        for (_, item) in &named {
            let near: Vec<u32> = together(*item).into_iter().filter_map(place).take(KEPT).collect();
            let later = next(*item).into_iter().filter_map(place).take(KEPT);
            all_next.push(later.filter(|place| !near.contains(place)).collect());
            all_together.push(near);
        }
        let offered: HashSet<u32> = all_together.items.iter().chain(&all_next.items).copied().collect();
        let products = named.into_iter().filter_map(|((system, id), _)| {
            let system = systems.binary_search(system).ok()?;
            Some((u32::try_from(system).ok()?, id.as_str().into()))
        });
        let (products, offered) = (products.collect(), offered.len());
        Pairings { systems, products, together: all_together, next: all_next, offered }
    }

    /// How many products there are that go with what a customer has bought and that they have not bought: those that
    /// [`Goods::recommend`](super::Goods::recommend) names for another reason than that they sell well, or run out; of each
    /// product the nearest twelve.
    #[must_use]
    pub fn count<'n>(&self, bought: impl IntoIterator<Item = Bought<'n>>) -> usize {
        let known =
            bought.into_iter().filter_map(|one| Some((self.place(one.system, one.product)?, one.day)));
        let known: Vec<(u32, i32)> = known.collect();
        let is_one_order = known.iter().all(|(_, day)| Some(*day) == known.first().map(|first| first.1));
        let mut own: Vec<u32> = known.into_iter().map(|(place, _)| place).collect();
        own.sort_unstable();
        own.dedup();
        let mut found: Vec<u32> = Vec::new();
        for place in &own {
            found.extend(self.together.of(*place));
            if is_one_order {
                found.extend(self.next.of(*place));
            }
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter(|place| own.binary_search(place).is_err()).count()
    }

    /// Whether it counts by another measure than an earlier version (or none) did, so that many customers have other
    /// counts by it though nothing has happened: because a tenth more or fewer products can be recommended.
    #[must_use]
    pub fn is_unlike(&self, earlier: Option<&Pairings>) -> bool {
        let before = earlier.map_or(0, |earlier| earlier.offered);
        self.offered.abs_diff(before) * 10 > before
    }

    fn place(&self, system: &str, product: &str) -> Option<u32> {
        let system = self.systems.binary_search_by(|known| known.as_str().cmp(system)).ok()?;
        let by_name =
            |(of, id): &(u32, Box<str>)| (*of as usize).cmp(&system).then_with(|| (**id).cmp(product));
        u32::try_from(self.products.binary_search_by(by_name).ok()?).ok()
    }
}

/// A list of places for each place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lists {
    /// Where each list ends.
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn push(&mut self, list: Vec<u32>) {
        self.items.extend(list);
        self.ends.push(u32::try_from(self.items.len()).unwrap_or(u32::MAX));
    }

    fn of(&self, place: u32) -> &[u32] {
        let place = place as usize;
        let from = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let to = self.ends.get(place).copied().unwrap_or(from);
        self.items.get(from as usize..to as usize).unwrap_or_default()
    }
}
