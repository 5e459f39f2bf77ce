//! Runs that cannot all go on at once: overlap (R6), contention and groups (R13), merged customers (R20).

use serde_json::json;
use zyklus_engine::playbook::SENT_BEFORE;
use zyklus_engine::settings::{CapWindow, FrequencyCap};
use zyklus_engine::why::Outside;
use zyklus_engine::{Permit, outranked, permits, why};
use zyklus_model::{
    Channel, CustomerId, Delivery, DeliveryState, GuardReason, Holdout, Origin, Purpose, RunEnd, RunState,
};

use crate::rules::{quiet, with};
use crate::world::{World, at};

#[test]
fn r06_a_queued_run_begins_when_the_live_one_ends_and_a_third_is_refused() {
    let mut world =
        with("overlap = \"queue\"\nsteps = [{ send = \"one\" }, { wait = \"1d\" }, { send = \"two\" }]");
    world.event("go", json!({ "n": 1 }));
    world.pass(3_600);
    world.event("go", json!({ "n": 2 }));
    world.pass(3_600);
    world.event("go", json!({ "n": 3 }));
    let states: Vec<RunState> = world.snapshot.runs.iter().map(|r| r.state).collect();
    assert_eq!(states, [RunState::Live, RunState::Queued]);
    let told = why(&world.book, &world.snapshot, world.now);
    assert_eq!((told.inside[1].state, told.inside[1].waits_for.as_deref()), (RunState::Queued, Some("j")));
    let because = &told.turned_away[0].because;
    assert!(
        matches!(because, Outside::QueueFull { waiting_since } if *waiting_since == told.inside[1].since)
    );
    world.go("2026-03-09T10:00:00+01:00");
    let sent = ["one 03-02 10:00", "two 03-03 10:00", "one 03-03 10:00", "two 03-04 10:00"];
    assert_eq!(world.sent(), sent);
    assert_eq!(world.snapshot.runs[1].event["n"], 2, "what started it is not lost");
    assert_eq!(world.ends(), [Some(RunEnd::Completed); 2]);
}

#[test]
fn r06_who_was_refused_because_one_waited_does_not_come_back_when_its_turn_has_come() {
    let mut world =
        with("overlap = \"queue\"\nreenter = \"always\"\nsteps = [{ wait = \"10m\" }, { send = \"one\" }]");
    for _ in 0..3 {
        world.event("go", json!({}));
        world.pass(120);
    }
    world.pass(300);
    world.event("page.viewed", json!({}));
    world.pass(7_200);
    assert_eq!((world.snapshot.runs.len(), world.sent().len()), (2, 2));
}

#[test]
fn r06_a_goal_of_the_live_run_gives_the_turn_to_the_queued_one() {
    let mut world = with(
        "overlap = \"queue\"\ngoal = { when = \"event.name == 'order.placed'\", within = \"30d\" }\nsteps = [{ wait = \"5d\" }, { send = \"one\" }]",
    );
    world.event("go", json!({}));
    world.pass(3_600);
    world.event("go", json!({}));
    world.pass(3_600);
    world.order(1_000);
    assert_eq!(world.ends(), [Some(RunEnd::Goal), None]);
    world.go("2026-03-09T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-07 12:00"], "its clock began when its turn came");
}

#[test]
fn r06_what_was_refused_does_not_come_in_behind_the_run_that_was_let_in() {
    for overlap in ["queue", "parallel\"\nkey = \"event.name"] {
        let text = format!(
            "reenter = \"after 5d\"\noverlap = \"{overlap}\"\nsteps = [{{ send = \"one\" }}, {{ wait = \"1d\" }}]"
        );
        let mut world = with(&text);
        world.event("go", json!({}));
        world.go("2026-03-07T10:00:00+01:00");
        // Five days are over for the one, and were not for the other.
        world.event_at("go", json!({}), world.now.plus_seconds(-60), Origin::Live);
        world.event("go", json!({}));
        world.pass(300);
        world.commit(Origin::Live, |_| {});
        assert_eq!(world.snapshot.runs.len(), 2, "{overlap}");
    }
}

