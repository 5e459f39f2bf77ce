//! Neighbours against the package implicit, and against the same thing written plainly.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use zyklus_insight::association::{attracts, g2};
use zyklus_insight::recommend::{Interactions, Line, Measure, NeighbourOptions, Neighbours, Owned};

use super::{config, line, lines, wild_lines};

fn learn(lines: &[Line], measure: Measure, keep: usize, least_customers: u32) -> Neighbours {
    let options = NeighbourOptions { measure, keep, least_customers, ..NeighbourOptions::default() };
    Neighbours::learn(&Interactions::from_lines(lines.to_vec()), &options)
}

/// Item, its neighbour, the score and the number of customers.
fn all(neighbours: &Neighbours, items: u32) -> Vec<(u32, u32, f64, u32)> {
    let of = |item| neighbours.of(item).map(move |(other, found)| (item, other, found.score, found.times));
    (0..items).flat_map(of).collect()
}

/// A customer a row, an item a column, how often it was bought.
const BOUGHT: [[i32; 6]; 7] = [
    [2, 1, 0, 0, 3, 0],
    [1, 0, 1, 0, 0, 0],
    [0, 2, 1, 0, 1, 0],
    [1, 1, 0, 4, 0, 0],
    [0, 0, 1, 1, 1, 0],
    [3, 0, 0, 0, 0, 1],
    [1, 0, 0, 2, 0, 0],
];

/// What `implicit.nearest_neighbours.BM25Recommender(K=6)` of implicit 0.7.3 (PyPI) makes of `BOUGHT` as `similarity`.
const IMPLICIT: [(u32, u32, f64, u32); 11] = [
    (0, 1, 0.335_043_264_598_820_06, 2),
    (0, 2, 0.435_425_174_468_695_66, 1),
    (1, 2, 0.275_812_661_669_842_6, 1),
    (0, 3, 0.646_363_472_959_040_3, 2),
    (1, 3, 0.271_953_039_873_076_4, 1),
    (2, 3, 0.159_837_526_304_625_75, 1),
    (0, 4, 0.291_341_969_216_365_24, 1),
    (1, 4, 0.499_073_593_457_478_6, 2),
    (2, 4, 0.374_130_739_804_518_3, 2),
    (3, 4, 0.132_609_682_706_992_33, 1),
    (0, 5, 0.964_934_045_652_204_9, 1),
];

fn bought() -> Vec<Line> {
    let mut lines = Vec::new();
    for (customer, row) in (0u32..).zip(BOUGHT) {
        for (item, times) in (0u32..).zip(row) {
            lines.extend((0..times).map(|day| line(customer, item, day)));
        }
    }
    lines
}

#[test]
fn bm25_scores_are_those_of_implicit() {
    let found = all(&learn(&bought(), Measure::BM25, 6, 1), 6);
    assert_eq!(found.len(), 2 * IMPLICIT.len());
    for (first, second, score, times) in IMPLICIT {
        for (one, other) in [(first, second), (second, first)] {
            let (.., own, own_times) = found.iter().find(|found| (found.0, found.1) == (one, other)).unwrap();
            assert!((own - score).abs() < 1e-12, "{one} {other}: {own}, not {score}");
            assert_eq!(*own_times, times);
        }
    }
}

#[test]
fn cross_sell_scores_are_those_of_implicit() {
    // `recommend(0, …)` and `recommend(5, …)` of the same model, without what the two have.
    let neighbours = learn(&bought(), Measure::BM25, 6, 1);
    let of = |customer: usize, wanted: &[(u32, f64)]| {
        let owned: Vec<Owned> = (0u32..)
            .zip(BOUGHT[customer])
            .filter(|(_, times)| *times > 0)
            .map(|(item, times)| Owned { item, times: u32::try_from(times).unwrap() })
            .collect();
        let mut found = neighbours.cross_sell(&owned);
        found.retain(|(item, ..)| owned.iter().all(|owned| owned.item != *item));
        assert_eq!(found.len(), wanted.len());
        for ((item, score, _), wanted) in found.iter().zip(wanted) {
            assert_eq!(*item, wanted.0);
            assert!((score - wanted.1).abs() < 1e-12, "{item}: {score}");
        }
    };
    of(0, &[(2, 2.269_055_230_020_789), (3, 1.962_509_033_912_134), (5, 1.929_868_091_304_409_7)]);
    of(
        5,
        &[
            (3, 1.939_090_418_877_120_7),
            (2, 1.306_275_523_406_087),
            (1, 1.005_129_793_796_460_3),
            (4, 0.874_025_907_649_095_7),
        ],
    );
}

#[test]
fn the_ratio_is_that_of_others() {
    // Apache Mahout, LogLikelihoodTest.testLogLikelihood.
    let published = [
        ((1, 0, 0, 1), 2.772_589),
        ((10, 0, 0, 10), 27.725_89),
        ((5, 1995, 0, 100_000), 39.330_52),
        ((1000, 1995, 1000, 100_000), 4730.737),
        ((1000, 1000, 1000, 100_000), 5734.343),
        ((1000, 1000, 1000, 99_000), 5714.932),
    ];
    for ((both, first, second, neither), wanted) in published {
        let found = g2(both, first, second, neither);
        assert!((found - wanted).abs() < 1e-6 * wanted.max(1.0) + 5e-4, "{found}, not {wanted}");
    }
}

