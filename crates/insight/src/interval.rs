//! Figures with their uncertainty: what an estimate is, and intervals for shares, means, medians, ratios and NPS.
//! Never gives a number that is not finite, and never one without the number of cases behind it.

mod mean;
mod nps;
pub(crate) mod quantile;
mod share;

use serde::{Serialize, Serializer};

pub use mean::{Moments, mean, mean_difference, mean_difference_at, median, ratio, ratio_of_means};
pub use nps::{Answers, nps};
pub use share::{Tally, share, share_at, share_difference, share_difference_at};

/// From how many cases on a figure may be compared with another one (shown in colour, with an arrow).
pub const ENOUGH: u64 = 30;

/// How sure an interval is to hold the truth: the share of such intervals that do.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Level(f64);

impl Level {
    /// 80 in 100.
    pub const P80: Level = Level(0.80);
    /// 90 in 100.
    pub const P90: Level = Level(0.90);
    /// 95 in 100, the usual one.
    pub const P95: Level = Level(0.95);
    /// 99 in 100.
    pub const P99: Level = Level(0.99);

    /// A level from 0.5 to 0.9999; `None` for anything else.
    pub fn new(level: f64) -> Option<Self> {
        (0.5..=0.9999).contains(&level).then_some(Level(level))
    }

    /// As a share, 0.95 for [`Level::P95`].
    pub fn share(self) -> f64 {
        self.0
    }

    /// What is left of one: how often such an interval misses.
    pub fn miss(self) -> f64 {
        1.0 - self.0
    }

    /// How many standard errors to either side of a normal estimate.
    pub fn z(self) -> f64 {
        quantile::normal(1.0 - self.miss() / 2.0)
    }
}

/// Why there is no figure. A reason, so that a page can say it instead of showing a zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Nobody to count.
    #[error("there are no cases")]
    Empty,
    /// Some, but no interval of this kind can be had from so few.
    #[error("there are {n} cases, and it takes {needed}")]
    TooFew {
        /// How many there are.
        n: u64,
        /// How many it takes.
        needed: u64,
    },
    /// Nobody has been watched for so long yet.
    #[error("nobody has been watched for longer than {days:.1} days")]
    TooYoung {
        /// The longest anybody has been watched.
        days: f64,
    },
    /// A ratio whose denominator may as well be zero.
    #[error("the denominator cannot be told from zero")]
    Unbounded,
    /// All values are alike, so they do not say how far they might vary.
    #[error("all values are the same")]
    NoSpread,
    /// More hits than cases, an infinite amount: the input contradicts itself.
    #[error("the numbers contradict themselves")]
    Impossible,
}

/// A figure with its interval. All three numbers are finite, and `low <= value <= high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    value: f64,
    low: f64,
    high: f64,
    level: Level,
    n: u64,
    weak: bool,
}

/// What a figure says against another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The whole interval lies above it.
    Above,
    /// The whole interval lies below it.
    Below,
    /// The interval holds it, or there are too few cases to say.
    Open,
}

impl Estimate {
    /// From `n` cases. Bounds that rounding put on the wrong side of the value are moved onto it.
    ///
    /// # Errors
    /// [`Unknown::Impossible`] if one of the numbers is not finite, [`Unknown::Empty`] if `n` is zero.
    pub fn new(value: f64, low: f64, high: f64, level: Level, n: u64) -> Result<Self, Unknown> {
        if n == 0 {
            return Err(Unknown::Empty);
        }
        if !(value.is_finite() && low.is_finite() && high.is_finite()) {
            return Err(Unknown::Impossible);
        }
        Ok(Self { value, low: low.min(value), high: high.max(value), level, n, weak: n < ENOUGH })
    }

    /// The figure itself, in the unit of the function that made it.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The interval's lower end.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// The interval's upper end.
    pub fn high(&self) -> f64 {
        self.high
    }

    /// How sure the interval is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// How many cases; of a comparison, those of the smaller side.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Fewer than [`ENOUGH`] cases: to be shown grey and without an arrow.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// Whether the interval holds `truth`.
    pub fn holds(&self, truth: f64) -> bool {
        self.low <= truth && truth <= self.high
    }

    /// Which arrow to draw against `reference`; none from few cases.
    pub fn against(&self, reference: f64) -> Against {
        if self.weak {
            Against::Open
        } else if self.low > reference {
            Against::Above
        } else if self.high < reference {
            Against::Below
        } else {
            Against::Open
        }
    }

    /// The same in another unit: all three numbers times `factor`.
    ///
    /// # Errors
    /// [`Unknown::Impossible`] if that is not finite.
    pub fn times(&self, factor: f64) -> Result<Self, Unknown> {
        let (one, other) = (self.low * factor, self.high * factor);
        Self::new(self.value * factor, one.min(other), one.max(other), self.level, self.n)
    }

    /// The other share: one minus it.
    pub(crate) fn complement(&self) -> Self {
        Self { value: 1.0 - self.value, low: 1.0 - self.high, high: 1.0 - self.low, ..*self }
    }
}

/// A figure, or why there is none.
pub type Figure = Result<Estimate, Unknown>;

/// Writes a figure as its fields, and a missing one as `{"unknown": reason}`.
pub(crate) fn figure<S: Serializer, T: Serialize>(
    figure: &Result<T, Unknown>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Missing {
        unknown: Unknown,
    }
    match figure {
        Ok(known) => known.serialize(serializer),
        Err(unknown) => Missing { unknown: *unknown }.serialize(serializer),
    }
}
