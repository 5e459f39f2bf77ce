//! Boundaries against published and independently computed figures, power, Thompson's rule, and the hour to write at.

use zyklus_insight::experiment::{
    Anytime, Arms, Boundary, ENOUGH_BUYERS, Looks, Needs, Preference, ValueArm, WeekCounts, best_time,
    customers_for_mean, customers_for_share, mean_lift, overall, overall_mean, pick_event, pick_value,
    share_lift, shares_by_event, shares_by_value,
};
use zyklus_insight::interval::{Level, Moments, Tally, Unknown};

use super::dice::Dice;
use super::{near, within};

const L: Level = Level::P95;

fn tally(hits: u64, of: u64) -> Tally {
    Tally::new(hits, of).unwrap()
}

/// Five looks: 4.877, 3.357, 2.680, 2.290, 2.031 are the figures of Lan and DeMets' software; the others were computed on
/// a grid of 6,001 points with numpy, the two sums agreeing to three digits.
#[test]
fn planned_looks_reach_as_far_as_published() {
    let check = |looks: Looks, expected: &[f64]| {
        assert_eq!(looks.reach().len(), expected.len());
        for (found, expected) in looks.reach().iter().zip(expected) {
            within(*found, *expected, 1e-3);
        }
    };
    check(Looks::evenly(1, L).unwrap(), &[1.959_964]);
    check(Looks::evenly(5, L).unwrap(), &[4.876_9, 3.356_9, 2.680_3, 2.289_8, 2.031_0]);
    let uneven = [0.1, 0.35, 0.4, 0.9, 1.0];
    check(Looks::new(&uneven, L).unwrap(), &[6.991_5, 3.612_8, 3.391_7, 2.096_8, 2.053_7]);
    let so_far = Looks::so_far(&[20, 20, 40, 60, 60, 80, 100], 100, L).unwrap();
    check(so_far, &[4.876_9, 4.876_9, 3.356_9, 2.680_3, 2.680_3, 2.289_8, 2.031_0]);
    assert_eq!(Looks::so_far(&[20, 101], 100, L), Err(Unknown::Impossible));
    assert_eq!(Looks::so_far(&[20, 10], 100, L), Err(Unknown::Impossible));
    assert_eq!(Looks::so_far(&[0, 10], 100, L), Err(Unknown::Impossible));
    assert_eq!(Looks::so_far(&[], 0, L), Err(Unknown::Empty));
    let sixty = Looks::evenly(60, L).unwrap();
    within(sixty.reach()[29], 3.078, 2e-3);
    within(sixty.reach()[59], 2.174, 2e-3);
    assert_eq!(Looks::new(&[0.5, 0.5], L), Err(Unknown::Impossible));
    assert_eq!(Looks::new(&[0.5, 1.5], L), Err(Unknown::Impossible));
    assert_eq!(Looks::new(&[f64::NAN], L), Err(Unknown::Impossible));
    assert_eq!(Looks::evenly(0, L), Err(Unknown::Empty));
}

/// By hand: α = 0.05, ρ² = (5.991 + ln 6.991)/1000 = 0.007936, at n = 1000 √(2 · 8.936/7.936 · (½ ln 8.936 + 2.996)) = 3.035.
#[test]
fn an_anytime_boundary_is_the_papers_formula_and_narrowest_where_asked() {
    let reach =
        |expected: u64, n: u64| Boundary::Anytime(Anytime::narrowest_at(expected, L)).reach(n).unwrap();
    within(reach(1_000, 1_000), 3.035_209, 1e-5);
    for other in [400, 700, 1_500, 3_000] {
        assert!(reach(1_000, 1_000) < reach(other, 1_000), "{other}");
    }
    assert!(reach(1_000, 1) > 3.0);
    assert!(reach(1_000, u64::MAX).is_finite());
    assert_eq!(Boundary::Once(L).reach(0), Err(Unknown::Empty));
}