/// Ratios by counting sets, with the surest first.
fn plainly(lines: &[Line], least: u64) -> BTreeMap<(u32, u32), (f64, u64)> {
    let lines = lines.iter().filter(|line| line.quantity > 0);
    let mut buyers: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let mut customers = BTreeSet::new();
    for line in lines {
        buyers.entry(line.item).or_default().insert(line.customer);
        customers.insert(line.customer);
    }
    let mut found = BTreeMap::new();
    for (first, of_first) in &buyers {
        for (second, of_second) in buyers.iter().filter(|(second, _)| *second != first) {
            let both = of_first.intersection(of_second).count() as u64;
            let (one, other) = (of_first.len() as u64 - both, of_second.len() as u64 - both);
            let neither = customers.len() as u64 - both - one - other;
            let score = g2(both, one, other, neither);
            if both >= least && attracts(both, one, other, neither) && score > 1e-9 {
                found.insert((*first, *second), (score, both));
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn likelihood_neighbours_are_those_of_counting(lines in lines(), least in 1..4u32) {
        let wanted = plainly(&lines, u64::from(least));
        let found = all(&learn(&lines, Measure::LogLikelihood, 100, least), 70);
        let found: Vec<_> = found.into_iter().filter(|found| found.2 > 1e-9).collect();
        prop_assert_eq!(found.len(), wanted.len());
        for (item, other, score, times) in found {
            let (wanted, both) = wanted[&(item, other)];
            prop_assert!((score - wanted).abs() < 1e-9, "{} {}: {}, not {}", item, other, score, wanted);
            prop_assert_eq!(u64::from(times), both);
        }
    }

    #[test]
    fn keeping_fewer_keeps_the_best(lines in lines(), keep in 0..6usize) {
        for measure in [Measure::BM25, Measure::LogLikelihood] {
            let (few, many) = (learn(&lines, measure, keep, 1), learn(&lines, measure, 100, 1));
            for item in 0..70 {
                let few: Vec<_> = few.of(item).collect();
                let many: Vec<_> = many.of(item).take(keep).collect();
                prop_assert_eq!(few, many);
            }
        }
    }

    #[test]
    fn neighbours_are_mutual_sorted_and_never_oneself(lines in lines()) {
        for measure in [Measure::BM25, Measure::LogLikelihood] {
            let neighbours = learn(&lines, measure, 100, 1);
            let found = all(&neighbours, 70);
            for (item, other, score, times) in &found {
                prop_assert!(item != other && score.is_finite() && *score > 0.0 && *times > 0);
                let back = neighbours.of(*other).find(|(back, _)| back == item).unwrap().1;
                prop_assert_eq!((back.score, back.times), (*score, *times));
            }
            prop_assert!(found.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].2 >= pair[1].2));
        }
    }

    #[test]
    fn the_order_of_lines_is_no_matter(lines in lines(), seed in any::<u64>()) {
        let mut mixed = lines.clone();
        mixed.sort_by_key(|line| (u64::from(line.item) * 31 + u64::from(line.customer)).wrapping_mul(seed | 1));
        for measure in [Measure::BM25, Measure::LogLikelihood] {
            let found = all(&learn(&lines, measure, 5, 1), 70);
            prop_assert_eq!(found, all(&learn(&mixed, measure, 5, 1), 70));
        }
    }

    #[test]
    fn the_ratio_is_symmetric_and_never_below_zero(a in 0..5000u64, b in 0..5000u64, c in 0..5000u64, d in 0..5000u64) {
        let (one, other) = (g2(a, b, c, d), g2(a, c, b, d));
        prop_assert!((one - other).abs() <= 1e-9 * one.max(1.0));
        prop_assert!(one >= 0.0 && one.is_finite());
        // Both questions turned round are the same questions.
        prop_assert!((one - g2(d, c, b, a)).abs() <= 1e-9 * one.max(1.0));
        prop_assert!(g2(a * b, a * c, d * b, d * c) < 1e-4, "no connection, no evidence");
    }

    #[test]
    fn wild_lines_do_no_harm(lines in wild_lines(), most_items in 0..4usize) {
        for measure in [Measure::BM25, Measure::LogLikelihood, Measure::Bm25 { k1: f64::NAN, b: f64::INFINITY }] {
            let options = NeighbourOptions { measure, most_items, least_customers: 0, keep: 3 };
            let interactions = Interactions::from_lines(lines.clone());
            let neighbours = Neighbours::learn(&interactions, &options);
            for item in interactions.items() {
                for (other, found) in neighbours.of(*item) {
                    prop_assert!(other != *item && found.score.is_finite());
                }
            }
        }
    }
}

#[test]
fn nothing_gives_nothing() {
    let none = Interactions::from_lines(vec![Line { customer: 1, item: 1, day: 1, quantity: 0 }]);
    assert!(none.customers().is_empty() && none.items().is_empty());
    assert_eq!(none.purchases_of(1).count(), 0);
    let neighbours = Neighbours::learn(&none, &NeighbourOptions::default());
    assert_eq!(neighbours.of(1).count(), 0);
    assert!(neighbours.cross_sell(&[Owned { item: 1, times: 3 }]).is_empty());
}

#[test]
fn of_a_wholesaler_only_the_last_items_count() {
    // Customer 0 bought items 0 to 9 on days 0 to 9; customers 1 and 2 bought 0 and 1, and 8 and 9.
    let mut lines: Vec<Line> = (0..10u32).zip(0..10).map(|(item, day)| line(0, item, day)).collect();
    lines.extend([line(1, 0, 0), line(1, 1, 0), line(2, 8, 0), line(2, 9, 0)]);
    let options = NeighbourOptions { most_items: 3, least_customers: 2, ..NeighbourOptions::default() };
    let neighbours = Neighbours::learn(&Interactions::from_lines(lines), &options);
    assert_eq!(neighbours.of(8).map(|(item, _)| item).collect::<Vec<_>>(), [9]);
    assert_eq!(neighbours.of(0).count(), 0);
}
