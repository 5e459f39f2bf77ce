//! The net promoter score with its interval. Never pools waves: whoever asks decides which answers belong together.

use serde::{Deserialize, Serialize};

use super::quantile;
use super::{Estimate, Figure, Level, Unknown};

/// From how many answers on the normal interval is good enough.
const NORMAL_FROM: u64 = 100;
/// Simpson's panels over the share of those who take a side; even.
const PANELS: usize = 240;

/// Answers on the scale from 0 to 10, sorted into the score's three groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answers {
    /// 9 and 10.
    pub promoters: u64,
    /// 7 and 8.
    pub passives: u64,
    /// 0 to 6.
    pub detractors: u64,
}

impl Answers {
    /// Sorts answers into the groups; one above ten is no answer.
    ///
    /// # Errors
    /// [`Unknown::Impossible`] if one is above ten.
    pub fn of(scores: impl IntoIterator<Item = u8>) -> Result<Self, Unknown> {
        let mut answers = Self::default();
        for score in scores {
            match score {
                0..=6 => answers.detractors += 1,
                7 | 8 => answers.passives += 1,
                9 | 10 => answers.promoters += 1,
                11.. => return Err(Unknown::Impossible),
            }
        }
        Ok(answers)
    }

    /// How many there are.
    pub fn n(self) -> u64 {
        self.promoters.saturating_add(self.passives).saturating_add(self.detractors)
    }
}

/// 100 (p − d), from −100 to 100. From 100 answers on ± z √((p + d − (p − d)²)/n); below, the middle of the
/// posterior of p − d under the prior Dirichlet(½, ½, ½), which has an interval even if all agree; to a
/// hundredth of a point.
///
/// # Errors
/// [`Unknown::Empty`] without answers.
pub fn nps(answers: Answers, level: Level) -> Figure {
    let n = answers.n();
    if n == 0 {
        return Err(Unknown::Empty);
    }
    let count = n as f64;
    let (p, d) = (answers.promoters as f64 / count, answers.detractors as f64 / count);
    let value = p - d;
    let (low, high) = if n >= NORMAL_FROM {
        let half = level.z() * ((p + d - value * value).max(0.0) / count).sqrt();
        ((value - half).max(-1.0), (value + half).min(1.0))
    } else {
        let posterior = Posterior::of(answers);
        (posterior.quantile(level.miss() / 2.0), posterior.quantile(1.0 - level.miss() / 2.0))
    };
    Estimate::new(100.0 * value, 100.0 * low, 100.0 * high, level, n)
}

/// p − d = s (2w − 1), where s = p + d ~ Beta(a₁ + a₃, a₂) and w = p/s ~ Beta(a₁, a₃) are independent (a property
/// of the Dirichlet distribution).
struct Posterior {
    /// a₁: promoters; a₃: detractors.
    sides: (f64, f64),
    /// Values of s with their weights, which sum to one.
    nodes: Vec<(f64, f64)>,
}

impl Posterior {
    fn of(answers: Answers) -> Self {
        let sides = (answers.promoters as f64 + 0.5, answers.detractors as f64 + 0.5);
        let (a, b) = (sides.0 + sides.1, answers.passives as f64 + 0.5);
        // s = sin² θ takes the poles out of the density at both ends; the logarithm keeps it from underflow.
        let step = std::f64::consts::FRAC_PI_2 / PANELS as f64;
        let power = |exponent: f64, base: f64| if exponent == 0.0 { 0.0 } else { exponent * base.ln() };
        let ln: Vec<f64> = (0..=PANELS)
            .map(|at| {
                let angle = at as f64 * step;
                // cos(π/2) is not quite zero in floating point; at the ends it is the limit that counts.
                let (sin, cos) = if at == PANELS { (1.0, 0.0) } else { (angle.sin(), angle.cos()) };
                power(2.0 * a - 1.0, sin) + power(2.0 * b - 1.0, cos)
            })
            .collect();
        let top = ln.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let simpson = |at: usize| match at {
            0 | PANELS => 1.0,
            at if at % 2 == 1 => 4.0,
            _ => 2.0,
        };
        let weights: Vec<f64> =
            ln.iter().enumerate().map(|(at, ln)| simpson(at) * (ln - top).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let nodes = weights.iter().enumerate();
        let nodes = nodes.map(|(at, weight)| ((at as f64 * step).sin().powi(2), weight / sum)).collect();
        Self { sides, nodes }
    }

    /// P(p − d <= x).
    fn below(&self, x: f64) -> f64 {
        let (a, b) = self.sides;
        let share = |s: f64| {
            if s <= 0.0 { f64::from(x >= 0.0) } else { quantile::beta_below(0.5 * (x / s + 1.0), a, b) }
        };
        self.nodes.iter().filter(|node| node.1 > 0.0).map(|node| node.1 * share(node.0)).sum()
    }

    fn quantile(&self, p: f64) -> f64 {
        let (mut low, mut high) = (-1.0, 1.0);
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if self.below(middle) < p {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    }
}
