//! Who gets nothing, to be compared with, and what a run was for: holdouts and splits (R16), goals (R17).

use serde_json::json;
use zyklus_engine::holdout::{held_globally, held_out};
use zyklus_engine::settings::{CapWindow, FrequencyCap, GlobalHoldout};
use zyklus_model::{At, Channel, CustomerId, DeliveryState, GuardReason, Holdout, Origin, RunEnd};

use crate::rules::{quiet, with};
use crate::world::{World, at};

const MIXED: &str = r#"goal = { when = "event.name == 'order.placed'", within = "30d" }
    steps = [{ send = "offer" }, { wait = "1d" }, { send = "receipt", purpose = "service" }, { tag = "seen" }]"#;

fn somebody(n: u8) -> CustomerId {
    CustomerId::derive(&[b"holdouts", &[n]])
}

fn world(text: &str, share: u8, n: u8) -> World {
    let mut world = with(text);
    world.book.settings.holdout = GlobalHoldout { share, epoch: 0 };
    world.snapshot.customer.id = somebody(n);
    world
}

#[test]
fn r16_the_global_holdout_keeps_marketing_back_and_nothing_else() {
    let mut held = 0;
    for n in 0..100 {
        let mut world = world(MIXED, 30, n);
        let cap = FrequencyCap { channel: Some(Channel::Email), max: 1, per: CapWindow::Day };
        world.book.settings.caps = vec![cap];
        world.event("go", json!({}));
        world.go("2026-03-05T10:00:00+01:00");
        let run = world.last_run();
        assert!(!run.ghost && world.tags() == ["seen"]);
        let offer = world.delivery("offer");
        if run.held == Some(Holdout::Global) {
            held += 1;
            assert_eq!(
                (offer.state, offer.reason),
                (DeliveryState::Shadow, Some(GuardReason::GlobalHoldout))
            );
            assert_eq!(offer.done_at, Some(at("2026-03-02T10:00:00+01:00")), "recorded at its time");
            assert!(!offer.state.counts(), "and takes no place under a cap");
            assert_eq!(world.sent(), ["receipt 03-03 10:00"]);
        } else {
            assert_eq!(world.sent(), ["offer 03-02 10:00", "receipt 03-03 10:00"]);
        }
    }
    assert!((15..=45).contains(&held), "{held} of 100 at thirty per cent");
}

#[test]
fn r16_nobody_is_held_out_unless_the_operator_says_so() {
    let world = with(MIXED);
    assert_eq!(world.book.settings.holdout, GlobalHoldout { share: 0, epoch: 0 });
    assert!(!held_globally(&world.book, &world.snapshot));
}

#[test]
fn r16_raising_a_share_adds_and_only_an_epoch_draws_anew() {
    let held = |share, epoch| -> Vec<u8> {
        (0..200)
            .filter(|n| {
                let mut world = world("steps = [{ send = \"one\" }]", share, *n);
                world.book.settings.holdout.epoch = epoch;
                held_globally(&world.book, &world.snapshot)
            })
            .collect()
    };
    let (few, many, other) = (held(10, 0), held(30, 0), held(10, 1));
    assert!(few.iter().all(|n| many.contains(n)) && few.len() < many.len());
    assert_ne!(few, other);
    assert_eq!(few, held(10, 0));
}

#[test]
fn r16_the_draws_of_journeys_and_of_the_global_holdout_are_independent() {
    let mut both = 0;
    for n in 0..250 {
        let mut world = world("holdout = 50\nsteps = [{ send = \"one\" }]", 50, n);
        world.book.journeys[0].id = "global".into();
        let (book, snapshot) = (&world.book, &world.snapshot);
        let pair = (held_globally(book, snapshot), held_out(book, snapshot, &book.journeys[0]));
        both += u32::from(pair == (true, true));
    }
    assert!((40..=85).contains(&both), "{both} of 250, where a quarter is expected");
}

