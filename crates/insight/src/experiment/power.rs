//! How many customers it takes to see a lift. Says what an experiment can show, never that it has shown something.

use serde::Serialize;

use super::Arms;
use crate::interval::{Level, Moments, Tally, Unknown, quantile};

/// How many customers an experiment needs, both arms together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// In all, split as they are being split.
    pub customers: u64,
    /// Beyond those already in it.
    pub more: u64,
}

/// Who are in the experiment already, and how they are split.
struct Split {
    seen: u64,
    treated: f64,
}

impl Split {
    fn of(treated: u64, held: u64) -> Result<Self, Unknown> {
        let seen = treated.saturating_add(held);
        if treated == 0 || held == 0 {
            return Err(Unknown::Empty);
        }
        Ok(Split { seen, treated: treated as f64 / seen as f64 })
    }

    fn needs(&self, customers: f64) -> Result<Needs, Unknown> {
        // More than anybody has: the lift is as good as none.
        if !customers.is_finite() || customers > 1e12 {
            return Err(Unknown::NoSpread);
        }
        let customers = customers.ceil() as u64;
        Ok(Needs { customers, more: customers.saturating_sub(self.seen) })
    }
}

/// For a difference of shares: with so many customers, a true lift of `lift` (0.01 is one percentage point; `None` takes
/// the one measured) is told from nothing at `level` with the probability `power`. Normal approximation with the pooled
/// rate under no effect (Fleiss, Levin and Paik 2003, 4.14, without continuity correction), unequal arms.
///
/// # Errors
/// [`Unknown::Empty`] if an arm has nobody, [`Unknown::NoSpread`] if the lift is zero or as good as that,
/// [`Unknown::Impossible`] if it would make a share leave 0 to 1, or `power` is no probability.
pub fn customers_for_share(
    arms: Arms<Tally>,
    lift: Option<f64>,
    power: f64,
    level: Level,
) -> Result<Needs, Unknown> {
    let split = Split::of(arms.treated.of(), arms.held.of())?;
    let held = arms.held.rate().ok_or(Unknown::Empty)?;
    let lift = lift.unwrap_or(arms.treated.rate().ok_or(Unknown::Empty)? - held);
    let treated = held + lift;
    if !(0.0..=1.0).contains(&treated) {
        return Err(Unknown::Impossible);
    }
    let (part, rest) = (split.treated, 1.0 - split.treated);
    let pooled = part * treated + rest * held;
    let none = (pooled * (1.0 - pooled) * (1.0 / part + 1.0 / rest)).sqrt();
    let some = (treated * (1.0 - treated) / part + held * (1.0 - held) / rest).sqrt();
    let needed = (level.z() * none + reach(power)? * some) / lift;
    split.needs(needed * needed)
}

/// For a difference of means, in their unit, with the spreads measured so far.
///
/// # Errors
/// As [`customers_for_share`]; [`Unknown::TooFew`] below two values in an arm.
pub fn customers_for_mean(
    arms: &Arms<Moments>,
    lift: Option<f64>,
    power: f64,
    level: Level,
) -> Result<Needs, Unknown> {
    let split = Split::of(arms.treated.n(), arms.held.n())?;
    let spread = |values: &Moments| Ok(values.error()? * values.n() as f64);
    let (a, b) = (spread(&arms.treated)?, spread(&arms.held)?);
    let measured = arms.treated.mean().zip(arms.held.mean()).map(|(one, other)| one - other);
    let lift = lift.or(measured).ok_or(Unknown::Impossible)?;
    let needed = (level.z() + reach(power)?) / lift;
    split.needs(needed * needed * (a / split.treated + b / (1.0 - split.treated)))
}

fn reach(power: f64) -> Result<f64, Unknown> {
    if power > 0.0 && power < 1.0 { Ok(quantile::normal(power)) } else { Err(Unknown::Impossible) }
}
