//! Means, ratios of means and medians, of money or of days. Sums up in one pass, in the order given; keeps no value.

use serde::Serialize;

use super::quantile;
use super::{Estimate, Figure, Level, Unknown};

/// How many values, their mean and their spread, summed up as Welford (1962, Technometrics 4, 419) does.
/// A value that is not finite spoils the whole on purpose: no figure is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Moments {
    n: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Of these values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        values.into_iter().fold(Self::default(), Self::with)
    }

    /// Of `n` values with this sum and this sum of squares, as a database gives them.
    ///
    /// # Errors
    /// [`Unknown::Impossible`] if no values can have these sums.
    pub fn from_sums(n: u64, sum: f64, squares: f64) -> Result<Self, Unknown> {
        if n == 0 {
            return if sum == 0.0 && squares == 0.0 { Ok(Self::default()) } else { Err(Unknown::Impossible) };
        }
        let mean = sum / n as f64;
        let spread = squares - sum * mean;
        // Rounding may leave a spread of zero a little below it.
        if !spread.is_finite() || spread < -1e-9 * squares.abs() {
            return Err(Unknown::Impossible);
        }
        Ok(Self { n, mean, squares: spread.max(0.0) })
    }

    /// With one value more.
    #[must_use]
    pub fn with(self, value: f64) -> Self {
        let n = self.n + 1;
        let off = value - self.mean;
        let mean = self.mean + off / n as f64;
        Self { n, mean, squares: self.squares + off * (value - mean) }
    }

    /// Both together (Chan, Golub and LeVeque 1983).
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        if self.n == 0 || other.n == 0 {
            return if self.n == 0 { other } else { self };
        }
        let (a, b) = (self.n as f64, other.n as f64);
        let off = other.mean - self.mean;
        Self {
            n: self.n + other.n,
            mean: self.mean + off * b / (a + b),
            squares: self.squares + other.squares + off * off * a * b / (a + b),
        }
    }

    /// How many values.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Their mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0 && self.mean.is_finite()).then_some(self.mean)
    }

    /// Their variance, with n − 1; `None` below two.
    pub fn variance(&self) -> Option<f64> {
        let variance = self.squares / (self.n.saturating_sub(1)) as f64;
        (self.n > 1 && variance.is_finite()).then_some(variance)
    }

    /// How many values of equal size would add up to as much with as much spread, if the rest were zero: Kish's
    /// effective number (1965, Survey Sampling, 11.7), (Σv)²/Σv². Of a few buyers among many, about the buyers.
    pub fn contributors(&self) -> f64 {
        let n = self.n as f64;
        let squares = self.squares + n * self.mean * self.mean;
        if squares > 0.0 { (n * self.mean).powi(2) / squares } else { 0.0 }
    }

    /// The variance of their mean, or why there is none.
    pub(crate) fn error(&self) -> Result<f64, Unknown> {
        match self.n {
            0 => Err(Unknown::Empty),
            1 => Err(Unknown::TooFew { n: 1, needed: 2 }),
            n => Ok(self.variance().ok_or(Unknown::Impossible)? / n as f64),
        }
    }
}

/// A mean with Student's t interval.
///
/// # Errors
/// [`Unknown::Empty`] or [`Unknown::TooFew`] below two values, [`Unknown::Impossible`] if one is not finite.
pub fn mean(values: &Moments, level: Level) -> Figure {
    let half = values.error()?.sqrt() * student(level, values.n as f64 - 1.0);
    Estimate::new(values.mean, values.mean - half, values.mean + half, level, values.n)
}

/// The mean of `one` minus that of `other`, of independent values whose spreads may differ (Welch 1947, Biometrika
/// 34, 28).
///
/// # Errors
/// As [`mean`], and [`Unknown::NoSpread`] if no value differs from another.
pub fn mean_difference(one: &Moments, other: &Moments, level: Level) -> Figure {
    mean_difference_at(one, other, level.z(), level)
}