#[test]
fn a_lift_is_the_difference_and_wider_the_more_often_it_is_looked_at() {
    let arms = Arms { treated: tally(300, 2_000), held: tally(40, 400) };
    let once = share_lift(arms, Boundary::Once(L)).unwrap();
    near(once.value(), 0.05);
    assert_eq!(once.n(), 400);
    let looks = Looks::evenly(60, L).unwrap();
    let last = share_lift(arms, Boundary::Look(&looks, 59)).unwrap();
    let ever = share_lift(arms, Boundary::Anytime(Anytime::narrowest_at(2_400, L))).unwrap();
    assert!(ever.low() < last.low() && last.low() < once.low());
    assert_eq!(share_lift(arms, Boundary::Look(&looks, 60)), Err(Unknown::Impossible));
    let nobody = Arms { held: Tally::default(), ..arms };
    assert_eq!(share_lift(nobody, Boundary::Once(L)), Err(Unknown::Empty));
}

#[test]
fn the_lift_of_all_journeys_weighs_them_by_whom_they_treated() {
    let one = Arms { treated: tally(300, 2_000), held: tally(40, 400) };
    let other = Arms { treated: tally(100, 1_000), held: tally(20, 200) };
    let empty = Arms { treated: tally(5, 10), held: Tally::default() };
    let both = overall(&[one, other, empty], Boundary::Once(L)).unwrap();
    // 2,000 · 0.05 + 1,000 · 0 of 3,000.
    near(both.value(), 1.0 / 30.0);
    assert_eq!(overall(&[other, one], Boundary::Once(L)).unwrap().n(), 600);
    assert_eq!(overall(&[empty], Boundary::Once(L)), Err(Unknown::Empty));
    let values = |low: f64| Moments::of((0..50).map(|at| low + f64::from(at % 5)));
    let arms = Arms { treated: values(3.0), held: values(1.0) };
    let alone = mean_lift(&arms, Boundary::Anytime(Anytime::narrowest_at(100, L))).unwrap();
    let all = overall_mean(&[arms], Boundary::Anytime(Anytime::narrowest_at(100, L))).unwrap();
    near(alone.value(), 2.0);
    // One knows how few there are, the other takes them for many.
    assert!(alone.low() < all.low() && all.low() - alone.low() < 0.1, "{alone:?} {all:?}");
    let few = Arms { held: Moments::of([0.0, 0.0, 9.0, 0.0, 9.0]), ..arms };
    assert_eq!(mean_lift(&few, Boundary::Once(L)), Err(Unknown::TooFew { n: 2, needed: ENOUGH_BUYERS }));
    assert_eq!(overall_mean(&[few], Boundary::Once(L)), Err(Unknown::TooFew { n: 2, needed: ENOUGH_BUYERS }));
}

/// scipy: the same formula gave 7,681.69, 15,382.34 and 37,550.04.
#[test]
fn power_says_how_many_more_it_takes() {
    let needs = |arms, lift| customers_for_share(arms, lift, 0.8, L);
    let even = Arms { treated: tally(12, 100), held: tally(10, 100) };
    assert_eq!(needs(even, None), Ok(Needs { customers: 7_682, more: 7_482 }));
    let uneven = Arms { treated: tally(100, 850), held: tally(15, 150) };
    assert_eq!(needs(uneven, Some(0.02)), Ok(Needs { customers: 15_383, more: 14_383 }));
    let many = Arms { treated: tally(3_060, 45_000), held: tally(250, 5_000) };
    assert_eq!(needs(many, Some(0.0112)), Ok(Needs { customers: 37_551, more: 0 }));
    let none = Arms { treated: tally(10, 100), held: tally(10, 100) };
    assert_eq!(needs(none, None), Err(Unknown::NoSpread));
    assert_eq!(needs(even, Some(0.95)), Err(Unknown::Impossible));
    assert_eq!(customers_for_share(even, None, 1.0, L), Err(Unknown::Impossible));
    assert_eq!(needs(Arms { held: Tally::default(), ..even }, None), Err(Unknown::Empty));
}

