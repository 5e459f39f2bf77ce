//! Hard shops and hard parameters: each gives a finite answer, and says on which rung it stands. Never a shop that a
//! known program was not seen to fail on.

use zyklus_insight::predict::{Forecaster, Prediction, Question};
use zyklus_insight::purchase::fit::{Budget, Fit, Kind, Options, Rung, fit};
use zyklus_insight::purchase::{
    BaseRates, BgNbd, Doubt, Evidence, MbgNbd, Model, NextOrder, ParetoNbd, Prior, Sample,
};
use zyklus_insight::rfm::Rfm;
use zyklus_insight::span::{DiscountRate, Discounting, Span, Unit};
use zyklus_insight::spend::fit::{Independence, SpendFit, SpendRung, fit as fit_spend};
use zyklus_insight::spend::{GammaGamma, SpendModel, Spends};

use crate::cdnow::summary;
use crate::shop::{Dice, Leaving, Shop};

const KINDS: [Kind; 3] = [Kind::Bg, Kind::Mbg, Kind::Pareto];

fn weeks(weeks: f64) -> Span {
    Span::new(weeks, Unit::Week).unwrap()
}

fn rfm(repeats: u32, recency: u32, age: u32) -> Rfm {
    Rfm::new(repeats, Span::of_days(recency), Span::of_days(age), None).unwrap()
}

fn fitted(customers: &[Rfm], kind: Kind) -> Fit {
    fit(&customers.iter().collect(), &Options { kind, ..Options::default() })
}

fn spend(customers: &[Rfm]) -> SpendFit {
    fit_spend(&customers.iter().collect(), Budget::default())
}

fn predict(purchase: &Fit, spend: &SpendFit, rfm: &Rfm) -> Prediction {
    let question = Question {
        horizon: Span::of_days(90),
        value_horizon: Span::of_days(365),
        rate: DiscountRate::per_year(0.1).unwrap(),
        discounting: Discounting::Monthly,
    };
    Forecaster::new(purchase, spend, question).predict(rfm)
}

/// Every figure is finite and within its bounds.
fn check_sane(prediction: &Prediction) {
    let p = prediction;
    assert!((0.0..=1.0).contains(&p.any_order), "{p:?}");
    assert!(p.expected_orders.is_finite() && p.expected_orders >= 0.0, "{p:?}");
    assert!(p.expected_orders >= p.any_order - 1e-9, "an order expected for every chance of one: {p:?}");
    let dates = [p.next_order_early_days, p.next_order_days, p.next_order_late_days];
    assert!(dates.iter().flatten().all(|days| days.is_finite() && *days >= 0.0), "{p:?}");
    assert!(dates.is_sorted_by(|one, next| next.is_none() || one <= next && one.is_some()), "{p:?}");
    assert!(p.alive.is_none_or(|alive| (0.0..=1.0).contains(&alive)), "{p:?}");
    assert!(p.expected_spend.is_none_or(|spend| spend.is_finite() && spend >= 0.0), "{p:?}");
    assert!(p.expected_spend.is_none() == p.value.is_none(), "{p:?}");
    if let Some(value) = p.value {
        assert!(value.low >= 0.0 && value.low <= value.expected, "{p:?}");
        assert!(value.expected <= value.high && value.high.is_finite(), "{p:?}");
    }
}

/// Fits all kinds, and asks them about some customers.
fn check_shop(customers: &[Rfm], expect: impl Fn(&Rung) -> bool) {
    let spend = spend(customers);
    for kind in KINDS {
        let purchase = fitted(customers, kind);
        assert!(expect(&purchase.rung), "{kind:?}: {:?}", purchase.rung);
        assert!(purchase.standard_errors().iter().all(|error| error.is_finite()));
        let strangers = [rfm(0, 0, 0), rfm(0, 0, 2_000), rfm(40, 600, 601), rfm(3_000, 700, 720)];
        for rfm in customers.iter().take(20).chain(&strangers) {
            check_sane(&predict(&purchase, &spend, rfm));
        }
    }
}

