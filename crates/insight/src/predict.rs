//! One customer's forecast, as plain figures that can be stored: orders within a horizon, the next order's date, what
//! the customer will be worth.
//!
//! Never a figure that is not finite, and never a negative value: what cannot be said is absent.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::interval::quantile::normal;
use crate::purchase::fit::Fit;
use crate::purchase::{Model, NextOrder};
use crate::rfm::Rfm;
use crate::span::{DiscountRate, Discounting, Span};
use crate::special::gauss_legendre;
use crate::spend::SpendModel;
use crate::spend::fit::SpendFit;

/// Shares at which the next order is dated: early, even, late.
const EARLY: f64 = 0.1;
const EVEN: f64 = 0.5;
const LATE: f64 = 0.9;
/// How sure the range of a customer's value is.
const SURE: f64 = 0.9;
/// More orders within a horizon than this are not told apart.
const MOST_ORDERS: f64 = 2_000.0;
/// For so many orders figures are kept ready.
const USUAL_ORDERS: u32 = 100;
/// Step in the logarithm of a parameter for the delta method.
const NUDGE: f64 = 1e-4;
/// Found once: whoever asks for a customer's value day by day asks often.
static KNOTS: LazyLock<[(f64, f64); 8]> = LazyLock::new(gauss_legendre);
/// More steps than that a horizon does not have: 400 years of months.
const MOST_STEPS: f64 = 5_000.0;

/// What to forecast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// For the chance and the number of orders.
    pub horizon: Span,
    /// For the value.
    pub value_horizon: Span,
    /// What money loses in worth.
    pub rate: DiscountRate,
    /// When money counts as having come.
    pub discounting: Discounting,
}

/// One customer's forecast, from the end of the observation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The horizon of the next two figures, in days.
    pub horizon_days: f64,
    /// The chance of at least one order.
    pub any_order: f64,
    /// Expected orders.
    pub expected_orders: f64,
    /// Days after which the next order has come with a chance of 10 %; absent if it never has.
    pub next_order_early_days: Option<f64>,
    /// The same for 50 %.
    pub next_order_days: Option<f64>,
    /// The same for 90 %.
    pub next_order_late_days: Option<f64>,
    /// The chance that the customer has not left; of Pareto/NBD alone.
    pub alive: Option<f64>,
    /// What an order will be worth on average, in minor units.
    pub expected_spend: Option<f64>,
    /// What the customer will be worth.
    pub value: Option<Clv>,
}

/// What a customer will be worth from now on, within a horizon, in minor units of today.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clv {
    /// The mean.
    pub expected: f64,
    /// What will come of it lies above this …
    pub low: f64,
    /// … and below this in nine of ten cases. Where no order at all is likely enough, `low` is 0 and the tenth case is
    /// above. Where it is likelier than nine in ten, nothing is worth more than `expected` nine times in ten: the range
    /// then ends there, and holds more often than it says.
    pub high: f64,
}

/// A shop's models and what they are asked.
#[derive(Debug, Clone)]
pub struct Forecaster<'a> {
    purchase: &'a Fit,
    spend: &'a SpendFit,
    question: Question,
    /// For 0, 1, 2 … orders: mean and variance of the logarithm of what they are worth, but for the customer's part.
    numbers: Vec<(f64, f64)>,
}

/// Expected orders within `horizon`, each counting as much as 1 then is worth today. Continuous: ∫ e^(-δt) dE(t) =
/// E(H) e^(-δH) + δ ∫ E(t) e^(-δt) dt; otherwise each step's orders at its end.
pub fn discounted_orders(
    model: &Model,
    rfm: &Rfm,
    horizon: Span,
    rate: DiscountRate,
    discounting: Discounting,
) -> f64 {
    let worth = |at: Span| model.expected_orders(rfm, at) * rate.factor(at);
    let Some(step) = discounting.step() else {
        if rate == DiscountRate::NONE {
            return model.expected_orders(rfm, horizon);
        }
        let days = horizon.as_days();
        let inside: f64 =
            KNOTS.iter().map(|(knot, weight)| weight * worth(Span::computed(knot * days))).sum();
        return worth(horizon) + rate.force() * days * inside;
    };
    let steps = (horizon.as_days() / step.as_days()).ceil().min(MOST_STEPS) as u32;
    let (mut sum, mut before) = (0.0, 0.0);
    for i in 1..=steps {
        let end = if i == steps { horizon } else { Span::computed(f64::from(i) * step.as_days()) };
        let orders = model.expected_orders(rfm, end);
        sum += (orders - before) * rate.factor(end);
        before = orders;
    }
    sum
}

impl<'a> Forecaster<'a> {
    /// For one night's customers.
    pub fn new(purchase: &'a Fit, spend: &'a SpendFit, question: Question) -> Self {
        let numbers = (0..USUAL_ORDERS).map(|number| spend.model.number_logs(f64::from(number))).collect();
        Self { purchase, spend, question, numbers }
    }

