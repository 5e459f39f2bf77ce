//! Splits that learn: which shares hold, that nobody is drawn anew when they move, which runs tell something of a way, and
//! what came of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use zyklus_engine::experiment::{Came, Drawn, Experiment, How, Shares, SplitShares, WHOLE, WayShare};
use zyklus_engine::{Mode, why};
use zyklus_model::{CustomerId, Holdout, Origin, RunEnd};

use crate::world::{World, at};

const GOAL: &str = "goal = { when = \"event.name == 'order.placed'\", within = \"10d\" }\n";

/// A journey with a split of two ways, which has these keys besides, and further keys of its own.
fn journey(keys: &str, split: &str) -> String {
    format!(
        "[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"go\" }}\nreenter = \"always\"\n{keys}\
         steps = [{{ split = \"s\"{split}, ways = [{{ name = \"a\", steps = [{{ send = \"a\" }}] }}, \
         {{ name = \"b\", steps = [{{ send = \"b\" }}] }}] }}]"
    )
}

fn world(keys: &str, split: &str, n: u32) -> World {
    let mut world = World::new(&journey(keys, split));
    world.snapshot.customer.id = CustomerId::derive(&[b"learning", &n.to_be_bytes()]);
    world
}

fn learning(n: u32) -> World {
    world(GOAL, ", learn = \"goal\"", n)
}

/// What the split has learned: so much for `a`, the rest for `b`.
fn split(a: u32) -> SplitShares {
    let way = |name: &str, share| WayShare {
        name: name.into(),
        share,
        best: 0.5,
        runs: 1,
        hits: 0,
        rate: None,
        value: None,
    };
    SplitShares {
        journey: "j".into(),
        step: "split:s".into(),
        epoch: 0,
        measure: "the goal within 10d".into(),
        ways: vec![way("a", a), way("b", WHOLE - a)],
        more_runs: None,
    }
}

/// So many seconds from now on these shares hold.
fn learned(world: &mut World, seconds: i64, split: SplitShares) {
    let from = world.now.plus_seconds(seconds);
    let known = world.book.shares.iter().cloned();
    world.book.shares = known.chain([(from, Arc::new(Shares { splits: vec![split] }))]).collect();
}

fn outcome(world: &World) -> String {
    let (_, outcome) =
        world.last_run().acted.iter().find(|(step, _)| step == "split:s").expect("it was taken");
    outcome.clone()
}

/// By which way a new customer goes, and how they came by it.
fn taken(mut world: World) -> String {
    world.event("go", json!({}));
    outcome(&world)
}

