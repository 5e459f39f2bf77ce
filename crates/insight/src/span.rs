//! Lengths of time that keep their unit, and discount rates that keep the period they are for.
//!
//! Never a bare number of "periods": a model that was fitted on days gives the same answer to somebody who thinks in
//! weeks. Never negative and never infinite.

use serde::{Deserialize, Serialize};

/// Days in a year of the Julian calendar: what "a year" means for a discount rate that names no other length.
const DAYS_A_YEAR: f64 = 365.25;

/// A unit that lengths of time are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 24 hours.
    Day,
    /// Seven days, the unit of the published reference figures.
    Week,
}

impl Unit {
    pub(crate) fn days(self) -> f64 {
        match self {
            Unit::Day => 1.0,
            Unit::Week => 7.0,
        }
    }
}

/// A length of time: finite, not negative. Stored and serialised in days.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Span(f64);

/// A number that is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is no length of time: it must be finite and not negative")]
pub struct NotASpan(f64);

impl TryFrom<f64> for Span {
    type Error = NotASpan;

    fn try_from(days: f64) -> Result<Self, NotASpan> {
        Span::new(days, Unit::Day).ok_or(NotASpan(days))
    }
}

impl From<Span> for f64 {
    fn from(span: Span) -> f64 {
        span.0
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0.0);

    /// So many of a unit; nothing if that is negative, infinite or no number.
    pub fn new(value: f64, unit: Unit) -> Option<Self> {
        let days = value * unit.days();
        (days.is_finite() && days >= 0.0).then_some(Self(days))
    }

    /// Whole days.
    pub fn of_days(days: u32) -> Self {
        Self(f64::from(days))
    }

    /// Whole weeks.
    pub fn of_weeks(weeks: u32) -> Self {
        Self(f64::from(weeks) * Unit::Week.days())
    }

    /// In days.
    pub fn as_days(self) -> f64 {
        self.0
    }

    /// In weeks.
    pub fn as_weeks(self) -> f64 {
        self.in_unit(Unit::Week)
    }

    /// In a unit.
    pub fn in_unit(self, unit: Unit) -> f64 {
        self.0 / unit.days()
    }

    /// For results of formulas that cannot be negative: rounding errors are taken away.
    pub(crate) fn computed(days: f64) -> Self {
        Self(if days.is_finite() { days.max(0.0) } else { f64::MAX })
    }
}

/// What money loses in worth over a period: 0.15 a year says that 1.15 in a year are worth 1 today.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiscountRate {
    /// Natural logarithm of the growth, per day.
    force: f64,
}

impl DiscountRate {
    /// Money keeps its worth.
    pub const NONE: DiscountRate = DiscountRate { force: 0.0 };

    /// A share per year of 365.25 days; nothing unless it is finite and not negative.
    pub fn per_year(share: f64) -> Option<Self> {
        Self::per(share, Span(DAYS_A_YEAR))
    }

    /// A share per any period, for example 52 weeks; nothing unless the share is finite and not negative and the
    /// period is not empty.
    pub fn per(share: f64, period: Span) -> Option<Self> {
        let force = share.ln_1p() / period.0;
        (share >= 0.0 && force.is_finite()).then_some(Self { force })
    }

    /// The rate as a share per year of 365.25 days.
    pub fn as_yearly(self) -> f64 {
        (self.force * DAYS_A_YEAR).exp_m1()
    }

    /// What 1 is worth today that comes after `wait`.
    pub fn factor(self, wait: Span) -> f64 {
        (-self.force * wait.0).exp()
    }

    /// The logarithm of the yearly growth, per day.
    pub(crate) fn force(self) -> f64 {
        self.force
    }
}

/// When, within a horizon, money counts as having come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Discounting {
    /// At the instant of the order.
    Continuous,
    /// At the end of the month (a twelfth of 365.25 days) of the order.
    Monthly,
    /// At the end of the week of the order.
    Weekly,
}

impl Discounting {
    /// The length of a step, unless there are none.
    pub(crate) fn step(self) -> Option<Span> {
        match self {
            Discounting::Continuous => None,
            Discounting::Monthly => Some(Span(DAYS_A_YEAR / 12.0)),
            Discounting::Weekly => Some(Span::of_weeks(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_the_same_in_whichever_unit_it_is_written() {
        assert_eq!(Span::new(2.5, Unit::Week), Span::new(17.5, Unit::Day));
        assert_eq!(Span::of_weeks(3).as_days(), 21.0);
        assert_eq!(Span::of_days(21).as_weeks(), 3.0);
        for no_length in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Span::new(no_length, Unit::Day), None);
        }
    }

    #[test]
    fn a_rate_keeps_its_period() {
        let year = DiscountRate::per(0.15, Span::of_weeks(52)).unwrap();
        assert!((year.factor(Span::of_weeks(52)) - 1.0 / 1.15).abs() < 1e-15);
        let julian = DiscountRate::per_year(0.15).unwrap();
        assert!((julian.as_yearly() - 0.15).abs() < 1e-15);
        assert!(julian.factor(Span::of_weeks(52)) > year.factor(Span::of_weeks(52)));
        assert_eq!(DiscountRate::per(0.15, Span::ZERO), None);
        assert_eq!(DiscountRate::per_year(-0.1), None);
    }
}
