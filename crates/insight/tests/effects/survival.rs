//! Survival curves against lifelines 0.30.3 (`KaplanMeierFitter`, `AalenJohansenFitter`), and what censoring does.

use zyklus_insight::interval::{Level, Unknown};
use zyklus_insight::survival::{Quantile, Spell, Stay, curve, incidence};
use zyklus_model::At;

use super::{near, within};

const L: Level = Level::P95;

fn spells(days: &[f64], exits: &[u8]) -> Vec<Spell<u8>> {
    let spell = |(days, exit): (&f64, &u8)| Spell { days: *days, exit: (*exit > 0).then_some(*exit) };
    days.iter().zip(exits).map(spell).collect()
}

fn ties() -> Vec<Spell<u8>> {
    spells(
        &[5., 6., 6., 2.5, 4., 4., 11., 12., 20., 20., 3., 8., 30., 14., 17.],
        &[1, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0],
    )
}

#[test]
fn curve_and_band_are_those_of_lifelines() {
    let curve = curve(&ties(), L).unwrap();
    let expected = [
        (2.5, 0.933_333_333_3, 0.612_641_243_8, 0.990_332_236_7),
        (4.0, 0.733_333_333_3, 0.436_208_202_4, 0.890_519_931_4),
        (6.0, 0.6, 0.317_586_910_2, 0.796_522_795_6),
        (11.0, 0.525, 0.252_398_194_6, 0.739_650_525_2),
        (14.0, 0.35, 0.117_583_717_2, 0.597_580_132_6),
        (20.0, 0.233_333_333_3, 0.045_548_261_0, 0.503_779_010_6),
    ];
    for (days, share, low, high) in expected {
        let found = curve.at(days).unwrap();
        near(found.value(), share);
        near(found.low(), low);
        near(found.high(), high);
        near(curve.gone_by(days + 0.4).unwrap().high(), 1.0 - low);
    }
    assert_eq!(curve.at_risk(4.0), 13);
    assert_eq!(curve.at_risk(20.0), 3);
    assert_eq!(curve.at_risk(31.0), 0);
}

#[test]
fn quantiles_are_those_of_lifelines_or_not_reached() {
    let curve = curve(&ties(), L).unwrap();
    assert_eq!(curve.quantile(0.5), Quantile::Reached { days: 12.0, low: 4.0, high: None });
    assert_eq!(curve.quantile(0.25).days(), Some(4.0));
    assert_eq!(curve.quantile(0.75).days(), Some(20.0));
    assert_eq!(curve.quantile(0.9), Quantile::NotReached { beyond: 30.0 });
}

#[test]
fn a_curve_says_nothing_about_longer_than_anybody_was_watched() {
    let curve = curve(&ties(), L).unwrap();
    assert_eq!(curve.at(30.1), Err(Unknown::TooYoung { days: 30.0 }));
    let gone = survival_of(&[(1.0, 1), (2.0, 1)]);
    near(gone.at(99.0).unwrap().value(), 0.0);
}

fn survival_of(spells: &[(f64, u8)]) -> zyklus_insight::survival::Curve {
    let (days, exits): (Vec<f64>, Vec<u8>) = spells.iter().copied().unzip();
    curve(&self::spells(&days, &exits), L).unwrap()
}

/// Where Greenwood's formula sees no spread, the interval is Wilson's: 0 of 40 may be up to 8.8 %.
#[test]
fn nobody_gone_is_not_certainty() {
    let none = survival_of(&[(30.0, 0); 40]);
    let gone = none.gone_by(30.0).unwrap();
    near(gone.value(), 0.0);
    within(gone.high(), 0.087_622_1, 1e-6);
}

#[test]
fn incidence_and_band_are_those_of_lifelines() {
    let days = [1.5, 2., 3., 4.5, 5., 6., 7.5, 8., 9., 10.5, 12., 13., 15., 18., 21., 25.];
    let found = incidence(&spells(&days, &[1, 2, 0, 1, 1, 2, 0, 1, 2, 1, 0, 2, 1, 0, 1, 0]), L).unwrap();
    let expected = [
        (1, 5.0, 0.197_115_384_6, 0.048_040_564_6, 0.419_476_539_2),
        (1, 12.0, 0.346_688_034_2, 0.125_129_068_7, 0.582_793_457_6),
        (1, 25.0, 0.571_047_008_5, 0.247_121_730_2, 0.798_861_220_2),
        (2, 6.0, 0.129_807_692_3, 0.021_272_069_2, 0.338_701_082_3),
        (2, 20.0, 0.294_337_606_8, 0.088_485_452_1, 0.539_644_529_7),
    ];
    for (exit, days, share, low, high) in expected {
        let found = found.gone_by(exit, days).unwrap();
        near(found.value(), share);
        near(found.low(), low);
        near(found.high(), high);
    }
    assert_eq!(found.gone_by(1, 26.0), Err(Unknown::TooYoung { days: 25.0 }));
}

#[test]
fn a_stay_is_watched_until_now_and_no_longer() {
    let day = |n: i64| At::from_seconds(n * 86_400);
    let stay = |left: Option<i64>| Stay { entered: day(10), left: left.map(|at| (day(at), 'b')) };
    assert_eq!(stay(Some(13)).spell(day(20)), Some(Spell { days: 3.0, exit: Some('b') }));
    assert_eq!(stay(Some(25)).spell(day(20)), Some(Spell { days: 10.0, exit: None }));
    assert_eq!(stay(None).spell(day(20)), Some(Spell { days: 10.0, exit: None }));
    assert_eq!(stay(None).spell(day(9)), None);
    assert_eq!(stay(Some(8)).spell(day(20)), None);
}

#[test]
fn unusable_spells_are_counted_and_left_out() {
    let odd = spells(&[f64::NAN, -1.0, f64::INFINITY, 2.0], &[1, 1, 0, 1]);
    let curve = curve(&odd, L).unwrap();
    assert_eq!((curve.n(), curve.unusable()), (1, 3));
    assert_eq!(incidence(&odd, L).unwrap().unusable(), 3);
    assert_eq!(incidence::<u8>(&[], L).unwrap_err(), Unknown::Empty);
}