#[test]
fn without_anything_learned_the_weights_hold_as_if_it_did_not_learn() {
    let mut seen = BTreeSet::new();
    for n in 0..30 {
        let (plain, learns) = (taken(world(GOAL, "", n)), taken(learning(n)));
        assert_eq!(learns, format!("{plain} 50%"));
        seen.insert(plain);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn new_customers_go_by_the_learned_shares() {
    let with = |n, share| {
        let mut world = learning(n);
        learned(&mut world, 0, split(share));
        taken(world)
    };
    let mut to_a = 0;
    for n in 0..300 {
        let way = with(n, 9_000);
        to_a += u32::from(way == "way:a 90% learned");
        assert!(way == "way:a 90% learned" || way == "way:b 10% learned", "{way}");
    }
    // Nine of ten of 300 are 270, give or take four standard deviations of 5.2.
    assert!((250..=290).contains(&to_a), "{to_a}");
    assert!((0..30).all(|n| with(n, WHOLE) == "way:a 100% learned"));
    assert!((0..30).all(|n| with(n, 0) == "way:b 100% learned"));
}

#[test]
fn a_customer_keeps_the_way_when_shares_move() {
    for n in 0..20 {
        let mut world = learning(n);
        learned(&mut world, 0, split(5_000));
        world.event("go", json!({}));
        let first = Drawn::parse(&outcome(&world)).expect("a way");
        assert_eq!(first.how, How::Learned(5_000));
        world.pass(3_600);
        // Whichever way it was, nobody is drawn into it any more.
        let share = if first.way == "a" { 0 } else { WHOLE };
        learned(&mut world, 0, split(share));
        world.pass(3_600);
        world.event("go", json!({}));
        assert_eq!(outcome(&world), format!("way:{} kept", first.way));
        // A run that stands behind the split is not drawn again either: each went one way.
        assert_eq!(world.snapshot.deliveries.len(), 2);
        assert!(world.snapshot.deliveries.iter().all(|d| d.target == first.way));
    }
}

#[test]
fn who_draws_again_draws_by_the_shares_that_hold_then() {
    let mut world = world(GOAL, ", learn = \"goal\", again = true", 1);
    learned(&mut world, 0, split(WHOLE));
    world.event("go", json!({}));
    world.pass(3_600);
    learned(&mut world, 0, split(0));
    world.event("go", json!({}));
    let ways: Vec<&str> = world.snapshot.deliveries.iter().map(|d| d.target.as_str()).collect();
    assert_eq!(ways, ["a", "b"]);
}

#[test]
fn shares_of_something_else_or_of_later_do_not_hold() {
    type Change = fn(&mut SplitShares);
    let others: [Change; 6] = [
        |s| s.journey = "k".into(),
        |s| s.step = "split:t".into(),
        |s| s.epoch = 1,
        |s| s.measure = "the goal within 11d".into(),
        |s| s.ways[0].name = "c".into(),
        |s| s.ways.truncate(1),
    ];
    for change in others {
        let mut world = learning(1);
        let mut split = split(WHOLE);
        change(&mut split);
        learned(&mut world, 0, split);
        assert!(taken(world).ends_with(" 50%"));
    }
    let mut world = learning(1);
    learned(&mut world, 1, split(WHOLE));
    assert!(taken(world).ends_with(" 50%"));
    let mut world = world_that_learned_twice();
    world.event("go", json!({}));
    assert_eq!(outcome(&world), "way:b 100% learned", "the last that holds, not the last there is");
}

fn world_that_learned_twice() -> World {
    let mut world = learning(1);
    learned(&mut world, -172_800, split(WHOLE));
    learned(&mut world, -86_400, split(0));
    learned(&mut world, 86_400, split(WHOLE));
    world
}

#[test]
fn a_way_that_is_switched_off_is_neither_drawn_nor_kept() {
    let mut world = learning(1);
    learned(&mut world, 0, split(WHOLE));
    world.event("go", json!({}));
    world.pass(3_600);
    let text = journey(GOAL, ", learn = \"goal\"");
    let three = text.replace("{ name = \"a\",", "{ name = \"c\", steps = [] }, { name = \"a\", weight = 0,");
    world.edit(&three);
    let mut split = split(WHOLE);
    split.ways[0].name = "c".into();
    learned(&mut world, 0, split);
    world.event("go", json!({}));
    assert_eq!(outcome(&world), "way:c 100% learned");
}

#[test]
fn why_names_the_share_and_that_it_was_learned() {
    let mut world = world(GOAL, ", learn = \"goal\"", 1);
    world
        .edit(&format!("{}\n", journey(GOAL, ", learn = \"goal\"").replace("send = \"a\"", "wait = \"5d\"")));
    learned(&mut world, 0, split(9_990));
    world.event("go", json!({}));
    world.pass(60);
    learned(&mut world, 0, split(2_500));
    let why = why(&world.book, &world.snapshot, world.now);
    let [way] = &*why.inside[0].ways else { panic!("{:?}", why.inside[0].ways) };
    assert_eq!(
        (way.step.as_str(), way.drawn.way.as_str(), way.drawn.how),
        ("split:s", "a", How::Learned(9_990))
    );
    assert_eq!((way.learns_by.as_str(), way.share_now), ("the goal within 10d", Some((2_500, world.now))));
}

/// The trials of the world's one split, as way, share and whether the goal was reached.
fn trials(world: &World) -> Vec<(String, f64, bool)> {
    let experiment = world.book.experiments().next().expect("it learns");
    let found = experiment.trials(&world.snapshot.runs, world.now, &world.book.settings.zone);
    found.iter().map(|t| (experiment.ways[t.way].name.clone(), t.share, t.reached)).collect()
}

fn came(world: &World) -> Vec<Came> {
    let experiment = world.book.experiments().next().expect("it learns");
    let found = experiment.trials(&world.snapshot.runs, world.now, &world.book.settings.zone);
    found.iter().map(|trial| experiment.came(trial, &world.snapshot, world.now)).collect()
}

#[test]
fn a_run_counts_once_its_window_is_over_also_if_it_was_successful_before() {
    for orders in [0, 1] {
        let mut world = learning(1);
        learned(&mut world, 0, split(2_000));
        world.event("go", json!({}));
        let way = Drawn::parse(&outcome(&world)).expect("a way").way;
        let share = if way == "a" { 0.2 } else { 0.8 };
        world.pass(3_600);
        for _ in 0..orders {
            world.order(1_000);
        }
        world.go("2026-03-12T09:59:59+01:00");
        assert_eq!(trials(&world), []);
        world.go("2026-03-12T10:00:00+01:00");
        assert_eq!(trials(&world), [(way, share, orders == 1)]);
        world.go("2027-03-12T10:00:00+01:00");
        assert_eq!(trials(&world).len(), 1);
        world.go("2027-03-12T10:00:01+01:00");
        assert_eq!(trials(&world), [], "a year is long ago");
    }
}

#[test]
fn of_a_customer_the_first_run_counts_unless_each_draws_again() {
    for (split, count) in [("", 1), (", again = true", 3)] {
        let mut world = world(GOAL, &format!(", learn = \"goal\"{split}"), 1);
        for _ in 0..3 {
            world.event("go", json!({}));
            world.pass(3_600);
        }
        world.order(1_000);
        world.pass(11 * 86_400);
        let found = trials(&world);
        assert_eq!(found.len(), count);
        assert!(found.iter().all(|(_, share, reached)| *share == 0.5 && *reached), "{found:?}");
    }
}

#[test]
fn a_run_that_was_begun_anew_is_judged_with_the_one_that_took_its_place() {
    let text = journey(&format!("overlap = \"restart\"\n{GOAL}"), ", learn = \"goal\"");
    let mut world = World::new(&text.replace("] }] }]", "] }] }, { wait = \"9d\" }]"));
    world.event("go", json!({}));
    world.pass(3_600);
    world.event("go", json!({}));
    assert_eq!(world.ends(), [Some(RunEnd::Restarted), None]);
    world.pass(3_600);
    world.order(1_000);
    world.pass(11 * 86_400);
    assert_eq!(trials(&world).iter().map(|(_, _, reached)| *reached).collect::<Vec<_>>(), [true]);
}

#[test]
fn who_got_nothing_tells_nothing() {
    let mut ghosts = 0;
    for n in 0..30 {
        let mut world = world(&format!("holdout = 50\n{GOAL}"), ", learn = \"goal\"", n);
        world.event("go", json!({}));
        let is_held = world.last_run().held == Some(Holdout::Journey);
        world.pass(11 * 86_400);
        assert_eq!(trials(&world).is_empty(), is_held);
        ghosts += u32::from(is_held);
    }
    assert!(ghosts > 3, "{ghosts}");
    for mode in [Mode::Shadow, Mode::Test] {
        let mut world = learning(1);
        world.book.journeys[0].mode = mode;
        world.event("go", json!({}));
        world.pass(11 * 86_400);
        assert_eq!((world.snapshot.runs.len(), trials(&world)), (1, vec![]), "{mode:?}");
    }
}

#[test]
fn another_epoch_begins_anew() {
    let mut world = learning(1);
    world.event("go", json!({}));
    world.pass(11 * 86_400);
    assert_eq!(trials(&world).len(), 1);
    world.edit(&journey(&format!("epoch = 1\n{GOAL}"), ", learn = \"goal\""));
    assert_eq!(trials(&world), []);
    world.event("go", json!({}));
    assert!(outcome(&world).ends_with(" 50%"), "drawn, not kept");
}

#[test]
fn a_goal_reached_before_the_split_is_not_the_ways() {
    let goal = GOAL.replace(" }", ", stay = true }");
    let text = journey(&goal, ", learn = \"goal\"")
        .replace("steps = [{ split", "steps = [{ wait = \"2d\" }, { split");
    let mut world = World::new(&text);
    world.event("go", json!({}));
    world.pass(3_600);
    world.order(1_000);
    world.pass(11 * 86_400);
    assert!(outcome(&world).starts_with("way:"));
    assert_eq!(trials(&world), []);
}

#[test]
fn an_event_counts_within_its_time_and_a_click_in_a_mail_of_the_journey() {
    let cases = [
        ("2026-03-02T10:00:00+01:00", "mail.clicked", "j", false),
        ("2026-03-02T10:00:01+01:00", "mail.clicked", "j", true),
        ("2026-03-02T10:00:01+01:00", "mail.clicked", "k", false),
        ("2026-03-02T10:00:01+01:00", "page.viewed", "j", false),
        ("2026-03-05T10:00:00+01:00", "mail.clicked", "j", true),
        ("2026-03-05T10:00:01+01:00", "mail.clicked", "j", false),
    ];
    for (when, name, of, hit) in cases {
        let mut world = world("", ", learn = { event = \"mail.clicked\", within = \"3d\" }", 1);
        world.event("go", json!({}));
        world.go("2026-03-06T10:00:00+01:00");
        world.event_at(name, json!({ "journey": of }), at(when), Origin::Live);
        assert_eq!(came(&world), [Came { hit, value: 0.0 }], "{when} {name} {of}");
    }
}

#[test]
fn orders_count_by_what_is_left_of_them_within_their_time() {
    let mut world = world("", ", learn = { orders = \"value\", within = \"3d\" }", 1);
    world.order(9_900);
    world.pass(60);
    world.event("go", json!({}));
    world.pass(60);
    let cancelled = world.order(700);
    world.cancel(&cancelled);
    let returned = world.order(3_000);
    world.refund(&returned, 1_000);
    world.order(500);
    world.pass(3 * 86_400);
    world.order(8_000);
    assert_eq!(came(&world), [Came { hit: true, value: 2_500.0 }]);
    let mut world = learning(1);
    world.event("go", json!({}));
    world.pass(11 * 86_400);
    assert_eq!(came(&world), [Came { hit: false, value: 0.0 }]);
}

#[test]
fn the_window_is_the_goals_unless_the_split_has_its_own() {
    let within = |keys: &str, by: &str| {
        let world = World::new(&journey(keys, &format!(", learn = {by}")));
        world.book.experiments().next().map(|e: Experiment<'_>| e.learn.to_string())
    };
    let told = |text: &str| Some(text.to_owned());
    assert_eq!(within(GOAL, "\"goal\""), told("the goal within 10d"));
    assert_eq!(within(GOAL, "true"), told("the goal within 10d"));
    assert_eq!(within(GOAL, "{ orders = \"value\" }"), told("the value of orders within 10d"));
    assert_eq!(within(GOAL, "{ event = \"a.b\", within = \"2h\" }"), told("a.b within 2h"));
    assert_eq!(within("", "false"), None);
}

proptest! {
    #[test]
    fn how_a_way_was_come_by_can_be_read_again(share in 0..=WHOLE, how in 0..4, way in "[a-z0-9_-]{1,12}") {
        let how = [How::Plain, How::Written(share), How::Learned(share), How::Kept][how as usize];
        let drawn = Drawn { way, how };
        prop_assert_eq!(Drawn::parse(&drawn.to_string()), Some(drawn));
    }

    #[test]
    fn other_outcomes_are_no_ways(outcome in "(way:)?[a-z %]{0,12}") {
        if let Some(drawn) = Drawn::parse(&outcome) {
            prop_assert!(outcome.starts_with("way:"));
            prop_assert!(matches!(drawn.how, How::Plain | How::Kept), "{:?}", drawn);
        }
    }
}
