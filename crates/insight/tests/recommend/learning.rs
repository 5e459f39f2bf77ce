//! Cycles, what comes after a first order, and what sells.

use proptest::prelude::*;
use zyklus_insight::recommend::{AfterFirst, CycleOptions, Cycles, Interactions, Line, Popularity, Stage};

use super::{config, line, lines, wild_lines};

const COFFEE: u32 = 3;

/// Four customers buy coffee every 30 days, four times each.
fn coffee() -> Vec<Line> {
    (0..4u32).flat_map(|customer| (0..4).map(move |time| line(customer, COFFEE, 30 * time))).collect()
}

fn cycle_of(lines: &[Line], customer: u32) -> Option<zyklus_insight::recommend::Replenishment> {
    let interactions = Interactions::from_lines(lines.to_vec());
    let cycles = Cycles::learn(&interactions, CycleOptions::default());
    interactions
        .purchases_of(customer)
        .find(|owned| owned.item == COFFEE)
        .and_then(|owned| cycles.replenishment(&owned))
}

#[test]
fn a_single_purchase_takes_the_cycle_of_others() {
    let mut lines = coffee();
    lines.push(line(9, COFFEE, 100));
    let cycle = cycle_of(&lines, 9).unwrap();
    assert!((cycle.every_days - 30.0).abs() < 1e-9);
    assert_eq!((cycle.due_on, cycle.times), (130, 1));
    let options = CycleOptions::default();
    let stage = |day| cycle.stage(day, &options);
    assert_eq!(
        [stage(50), stage(123), stage(125), stage(189), stage(191)],
        [Stage::Early, Stage::Early, Stage::Due, Stage::Due, Stage::GivenUp]
    );
}

#[test]
fn own_gaps_pull_away_from_the_cycle_of_others_the_more_there_are() {
    let own = |gaps: i32| {
        let mut lines = coffee();
        // Others differ, so that there is something to draw back to.
        lines.extend((0..4).map(|time| line(5, COFFEE, 40 * time + time % 2 * 9)));
        lines.extend((0..4).map(|time| line(6, COFFEE, 25 * time - time % 2 * 8)));
        lines.extend((0..=gaps).map(|time| line(9, COFFEE, 90 * time)));
        cycle_of(&lines, 9).unwrap().every_days
    };
    let (few, many) = (own(1), own(8));
    assert!(35.0 < few && few < many && many < 90.0, "{few} {many}");
}

#[test]
fn what_nobody_buys_twice_has_no_cycle() {
    let lines: Vec<Line> = (0..50).map(|customer| line(customer, COFFEE, 10)).collect();
    assert_eq!(cycle_of(&lines, 7), None);
    // Two of fifty who did are an accident, unless it is their own third time.
    let mut two = lines.clone();
    two.extend([line(7, COFFEE, 40), line(8, COFFEE, 50)]);
    assert_eq!(cycle_of(&two, 7), None);
    two.push(line(7, COFFEE, 70));
    assert_eq!(cycle_of(&two, 7).map(|cycle| cycle.times), Some(3));
}

#[test]
fn the_prior_is_the_ratio_of_the_variances() {
    // One item, two customers with two gaps each: logarithms 0 and 2, 4 and 6 (days e^0 … rounded would blur it, so
    // the gaps are powers: 1, 100 and 100, 10000, logarithms 0, L, L, 2L with L = ln 100).
    let lines =
        [line(0, 0, 0), line(0, 0, 1), line(0, 0, 101), line(1, 0, 0), line(1, 0, 100), line(1, 0, 10_100)];
    let cycles = Cycles::learn(&Interactions::from_lines(lines.to_vec()), CycleOptions::default());
    // Within: (L²/2 + L²/2) / 2 = L²/2. Between: (2 · 2 (L/2)² − L²/2) / (4 − 8/4) = L²/4. The ratio is 2.
    assert!((cycles.prior_gaps() - 2.0).abs() < 1e-9, "{}", cycles.prior_gaps());
    // A third customer makes the ratio another one than what stands in for it.
    let mut three = lines.to_vec();
    three.extend([line(2, 0, 0), line(2, 0, 1), line(2, 0, 2)]);
    let cycles = Cycles::learn(&Interactions::from_lines(three), CycleOptions::default());
    // Means L/2, 3L/2, 0: within (L²/2 + L²/2 + 0) / 3 = L²/3; between: squares 2 · (L²/4 + 9L²/4) − 6 · (2L/3)² =
    // 7L²/3, less 2 · L²/3, over 6 − 12/6: 5L²/12. The ratio is 4/5.
    assert!((cycles.prior_gaps() - 0.8).abs() < 1e-9, "{}", cycles.prior_gaps());
}

