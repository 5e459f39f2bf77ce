//! Customers who were there before the journey (rule R18): who is let in, from when their run counts, and what of it
//! still lies ahead. Who comes on which day, the runtime's tests say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use zyklus_engine::playbook::Playbook;
use zyklus_engine::{candidates, decide};
use zyklus_model::{At, DeliveryState, Origin, RunEnd};

use crate::world::{World, at};

const STEPS: &str = "{ send = \"one\" }, { wait = \"10d\" }, { tag = \"t\" }, { send = \"two\" }, { wait = \"20d\" }, { send = \"three\" }";

fn journey(keys: &str, steps: &str) -> String {
    format!(
        "[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ phase = \"buyer\" }}\n{keys}\nsteps = [{steps}]\n"
    )
}

/// A buyer since so many days before 2 March when the journey goes live.
fn buyer(days: i64, text: &str) -> World {
    let mut world = World::new("");
    let placed_at = world.now.plus_days(-days);
    world.order_at(1_000, placed_at, Origin::History);
    world.edit(text);
    assert_eq!((world.phase(), world.live_runs()), ("buyer", 0), "being there starts nothing");
    world
}

fn admit(world: &mut World) {
    let who: BTreeSet<_> = [world.snapshot.customer.id].into();
    world.book.admitted = [("j".to_owned(), who)].into();
    world.snapshot.mark.seq += 1;
    world.snapshot.mark.due_at = world.now;
    world.settle();
}

fn is_candidate(world: &World) -> bool {
    !candidates(&world.book, &world.snapshot, world.now).is_empty()
}

const PLAIN: &str = "backfill = { since = \"90d\", per_day = 5 }";

#[test]
fn r18_a_run_counts_from_when_the_customer_came_and_what_has_passed_is_skipped() {
    let mut world = buyer(12, &journey(PLAIN, STEPS));
    assert!(is_candidate(&world));
    admit(&mut world);
    let run = world.last_run();
    assert_eq!(run.started_at, at("2026-02-18T10:00:00+01:00"));
    let acted: Vec<_> = run.acted.iter().map(|(step, outcome)| format!("{step} {outcome}")).collect();
    assert_eq!(acted, ["send:one missed", "wait:tag:t waited", "tag:t missed", "send:two missed"]);
    assert_eq!(world.snapshot.deliveries.len(), 0);
    world.go("2026-04-20T10:00:00+02:00");
    assert_eq!((world.sent(), world.tags()), (vec!["three 03-20 10:00".to_owned()], vec![]));
    assert_eq!(world.ends(), [Some(RunEnd::Completed)]);
}

#[test]
fn r18_a_customer_of_yesterday_gets_what_lies_ahead() {
    let mut world = buyer(1, &journey(PLAIN, STEPS));
    admit(&mut world);
    world.go("2026-04-20T10:00:00+02:00");
    assert_eq!(world.sent(), ["two 03-11 10:00", "three 03-31 10:00"]);
    assert_eq!(world.tags(), ["t"]);
}

#[test]
fn r18_as_new_counts_from_now() {
    let mut world = buyer(40, &journey("backfill = { since = \"90d\", per_day = 5, as = \"new\" }", STEPS));
    admit(&mut world);
    world.go("2026-04-20T10:00:00+02:00");
    assert_eq!(world.sent(), ["one 03-02 10:00", "two 03-12 10:00", "three 04-01 10:00"]);
}

#[test]
fn r18_nobody_is_let_in_for_whom_all_has_passed_or_who_came_too_long_ago() {
    for (days, keys) in [(31, PLAIN), (12, "backfill = { since = \"11d\", per_day = 5 }"), (12, "")] {
        let mut world = buyer(days, &journey(keys, STEPS));
        assert!(!is_candidate(&world), "{days} {keys}");
        admit(&mut world);
        assert_eq!(world.snapshot.runs.len(), 0, "{days} {keys}");
    }
}

#[test]
fn r18_who_does_not_qualify_or_is_done_already_is_not_let_in() {
    let keys = [
        "when = \"orders.count > 1\"",
        "exit = \"orders.revenue < 100.0\"",
        "goal = { when = \"event.name == 'go'\", within = \"30d\" }",
        "mode = \"off\"",
    ];
    for key in keys {
        let mut world = buyer(0, "");
        world.pass(60);
        world.event("go", json!({}));
        world.pass(12 * 86_400);
        world.edit(&journey(&format!("{PLAIN}\n{key}"), STEPS));
        assert!(!is_candidate(&world), "{key}");
        admit(&mut world);
        assert_eq!(world.snapshot.runs.len(), 0, "{key}");
    }
}

