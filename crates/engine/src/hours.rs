//! When in the day to write to somebody: what `at = "best"` of a wait means.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use zyklus_insight::experiment::{WeekCounts, best_time};
use zyklus_model::{At, Snapshot};

use crate::book::Book;

/// The hour at which a customer orders and clicks if their own habit is clear, else the one at which the shop's customers
/// order, by what was known at `at`; `None` before there is anything to tell it from.
pub(crate) fn best_hour(book: &Book, snapshot: &Snapshot, zone: &TimeZone, at: At) -> Option<Time> {
    let orders = snapshot.orders.iter().map(|order| order.placed_at);
    let clicks =
        snapshot.events.iter().filter(|event| event.name == "mail.clicked").map(|event| event.occurred_at);
    let deeds = orders.chain(clicks).filter(|deed| *deed <= at).map(|deed| {
        let local = deed.timestamp().to_zoned(zone.clone());
        (local.weekday().to_monday_zero_offset().unsigned_abs(), local.hour().unsigned_abs())
    });
    // Weekdays and hours of a calendar are such.
    let own = WeekCounts::of(deeds).unwrap_or_default();
    let nobody = WeekCounts::default();
    let known = book.learned.partition_point(|(learned_at, _)| *learned_at <= at).checked_sub(1);
    let shop = known.map_or(&nobody, |last| &book.learned[last].1.hours);
    let hour = best_time(&own, shop).preference.hour()?;
    Time::new(i8::try_from(hour).ok()?, 0, 0, 0).ok()
}
