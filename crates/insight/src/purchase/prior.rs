//! What is expected of a shop's parameters before its own orders are looked at.
//!
//! Log-normal and weak: a few hundred customers outweigh it. Never used where a shop's own orders are enough.

use serde::{Deserialize, Serialize};

use super::Model;
use super::fit::Kind;
use crate::span::Span;

/// A parameter's median and the standard deviation of its logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// The median; of a scale parameter in days.
    pub median: f64,
    /// The standard deviation of the natural logarithm.
    pub spread: f64,
}

/// What is expected of the four parameters of a model: r, alpha, and the two of leaving.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    kind: Kind,
    parameters: [Expected; 4],
}

/// Spread of shapes and of chances, unless shops say otherwise: a factor of 2.7 either way is common.
const SPREAD: f64 = 1.0;
/// Spread of scales of time: shops differ more in how often one buys than in how customers differ.
const SCALE_SPREAD: f64 = 1.5;
/// A pool of shops never narrows a prior more than this.
const NARROWEST: f64 = 0.5;

impl Prior {
    /// Centred on what the two CDNOW data sets, the ones everybody publishes, give for a model, rounded.
    pub fn published(kind: Kind) -> Self {
        let weeks = |weeks: u32| Span::of_weeks(weeks).as_days();
        let medians = match kind {
            Kind::Bg => [0.25, weeks(5), 0.75, 2.3],
            Kind::Mbg => [0.5, weeks(6), 0.9, 1.6],
            Kind::Pareto => [0.55, weeks(11), 0.55, weeks(10)],
        };
        let scale = |i: usize| i == 1 || (i == 3 && kind == Kind::Pareto);
        let spread = |i: usize| if scale(i) { SCALE_SPREAD } else { SPREAD };
        let parameters = std::array::from_fn(|i| Expected { median: medians[i], spread: spread(i) });
        Self { kind, parameters }
    }

    /// Centred on an operator's other shops: the means of the logarithms of those models that are of this kind, and
    /// their spread, which is never narrower than a factor of e^0.5. The published ones if there are fewer than three.
    pub fn pooled(kind: Kind, shops: &[Model]) -> Self {
        let logs: Vec<[f64; 4]> = shops.iter().filter_map(|model| kind.logs_of(model)).collect();
        if logs.len() < 3 {
            return Self::published(kind);
        }
        let count = logs.len() as f64;
        let parameters = std::array::from_fn(|i| {
            let mean = logs.iter().map(|log| log[i]).sum::<f64>() / count;
            let square = logs.iter().map(|log| (log[i] - mean).powi(2)).sum::<f64>() / (count - 1.0);
            Expected { median: mean.exp(), spread: square.sqrt().max(NARROWEST) }
        });
        Self { kind, parameters }
    }

    /// Which model it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The parameters.
    pub fn parameters(&self) -> [Expected; 4] {
        self.parameters
    }

    /// The medians' logarithms where times are multiplied by `scale`.
    pub(crate) fn centre(&self, scale: f64) -> [f64; 4] {
        let of_time = |i: usize| i == 1 || (i == 3 && self.kind == Kind::Pareto);
        std::array::from_fn(|i| self.parameters[i].median.ln() + if of_time(i) { scale.ln() } else { 0.0 })
    }

    /// The logarithm of the density but for a constant, at logarithms of parameters of times multiplied by `scale`,
    /// and its gradient. Of the first `N` parameters.
    pub(crate) fn density<const N: usize>(&self, logs: &[f64; N], scale: f64) -> (f64, [f64; N]) {
        let centre = self.centre(scale);
        let mut value = 0.0;
        let slopes = std::array::from_fn(|i| {
            let off = (logs[i] - centre[i]) / self.parameters[i].spread;
            value -= 0.5 * off * off;
            -off / self.parameters[i].spread
        });
        (value, slopes)
    }
}
