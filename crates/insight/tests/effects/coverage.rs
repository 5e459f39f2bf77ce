//! Whether intervals hold the truth as often as they say, on shops whose truth is known. `ZYKLUS_SIMULATIONS` sets how many
//! shops. With the 1,000 of a usual run, a share of 95 % comes out between 93 % and 97 % but for one time in 300; the
//! seeds are fixed, so it does so every time or never.

use zyklus_insight::experiment::{
    Anytime, Arms, Boundary, Looks, mean_lift, overall, overall_mean, share_lift,
};
use zyklus_insight::interval::{Figure, Level, Moments, Tally};

use super::dice::Dice;

const L: Level = Level::P95;
const DAYS: usize = 60;

/// How many customers a day come into the experiment, and which part of them is held out.
#[derive(Clone, Copy)]
struct Size {
    a_day: usize,
    held: f64,
}

/// About 96 orders of 1,200 held out.
const USUAL: Size = Size { a_day: 100, held: 0.2 };
/// About 29 orders of 360.
const SMALL: Size = Size { a_day: 40, held: 0.15 };

/// Who orders of those held out, and of the others.
const ORDER_HELD: f64 = 0.08;
const ORDER_TREATED: f64 = 0.11;
/// Order values are log-normal: e^3.5 = 33 in the middle, spread as those of real shops.
const VALUE: (f64, f64) = (3.5, 0.6);

fn simulations() -> u64 {
    std::env::var("ZYKLUS_SIMULATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000)
}

/// The same of an experiment, by what is looked at.
#[derive(Default, Clone, Copy)]
struct Pair<T> {
    share: T,
    mean: T,
}

/// A shop's experiment as it stands after each day.
struct Shop {
    days: Vec<(Arms<Tally>, Arms<Moments>)>,
}

impl Shop {
    fn new(size: Size, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut shares = Arms { treated: Tally::default(), held: Tally::default() };
        let mut values = Arms { treated: Moments::default(), held: Moments::default() };
        let mut days = Vec::new();
        for _ in 0..DAYS {
            for _ in 0..size.a_day {
                let held = dice.hit(size.held);
                let ordered = dice.hit(if held { ORDER_HELD } else { ORDER_TREATED });
                let value = if ordered { (VALUE.0 + VALUE.1 * dice.normal()).exp() } else { 0.0 };
                let one = Tally::count([ordered]);
                if held {
                    shares.held = shares.held.plus(one);
                    values.held = values.held.with(value);
                } else {
                    shares.treated = shares.treated.plus(one);
                    values.treated = values.treated.with(value);
                }
            }
            days.push((shares, values));
        }
        Self { days }
    }

    /// Whether no interval that is shown on any of the days misses the truth.
    fn holds<'a>(
        &self,
        days: std::ops::Range<usize>,
        boundary: impl Fn(usize) -> Boundary<'a>,
    ) -> Pair<bool> {
        let truth = truth();
        let fine = |figure: Figure, truth: f64| figure.map_or(true, |figure| figure.holds(truth));
        let mut holds = Pair { share: true, mean: true };
        for day in days {
            let (shares, values) = &self.days[day];
            holds.share &= fine(share_lift(*shares, boundary(day)), truth.share);
            holds.mean &= fine(mean_lift(values, boundary(day)), truth.mean);
        }
        holds
    }
}

/// The true lift.
fn truth() -> Pair<f64> {
    let share = ORDER_TREATED - ORDER_HELD;
    Pair { share, mean: share * (VALUE.0 + VALUE.1 * VALUE.1 / 2.0).exp() }
}

/// The share of shops in which all intervals hold the truth.
fn coverage<'a>(
    size: Size,
    shops: u64,
    from: usize,
    boundary: impl Fn(usize) -> Boundary<'a> + Copy,
) -> Pair<f64> {
    let mut held = Pair { share: 0_u32, mean: 0 };
    for seed in 0..shops {
        let holds = Shop::new(size, seed).holds(from..DAYS, boundary);
        held.share += u32::from(holds.share);
        held.mean += u32::from(holds.mean);
    }
    let all = shops as f64;
    let found = Pair { share: f64::from(held.share) / all, mean: f64::from(held.mean) / all };
    println!("held the truth: shares {:.3}, means {:.3}", found.share, found.mean);
    found
}

#[test]
fn looked_at_once_the_interval_holds_the_truth_in_95_of_100() {
    let found = coverage(USUAL, simulations(), DAYS - 1, |_| Boundary::Once(L));
    assert!((0.93..=0.97).contains(&found.share), "{}", found.share);
    assert!((0.93..=0.97).contains(&found.mean), "{}", found.mean);
}

/// Two journeys, one usual and one small: the truth of both is the same, so it is that of all.
#[test]
fn over_all_journeys_the_interval_holds_the_truth_in_95_of_100() {
    let (mut shares, mut means) = (0, 0);
    let shops = simulations() / 2;
    for seed in 0..shops {
        let last = |size, seed| Shop::new(size, seed).days[DAYS - 1];
        let (usual, small) = (last(USUAL, 2 * seed), last(SMALL, 2 * seed + 1));
        let truth = truth();
        let share = overall(&[usual.0, small.0], Boundary::Once(L)).unwrap();
        let mean = overall_mean(&[usual.1, small.1], Boundary::Once(L)).unwrap();
        shares += u64::from(share.holds(truth.share));
        means += u64::from(mean.holds(truth.mean));
    }
    let (shares, means) = (shares as f64 / shops as f64, means as f64 / shops as f64);
    println!("held the truth of all: shares {shares:.3}, means {means:.3}");
    assert!((0.925..=0.975).contains(&shares) && (0.925..=0.975).contains(&means), "{shares} {means}");
}

/// Why there are boundaries at all.
#[test]
fn looked_at_daily_an_interval_for_one_look_misses_far_too_often() {
    let found = coverage(USUAL, simulations().min(200), 0, |_| Boundary::Once(L));
    assert!(found.share < 0.85 && found.mean < 0.85, "{} {}", found.share, found.mean);
}

fn planned_looks_hold_the_truth(size: Size) {
    let looks = Looks::evenly(DAYS, L).unwrap();
    let found = coverage(size, simulations(), 0, |day| Boundary::Look(&looks, day));
    assert!((0.93..=0.97).contains(&found.share), "{}", found.share);
    assert!((0.93..=0.97).contains(&found.mean), "{}", found.mean);
}

#[test]
fn looked_at_daily_planned_looks_hold_the_truth_in_95_of_100() {
    planned_looks_hold_the_truth(USUAL);
}

#[test]
fn looked_at_daily_planned_looks_do_so_in_a_small_shop() {
    planned_looks_hold_the_truth(SMALL);
}

/// Valid for ever, so that 60 days do not use it up: more than 95 of 100.
#[test]
fn looked_at_daily_an_interval_for_any_time_holds_the_truth_in_at_least_95_of_100() {
    let anytime = Anytime::narrowest_at((DAYS * USUAL.a_day) as u64, L);
    let found = coverage(USUAL, simulations(), 0, |_| Boundary::Anytime(anytime));
    assert!(found.share >= 0.95 && found.mean >= 0.95, "{} {}", found.share, found.mean);
}
