//! What customers spend per order: the gamma-gamma model, and what stands in for it.
//!
//! Money is in minor units of one currency throughout. Amounts that are not positive are counted and reported, never
//! fitted.

pub mod fit;
mod gamma_gamma;
mod means;

pub use gamma_gamma::{GammaGamma, Spends};
pub use means::ShrunkMeans;

use serde::{Deserialize, Serialize};

use crate::rfm::Rfm;

/// A shop's spend model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum SpendModel {
    /// Gamma-gamma.
    GammaGamma(GammaGamma),
    /// Each customer's mean, pulled towards the shop's.
    Means(ShrunkMeans),
    /// Nobody's repeat purchases have amounts: nothing can be said.
    Unknown,
}

impl SpendModel {
    /// What an order of this customer will be worth on average, in minor units.
    pub fn expected_spend(&self, rfm: &Rfm) -> Option<f64> {
        match self {
            SpendModel::GammaGamma(model) => Some(model.expected_spend(rfm)),
            SpendModel::Means(means) => Some(means.expected_spend(rfm)),
            SpendModel::Unknown => None,
        }
    }

    /// Mean and variance of the logarithm of what so many orders are worth together: the part that is the same for all
    /// customers, to which [`customer_logs`](Self::customer_logs) is added.
    pub(crate) fn number_logs(&self, orders: f64) -> (f64, f64) {
        match self {
            SpendModel::GammaGamma(model) => model.number_logs(orders),
            SpendModel::Means(_) | SpendModel::Unknown => (orders.ln(), 0.0),
        }
    }

    /// The customer's part.
    pub(crate) fn customer_logs(&self, rfm: &Rfm) -> (f64, f64) {
        match self {
            SpendModel::GammaGamma(model) => model.customer_logs(rfm),
            SpendModel::Means(means) => means.customer_logs(rfm),
            SpendModel::Unknown => (0.0, 0.0),
        }
    }
}

/// Repeat purchases and their mean, where that is positive; otherwise none and 0.
fn usable(rfm: &Rfm) -> (f64, f64) {
    match rfm.spend() {
        Some(mean) if mean > 0.0 => (f64::from(rfm.repeats()), mean),
        _ => (0.0, 0.0),
    }
}