/// Each arm of the size asked for shows the lift in about 80 of 100 experiments.
#[test]
fn with_that_many_customers_the_lift_is_seen_four_times_in_five() {
    let so_far = Arms { treated: tally(36, 240), held: tally(6, 60) };
    let needs = customers_for_share(so_far, None, 0.8, L).unwrap();
    let held = needs.customers / 5;
    let mut seen = 0;
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let mut arm = |n: u64, rate: f64| Tally::count((0..n).map(|_| dice.hit(rate)));
        let arms = Arms { treated: arm(needs.customers - held, 0.15), held: arm(held, 0.10) };
        seen += u32::from(share_lift(arms, Boundary::Once(L)).unwrap().low() > 0.0);
    }
    assert!((290..=350).contains(&seen), "{seen} of 400");
    let spread = Moments::of((0..100).map(|at| f64::from(at % 10)));
    let arms = Arms { treated: spread, held: spread };
    // Variance 25/3: (1.960 + 0.842)² · 2 · 2 · 8.3333 = 261.6.
    assert_eq!(customers_for_mean(&arms, Some(1.0), 0.8, L), Ok(Needs { customers: 262, more: 62 }));
    assert_eq!(customers_for_mean(&arms, None, 0.8, L), Err(Unknown::NoSpread));
}

#[test]
fn thompsons_shares_follow_the_probability_of_being_best() {
    // Beta(11, 91) against Beta(21, 81): the second is better with probability 0.975 (scipy, by quadrature).
    let shares = shares_by_event(&[tally(10, 100), tally(20, 100)], 0.0, 1).unwrap();
    assert!((shares[1].best - 0.975).abs() < 0.015, "{}", shares[1].best);
    near(shares.iter().map(|arm| arm.share).sum(), 1.0);
    let floored = shares_by_event(&[tally(0, 1_000), tally(500, 1_000)], 0.2, 1).unwrap();
    near(floored[0].share, 0.1);
    assert_eq!(shares, shares_by_event(&[tally(10, 100), tally(20, 100)], 0.0, 1).unwrap());
    let untried = shares_by_event(&[Tally::default(); 4], 0.0, 7).unwrap();
    assert!(untried.iter().all(|arm| (arm.best - 0.25).abs() < 0.05));
    assert_eq!(shares_by_event(&[], 0.0, 1), Err(Unknown::Empty));
    assert_eq!(shares_by_event(&[tally(1, 2)], f64::NAN, 1), Err(Unknown::Impossible));
    assert_eq!(pick_event(&[], 1), None);
}

#[test]
fn thompsons_rule_by_value_prefers_few_large_orders_to_many_small_ones() {
    let arm = |orders: u64, each: f64| ValueArm {
        ordered: tally(orders, 1_000),
        values: Moments::of((0..orders).map(|at| each * (0.6 + 0.2 * (at % 5) as f64))),
    };
    let (many, large) = (arm(120, 30.0), arm(80, 90.0));
    let shares = shares_by_value(&[many, large], 0.0, 3).unwrap();
    assert!(shares[1].best > 0.99, "{}", shares[1].best);
    let none = ValueArm { ordered: tally(0, 0), values: Moments::default() };
    assert!(shares_by_value(&[none, none], 0.0, 3).unwrap().iter().all(|arm| arm.best > 0.4));
    let refunds = ValueArm { ordered: tally(2, 9), values: Moments::of([-5.0, -4.0]) };
    assert_eq!(shares_by_value(&[refunds, none], 0.0, 3), Err(Unknown::Impossible));
    assert_eq!(pick_value(&[refunds], 3), Err(Unknown::Impossible));
}

