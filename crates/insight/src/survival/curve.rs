//! Kaplan and Meier's curve: the share not yet gone after so many days, with its band and its quantiles. Knows one
//! way out; where several compete, `competing` has the right figures.

use serde::Serialize;

use super::{Moment, Spell, moments};
use crate::interval::{Estimate, Figure, Level, Tally, Unknown, share as share_of};

/// The curve after a point in time at which somebody left or was lost from sight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// Days since the beginning.
    pub days: f64,
    /// How many had been there just before.
    pub at_risk: u64,
    /// How many left at it.
    pub left: u64,
    /// How many were still there and watched no longer.
    pub censored: u64,
    /// The share still there after it.
    pub share: f64,
    /// The lower edge of the band.
    pub low: f64,
    /// Its upper edge.
    pub high: f64,
}

/// The share still there as a function of time; 1 at the beginning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    level: Level,
    n: u64,
    unusable: u64,
    steps: Vec<Step>,
}

/// When a given share has left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantile {
    /// After so many days.
    Reached {
        /// Days.
        days: f64,
        /// The earliest the band allows.
        low: f64,
        /// The latest; `None` if the band never comes down that far.
        high: Option<f64>,
    },
    /// Fewer have left so far.
    NotReached {
        /// For how many days the curve is known.
        beyond: f64,
    },
}

impl Quantile {
    /// The days, if reached.
    pub fn days(self) -> Option<f64> {
        match self {
            Quantile::Reached { days, .. } => Some(days),
            Quantile::NotReached { .. } => None,
        }
    }
}

/// The curve of Kaplan and Meier (1958, JASA 53, 457) with Greenwood's variance on the log-log scale (Kalbfleisch
/// and Prentice 1980, 1.3), so that the band stays between 0 and 1. Any exit counts.
///
/// # Errors
/// [`Unknown::Empty`] without usable spells.
pub fn curve<E: Copy>(spells: &[Spell<E>], level: Level) -> Result<Curve, Unknown> {
    let one: Vec<Spell<usize>> =
        spells.iter().map(|spell| Spell { days: spell.days, exit: spell.exit.map(|_| 0) }).collect();
    let (moments, unusable) = moments(&one, 1);
    let n = moments.first().ok_or(Unknown::Empty)?.at_risk;
    let z = level.z();
    let (mut share, mut greenwood) = (1.0, 0.0);
    // When the last ones leave, Greenwood sees no spread; the edge stays where it was, or is Wilson's.
    let mut highest = share_of(Tally::new(0, n)?, level)?.high();
    let step = |moment: &Moment| {
        let (there, left) = (moment.at_risk as f64, moment.left() as f64);
        share *= 1.0 - left / there;
        greenwood += left / (there * (there - left));
        let (low, high) = if share > 0.0 { band(share, greenwood, z) } else { (0.0, highest) };
        if share < 1.0 {
            highest = high;
        }
        Step {
            days: moment.days,
            at_risk: moment.at_risk,
            left: moment.left(),
            censored: moment.censored,
            share,
            low,
            high,
        }
    };
    Ok(Curve { level, n, unusable, steps: moments.iter().map(step).collect() })
}

/// exp(−exp(ln(−ln S) ± z √V / ln S)), V being Greenwood's sum; above zero.
fn band(share: f64, greenwood: f64, z: f64) -> (f64, f64) {
    if share >= 1.0 {
        return (share, share);
    }
    let ln = share.ln();
    let off = (z * greenwood.sqrt() / -ln).exp();
    ((ln * off).exp(), (ln / off).exp())
}

impl Curve {
    /// The steps, by time.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many spells it is made of.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// How many were left out, being negative or not finite.
    pub fn unusable(&self) -> u64 {
        self.unusable
    }

    /// How many were still there and watched just before `days`.
    pub fn at_risk(&self, days: f64) -> u64 {
        let passed = self.steps.partition_point(|step| step.days < days);
        self.steps.get(passed).map_or(0, |step| step.at_risk)
    }

    /// For how many days the curve is known.
    pub fn known_for(&self) -> f64 {
        self.steps.last().map_or(0.0, |step| step.days)
    }

    /// The share still there after `days`.
    ///
    /// # Errors
    /// [`Unknown::TooYoung`] if nobody has been watched for so long, unless all have left before.
    pub fn at(&self, days: f64) -> Figure {
        let passed = self.steps.partition_point(|step| step.days <= days);
        let (share, low, high) = match passed.checked_sub(1).map(|at| self.steps[at]) {
            Some(step) => (step.share, step.low, step.high),
            None => (1.0, 1.0, 1.0),
        };
        let ended = passed == self.steps.len() && days > self.known_for();
        if days.is_nan() || (ended && share > 0.0) {
            return Err(Unknown::TooYoung { days: self.known_for() });
        }
        // Where nobody has left yet, Greenwood sees no spread either.
        let low = if share >= 1.0 {
            share_of(Tally::new(0, self.at_risk(days))?, self.level)?.complement().low()
        } else {
            low
        };
        Estimate::new(share, low, high, self.level, self.n)
    }

    /// The share that has left within `days`.
    ///
    /// # Errors
    /// As [`Curve::at`].
    pub fn gone_by(&self, days: f64) -> Figure {
        Ok(self.at(days)?.complement())
    }

    /// The first time at which the share `gone` has left, 0.5 for the median; its interval by the band (Brookmeyer
    /// and Crowley 1982, Biometrics 38, 29).
    pub fn quantile(&self, gone: f64) -> Quantile {
        let rest = 1.0 - gone;
        // A product of ratios that is 0.5 on paper may be a hair above it.
        let first = |share: fn(&Step) -> f64| {
            self.steps.iter().find(|step| share(step) <= rest + 1e-12).map(|step| step.days)
        };
        match first(|step| step.share) {
            Some(days) => Quantile::Reached {
                days,
                low: first(|step| step.low).unwrap_or(days),
                high: first(|step| step.high),
            },
            None => Quantile::NotReached { beyond: self.known_for() },
        }
    }
}