#[test]
fn r06_parallel_runs_of_one_key_go_on_side_by_side() {
    let mut world =
        with("key = \"event.id\"\noverlap = \"parallel\"\nsteps = [{ wait = \"1d\" }, { send = \"one\" }]");
    for id in ["a", "a", "b"] {
        world.event("go", json!({ "id": id }));
        world.pass(3_600);
    }
    assert_eq!(world.live_runs(), 3);
    world.go("2026-03-04T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-03 10:00", "one 03-03 11:00", "one 03-03 12:00"]);
}

#[test]
fn r06_a_restart_sends_the_first_mail_again_and_cancels_what_nobody_has_claimed() {
    let mut world =
        with("overlap = \"restart\"\nsteps = [{ send = \"one\" }, { wait = \"1h\" }, { send = \"two\" }]");
    world.event("go", json!({}));
    world.dispatching = false;
    world.pass(4_000);
    assert_eq!(world.delivery("two").state, DeliveryState::Pending);
    world.event("go", json!({}));
    assert_eq!(world.delivery("two").state, DeliveryState::Cancelled);
    world.dispatching = true;
    world.pass(7_200);
    assert_eq!(world.sent(), ["one 03-02 10:00", "one 03-02 11:06", "two 03-02 12:06"]);
    assert_eq!(world.ends(), [Some(RunEnd::Restarted), Some(RunEnd::Completed)]);
}

/// Two journeys that `go` starts, of which the file's order, their names and their ids say nothing.
fn rivals() -> World {
    World::new(
        r#"
        [journeys.a-low]
        label = { en = "Low" }
        start = { event = "go" }
        priority = 10
        steps = [{ send = "low" }]
        [journeys.b-high]
        label = { en = "High" }
        start = { event = "go" }
        priority = 90
        steps = [{ send = "high" }]"#,
    )
}

#[test]
fn r13_the_cap_is_won_by_priority_and_not_by_who_came_first() {
    for n in 0..12u8 {
        let mut world = rivals();
        world.snapshot.customer.id = CustomerId::derive(&[b"rivals", &[n]]);
        let cap = FrequencyCap { channel: Some(Channel::Email), max: 1, per: CapWindow::Day };
        world.book.settings.caps = vec![cap];
        world.event("go", json!({}));
        world.go("2026-03-04T10:00:00+01:00");
        assert_eq!(world.sent(), ["high 03-02 10:00", "low 03-03 00:00"], "{n}");
    }
}

#[test]
fn r13_the_loser_is_put_off_and_names_the_winner() {
    let mut world = rivals();
    world.dispatching = false;
    world.event("go", json!({}));
    let (low, mut high) = (world.delivery("low").clone(), world.delivery("high").clone());
    let asked = |world: &World| permits(&world.book, &world.snapshot, &low, world.now);
    let set = |world: &mut World, high: &Delivery| {
        *world.snapshot.deliveries.iter_mut().find(|d| d.id == high.id).expect("it is there") = high.clone();
    };
    // Due within two hours.
    high.due_at = world.now.plus_seconds(7_200);
    set(&mut world, &high);
    let afterwards = high.due_at.plus_seconds(60);
    assert_eq!(asked(&world), Permit::Delay(afterwards, GuardReason::Outranked));
    let winner = outranked(&world.book, &world.snapshot, &low, world.now).expect("somebody").0;
    assert_eq!(winner.target, "high");
    let told = why(&world.book, &world.snapshot, world.now);
    let waiting = told.waiting.iter().find(|w| w.target == "low").expect("it waits");
    assert_eq!(waiting.guard, Some(GuardReason::Outranked));
    assert_eq!(waiting.outranked_by.as_ref().map(|w| w.journey.as_str()), Some("b-high"));
    assert_eq!(permits(&world.book, &world.snapshot, &high, world.now), Permit::Go);
    // Later than that, on another channel, or no marketing: nobody's rival.
    high.due_at = world.now.plus_seconds(7_201);
    set(&mut world, &high);
    assert_eq!(asked(&world), Permit::Go);
    high.due_at = world.now;
    let changed = [
        Delivery { channel: Some(Channel::Push), ..high.clone() },
        Delivery { purpose: Purpose::Service, ..high.clone() },
        Delivery { state: DeliveryState::Sending, ..high.clone() },
        Delivery { expires_at: world.now.plus_micros(-1), ..high.clone() },
    ];
    for other in changed {
        set(&mut world, &other);
        assert_eq!(asked(&world), Permit::Go, "{other:#?}");
    }
    // Of one priority the earlier goes first, then the smaller id.
    for journey in &mut world.book.journeys {
        journey.priority = 50;
    }
    high.due_at = low.due_at.plus_seconds(-1);
    set(&mut world, &high);
    assert!(matches!(asked(&world), Permit::Delay(_, GuardReason::Outranked)));
    high.due_at = low.due_at;
    set(&mut world, &high);
    assert_eq!(asked(&world) == Permit::Go, low.id < high.id);
}