/// As [`mean_difference`], as surely as a normal estimate with `z` standard errors to either side.
///
/// # Errors
/// As [`mean_difference`].
pub fn mean_difference_at(one: &Moments, other: &Moments, z: f64, level: Level) -> Figure {
    let (a, b) = (one.error()?, other.error()?);
    if a + b <= 0.0 {
        return Err(Unknown::NoSpread);
    }
    let df = (a + b).powi(2) / (a * a / (one.n as f64 - 1.0) + b * b / (other.n as f64 - 1.0));
    let half = (a + b).sqrt() * -quantile::student(quantile::normal_below(-z), df);
    let value = one.mean - other.mean;
    Estimate::new(value, value - half, value + half, level, one.n.min(other.n))
}

/// The sum of the first numbers over the sum of the second ones, where each pair belongs to one independent unit
/// (revenue and orders of a customer), with the interval of Fieller (1954, JRSS B 16, 175).
///
/// # Errors
/// As [`mean`], and [`Unknown::Unbounded`] if the second sum may as well be zero.
pub fn ratio(pairs: &[(f64, f64)], level: Level) -> Figure {
    let top = Moments::of(pairs.iter().map(|pair| pair.0));
    let bottom = Moments::of(pairs.iter().map(|pair| pair.1));
    let (a, b) = (top.error()?, bottom.error()?);
    let n = pairs.len() as f64;
    let together = pairs.iter().map(|pair| (pair.0 - top.mean) * (pair.1 - bottom.mean)).sum::<f64>();
    let t = student(level, n - 1.0);
    fieller((top.mean, a), (bottom.mean, b), together / (n - 1.0) / n, t, level, top.n)
}

/// The mean of `one` over the mean of `other`, of independent values, after Fieller.
///
/// # Errors
/// As [`ratio`].
pub fn ratio_of_means(one: &Moments, other: &Moments, level: Level) -> Figure {
    let (a, b) = (one.error()?, other.error()?);
    let n = one.n.min(other.n);
    fieller((one.mean, a), (other.mean, b), 0.0, student(level, n as f64 - 1.0), level, n)
}

/// Fieller's theorem: the ratios r for which top − r · bottom lies within t standard errors of zero.
fn fieller(top: (f64, f64), bottom: (f64, f64), cov: f64, t: f64, level: Level, n: u64) -> Figure {
    let squared = t * t;
    let curve = bottom.0 * bottom.0 - squared * bottom.1;
    if curve.is_nan() || top.0.is_nan() {
        return Err(Unknown::Impossible);
    }
    if curve <= 0.0 {
        return Err(Unknown::Unbounded);
    }
    let middle = top.0 * bottom.0 - squared * cov;
    let root = (middle * middle - curve * (top.0 * top.0 - squared * top.1)).max(0.0).sqrt();
    Estimate::new(top.0 / bottom.0, (middle - root) / curve, (middle + root) / curve, level, n)
}

/// The median, with the interval between two of the values that needs no assumption about their distribution
/// (order statistics under Binomial(n, 1/2); Conover 1999, 3.2).
///
/// # Errors
/// [`Unknown::Empty`] without values, [`Unknown::TooFew`] if even the smallest and the largest are not sure
/// enough (below six at 95 %), [`Unknown::Impossible`] if a value is not finite.
pub fn median(values: &[f64], level: Level) -> Figure {
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Unknown::Impossible);
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 {
        return Err(Unknown::Empty);
    }
    // How surely fewer than `rank` of the values lie below the median: P(Binomial(n, 1/2) < rank).
    let tail = |rank: usize| quantile::beta_below(0.5, (n - rank + 1) as f64, rank as f64);
    let allowed = level.miss() / 2.0;
    let (mut rank, mut beyond) = (0, n.div_ceil(2) + 1);
    while beyond - rank > 1 {
        let middle = rank.midpoint(beyond);
        if tail(middle) <= allowed {
            rank = middle;
        } else {
            beyond = middle;
        }
    }
    if rank == 0 {
        // 2^(1 - n) <= 1 - level.
        let needed = (1.0 - level.miss().log2()).ceil() as u64;
        return Err(Unknown::TooFew { n: n as u64, needed });
    }
    let middle = 0.5 * sorted[(n - 1) / 2] + 0.5 * sorted[n / 2];
    Estimate::new(middle, sorted[rank - 1], sorted[n - rank], level, n as u64)
}

fn student(level: Level, df: f64) -> f64 {
    quantile::student(1.0 - level.miss() / 2.0, df)
}
