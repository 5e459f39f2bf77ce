//! Simulated shops, whose truth is known: fits find it, chances come true, and ranges hold as often as they say. Never
//! a shop that is not made from a seed.

use zyklus_insight::predict::{Forecaster, Question};
use zyklus_insight::purchase::fit::{Fit, Kind, Options, Rung, fit};
use zyklus_insight::purchase::{Model, Sample};
use zyklus_insight::rfm::{Day, History, Rfm};
use zyklus_insight::span::{DiscountRate, Discounting, Span};
use zyklus_insight::spend::Spends;
use zyklus_insight::spend::fit::fit as fit_spend;
use zyklus_insight::validate::{calibration, rolling};

use crate::shop::{Dice, Leaving, Shop};

const CUT: Day = 400;
const HORIZON: Day = 360;

fn options(kind: Kind) -> Options {
    Options { kind, ..Options::default() }
}

/// A shop, and its customers as of the cut.
fn lived(shop: Shop, seed: u64) -> (Vec<History>, Vec<Rfm>) {
    let histories = shop.live(&mut Dice::new(seed));
    let customers = histories.iter().map(|history| history.rfm(CUT).unwrap()).collect();
    (histories, customers)
}

fn fitted(customers: &[Rfm], kind: Kind) -> Fit {
    let sample: Sample = customers.iter().collect();
    fit(&sample, &options(kind))
}

/// The truth lies within three standard errors.
fn check_found(fit: &Fit, found: [f64; 4], truth: [f64; 4]) {
    assert!(matches!(fit.rung, Rung::Full { .. }), "{:?}", fit.rung);
    for ((found, truth), error) in found.into_iter().zip(truth).zip(fit.standard_errors()) {
        let off = (found / truth).ln() / error;
        assert!(off.abs() < 3.0, "{found} instead of {truth}, {off} standard errors off");
    }
}

#[test]
fn fits_find_the_truth_of_simulated_shops() {
    let (_, customers) = lived(Shop::new(6_000, CUT, Leaving::AfterAny(0.9, 1.8)), 1);
    let fit = fitted(&customers, Kind::Mbg);
    let Model::Mbg(m) = &fit.model else { panic!("{:?}", fit.model) };
    check_found(&fit, [m.r(), m.alpha().as_days(), m.a(), m.b()], [0.55, 60.0, 0.9, 1.8]);

    let (_, customers) = lived(Shop::new(6_000, CUT, Leaving::AfterRepeats(0.8, 2.4)), 2);
    let fit = fitted(&customers, Kind::Bg);
    let Model::Bg(m) = &fit.model else { panic!("{:?}", fit.model) };
    check_found(&fit, [m.r(), m.alpha().as_days(), m.a(), m.b()], [0.55, 60.0, 0.8, 2.4]);

    let (_, customers) = lived(Shop::new(3_000, CUT, Leaving::Anytime(0.6, 80.0)), 3);
    let fit = fitted(&customers, Kind::Pareto);
    let Model::Pareto(m) = &fit.model else { panic!("{:?}", fit.model) };
    check_found(&fit, [m.r(), m.alpha().as_days(), m.s(), m.beta().as_days()], [0.55, 60.0, 0.6, 80.0]);
}

