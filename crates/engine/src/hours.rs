//! When in the day to write to somebody: what `at = "best"` of a wait means.

use jiff::Zoned;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use zyklus_insight::experiment::{WeekCounts, best_time};
use zyklus_model::{At, Snapshot};

use crate::book::Book;
use crate::wait::day_start;

/// The hour at which a customer orders if that is a habit, else the one at which the shop's customers do, by orders placed
/// until `at`; `None` where there is nothing to tell it from. Orders of one day are one deed, and an order at the shop's
/// midnight sharp is known by its day only.
pub(crate) fn best_hour(book: &Book, snapshot: &Snapshot, zone: &TimeZone, at: At) -> Option<Time> {
    let mut deeds: Vec<Zoned> = Vec::new();
    for order in snapshot.orders.iter().filter(|order| order.placed_at <= at) {
        let there = order.placed_at.timestamp().to_zoned(zone.clone());
        let is_new = deeds.last().is_none_or(|last| last.date() != there.date());
        if is_new && order.placed_at != day_start(order.placed_at, &book.settings.zone) {
            deeds.push(there);
        }
    }
    let deeds = deeds
        .iter()
        .map(|deed| (deed.weekday().to_monday_zero_offset().unsigned_abs(), deed.hour().unsigned_abs()));
    // Weekdays and hours of a calendar are such.
    let own = WeekCounts::of(deeds).unwrap_or_default();
    let nobody = WeekCounts::default();
    let known = book.learned.partition_point(|(learned_at, _)| *learned_at <= at).checked_sub(1);
    let shop = known.map_or(&nobody, |last| &book.learned[last].1.hours);
    let hour = best_time(&own, shop).preference.hour()?;
    Time::new(i8::try_from(hour).ok()?, 0, 0, 0).ok()
}