    /// One customer's forecast.
    pub fn predict(&self, rfm: &Rfm) -> Prediction {
        let model = &self.purchase.model;
        let horizon = self.question.horizon;
        let date = |share| match model.next_order(rfm, share) {
            NextOrder::In(span) => Some(span.as_days()),
            NextOrder::Never => None,
        };
        let expected_spend = self.spend.model.expected_spend(rfm).filter(|spend| spend.is_finite());
        Prediction {
            horizon_days: horizon.as_days(),
            any_order: model.any_order(rfm, horizon).clamp(0.0, 1.0),
            expected_orders: model.expected_orders(rfm, horizon).max(0.0),
            next_order_early_days: date(EARLY),
            next_order_days: date(EVEN),
            next_order_late_days: date(LATE),
            alive: model.p_alive(rfm),
            expected_spend,
            value: expected_spend.and_then(|spend| self.value(rfm, spend)),
        }
    }

    /// The range is that of the customer's own future, given the models, widened by what is not known of their
    /// parameters. Own: the chances of 0, 1, 2 … orders are the model's, mixed over the customer's possible rates; what
    /// so many orders are worth together has a known mean and variance of its logarithm under gamma-gamma; where there
    /// are orders, the whole is taken as log-normal with the mean and variance of that mixture. Parameters: the variance
    /// of the logarithm of the mean by the delta method is added. All money is discounted by the same mean factor.
    fn value(&self, rfm: &Rfm, spend: f64) -> Option<Clv> {
        let model = &self.purchase.model;
        let Question { value_horizon: horizon, rate, discounting, .. } = self.question;
        let orders = model.expected_orders(rfm, horizon);
        let discounted = discounted_orders(model, rfm, horizon, rate, discounting).max(0.0);
        let expected = spend * discounted;
        if !expected.is_finite() {
            return None;
        }
        if orders <= 0.0 {
            return Some(Clv { expected, low: 0.0, high: expected });
        }
        let most = (orders + 6.0 * orders.sqrt() + 8.0).min(MOST_ORDERS) as usize;
        let counts = model.order_counts(rfm, horizon, most);
        let none = counts.first().copied().unwrap_or(1.0).clamp(0.0, 1.0);
        let (mut weight, mut mean, mut square) = (0.0, 0.0, 0.0);
        for (number, chance) in counts.iter().enumerate().skip(1) {
            if *chance < 1e-12 {
                continue;
            }
            let known = self.numbers.get(number).copied();
            let (log, variance) = known.unwrap_or_else(|| self.spend.model.number_logs(number as f64));
            weight += chance;
            mean += chance * log;
            square += chance * (log * log + variance);
        }
        let (low, high) = if weight > 0.0 {
            let mean = mean / weight;
            let own = (square / weight - mean * mean).max(0.0);
            let (scale, variance) = self.spend.model.customer_logs(rfm);
            let mean = mean + scale;
            let spread = (own + variance + self.parameter_variance(rfm, orders)).sqrt();
            let factor = discounted / orders;
            let at = |share: f64| {
                // Of all futures, those without an order come first.
                let among = (share - none) / (1.0 - none);
                if among > 0.0 { factor * (mean + spread * normal(among)).exp() } else { 0.0 }
            };
            let out = 1.0 - SURE;
            if none >= out / 2.0 { (0.0, at(SURE)) } else { (at(out / 2.0), at(1.0 - out / 2.0)) }
        } else {
            (0.0, 0.0)
        };
        let high = if high.is_finite() { high.max(expected) } else { f64::MAX };
        Some(Clv { expected, low: low.min(expected), high })
    }

    /// Variance of the logarithm of the expected value that comes from not knowing the parameters.
    fn parameter_variance(&self, rfm: &Rfm, orders: f64) -> f64 {
        let slope = |parameter| {
            let moved = self.purchase.model.nudged(parameter, NUDGE);
            let by = (moved.expected_orders(rfm, self.question.value_horizon) / orders).ln() / NUDGE;
            if by.is_finite() { by } else { 0.0 }
        };
        let slopes: Vec<f64> = (0..self.purchase.covariance.len()).map(slope).collect();
        let mut variance = delta(&self.purchase.covariance, &slopes);
        if let SpendModel::GammaGamma(model) = &self.spend.model {
            variance += delta(&self.spend.covariance, &model.spend_slopes(rfm));
        }
        if variance.is_finite() { variance.max(0.0) } else { 0.0 }
    }
}

