//! Back-tests by a cut in time.

use proptest::prelude::*;
use zyklus_insight::recommend::Line;
use zyklus_insight::recommend::backtest::Split;

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
