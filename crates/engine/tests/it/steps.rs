//! What each verb does, how waits fall on the calendar, when goal and exit are judged, and what happens to steps
//! that come late (rules R7, R8, R9, R11, R17).

use serde_json::json;
use zyklus_model::{DeliveryKind, DeliveryState, FeedbackKind, GuardReason, MarkKind, RunEnd};

use crate::world::World;

fn journey(rest: &str) -> String {
    format!("[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"go\" }}\n{rest}")
}

fn started(rest: &str) -> World {
    let mut world = World::new(&journey(rest));
    world.event("go", json!({}));
    world
}

fn outcomes(world: &World) -> Vec<String> {
    world.last_run().acted.iter().map(|(step, outcome)| format!("{step} {outcome}")).collect()
}

#[test]
fn a_send_is_handed_over_at_once_and_the_run_goes_on() {
    let world = started(r#"steps = [{ send = "one", with = { size = 3 } }, { send = "two" }]"#);
    assert_eq!(world.sent(), ["one 03-02 10:00", "two 03-02 10:00"]);
    assert_eq!(world.ends(), [Some(RunEnd::Completed)]);
    assert_eq!(outcomes(&world), ["send:one sent", "send:two sent"]);
    let payload = &world.delivery("one").payload;
    assert_eq!((&payload["with"]["size"], &payload["event"]["name"]), (&json!(3), &json!("go")));
}

#[test]
fn a_step_is_not_taken_before_the_message_before_it_has_gone() {
    let mut world = World::new(&journey(r#"steps = [{ send = "one" }, { wait = "1h" }, { send = "two" }]"#));
    world.dispatching = false;
    world.event("go", json!({}));
    world.go("2026-03-02T16:00:00+01:00");
    assert_eq!(world.snapshot.deliveries.len(), 1);
    world.dispatching = true;
    world.go("2026-03-02T20:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-02 16:00", "two 03-02 17:00"], "the wait counts from the real sending");
}

#[test]
fn a_wait_of_hours_counts_elapsed_time_over_the_change_to_summer_time() {
    let mut world = started(r#"steps = [{ wait = "648h" }, { send = "later" }]"#);
    world.go("2026-04-02T00:00:00+02:00");
    // 27 times 24 hours from 2 March, 10:00; the clocks went forward on the 29th.
    assert_eq!(world.sent(), ["later 03-29 11:00"]);
}

#[test]
fn a_wait_of_days_keeps_the_time_of_day_over_the_change_to_summer_time() {
    let mut world = started(r#"steps = [{ wait = "27d" }, { send = "later" }]"#);
    world.go("2026-04-02T00:00:00+02:00");
    assert_eq!(world.sent(), ["later 03-29 10:00"]);
}

#[test]
fn a_time_of_day_inside_the_spring_gap_moves_forward_by_the_gap() {
    let mut world = started(r#"steps = [{ wait = "27d", at = "02:30" }, { send = "later" }]"#);
    world.go("2026-04-02T00:00:00+02:00");
    assert_eq!(world.sent(), ["later 03-29 03:30"]);
}

#[test]
fn a_time_of_day_that_exists_twice_in_autumn_is_the_first() {
    let mut world = started(r#"steps = [{ wait = "237d", at = "02:30" }, { send = "later" }]"#);
    world.go("2026-10-25T00:29:59Z");
    assert_eq!(world.sent(), Vec::<String>::new());
    world.go("2026-10-25T00:30:00Z");
    assert_eq!(world.sent(), ["later 10-25 02:30"]);
}

#[test]
fn a_wait_of_days_at_a_time_takes_that_time_on_that_day() {
    let mut world = started(r#"steps = [{ wait = "3d", at = "09:15" }, { send = "later" }]"#);
    world.go("2026-03-10T00:00:00+01:00");
    assert_eq!(world.sent(), ["later 03-05 09:15"]);
}

#[test]
fn waits_follow_the_customers_own_zone() {
    let mut world = World::new(&journey(r#"steps = [{ wait = "1d", at = "10:00" }, { send = "later" }]"#));
    world.snapshot.customer.time_zone = Some("America/New_York".into());
    world.event("go", json!({}));
    world.go("2026-03-05T00:00:00+01:00");
    assert_eq!(world.sent(), ["later 03-03 16:00"], "ten o'clock in New York");
}

#[test]
fn a_wait_until_goes_on_as_soon_as_its_condition_holds() {
    let mut world = started(
        r#"steps = [{ wait = "5d", until = "feedback.nps >= 9", id = "w" }, { if = "timed_out('w')", then = [{ send = "asked" }], else = [{ send = "thanks" }] }]"#,
    );
    world.go("2026-03-03T12:00:00+01:00");
    world.feedback(FeedbackKind::Nps, 10.0);
    assert_eq!(world.sent(), ["thanks 03-03 12:00"]);
}

#[test]
fn a_wait_until_goes_on_at_its_end_at_the_latest() {
    let mut world = started(
        r#"steps = [{ wait = "5d", until = "feedback.nps >= 9", id = "w" }, { if = "timed_out('w')", then = [{ send = "asked" }], else = [{ send = "thanks" }] }]"#,
    );
    world.go("2026-03-20T12:00:00+01:00");
    assert_eq!(world.sent(), ["asked 03-07 10:00"]);
}

#[test]
fn a_wait_until_wakes_by_itself_when_time_alone_makes_it_true() {
    let mut world = started(
        r#"steps = [{ wait = "30d", until = "customer.days_since_created >= 60" }, { send = "later" }]"#,
    );
    world.go("2026-03-20T12:00:00+01:00");
    assert_eq!(world.sent(), ["later 03-11 09:00"]);
}

#[test]
fn an_if_is_judged_when_it_is_reached_and_the_ways_join_again() {
    let mut world = started(
        r#"steps = [
          { wait = "1d" },
          { if = "orders.count > 0", then = [{ send = "bought" }], else = [{ send = "not-bought" }] },
          { send = "both" },
        ]"#,
    );
    world.pass(3_600);
    world.order(1_000);
    world.go("2026-03-04T10:00:00+01:00");
    assert_eq!(world.sent(), ["bought 03-03 10:00", "both 03-03 10:00"]);
}

#[test]
fn an_if_without_else_goes_on_behind_it() {
    let world =
        started(r#"steps = [{ if = "orders.count > 0", then = [{ send = "bought" }] }, { send = "both" }]"#);
    assert_eq!(world.sent(), ["both 03-02 10:00"]);
}

#[test]
fn a_split_gives_a_customer_one_way_and_keeps_it_over_reentries() {
    let text = r#"
        reenter = "always"
        steps = [{ split = "idea", ways = [
          { name = "a", steps = [{ send = "way-a" }] },
          { name = "b", steps = [{ send = "way-b" }] },
        ] }, { send = "both" }]"#;
    let mut first = None;
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..40u8 {
        let mut world = World::new(&journey(text));
        world.snapshot.customer.id = zyklus_model::CustomerId::derive(&[&[n]]);
        world.event("go", json!({}));
        world.pass(60);
        world.event("go", json!({}));
        let ways: Vec<String> =
            world.sent().iter().map(|s| s.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(ways.len(), 4);
        assert_eq!(ways[0], ways[2], "the second run takes the same way");
        assert_eq!(ways[1], "both");
        seen.insert(ways[0].clone());
        first.get_or_insert(ways[0].clone());
    }
    assert_eq!(seen.len(), 2, "both ways are taken by somebody");
}

#[test]
fn a_way_without_weight_is_never_taken() {
    let text = r#"steps = [{ split = "idea", ways = [
          { name = "a", weight = 0, steps = [{ send = "way-a" }] },
          { name = "b", weight = 5, steps = [{ send = "way-b" }] },
        ] }]"#;
    for n in 0..40u8 {
        let mut world = World::new(&journey(text));
        world.snapshot.customer.id = zyklus_model::CustomerId::derive(&[&[n]]);
        world.event("go", json!({}));
        assert_eq!(world.sent(), ["way-b 03-02 10:00"]);
    }
}

#[test]
fn tag_and_untag_put_labels_on_and_take_them_off() {
    let mut world = started(
        r#"steps = [{ tag = "vip", for = "2d" }, { tag = "old" }, { wait = "1h" }, { untag = "old" }, { wait = "10d" }]"#,
    );
    assert_eq!(world.tags(), ["old", "vip"]);
    world.pass(3_600);
    assert_eq!(world.tags(), ["vip"]);
    world.go("2026-03-04T10:00:00+01:00");
    assert_eq!(world.tags(), Vec::<&str>::new(), "the label has run out");
}

#[test]
fn a_condition_after_a_tag_sees_the_tag() {
    let world = started(
        r#"steps = [{ tag = "vip" }, { if = "'vip' in customer.tags", then = [{ send = "yes" }], else = [{ send = "no" }] }]"#,
    );
    assert_eq!(world.sent(), ["yes 03-02 10:00"]);
}

#[test]
fn a_call_becomes_an_action_for_its_connector_that_needs_no_consent() {
    let mut world = World::new(&journey(
        r##"steps = [{ call = "slack.post", with = { channel = "#care", loud = true } }, { send = "after" }]"##,
    ));
    world.snapshot.consents.clear();
    world.event("go", json!({}));
    let action = world.delivery("post");
    assert_eq!(action.kind, DeliveryKind::Action);
    assert_eq!((action.connector.as_deref(), action.channel), (Some("slack"), None));
    assert_eq!(action.payload["with"], json!({ "channel": "#care", "loud": true }));
    assert_eq!(world.sent(), ["post 03-02 10:00"]);
}

#[test]
fn an_exit_step_ends_the_run_with_its_reason() {
    let world = started(
        r#"steps = [{ if = "orders.count == 0", then = [{ exit = "nothing bought" }] }, { send = "thanks" }]"#,
    );
    assert_eq!(world.ends(), [Some(RunEnd::Exit)]);
    assert_eq!(world.last_run().end_reason.as_deref(), Some("nothing bought"));
    assert_eq!(world.sent(), Vec::<String>::new());
}

#[test]
fn a_goal_in_the_middle_of_a_wait_ends_the_run_at_once() {
    let mut world = started(
        r#"goal = { when = "event.name == 'order.placed'", within = "7d" }
           steps = [{ wait = "3d" }, { send = "later" }]"#,
    );
    world.go("2026-03-03T09:00:00+01:00");
    let ordered_at = world.now;
    world.order(2_000);
    assert_eq!(world.ends(), [Some(RunEnd::Goal)]);
    assert_eq!(world.last_run().ended_at, Some(ordered_at));
    world.go("2026-03-20T09:00:00+01:00");
    assert_eq!(world.sent(), Vec::<String>::new());
}

#[test]
fn a_goal_counts_only_events_after_the_start_and_within_its_window() {
    let text = r#"goal = { when = "event.name == 'order.placed'", within = "2d" }
           steps = [{ wait = "10d" }, { send = "later" }]"#;
    let mut world = World::new(&journey(text));
    world.order(1_000);
    world.pass(1);
    world.event("go", json!({}));
    assert_eq!(world.live_runs(), 1, "an earlier order is no goal");
    world.go("2026-03-04T10:00:02+01:00");
    world.order(1_000);
    assert_eq!(world.live_runs(), 1, "a second after the window is too late");
}

#[test]
fn an_order_that_arrives_late_still_counts_for_the_goal_of_its_time() {
    let mut world = started(
        r#"goal = { when = "event.name == 'order.placed'", within = "2d" }
           steps = [{ wait = "20d" }, { send = "later" }]"#,
    );
    world.go("2026-03-08T10:00:00+01:00");
    let placed_at = "2026-03-03T10:00:00+01:00".parse().unwrap();
    world.order_at(1_000, placed_at, zyklus_model::Origin::History);
    assert_eq!(world.ends(), [Some(RunEnd::Goal)], "history feeds goals");
}

#[test]
fn a_goal_that_time_alone_reaches_ends_the_run_at_its_own_instant() {
    let mut world = World::new(&journey(
        r#"goal = { when = "orders.days_since_last >= 2", within = "5d" }
           steps = [{ wait = "10d" }, { send = "later" }]"#,
    ));
    world.order(1_000);
    world.event("go", json!({}));
    world.go("2026-03-20T10:00:00+01:00");
    assert_eq!(world.ends(), [Some(RunEnd::Goal)]);
    assert_eq!(world.last_run().ended_at, Some("2026-03-04T10:00:00+01:00".parse().unwrap()));
}

#[test]
fn a_goal_that_stays_lets_the_run_go_on() {
    let mut world = started(
        r#"goal = { when = "event.name == 'order.placed'", within = "2d", stay = true }
           steps = [{ wait = "1d" }, { send = "later" }]"#,
    );
    world.pass(60);
    world.order(1_000);
    world.pass(60);
    world.order(1_000);
    assert_eq!(world.live_runs(), 1);
    world.go("2026-03-04T10:00:00+01:00");
    assert_eq!(world.sent(), ["later 03-03 10:00"]);
    let reached = outcomes(&world).iter().filter(|o| o.ends_with("reached")).count();
    assert_eq!(reached, 1, "it is reached once");
}

#[test]
fn a_goal_within_its_window_counts_after_the_last_step_and_after_an_exit() {
    for (steps, end) in
        [(r#"{ send = "one" }"#, RunEnd::Completed), (r#"{ send = "one" }, { exit = "done" }"#, RunEnd::Exit)]
    {
        let mut world = started(&format!(
            r#"goal = {{ when = "event.name == 'order.placed'", within = "7d" }}
            steps = [{steps}]"#
        ));
        assert_eq!(world.ends(), [Some(end)]);
        world.go("2026-03-08T10:00:00+01:00");
        world.order(1_000);
        world.order(1_000);
        let reached = outcomes(&world).iter().filter(|o| *o == "goal: reached").count();
        assert_eq!(reached, 1, "{:?}", outcomes(&world));
    }
    let mut world = started(
        r#"goal = { when = "event.name == 'order.placed'", within = "7d" }
        steps = [{ send = "one" }]"#,
    );
    world.go("2026-03-09T10:00:01+01:00");
    world.order(1_000);
    assert_eq!(outcomes(&world), ["send:one sent"], "after the window");
}

#[test]
fn a_goal_on_the_event_can_wait_for_the_customers_state() {
    let mut world = started(
        r#"goal = { when = "event.name == 'order.placed' && orders.days_since_last >= 2", within = "5d" }
           steps = [{ wait = "10d" }, { send = "later" }]"#,
    );
    world.pass(60);
    world.order(1_000);
    world.go("2026-03-05T10:00:00+01:00");
    assert_eq!(world.ends(), [Some(RunEnd::Goal)]);
}

#[test]
fn exit_is_judged_on_every_commit_and_takes_back_what_was_not_sent() {
    let mut world = World::new(&journey(
        r#"exit = "orders.count > 0"
        steps = [{ send = "one" }, { send = "two" }]"#,
    ));
    world.dispatching = false;
    world.event("go", json!({}));
    assert_eq!(world.delivery("one").state, DeliveryState::Pending);
    world.pass(60);
    world.order(1_000);
    assert_eq!(world.ends(), [Some(RunEnd::Exit)]);
    assert_eq!(world.delivery("one").state, DeliveryState::Cancelled);
    world.dispatching = true;
    world.pass(86_400);
    assert_eq!(world.sent(), Vec::<String>::new());
}

#[test]
fn exit_by_time_alone_comes_at_its_own_instant_and_not_at_the_end_of_a_wait() {
    let mut world = World::new(&journey(
        r#"exit = "orders.days_since_last >= 3"
        steps = [{ wait = "10d" }, { send = "later" }]"#,
    ));
    world.order(1_000);
    world.event("go", json!({}));
    world.go("2026-03-20T10:00:00+01:00");
    assert_eq!(world.last_run().ended_at, Some("2026-03-05T10:00:00+01:00".parse().unwrap()));
}

#[test]
fn what_is_counted_over_days_leaves_the_count_at_its_very_instant() {
    let mut world = World::new(&journey(
        r#"exit = "events.count('page.viewed', 2) == 0"
        steps = [{ wait = "10d" }, { send = "later" }]"#,
    ));
    world.event("page.viewed", json!({}));
    world.event("go", json!({}));
    world.go("2026-03-20T10:00:00+01:00");
    assert_eq!(world.last_run().ended_at, Some("2026-03-04T10:00:00+01:00".parse().unwrap()));
}

#[test]
fn goal_comes_before_exit_and_exit_before_the_step_at_one_instant() {
    let mut world = World::new(&journey(
        r#"goal = { when = "orders.count == 1", within = "5d" }
        exit = "orders.count >= 1"
        steps = [{ send = "hello" }]"#,
    ));
    world.dispatching = false;
    world.event("go", json!({}));
    world.pass(1);
    world.order(100);
    assert_eq!(world.ends(), [Some(RunEnd::Goal)]);

    let mut world = World::new(&journey("exit = \"orders.count >= 0\"\nsteps = [{ send = \"hello\" }]"));
    world.event("go", json!({}));
    assert_eq!(world.ends(), [Some(RunEnd::Exit)]);
    assert!(world.snapshot.deliveries.is_empty());
}

#[test]
fn a_step_that_comes_a_little_late_acts_and_the_next_wait_counts_from_then() {
    let mut world = started(
        r#"steps = [{ wait = "1d" }, { send = "one" }, { wait = "1d", id = "w" }, { send = "two" }]"#,
    );
    world.awake = false;
    world.go("2026-03-03T20:00:00+01:00");
    world.awake = true;
    world.go("2026-03-06T20:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-03 20:00", "two 03-04 20:00"]);
}

#[test]
fn a_step_that_comes_too_late_is_missed_and_the_next_wait_counts_from_when_it_was_due() {
    let mut world =
        started(r#"steps = [{ wait = "1d" }, { send = "one" }, { wait = "3d" }, { send = "two" }]"#);
    world.awake = false;
    world.go("2026-03-04T10:00:01+01:00");
    world.awake = true;
    world.go("2026-03-10T20:00:00+01:00");
    assert_eq!(world.delivery("one").reason, Some(GuardReason::Missed));
    assert_eq!(world.sent(), ["two 03-06 10:00"], "nothing bunches");
}

#[test]
fn a_message_nobody_could_hand_over_expires_and_the_run_goes_on() {
    let mut world = World::new(&journey(
        r#"steps = [{ send = "one", expires = "2h" }, { wait = "1d" }, { send = "two" }]"#,
    ));
    world.dispatching = false;
    world.event("go", json!({}));
    world.go("2026-03-02T15:00:00+01:00");
    assert_eq!(world.delivery("one").state, DeliveryState::Expired);
    world.dispatching = true;
    world.go("2026-03-10T15:00:00+01:00");
    assert_eq!(world.sent().len(), 1);
    assert!(world.sent()[0].starts_with("two 03-03 12:00"));
}

#[test]
fn a_run_walks_every_step_of_a_tree_at_most_once() {
    let world = started(
        r#"steps = [
          { if = "true", then = [
            { if = "orders.count == 0", id = "inner", then = [{ send = "a" }, { send = "b" }] },
            { send = "c" },
          ], else = [{ send = "d" }] },
          { send = "e" },
        ]"#,
    );
    assert_eq!(world.sent(), ["a 03-02 10:00", "b 03-02 10:00", "c 03-02 10:00", "e 03-02 10:00"]);
    assert_eq!(world.ends(), [Some(RunEnd::Completed)]);
    let mut ids: Vec<&String> = world.last_run().acted.iter().map(|(step, _)| step).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), world.last_run().acted.len());
}

#[test]
fn the_key_names_the_order_a_run_is_about() {
    let mut world = World::new(
        r#"[journeys.care]
        label = { en = "Care" }
        start = { event = "order.delivered", where = "event.order_number == 1" }
        key = "event.order_id"
        exit = "order(key).refund_share > 0.5"
        steps = [{ wait = "1d" }, { send = "care" }]"#,
    );
    let order = world.order(1_000);
    world.pass(3_600);
    world.mark(&order, MarkKind::Delivered);
    assert_eq!(world.last_run().key, order);
    world.pass(60);
    world.refund(&order, 400);
    assert_eq!(world.live_runs(), 1);
    world.pass(60);
    world.refund(&order, 200);
    assert_eq!(world.ends(), [Some(RunEnd::Exit)]);
}