fn delta(covariance: &[Vec<f64>], slopes: &[f64]) -> f64 {
    let row = |row: &Vec<f64>| row.iter().zip(slopes).map(|(entry, slope)| entry * slope).sum::<f64>();
    covariance.iter().zip(slopes).map(|(entries, slope)| slope * row(entries)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchase::fit::{Options, fit};
    use crate::purchase::{Nbd, Sample};
    use crate::span::Unit;
    use crate::spend::fit::fit as fit_spend;
    use crate::spend::{GammaGamma, Spends};

    fn customers() -> Vec<Rfm> {
        let rfm = |i: u32| {
            let repeats = [0, 0, 0, 1, 0, 2, 0, 0, 1, 5][i as usize % 10];
            let recency = Span::of_days(if repeats == 0 { 0 } else { 20 + i * 7 % 180 });
            let spend = (repeats > 0).then(|| 1_000.0 + f64::from(i * 37 % 900));
            Rfm::new(repeats, recency, Span::of_days(200 + i % 80), spend).unwrap()
        };
        (0..100).map(rfm).collect()
    }

    fn question(rate: f64) -> Question {
        let rate = DiscountRate::per_year(rate).unwrap();
        let horizon = Span::of_days(365);
        Question { horizon, value_horizon: horizon, rate, discounting: Discounting::Continuous }
    }

    #[test]
    fn a_range_is_wider_for_what_is_not_known_of_the_parameters_and_discounted_like_the_mean() {
        let customers = customers();
        let (sample, spends): (Sample, Spends) = (customers.iter().collect(), customers.iter().collect());
        let purchase = fit(&sample, &Options::default());
        let spend = fit_spend(&spends, Default::default());
        assert!(!purchase.covariance.is_empty() && !spend.covariance.is_empty());
        let sure = (
            Fit { covariance: Vec::new(), ..purchase.clone() },
            SpendFit { covariance: Vec::new(), ..spend.clone() },
        );
        let frequent = Rfm::new(6, Span::of_days(190), Span::of_days(195), Some(1_500.0)).unwrap();
        let value = |purchase, spend, rate| {
            Forecaster::new(purchase, spend, question(rate)).predict(&frequent).value.unwrap()
        };
        let whole = value(&purchase, &spend, 0.0);
        assert!(
            whole.high > (1.0 + 1e-6) * value(&sure.0, &spend, 0.0).high,
            "of the orders' model: {whole:?}"
        );
        assert!(whole.high > (1.0 + 1e-6) * value(&purchase, &sure.1, 0.0).high, "of the spend's model");
        assert_eq!(whole.expected, value(&sure.0, &sure.1, 0.0).expected);
        let later = value(&purchase, &spend, 1.0);
        assert!((later.high / whole.high / (later.expected / whole.expected) - 1.0).abs() < 1e-9);
        assert!(later.expected < 0.8 * whole.expected);
    }

    #[test]
    fn a_range_knows_that_a_new_customer_s_spend_is_not_known() {
        let customers = customers();
        let purchase = fit(&customers.iter().collect(), &Options::default());
        let spend = fit_spend(&customers.iter().collect(), Default::default());
        // Everybody orders every ten days: the number of orders is Poisson's.
        let model = Model::Nbd(Nbd::new(9_000.0, Span::of_days(90_000)).unwrap());
        let purchase = Fit { model, covariance: Vec::new(), ..purchase };
        let known = GammaGamma::new(6.0, 3.0, 700.0).unwrap();
        let spend = SpendFit { model: SpendModel::GammaGamma(known), covariance: Vec::new(), ..spend };
        let once = Rfm::new(0, Span::ZERO, Span::of_days(5), None).unwrap();
        let value = Forecaster::new(&purchase, &spend, question(0.0)).predict(&once).value.unwrap();
        // Variance of the logarithm: 1/36.5 of the number, ψ'(6 · 36.5) of the orders, ψ'(3) of the customer's mean.
        let variance: f64 = 1.0 / 36.5 + 1.0 / 219.0 + 0.394_9;
        let ratio = (value.high / value.low).ln();
        assert!((ratio / (2.0 * 1.645 * variance.sqrt()) - 1.0).abs() < 0.02, "{value:?}");
    }

    #[test]
    fn steps_are_discounted_at_their_ends() {
        // Orders come evenly here.
        let model = Model::Nbd(Nbd::new(3.0, Span::of_days(50)).unwrap());
        let year = Span::new(365.25, Unit::Day).unwrap();
        let someone = customers()[0];
        let rate = DiscountRate::per_year(0.5).unwrap();
        let all = model.expected_orders(&someone, year);
        let monthly: f64 = (1..=12).map(|month| all / 12.0 * 1.5_f64.powf(-f64::from(month) / 12.0)).sum();
        let smooth = all * (1.0 - 1.0 / 1.5) / 1.5_f64.ln();
        let of = |discounting, rate| discounted_orders(&model, &someone, year, rate, discounting);
        assert!((of(Discounting::Monthly, rate) / monthly - 1.0).abs() < 1e-12);
        assert!((of(Discounting::Continuous, rate) / smooth - 1.0).abs() < 1e-12);
        for discounting in [Discounting::Continuous, Discounting::Monthly, Discounting::Weekly] {
            assert!((of(discounting, DiscountRate::NONE) / all - 1.0).abs() < 1e-12);
        }
    }
}