#[test]
fn chances_and_numbers_of_orders_come_true_on_simulated_shops() {
    let shops = [
        (Kind::Mbg, Leaving::AfterAny(0.9, 1.8)),
        (Kind::Bg, Leaving::AfterRepeats(0.8, 2.4)),
        (Kind::Pareto, Leaving::Anytime(0.6, 80.0)),
        (Kind::Mbg, Leaving::Never),
    ];
    for ((kind, leaving), seed) in shops.into_iter().zip(11..) {
        let shop = Shop::new(3_000, CUT + 90, leaving);
        let (histories, customers) = lived(shop, seed);
        let fit = fitted(&customers, kind);
        let window = Span::of_days(90);
        let came = |history: &History| history.orders_between(CUT, CUT + 90);
        let said = customers.iter().map(|rfm| fit.model.any_order(rfm, window));
        let chances: Vec<(f64, bool)> =
            said.zip(&histories).map(|(said, history)| (said, came(history) > 0)).collect();
        for bin in calibration(chances, 5) {
            // Four standard deviations of a share.
            let sampling = 4.0 * (bin.said * (1.0 - bin.said) / bin.customers as f64).sqrt() + 0.01;
            assert!((bin.said - bin.came).abs() < sampling, "{kind:?}: {bin:?}");
        }
        let forecast: f64 = customers.iter().map(|rfm| fit.model.expected_orders(rfm, window)).sum();
        let orders: f64 = histories.iter().map(|history| f64::from(came(history))).sum();
        assert!((forecast / orders - 1.0).abs() < 0.1, "{kind:?}: {forecast} instead of {orders}");
    }
}

#[test]
fn ranges_of_a_customers_value_hold_nine_times_in_ten() {
    let shops = [
        (Kind::Mbg, Leaving::AfterAny(0.9, 1.8), 2_000),
        (Kind::Bg, Leaving::AfterRepeats(0.8, 2.4), 2_000),
        (Kind::Pareto, Leaving::Anytime(0.6, 80.0), 1_000),
        (Kind::Mbg, Leaving::Never, 1_000),
        (Kind::Mbg, Leaving::AfterAny(0.9, 1.8), 200),
    ];
    let rate = DiscountRate::per_year(0.1).unwrap();
    let horizon = Span::of_days(HORIZON as u32);
    let question = Question { horizon, value_horizon: horizon, rate, discounting: Discounting::Continuous };
    for ((kind, leaving, count), seed) in shops.into_iter().zip(21..) {
        // Where nobody leaves, customers' means differ more than their orders do.
        let spend = if matches!(leaving, Leaving::Never) { [30.0, 2.2, 40.0] } else { [6.25, 3.74, 1_544.0] };
        let (histories, customers) = lived(Shop { spend, ..Shop::new(count, CUT + HORIZON, leaving) }, seed);
        let purchase = fitted(&customers, kind);
        let spends: Spends = customers.iter().collect();
        let spend = fit_spend(&spends, Default::default());
        let forecaster = Forecaster::new(&purchase, &spend, question);
        let (mut held, mut held_of_repeaters, mut repeaters) = (0.0, 0.0, 0.0);
        for (history, rfm) in histories.iter().zip(&customers) {
            let value = forecaster.predict(rfm).value.unwrap();
            let worth: f64 = (CUT + 1..=CUT + HORIZON)
                .map(|day| {
                    let spent = history.spent_between(day - 1, day) as f64;
                    spent * rate.factor(Span::of_days((day - CUT) as u32))
                })
                .sum();
            assert!(value.low >= 0.0 && value.low <= value.expected && value.expected <= value.high);
            let within = f64::from(u8::from(worth >= value.low && worth <= value.high));
            held += within;
            if rfm.repeats() > 0 {
                held_of_repeaters += within;
                repeaters += 1.0;
            }
        }
        let (all, own) = (held / count as f64, held_of_repeaters / repeaters);
        assert!((0.85..=0.95).contains(&all), "{kind:?} of {count}: {all}");
        assert!((0.83..=0.97).contains(&own), "{kind:?} of {count}: repeat buyers {own}");
    }
}

#[test]
fn a_simulated_shop_validates_better_than_a_fixed_window() {
    let shop = Shop::new(2_000, 490, Leaving::AfterAny(0.9, 1.8));
    let histories = shop.live(&mut Dice::new(31));
    let report = rolling(&histories, &[220, 310, 400], 90, 490, &options(Kind::Mbg)).unwrap();
    for cutoff in &report.cutoffs[1..] {
        let told = cutoff.told;
        assert!(told.by_model.unwrap() > told.by_fixed_window.unwrap() - 0.02, "{told:?}");
        assert!(cutoff.all.forecast_error.unwrap().abs() < 0.15);
    }
}
