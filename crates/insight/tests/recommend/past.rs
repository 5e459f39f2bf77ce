//! Back-tests by a cut in time.

use std::collections::BTreeSet;

use proptest::prelude::*;
use zyklus_insight::recommend::backtest::Split;
use zyklus_insight::recommend::{
    AfterFirst, CycleOptions, Cycles, Learnt, Line, Measure, NeighbourOptions, Neighbours, Popularity,
    Request, recommend,
};

use super::{config, line, lines};

#[test]
fn figures_are_those_worked_out_by_hand() {
    // Customer 1 has 10, and then buys 10, 11 and 12; customer 2 has 10, and then buys 10 again; 3 is new.
    let lines = [
        line(1, 10, 0),
        line(1, 10, 50),
        line(1, 11, 50),
        line(1, 12, 50),
        line(1, 13, 60),
        line(2, 10, 5),
        line(2, 10, 51),
        line(3, 11, 55),
    ];
    let split = Split::at(&lines, 50);
    assert_eq!(split.customers().collect::<Vec<_>>(), [1, 2]);
    let found = split.score(2, |customer| if customer == 1 { vec![13, 10, 11] } else { vec![11] });
    let all = found.all.unwrap();
    assert_eq!(all.customers, 2);
    // Customer 1: one of three among the first two, in the second place; customer 2: nothing.
    assert!((all.recall - (1.0 / 3.0) / 2.0).abs() < 1e-12);
    let (second, best) = (1.0 / 3f64.log2(), 1.0 + 1.0 / 3f64.log2());
    assert!((all.ndcg - second / best / 2.0).abs() < 1e-12);
    assert!((all.hit_rate - 0.5).abs() < 1e-12);
    // New to customer 1 are 11 and 12, and without 10 the list is 13, 11. Nothing is new to customer 2.
    let new = found.new_items.unwrap();
    assert_eq!(new.customers, 1);
    assert!((new.recall - 0.5).abs() < 1e-12 && (new.hit_rate - 1.0).abs() < 1e-12);
    assert!((new.ndcg - second / best).abs() < 1e-12);
}

#[test]
fn nobody_to_ask_is_no_figure() {
    let found = Split::at(&[line(1, 1, 0)], 10).score(5, |_| vec![1]);
    assert_eq!((found.all, found.new_items), (None, None));
}

#[test]
fn tastes_are_found_that_best_sellers_do_not_know() {
    // 60 customers with one of three tastes buy three of the taste's eight items, one a week, and later a fourth.
    let mut lines = Vec::new();
    for customer in 0..60u32 {
        for week in 0..4u32 {
            let item = customer % 3 * 8 + (customer / 3 * 5 + week * 3) % 8;
            lines.push(line(customer, item, i32::try_from(week).unwrap() * 7));
        }
    }
    let split = Split::at(&lines, 21);
    let interactions = &split.before;
    let (after_first, popularity) =
        (AfterFirst::learn(interactions, 2, 20), Popularity::learn(interactions, 20, 30.0));
    let cycles = Cycles::learn(interactions, CycleOptions::default());
    let none = BTreeSet::new();
    for measure in [Measure::BM25, Measure::LogLikelihood] {
        let options = NeighbourOptions { measure, ..NeighbourOptions::default() };
        let neighbours = &Neighbours::learn(interactions, &options);
        let learnt = Learnt {
            interactions,
            neighbours,
            after_first: &after_first,
            cycles: &cycles,
            popularity: &popularity,
        };
        let ours = split.score(5, |customer| {
            let request = Request { customer, today: 21, most: 5, excluded: &none };
            recommend(&learnt, &request).into_iter().map(|offer| offer.item).collect()
        });
        let sellers = split.score(5, |_| popularity.ranked().iter().map(|(item, _)| *item).collect());
        let (ours, sellers) = (ours.new_items.unwrap(), sellers.new_items.unwrap());
        assert_eq!(ours.customers, 60);
        // Five of a taste's items are new, and only those are: all of them fit into the list.
        assert!(ours.recall > 0.9 && sellers.recall < 0.6, "{ours:?} {sellers:?}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whoever_knows_the_future_is_right_and_all_figures_are_shares(lines in lines(), cut in 0..200i32, k in 0..30usize) {
        let split = Split::at(&lines, cut);
        let future = |customer: u32| {
            let is_after = |line: &&Line| line.quantity > 0 && line.day >= cut && line.customer == customer;
            let after: Vec<&Line> = lines.iter().filter(is_after).collect();
            let first = after.iter().map(|line| line.day).min();
            let of_first = after.iter().filter(|line| Some(line.day) == first);
            let mut items: Vec<u32> = of_first.map(|line| line.item).collect();
            items.sort_unstable();
            items.dedup();
            items
        };
        if let Some(all) = split.score(100, future).all {
            for share in [all.recall, all.ndcg, all.hit_rate] {
                prop_assert!((share - 1.0).abs() < 1e-12);
            }
        }
        let found = split.score(k, |customer| vec![customer, 7, 14, 14, 21]);
        for scores in [found.all, found.new_items].into_iter().flatten() {
            for share in [scores.recall, scores.ndcg, scores.hit_rate] {
                prop_assert!((0.0..=1.0).contains(&share));
            }
        }
        let mut before = split.before.customers().iter().flat_map(|customer| split.before.purchases_of(*customer));
        prop_assert!(before.all(|owned| owned.last_day() < cut));
    }
}
