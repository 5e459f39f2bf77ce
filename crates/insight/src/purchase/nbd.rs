//! The negative binomial model without leaving: everybody stays, at a gamma-distributed rate of their own.
//!
//! A. Ehrenberg, "The pattern of consumer purchases", Applied Statistics 8(1), 1959. What the models with leaving must
//! beat to be believed; never says that a customer is gone.

use serde::{Deserialize, Serialize};

use super::model::{NextOrder, arrives_by};
use super::sample::Sample;
use crate::rfm::Rfm;
use crate::span::{Span, Unit};

/// A shop's model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Nbd {
    pub(crate) r: f64,
    pub(crate) alpha: Span,
}

impl Nbd {
    /// The model whose order rates are gamma-distributed with shape `r` and scale `alpha`. Nothing unless both are
    /// positive and finite.
    pub fn new(r: f64, alpha: Span) -> Option<Self> {
        [r, alpha.as_days()].iter().all(|p| *p > 0.0 && p.is_finite()).then_some(Self { r, alpha })
    }

    /// Shape of the order rates.
    pub fn r(&self) -> f64 {
        self.r
    }

    /// Scale of the order rates.
    pub fn alpha(&self) -> Span {
        self.alpha
    }

    /// The log-likelihood of a shop's customers, as a density of purchase times in `per`.
    pub fn log_likelihood(&self, sample: &Sample, per: Unit) -> f64 {
        Self::likelihood(sample, &[self.r.ln(), self.alpha.as_days().ln()]).0 + sample.per(per)
    }

    /// The log-likelihood at the logarithms of r and alpha (in the sample's unit of time), and its gradient.
    pub(crate) fn likelihood(sample: &Sample, logs: &[f64; 2]) -> (f64, [f64; 2]) {
        let [r, alpha] = logs.map(f64::exp);
        let (rates, rates_r) = sample.rising(r);
        let mut value = rates + sample.weight * r * logs[1];
        let mut by = [rates_r + sample.weight * logs[1], sample.weight * r / alpha];
        for row in &sample.rows {
            let end = alpha + sample.times[row.age as usize];
            let (age, shape) = (end.ln(), r + f64::from(row.repeats));
            value -= row.weight * shape * age;
            by[0] -= row.weight * age;
            by[1] -= row.weight * shape / end;
        }
        (value, [by[0] * r, by[1] * alpha])
    }

    fn own(&self, rfm: &Rfm) -> (f64, f64) {
        (self.r + f64::from(rfm.repeats()), self.alpha.as_days() + rfm.age().as_days())
    }

    /// Expected orders within `horizon`.
    pub fn expected_orders(&self, rfm: &Rfm, horizon: Span) -> f64 {
        let (shape, since) = self.own(rfm);
        shape * horizon.as_days() / since
    }

    /// The chance of at least one order within `horizon`.
    pub fn any_order(&self, rfm: &Rfm, horizon: Span) -> f64 {
        let (shape, since) = self.own(rfm);
        -(-shape * (horizon.as_days() / since).ln_1p()).exp_m1()
    }

    /// When the next order will have come with a chance of `share`.
    pub fn next_order(&self, rfm: &Rfm, share: f64) -> NextOrder {
        let (shape, since) = self.own(rfm);
        arrives_by(share, 1.0, shape, since)
    }

    pub(crate) fn order_counts(&self, rfm: &Rfm, horizon: Span, most: usize) -> Vec<f64> {
        let (shape, since) = self.own(rfm);
        counts(shape, since, horizon.as_days(), most)
    }
}

/// The chances of 0, 1, … `most` events within `time`, and in the last place of more, at a rate that is
/// gamma-distributed with `shape` and scale `since`.
pub(crate) fn counts(shape: f64, since: f64, time: f64, most: usize) -> Vec<f64> {
    let share = time / (since + time);
    let mut chance = (-shape * (time / since).ln_1p()).exp();
    let mut sum = 0.0;
    let mut found = Vec::with_capacity(most + 2);
    for j in 0..=most {
        found.push(chance);
        sum += chance;
        chance *= (shape + j as f64) / (j as f64 + 1.0) * share;
    }
    found.push(f64::max(1.0 - sum, 0.0));
    found
}