/// The same customer, held out and not: the same steps at the same instants, only nothing goes out.
#[test]
fn r16_a_ghost_decides_as_its_treated_twin_does() {
    let steps = r#"steps = [{ wait = "12h" }, { send = "one" }, { wait = "1h" },
        { if = "orders.count > 0", then = [{ send = "bought" }], else = [{ send = "not" }] }, { wait = "2d" }, { send = "last" }]"#;
    let mut ghosts = 0;
    for n in 0..10 {
        let times = |holdout: u8| {
            let mut world = world(&format!("holdout = {holdout}\n{steps}"), 0, n);
            quiet(&mut world);
            world.event("go", json!({}));
            world.pass(40_000);
            if n % 2 == 0 {
                world.order(1_000);
            }
            world.go("2026-03-12T10:00:00+01:00");
            let times = world.snapshot.deliveries.iter().map(|d| (d.id, d.step.clone(), d.done_at));
            (world.last_run().ghost, times.collect::<Vec<_>>())
        };
        let (treated, ghost) = (times(0), times(50));
        assert_eq!(treated.1, ghost.1);
        assert_eq!(treated.1.len(), 3);
        ghosts += u32::from(ghost.0);
    }
    assert!(ghosts > 1, "{ghosts} of ten");
}

/// Instants and outcomes of the steps of one run: held out, and not.
fn held_and_treated(steps: &str, live: impl Fn(&mut World)) -> [Vec<(String, String, Option<At>)>; 2] {
    let held = |world: &World| held_out(&world.book, &world.snapshot, &world.book.journeys[0]);
    let text = |share: u8| format!("holdout = {share}\n{steps}");
    let n = (0..).find(|n| held(&world(&text(50), 0, *n))).expect("half of all");
    [50, 0].map(|share| {
        let mut world = world(&text(share), 0, n);
        quiet(&mut world);
        live(&mut world);
        assert_eq!(world.last_run().ghost, share > 0);
        let done =
            |step: &str| world.snapshot.deliveries.iter().find(|d| d.step == step).and_then(|d| d.done_at);
        let acted = world.last_run().acted.iter();
        acted.map(|(step, word)| (step.clone(), word.replace("shadow", "sent"), done(step))).collect()
    })
}

#[test]
fn r16_who_is_held_out_and_heard_of_late_gets_it_as_late_as_others() {
    let steps = "steps = [{ send = \"one\" }, { wait = \"1d\" }, { send = \"two\" }]";
    let [held, treated] = held_and_treated(steps, |world| {
        world.go("2026-03-02T13:00:00+01:00");
        world.event_at("go", json!({}), at("2026-03-02T11:00:00+01:00"), Origin::Live);
        world.go("2026-03-09T10:00:00+01:00");
    });
    assert_eq!(held, treated);
    assert_eq!(held[2].2, Some(at("2026-03-03T13:00:00+01:00")), "the wait counts from the sending");
}

#[test]
fn r16_looking_again_behind_quiet_hours_brings_nothing_forward() {
    let [held, treated] = held_and_treated("steps = [{ wait = \"12h\" }, { send = \"one\" }]", |world| {
        world.event("go", json!({}));
        for minutes in 0..40 {
            world.run_to(at("2026-03-03T07:55:00+01:00").plus_seconds(minutes * 60));
            world.commit(Origin::Live, |_| {});
        }
    });
    assert_eq!(held, treated);
    assert_eq!(held.len(), 2);
}

#[test]
fn r16_who_is_held_out_goes_the_way_of_those_who_got_the_message() {
    let steps = r#"steps = [{ send = "one" }, { if = "sent('one')", then = [{ send = "two" }], else = [{ send = "again" }] }]"#;
    let [held, treated] = held_and_treated(steps, |world| world.event("go", json!({})));
    assert_eq!(held, treated);
    assert_eq!(held.last().map(|(step, ..)| step.as_str()), Some("send:two"));
}

