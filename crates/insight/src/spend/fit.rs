//! From customers' mean spend to a model that it carries, on the highest rung of a ladder.
//!
//! The rungs: gamma-gamma by maximum likelihood; the same with weak expectations; customers' means, pulled towards the
//! shop's; nothing at all. Never fails, and never hides that amounts were left out or that spend goes with frequency.

use serde::{Deserialize, Serialize};

use super::{GammaGamma, ShrunkMeans, SpendModel, Spends};
use crate::matrix::inverse;
use crate::optimise::{End, curvature, minimise};
use crate::purchase::Expected;
use crate::purchase::fit::Budget;
use crate::purchase::gate::{Doubt, doubt};

/// Repeat buyers a fit by maximum likelihood needs, with fewer it fails on random parts of CDNOW.
const CUSTOMERS: f64 = 300.0;
/// Repeat buyers without whom gamma-gamma is not fitted.
const FEWEST: f64 = 3.0;
/// Below this q the mean over the shop is the work of a few customers, or of none.
const LEAST_Q: f64 = 1.05;
/// Where spend goes this much with frequency, the model's assumption that it does not is broken.
const CORRELATED: f64 = 0.3;

/// What is expected of p, q - 1 and v, the last in units of the shop's mean: what CDNOW gives, rounded, and weak.
const EXPECTED: [Expected; 3] = [
    Expected { median: 6.0, spread: 1.0 },
    Expected { median: 2.7, spread: 1.0 },
    Expected { median: 0.45, spread: 1.0 },
];

/// The rung that a fit stands on, and why on none above.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum SpendRung {
    /// Gamma-gamma by maximum likelihood.
    Full {
        /// Largest by smallest curvature at the maximum.
        condition: f64,
    },
    /// Gamma-gamma, held near what is expected.
    Shrunk {
        /// Against the full fit.
        full: Doubt,
    },
    /// Customers' means, pulled towards the shop's.
    Means {
        /// Against gamma-gamma.
        doubt: Doubt,
    },
    /// No repeat purchase has a positive amount.
    Unknown,
}

/// Whether spend goes with frequency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Independence {
    /// As good as not: the model's assumption holds.
    Holds {
        /// Pearson's correlation.
        correlation: f64,
    },
    /// It does: values of frequent customers are off, in the direction of the sign.
    Broken {
        /// Pearson's correlation.
        correlation: f64,
    },
    /// One of them does not vary.
    Unknown,
}

/// A shop's fitted spend model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpendFit {
    /// The model.
    pub model: SpendModel,
    /// Which rung, and why.
    pub rung: SpendRung,
    /// Customers it was fitted to.
    pub customers: f64,
    /// Customers left out because their repeat purchases are worth nothing or less.
    pub unusable: f64,
    /// Whether spend goes with frequency.
    pub independence: Independence,
    /// The log-likelihood as a density per minor unit; of gamma-gamma alone.
    pub log_likelihood: Option<f64>,
    /// Of the logarithms of p, q - 1 and v, row by row; empty for other models.
    pub(crate) covariance: Vec<Vec<f64>>,
}

impl SpendFit {
    /// The standard errors of the logarithms of p, q - 1 and v; none for other models.
    pub fn standard_errors(&self) -> Vec<f64> {
        self.covariance.iter().enumerate().map(|(i, row)| row[i].max(0.0).sqrt()).collect()
    }
}

struct Climbed {
    model: GammaGamma,
    condition: Result<f64, Doubt>,
    log_likelihood: f64,
    covariance: Vec<Vec<f64>>,
}

fn climb(spends: &Spends, mean: f64, held: bool, budget: Budget) -> Climbed {
    let scaled = spends.scaled(1.0 / mean);
    let weight = scaled.weight;
    let downhill = |logs: &[f64; 3]| {
        let (mut value, mut slopes) = GammaGamma::likelihood(&scaled, logs);
        if held {
            for ((slope, log), expected) in slopes.iter_mut().zip(logs).zip(&EXPECTED) {
                let off = (log - expected.median.ln()) / expected.spread;
                value -= 0.5 * off * off;
                *slope -= off / expected.spread;
            }
        }
        (-value / weight, slopes.map(|slope| -slope / weight))
    };
    let found = minimise(EXPECTED.map(|expected| expected.median.ln()), budget.evaluations, downhill);
    let curved = if found.end == End::Converged {
        curvature(&found.at, |logs| downhill(logs).1).map(|row| row.map(|entry| entry * weight))
    } else {
        [[f64::NAN; 3]; 3]
    };
    let [p, above, v] = found.at.map(f64::exp);
    let model = GammaGamma { p, q: 1.0 + above, v: v * mean };
    let mut condition = doubt(&found, ['p', 'q', 'v'], &curved);
    if model.q < LEAST_Q {
        condition = Err(Doubt::OutOfBounds { parameter: 'q', value: model.q });
    }
    Climbed {
        model,
        condition,
        log_likelihood: GammaGamma::likelihood(&scaled, &found.at).0 - weight * mean.ln(),
        covariance: inverse(&curved).map(|rows| rows.map(|row| row.to_vec()).to_vec()).unwrap_or_default(),
    }
}

/// Fits gamma-gamma to customers' mean spend, or what stands in for it.
pub fn fit(spends: &Spends, budget: Budget) -> SpendFit {
    let independence = match spends.correlation() {
        Some(correlation) if correlation.abs() >= CORRELATED => Independence::Broken { correlation },
        Some(correlation) => Independence::Holds { correlation },
        None => Independence::Unknown,
    };
    let answer = |model, rung, climbed: Option<Climbed>| SpendFit {
        model,
        rung,
        customers: spends.customers(),
        unusable: spends.unusable(),
        independence,
        log_likelihood: climbed.as_ref().map(|climbed| climbed.log_likelihood),
        covariance: climbed.map(|climbed| climbed.covariance).unwrap_or_default(),
    };
    let (Some(mean), Some(means)) = (spends.mean(), ShrunkMeans::of(spends)) else {
        return answer(SpendModel::Unknown, SpendRung::Unknown, None);
    };
    let few = |needed| Doubt::FewRepeaters { repeaters: spends.customers(), needed };
    let full = if spends.customers() < CUSTOMERS {
        few(CUSTOMERS)
    } else {
        let climbed = climb(spends, mean, false, budget);
        match climbed.condition {
            Ok(condition) => {
                let model = SpendModel::GammaGamma(climbed.model);
                return answer(model, SpendRung::Full { condition }, Some(climbed));
            }
            Err(doubt) => doubt,
        }
    };
    let doubt = if spends.customers() < FEWEST {
        few(FEWEST)
    } else {
        let climbed = climb(spends, mean, true, budget);
        match climbed.condition {
            Ok(_) => {
                let model = SpendModel::GammaGamma(climbed.model);
                return answer(model, SpendRung::Shrunk { full }, Some(climbed));
            }
            Err(doubt) => doubt,
        }
    };
    answer(SpendModel::Means(means), SpendRung::Means { doubt }, None)
}