#[test]
fn a_equal_to_1_and_s_equal_to_1_are_no_gaps() {
    let someone = rfm(3, 150, 250);
    let year = Span::of_days(365);
    let bg = |a| BgNbd::new(0.25, weeks(4.4), a, 2.4).unwrap().expected_orders(&someone, year);
    let mbg = |a| MbgNbd::new(0.5, weeks(6.2), a, 1.6).unwrap().expected_orders(&someone, year);
    let pareto =
        |s| ParetoNbd::new(0.55, weeks(10.6), s, weeks(11.7)).unwrap().expected_orders(&someone, year);
    for at in [&bg as &dyn Fn(f64) -> f64, &mbg, &pareto] {
        let (before, here, after) = (at(1.0 - 1e-7), at(1.0), at(1.0 + 1e-7));
        assert!(here > 0.0 && before >= after, "{before} {here} {after}");
        assert!((here - before).abs() < 1e-6 && (here - after).abs() < 1e-6, "{before} {here} {after}");
    }
}

#[test]
fn a_customer_of_1500_orders_in_ten_years_has_a_forecast() {
    let wholesale = Rfm::new(1_500, weeks(520.0), weeks(520.0), None).unwrap();
    let bg = BgNbd::new(2.0, weeks(5.0), 20.0, 3.0).unwrap();
    let orders = bg.expected_orders(&wholesale, weeks(52.0));
    // Without leaving it would be 1502 / 525 · 52; at 20 / 1523 a purchase, leaving takes most of that.
    assert!(orders > 20.0 && orders < 148.8, "{orders}");
    let pareto = ParetoNbd::new(2.0, weeks(5.0), 20.0, weeks(3.0)).unwrap();
    let orders = pareto.expected_orders(&wholesale, weeks(52.0));
    assert!(orders > 20.0 && orders < 148.8, "{orders}");
    assert!(matches!(bg.next_order(&wholesale, 0.5), NextOrder::In(wait) if wait < weeks(1.0)));
}

#[test]
fn a_horizon_much_longer_than_any_history_has_a_forecast() {
    for (a, b) in [(0.01, 0.01), (0.9, 1.6), (30.0, 2.0), (900.0, 900.0)] {
        let model = MbgNbd::new(0.5, Span::of_days(1), a, b).unwrap();
        for days in [1, 1_000, 100_000] {
            let orders = model.expected_orders(&rfm(0, 0, 0), Span::of_days(days));
            assert!(
                orders.is_finite() && orders >= 0.0 && orders <= 0.5 * f64::from(days),
                "{a} {b}: {orders}"
            );
            assert!(orders >= model.any_order(&rfm(0, 0, 0), Span::of_days(days)) * 0.999, "{a} {b} {days}");
        }
    }
}

#[test]
fn without_repeat_buyers_there_are_base_rates() {
    let customers: Vec<Rfm> = (0..5_000).map(|i| rfm(0, 0, i % 400)).collect();
    check_shop(
        &customers,
        |rung| matches!(rung, Rung::BaseRates { doubt: Doubt::FewRepeaters { repeaters, .. } } if *repeaters == 0.0),
    );
    let once = fitted(&customers, Kind::Mbg);
    assert!(once.model.any_order(&customers[0], Span::of_days(90)) < 1e-3);
    check_shop(&[], |rung| matches!(rung, Rung::BaseRates { .. }));
    check_shop(&[rfm(2, 10, 20)], |rung| matches!(rung, Rung::BaseRates { .. }));

    let seen = (0..100).map(|i| (rfm(0, 0, 300), u32::from(i % 4 == 0)));
    let base = BaseRates::observed(seen, Span::of_days(90));
    let counted = fit(&customers.iter().collect(), &Options { base, ..Options::default() });
    let Model::Base(rates) = &counted.model else { panic!("{:?}", counted.model) };
    assert_eq!(rates.evidence(), Evidence::Observed { customers: 100.0 });
}

