//! How many products could be recommended to a customer: by the lesson that counts then, with the orders of the moment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use zyklus_engine::condition::{Group, Value};
use zyklus_engine::{Book, why};
use zyklus_insight::recommend::{Goods, Line, Pairings};
use zyklus_model::{At, Origin};

use crate::rhythm::{asked, day, line, who};
use crate::world::{LIFECYCLE, World, order};

/// What a shop learns that sells these sets, each to two customers; all of it can be bought.
fn learned(sets: &[&[&str]]) -> Pairings {
    let (mut names, mut lines) = (Vec::<(String, String)>::new(), Vec::new());
    for (number, set) in (0u32..).zip(sets) {
        for product in *set {
            // The system of the world's orders.
            let name = ("shop".to_owned(), (*product).to_owned());
            let item = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            let item = u32::try_from(item).unwrap();
            lines.extend((0..2).map(|who| Line { customer: number * 2 + who, item, day: 3, quantity: 1 }));
        }
    }
    // Others with something else each, so that having things together says something.
    for customer in 1_000..1_020 {
        let item = u32::try_from(names.len()).unwrap();
        names.push(("shop".to_owned(), format!("odd {customer}")));
        lines.push(Line { customer, item, day: 3, quantity: 1 });
    }
    let on_offer = names.iter().cloned().collect();
    Goods::learn(names, lines, 10).pairings(&on_offer)
}

fn lessons(lessons: impl IntoIterator<Item = (At, Pairings)>) -> Arc<[(At, Arc<Pairings>)]> {
    lessons.into_iter().map(|(at, lesson)| (at, Arc::new(lesson))).collect()
}

/// Orders one product now.
fn buys(world: &mut World, product: &str) {
    let now = world.now;
    world.commit(Origin::Live, |snapshot| {
        let mut order = order(product, 1_000, now, now, Origin::Live);
        order.lines.push(line(product));
        snapshot.orders.push(order);
    });
}

#[test]
fn it_counts_by_the_lesson_of_the_instant_and_says_when_another_takes_its_place() {
    let mut world = who(&[(-20, "tea"), (-10, "pot")]);
    let count = |world: &World, days| asked(world, "recommend.count", days);
    assert_eq!(count(&world, 0), (Value::Absent, None));
    world.book.pairings = lessons([
        (day(-5), learned(&[&["tea", "cup", "pot"]])),
        (day(5), learned(&[&["tea", "cup", "spoon", "tin"]])),
    ]);
    assert_eq!(count(&world, -6), (Value::Absent, Some(day(-5))));
    assert_eq!(count(&world, -5), (Value::Int(1), Some(day(5))));
    assert_eq!(count(&world, 4), (Value::Int(1), Some(day(5))));
    assert_eq!(count(&world, 5), (Value::Int(3), None));
}

#[test]
fn what_is_not_an_order_of_the_moment_does_not_count() {
    let mut world = who(&[(-20, "tea"), (3, "cup")]);
    world.book.pairings = lessons([(day(-30), learned(&[&["tea", "cup", "spoon"]]))]);
    let count = |world: &World, days| asked(world, "recommend.count", days).0;
    // Nothing was bought, then one of three, then another one, which was a return for nothing at last.
    assert_eq!([-25, 0, 4].map(|days| count(&world, days)), [0, 2, 1].map(Value::Int));
    world.snapshot.orders[1].lines[0].quantity = 0;
    assert_eq!(count(&world, 4), Value::Int(2));
    "till".clone_into(&mut world.snapshot.orders[0].system);
    assert_eq!(count(&world, 4), Value::Int(0));
}

const JOURNEY: &str = "[journeys.j]\nlabel = { en = \"J\" }\nstart = { segment = \"recommend.count >= 2\" }\n\
                       reenter = \"always\"\nsteps = [{ send = \"one\" }]";

/// A customer with tea, and a shop that learns something at each of these times.
fn shop(sets: &[&[&[&str]]]) -> World {
    shop_with(LIFECYCLE, sets)
}

fn shop_with(phases: &str, sets: &[&[&[&str]]]) -> World {
    let mut world = World::unseen(phases, JOURNEY);
    let now = world.now;
    let mut bought = order("0", 1_000, now.plus_days(-9), now.plus_days(-9), Origin::History);
    bought.lines.push(line("tea"));
    world.snapshot.orders.push(bought);
    world.book.pairings = lessons((1..).zip(sets).map(|(days, sets)| (now.plus_days(days), learned(sets))));
    world.run_to(now);
    world
}

#[test]
fn an_order_brings_somebody_in_at_once() {
    let sets: &[&[&str]] = &[&["tea", "cup"], &["pot", "lid", "tin"]];
    let mut world = shop(&[sets]);
    world.pass(10 * 86_400);
    assert_eq!(world.snapshot.runs.len(), 0);
    buys(&mut world, "pot");
    assert_eq!((world.snapshot.runs.len(), world.sent().len()), (1, 1));
}

/// Everybody with an order would be written to as soon as the shop is connected.
#[test]
fn the_first_lesson_and_one_by_another_measure_start_nothing() {
    let wide: &[&[&str]] = &[&["tea", "cup", "tin"], &["a", "b", "c", "d", "e", "f", "g"]];
    let narrow: &[&[&str]] = &[&["tea", "cup"], &["a", "b"]];
    // The first, one with fewer and one with more products: the customer stands inside, outside, inside.
    let mut world = shop(&[wide, narrow, wide]);
    for inside in [true, false, true] {
        world.pass(86_400);
        assert_eq!(world.snapshot.segments[0].inside, inside);
    }
    assert_eq!(world.snapshot.runs.len(), 0);
}

#[test]
fn what_a_lesson_finds_for_a_customer_otherwise_is_answered() {
    let before: &[&[&str]] = &[&["tea", "cup"], &["tin", "b", "c", "d", "e", "f", "g"]];
    let after: &[&[&str]] = &[&["tea", "cup", "tin"], &["b", "c", "d", "e", "f", "g"]];
    let mut world = shop(&[before, after]);
    world.pass(86_400);
    assert_eq!(world.snapshot.runs.len(), 0);
    // Nothing but the lesson brings them in, and they are looked at when it counts.
    world.pass(86_400);
    assert_eq!((world.snapshot.runs.len(), world.sent().len()), (1, 1));
}

#[test]
fn why_shows_the_count() {
    let phases = LIFECYCLE.replace("orders.count >= 3", "recommend.count >= 2");
    let mut world = shop_with(&phases, &[&[&["tea", "cup", "tin"]]]);
    assert_eq!(world.phase(), "buyer");
    world.pass(2 * 86_400);
    assert_eq!(world.phase(), "loyal");
    let told = serde_json::to_string(&why(&world.book, &world.snapshot, world.now)).unwrap();
    assert!(told.contains(r#""text":"recommend.count","value":2"#), "{told}");
    let reads = |book: &Book| book.reads(Group::Recommend);
    assert!(reads(&world.book) && !reads(&World::new("").book));
}
