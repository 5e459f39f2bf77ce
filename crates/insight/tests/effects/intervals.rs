//! Intervals against the figures of statsmodels 0.15.0 and scipy 1.17.1, and what they say of too little or nonsense.

use zyklus_insight::interval::{
    Against, Answers, Estimate, Level, Moments, Tally, Unknown, mean, mean_difference, median, nps, ratio,
    ratio_of_means, share, share_difference,
};

use super::{near, within};

const L: Level = Level::P95;

fn tally(hits: u64, of: u64) -> Tally {
    Tally::new(hits, of).unwrap()
}

fn bounds(estimate: Estimate, value: f64, low: f64, high: f64) {
    near(estimate.value(), value);
    near(estimate.low(), low);
    near(estimate.high(), high);
}

/// statsmodels: `proportion_confint(…, method="wilson")`.
#[test]
fn shares_have_wilsons_interval() {
    let check =
        |hits, of, low, high| bounds(share(tally(hits, of), L).unwrap(), hits as f64 / of as f64, low, high);
    check(0, 10, 0.0, 0.277_532_799_862_889_26);
    check(3, 10, 0.107_791_267_406_301_04, 0.603_221_852_538_854_6);
    check(10, 10, 0.722_467_200_137_110_6, 1.0);
    check(81, 263, 0.255_288_519_878_274_2, 0.366_209_576_982_800_04);
    check(1, 100_000, 1.765_247_730_378_308_2e-6, 5.664_709_659_040_968e-5);
}

/// statsmodels: `confint_proportions_2indep(…, method="newcomb", compare="diff")`. The first is example (a) of Newcombe
/// 1998, table II: 0.0524 to 0.3339.
#[test]
fn differences_of_shares_have_newcombes_interval() {
    let check =
        |one, other, value, low, high| bounds(share_difference(one, other, L).unwrap(), value, low, high);
    check(tally(56, 70), tally(48, 80), 0.2, 0.052_431_472_402_364_98, 0.333_872_654_036_906_14);
    check(tally(9, 10), tally(3, 10), 0.6, 0.170_522_723_934_502_9, 0.809_017_973_535_488);
    check(tally(0, 20), tally(0, 10), 0.0, -0.277_532_799_862_889_26, 0.161_125_158_052_819_4);
    check(tally(30, 1000), tally(10, 900), 17.0 / 900.0, 0.006_069_450_310_444_54, 0.032_379_143_463_251_28);
}

/// scipy: `t.interval`; statsmodels: `CompareMeans.tconfint_diff(usevar="unequal")`.
#[test]
fn means_have_students_and_welchs_interval() {
    let one = Moments::of([3.1, 2.7, 9.4, 4.4, 5.0, 7.7]);
    let other = Moments::of([1.0, 2.2, 2.9, 8.1]);
    bounds(mean(&one, L).unwrap(), 5.383_333_333_333_334, 2.605_664_000_618_068, 8.161_002_666_048_6);
    let difference = mean_difference(&one, &other, L).unwrap();
    bounds(difference, 5.383_333_333_333_334 - 3.55, -2.872_395_179_415_394_6, 6.539_061_846_082_062);
}

/// The roots of (a − r b)² = t² Var(a − r b), found numerically with scipy's `brentq`.
#[test]
fn ratios_have_fiellers_interval() {
    let pairs = [(50., 1.), (120., 3.), (30., 1.), (200., 4.), (75., 2.), (90., 2.), (40., 1.)];
    let found = ratio(&pairs, L).unwrap();
    bounds(found, 43.214_285_714_285_715, 32.301_224_006_713_404, 48.714_750_914_624_45);
    let one = Moments::of([3.1, 2.7, 9.4, 4.4, 5.0, 7.7]);
    let other = Moments::of([5.0, 6.0, 7.0, 8.0, 6.5]);
    let found = ratio_of_means(&one, &other, L).unwrap();
    bounds(found, 0.828_205_128_205_128_3, 0.360_278_830_436_164_93, 1.375_296_752_875_192_5);
    assert_eq!(ratio(&[(1.0, 0.1), (2.0, -0.2), (1.0, 0.05)], L), Err(Unknown::Unbounded));
}

