//! How many products can be recommended: as many as a list of recommendations names for a reason.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use zyklus_insight::recommend::{Bought, Goods, Line, Pairings, Reason};

use super::{config, line, lines};

/// Products of two systems whose ids are the same, named in no order.
fn names(count: u32) -> Vec<(String, String)> {
    (0..count)
        .map(|item| (["web", "till"][item as usize % 2].to_owned(), format!("p{}", (item / 2 * 37) % 101)))
        .collect()
}

fn counted(pairings: &Pairings, names: &[(String, String)], lines: &[Line]) -> usize {
    let bought = lines.iter().filter(|line| line.quantity > 0).map(|line| {
        let (system, product) = &names[line.item as usize];
        Bought { system, product, day: line.day }
    });
    pairings.count(bought)
}

/// A shop where three customers have tea and a pot, and three have tea and a cup.
fn teahouse() -> Vec<Line> {
    (0..6u32).flat_map(|customer| [line(customer, 0, 10), line(customer, 1 + customer / 3, 10)]).collect()
}

#[test]
fn what_goes_with_a_purchase_counts_unless_it_is_owned_or_cannot_be_bought() {
    let names: Vec<(String, String)> =
        ["tea", "pot", "cup", "best seller"].map(|id| ("web".to_owned(), id.to_owned())).to_vec();
    let mut lines = teahouse();
    // Everybody's best seller, and nobody has anything else beside it.
    lines.extend((10..90).map(|customer| line(customer, 3, 10)));
    let goods = Goods::learn(names.clone(), lines, 20);
    let all: HashSet<_> = names.iter().cloned().collect();
    let pairings = goods.pairings(&all);
    let count = |items: &[u32]| {
        let lines: Vec<Line> = items.iter().map(|item| line(0, *item, 15)).collect();
        counted(&pairings, &names, &lines)
    };
    assert_eq!([count(&[]), count(&[0]), count(&[0, 1]), count(&[0, 1, 2]), count(&[3])], [0, 2, 1, 0, 0]);
    let bought = |system, product| pairings.count([Bought { system, product, day: 15 }]);
    assert_eq!([bought("web", "tea"), bought("till", "tea"), bought("web", "unheard of")], [2, 0, 0]);

    let without_cups: HashSet<_> = names.iter().filter(|(_, id)| id != "cup").cloned().collect();
    let fewer = goods.pairings(&without_cups);
    assert_eq!(fewer.count([Bought { system: "web", product: "tea", day: 15 }]), 1);
    // A cup still gives a reason for tea, though there is none to be had.
    assert_eq!(fewer.count([Bought { system: "web", product: "cup", day: 15 }]), 1);
}

#[test]
fn it_is_another_measure_when_a_tenth_more_or_fewer_can_be_recommended() {
    // So many pairs of products that go together.
    let of = |pairs: u32| {
        let names: Vec<(String, String)> = (0..60).map(|item| ("web".to_owned(), item.to_string())).collect();
        let lines = (0..pairs).flat_map(|pair| {
            (0..2).flat_map(move |who| [0, 1].map(|half| line(pair * 2 + who, pair * 2 + half, 10)))
        });
        let on_offer = names.iter().cloned().collect();
        Goods::learn(names, lines.collect(), 20).pairings(&on_offer)
    };
    let (nothing, twenty) = (of(0), of(20));
    assert!(!nothing.is_unlike(None) && !twenty.is_unlike(Some(&twenty)));
    assert!(twenty.is_unlike(None) && twenty.is_unlike(Some(&nothing)) && nothing.is_unlike(Some(&twenty)));
    let unlike: Vec<u32> = (14..27).filter(|pairs| of(*pairs).is_unlike(Some(&twenty))).collect();
    assert_eq!(unlike, [14, 15, 16, 17, 23, 24, 25, 26]);
}

#[test]
fn what_was_stored_and_is_broken_counts_nothing() {
    let names: Vec<(String, String)> =
        ["tea", "pot", "cup"].map(|id| ("web".to_owned(), id.to_owned())).to_vec();
    let pairings = Goods::learn(names.clone(), teahouse(), 20).pairings(&names.into_iter().collect());
    let text = serde_json::to_string(&pairings).unwrap();
    assert_eq!(serde_json::from_str::<Pairings>(&text).unwrap(), pairings);
    let broken = text.replace("\"ends\":[", "\"ends\":[9999,");
    let broken: Pairings = serde_json::from_str(&broken).unwrap();
    assert_eq!(broken.count([Bought { system: "web", product: "cup", day: 1 }]), 0);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn it_counts_what_the_list_of_recommendations_names_for_a_reason(
        shop in lines(),
        own in lines(),
        gone in prop::collection::btree_set(0..64u32, 0..20),
    ) {
        let names = names(64);
        let goods = Goods::learn(names.clone(), shop, 200);
        let on_offer: HashSet<_> =
            (0..).zip(&names).filter(|(item, _)| !gone.contains(item)).map(|(_, name)| name.clone()).collect();
        let own: Vec<Line> = own.into_iter().map(|line| Line { customer: 0, ..line }).collect();
        let pairings = goods.pairings(&on_offer);
        let listed = goods.recommend(own.clone(), 200, usize::MAX, &gone);
        let for_a_reason: BTreeSet<u32> = listed
            .iter()
            .filter(|offer| {
                matches!(offer.reason, Reason::BoughtTogether { .. } | Reason::BoughtNext { .. })
            })
            .map(|offer| offer.item)
            .collect();
        prop_assert_eq!(counted(&pairings, &names, &own), for_a_reason.len());
    }
}
