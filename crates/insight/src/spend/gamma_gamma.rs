//! The gamma-gamma model: what a customer spends varies around a mean of their own, the means vary over the shop, and
//! neither has to do with how often they order.
//!
//! P. Fader, B. Hardie, "The Gamma-Gamma model of monetary value", 2013 (note 025), after R. Colombo and W. Jiang, "A
//! stochastic RFM model", Journal of Interactive Marketing 13(3), 1999. Never with q at most 1: the mean over the shop
//! would be infinite, and forecasts negative.

use serde::{Deserialize, Serialize};

use super::usable;
use crate::rfm::Rfm;
use crate::special::{digamma, ln_gamma, trigamma};

/// A shop's model. v is in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GammaGamma {
    pub(crate) p: f64,
    pub(crate) q: f64,
    pub(crate) v: f64,
}

/// Repeat purchases and mean spend of a shop's customers, grouped and sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct Spends {
    /// x, mean, weight.
    pub(crate) rows: Vec<(f64, f64, f64)>,
    /// x, and how many customers have so many.
    counts: Vec<(f64, f64)>,
    pub(crate) weight: f64,
    /// Σ w ln z, Σ w x ln z, Σ w x ln x.
    sums: [f64; 3],
    pub(crate) unusable: f64,
}

impl<'a> FromIterator<&'a Rfm> for Spends {
    fn from_iter<I: IntoIterator<Item = &'a Rfm>>(customers: I) -> Self {
        Self::of_weighted(customers.into_iter().map(|rfm| (rfm, 1.0)))
    }
}

impl Spends {
    /// Of summaries that stand for so many customers each; a weight that is not positive and finite counts nothing.
    pub fn of_weighted<'a>(customers: impl IntoIterator<Item = (&'a Rfm, f64)>) -> Self {
        let mut rows: Vec<(f64, f64, f64)> = Vec::new();
        let mut unusable = 0.0;
        for (rfm, weight) in customers {
            if rfm.spend().is_none() || !(weight > 0.0 && weight.is_finite()) {
                continue;
            }
            let (repeats, mean) = usable(rfm);
            if repeats > 0.0 { rows.push((repeats, mean, weight)) } else { unusable += weight }
        }
        rows.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
        rows.dedup_by(|next, kept| {
            let same = next.0 == kept.0 && next.1 == kept.1;
            kept.2 += if same { next.2 } else { 0.0 };
            same
        });
        Self::of_rows(rows, unusable)
    }

    fn of_rows(rows: Vec<(f64, f64, f64)>, unusable: f64) -> Self {
        let mut counts: Vec<(f64, f64)> = Vec::new();
        let (mut weight, mut sums) = (0.0, [0.0; 3]);
        for &(x, z, w) in &rows {
            match counts.last_mut() {
                Some((last, count)) if *last == x => *count += w,
                _ => counts.push((x, w)),
            }
            weight += w;
            sums[0] += w * z.ln();
            sums[1] += w * x * z.ln();
            sums[2] += w * x * x.ln();
        }
        Self { rows, counts, weight, sums, unusable }
    }

    /// Customers whose mean is positive.
    pub fn customers(&self) -> f64 {
        self.weight
    }

    /// Customers whose repeat purchases are worth nothing or less on average; they are not used.
    pub fn unusable(&self) -> f64 {
        self.unusable
    }

    /// Mean of the customers' means, if there are any.
    pub(crate) fn mean(&self) -> Option<f64> {
        let mean = self.rows.iter().map(|(_, z, w)| w * z).sum::<f64>() / self.weight;
        (mean > 0.0 && mean.is_finite()).then_some(mean)
    }

    /// The same customers with all amounts multiplied.
    pub(crate) fn scaled(&self, by: f64) -> Self {
        Self::of_rows(self.rows.iter().map(|&(x, z, w)| (x, z * by, w)).collect(), self.unusable)
    }

    /// Pearson's correlation of the number of repeats with their mean; none if one of them does not vary.
    pub fn correlation(&self) -> Option<f64> {
        let mean = |of: fn(&(f64, f64, f64)) -> f64| {
            self.rows.iter().map(|row| row.2 * of(row)).sum::<f64>() / self.weight
        };
        let (x, z) = (mean(|row| row.0), mean(|row| row.1));
        let (mut xx, mut zz, mut xz) = (0.0, 0.0, 0.0);
        for row in &self.rows {
            let (dx, dz) = (row.0 - x, row.1 - z);
            xx += row.2 * dx * dx;
            zz += row.2 * dz * dz;
            xz += row.2 * dx * dz;
        }
        let correlation = xz / (xx.sqrt() * zz.sqrt());
        correlation.is_finite().then(|| correlation.clamp(-1.0, 1.0))
    }
}

