//! How long a shop's customers wait between orders, and what a lifecycle's phases take from it without anybody tuning
//! them: the horizon of forecasts, the base rate that a customer's chance is held against, how overdue somebody is.
//!
//! The wait that is going on is not known to its end. Leaving it out would make waits too short, so shares are Kaplan
//! and Meier's ("Nonparametric estimation from incomplete observations", Journal of the American Statistical Association
//! 53, 1958). Most shops' customers mostly never return; that is no wait, and a shop's usual wait is one of those that
//! end. Never decides a phase.

use serde::{Deserialize, Serialize};

use crate::rfm::{Day, History};
use crate::span::Span;

/// The horizon is the wait that this share of those that end does not exceed, between these limits in days.
const SHARE: f64 = 0.8;
const SHORTEST: u32 = 30;
const LONGEST: u32 = 180;
/// The shop's waits count as so many of the customer's own in how overdue somebody is.
const LEANING: f64 = 3.0;

/// The share of waits that end within a number of days.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Waits {
    /// Days, ascending, and the share of waits that last longer.
    steps: Vec<(u32, f64)>,
}

impl Waits {
    /// From waits in days, each with whether an order ended it or only the observation.
    pub fn observe(waits: impl IntoIterator<Item = (u32, bool)>) -> Self {
        let mut waits: Vec<(u32, bool)> = waits.into_iter().collect();
        waits.sort_unstable();
        let mut at_risk = waits.len() as f64;
        let mut longer = 1.0;
        let mut steps = Vec::new();
        for same in waits.chunk_by(|one, next| one.0 == next.0) {
            // Whoever was watched for as long was at risk, too.
            let ended = same.iter().filter(|(_, ended)| *ended).count() as f64;
            if ended > 0.0 {
                longer *= 1.0 - ended / at_risk;
                steps.push((same[0].0, longer));
            }
            at_risk -= same.len() as f64;
        }
        Self { steps }
    }

    /// The share of waits that end within so many days.
    pub fn share_within(&self, days: u32) -> f64 {
        let known = self.steps.partition_point(|(step, _)| *step <= days);
        known.checked_sub(1).map_or(0.0, |last| 1.0 - self.steps[last].1)
    }

    /// The share of waits that end at all, as far as they were ever watched.
    pub fn ending(&self) -> f64 {
        self.share_within(u32::MAX)
    }

    /// The wait that a share of all waits does not exceed; nothing if fewer were ever seen to end.
    pub fn quantile(&self, share: f64) -> Option<Span> {
        // A hair's breadth for shares like 0.8, which the product of survivals misses by a rounding.
        let step = self.steps.iter().find(|(_, longer)| 1.0 - longer >= share - 1e-12)?;
        Some(Span::of_days(step.0))
    }

    /// The wait that a share of those that end does not exceed; nothing if none was seen to end.
    pub fn usual(&self, share: f64) -> Option<Span> {
        self.quantile(share * self.ending())
    }
}

/// How a horizon came about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Basis {
    /// It is the shop's own wait.
    Measured,
    /// The shop's wait is shorter than 30 days.
    Raised {
        /// The shop's wait.
        from: Span,
    },
    /// The shop's wait is longer than 180 days.
    Lowered {
        /// The shop's wait.
        from: Span,
    },
    /// No wait has ended yet: 180 days.
    Unknown,
}

/// A shop's waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cadence {
    /// Between any two orders.
    pub all: Waits,
    /// Between the first order and the second.
    pub second: Waits,
}

impl Cadence {
    /// Of all customers, as of the end of the day `until`.
    pub fn observe<'a>(histories: impl IntoIterator<Item = &'a History>, until: Day) -> Self {
        let (mut all, mut second) = (Vec::new(), Vec::new());
        for history in histories {
            let Some(idle) = history.idle(until) else { continue };
            let waits = history.gaps(until).map(|gap| (gap, true)).chain([(idle, false)]);
            let before = all.len();
            all.extend(waits);
            second.push(all[before]);
        }
        Self { all: Waits::observe(all), second: Waits::observe(second) }
    }

    /// The horizon for the shop's phases: the wait that 80 of 100 of those that end do not exceed, at least 30 and
    /// at most 180 days.
    pub fn horizon(&self) -> (Span, Basis) {
        let (shortest, longest) = (Span::of_days(SHORTEST), Span::of_days(LONGEST));
        match self.all.usual(SHARE) {
            Some(from) if from < shortest => (shortest, Basis::Raised { from }),
            Some(from) if from > longest => (longest, Basis::Lowered { from }),
            Some(wait) => (wait, Basis::Measured),
            None => (longest, Basis::Unknown),
        }
    }

    /// The wait after which half of those who ever order a second time have done so: a customer of one order is new until
    /// then. Nothing if nobody has.
    pub fn new_until(&self) -> Option<Span> {
        self.second.usual(0.5)
    }

    /// The share of waits that are shorter than the one going on: of the customer's own, to which the shop's count as
    /// three. An explanation, not a forecast. Nothing for who has not ordered yet.
    pub fn overdue(&self, history: &History, until: Day) -> Option<f64> {
        let idle = history.idle(until)?;
        let (mut own, mut shorter) = (0.0, 0.0);
        for gap in history.gaps(until) {
            own += 1.0;
            shorter += f64::from(u8::from(gap <= idle));
        }
        Some((shorter + LEANING * self.all.share_within(idle)) / (own + LEANING))
    }
}

