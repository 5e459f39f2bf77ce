//! One customer's orders by day, for what looks at more than one point of time: how long customers wait between orders,
//! and whether forecasts of the past came true.
//!
//! Orders of one day are one purchase. Never changes once made.

use super::{Day, Rfm, Tally};

/// Days with orders, ascending, and what was ordered on each in minor units. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    days: Vec<(Day, i64)>,
}

impl History {
    /// Of orders in any order; nothing without any.
    pub fn new(mut orders: Vec<(Day, i64)>) -> Option<Self> {
        orders.sort_unstable();
        orders.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 = if same { kept.1.saturating_add(next.1) } else { kept.1 };
            same
        });
        (!orders.is_empty()).then_some(Self { days: orders })
    }

    /// The days up to and with `until`.
    fn up_to(&self, until: Day) -> &[(Day, i64)] {
        &self.days[..self.days.partition_point(|(day, _)| *day <= until)]
    }

    /// The summary as of the end of the day `until`; nothing if the first order came later.
    pub fn rfm(&self, until: Day) -> Option<Rfm> {
        let (first, later) = self.up_to(until).split_first()?;
        let mut tally = Tally::first(first.0);
        later.iter().for_each(|(day, minor)| tally.push(*day, *minor));
        Some(tally.rfm(until))
    }

    /// Days with orders after the day `from`, up to and with `to`.
    pub fn orders_between(&self, from: Day, to: Day) -> u32 {
        let until = |day: Day| self.up_to(day).len();
        until(to).saturating_sub(until(from)) as u32
    }

    /// What was ordered after the day `from`, up to and with `to`, in minor units.
    pub fn spent_between(&self, from: Day, to: Day) -> i64 {
        let after = self.up_to(from).len();
        self.up_to(to).iter().skip(after).fold(0, |sum, (_, minor)| sum.saturating_add(*minor))
    }

    /// The waits between one order and the next, up to and with the day `until`, in days.
    pub fn gaps(&self, until: Day) -> impl Iterator<Item = u32> + '_ {
        self.up_to(until).windows(2).map(|pair| pair[1].0.abs_diff(pair[0].0))
    }

    /// The days since the last order as of `until`; nothing if the first order came later.
    pub fn idle(&self, until: Day) -> Option<u32> {
        self.up_to(until).last().map(|(day, _)| until.abs_diff(*day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_cut_at_any_day() {
        let history = History::new(vec![(20, 5), (10, 1), (20, 7), (50, 3)]).unwrap();
        assert_eq!(history.rfm(9), None);
        assert_eq!(history.rfm(20).unwrap().spend(), Some(12.0));
        assert_eq!((history.orders_between(10, 50), history.orders_between(50, 10)), (2, 0));
        assert_eq!(history.spent_between(10, 20), 12);
        assert_eq!(history.gaps(49).collect::<Vec<_>>(), [10]);
        assert_eq!((history.idle(9), history.idle(45)), (None, Some(25)));
        assert_eq!(History::new(vec![]), None);
    }
}
