//! Each customer's mean spend, pulled towards the shop's: what stands in for gamma-gamma where it cannot be fitted.
//!
//! The shop's mean counts as one purchase of the customer, which is more than gamma-gamma gives it on CDNOW (0.4) and
//! holds a customer of one or two orders in place. Never more than arithmetic.

use serde::{Deserialize, Serialize};

use super::{Spends, usable};
use crate::rfm::Rfm;

/// A shop's mean, and how customers vary around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShrunkMeans {
    /// In minor units.
    mean: f64,
    /// Standard deviation of the logarithm.
    spread: f64,
}

/// Nobody is taken to be more alike than that.
const LEAST_SPREAD: f64 = 0.1;
/// As many purchases does the shop's mean count as.
const LEANING: f64 = 1.0;

impl ShrunkMeans {
    /// Nothing if no customer has a positive mean. The shop's mean is geometric, so that one huge order does not set it.
    pub(crate) fn of(spends: &Spends) -> Option<Self> {
        let log = spends.rows.iter().map(|(_, z, w)| w * z.ln()).sum::<f64>() / spends.weight;
        let square = spends.rows.iter().map(|(_, z, w)| w * (z.ln() - log).powi(2)).sum::<f64>();
        let spread = (square / spends.weight).sqrt().max(LEAST_SPREAD);
        let mean = log.exp();
        (mean.is_finite() && mean > 0.0 && spread.is_finite()).then_some(Self { mean, spread })
    }

    /// What an order of this customer will be worth on average, in minor units.
    pub fn expected_spend(&self, rfm: &Rfm) -> f64 {
        let (x, z) = usable(rfm);
        (LEANING * self.mean + x * z) / (LEANING + x)
    }

    /// Mean and variance of the logarithm of an order's worth.
    pub(crate) fn customer_logs(&self, rfm: &Rfm) -> (f64, f64) {
        (self.expected_spend(rfm).ln(), self.spread * self.spread)
    }
}