/// Ranks by scipy's `binom.cdf`: 3 of 12, 41 of 101, 469 of 1,000.
#[test]
fn medians_have_the_interval_between_two_values() {
    let twelve = [12., 5., 7., 30., 1., 18., 22., 9., 4., 15., 40., 3.];
    bounds(median(&twelve, L).unwrap(), 10.5, 4.0, 22.0);
    let to = |n: u32| (1..=n).rev().map(f64::from).collect::<Vec<_>>();
    bounds(median(&to(101), L).unwrap(), 51.0, 41.0, 61.0);
    bounds(median(&to(1_000), L).unwrap(), 500.5, 469.0, 532.0);
    bounds(median(&to(6), L).unwrap(), 3.5, 1.0, 6.0);
    assert_eq!(median(&to(5), L), Err(Unknown::TooFew { n: 5, needed: 6 }));
    assert_eq!(median(&[], L), Err(Unknown::Empty));
    assert_eq!(median(&[1.0, f64::NAN], L), Err(Unknown::Impossible));
}

/// Below 100 answers: quantiles of p − d under the Dirichlet posterior by scipy's `quad` and `brentq`; two million draws
/// of the first gave −20.50 and 66.58.
#[test]
fn nps_has_a_bayesian_interval_below_a_hundred_answers() {
    let check = |promoters, passives, detractors, low, high| {
        let found = nps(Answers { promoters, passives, detractors }, L).unwrap();
        within(found.low(), low, 2e-5);
        within(found.high(), high, 2e-5);
    };
    check(5, 3, 2, -20.449_310_543_653_47, 66.589_942_850_119_53);
    check(20, 30, 40, -37.545_094_208_652_19, -5.517_549_654_868_322);
    // All alike: the score lies outside what is likely, and is taken in.
    let all = nps(Answers { promoters: 12, passives: 0, detractors: 0 }, L).unwrap();
    within(all.low(), 59.493_077_582_374_966, 2e-5);
    near(all.high(), 100.0);
    let one = nps(Answers { promoters: 0, passives: 0, detractors: 1 }, L).unwrap();
    near(one.low(), -100.0);
    within(one.high(), 58.640_628_557_214_81, 2e-5);
}

/// 50 promoters and 20 detractors of 150: 20 ± 100 · 1.959964 · √((70/150 − 0.04)/150).
#[test]
fn nps_is_normal_from_a_hundred_answers_on() {
    let found = nps(Answers { promoters: 50, passives: 80, detractors: 20 }, L).unwrap();
    bounds(found, 20.0, 9.546_858_749_119_709, 30.453_141_250_880_29);
    let scores = Answers::of([0, 6, 7, 8, 9, 10]).unwrap();
    assert_eq!(scores, Answers { promoters: 2, passives: 2, detractors: 2 });
    assert_eq!(Answers::of([11]), Err(Unknown::Impossible));
}

#[test]
fn few_cases_make_a_figure_weak_and_take_its_arrow() {
    let few = share(tally(29, 29), L).unwrap();
    assert!(few.is_weak());
    assert_eq!(few.against(0.1), Against::Open);
    let enough = share(tally(30, 30), L).unwrap();
    assert!(!enough.is_weak());
    assert_eq!(enough.against(0.1), Against::Above);
    assert_eq!(share(tally(1, 300), L).unwrap().against(0.1), Against::Below);
    assert_eq!(share(tally(30, 300), L).unwrap().against(0.1), Against::Open);
}

#[test]
fn nonsense_gives_a_reason_and_no_number() {
    assert_eq!(Tally::new(2, 1), Err(Unknown::Impossible));
    assert_eq!(share(Tally::default(), L), Err(Unknown::Empty));
    assert_eq!(mean(&Moments::default(), L), Err(Unknown::Empty));
    assert_eq!(mean(&Moments::of([1.0]), L), Err(Unknown::TooFew { n: 1, needed: 2 }));
    assert_eq!(mean(&Moments::of([1.0, f64::INFINITY, 2.0]), L), Err(Unknown::Impossible));
    let same = Moments::of([2.0, 2.0]);
    assert_eq!(mean_difference(&same, &same, L), Err(Unknown::NoSpread));
    assert_eq!(Moments::from_sums(3, 30.0, 1.0), Err(Unknown::Impossible));
    assert_eq!(nps(Answers::default(), L), Err(Unknown::Empty));
    assert_eq!(Level::new(1.0), None);
    assert_eq!(Level::new(f64::NAN), None);
}