#[test]
fn r13_who_cannot_go_soon_anyway_does_not_stand_in_the_way() {
    let mut world = rivals();
    world.dispatching = false;
    world.event("go", json!({}));
    let low = world.delivery("low").clone();
    let high = world.snapshot.deliveries.iter_mut().find(|d| d.target == "high").expect("it is there");
    high.due_at = at("2026-03-02T21:30:00+01:00");
    let evening = at("2026-03-02T20:30:00+01:00");
    let afterwards = Permit::Delay(at("2026-03-02T21:31:00+01:00"), GuardReason::Outranked);
    assert_eq!(permits(&world.book, &world.snapshot, &low, evening), afterwards);
    quiet(&mut world);
    assert_eq!(
        permits(&world.book, &world.snapshot, &low, evening),
        Permit::Go,
        "that one waits until morning"
    );
}

fn group(gives_way: &str) -> World {
    World::new(&format!(
        r#"
        [journeys.low]
        label = {{ en = "Low" }}
        start = {{ event = "low" }}
        group = "offers"
        priority = 10
        {gives_way}
        steps = [{{ send = "low-1" }}, {{ wait = "3d" }}, {{ send = "low-2" }}]
        [journeys.high]
        label = {{ en = "High" }}
        start = {{ event = "high" }}
        group = "offers"
        priority = 90
        steps = [{{ send = "high" }}, {{ wait = "2d" }}]"#
    ))
}

#[test]
fn r13_a_newcomer_of_higher_priority_makes_the_lower_run_wait_and_it_goes_on_where_it_stood() {
    let mut world = group("");
    world.event("low", json!({}));
    world.go("2026-03-03T10:00:00+01:00");
    world.event("high", json!({}));
    assert_eq!((world.live_runs(), world.snapshot.runs[0].state), (1, RunState::Waiting));
    let told = why(&world.book, &world.snapshot, world.now);
    let low = told.inside.iter().find(|r| r.journey == "low").expect("it is inside");
    assert_eq!(low.waits_for.as_deref(), Some("high"));
    world.go("2026-03-15T10:00:00+01:00");
    assert_eq!(
        world.sent(),
        ["low-1 03-02 10:00", "high 03-03 10:00", "low-2 03-07 10:00"],
        "two days were left"
    );
}

#[test]
fn r13_a_journey_may_end_where_it_has_to_give_way() {
    let mut world = group("yield = \"end\"");
    world.event("low", json!({}));
    world.go("2026-03-03T10:00:00+01:00");
    world.event("high", json!({}));
    assert_eq!(world.ends(), [Some(RunEnd::GaveWay), None]);
    assert_eq!(world.snapshot.runs[0].end_reason.as_deref(), Some("`high` of its group began"));
}