#[test]
fn where_nobody_leaves_that_is_found_and_said() {
    // Seldom enough that two orders on a day, which are one purchase, hardly happen.
    let shop = Shop { alpha: 200.0, r: 2.0, ..Shop::new(3_000, 900, Leaving::Never) };
    let customers: Vec<Rfm> =
        shop.live(&mut Dice::new(5)).iter().map(|history| history.rfm(900).unwrap()).collect();
    check_shop(&customers, |rung| matches!(rung, Rung::NobodyLeaves { .. } | Rung::Shrunk { .. }));
    let purchase = fitted(&customers, Kind::Bg);
    let Model::Nbd(model) = &purchase.model else { panic!("{:?}", purchase.rung) };
    assert!((model.r() / 2.0).ln().abs() < 0.1, "{model:?}");
    assert!((model.alpha().as_days() / 200.0).ln().abs() < 0.1, "{model:?}");
}

#[test]
fn one_huge_customer_does_not_move_the_others() {
    let plain = summary();
    let mut customers = plain.clone();
    customers.push(Rfm::new(3_000, weeks(38.0), weeks(38.86), None).unwrap());
    for kind in KINDS {
        let (with, without) = (fitted(&customers, kind), fitted(&plain, kind));
        let capped = with.capped.unwrap();
        assert_eq!(capped.customers, 1.0);
        assert!(capped.repeats >= 29, "nobody of CDNOW is capped: {capped:?}");
        assert!(matches!(with.rung, Rung::Full { .. }), "{:?}", with.rung);
        for customer in &plain[..50] {
            let orders = |fit: &Fit| fit.model.expected_orders(customer, weeks(39.0));
            let (one, other) = (orders(&with), orders(&without));
            assert!((one / other).ln().abs() < 0.1, "{kind:?}: {one} instead of {other}");
        }
    }
}

