//! What the parts of the purchase models must agree on, which cannot be seen from outside: gradients with differences,
//! quadrature with that of many pieces, expectations with the distributions they are the means of. Never figures.

use super::sample::Sample;
use super::*;
use crate::rfm::Rfm;
use crate::span::{Span, Unit};
use crate::special::gauss_legendre;

fn days(days: f64) -> Span {
    Span::new(days, Unit::Day).unwrap()
}

fn customers() -> Vec<Rfm> {
    let rfm = |(x, t, age)| Rfm::new(x, days(t), days(age), None).unwrap();
    [(0, 0.0, 9.0), (0, 0.0, 0.0), (1, 0.4, 0.4), (1, 2.0, 9.5), (4, 7.0, 8.0), (40, 3.0, 10.0)]
        .map(rfm)
        .to_vec()
}

fn parameters() -> impl Iterator<Item = [f64; 4]> {
    let low = [0.1, 0.05, 0.02, 0.3];
    let high = [3.0, 20.0, 12.0, 40.0];
    (0..16_usize).map(move |bits| std::array::from_fn(|i| if bits >> i & 1 == 0 { low[i] } else { high[i] }))
}

fn check_gradient<const N: usize>(of: fn(&Sample, &[f64; N]) -> (f64, [f64; N]), at: [f64; N]) {
    let sample: Sample = customers().iter().collect();
    let slopes = of(&sample, &at).1;
    for i in 0..N {
        let beside = |by: f64| {
            let mut place = at;
            place[i] += by;
            of(&sample, &place).0
        };
        let slope = (beside(1e-5) - beside(-1e-5)) / 2e-5;
        assert!((slope - slopes[i]).abs() < 1e-6 * slope.abs().max(1.0), "{at:?} {i}: {} {slope}", slopes[i]);
    }
}

#[test]
fn gradients_are_those_of_the_likelihoods() {
    for parameters in parameters() {
        let logs = parameters.map(f64::ln);
        check_gradient(BgNbd::likelihood, logs);
        check_gradient(MbgNbd::likelihood, logs);
        check_gradient(ParetoNbd::likelihood, logs);
        check_gradient(Nbd::likelihood, [logs[0], logs[1]]);
    }
}

/// Pareto/NBD of one customer in 400 pieces of the logarithm of the time since the last purchase.
fn slowly([r, alpha, s, beta]: [f64; 4], rfm: &Rfm) -> f64 {
    let (x, last, age) = (f64::from(rfm.repeats()), rfm.recency().as_days(), rfm.age().as_days());
    let shape = r + x;
    let gone = |u: f64| s * (alpha + u).powf(-shape) * (beta + u).powf(-s - 1.0);
    let (pieces, least) = (400, 1e-4_f64);
    let mut sum = (alpha + age).powf(-shape) * (beta + age).powf(-s);
    let piece = ((age - last) / least).ln_1p() / f64::from(pieces);
    for i in 0..pieces {
        for (knot, weight) in gauss_legendre::<8>() {
            let v = (f64::from(i) + knot) * piece;
            sum += weight * piece * gone(last + least * v.exp_m1()) * least * v.exp();
        }
    }
    let rising: f64 = (0..rfm.repeats()).map(|i| (r + f64::from(i)).ln()).sum();
    rising + r * alpha.ln() + s * beta.ln() + sum.ln()
}

#[test]
fn quadrature_is_that_of_many_pieces() {
    for parameters in parameters() {
        for rfm in customers() {
            let sample: Sample = [rfm].iter().collect();
            let (fast, _) = ParetoNbd::likelihood(&sample, &parameters.map(f64::ln));
            let slow = slowly(parameters, &rfm);
            assert!(
                (fast - slow).abs() < 1e-11 * slow.abs().max(1.0),
                "{parameters:?} {rfm:?}: {fast} {slow}"
            );
        }
    }
}

#[test]
fn expectations_are_the_means_of_the_distributions() {
    for [r, alpha, third, fourth] in parameters() {
        let (alpha, fourth_days) = (days(alpha), days(fourth));
        let models = [
            Model::Bg(BgNbd::new(r, alpha, third, fourth).unwrap()),
            Model::Mbg(MbgNbd::new(r, alpha, third, fourth).unwrap()),
            Model::Pareto(ParetoNbd::new(r, alpha, third, fourth_days).unwrap()),
            Model::Nbd(Nbd::new(r, alpha).unwrap()),
        ];
        for (model, rfm) in
            models.iter().flat_map(|model| customers().into_iter().map(move |rfm| (model, rfm)))
        {
            for horizon in [0.5, 4.0] {
                let horizon = days(horizon);
                let counts = model.order_counts(&rfm, horizon, 6_000);
                let (last, counts) = counts.split_last().unwrap();
                let all: f64 = counts.iter().sum();
                assert!((all + last - 1.0).abs() < 1e-9, "{model:?} {rfm:?}: {all} {last}");
                let mean: f64 =
                    counts.iter().enumerate().map(|(number, chance)| number as f64 * chance).sum();
                let expected = model.expected_orders(&rfm, horizon);
                assert!(
                    (mean - expected).abs() < 1e-7 * expected.max(1e-3),
                    "{model:?} {rfm:?}: {mean} {expected}"
                );
                let any = model.any_order(&rfm, horizon);
                assert!((1.0 - counts[0] - any).abs() < 1e-9, "{model:?} {rfm:?}: {} {any}", counts[0]);
            }
        }
    }
}
