//! One customer's list.

use std::collections::BTreeSet;

use proptest::prelude::*;
use zyklus_insight::recommend::{
    AfterFirst, CycleOptions, Cycles, Interactions, Learnt, Line, NeighbourOptions, Neighbours, Popularity,
    Reason, Recommendation, Request, Stage, recommend,
};

use super::{config, line, lines};

struct Shop {
    interactions: Interactions,
    neighbours: Neighbours,
    after_first: AfterFirst,
    cycles: Cycles,
    popularity: Popularity,
}

impl Shop {
    fn of(lines: Vec<Line>, today: i32) -> Self {
        let interactions = Interactions::from_lines(lines);
        Self {
            neighbours: Neighbours::learn(&interactions, &NeighbourOptions::default()),
            after_first: AfterFirst::learn(&interactions, 2, 20),
            cycles: Cycles::learn(&interactions, CycleOptions::default()),
            popularity: Popularity::learn(&interactions, today, 30.0),
            interactions,
        }
    }

    fn list(&self, customer: u32, today: i32, most: usize, excluded: &[u32]) -> Vec<Recommendation> {
        let Self { interactions, neighbours, after_first, cycles, popularity } = self;
        let excluded: BTreeSet<u32> = excluded.iter().copied().collect();
        let learnt = Learnt { interactions, neighbours, after_first, cycles, popularity };
        recommend(&learnt, &Request { customer, today, most, excluded: &excluded })
    }
}

const COFFEE: u32 = 1;
const MACHINE: u32 = 2;
const MUG: u32 = 3;
const GRINDER: u32 = 4;
const LAMP: u32 = 5;

/// Ten customers buy a machine, then a mug and coffee, then coffee every 30 days; ten others buy lamps. Customer 50
/// did as the ten, without the mug.
fn shop() -> Shop {
    let mut lines = Vec::new();
    for customer in 0..10 {
        lines.extend([line(customer, MACHINE, 0), line(customer, MUG, 10)]);
        lines.extend((0..4).map(|time| line(customer, COFFEE, 10 + 30 * time)));
        lines.push(line(customer, GRINDER, 70));
        lines.push(line(20 + customer, LAMP, 95));
    }
    // Others, long ago: in a shop of five items whoever has four of them would be no evidence of anything.
    lines.extend((100..120).map(|customer| line(customer, customer, -900)));
    lines.push(line(50, MACHINE, 0));
    lines.extend((0..4).map(|time| line(50, COFFEE, 10 + 30 * time)));
    Shop::of(lines, 130)
}

#[test]
fn what_is_due_and_what_is_new_take_turns() {
    let list = shop().list(50, 130, 10, &[]);
    let shown: Vec<(u32, Reason)> = list.iter().map(|offer| (offer.item, offer.reason)).collect();
    assert_eq!(shown[0], (COFFEE, Reason::DueAgain { every_days: 30 }));
    let together = |item: u32| {
        shown[1..3]
            .iter()
            .any(|shown| shown.0 == item && shown.1 == Reason::BoughtTogether { with: COFFEE, times: 10 })
    };
    assert!(together(MUG) && together(GRINDER), "{shown:?}");
    assert_eq!(shown[3], (LAMP, Reason::Popular));
}

#[test]
fn before_it_is_due_what_they_have_is_not_offered() {
    let list = shop().list(50, 110, 10, &[]);
    assert!(list.iter().all(|offer| offer.item != COFFEE && offer.item != MACHINE), "{list:?}");
}

#[test]
fn after_one_order_comes_what_others_bought_next() {
    let mut lines: Vec<Line> = Vec::new();
    for customer in 0..10 {
        lines.extend([line(customer, MACHINE, 0), line(customer, COFFEE, 10)]);
        lines.extend([line(20 + customer, LAMP, 0), line(20 + customer, MUG, 10)]);
    }
    lines.push(line(60, MACHINE, 0));
    let list = Shop::of(lines, 20).list(60, 20, 1, &[]);
    assert_eq!(
        list,
        [Recommendation { item: COFFEE, reason: Reason::BoughtNext { after: MACHINE, times: 10 } }]
    );
}

#[test]
fn strangers_get_what_sells_unless_it_is_out_of_stock() {
    let shop = shop();
    let items = |excluded: &[u32]| {
        shop.list(999, 130, 2, excluded).iter().map(|offer| offer.item).collect::<Vec<_>>()
    };
    assert_eq!(items(&[]), [COFFEE, LAMP]);
    assert_eq!(items(&[COFFEE]), [LAMP, GRINDER]);
    assert!(shop.list(999, 130, 9, &[]).iter().all(|offer| offer.reason == Reason::Popular));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_is_offered_that_must_not_be(
        lines in lines(),
        excluded in prop::collection::vec(0..70u32, 0..20),
        customer in 0..14u32,
        today in 0..300i32,
        most in 0..12usize,
    ) {
        let shop = Shop::of(lines, today);
        let list = shop.list(customer, today, most, &excluded);
        prop_assert!(list.len() <= most);
        let distinct: BTreeSet<u32> = list.iter().map(|offer| offer.item).collect();
        prop_assert_eq!(distinct.len(), list.len());
        for offer in &list {
            prop_assert!(!excluded.contains(&offer.item));
            let owned = shop.interactions.purchases_of(customer).find(|owned| owned.item == offer.item);
            let due = owned.and_then(|owned| shop.cycles.replenishment(&owned))
                .is_some_and(|cycle| cycle.stage(today, shop.cycles.options()) == Stage::Due);
            let says_due = matches!(offer.reason, Reason::DueAgain { .. });
            prop_assert_eq!(says_due, owned.is_some());
            prop_assert!(!says_due || due);
            let has = |item: u32| shop.interactions.purchases_of(customer).any(|owned| owned.item == item);
            match offer.reason {
                Reason::BoughtTogether { with, times } => prop_assert!(has(with) && times >= 2),
                Reason::BoughtNext { after, times } => prop_assert!(has(after) && times >= 2),
                Reason::DueAgain { every_days } => prop_assert!(every_days >= 1),
                Reason::Popular => {}
            }
        }
        // A shorter list is the beginning of a longer one.
        prop_assert_eq!(&shop.list(customer, today, most + 3, &excluded)[..list.len()], &list[..]);
    }
}

#[test]
fn reasons_are_written_as_their_names() {
    let offer = Recommendation { item: 7, reason: Reason::BoughtTogether { with: 3, times: 12 } };
    let written = serde_json::to_string(&offer).unwrap();
    assert_eq!(written, r#"{"item":7,"reason":{"bought_together":{"with":3,"times":12}}}"#);
    assert_eq!(serde_json::from_str::<Recommendation>(&written).unwrap(), offer);
}
