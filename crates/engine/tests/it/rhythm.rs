//! What a customer buys again and again: when it is due, which of several, and when nobody waits any more.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use zyklus_engine::condition::{Expression, Scope, Value};
use zyklus_engine::facts::View;
use zyklus_model::{At, DAY_MICROS, OrderLine, Origin};

use crate::world::{World, at, order};

pub(crate) fn day(days: i64) -> At {
    at("2026-03-01T10:00:00Z").plus_micros(days * DAY_MICROS)
}

pub(crate) fn line(product: &str) -> OrderLine {
    OrderLine {
        product: Some(product.into()),
        sku: None,
        title: product.into(),
        quantity: 1,
        total_minor: 1_000,
        categories: Vec::new(),
    }
}

/// A customer who bought these products on these days.
pub(crate) fn who(bought: &[(i64, &str)]) -> World {
    let mut world = World::new("");
    world.snapshot.orders = bought
        .iter()
        .enumerate()
        .map(|(n, (days, product))| {
            let mut order = order(&n.to_string(), 1_000, day(*days), day(*days), Origin::History);
            order.lines.push(line(product));
            order
        })
        .collect();
    world.snapshot.orders.sort_by_key(|order| order.placed_at);
    world
}

/// What a field says on a day, and when it may say something else.
pub(crate) fn asked(world: &World, field: &str, days: i64) -> (Value, Option<At>) {
    let expression = Expression::parse(field, Scope::Segment).unwrap();
    let view = View::new(&world.snapshot, day(days), 2, None).with_book(&world.book);
    let verdict = expression.eval(&view, day(days));
    (verdict.value, verdict.revisit_at)
}

fn product(world: &World, days: i64) -> String {
    match asked(world, "replenish.product_id", days).0 {
        Value::Text(product) => product.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn three_purchases_make_a_rhythm_and_two_do_not() {
    let two = who(&[(-60, "tea"), (-30, "tea")]);
    assert_eq!(product(&two, 0), "Absent");
    // Twice on one day is once.
    let same_day = who(&[(-60, "tea"), (-30, "tea"), (-30, "tea")]);
    assert_eq!(product(&same_day, 0), "Absent");
    let three = who(&[(-70, "tea"), (-50, "tea"), (-5, "tea"), (-20, "pot")]);
    // The geometric mean of 20 and 45.
    let (due, until) = asked(&three, "replenish.due_at", 0);
    assert_eq!(due, Value::Instant(day(-5).plus_micros(30 * DAY_MICROS)));
    assert_eq!(until, Some(day(-5).plus_micros(90 * DAY_MICROS)), "three rhythms later it is given up");
    assert_eq!(asked(&three, "replenish.every_days", 0).0, Value::Int(30));
    assert_eq!(asked(&three, "replenish.confidence", 0).0, Value::Double(0.5));
    assert_eq!(product(&three, 84), "tea");
    assert_eq!(product(&three, 85), "Absent");
}

#[test]
fn what_is_used_up_first_comes_first_and_what_is_given_up_gives_way() {
    let world =
        who(&[(-30, "coffee"), (-20, "coffee"), (-10, "coffee"), (-130, "tea"), (-70, "tea"), (-10, "tea")]);
    assert_eq!(product(&world, -9), "coffee");
    assert_eq!(product(&world, 19), "coffee");
    // Three rhythms of ten days without coffee.
    assert_eq!(product(&world, 20), "tea");
    assert_eq!(asked(&world, "replenish.due_at", 20).0, Value::Instant(day(50)));
    // As of a day nothing later is known of.
    assert_eq!(product(&world, -15), "Absent");
}

#[test]
fn a_journey_reminds_of_it_in_time_and_once_a_purchase() {
    let mut world = World::new(
        "[journeys.refill]\nlabel = { en = \"R\" }\n\
         start = { date = \"replenish.due_at\", offset = \"-5d\", at = \"10:00\" }\nkey = \"replenish.product_id\"\n\
         when = \"replenish.confidence >= 0.5 && !product(key).sold_out\"\nreenter = \"always\"\n\
         steps = [{ send = \"refill\" }]",
    );
    let start = world.now;
    for n in 0..3i64 {
        let mut tea =
            order(&format!("t{n}"), 1_000, start.plus_days(30 * n), start.plus_days(30 * n), Origin::Live);
        tea.lines.push(line("tea"));
        world.run_to(start.plus_days(30 * n));
        world.commit(Origin::Live, |snapshot| snapshot.orders.push(tea));
        world.settle();
    }
    assert_eq!(world.sent(), Vec::<String>::new());
    world.run_to(start.plus_days(84));
    assert_eq!(world.sent(), Vec::<String>::new());
    world.run_to(start.plus_days(86));
    assert_eq!(world.sent().len(), 1, "five days before the ninetieth");
    world.run_to(start.plus_days(200));
    assert_eq!(world.sent().len(), 1, "not again without a purchase");
}

/// Each product has a date of its own: one that is overdue, or bought in the same order, hides no other.
#[test]
fn each_product_is_reminded_of_at_its_own_time() {
    let mut world = World::new(
        "[journeys.refill]\nlabel = { en = \"R\" }\n\
         start = { date = \"replenish.due_at\", offset = \"-3d\", at = \"10:00\" }\nkey = \"replenish.product_id\"\n\
         when = \"replenish.every_days >= 14\"\nreenter = \"always\"\n\
         steps = [{ if = \"replenish.product_id == key && replenish.every_days == 30\", then = [{ send = \"refill\", id = \"monthly\" }] }]",
    );
    let start = world.now;
    let bought: [(i64, &[&str]); 6] = [
        (0, &["tea", "coffee"]),
        (30, &["coffee", "tea"]),
        (46, &["milk"]),
        (53, &["milk"]),
        (60, &["tea", "coffee", "milk"]),
        // Before its reminder, and long after milk has run out.
        (86, &["coffee"]),
    ];
    for (number, (days, products)) in bought.iter().enumerate() {
        let placed = start.plus_days(*days);
        world.run_to(placed);
        let mut bought = order(&format!("o{number}"), 1_000, placed, placed, Origin::Live);
        bought.lines.extend(products.iter().map(|product| line(product)));
        world.commit(Origin::Live, |snapshot| snapshot.orders.push(bought));
        world.settle();
    }
    assert!(world.snapshot.runs.is_empty(), "{:?}", world.snapshot.runs);
    world.run_to(start.plus_days(89));
    let keys = |world: &World| world.snapshot.runs.iter().map(|r| r.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&world), ["tea"]);
    // Coffee was bought on the 86th day, at a rhythm of 29 days by then.
    world.run_to(start.plus_days(115));
    assert_eq!(keys(&world), ["tea", "coffee"]);
    assert_eq!(world.sent().len(), 1, "the tea's own rhythm is 30 days, the coffee's is not");
}
