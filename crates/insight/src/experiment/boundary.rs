//! How many standard errors an interval must reach to either side, depending on how often it is looked at. Looking once,
//! at any time for ever, or daily until a planned end; the more freedom, the wider.

use serde::Serialize;

use crate::interval::quantile::{normal, normal_below, normal_density};
use crate::interval::{Level, Unknown};

/// How the result is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Boundary<'a> {
    /// Once, at a time fixed beforehand.
    Once(Level),
    /// At any time, for ever; stops may depend on what was seen.
    Anytime(Anytime),
    /// At the planned looks; this is the number of the present one, from 0.
    Look(&'a Looks, usize),
}

impl Boundary<'_> {
    /// The level at which all intervals together hold the truth.
    pub fn level(&self) -> Level {
        match self {
            Boundary::Once(level) => *level,
            Boundary::Anytime(anytime) => anytime.level,
            Boundary::Look(looks, _) => looks.level,
        }
    }

    /// Standard errors to either side, with `n` customers in both arms.
    ///
    /// # Errors
    /// [`Unknown::Empty`] without customers, [`Unknown::Impossible`] for a look that is not planned.
    pub fn reach(&self, n: u64) -> Result<f64, Unknown> {
        match self {
            _ if n == 0 => Err(Unknown::Empty),
            Boundary::Once(level) => Ok(level.z()),
            Boundary::Anytime(anytime) => Ok(anytime.reach(n)),
            Boundary::Look(looks, at) => looks.reach.get(*at).copied().ok_or(Unknown::Impossible),
        }
    }
}

/// An asymptotic confidence sequence with a normal mixture (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024,
/// Annals of Statistics 52, 2613, Theorem 2.2): at all n at once,
/// mean ± σ/√n · √(2 (nρ² + 1)/(nρ²) · ln(√(nρ² + 1)/α)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Anytime {
    level: Level,
    rho_squared: f64,
}

impl Anytime {
    /// Narrowest when `expected` customers have been seen: ρ² = (−2 ln α + ln(−2 ln α + 1))/n, the same paper's
    /// approximation of the best one (appendix B.2).
    pub fn narrowest_at(expected: u64, level: Level) -> Self {
        let twice = -2.0 * level.miss().ln();
        Self { level, rho_squared: (twice + (twice + 1.0).ln()) / expected.max(1) as f64 }
    }

    fn reach(self, n: u64) -> f64 {
        let seen = n as f64 * self.rho_squared;
        (2.0 * (seen + 1.0) / seen * (0.5 * (seen + 1.0).ln() - self.level.miss().ln())).sqrt()
    }
}

/// Repeated confidence intervals at planned looks (Jennison and Turnbull 1989, JRSS B 51, 305): together they hold the
/// truth at the level, whatever is looked at and whenever it is stopped. The permitted error α is spent as Lan and DeMets
/// (1983, Biometrika 70, 659) have it after O'Brien and Fleming: by the share t of the customers, 4 − 4 Φ(z(1 − α/4)/√t).
/// So the intervals are wide at first, and at the end hardly wider than those of a single look. Spending it evenly, after
/// Pocock, is not on offer: it relies on the first days' averages being normal, which a few orders' values are not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Looks {
    level: Level,
    reach: Vec<f64>,
}

/// Panels of the grid on which the probability of not having crossed yet is carried from look to look, six points each:
/// at least so many, and as many as keep a panel near the length of two steps' standard deviations.
const PANELS: std::ops::RangeInclusive<usize> = 20..=200;

impl Looks {
    /// For looks at these shares of the planned number of customers: rising, above 0 and at most 1. A share is needed
    /// only up to the present look; the earlier ones must be those that were used.
    ///
    /// # Errors
    /// [`Unknown::Empty`] without looks, [`Unknown::Impossible`] if they do not rise from 0 to 1.
    pub fn new(shares: &[f64], level: Level) -> Result<Self, Unknown> {
        let first = *shares.first().ok_or(Unknown::Empty)?;
        let rising = shares.windows(2).all(|pair| pair[0] < pair[1]);
        if !(rising && first > 0.0 && shares.iter().all(|share| *share <= 1.0)) {
            return Err(Unknown::Impossible);
        }
        let mut walk = Walk { points: vec![(0.0, 1.0)], time: 0.0 };
        let mut reach = Vec::with_capacity(shares.len());
        let mut spent = 0.0;
        for share in shares {
            let total = spent_by(*share, level.miss());
            reach.push(walk.advance(*share, total - spent));
            spent = total;
        }
        Ok(Self { level, reach })
    }

