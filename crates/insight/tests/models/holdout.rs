//! Forecasts of CDNOW's 39 weeks after the calibration against what came, to the digits that are printed elsewhere, and
//! the rolling validation of the same shop.

use zyklus_insight::cadence::Cadence;
use zyklus_insight::purchase::fit::{Kind, Options, maximum};
use zyklus_insight::purchase::{Model, Sample, published_p_alive};
use zyklus_insight::rfm::Rfm;
use zyklus_insight::span::{Span, Unit};
use zyklus_insight::validate::{Report, ValidateError, auc, correlation, rolling};

use crate::cdnow::{CUT, HOLDOUT, histories, published};

/// Each customer's summary, and how many purchases came.
fn customers() -> Vec<(Rfm, f64)> {
    let came = |history: &zyklus_insight::rfm::History| {
        let orders = history.orders_between(CUT, CUT + HOLDOUT);
        (published(&history.rfm(CUT).unwrap()), f64::from(orders))
    };
    histories().iter().map(came).collect()
}

fn model(kind: Kind) -> Model {
    let sample: Sample = customers().iter().map(|(rfm, _)| rfm).collect();
    maximum(&sample, kind, Unit::Week).0
}

/// Sum, mean absolute and root mean square error, correlation, AUC, with as many digits as are printed elsewhere.
fn row(forecast: impl Fn(&Rfm) -> f64) -> String {
    let pairs: Vec<(f64, f64)> = customers().iter().map(|(rfm, came)| (forecast(rfm), *came)).collect();
    let count = pairs.len() as f64;
    let sum: f64 = pairs.iter().map(|(said, _)| said).sum();
    let absolute = pairs.iter().map(|(said, came)| (said - came).abs()).sum::<f64>() / count;
    let square = pairs.iter().map(|(said, came)| (said - came).powi(2)).sum::<f64>() / count;
    let correlation = correlation(pairs.iter().copied()).unwrap();
    let auc = auc(pairs.iter().map(|(said, came)| (*said, *came > 0.0))).unwrap();
    format!("{sum:.2} {absolute:.5} {:.5} {correlation:.5} {auc:.4}", square.sqrt())
}

#[test]
fn forecasts_of_the_holdout_are_those_known_elsewhere() {
    assert_eq!(customers().iter().map(|(_, came)| came).sum::<f64>(), 1_882.0);
    let expected = |kind| {
        let model = model(kind);
        row(move |rfm| model.expected_orders(rfm, Span::of_weeks(39)))
    };
    assert_eq!(expected(Kind::Bg), "1653.42 0.78546 1.60801 0.62563 0.7725");
    assert_eq!(expected(Kind::Pareto), "1665.53 0.75453 1.60287 0.63021 0.7787");
    assert_eq!(expected(Kind::Mbg), "1576.74 0.76478 1.60720 0.62724 0.7728");
    let past = row(|rfm| f64::from(rfm.repeats()) / rfm.age().as_weeks() * 39.0);
    assert!(past.starts_with("2930.10 1.02367 2.21189 0.58395 "), "{past}");
}

#[test]
fn p_alive_tells_who_will_order_under_pareto_nbd_alone() {
    let ordered = |alive: &dyn Fn(&Rfm) -> f64| {
        let scores: Vec<(f64, bool)> =
            customers().iter().map(|(rfm, came)| (alive(rfm), *came > 0.0)).collect();
        format!("{:.4}", auc(scores).unwrap())
    };
    let (Model::Bg(bg), Model::Pareto(pareto)) = (model(Kind::Bg), model(Kind::Pareto)) else { panic!() };
    assert_eq!(ordered(&|rfm| published_p_alive(&bg, rfm)), "0.3158");
    assert_eq!(ordered(&|rfm| pareto.p_alive(rfm)), "0.7262");
    assert_eq!(model(Kind::Mbg).p_alive(&customers()[0].0), None);
}