/// Expected orders lost by not always taking the best variant, over 2,000 customers.
fn regret(rates: &[f64], seed: u64, learn: bool) -> f64 {
    let mut dice = Dice::new(seed);
    let mut arms = vec![Tally::default(); rates.len()];
    let best = rates.iter().copied().fold(0.0, f64::max);
    let mut lost = 0.0;
    for customer in 0..2_000_u64 {
        let arm = if learn {
            pick_event(&arms, seed << 20 | customer).unwrap()
        } else {
            customer as usize % rates.len()
        };
        arms[arm] = arms[arm].plus(Tally::count([dice.hit(rates[arm])]));
        lost += best - rates[arm];
    }
    lost
}

#[test]
fn thompsons_rule_loses_less_than_an_even_split() {
    let rates = [0.06, 0.10, 0.14];
    let (mut learnt, mut even, mut better) = (0.0, 0.0, 0);
    for seed in 0..50 {
        let (one, other) = (regret(&rates, seed, true), regret(&rates, seed, false));
        learnt += one / 50.0;
        even += other / 50.0;
        better += u32::from(one < other);
    }
    println!(
        "orders lost of 2,000 customers: learning {learnt:.1}, evenly {even:.1}; less in {better} of 50"
    );
    assert!(learnt < 0.5 * even, "{learnt} {even}");
    assert!(better >= 48, "{better}");
}

fn counts(deeds: &[(u8, u8, usize)]) -> WeekCounts {
    WeekCounts::of(deeds.iter().flat_map(|(day, hour, n)| std::iter::repeat_n((*day, *hour), *n))).unwrap()
}

#[test]
fn an_hour_is_the_customers_own_only_with_evidence() {
    let shop: Vec<(u8, u8, usize)> =
        (0..7).flat_map(|day| (8..22).map(move |hour| (day, hour, 40))).collect();
    let evening = counts(&shop.iter().copied().chain((0..7).map(|day| (day, 20, 60))).collect::<Vec<_>>());
    let time = |deeds: &[(u8, u8, usize)]| best_time(&counts(deeds), &evening);
    assert_eq!(time(&[]).preference, Preference::Shop { hour: 20 });
    assert_eq!(time(&[(2, 9, 1)]).preference, Preference::Shop { hour: 20 });
    let early = time(&[(0, 6, 2), (1, 6, 2), (2, 6, 1), (3, 6, 2), (4, 6, 1), (5, 6, 1), (6, 6, 1)]);
    assert_eq!(early.preference, Preference::OwnHour { hour: 6 });
    assert!(early.evidence > 10.0 && early.n == 10);
    assert_eq!(time(&[(6, 11, 12)]).preference, Preference::OwnWeek { weekday: 6, hour: 11 });
    // Around midnight the neighbours are on the other side of the day.
    let night = time(&[(0, 23, 4), (2, 23, 3), (4, 0, 4), (1, 0, 3), (5, 1, 3), (6, 22, 3)]);
    assert!(matches!(night.preference, Preference::OwnHour { hour: 23 | 0 }), "{night:?}");
    assert_eq!(best_time(&counts(&[]), &counts(&[])).preference, Preference::NotKnown);
    assert!(WeekCounts::of([(7, 0)]).is_err() && WeekCounts::of([(0, 24)]).is_err());
}

/// Customers without a habit: who is given one anyway.
#[test]
fn hardly_anybody_gets_a_habit_by_chance() {
    let shop = counts(&(0..7).flat_map(|day| (8..22).map(move |hour| (day, hour, 40))).collect::<Vec<_>>());
    let mut own = 0;
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let mut deed = || ((dice.even() * 7.0) as u8, 8 + (dice.even() * 14.0) as u8);
        let deeds: Vec<(u8, u8)> = (0..1 + seed % 20).map(|_| deed()).collect();
        let found = best_time(&WeekCounts::of(deeds).unwrap(), &shop).preference;
        own += u32::from(!matches!(found, Preference::Shop { .. }));
    }
    assert!(own <= 12, "{own} of 400");
}
