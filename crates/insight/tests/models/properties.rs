//! What holds of every shop and every customer: the unit of time, the currency, the order of rows and how they are
//! grouped make no difference; whoever ordered lately is the likelier to order; the forecasts of a model agree with
//! each other. Cases are few, as fits are slow without optimisation; `PROPTEST_CASES` makes them more.

use proptest::prelude::*;
use zyklus_insight::predict::{Forecaster, Question};
use zyklus_insight::purchase::fit::{Kind, Options, fit, maximum};
use zyklus_insight::purchase::{BgNbd, Grouping, MbgNbd, Model, Nbd, NextOrder, ParetoNbd, Sample};
use zyklus_insight::rfm::{Rfm, summarise};
use zyklus_insight::span::{DiscountRate, Discounting, Span, Unit};
use zyklus_insight::spend::fit::fit as fit_spend;
use zyklus_insight::spend::{GammaGamma, SpendModel, Spends};

use crate::cdnow::summary;
use crate::shop::Dice;

/// A positive number over several orders of magnitude.
fn positive(least: f64, most: f64) -> impl Strategy<Value = f64> {
    (least.ln()..most.ln()).prop_map(f64::exp)
}

fn customer() -> impl Strategy<Value = Rfm> {
    (0_u32..40, 1_u32..700, 0_u32..700, positive(1.0, 1e6)).prop_map(|(repeats, recency, idle, cents)| {
        let recency = Span::of_days(if repeats == 0 { 0 } else { recency.max(repeats) });
        let age = Span::new(recency.as_days() + f64::from(idle), Unit::Day).unwrap();
        Rfm::new(repeats, recency, age, (repeats > 0).then_some(cents)).unwrap()
    })
}

fn model() -> impl Strategy<Value = Model> {
    let parameters =
        (positive(0.02, 20.0), positive(0.5, 500.0), positive(0.02, 50.0), positive(0.02, 200.0));
    (0..4, parameters).prop_map(|(kind, (r, alpha, third, fourth))| {
        let span = |days| Span::new(days, Unit::Day).unwrap();
        match kind {
            0 => Model::Bg(BgNbd::new(r, span(alpha), third, fourth).unwrap()),
            1 => Model::Mbg(MbgNbd::new(r, span(alpha), third, fourth).unwrap()),
            2 => Model::Pareto(ParetoNbd::new(r, span(alpha), third, span(fourth * 10.0)).unwrap()),
            _ => Model::Nbd(Nbd::new(r, span(alpha)).unwrap()),
        }
    })
}

/// The customer, idle for longer.
fn idler(rfm: &Rfm, by: u32) -> Rfm {
    let age = Span::new(rfm.age().as_days() + f64::from(by), Unit::Day).unwrap();
    Rfm::new(rfm.repeats(), rfm.recency(), age, rfm.spend()).unwrap()
}

