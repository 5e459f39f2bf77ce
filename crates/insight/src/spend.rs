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
}

/// Repeat purchases and their mean, where that is positive; otherwise none and 0.
fn usable(rfm: &Rfm) -> (f64, f64) {
    match rfm.spend() {
        Some(mean) if mean > 0.0 => (f64::from(rfm.repeats()), mean),
        _ => (0.0, 0.0),
    }
}
