//! What the shop's models say of one customer on a day, in steps that a condition can wait for. Never fits a model and
//! never reads a clock.
//!
//! A day is a calendar day of the shop's zone, and orders of one day are one purchase, as in the models. Figures move
//! from day to day while no order comes, so each is given in steps (a hundredth of a chance, two digits of an amount):
//! the next step is far away, and nobody is looked at every midnight.

use std::cell::OnceCell;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span as Length, ToSpan};
use zyklus_insight::learned::{Learned, YEAR};
use zyklus_insight::rfm::{Day, History, Rfm};
use zyklus_insight::span::Span;
use zyklus_model::{At, Order, Snapshot};

use crate::wait::local;

/// Steps are looked for so many days ahead; then it is looked again.
const FURTHEST: i32 = 3_660;

const FIRST_DAY: Date = jiff::civil::date(1970, 1, 1);

/// The calendar day an instant lies in, counted from 1970-01-01.
pub fn day_of(at: At, zone: &TimeZone) -> Day {
    let date = at.timestamp().to_zoned(zone.clone()).date();
    date.since(FIRST_DAY).map_or(0, |span: Length| span.get_days())
}

/// When a day begins.
pub fn start_of(day: Day, zone: &TimeZone) -> At {
    let date = FIRST_DAY.checked_add(i64::from(day).days());
    date.map_or(At::MAX, |date| local(date, Time::midnight(), zone))
}

/// The summary of a customer's orders that count at an instant; nothing without any.
pub fn rfm_of(snapshot: &Snapshot, at: At, zone: &TimeZone) -> Option<Rfm> {
    let orders = snapshot.orders.iter().filter(|order| order.placed_at <= at && order.counts_at(at));
    let mut days: Vec<(Day, i64)> = orders.map(|order| bought(order, at, zone)).collect();
    Rfm::of_orders(&mut days, day_of(at, zone))
}

/// The day of an order, and what was left of it at an instant, in minor units of the reporting currency: nothing while
/// there is no rate.
pub fn bought(order: &Order, at: At, zone: &TimeZone) -> (Day, i64) {
    let (total, refunded) = order.reporting_minor_at(at).unwrap_or_default();
    (day_of(order.placed_at, zone), total - refunded)
}

/// So far ahead a year's predictions look.
fn a_year() -> Span {
    Span::of_days(YEAR)
}

/// A figure, and the first later day on which it may be another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stepped<T> {
    pub(crate) value: T,
    pub(crate) until: Day,
}

/// What falls from day to day while no order comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Falling {
    /// The chance of an order within the shop's horizon.
    Chance,
    /// The same within a year.
    ChanceInAYear,
    /// Expected orders within a year.
    OrdersInAYear,
    /// What the orders of a year are worth today, in minor units.
    Value,
}

/// One customer on one day. Each figure is computed once: conditions of several phases ask for the same.
#[derive(Debug)]
pub(crate) struct Outlook<'b> {
    pub(crate) learned: &'b Learned,
    history: History,
    today: Day,
    chance: OnceCell<Option<Stepped<f64>>>,
    chance_in_a_year: OnceCell<Option<Stepped<f64>>>,
    orders: OnceCell<Option<Stepped<f64>>>,
    value: OnceCell<Option<Stepped<f64>>>,
    overdue: OnceCell<Option<Stepped<i64>>>,
}

impl<'b> Outlook<'b> {
    /// Of the orders that count, as day and net amount in minor units; nothing without any, and nothing if the shop's
    /// orders tell its customers apart too little.
    pub(crate) fn new(learned: &'b Learned, orders: Vec<(Day, i64)>, today: Day) -> Option<Self> {
        if !learned.is_telling() {
            return None;
        }
        let history = History::new(orders)?;
        let (chance, chance_in_a_year) = (OnceCell::new(), OnceCell::new());
        let (orders, value, overdue) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Some(Outlook { learned, history, today, chance, chance_in_a_year, orders, value, overdue })
    }

    /// The chance of an order within the shop's horizon, in hundredths.
    pub(crate) fn chance(&self) -> Option<Stepped<f64>> {
        *self.chance.get_or_init(|| self.falling(Falling::Chance))
    }

    /// The same within a year.
    pub(crate) fn chance_in_a_year(&self) -> Option<Stepped<f64>> {
        *self.chance_in_a_year.get_or_init(|| self.falling(Falling::ChanceInAYear))
    }

    /// Expected orders within a year, in two digits.
    pub(crate) fn orders_in_a_year(&self) -> Option<Stepped<f64>> {
        *self.orders.get_or_init(|| self.falling(Falling::OrdersInAYear))
    }

    /// What the orders of a year are worth today, in minor units, in two digits.
    pub(crate) fn value(&self) -> Option<Stepped<f64>> {
        *self.value.get_or_init(|| self.falling(Falling::Value))
    }