#[test]
fn r13_a_run_that_has_given_way_sends_nothing_and_still_sees_its_exit() {
    let mut world = group("exit = \"orders.count > 0\"");
    world.dispatching = false;
    world.event("low", json!({}));
    world.event("high", json!({}));
    let low = world.delivery("low-1").clone();
    assert!(matches!(
        permits(&world.book, &world.snapshot, &low, world.now),
        Permit::Delay(_, GuardReason::Outranked)
    ));
    world.pass(60);
    world.order(1_000);
    assert_eq!(world.ends(), [Some(RunEnd::Exit), None]);
    assert_eq!(world.delivery("low-1").state, DeliveryState::Cancelled);
}

#[test]
fn r13_one_group_has_one_live_run_also_within_one_journey() {
    let mut world =
        with("group = \"g\"\nkey = \"event.id\"\nsteps = [{ send = \"one\" }, { wait = \"1d\" }]");
    world.event("go", json!({ "id": "a" }));
    world.event("go", json!({ "id": "b" }));
    assert_eq!(world.snapshot.runs.len(), 1);
}

/// Somebody else, who turns out to be the first.
fn merge(world: &mut World, other: World) {
    let customer = world.snapshot.customer.id;
    let (mut runs, mut deliveries) = (other.snapshot.runs.clone(), other.snapshot.deliveries.clone());
    runs.iter_mut().for_each(|r| r.customer = customer);
    deliveries.iter_mut().for_each(|d| d.customer = customer);
    world.commit(Origin::Live, |s| {
        s.runs.append(&mut runs);
        s.runs.sort_by_key(|r| (r.started_at, r.id));
        s.deliveries.append(&mut deliveries);
    });
}

fn other(rest: &str, country: &str) -> World {
    let mut other = with(rest);
    other.snapshot.customer.id = CustomerId::derive(&[b"somebody else"]);
    other.snapshot.customer.country = Some(country.into());
    other
}

const MERGED: &str = "steps = [{ if = \"customer.country == 'DE'\", then = [{ wait = \"5d\" }] }, { send = \"one\" }, { wait = \"1d\" }, { send = \"two\" }]";

#[test]
fn r20_of_two_live_runs_the_older_lives_and_sends_nothing_twice() {
    let (mut world, mut other) = (with(MERGED), other(MERGED, "AT"));
    world.event("go", json!({}));
    other.pass(7_200);
    other.event("go", json!({}));
    assert_eq!(other.sent(), ["one 03-02 12:00"]);
    world.go("2026-03-03T10:00:00+01:00");
    merge(&mut world, other);
    assert_eq!(world.ends(), [None, Some(RunEnd::Merged)]);
    let noted = ("send:one".to_owned(), SENT_BEFORE.to_owned());
    assert!(world.snapshot.runs[0].acted.contains(&noted));
    world.go("2026-03-15T10:00:00+01:00");
    assert_eq!(world.sent(), ["two 03-08 10:00"], "the first mail was sent to the other half");
}

#[test]
fn r20_what_is_pending_for_both_halves_goes_once() {
    let (mut world, mut other) =
        (with("steps = [{ send = \"one\" }]"), other("steps = [{ send = \"one\" }]", "DE"));
    world.dispatching = false;
    world.event("go", json!({}));
    other.pass(60);
    other.event("go", json!({}));
    world.pass(120);
    merge(&mut world, other);
    world.dispatching = true;
    world.pass(3_600);
    assert_eq!(world.sent(), Vec::<String>::new());
    let refused = &world.snapshot.deliveries[0];
    assert_eq!((refused.state, refused.reason), (DeliveryState::Refused, Some(GuardReason::AlreadySent)));
    assert_eq!(world.ends(), [Some(RunEnd::Completed); 2], "the other half was written to, and had ended");
}

#[test]
fn r20_a_run_that_begins_before_the_other_halfs_sends_nothing_again() {
    let steps = "reenter = \"always\"\nsteps = [{ send = \"one\" }, { wait = \"1d\" }]";
    let (mut world, mut other) =
        (with(steps), other("reenter = \"always\"\nsteps = [{ send = \"one\" }]", "DE"));
    world.pass(3_600);
    other.pass(3_600);
    other.event("go", json!({}));
    assert_eq!((other.sent().len(), other.ends()), (1, vec![Some(RunEnd::Completed)]));
    world.pass(3_600);
    merge(&mut world, other);
    world.event("seen", json!({}));
    // What comes late of the first half lies before what the other one did.
    let earlier = world.now.plus_seconds(-5_400);
    world.event_at("go", json!({}), earlier, Origin::Live);
    assert_eq!((world.sent(), world.live_runs()), (Vec::new(), 1));
    let noted = ("send:one".to_owned(), SENT_BEFORE.to_owned());
    assert_eq!(world.snapshot.runs[0].acted, [noted]);
}

