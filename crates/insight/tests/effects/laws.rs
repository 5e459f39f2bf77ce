//! Properties that hold for any data.

use proptest::prelude::*;
use zyklus_insight::experiment::Looks;
use zyklus_insight::interval::{Answers, Level, Moments, Tally, mean, median, nps, share, share_difference};
use zyklus_insight::survival::{Spell, curve, incidence};

const L: Level = Level::P95;

fn tally() -> impl Strategy<Value = Tally> {
    (0_u64..2_000).prop_flat_map(|of| (0..=of, Just(of))).prop_map(|(hits, of)| Tally::new(hits, of).unwrap())
}

/// Half days, so that there are ties.
fn spell() -> impl Strategy<Value = Spell<u8>> {
    (0_u32..60, proptest::option::of(0_u8..3))
        .prop_map(|(half, exit)| Spell { days: f64::from(half) / 2.0, exit })
}

proptest! {
    #[test]
    fn an_interval_of_shares_stays_inside_and_holds_its_value(tally in tally(), other in tally()) {
        if let Ok(found) = share(tally, L) {
            prop_assert!(0.0 <= found.low() && found.low() <= found.value());
            prop_assert!(found.value() <= found.high() && found.high() <= 1.0);
            // Surer is wider.
            let surer = share(tally, Level::P99).unwrap();
            prop_assert!(surer.low() <= found.low() && found.high() <= surer.high());
        }
        if let Ok(found) = share_difference(tally, other, L) {
            prop_assert!(-1.0 <= found.low() && found.high() <= 1.0);
            let back = share_difference(other, tally, L).unwrap();
            prop_assert!((found.low() + back.high()).abs() < 1e-12);
        }
    }

    #[test]
    fn nps_stays_inside_and_turns_around(p in 0_u64..60, m in 0_u64..60, d in 0_u64..60) {
        let answers = Answers { promoters: p, passives: m, detractors: d };
        prop_assume!(answers.n() > 0);
        let found = nps(answers, L).unwrap();
        prop_assert!(-100.0 <= found.low() && found.high() <= 100.0);
        let turned = nps(Answers { promoters: d, detractors: p, ..answers }, L).unwrap();
        prop_assert!((found.low() + turned.high()).abs() < 1e-5, "{} {}", found.low(), turned.high());
    }

    #[test]
    fn moments_do_not_depend_on_how_they_were_put_together(
        values in proptest::collection::vec(-1e6_f64..1e6, 2..60), cut in 0_usize..60,
    ) {
        let all = Moments::of(values.iter().copied());
        let cut = cut.min(values.len());
        let parts = Moments::of(values[cut..].iter().copied()).plus(Moments::of(values[..cut].iter().copied()));
        let sums = Moments::from_sums(
            values.len() as u64, values.iter().sum(), values.iter().map(|value| value * value).sum(),
        ).unwrap();
        for other in [parts, sums] {
            prop_assert_eq!(all.n(), other.n());
            prop_assert!((all.mean().unwrap() - other.mean().unwrap()).abs() < 1e-6);
            let (one, other) = (all.variance().unwrap(), other.variance().unwrap());
            prop_assert!((one - other).abs() <= 1e-6 * one.max(1e6), "{one} {other}");
        }
        prop_assert!(mean(&all, L).unwrap().holds(all.mean().unwrap()));
    }

    #[test]
    fn nothing_finite_or_not_makes_a_figure_that_is_not(
        values in proptest::collection::vec(proptest::num::f64::ANY, 0..12),
    ) {
        for found in [mean(&Moments::of(values.iter().copied()), L), median(&values, L)].into_iter().flatten() {
            prop_assert!(found.low().is_finite() && found.value().is_finite() && found.high().is_finite());
        }
        let spells: Vec<Spell<u8>> = values.iter().map(|days| Spell { days: *days, exit: Some(1) }).collect();
        if let Ok(curve) = curve(&spells, L) {
            prop_assert!(curve.steps().iter().all(|step| step.low <= step.share && step.share <= step.high));
        }
    }

    /// Without censoring the curve is the share with longer spells.
    #[test]
    fn a_curve_without_censoring_is_the_empirical_one(days in proptest::collection::vec(0_u32..40, 1..50), at in 0_u32..45) {
        let spells: Vec<Spell<u8>> = days.iter().map(|days| Spell { days: f64::from(*days), exit: Some(0) }).collect();
        let longer = days.iter().filter(|days| **days > at).count() as f64 / days.len() as f64;
        let found = curve(&spells, L).unwrap().at(f64::from(at)).unwrap();
        prop_assert!((found.value() - longer).abs() < 1e-12);
    }

    #[test]
    fn a_curve_falls_inside_its_band(spells in proptest::collection::vec(spell(), 1..60)) {
        let curve = curve(&spells, L).unwrap();
        for step in curve.steps() {
            prop_assert!(0.0 <= step.low && step.low <= step.share && step.share <= step.high && step.high <= 1.0);
        }
        prop_assert!(curve.steps().windows(2).all(|pair| pair[0].share >= pair[1].share));
        let accounted: u64 = curve.steps().iter().map(|step| step.left + step.censored).sum();
        prop_assert_eq!(accounted, spells.len() as u64);
    }

    /// Aalen and Johansen's shares and Kaplan and Meier's sum to one.
    #[test]
    fn incidences_and_who_stays_sum_to_one(spells in proptest::collection::vec(spell(), 1..60), at in 0_u32..60) {
        let days = f64::from(at) / 2.0;
        let (incidence, curve) = (incidence(&spells, L).unwrap(), curve(&spells, L).unwrap());
        if let Ok(still) = curve.at(days) {
            let gone: f64 = (0..3).map(|exit| incidence.gone_by(exit, days).unwrap().value()).sum();
            prop_assert!((gone + still.value() - 1.0).abs() < 1e-9, "{gone} {}", still.value());
            prop_assert!((incidence.staying(days) - still.value()).abs() < 1e-12);
        }
        for (_, points) in incidence.exits() {
            prop_assert!(points.iter().all(|point| 0.0 <= point.low && point.low <= point.share));
            prop_assert!(points.iter().all(|point| point.share <= point.high && point.high <= 1.0));
            prop_assert!(points.windows(2).all(|pair| pair[0].share <= pair[1].share + 1e-12));
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter(spells in proptest::collection::vec(spell(), 1..40), turn in 0_usize..40) {
        let mut turned = spells.clone();
        turned.rotate_left(turn % spells.len());
        turned.reverse();
        prop_assert_eq!(curve(&spells, L), curve(&turned, L));
        prop_assert_eq!(incidence(&spells, L).unwrap(), incidence(&turned, L).unwrap());
        let days = |spells: &[Spell<u8>]| median(&spells.iter().map(|spell| spell.days).collect::<Vec<_>>(), L);
        prop_assert_eq!(days(&spells), days(&turned));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// What was said at a look does not change when others are planned after it.
    #[test]
    fn later_looks_do_not_change_earlier_ones(steps in proptest::collection::vec(1_u32..20, 2..8)) {
        let total = f64::from(steps.iter().sum::<u32>());
        let mut shares = Vec::new();
        let mut sum = 0;
        for step in steps {
            sum += step;
            shares.push(f64::from(sum) / total);
        }
        let all = Looks::new(&shares, L).unwrap();
        let some = Looks::new(&shares[..shares.len() - 1], L).unwrap();
        prop_assert_eq!(&all.reach()[..shares.len() - 1], some.reach());
        // Never less than a single look asks for, however they lie: where the first spends next to nothing, the last is
        // as good as the only one, up to the digits its boundary is searched to.
        prop_assert!(all.reach().iter().all(|reach| *reach > L.z() - 1e-6), "{:?}", all.reach());
    }
}