proptest! {
    #[test]
    fn forecasts_agree_with_each_other(model in model(), rfm in customer(), days in 1_u32..1_000, share in 0.01_f64..0.99) {
        let horizon = Span::of_days(days);
        let (orders, any) = (model.expected_orders(&rfm, horizon), model.any_order(&rfm, horizon));
        prop_assert!((0.0..=1.0).contains(&any) && orders.is_finite());
        prop_assert!(orders >= any * (1.0 - 1e-9) - 1e-12, "{orders} orders, {any} any");
        // A longer horizon brings no fewer.
        let longer = Span::of_days(days * 2);
        prop_assert!(model.expected_orders(&rfm, longer) >= orders * (1.0 - 1e-9));
        prop_assert!(model.any_order(&rfm, longer) >= any * (1.0 - 1e-9));
        match model.next_order(&rfm, share) {
            NextOrder::In(wait) => {
                let chance = model.any_order(&rfm, wait);
                prop_assert!((chance - share).abs() < 1e-6, "{chance} instead of {share} in {wait:?}");
            }
            NextOrder::Never => prop_assert!(model.any_order(&rfm, Span::of_days(36_525)) <= share + 1e-9),
        }
    }

    #[test]
    fn whoever_is_idle_for_longer_orders_less(model in model(), rfm in customer(), by in 1_u32..400, days in 1_u32..400) {
        let (horizon, idler) = (Span::of_days(days), idler(&rfm, by));
        let allowed = 1.0 + 1e-9;
        prop_assert!(model.any_order(&idler, horizon) <= model.any_order(&rfm, horizon) * allowed + 1e-12);
        prop_assert!(model.expected_orders(&idler, horizon) <= model.expected_orders(&rfm, horizon) * allowed + 1e-12);
        prop_assert!(model.p_alive(&idler) <= model.p_alive(&rfm).map(|alive| alive * allowed + 1e-12));
    }

    #[test]
    fn a_summary_does_not_depend_on_the_order_of_rows(
        orders in prop::collection::vec((0_u32..30, 0_i32..200, -500_i64..5_000), 0..200),
        apart in any::<bool>(),
        until in 0_i32..220,
        seed in any::<u64>(),
    ) {
        // Keys far apart fall into groups of their own.
        let key = |customer: u32| if apart { customer * 50_000_017 } else { customer };
        let columns = |orders: &[(u32, i32, i64)]| {
            let customers: Vec<u32> = orders.iter().map(|order| key(order.0)).collect();
            let days: Vec<i32> = orders.iter().map(|order| order.1).collect();
            let minors: Vec<i64> = orders.iter().map(|order| order.2).collect();
            summarise(&customers, &days, &minors, until).unwrap()
        };
        let mut shuffled = orders.clone();
        let mut dice = Dice::new(seed);
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, dice.below(i + 1));
        }
        let mut sorted = orders.clone();
        sorted.sort_unstable();
        let mut day_by_day = shuffled.clone();
        day_by_day.sort_by_key(|order| order.1);
        let found = columns(&orders);
        prop_assert_eq!(&found, &columns(&shuffled));
        prop_assert_eq!(&found, &columns(&sorted));
        prop_assert_eq!(&found, &columns(&day_by_day));
        // One customer after the other.
        let mut streamed = Vec::new();
        for customer in 0..30 {
            let mut own: Vec<(i32, i64)> =
                orders.iter().filter(|order| order.0 == customer).map(|order| (order.1, order.2)).collect();
            streamed.extend(Rfm::of_orders(&mut own, until).map(|rfm| (key(customer), rfm)));
        }
        prop_assert_eq!(&found, &streamed);
    }

    #[test]
    fn likelihoods_do_not_depend_on_unit_grouping_or_order(
        customers in prop::collection::vec(customer(), 1..30),
        r in positive(0.05, 5.0), alpha in positive(1.0, 200.0), a in positive(0.05, 5.0), b in positive(0.05, 9.0),
    ) {
        let sample: Sample = customers.iter().collect();
        let mut twice = Grouping::new();
        for rfm in customers.iter().rev() {
            twice.add_many(rfm, 0.5);
            twice.add_many(rfm, 1.5);
        }
        let twice = twice.finish();
        let weeks = |weeks| Span::new(weeks, Unit::Week).unwrap();
        let repeats: f64 = customers.iter().map(|rfm| f64::from(rfm.repeats())).sum();
        let bg = BgNbd::new(r, weeks(alpha / 7.0), a, b).unwrap();
        let mbg = MbgNbd::new(r, weeks(alpha / 7.0), a, b).unwrap();
        let pareto = ParetoNbd::new(r, weeks(alpha / 7.0), a, weeks(b)).unwrap();
        for kind in 0..3 {
            let likelihood = |sample: &Sample, unit| match kind {
                0 => bg.log_likelihood(sample, unit),
                1 => mbg.log_likelihood(sample, unit),
                _ => pareto.log_likelihood(sample, unit),
            };
            let once = likelihood(&sample, Unit::Day);
            let close = |one: f64, other: f64| (one - other).abs() < 1e-10 * other.abs().max(1.0);
            prop_assert!(once.is_finite());
            prop_assert!(close(likelihood(&twice, Unit::Day), 2.0 * once));
            // A density over weeks is one over days times seven for every purchase.
            prop_assert!(close(likelihood(&sample, Unit::Week), once + repeats * 7.0_f64.ln()));
            // Each customer alone.
            let alone: f64 =
                customers.iter().map(|rfm| likelihood(&[*rfm].iter().collect(), Unit::Day)).sum();
            prop_assert!(close(alone, once), "{alone} {once}");
        }
    }

    #[test]
    fn a_value_is_never_negative_and_goes_with_the_currency(
        model in model(), rfm in customer(), p in positive(0.1, 50.0), q in positive(1.06, 30.0), v in positive(1.0, 1e6),
        rate in 0.0_f64..2.0, days in 1_u32..900, factor in positive(0.001, 1000.0),
    ) {
        let spend = GammaGamma::new(p, q, v).unwrap();
        let dearer = GammaGamma::new(p, q, v * factor).unwrap();
        let paid = Rfm::new(rfm.repeats(), rfm.recency(), rfm.age(), rfm.spend().map(|cents| cents * factor)).unwrap();
        let (one, other) = (spend.expected_spend(&rfm), dearer.expected_spend(&paid));
        prop_assert!(one > 0.0 && (other / one / factor - 1.0).abs() < 1e-9);
        let rate = DiscountRate::per_year(rate).unwrap();
        let horizon = Span::of_days(days);
        let orders = |discounting| {
            zyklus_insight::predict::discounted_orders(&model, &rfm, horizon, rate, discounting)
        };
        let all = model.expected_orders(&rfm, horizon);
        let (smooth, monthly, weekly) =
            (orders(Discounting::Continuous), orders(Discounting::Monthly), orders(Discounting::Weekly));
        for worth in [smooth, monthly, weekly] {
            prop_assert!(worth >= -1e-9 * all && worth <= all * (1.0 + 1e-9), "{worth} of {all}");
        }
        // Money that counts as coming later is worth less.
        prop_assert!(monthly <= weekly * (1.0 + 1e-6) + 1e-12 && weekly <= smooth * (1.0 + 1e-3) + 1e-12);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn fits_do_not_depend_on_the_unit_of_time_the_order_or_the_currency(
        factor in positive(0.05, 20.0), seed in any::<u64>(), mbg in any::<bool>(),
    ) {
        let kind = if mbg { Kind::Mbg } else { Kind::Bg };
        let plain = summary();
        let mut stretched: Vec<Rfm> = plain
            .iter()
            .map(|rfm| {
                let span = |span: Span| Span::new(span.as_days() * factor, Unit::Day).unwrap();
                let spend = rfm.spend().map(|cents| cents * factor);
                Rfm::new(rfm.repeats(), span(rfm.recency()), span(rfm.age()), spend).unwrap()
            })
            .collect();
        let mut dice = Dice::new(seed);
        for i in (1..stretched.len()).rev() {
            stretched.swap(i, dice.below(i + 1));
        }
        let (one, first) = maximum(&plain.iter().collect(), kind, Unit::Day);
        let (other, second) = maximum(&stretched.iter().collect(), kind, Unit::Day);
        let sample: Sample = plain.iter().collect();
        let repeats: f64 = plain.iter().map(|rfm| f64::from(rfm.repeats())).sum();
        prop_assert!((first - second - repeats * factor.ln()).abs() < 1e-7, "{first} {second}");
        let (horizon, longer) = (Span::of_weeks(39), Span::new(39.0 * factor, Unit::Week).unwrap());
        for rfm in plain.iter().take(30) {
            let span = |span: Span| Span::new(span.as_days() * factor, Unit::Day).unwrap();
            let same = Rfm::new(rfm.repeats(), span(rfm.recency()), span(rfm.age()), None).unwrap();
            let (said, repeated) = (one.expected_orders(rfm, horizon), other.expected_orders(&same, longer));
            prop_assert!((said / repeated - 1.0).abs() < 1e-5, "{said} {repeated}");
        }
        // Shuffled alone, nothing changes at all.
        let mut shuffled = plain.clone();
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, dice.below(i + 1));
        }
        let shuffled: Sample = shuffled.iter().collect();
        prop_assert_eq!(fit(&shuffled, &Options::default()), fit(&sample, &Options::default()));

        let (cents, other): (Spends, Spends) = (plain.iter().collect(), stretched.iter().collect());
        let (one, other) = (fit_spend(&cents, Default::default()), fit_spend(&other, Default::default()));
        let (SpendModel::GammaGamma(one), SpendModel::GammaGamma(other)) = (one.model, other.model) else {
            panic!("{one:?} {other:?}")
        };
        prop_assert!((one.p() / other.p() - 1.0).abs() < 1e-4 && (one.q() / other.q() - 1.0).abs() < 1e-4);
        prop_assert!((one.v() * factor / other.v() - 1.0).abs() < 1e-4);
    }
}

#[test]
fn a_stored_forecast_and_model_are_read_again() {
    let summary = summary();
    let purchase = fit(&summary.iter().collect(), &Options { kind: Kind::Pareto, ..Options::default() });
    let spend = fit_spend(&summary.iter().collect(), Default::default());
    let question = Question {
        horizon: Span::of_days(90),
        value_horizon: Span::of_days(365),
        rate: DiscountRate::per_year(0.1).unwrap(),
        discounting: Discounting::Continuous,
    };
    let before = Forecaster::new(&purchase, &spend, question).predict(&summary[0]);
    let again = |text: String| serde_json::from_str(&text).unwrap();
    let stored: zyklus_insight::purchase::fit::Fit = again(serde_json::to_string(&purchase).unwrap());
    let after = Forecaster::new(&stored, &spend, question).predict(&summary[0]);
    let (one, other) = (before.value.unwrap(), after.value.unwrap());
    assert!((one.high / other.high - 1.0).abs() < 1e-9 && one.low <= one.expected);
    assert!(before.alive.is_some() && before.next_order_early_days < before.next_order_days);
}