#[test]
fn small_shops_have_finite_forecasts_on_a_rung_that_is_said() {
    let bootstraps = std::env::var("ZYKLUS_MODEL_BOOTSTRAPS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let all = summary();
    let mut dice = Dice::new(7);
    for round in 0..bootstraps {
        let count = [20, 50, 100, 200, 500][round % 5];
        let customers: Vec<Rfm> = (0..count).map(|_| all[dice.below(all.len())]).collect();
        let repeaters = customers.iter().filter(|rfm| rfm.repeats() > 0).count();
        check_shop(&customers, |rung| match rung {
            Rung::Full { gain, condition } => count >= 500 && *gain > 3.0 && condition.is_finite(),
            Rung::Shrunk { full } | Rung::NobodyLeaves { full, .. } => {
                (count < 500) == matches!(full, Doubt::FewCustomers { .. })
            }
            Rung::BaseRates { .. } => repeaters < 3,
        });
        let usable = customers.iter().filter(|rfm| rfm.spend().is_some_and(|mean| mean > 0.0)).count();
        let found = spend(&customers);
        match found.rung {
            SpendRung::Full { .. } => assert!(usable >= 300),
            SpendRung::Shrunk { .. } => assert!(usable >= 3),
            SpendRung::Means { .. } => assert!((1..3).contains(&usable), "{:?}", found.rung),
            SpendRung::Unknown => assert_eq!(usable, 0),
        }
    }
}

#[test]
fn a_small_part_of_cdnow_is_forecast_like_the_whole() {
    let all = summary();
    let whole = fitted(&all, Kind::Mbg);
    for start in 0..10 {
        let part: Vec<Rfm> = all.iter().skip(start).step_by(10).copied().collect();
        let small = fitted(&part, Kind::Mbg);
        assert!(matches!(small.rung, Rung::Shrunk { full: Doubt::FewCustomers { .. } }), "{:?}", small.rung);
        let sum =
            |fit: &Fit| -> f64 { all.iter().map(|rfm| fit.model.expected_orders(rfm, weeks(39.0))).sum() };
        assert!((sum(&small) / sum(&whole)).ln().abs() < 0.5, "{} {}", sum(&small), sum(&whole));
    }
}

#[test]
fn too_small_a_budget_costs_a_rung_but_never_an_answer() {
    let customers = summary();
    let options = Options { budget: Budget { evaluations: 3 }, ..Options::default() };
    let purchase = fit(&customers.iter().collect(), &options);
    assert!(
        matches!(purchase.rung, Rung::BaseRates { doubt: Doubt::NotFound { .. } }),
        "{:?}",
        purchase.rung
    );
    check_sane(&predict(&purchase, &spend(&customers), &customers[0]));
}

#[test]
fn priors_of_own_shops_need_three_of_them_and_replace_the_published_ones() {
    let model = |r: f64| Model::Mbg(MbgNbd::new(r, Span::of_days(20), 1.0, 2.0).unwrap());
    assert_eq!(Prior::pooled(Kind::Mbg, &[model(0.2), model(0.4)]), Prior::published(Kind::Mbg));
    let pooled = Prior::pooled(Kind::Mbg, &[model(0.2), model(0.4), model(0.8)]);
    assert!((pooled.parameters()[0].median - 0.4).abs() < 1e-12);
    assert!((pooled.parameters()[1].median - 20.0).abs() < 1e-12);
    let customers: Vec<Rfm> = summary().into_iter().take(100).collect();
    let held = |prior| {
        let sample: Sample = customers.iter().collect();
        fit(&sample, &Options { prior: Some(prior), ..Options::default() }).model
    };
    assert_ne!(held(pooled), held(Prior::published(Kind::Mbg)));
}

#[test]
fn a_full_fit_needs_500_customers() {
    let all = summary();
    for (count, full) in [(499, false), (500, true)] {
        let found = fitted(&all[..count], Kind::Mbg).rung;
        let few = matches!(found, Rung::Shrunk { full: Doubt::FewCustomers { customers, needed } }
            if customers == 499.0 && needed == 500.0);
        assert_eq!((few, matches!(found, Rung::Full { .. })), (!full, full), "{found:?}");
    }
}

#[test]
fn a_full_fit_needs_40_repeat_buyers() {
    let (again, once): (Vec<Rfm>, Vec<Rfm>) = summary().into_iter().partition(|rfm| rfm.repeats() > 0);
    for repeaters in [39, 40] {
        let customers: Vec<Rfm> = again[..repeaters].iter().chain(&once).copied().collect();
        let few = match fitted(&customers, Kind::Mbg).rung {
            Rung::Shrunk { full } | Rung::NobodyLeaves { full, .. } => {
                matches!(full, Doubt::FewRepeaters { needed, .. } if needed == 40.0)
            }
            Rung::Full { .. } => false,
            rung @ Rung::BaseRates { .. } => panic!("{rung:?}"),
        };
        assert_eq!(few, repeaters == 39);
    }
}

#[test]
fn leaving_is_hardly_ever_found_where_there_is_none() {
    let (mut found, mut no_gain) = (0, 0);
    for seed in 0..30 {
        let shop = Shop { alpha: 200.0, ..Shop::new(600, 900, Leaving::Never) };
        let lives = shop.live(&mut Dice::new(seed));
        let customers: Vec<Rfm> = lives.iter().map(|history| history.rfm(900).unwrap()).collect();
        match fitted(&customers, Kind::Bg).rung {
            Rung::Full { .. } => found += 1,
            Rung::Shrunk { full } | Rung::NobodyLeaves { full, .. } => {
                no_gain += u32::from(matches!(full, Doubt::NoGain { .. }));
            }
            rung @ Rung::BaseRates { .. } => panic!("{rung:?}"),
        }
    }
    assert!(found <= 2 && no_gain >= 3, "found in {found} of 30, denied for lack of gain in {no_gain}");
}

#[test]
fn what_is_expected_of_a_shop_keeps_its_unit_of_time() {
    let stretched = |span: Span, by: f64| Span::new(span.as_days() * by, Unit::Day).unwrap();
    let orders = |by: f64| {
        let shops = [10, 20, 40].map(|alpha| {
            Model::Mbg(MbgNbd::new(0.4, stretched(Span::of_days(alpha), by), 1.0, 2.0).unwrap())
        });
        let customers = summary().into_iter().take(60).map(|rfm| {
            Rfm::new(rfm.repeats(), stretched(rfm.recency(), by), stretched(rfm.age(), by), None).unwrap()
        });
        let customers: Vec<Rfm> = customers.collect();
        let prior = Some(Prior::pooled(Kind::Mbg, &shops));
        let found = fit(&customers.iter().collect(), &Options { prior, ..Options::default() });
        assert!(matches!(found.rung, Rung::Shrunk { .. }), "{:?}", found.rung);
        found.model.expected_orders(&customers[0], stretched(Span::of_days(90), by))
    };
    let (days, weeks) = (orders(1.0), orders(7.0));
    assert!((days / weeks - 1.0).abs() < 1e-6, "{days} {weeks}");
}

fn spender(repeats: u32, cents: f64) -> Rfm {
    Rfm::new(repeats, Span::of_days(50), Span::of_days(100), Some(cents)).unwrap()
}

#[test]
fn money_that_is_not_positive_is_reported_and_not_used() {
    let mut customers: Vec<Rfm> = summary().into_iter().filter(|rfm| rfm.spend().is_some()).collect();
    let zero = customers.iter().filter(|rfm| rfm.spend() <= Some(0.0)).count() as f64;
    let before = spend(&customers);
    assert_eq!(before.unusable, zero);
    customers.extend([spender(3, 0.0), spender(2, -500.0)]);
    let after = spend(&customers);
    assert_eq!((after.model, after.unusable), (before.model, zero + 2.0));
    // Who has spent nothing so far is expected to spend what the shop's customers do.
    let mean = after.model.expected_spend(&rfm(0, 0, 9)).unwrap();
    assert_eq!(after.model.expected_spend(&spender(2, -500.0)), Some(mean));

    let nothing = spend(&[spender(3, 0.0), rfm(0, 0, 9)]);
    assert_eq!((nothing.model, nothing.rung), (SpendModel::Unknown, SpendRung::Unknown));
    let prediction = predict(&fitted(&summary(), Kind::Mbg), &nothing, &customers[0]);
    assert_eq!((prediction.expected_spend, prediction.value), (None, None));
    check_sane(&prediction);
}

#[test]
fn a_q_below_1_is_never_fitted() {
    assert_eq!(GammaGamma::new(6.0, 0.9, 15.0), None);
    let mut dice = Dice::new(9);
    for shape in [0.5, 0.8, 0.96, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03, 1.04] {
        let customers: Vec<Rfm> = (0..1_500)
            .map(|i| {
                let repeats = 1 + i % 7;
                let scale = dice.gamma(shape, 1_000.0);
                spender(repeats, dice.gamma(6.0 * f64::from(repeats), scale * f64::from(repeats)))
            })
            .collect();
        let found = spend(&customers);
        match (found.rung, found.model) {
            (SpendRung::Shrunk { full } | SpendRung::Means { doubt: full }, model) => {
                assert!(matches!(full, Doubt::OutOfBounds { parameter: 'q', .. }), "{full:?}");
                assert!(customers.iter().all(|rfm| model.expected_spend(rfm).unwrap() > 0.0));
            }
            // Close to 1 the data may say more than 1.
            (SpendRung::Full { .. }, SpendModel::GammaGamma(model)) => {
                assert!(shape > 0.95 && model.q() >= 1.05, "{model:?}")
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn spend_that_goes_with_frequency_is_reported() {
    let customers: Vec<Rfm> = (1..400).map(|i| spender(1 + i % 9, f64::from(100 * (i % 9) + i))).collect();
    assert!(
        matches!(spend(&customers).independence, Independence::Broken { correlation } if correlation > 0.5)
    );
    let alike: Vec<Rfm> = (0..400).map(|_| spender(2, 500.0)).collect();
    let found = spend(&alike);
    assert_eq!(found.independence, Independence::Unknown);
    let expected = found.model.expected_spend(&alike[0]).unwrap();
    assert!((expected / 500.0).ln().abs() < 0.05, "{expected}");
    let spends: Spends = alike.iter().collect();
    assert_eq!((spends.customers(), spends.unusable()), (400.0, 0.0));
}
