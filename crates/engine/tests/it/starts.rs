//! What starts a journey and what does not: every kind of start, occurrences, edges, history, re-entry, overlap,
//! priority and groups (rules R1, R2, R3, R5, R6).

use serde_json::json;
use zyklus_engine::{Lifecycle, decide};
use zyklus_model::{MarkKind, Origin, RunEnd, TransitionCause};

use crate::world::{LIFECYCLE, World, at, lifecycle};

fn with(start: &str, rest: &str) -> World {
    World::new(&format!(
        "[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {start}\n{rest}\nsteps = [{{ send = \"hello\" }}]"
    ))
}

#[test]
fn an_event_starts_a_journey_and_its_filter_chooses() {
    let mut world = with(r#"{ event = "page.viewed", where = "event.page == 'sale'" }"#, "");
    world.event("page.viewed", json!({ "page": "home" }));
    world.event("page.left", json!({ "page": "sale" }));
    assert_eq!(world.sent(), Vec::<String>::new());
    world.pass(60);
    world.event("page.viewed", json!({ "page": "sale" }));
    assert_eq!(world.sent(), ["hello 03-02 10:01"]);
}

#[test]
fn a_step_in_an_orders_life_is_an_event() {
    for (name, kind) in [("order.paid", MarkKind::Paid), ("order.shipped", MarkKind::Shipped)] {
        let mut world = with(&format!(r#"{{ event = "{name}", where = "event.total == 12.5" }}"#), "");
        let order = world.order(1_250);
        assert_eq!(world.sent(), Vec::<String>::new());
        world.pass(60);
        world.mark(&order, kind);
        assert_eq!(world.sent(), ["hello 03-02 10:01"], "{name}");
    }
}

#[test]
fn entering_a_phase_starts_a_journey_by_an_order_and_by_the_clock() {
    let mut world = with(r#"{ phase = "buyer" }"#, "");
    world.order(1_000);
    assert_eq!(world.sent(), ["hello 03-02 10:00"]);

    let mut world = with(r#"{ phase = "lapsed" }"#, "");
    world.order(1_000);
    world.go("2026-07-01T10:00:00+02:00");
    assert_eq!(world.phase(), "lapsed");
    // The first whole day over ninety: 91 times 24 hours after the order.
    assert_eq!(world.sent(), ["hello 06-01 11:00"]);
    assert_eq!(world.transitions.last().unwrap().cause, TransitionCause::Clock);
}

#[test]
fn leaving_a_phase_starts_a_journey() {
    let mut world = with(r#"{ left = "reach" }"#, "");
    world.pass(3_600);
    assert_eq!(world.sent(), Vec::<String>::new());
    world.order(1_000);
    assert_eq!(world.sent(), ["hello 03-02 11:00"]);
}

#[test]
fn a_segment_starts_on_its_edge_only() {
    let mut world = with(r#"{ segment = "orders.count >= 2" }"#, "reenter = \"always\"");
    world.order(1_000);
    assert_eq!(world.sent(), Vec::<String>::new());
    let second = world.order(1_000);
    assert_eq!(world.sent().len(), 1);
    world.order(1_000);
    world.event("page.viewed", json!({}));
    assert_eq!(world.sent().len(), 1, "being inside is no edge");
    world.pass(60);
    world.cancel(&second);
    world.cancel("1");
    world.pass(60);
    world.order(1_000);
    assert_eq!(world.sent().len(), 2, "out and in again is one");
}

#[test]
fn a_named_segment_can_start_several_journeys() {
    let mut world = World::new(
        r#"
        [segments]
        keen = "orders.count >= 1"
        [journeys.a]
        label = { en = "A" }
        start = { segment = "keen" }
        steps = [{ send = "from-a" }]
        [journeys.b]
        label = { en = "B" }
        start = { segment = "keen" }
        steps = [{ send = "from-b" }]"#,
    );
    world.order(1_000);
    let mut sent = world.sent();
    sent.sort();
    assert_eq!(sent, ["from-a 03-02 10:00", "from-b 03-02 10:00"]);
}

#[test]
fn who_is_inside_a_segment_when_it_is_written_does_not_enter_it() {
    let mut world = World::unseen(LIFECYCLE, "");
    world.order_at(1_000, at("2026-03-01T10:00:00Z"), Origin::History);
    let with = World::unseen(
        LIFECYCLE,
        r#"[journeys.j]
        label = { en = "J" }
        start = { segment = "orders.count >= 1" }
        steps = [{ send = "hello" }]"#,
    );
    world.book = with.book;
    world.pass(60);
    world.event("page.viewed", json!({}));
    assert!(world.snapshot.segments[0].inside);
    assert_eq!(world.sent(), Vec::<String>::new());
}

#[test]
fn a_new_customer_who_arrives_inside_a_segment_enters_it() {
    let mut world = World::unseen(
        LIFECYCLE,
        r#"[journeys.j]
        label = { en = "J" }
        start = { segment = "orders.count >= 1" }
        steps = [{ send = "hello" }]"#,
    );
    world.snapshot.mark.history_pending = false;
    world.order(1_000);
    assert_eq!(world.sent(), ["hello 03-02 10:00"]);
}

#[test]
fn a_schedule_starts_every_day_at_its_time() {
    let mut world = with(r#"{ schedule = "daily 09:00" }"#, "reenter = \"always\"");
    world.go("2026-03-05T08:00:00+01:00");
    assert_eq!(world.sent(), ["hello 03-03 09:00", "hello 03-04 09:00"]);
}

#[test]
fn a_schedule_follows_the_customers_or_the_shops_zone() {
    for (zone, when) in [("customer", "hello 03-02 15:00"), ("shop", "hello 03-03 09:00")] {
        let mut world = World::unseen(
            LIFECYCLE,
            &format!(
                "[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ schedule = \"daily 09:00\", zone = \"{zone}\" }}\nsteps = [{{ send = \"hello\" }}]"
            ),
        );
        world.snapshot.customer.time_zone = Some("America/New_York".into());
        world.go("2026-03-04T08:00:00+01:00");
        assert_eq!(world.sent(), [when], "{zone}");
    }
}

#[test]
fn a_monthly_schedule_takes_the_last_day_of_a_short_month() {
    let mut world = with(r#"{ schedule = "monthly 31 09:00" }"#, "reenter = \"always\"");
    world.go("2026-05-30T08:00:00+02:00");
    assert_eq!(world.sent(), ["hello 03-31 09:00", "hello 04-30 09:00"]);
}

#[test]
fn a_schedule_from_before_the_customer_was_known_starts_nothing() {
    let mut world = World::unseen(
        LIFECYCLE,
        r#"[journeys.j]
        label = { en = "J" }
        start = { schedule = "daily 09:00" }
        steps = [{ send = "hello" }]"#,
    );
    world.book.active_from.insert("j".into(), at("2026-01-01T00:00:00Z"));
    world.go("2026-03-02T20:00:00+01:00");
    assert_eq!(world.sent(), Vec::<String>::new(), "nine o'clock was an hour before the import");
    world.go("2026-03-03T20:00:00+01:00");
    assert_eq!(world.sent(), ["hello 03-03 09:00"]);
}

#[test]
fn a_date_in_the_customers_data_starts_a_journey_with_offset_and_time_of_day() {
    let mut world = with(r#"{ date = "customer.attributes.renewal", offset = "-5d", at = "10:00" }"#, "");
    world.commit(Origin::Live, |s| {
        s.customer.attributes.insert("renewal".into(), json!("2026-03-20"));
    });
    world.go("2026-04-20T08:00:00+02:00");
    assert_eq!(world.sent(), ["hello 03-15 10:00"]);
}

#[test]
fn a_date_without_a_time_is_a_day_in_the_customers_own_zone() {
    let mut world = with(r#"{ date = "customer.attributes.renewal", at = "10:00" }"#, "");
    world.commit(Origin::Live, |s| {
        s.customer.time_zone = Some("America/New_York".into());
        s.customer.attributes.insert("renewal".into(), json!("2026-03-20"));
    });
    world.go("2026-04-20T08:00:00+02:00");
    assert_eq!(world.sent(), ["hello 03-20 15:00"], "ten o'clock in New York on that day");
}

#[test]
fn a_date_that_an_order_moves_starts_at_the_new_one() {
    let mut world = with(r#"{ date = "orders.last_at", offset = "3d" }"#, "");
    world.order(1_000);
    world.go("2026-03-04T10:00:00+01:00");
    world.order(1_000);
    world.go("2026-03-20T10:00:00+01:00");
    assert_eq!(world.sent(), ["hello 03-07 10:00"]);
}

#[test]
fn a_date_from_before_the_import_starts_nothing() {
    let mut world = World::unseen(
        LIFECYCLE,
        r#"[journeys.j]
        label = { en = "J" }
        start = { date = "orders.last_at", offset = "1d" }
        steps = [{ send = "hello" }]"#,
    );
    world.book.active_from.insert("j".into(), at("2026-01-01T00:00:00Z"));
    world.order_at(1_000, at("2026-03-01T06:00:00Z"), Origin::History);
    world.go("2026-03-10T10:00:00+01:00");
    assert_eq!(world.sent(), Vec::<String>::new());
}

#[test]
fn the_same_event_told_twice_starts_one_run() {
    let mut world = with(r#"{ event = "go" }"#, "reenter = \"always\"");
    world.event("go", json!({}));
    let again = world.snapshot.events[0].clone();
    world.pass(60);
    world.commit(Origin::Live, |s| {
        s.events[0].received_at = again.received_at.plus_seconds(60);
    });
    assert_eq!(world.snapshot.runs.len(), 1);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn runs_follow_from_what_started_them_and_not_from_the_order_of_telling() {
    let tell = |turned: bool| {
        let mut world = with(r#"{ event = "go" }"#, "reenter = \"always\"\noverlap = \"restart\"");
        world.event("go", json!({ "n": 1 }));
        world.event("go", json!({ "n": 2 }));
        let mut fresh = with(r#"{ event = "go" }"#, "reenter = \"always\"\noverlap = \"restart\"");
        let mut events = world.snapshot.events.clone();
        if turned {
            events.reverse();
        }
        fresh.commit(Origin::Live, |s| s.events = events);
        let mut ids: Vec<_> = fresh.snapshot.runs.iter().map(|r| r.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(tell(false), tell(true));
    assert_eq!(tell(false).len(), 2);
}

#[test]
fn history_never_starts_a_journey_of_any_kind() {
    let starts = [
        r#"{ phase = "loyal" }"#,
        r#"{ left = "buyer" }"#,
        r#"{ event = "order.placed" }"#,
        r#"{ event = "go" }"#,
        r#"{ segment = "orders.count >= 2" }"#,
        r#"{ date = "orders.last_at" }"#,
    ];
    for start in starts {
        let mut world = World::unseen(
            LIFECYCLE,
            &format!(
                "[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {start}\nsteps = [{{ send = \"hello\" }}]"
            ),
        );
        world.book.active_from.insert("j".into(), at("2025-01-01T00:00:00Z"));
        for day in ["2026-02-01", "2026-02-20", "2026-03-02"] {
            world.order_at(1_000, at(&format!("{day}T08:00:00Z")), Origin::History);
            world.event_at("go", json!({}), at(&format!("{day}T08:30:00Z")), Origin::History);
            world.pass(60);
        }
        world.pass(1_800);
        assert_eq!(world.phase(), "loyal");
        assert!(world.snapshot.runs.is_empty(), "{start} started {:?}", world.snapshot.runs);
        assert!(world.transitions.iter().all(|t| t.origin == Origin::History), "{start}");
    }
}

#[test]
fn history_that_arrives_together_with_something_live_starts_nothing_by_phase_or_segment() {
    for start in [r#"{ phase = "loyal" }"#, r#"{ segment = "orders.count >= 2" }"#] {
        let mut world = with(start, "");
        world.awake = false;
        for day in ["2026-02-01", "2026-02-20", "2026-02-25"] {
            world.order_at(1_000, at(&format!("{day}T08:00:00Z")), Origin::History);
        }
        world.event("page.viewed", json!({}));
        world.awake = true;
        world.pass(3_600);
        assert_eq!(world.phase(), "loyal");
        assert_eq!(world.sent(), Vec::<String>::new(), "{start}");
    }
}

#[test]
fn history_is_written_into_the_past_until_something_live_moved_the_customer() {
    let mut world = World::new("");
    world.order_at(1_000, at("2026-02-20T08:00:00Z"), Origin::History);
    world.order_at(1_000, at("2025-06-01T08:00:00Z"), Origin::History);
    let moves: Vec<String> = world.transitions.iter().map(|t| format!("{} {}", t.to, t.at)).collect();
    assert_eq!(
        moves,
        ["buyer 2025-06-01T08:00:00Z", "lapsed 2025-08-31T08:00:00Z", "buyer 2026-02-20T08:00:00Z",]
    );
}

#[test]
fn nothing_from_before_a_journey_went_live_or_from_long_ago_starts_it() {
    let mut world = with(r#"{ event = "go" }"#, "reenter = \"always\"");
    world.event_at("go", json!({}), at("2026-03-02T09:59:59+01:00"), Origin::Live);
    assert!(world.snapshot.runs.is_empty(), "before it went live");
    world.go("2026-03-05T10:00:00+01:00");
    world.event_at("go", json!({}), at("2026-03-04T09:59:59+01:00"), Origin::Live);
    assert!(world.snapshot.runs.is_empty(), "more than a day late");
    world.event_at("go", json!({}), at("2026-03-04T10:00:00+01:00"), Origin::Live);
    assert_eq!(world.snapshot.runs.len(), 1);
    let mut inactive = with(r#"{ event = "go" }"#, "");
    inactive.book.active_from.clear();
    inactive.event("go", json!({}));
    assert!(inactive.snapshot.runs.is_empty(), "never went live");
}

#[test]
fn an_event_dated_a_little_ahead_starts_when_its_time_has_come() {
    let mut world = with(r#"{ event = "go" }"#, "");
    world.event_at("go", json!({}), at("2026-03-02T12:00:00+01:00"), Origin::Live);
    assert_eq!(world.sent(), Vec::<String>::new());
    world.go("2026-03-02T13:00:00+01:00");
    assert_eq!(world.sent(), ["hello 03-02 12:00"]);
}

#[test]
fn what_the_clock_moved_long_ago_while_the_daemon_was_down_starts_nothing() {
    let mut world = with(r#"{ phase = "lapsed" }"#, "");
    world.order(1_000);
    world.awake = false;
    world.go("2026-06-10T10:00:00+02:00");
    world.awake = true;
    world.pass(60);
    let last = world.transitions.last().unwrap();
    assert_eq!((last.to.as_str(), last.at), ("lapsed", at("2026-06-01T11:00:00+02:00")));
    assert_eq!(world.sent(), Vec::<String>::new(), "nine days late");
}

#[test]
fn what_the_clock_moved_is_not_lost_when_an_order_comes_before_the_daemon_is_up_again() {
    let mut world = World::new("");
    world.order(1_000);
    world.awake = false;
    world.go("2026-06-05T10:00:00+02:00");
    world.order(1_000);
    world.pass(60);
    world.awake = true;
    world.pass(60);
    let moves: Vec<&str> = world.transitions.iter().map(|t| t.to.as_str()).collect();
    assert_eq!(moves, ["reach", "buyer", "lapsed", "buyer"]);
}

#[test]
fn whoever_has_been_through_a_journey_does_not_enter_again() {
    let mut world = with(r#"{ event = "go" }"#, "");
    for _ in 0..3 {
        world.event("go", json!({}));
        world.pass(86_400 * 40);
    }
    assert_eq!(world.snapshot.runs.len(), 1);
}

#[test]
fn re_entry_after_a_time_counts_calendar_days_from_the_last_start() {
    let mut world = with(r#"{ event = "go" }"#, "reenter = \"after 27d\"");
    world.event("go", json!({}));
    world.go("2026-03-29T09:59:59+02:00");
    world.event("go", json!({}));
    assert_eq!(world.snapshot.runs.len(), 1);
    world.go("2026-03-29T10:00:00+02:00");
    world.event("go", json!({}));
    assert_eq!(world.snapshot.runs.len(), 2);
}

#[test]
fn a_keyed_journey_runs_once_for_each_key() {
    let mut world = with(r#"{ event = "go" }"#, "key = \"event.id\"");
    for id in ["a", "b", "a", "c", "b"] {
        world.event("go", json!({ "id": id }));
        world.pass(3_600);
    }
    let keys: Vec<&str> = world.snapshot.runs.iter().map(|r| r.key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
}

#[test]
fn a_second_start_is_ignored_while_a_run_goes_on_and_for_good() {
    let mut world = World::new(
        r#"[journeys.j]
        label = { en = "J" }
        start = { event = "go" }
        reenter = "always"
        steps = [{ wait = "10m" }, { send = "hello" }]"#,
    );
    world.event("go", json!({}));
    world.pass(540);
    world.event("go", json!({}));
    world.pass(120);
    assert_eq!(world.sent().len(), 1);
    world.event("page.viewed", json!({}));
    world.pass(1_200);
    world.event("page.viewed", json!({}));
    world.pass(7_200);
    assert_eq!(world.snapshot.runs.len(), 1, "what was ignored does not come back when the run is over");
}

#[test]
fn restart_ends_the_old_run_and_takes_back_what_it_had_not_sent() {
    let mut world = World::new(
        r#"[journeys.cart]
        label = { en = "Cart" }
        start = { event = "cart.updated" }
        when = "cart.is_open && cart.value >= 20.0"
        key = "event.cart_id"
        overlap = "restart"
        exit = "!cart.is_open"
        steps = [{ wait = "2h" }, { send = "cart-1" }]"#,
    );
    world.cart("c1", 1_900, true);
    assert_eq!(world.live_runs(), 0, "too little in it");
    world.pass(2_000);
    world.cart("c1", 4_000, true);
    world.pass(3_600);
    world.cart("c1", 5_000, true);
    assert_eq!(world.ends(), [Some(RunEnd::Restarted), None]);
    world.go("2026-03-02T20:00:00+01:00");
    assert_eq!(world.sent(), ["cart-1 03-02 13:33"]);
    world.cart("c2", 4_000, true);
    world.pass(60);
    world.order(4_000);
    assert_eq!(world.ends().last(), Some(&Some(RunEnd::Exit)), "the order ends the cart");
}

#[test]
fn who_does_not_qualify_is_asked_again_for_half_an_hour() {
    let mut world = with(r#"{ event = "go" }"#, "when = \"orders.count > 0\"");
    world.event("go", json!({}));
    world.pass(1_500);
    world.order(1_000);
    assert_eq!(world.sent(), ["hello 03-02 10:25"]);

    let mut world = with(r#"{ event = "go" }"#, "when = \"orders.count > 0\"");
    world.event("go", json!({}));
    world.pass(2_000);
    world.order(1_000);
    assert_eq!(world.sent(), Vec::<String>::new());
}

#[test]
fn of_one_group_the_journey_with_the_highest_priority_runs() {
    let mut world = World::new(
        r#"
        [journeys.low]
        label = { en = "Low" }
        start = { event = "go" }
        group = "offers"
        priority = 10
        steps = [{ send = "low" }, { wait = "2d" }]
        [journeys.high]
        label = { en = "High" }
        start = { event = "go" }
        group = "offers"
        priority = 90
        steps = [{ send = "high" }, { wait = "2d" }]
        [journeys.other]
        label = { en = "Other" }
        start = { event = "go" }
        steps = [{ send = "other" }, { wait = "2d" }]"#,
    );
    let order: Vec<&str> = world.book.journeys.iter().map(|j| &*j.id).collect();
    assert_eq!(order, ["high", "other", "low"]);
    world.event("go", json!({}));
    let mut sent = world.sent();
    sent.sort();
    assert_eq!(sent, ["high 03-02 10:00", "other 03-02 10:00"]);
}

#[test]
fn a_lifecycle_written_anew_moves_people_and_starts_nothing() {
    let mut world = with(r#"{ phase = "loyal" }"#, "");
    world.order(1_000);
    world.pass(3_600);
    world.book.lifecycle = lifecycle(&LIFECYCLE.replace("orders.count >= 3", "orders.count >= 1"));
    world.snapshot.mark.due_at = world.now;
    world.pass(60);
    assert_eq!(world.phase(), "loyal");
    assert_eq!(world.transitions.last().unwrap().cause, TransitionCause::Definition);
    assert_eq!(world.sent(), Vec::<String>::new());
    let quiet = decide(&world.book, &world.snapshot, world.now);
    assert!(quiet.is_quiet());
}

#[test]
fn another_lifecycle_tells_the_past_anew_and_starts_nothing() {
    let mut world = with(r#"{ phase = "buyer" }"#, "");
    world.order_at(1_000, at("2026-02-20T08:00:00Z"), Origin::History);
    world.pass(3_600);
    let (mut other, _) = Lifecycle::parse("other", "other.toml", LIFECYCLE).unwrap();
    std::mem::swap(&mut world.book.lifecycle, &mut other);
    world.event("page.viewed", json!({}));
    let told = |world: &World| -> Vec<String> {
        world.transitions.iter().filter(|t| t.lifecycle == "other").map(|t| t.to.clone()).collect()
    };
    assert_eq!(told(&world), ["reach", "buyer"]);
    world.book.lifecycle = other;
    world.event("page.viewed", json!({}));
    world.book.lifecycle = Lifecycle::parse("other", "other.toml", LIFECYCLE).unwrap().0;
    world.event("page.viewed", json!({}));
    assert_eq!(told(&world), ["reach", "buyer"], "there and back again is told once");
    assert_eq!(world.sent(), Vec::<String>::new());
}

#[test]
fn who_comes_to_qualify_by_time_alone_within_the_patience_is_let_in_then() {
    for condition in ["when = \"cart.hours_idle >= 1\"", ""] {
        let filter = if condition.is_empty() { ", where = \"cart.hours_idle >= 1\"" } else { "" };
        let mut world = with(
            &format!("{{ event = \"cart.updated\"{filter} }}"),
            &format!("{condition}\npatience = \"2h\""),
        );
        world.cart("c", 5_000, true);
        world.pass(7_200);
        assert_eq!(world.sent(), ["hello 03-02 11:00"], "{condition}{filter}");
    }
}

#[test]
fn a_record_that_changes_nothing_moves_nobody_and_starts_nothing() {
    let mut world = with(r#"{ phase = "buyer" }"#, "reenter = \"always\"");
    world.order(1_000);
    world.pass(7_200);
    let (moves, runs) = (world.transitions.len(), world.snapshot.runs.len());
    world.commit(Origin::Live, |s| s.customer.first_name = Some("Another".into()));
    world.commit(Origin::Live, |s| s.orders[0].number = "A-1".into());
    assert_eq!((world.transitions.len(), world.snapshot.runs.len()), (moves, runs));
}

#[test]
fn deciding_twice_gives_the_same_decision_with_the_same_ids() {
    let mut world = with(r#"{ event = "go" }"#, "");
    world.pass(60);
    world.awake = false;
    world.order(1_000);
    world.event("go", json!({}));
    let decision = decide(&world.book, &world.snapshot, world.now);
    assert_eq!((decision.runs.len(), decision.deliveries.len()), (1, 1));
    assert_eq!(decision, decide(&world.book, &world.snapshot, world.now));
    let later = decide(&world.book, &world.snapshot, world.now.plus_seconds(5));
    assert_eq!(later.runs[0].id, decision.runs[0].id, "decided by another daemon a little later");
    assert_eq!(later.deliveries[0].id, decision.deliveries[0].id);
    assert!(world.apply(&decision));
    assert!(!world.apply(&later), "the fence");
    assert!(decide(&world.book, &world.snapshot, world.now).is_quiet());
}