#[test]
fn conditional_expectations_per_number_of_repeats_are_those_known_elsewhere() {
    let known = [
        [0.237, 0.225, 0.138],
        [0.697, 0.523, 0.599],
        [1.393, 1.044, 1.196],
        [1.560, 1.520, 1.714],
        [2.532, 2.164, 2.398],
        [2.947, 2.654, 2.907],
        [3.862, 3.504, 3.819],
        [6.359, 6.157, 6.403],
    ];
    let (bg, pareto) = (model(Kind::Bg), model(Kind::Pareto));
    for (repeats, known) in (0..).zip(known) {
        let customers = customers();
        let own: Vec<&(Rfm, f64)> =
            customers.iter().filter(|(rfm, _)| rfm.repeats().min(7) == repeats).collect();
        let mean =
            |of: &dyn Fn(&(Rfm, f64)) -> f64| own.iter().map(|c| of(c)).sum::<f64>() / own.len() as f64;
        let found = [
            mean(&|(_, came)| *came),
            mean(&|(rfm, _)| bg.expected_orders(rfm, Span::of_weeks(39))),
            mean(&|(rfm, _)| pareto.expected_orders(rfm, Span::of_weeks(39))),
        ];
        for (found, known) in found.into_iter().zip(known) {
            assert!((found - known).abs() < 6e-4, "{repeats} repeats: {found} instead of {known}");
        }
    }
}

#[test]
fn cdnow_validates() {
    let report = rolling(&histories(), &[272, 180, 365], 90, 545, &Options::default()).unwrap();
    assert_eq!(report.cutoffs.iter().map(|cutoff| cutoff.day).collect::<Vec<_>>(), [180, 272, 365]);
    assert_eq!(report.cutoffs[0].told.by_model, None);
    for cutoff in &report.cutoffs {
        assert_eq!(cutoff.all.customers, 2_357);
        assert_eq!(cutoff.one_time.customers + cutoff.repeat.customers, 2_357);
        assert!(cutoff.all.auc.unwrap() > 0.7, "{:?}", cutoff.all);
        // Repeat buyers alone are harder to tell apart.
        assert!(cutoff.repeat.auc.unwrap() > 0.6 && cutoff.repeat.auc < cutoff.all.auc);
        assert!(cutoff.all.forecast_error.unwrap().abs() < 0.3, "{:?}", cutoff.all.forecast_error);
        let base = cutoff.all.ordered.unwrap();
        assert!(cutoff.all.brier.unwrap() < base * (1.0 - base), "no better than the mean");
    }
    for cutoff in &report.cutoffs[1..] {
        let told = cutoff.told;
        assert!(told.by_base_rate.unwrap() > 0.65 && told.by_model.unwrap() > 0.65, "{told:?}");
        assert!(told.by_fixed_window.unwrap() > 0.6 && told.fixed_window_days.unwrap() > 0.0, "{told:?}");
    }
    // Whoever stores a report reads it again, but for the last digits of numbers.
    let stored: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    for (stored, cutoff) in stored.cutoffs.iter().zip(&report.cutoffs) {
        assert_eq!((stored.day, stored.all.customers), (cutoff.day, cutoff.all.customers));
        assert!((stored.all.auc.unwrap() - cutoff.all.auc.unwrap()).abs() < 1e-12);
    }
}

#[test]
fn a_validation_that_would_show_nothing_is_refused() {
    let options = Options::default();
    let refused =
        |cutoffs: &[i32], window, until| rolling(&[], cutoffs, window, until, &options).unwrap_err();
    assert_eq!(refused(&[1, 2, 2], 10, 99), ValidateError::FewCutoffs(2));
    assert_eq!(refused(&[1, 2, 3], 0, 99), ValidateError::EmptyWindow);
    assert_eq!(refused(&[1, 2, 90], 10, 99), ValidateError::Unfinished { cutoff: 90, until: 99 });
    let empty = rolling(&[], &[1, 2, 3], 10, 99, &options).unwrap();
    assert!(empty.cutoffs.iter().all(|cutoff| cutoff.all.auc.is_none() && cutoff.all.ordered.is_none()));
}

#[test]
fn waits_of_cdnow_are_longer_than_those_that_ended() {
    let histories = histories();
    let cadence = Cadence::observe(&histories, 545);
    let mut gaps: Vec<u32> = histories.iter().flat_map(|history| history.gaps(545)).collect();
    gaps.sort_unstable();
    let ended = Span::of_days(gaps[gaps.len() * 8 / 10]);
    let (horizon, basis) = cadence.horizon();
    assert!(horizon > ended && horizon <= Span::of_days(180), "{horizon:?} {ended:?} {basis:?}");
    // Half of the customers never came back.
    let came = histories.iter().filter(|history| history.gaps(545).next().is_some()).count();
    assert!(cadence.second.ending() < 0.6 && cadence.second.ending() >= came as f64 / 2_357.0);
    assert!(cadence.new_until().unwrap() < Span::of_days(200), "{:?}", cadence.new_until());
}