/// The share of a shop's customers as of `until` less the window who ordered within the window up to `until`: what
/// anybody's chance of an order is held against. Nothing if there were none.
pub fn base_rate<'a>(
    histories: impl IntoIterator<Item = &'a History>,
    until: Day,
    window: Span,
) -> Option<f64> {
    let before = until.saturating_sub(window.as_days().round() as Day);
    let (mut known, mut ordered) = (0.0, 0.0);
    for history in histories {
        if history.idle(before).is_some() {
            known += 1.0;
            ordered += f64::from(u8::from(history.orders_between(before, until) > 0));
        }
    }
    (known > 0.0).then(|| ordered / known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_a_textbook_example() {
        // Ended at 6, 6, 6, 7, 10; watched for 6, 9, 10.
        let waits =
            [(6, true), (6, true), (6, true), (6, false), (7, true), (9, false), (10, true), (10, false)];
        let waits = Waits::observe(waits);
        let longer = |days| 1.0 - waits.share_within(days);
        assert_eq!(longer(5), 1.0);
        assert!((longer(6) - 5.0 / 8.0).abs() < 1e-15);
        assert!((longer(9) - 5.0 / 8.0 * 3.0 / 4.0).abs() < 1e-15);
        assert!((longer(10) - 5.0 / 8.0 * 3.0 / 4.0 * 0.5).abs() < 1e-15);
        assert_eq!(waits.quantile(0.5), Some(Span::of_days(7)));
        assert_eq!(waits.quantile(0.8), None);
    }

    fn history(days: &[Day]) -> History {
        History::new(days.iter().map(|day| (*day, 1)).collect()).unwrap()
    }

    #[test]
    fn a_horizon_stays_within_its_limits_and_says_so() {
        let weekly: Vec<History> = (0..20).map(|i| history(&[i, i + 7, i + 14, i + 21])).collect();
        let (horizon, basis) = Cadence::observe(&weekly, 21).horizon();
        assert_eq!((horizon, basis), (Span::of_days(30), Basis::Raised { from: Span::of_days(7) }));
        let once = Cadence::observe(&[history(&[0]), history(&[0])], 400);
        assert_eq!(once.horizon(), (Span::of_days(180), Basis::Unknown));
        assert_eq!(once.new_until(), None);
        // Two of three waits never end; the one that does is usual.
        let seldom = Cadence::observe(&[history(&[0]), history(&[0, 50])], 400);
        assert!((seldom.all.ending() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(seldom.all.quantile(0.5), None);
        assert_eq!(seldom.horizon(), (Span::of_days(50), Basis::Measured));
        let slow = Cadence::observe(&[history(&[0, 300])], 301);
        assert_eq!(slow.horizon(), (Span::of_days(180), Basis::Lowered { from: Span::of_days(300) }));
        let (horizon, basis) = Cadence::observe(&[history(&[0, 60, 120])], 120).horizon();
        assert_eq!((horizon, basis), (Span::of_days(60), Basis::Measured));
        let nobody = Cadence::observe(&[], 0);
        assert_eq!((nobody.horizon().0, nobody.new_until()), (Span::of_days(180), None));
    }

    #[test]
    fn whoever_waits_longer_is_more_overdue() {
        let histories = [history(&[0, 10, 30]), history(&[0, 20, 25])];
        let cadence = Cadence::observe(&histories, 60);
        let overdue = |until| cadence.overdue(&histories[0], until).unwrap();
        assert!(overdue(31) < overdue(41) && overdue(41) < overdue(60));
        assert_eq!(cadence.overdue(&histories[0], -1), None);
        // Who has no waits yet is held against the shop's; own waits count besides.
        let once = history(&[0]);
        assert_eq!(cadence.overdue(&once, 10), Some(cadence.all.share_within(10)));
        let both = (1.0 + 3.0 * cadence.all.share_within(15)) / 5.0;
        assert_eq!(cadence.overdue(&histories[0], 45), Some(both));
        assert_eq!(base_rate(&histories, 30, Span::of_days(8)), Some(1.0));
        assert_eq!(base_rate(&histories, 30, Span::of_days(4)), Some(0.5));
        assert_eq!(base_rate(&histories, 5, Span::of_days(8)), None);
    }
}