    /// `count` looks, evenly spaced until the planned end.
    ///
    /// # Errors
    /// [`Unknown::Empty`] for none.
    pub fn evenly(count: usize, level: Level) -> Result<Self, Unknown> {
        let shares: Vec<f64> = (1..=count).map(|at| at as f64 / count as f64).collect();
        Self::new(&shares, level)
    }

    /// The looks taken so far, by how many customers' outcomes were known at each, of so many planned. A look at which
    /// nobody was new is the one before it. Whoever plans too few stops there: nothing is left to be spent.
    ///
    /// # Errors
    /// [`Unknown::Empty`] without looks, [`Unknown::Impossible`] if a number falls, is zero, or exceeds the plan.
    pub fn so_far(known: &[u64], planned: u64, level: Level) -> Result<Self, Unknown> {
        let mut different = known.to_vec();
        different.dedup();
        let shares: Vec<f64> = different.iter().map(|known| *known as f64 / planned as f64).collect();
        let looks = Self::new(&shares, level)?;
        let mut reach = Vec::with_capacity(known.len());
        for (group, same) in known.chunk_by(|one, other| one == other).zip(looks.reach) {
            reach.extend(group.iter().map(|_| same));
        }
        Ok(Self { level, reach })
    }

    /// Standard errors to either side at each look.
    pub fn reach(&self) -> &[f64] {
        &self.reach
    }
}

/// So many standard deviations nobody goes in one step.
const FAR: f64 = 12.0;

/// The error spent when the share `t` of the customers has been seen.
fn spent_by(t: f64, miss: f64) -> f64 {
    4.0 * normal_below(normal(miss / 4.0) / t.sqrt())
}

/// The Brownian motion that has not crossed yet, as weights at points (Armitage, McPherson and Rowe 1969, JRSS A 132,
/// 235). B(t) has variance t; the boundary at look k is c√t.
struct Walk {
    /// Where the motion is, with the probability of being there and not having crossed.
    points: Vec<(f64, f64)>,
    time: f64,
}

impl Walk {
    /// Goes on to `time` and finds the boundary that spends `spend`; then forgets what lies beyond it.
    fn advance(&mut self, time: f64, spend: f64) -> f64 {
        let spread = (time - self.time).sqrt();
        let crossing = |bound: f64| -> f64 {
            let beyond = |(at, weight): &(f64, f64)| {
                weight * (normal_below((at - bound) / spread) + normal_below((-at - bound) / spread))
            };
            let near = |(at, _): &&(f64, f64)| bound - at.abs() < FAR * spread;
            self.points.iter().filter(near).map(beyond).sum()
        };
        let (mut low, mut high) = (0.0, 12.0 * time.sqrt());
        for _ in 0..44 {
            let middle = 0.5 * (low + high);
            if crossing(middle) > spend {
                low = middle;
            } else {
                high = middle;
            }
        }
        let bound = 0.5 * (low + high);
        let density = |to: f64| -> f64 {
            let from = |(at, weight): &(f64, f64)| weight * normal_density((to - at) / spread) / spread;
            let near = |(at, _): &&(f64, f64)| (to - at).abs() < FAR * spread;
            self.points.iter().filter(near).map(from).sum()
        };
        // Beyond 8 standard deviations there is nothing to carry on. Gauss and Legendre's nodes in equal panels.
        let reach = bound.min(8.0 * time.sqrt());
        let panels = ((reach / spread).ceil() as usize).clamp(*PANELS.start(), *PANELS.end());
        let half = reach / panels as f64;
        let middle = |panel: usize| -reach + half * (2 * panel + 1) as f64;
        let nodes = (0..panels).flat_map(|panel| NODES.map(|(x, w)| (middle(panel) + half * x, half * w)));
        self.points = nodes.map(|(to, weight)| (to, weight * density(to))).collect();
        self.time = time;
        bound / time.sqrt()
    }
}

/// Gauss and Legendre's six nodes and weights on [−1, 1] (Abramowitz and Stegun 1964, table 25.4).
const NODES: [(f64, f64); 6] = [
    (-0.932_469_514_203_152, 0.171_324_492_379_170_4),
    (-0.661_209_386_466_264_5, 0.360_761_573_048_138_6),
    (-0.238_619_186_083_196_9, 0.467_913_934_572_691),
    (0.238_619_186_083_196_9, 0.467_913_934_572_691),
    (0.661_209_386_466_264_5, 0.360_761_573_048_138_6),
    (0.932_469_514_203_152, 0.171_324_492_379_170_4),
];