    /// Of 100 waits, how many are shorter than the one going on.
    pub(crate) fn overdue(&self) -> Option<Stepped<i64>> {
        *self.overdue.get_or_init(|| {
            let on =
                |day| self.learned.cadence.overdue(&self.history, day).map(|share| (share * 100.0) as i64);
            let value = on(self.today)?;
            // The longer the wait, the more are shorter.
            Some(Stepped { value, until: turn(self.today, |day| on(day) != Some(value)) })
        })
    }

    /// A figure as it is told on a day, and exactly.
    fn on(&self, which: Falling, day: Day) -> Option<(f64, f64)> {
        let rfm = &self.history.rfm(day)?;
        let learned = self.learned;
        let exact = match which {
            Falling::Chance => learned.any_order(rfm, learned.horizon),
            Falling::ChanceInAYear => learned.any_order(rfm, a_year()),
            Falling::OrdersInAYear => learned.purchase.model.expected_orders(rfm, a_year()),
            Falling::Value => learned.value(rfm)?,
        };
        let told = match which {
            Falling::Chance | Falling::ChanceInAYear => hundredth(exact),
            Falling::OrdersInAYear | Falling::Value => two_digits(exact),
        };
        Some((told, exact))
    }

    fn falling(&self, which: Falling) -> Option<Stepped<f64>> {
        let (value, exact) = self.on(which, self.today)?;
        // Nothing falls below zero.
        let until = if value <= 0.0 {
            self.today + FURTHEST
        } else {
            self.first_past(which, exact, value, |told| told != value)
        };
        Some(Stepped { value, until })
    }

    /// A figure as it is told, and the first later day on which `is_past` holds of it; none if it does today, and ten
    /// years later if it does not until then. What is past stays past as the figure falls; it is so at about `limit`.
    pub(crate) fn falls_past(
        &self,
        which: Falling,
        limit: f64,
        is_past: impl Fn(f64) -> bool,
    ) -> Option<(f64, Option<Day>)> {
        let (value, exact) = self.on(which, self.today)?;
        if is_past(value) {
            return Some((value, None));
        }
        Some((value, Some(self.first_past(which, exact, limit, is_past))))
    }

    /// The first day after today on which `is_past` holds of a figure that is `exact` today.
    fn first_past(&self, which: Falling, exact: f64, limit: f64, is_past: impl Fn(f64) -> bool) -> Day {
        fall((self.today, exact), limit, |day| match self.on(which, day) {
            Some((told, exact)) => (exact, is_past(told)),
            None => (0.0, true),
        })
    }
}

/// The first day after `today` on which a figure that falls from day to day is below, where that begins at about `floor`;
/// ten years later at the latest. `on` tells the figure of a day, and whether it is below.
///
/// It is looked for where a straight line says, since every look costs a forecast: ahead of the days looked at, then
/// between two that lie on either side of it, in turn with a neighbour of the last and the middle.
fn fall(today: (Day, f64), floor: f64, on: impl Fn(Day) -> (f64, bool)) -> Day {
    let end = today.0 + FURTHEST;
    let (mut above, mut below) = (today, None);
    let (mut day, mut tries) = (today.0 + 1, 0);
    loop {
        let (figure, is_below) = on(day);
        if is_below {
            below = Some((day, figure))
        } else {
            above = (day, figure)
        }
        day = match below {
            Some((first, _)) if first - above.0 <= 1 => return first,
            Some((first, figure)) => {
                let line = (above.1 - floor) / (above.1 - figure) * f64::from(first - above.0);
                let guess = match tries % 3 {
                    0 => above.0.saturating_add(line.ceil() as Day),
                    1 if is_below => first - 1,
                    1 => above.0 + 1,
                    _ => above.0 + (first - above.0) / 2,
                };
                tries += 1;
                guess.clamp(above.0 + 1, first - 1)
            }
            None if above.0 >= end => return end,
            None => {
                // It falls ever more slowly: the line is there too early rather than too late.
                let passed = above.0 - today.0;
                let line = (above.1 - floor) / (today.1 - above.1) * f64::from(passed);
                (above.0 + (line.ceil() as Day).clamp(passed, 16 * passed)).min(end)
            }
        };
    }
}

/// The first day after `today` on which something holds that holds for ever after; ten years later at the latest.
fn turn(today: Day, holds: impl Fn(Day) -> bool) -> Day {
    let (mut before, mut step) = (today, 1);
    let mut after = loop {
        let day = today + step;
        if holds(day) {
            break day;
        }
        before = day;
        if step >= FURTHEST {
            return day;
        }
        step = (step * 2).min(FURTHEST);
    };
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if holds(middle) { after = middle } else { before = middle }
    }
    after
}

fn hundredth(chance: f64) -> f64 {
    (chance * 100.0).floor() / 100.0
}

/// Down to two digits: 1,234 is 1,200, and 0.0123 is 0.012.
fn two_digits(value: f64) -> f64 {
    if !value.is_normal() || value < 0.0 {
        return 0.0;
    }
    let step = 10f64.powi(value.log10().floor() as i32 - 1);
    (value / step).floor() * step
}

#[cfg(test)]
mod tests;