#[test]
fn r20_runs_of_one_customer_are_never_taken_for_merged() {
    let mut world = with("key = \"event.id\"\noverlap = \"parallel\"\nsteps = [{ wait = \"1d\" }]");
    world.event("go", json!({ "id": "a" }));
    world.event("go", json!({ "id": "a" }));
    world.book.journeys[0].overlap = zyklus_engine::playbook::Overlap::Ignore;
    world.snapshot.mark.due_at = world.now;
    world.pass(60);
    assert_eq!(world.live_runs(), 2);
}

#[test]
fn r20_parallel_runs_of_the_other_half_stay_apart() {
    let steps = "overlap = \"parallel\"\nkey = \"event.id\"\nreenter = \"always\"\nsteps = [{ wait = \"1d\" }, { send = \"one\" }]";
    let (mut world, mut other) = (with(steps), other(steps, "DE"));
    other.event("go", json!({ "id": "a" }));
    other.pass(12 * 3_600);
    other.event("go", json!({ "id": "a" }));
    other.pass(18 * 3_600);
    assert_eq!(other.sent().len(), 1);
    world.pass(30 * 3_600);
    merge(&mut world, other);
    world.pass(24 * 3_600);
    assert_eq!((world.sent().len(), world.ends()), (1, vec![Some(RunEnd::Completed); 2]));
}

#[test]
fn r20_the_assignment_of_the_customer_who_remains_holds_for_the_other_halfs_run() {
    let text = "holdout = 50\nsteps = [{ send = \"one\" }, { wait = \"1d\" }, { send = \"two\" }]";
    let drawn = |held: bool| {
        (0u8..)
            .map(|n| {
                let mut world = with(text);
                world.snapshot.customer.id = CustomerId::derive(&[b"halves", &[n]]);
                world
            })
            .find(|w| zyklus_engine::holdout::held_out(&w.book, &w.snapshot, &w.book.journeys[0]) == held)
            .expect("half of all")
    };
    let (mut world, mut other) = (drawn(true), drawn(false));
    other.event("go", json!({}));
    assert_eq!(other.snapshot.runs[0].held, None);
    world.pass(3_600);
    merge(&mut world, other);
    world.go("2026-03-05T10:00:00+01:00");
    assert_eq!(world.sent(), Vec::<String>::new());
    let second = world.delivery("two");
    assert_eq!((second.state, second.reason), (DeliveryState::Shadow, Some(GuardReason::JourneyHoldout)));
    world.event("go", json!({}));
    assert!(world.snapshot.runs.iter().all(|r| r.held != Some(Holdout::Global)));
}

#[test]
fn r20_erasing_ends_all_runs_ghosts_too_and_none_begins() {
    let mut world = with(
        "overlap = \"queue\"\nsteps = [{ wait = \"1d\" }, { send = \"one\", purpose = \"transactional\" }]",
    );
    world.event("go", json!({}));
    world.pass(60);
    world.event("go", json!({}));
    world.snapshot.runs[0].ghost = true;
    let now = world.now;
    let reason = zyklus_model::consent::SuppressionReason::Erased;
    let erased = zyklus_model::Suppression { channel: None, all_purposes: true, reason, at: now };
    world.commit(Origin::Live, |s| s.suppressions.push(erased));
    assert_eq!(world.ends(), [Some(RunEnd::Erased); 2]);
    world.go("2026-04-02T10:00:00+01:00");
    world.event("go", json!({}));
    assert_eq!((world.snapshot.runs.len(), world.sent().len()), (2, 0));
}