#[test]
fn r16_a_share_that_grows_stops_what_is_pending_and_one_that_shrinks_moves_no_ghost() {
    let text = "steps = [{ send = \"one\" }, { wait = \"1d\" }, { send = \"two\" }]";
    let n = (0..).find(|n| held_globally(&world(text, 50, *n).book, &world(text, 50, *n).snapshot));
    let n = n.expect("half of all");
    let mut grown = world(text, 0, n);
    grown.event("go", json!({}));
    grown.book.settings.holdout.share = 50;
    grown.go("2026-03-05T10:00:00+01:00");
    assert_eq!(grown.sent(), ["one 03-02 10:00"]);
    assert_eq!(grown.delivery("two").reason, Some(GuardReason::GlobalHoldout));
}

#[test]
fn r16_a_split_keeps_its_way_over_re_entries_unless_it_says_again() {
    let ways = |again: &str| {
        let mut world = with(&format!(
            "reenter = \"always\"\nsteps = [{{ split = \"s\"{again}, ways = [{{ name = \"a\", steps = [{{ send = \"a\" }}] }}, {{ name = \"b\", steps = [{{ send = \"b\" }}] }}] }}]"
        ));
        for _ in 0..24 {
            world.event("go", json!({}));
            world.pass(3_600);
        }
        let mut ways: Vec<String> = world.snapshot.deliveries.iter().map(|d| d.target.clone()).collect();
        assert_eq!(ways.len(), 24);
        ways.sort();
        ways.dedup();
        ways.len()
    };
    assert_eq!((ways(""), ways(", again = false"), ways(", again = true")), (1, 1, 2));
}

#[test]
fn r17_a_late_event_counts_if_it_arrives_within_a_week_after_the_window() {
    for (arrives, expected) in [("2026-03-18T09:00:00+01:00", true), ("2026-03-20T09:00:00+01:00", false)] {
        let mut world = with(
            "goal = { when = \"event.name == 'order.placed'\", within = \"10d\" }\nsteps = [{ send = \"one\" }]",
        );
        world.event("go", json!({}));
        world.go(arrives);
        world.order_at(1_000, at("2026-03-12T09:59:00+01:00"), Origin::Live);
        let reached =
            world.last_run().acted.iter().any(|(step, _)| step == zyklus_engine::playbook::GOAL_STEP);
        assert_eq!(reached, expected, "{arrives}");
    }
}

#[test]
fn r17_a_ghost_reaches_its_goal_like_anybody() {
    let text = "holdout = 50\ngoal = { when = \"event.name == 'order.placed'\", within = \"10d\" }\nsteps = [{ send = \"one\" }, { wait = \"5d\" }]";
    let mut ghosts = 0;
    for n in 0..10 {
        let mut world = world(text, 0, n);
        world.event("go", json!({}));
        world.pass(3_600);
        world.order(1_000);
        assert_eq!(world.last_run().end, Some(RunEnd::Goal));
        ghosts += u32::from(world.last_run().held == Some(Holdout::Journey));
    }
    assert!(ghosts > 1, "{ghosts} of ten");
}

#[test]
fn r17_a_goal_is_independent_of_exit_and_only_later_events_count() {
    let text = "goal = { when = \"event.name == 'order.placed'\", within = \"10d\" }\nexit = \"customer.country == 'AT'\"\nsteps = [{ wait = \"5d\" }]";
    let mut world = with(text);
    world.order(1_000);
    world.event("go", json!({}));
    assert_eq!(world.last_run().end, None, "an order of the same instant is no later one");
    world.pass(60);
    world.commit(Origin::Live, |s| s.customer.country = Some("AT".into()));
    assert_eq!(world.last_run().end, Some(RunEnd::Exit));
    world.pass(60);
    world.order(1_000);
    assert!(world.last_run().acted.iter().any(|(step, _)| step == zyklus_engine::playbook::GOAL_STEP));
}
