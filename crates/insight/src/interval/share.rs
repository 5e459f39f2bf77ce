//! Shares: so many of so many. Wilson's interval for one, Newcombe's for the difference of two.

use serde::{Deserialize, Serialize};

use super::{Estimate, Figure, Level, Unknown};

/// So many hits of so many cases; never more hits than cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(try_from = "(u64, u64)", into = "(u64, u64)")]
pub struct Tally {
    hits: u64,
    of: u64,
}

impl Tally {
    /// `hits` of `of` cases.
    ///
    /// # Errors
    /// [`Unknown::Impossible`] for more hits than cases.
    pub fn new(hits: u64, of: u64) -> Result<Self, Unknown> {
        if hits > of { Err(Unknown::Impossible) } else { Ok(Self { hits, of }) }
    }

    /// Counts the cases of an iterator, and those that are `true`.
    pub fn count(cases: impl IntoIterator<Item = bool>) -> Self {
        cases
            .into_iter()
            .fold(Self::default(), |tally, hit| Self { hits: tally.hits + u64::from(hit), of: tally.of + 1 })
    }

    /// How many hits.
    pub fn hits(self) -> u64 {
        self.hits
    }

    /// How many cases.
    pub fn of(self) -> u64 {
        self.of
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { hits: self.hits.saturating_add(other.hits), of: self.of.saturating_add(other.of) }
    }

    /// Hits per case; `None` without cases.
    pub fn rate(self) -> Option<f64> {
        (self.of > 0).then(|| self.hits as f64 / self.of as f64)
    }
}

impl TryFrom<(u64, u64)> for Tally {
    type Error = Unknown;

    fn try_from((hits, of): (u64, u64)) -> Result<Self, Unknown> {
        Self::new(hits, of)
    }
}

impl From<Tally> for (u64, u64) {
    fn from(tally: Tally) -> Self {
        (tally.hits, tally.of)
    }
}

/// A share with the score interval of Wilson (1927, JASA 22, 209): right for rare events and small numbers,
/// and never outside 0 to 1.
///
/// # Errors
/// [`Unknown::Empty`] without cases.
pub fn share(tally: Tally, level: Level) -> Figure {
    share_at(tally, level.z(), level)
}

/// As [`share`], with `z` standard errors to either side instead of the level's own; `level` is only carried on.
///
/// # Errors
/// [`Unknown::Empty`] without cases, [`Unknown::Impossible`] if `z` is not finite.
pub fn share_at(tally: Tally, z: f64, level: Level) -> Figure {
    let rate = tally.rate().ok_or(Unknown::Empty)?;
    let n = tally.of as f64;
    let squared = z * z;
    let middle = (rate + squared / (2.0 * n)) / (1.0 + squared / n);
    let half = z / (1.0 + squared / n) * (rate * (1.0 - rate) / n + squared / (4.0 * n * n)).sqrt();
    let low = if tally.hits == 0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if tally.hits == tally.of { 1.0 } else { (middle + half).min(1.0) };
    Estimate::new(rate, low, high, level, tally.of)
}

/// `one` minus `other`, of independent cases, with Newcombe's hybrid score interval (1998, Statistics in
/// Medicine 17, 873, method 10).
///
/// # Errors
/// [`Unknown::Empty`] if either has no cases.
pub fn share_difference(one: Tally, other: Tally, level: Level) -> Figure {
    share_difference_at(one, other, level.z(), level)
}

/// As [`share_difference`], with `z` standard errors to either side instead of the level's own.
///
/// # Errors
/// [`Unknown::Empty`] if either has no cases, [`Unknown::Impossible`] if `z` is not finite.
pub fn share_difference_at(one: Tally, other: Tally, z: f64, level: Level) -> Figure {
    let (a, b) = (share_at(one, z, level)?, share_at(other, z, level)?);
    let down = (a.value() - a.low()).hypot(b.high() - b.value());
    let up = (a.high() - a.value()).hypot(b.value() - b.low());
    let value = a.value() - b.value();
    Estimate::new(value, value - down, value + up, level, one.of.min(other.of))
}