#[test]
fn r18_nobody_comes_without_being_let_in_and_newcomers_come_as_ever() {
    let mut world = buyer(12, &journey(PLAIN, STEPS));
    world.pass(86_400);
    assert_eq!(world.snapshot.runs.len(), 0);
    let mut world = World::new(&journey(PLAIN, STEPS));
    world.pass(60);
    world.order(1_000);
    assert!(!is_candidate(&world));
    admit(&mut world);
    assert_eq!((world.snapshot.runs.len(), world.sent().len()), (1, 1));
}

#[test]
fn r18_it_is_idempotent() {
    let mut world = buyer(12, &journey(&format!("{PLAIN}\nreenter = \"always\""), STEPS));
    admit(&mut world);
    let runs = world.snapshot.runs.clone();
    assert!(!is_candidate(&world));
    admit(&mut world);
    assert_eq!(world.snapshot.runs, runs);
    world.go("2026-04-20T10:00:00+02:00");
    admit(&mut world);
    assert_eq!(world.snapshot.runs.len(), 1, "the same coming there is the same occurrence");
    // The same decision made elsewhere has the same id.
    let mut twin = buyer(12, &journey(PLAIN, STEPS));
    admit(&mut twin);
    assert_eq!(twin.last_run().id, runs[0].id);
}

#[test]
fn r18_a_held_out_customer_is_let_in_as_a_ghost() {
    let mut ghosts = 0;
    for n in 0..40u8 {
        let mut world = World::new("");
        world.snapshot.customer.id = zyklus_model::CustomerId::derive(&[b"held", &[n]]);
        let placed_at = world.now.plus_days(-12);
        world.order_at(1_000, placed_at, Origin::History);
        world.edit(&journey(&format!("{PLAIN}\nholdout = 50"), STEPS));
        admit(&mut world);
        world.go("2026-04-20T10:00:00+02:00");
        let is_ghost = world.last_run().ghost;
        ghosts += u32::from(is_ghost);
        assert_eq!(world.delivery("three").state == DeliveryState::Shadow, is_ghost);
    }
    assert!((8..=32).contains(&ghosts), "{ghosts}");
}

#[test]
fn r18_a_segment_counts_from_when_somebody_was_first_seen_inside() {
    let text = "[journeys.j]\nlabel = { en = \"J\" }\nstart = { segment = \"orders.count == 1\" }\n\
                backfill = { since = \"90d\", per_day = 5 }\nsteps = [{ wait = \"2d\" }, { send = \"a\" }]\n";
    let mut world = World::new("");
    let placed_at = world.now.plus_days(-12);
    world.order_at(1_000, placed_at, Origin::History);
    world.edit(text);
    assert!(is_candidate(&world));
    admit(&mut world);
    world.go("2026-04-20T10:00:00+02:00");
    assert_eq!(world.sent(), ["a 03-04 10:00"]);
}

#[test]
fn r18_only_a_phase_or_segment_can_be_backfilled_and_it_says_how_fast() {
    let wrong = |start: &str, backfill: &str| {
        let text = format!(
            "[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {start}\nbackfill = {backfill}\nsteps = [{{ send = \"a\" }}]\n"
        );
        Playbook::parse("p.toml", &text, &BTreeMap::new()).unwrap_err().remove(0).message
    };
    let fine = "{ since = \"1d\", per_day = 1 }";
    assert_eq!(wrong("{ event = \"go\" }", fine), "`journeys.j.backfill` does not fit this start");
    assert_eq!(wrong("{ left = \"buyer\" }", fine), "`journeys.j.backfill` does not fit this start");
    for (backfill, word) in [
        ("{ since = \"1d\" }", "per_day"),
        ("{ per_day = 1 }", "since"),
        ("{ since = \"1d\", per_day = 0 }", "per_day"),
    ] {
        let message = wrong("{ phase = \"buyer\" }", backfill);
        assert!(message.contains(word), "{message}");
    }
    assert!(
        wrong("{ phase = \"buyer\" }", "{ since = \"1d\", per_day = 1, as = \"old\" }")
            .contains("backfill.as")
    );
}

#[test]
fn r18_what_is_found_does_not_hang_on_when_one_looks() {
    // A candidate is let in by the decision made for them, at the same instant, and only then.
    for days in [0, 1, 5, 9, 10, 12, 29, 30, 31, 89] {
        for keys in [PLAIN, "backfill = { since = \"30d\", per_day = 5, as = \"new\" }"] {
            let mut world = buyer(days, &journey(keys, STEPS));
            let is_candidate = is_candidate(&world);
            world.book.admitted = [("j".to_owned(), [world.snapshot.customer.id].into())].into();
            let started = decide(&world.book, &world.snapshot, world.now).runs;
            assert_eq!(started.len(), usize::from(is_candidate), "{days} {keys}");
            assert!(started.iter().all(|r| r.started_at <= world.now && r.position.reached_at > At::MIN));
        }
    }
}