#[test]
fn what_came_next_is_ranked_by_how_sure_it_is_and_not_by_lift() {
    let (machine, beans, mug, rare) = (1, 2, 3, 4);
    let mut lines = Vec::new();
    for customer in 0..40u32 {
        let first = if customer < 20 { machine } else { mug };
        let second = if customer < 15 { beans } else { 5 + customer % 3 };
        lines.extend([line(customer, first, 0), line(customer, second, 20), line(customer, 9, 40)]);
    }
    // Two with the machine bought the rare thing next, and nobody else did: a lift of two, as for the beans.
    lines.extend([line(15, rare, 20), line(16, rare, 20)]);
    let after = AfterFirst::learn(&Interactions::from_lines(lines), 2, 10);
    let found: Vec<(u32, u32)> = after.of(machine).iter().map(|next| (next.item, next.times)).collect();
    assert_eq!(found[..2], [(beans, 15), (rare, 2)]);
    assert!(after.of(mug).iter().all(|next| next.item != beans && next.item != 9));
    assert!(after.of(beans).is_empty(), "nobody began with beans");
}

#[test]
fn old_sales_fade() {
    let lines: Vec<Line> =
        (0..10).map(|customer| line(customer, 1, 0)).chain([line(1, 2, 90), line(2, 2, 90)]).collect();
    let interactions = Interactions::from_lines(lines);
    let ranked = Popularity::learn(&interactions, 90, 30.0).ranked().to_vec();
    assert_eq!(ranked, [(2, 2.0), (1, 1.25)], "three half lives leave an eighth");
    let then = Popularity::learn(&interactions, 0, 30.0).ranked().to_vec();
    assert_eq!(then, [(1, 10.0)], "what comes later is not known yet");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cycles_are_finite_whatever_comes(lines in prop_oneof![lines(), wild_lines()], today in any::<i32>()) {
        let interactions = Interactions::from_lines(lines);
        let options = CycleOptions { least_customers: 1, least_share: 0.0, ..CycleOptions::default() };
        let cycles = Cycles::learn(&interactions, options);
        prop_assert!(cycles.prior_gaps().is_finite() && cycles.prior_gaps() > 0.0);
        for customer in interactions.customers() {
            for owned in interactions.purchases_of(*customer) {
                prop_assert!(owned.days.windows(2).all(|pair| pair[0] < pair[1]) && !owned.days.is_empty());
                let Some(cycle) = cycles.replenishment(&owned) else { continue };
                prop_assert!(cycle.every_days.is_finite() && cycle.every_days >= 1.0);
                prop_assert!(cycle.elapsed(today).is_finite() && cycle.due_on >= cycle.last_day);
            }
        }
    }

    #[test]
    fn what_comes_next_is_never_the_same_and_was_bought_so_often(lines in lines(), least in 1..4u32) {
        let interactions = Interactions::from_lines(lines);
        let after = AfterFirst::learn(&interactions, least, 5);
        for item in interactions.items() {
            let nexts = after.of(*item);
            prop_assert!(nexts.len() <= 5);
            prop_assert!(nexts.iter().all(|next| next.item != *item && next.times >= least && next.score > 0.0));
            for next in nexts {
                let began = |customer: &&u32| {
                    let mut days: Vec<i32> =
                        interactions.purchases_of(**customer).flat_map(|owned| owned.days.to_vec()).collect();
                    days.sort_unstable();
                    days.dedup();
                    let on = |day: Option<&i32>, item: u32| {
                        interactions.purchases_of(**customer).any(|owned| owned.item == item && owned.days.first() == day)
                    };
                    days.len() > 1 && on(days.first(), *item) && on(days.get(1), next.item)
                };
                prop_assert_eq!(interactions.customers().iter().filter(began).count(), next.times as usize);
            }
        }
    }

    #[test]
    fn popularity_is_finite(lines in wild_lines(), today in any::<i32>(), half_life in any::<f64>()) {
        let interactions = Interactions::from_lines(lines);
        let popularity = Popularity::learn(&interactions, today, half_life);
        prop_assert!(popularity.ranked().iter().all(|(_, score)| score.is_finite() && *score > 0.0));
    }
}
