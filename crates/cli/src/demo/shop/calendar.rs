//! When people shop: the year's seasons, the week's days, the day's hours, in the shop's time zone.
//! Never reads a clock.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use zyklus_model::At;

use super::dice::Dice;

/// How much is sold per day of each month, a mean day being 100.
const MONTHS: [u64; 12] = [66, 68, 82, 88, 82, 68, 54, 58, 88, 110, 160, 200];
/// From Monday to Sunday.
const WEEKDAYS: [u64; 7] = [104, 100, 98, 100, 88, 84, 126];
/// From midnight on.
const HOURS: [u64; 24] =
    [6, 3, 2, 1, 2, 4, 8, 16, 24, 30, 36, 38, 36, 34, 32, 33, 36, 42, 50, 64, 76, 72, 46, 20];
/// Days behind the newest instant that are still weighted, for gaps that end beyond it.
const BEYOND: i64 = 800;

/// Days from the shop's first to the newest, numbered from 0, with their weights.
pub(super) struct Calendar {
    zone: TimeZone,
    first: Date,
    /// The number of the newest day.
    pub(super) last: i64,
    weights: Vec<u64>,
}

impl Calendar {
    /// `months` months up to the day of `until`.
    pub(super) fn new(until: At, months: u32) -> Self {
        let zone = TimeZone::get("Europe/Berlin").expect("the csv connector bundles the time zones");
        let newest = until.timestamp().to_zoned(zone.clone()).date();
        let first = newest.saturating_sub(i64::from(months).months());
        let last = i64::from(days_between(first, newest));
        let weights = (0..=last + BEYOND).map(|n| weight(first.saturating_add(n.days()))).collect();
        Calendar { zone, first, last, weights }
    }

    /// The date of a day.
    pub(super) fn date(&self, day: i64) -> Date {
        self.first.saturating_add(day.days())
    }

    /// The day of an instant.
    pub(super) fn day(&self, at: At) -> i64 {
        i64::from(days_between(self.first, at.timestamp().to_zoned(self.zone.clone()).date()))
    }

    /// An instant on a day.
    pub(super) fn at(&self, day: i64, hour: i64, minute: i64, second: i64) -> At {
        let local = self.date(day).at(hour as i8, minute as i8, second as i8, 0);
        let zoned = local.to_zoned(self.zone.clone()).expect("the shop's days lie within jiff's years");
        At::from_timestamp(zoned.timestamp())
    }

    /// An instant on a day, when people shop.
    pub(super) fn moment(&self, day: i64, dice: &mut Dice) -> At {
        let hour = dice.weighted(HOURS.iter().copied()) as i64;
        self.at(day, hour, dice.between(0, 59), dice.between(0, 59))
    }

    /// A day between two, as likely as people shop on it.
    pub(super) fn near(&self, from: i64, to: i64, dice: &mut Dice) -> i64 {
        let (from, to) = (from.max(0), to.max(0).max(from));
        let weight = |day: i64| self.weights.get(day as usize).copied().unwrap_or(100);
        from + dice.weighted((from..=to).map(weight)) as i64
    }

    /// The days on which `count` new customers turn up, in order: by season, and more with every year.
    pub(super) fn arrivals(&self, count: u32, dice: &mut Dice) -> Vec<i64> {
        let growing =
            |day: i64| self.weights[day as usize] * (600 + 700 * day as u64 / self.last.max(1) as u64);
        let mut sum = 0;
        let sums: Vec<u64> = (0..=self.last)
            .map(|day| {
                sum += growing(day);
                sum
            })
            .collect();
        let mut days: Vec<i64> = (0..count)
            .map(|_| {
                let place = dice.below(sum);
                sums.partition_point(|s| *s <= place) as i64
            })
            .collect();
        days.sort_unstable();
        days
    }

    /// The n-th working day after a day.
    pub(super) fn workdays_after(&self, mut day: i64, n: i64) -> i64 {
        let mut left = n;
        while left > 0 {
            day += 1;
            left -= i64::from(self.is_workday(day));
        }
        day
    }

    /// Whether parcels are packed: not at weekends, nor on the year's fixed holidays.
    pub(super) fn is_workday(&self, day: i64) -> bool {
        let date = self.date(day);
        let holiday = matches!((date.month(), date.day()), (1, 1) | (5, 1) | (10, 3) | (12, 25) | (12, 26));
        !holiday && !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
    }
}

fn days_between(from: Date, to: Date) -> i32 {
    let span: Span = from.until(to).expect("both dates lie within jiff's years");
    span.get_days()
}

fn weight(date: Date) -> u64 {
    let month = match (date.month(), date.day()) {
        // After the last day a parcel arrives in time, nobody orders presents.
        (12, 21..=26) => 55,
        (12, 27..) => 85,
        // The week of discounts.
        (11, 23..=30) => 210,
        (month, _) => MONTHS[usize::from(month.unsigned_abs()) - 1],
    };
    month * WEEKDAYS[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())]
}
