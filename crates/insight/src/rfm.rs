//! A customer's orders summed up as the purchase models need them: how many repeat purchases, when the last one, since
//! when the customer is known, and what a repeat was worth on average.
//!
//! The convention of Fader and Hardie: the first purchase makes a customer and is no repeat, neither counted nor part of
//! the mean; what was bought on one day is one purchase. Days are calendar days of the shop's own zone, numbered by the
//! caller: nothing here reads a clock or knows a zone.

mod columns;
mod history;

pub use columns::{ColumnsError, summarise};
pub use history::History;

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// A day, counted from any first day that all days of a shop share.
pub type Day = i32;

/// One customer, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Plain", into = "Plain")]
pub struct Rfm {
    repeats: u32,
    recency: Span,
    age: Span,
    spend: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct Plain {
    repeats: u32,
    recency: Span,
    age: Span,
    spend: Option<f64>,
}

/// Why figures are no customer's.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum RfmError {
    /// The last purchase would lie in the future.
    #[error(
        "the last purchase, {recency} days after the first, lies after the end of the observation at {age} days"
    )]
    LastAfterEnd {
        /// Days from the first to the last purchase.
        recency: f64,
        /// Days from the first purchase to the end of the observation.
        age: f64,
    },
    /// No repeats and yet a last purchase apart from the first, or the other way round.
    #[error("{repeats} repeat purchases cannot end {recency} days after the first purchase")]
    Inconsistent {
        /// Repeat purchases.
        repeats: u32,
        /// Days from the first to the last purchase.
        recency: f64,
    },
    /// The mean is no finite number, or there is nothing it could be the mean of.
    #[error("a mean spend needs repeat purchases and must be finite")]
    Spend,
}

impl TryFrom<Plain> for Rfm {
    type Error = RfmError;

    fn try_from(plain: Plain) -> Result<Self, RfmError> {
        Rfm::new(plain.repeats, plain.recency, plain.age, plain.spend)
    }
}

impl From<Rfm> for Plain {
    fn from(rfm: Rfm) -> Self {
        Self { repeats: rfm.repeats, recency: rfm.recency, age: rfm.age, spend: rfm.spend }
    }
}

impl Rfm {
    /// A customer with `repeats` purchases after the first, the last of them `recency` after it, watched for `age`
    /// after it. `spend` is the mean of the repeat purchases in minor units, if it is known.
    ///
    /// # Errors
    /// If the figures contradict each other.
    pub fn new(repeats: u32, recency: Span, age: Span, spend: Option<f64>) -> Result<Self, RfmError> {
        if recency > age {
            return Err(RfmError::LastAfterEnd { recency: recency.as_days(), age: age.as_days() });
        }
        if (repeats == 0) != (recency == Span::ZERO) {
            return Err(RfmError::Inconsistent { repeats, recency: recency.as_days() });
        }
        if spend.is_some_and(|mean| repeats == 0 || !mean.is_finite()) {
            return Err(RfmError::Spend);
        }
        Ok(Self { repeats, recency, age, spend })
    }

    /// Of one customer's orders up to and with the day `until`, in any order: day and amount in minor units. Nothing if
    /// there is none. For customers who come one after another.
    pub fn of_orders(orders: &mut [(Day, i64)], until: Day) -> Option<Self> {
        orders.sort_unstable_by_key(|(day, _)| *day);
        let mut tally: Option<Tally> = None;
        for &(day, minor) in orders.iter().take_while(|(day, _)| *day <= until) {
            match &mut tally {
                None => tally = Some(Tally::first(day)),
                Some(tally) => tally.push(day, minor),
            }
        }
        tally.map(|tally| tally.rfm(until))
    }

    /// Purchases after the first, x.
    pub fn repeats(&self) -> u32 {
        self.repeats
    }

    /// From the first to the last purchase, t_x.
    pub fn recency(&self) -> Span {
        self.recency
    }

    /// From the first purchase to the end of the observation, T.
    pub fn age(&self) -> Span {
        self.age
    }

    /// From the last purchase to the end of the observation.
    pub fn idle(&self) -> Span {
        Span::computed(self.age.as_days() - self.recency.as_days())
    }

    /// Mean of the repeat purchases in minor units; may be zero or negative where refunds are.
    pub fn spend(&self) -> Option<f64> {
        self.spend
    }
}

/// A customer's orders so far, in the order of their days.
#[derive(Debug, Clone, Copy)]
struct Tally {
    first: Day,
    last: Day,
    /// Days on which something was bought, the first one among them.
    purchases: NonZeroU32,
    minor: i64,
}

impl Tally {
    fn first(day: Day) -> Self {
        Self { first: day, last: day, purchases: NonZeroU32::MIN, minor: 0 }
    }

    /// One more order, not before the last one.
    fn push(&mut self, day: Day, minor: i64) {
        if day != self.first {
            self.purchases = self.purchases.saturating_add(u32::from(day != self.last));
            self.minor = self.minor.saturating_add(minor);
        }
        self.last = day;
    }

    fn rfm(&self, until: Day) -> Rfm {
        let days = |to: Day| Span::of_days(to.abs_diff(self.first));
        let repeats = self.purchases.get() - 1;
        let spend = (repeats > 0).then(|| self.minor as f64 / f64::from(repeats));
        Rfm { repeats, recency: days(self.last), age: days(until), spend }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_day_is_no_repeat_and_a_day_is_one_purchase() {
        let mut orders = [(17, 500), (10, 900), (10, 100), (17, 250), (30, 50), (99, 7)];
        let rfm = Rfm::of_orders(&mut orders, 40).unwrap();
        assert_eq!((rfm.repeats(), rfm.recency(), rfm.age()), (2, Span::of_days(20), Span::of_days(30)));
        assert_eq!(rfm.spend(), Some(400.0));
        assert_eq!(rfm.idle(), Span::of_days(10));
        assert_eq!(Rfm::of_orders(&mut orders, 9), None);
        assert_eq!(Rfm::of_orders(&mut orders, 10).unwrap().spend(), None);
    }

    #[test]
    fn figures_that_contradict_each_other_are_refused() {
        let days = Span::of_days;
        assert!(matches!(Rfm::new(1, days(5), days(4), None), Err(RfmError::LastAfterEnd { .. })));
        assert!(matches!(Rfm::new(0, days(3), days(4), None), Err(RfmError::Inconsistent { .. })));
        assert!(matches!(Rfm::new(2, days(0), days(4), None), Err(RfmError::Inconsistent { .. })));
        assert_eq!(Rfm::new(0, days(0), days(4), Some(3.0)), Err(RfmError::Spend));
        assert_eq!(Rfm::new(1, days(1), days(4), Some(f64::NAN)), Err(RfmError::Spend));
        assert!(Rfm::new(1, days(4), days(4), Some(-3.0)).is_ok());
    }
}