impl GammaGamma {
    /// The model with shapes `p` and `q` and scale `v` in minor units. Nothing unless p and v are positive, q is above
    /// 1, and all are finite.
    pub fn new(p: f64, q: f64, v: f64) -> Option<Self> {
        let finite = [p, q, v].iter().all(|parameter| parameter.is_finite());
        (finite && p > 0.0 && q > 1.0 && v > 0.0).then_some(Self { p, q, v })
    }

    /// Shape of a customer's orders.
    pub fn p(&self) -> f64 {
        self.p
    }

    /// Shape of the customers' scales.
    pub fn q(&self) -> f64 {
        self.q
    }

    /// Scale of the customers' scales, in minor units.
    pub fn v(&self) -> f64 {
        self.v
    }

    /// The log-likelihood of the customers' means (Fader and Hardie 2013), as a density of amounts in
    /// units of 10 to the power of `decimals` minor units: 0 for cents, 2 for euros.
    pub fn log_likelihood(&self, spends: &Spends, decimals: u8) -> f64 {
        let logs = [self.p.ln(), (self.q - 1.0).ln(), self.v.ln()];
        Self::likelihood(spends, &logs).0 + spends.weight * f64::from(decimals) * std::f64::consts::LN_10
    }

    /// The log-likelihood at the logarithms of p, q - 1 and v, and its gradient.
    pub(crate) fn likelihood(spends: &Spends, logs: &[f64; 3]) -> (f64, [f64; 3]) {
        let [p, above, v] = logs.map(f64::exp);
        let q = 1.0 + above;
        let [ln_z, x_ln_z, x_ln_x] = spends.sums;
        let n = spends.weight;
        let mut value = n * (q * logs[2] - ln_gamma(q)) + p * (x_ln_z + x_ln_x) - ln_z;
        let mut by = [x_ln_z + x_ln_x, n * (logs[2] - digamma(q)), n * q / v];
        for &(x, count) in &spends.counts {
            let (own, both) = (p * x, p * x + q);
            value += count * (ln_gamma(both) - ln_gamma(own));
            let slope = digamma(both);
            by[0] += count * x * (slope - digamma(own));
            by[1] += count * slope;
        }
        for &(x, z, w) in &spends.rows {
            let sum = v + x * z;
            let log = w * sum.ln();
            value -= (p * x + q) * log;
            by[0] -= x * log;
            by[1] -= log;
            by[2] -= w * (p * x + q) / sum;
        }
        (value, [by[0] * p, by[1] * above, by[2] * v])
    }

    /// What an order of this customer will be worth on average, in minor units (Fader and Hardie 2013):
    /// between the customer's mean and the shop's. The shop's, if the customer's is unknown or not positive.
    pub fn expected_spend(&self, rfm: &Rfm) -> f64 {
        let (x, z) = usable(rfm);
        self.p * (self.v + x * z) / (self.p * x + self.q - 1.0)
    }

    /// Derivatives of the logarithm of the expected spend by the logarithms of p, q - 1 and v.
    pub(crate) fn spend_slopes(&self, rfm: &Rfm) -> [f64; 3] {
        let (x, z) = usable(rfm);
        let below = self.p * x + self.q - 1.0;
        [1.0 - self.p * x / below, -(self.q - 1.0) / below, self.v / (self.v + x * z)]
    }

    /// What `orders` orders are worth together is gamma-distributed with shape p times their number, at a scale that is
    /// gamma-distributed with shape q + p x and scale v + x z. This is the mean and variance of the logarithm of the first,
    /// at a scale of 1.
    pub(crate) fn number_logs(&self, orders: f64) -> (f64, f64) {
        (digamma(self.p * orders), trigamma(self.p * orders))
    }

    /// Mean and variance of the logarithm of the customer's scale, to be added.
    pub(crate) fn customer_logs(&self, rfm: &Rfm) -> (f64, f64) {
        let (x, z) = usable(rfm);
        let shape = self.q + self.p * x;
        ((self.v + x * z).ln() - digamma(shape), trigamma(shape))
    }
}
