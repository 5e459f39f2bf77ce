//! Waits for the hour at which a customer is most likely to act: theirs, the shop's, or none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use serde_json::json;
use zyklus_insight::experiment::WeekCounts;
use zyklus_insight::learned::Learned;
use zyklus_insight::purchase::fit::{Budget, Kind};
use zyklus_insight::rfm::History;
use zyklus_model::Origin;

use crate::world::{World, at};

const JOURNEY: &str = "[journeys.j]\nlabel = { en = \"J\" }\nstart = { event = \"go\" }\n\
                       steps = [{ wait = \"1d\", at = \"best\" }, { send = \"one\" }]";

/// A shop whose customers placed so many orders, all on Tuesdays at that hour.
fn shop(orders: usize, hour: u8) -> Learned {
    let histories: Vec<History> = (0..3).filter_map(|day| History::new(vec![(day, 1_000)])).collect();
    let hours = WeekCounts::of((0..orders).map(|_| (1, hour))).unwrap();
    Learned::of(&histories, 500, Kind::Mbg, Budget::default()).unwrap().with_hours(hours)
}

/// Somebody who has ordered at that time of so many days of February.
fn world(orders: usize, time: &str) -> World {
    let mut world = World::new(JOURNEY);
    for day in 1..=orders {
        let placed = at(&format!("2026-02-{day:02}T{time}+01:00"));
        world.order_at(2_000, placed, Origin::History);
    }
    world
}

#[test]
fn a_wait_goes_on_at_the_customers_own_hour() {
    let mut world = world(12, "19:20:00");
    world.book.learned = Arc::new([(at("2026-02-20T03:00:00+01:00"), Arc::new(shop(500, 9)))]);
    world.event("go", json!({}));
    // The wait began on Monday: what they do on Tuesday is no part of it.
    world.go("2026-03-03T07:00:00+01:00");
    for _ in 0..20 {
        world.order(2_000);
    }
    world.go("2026-03-05T00:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-03 19:00"]);
}

#[test]
fn without_a_habit_it_is_the_shops_hour_by_what_was_known_when_the_wait_began() {
    let mut world = world(2, "19:20:00");
    world.book.learned = Arc::new([
        (at("2026-02-20T03:00:00+01:00"), Arc::new(shop(500, 9))),
        (at("2026-03-02T20:00:00+01:00"), Arc::new(shop(500, 21))),
    ]);
    world.event("go", json!({}));
    world.go("2026-03-05T00:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-03 09:00"]);
}

#[test]
fn where_there_is_nothing_to_tell_it_from_it_is_the_time_the_wait_began() {
    for learned in [None, Some(shop(49, 9))] {
        let mut world = world(0, "");
        world.book.learned =
            learned.map(|shop| (at("2026-02-20T03:00:00+01:00"), Arc::new(shop))).into_iter().collect();
        world.event("go", json!({}));
        world.go("2026-03-05T00:00:00+01:00");
        assert_eq!(world.sent(), ["one 03-03 10:00"]);
    }
}

#[test]
fn orders_of_one_day_and_orders_without_a_time_are_no_habit() {
    let mut once = world(0, "");
    for minute in 10..30 {
        once.order_at(2_000, at(&format!("2026-02-03T19:{minute}:00+01:00")), Origin::History);
    }
    let mut days_only = world(12, "00:00:00");
    for world in [&mut once, &mut days_only] {
        world.event("go", json!({}));
        world.go("2026-03-05T00:00:00+01:00");
        assert_eq!(world.sent(), ["one 03-03 10:00"]);
    }
}

#[test]
fn only_a_book_that_waits_for_it_asks_for_the_hours_of_the_shop() {
    assert!(World::new(JOURNEY).book.waits_for_best_hours());
    let fixed = JOURNEY.replace("\"best\"", "\"09:00\"");
    assert!(!World::new(&fixed).book.waits_for_best_hours());
}
