//! What keeps a message back, in its order, and how real a journey is (rules R12, R14, R15, R16, R19).

use jiff::civil::{Time, Weekday};
use serde_json::json;
use zyklus_engine::Permit;
use zyklus_engine::permits;
use zyklus_engine::settings::{CapWindow, FrequencyCap, QuietHours};
use zyklus_engine::wait::Length;
use zyklus_model::{
    Channel, ConsentState, CustomerId, DeliveryState, GuardReason, LegalBasis, RunEnd, RunState,
};

use crate::world::{World, at};

fn with(rest: &str) -> World {
    World::new(&format!("[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"go\" }}\n{rest}"))
}

fn refused(world: &World, target: &str) -> (DeliveryState, Option<GuardReason>) {
    let delivery = world.delivery(target);
    (delivery.state, delivery.reason)
}

const REFUSED: DeliveryState = DeliveryState::Refused;

#[test]
fn suppressed_address_is_never_sent() {
    let mut world = with(
        r#"steps = [{ send = "ad" }, { send = "care", purpose = "service" }, { send = "receipt", purpose = "transactional" }]"#,
    );
    world.suppress();
    world.event("go", json!({}));
    for target in ["ad", "care", "receipt"] {
        assert_eq!(refused(&world, target), (REFUSED, Some(GuardReason::Suppressed)));
    }
    assert_eq!(world.ends(), [Some(RunEnd::Completed)], "the run goes on all the same");
}

#[test]
fn an_unsubscribed_address_still_gets_its_receipts() {
    let mut world = with(r#"steps = [{ send = "ad" }, { send = "receipt", purpose = "transactional" }]"#);
    world.suppress();
    world.snapshot.suppressions[0].all_purposes = false;
    world.event("go", json!({}));
    assert_eq!(refused(&world, "ad"), (REFUSED, Some(GuardReason::Suppressed)));
    assert_eq!(world.sent(), ["receipt 03-02 10:00"]);
}

#[test]
fn a_customer_without_an_address_for_the_channel_is_not_written_to() {
    let mut world = with(r#"steps = [{ send = "ad" }, { send = "text", via = "sms" }]"#);
    (world.snapshot.customer.email, world.snapshot.customer.phone) = (None, None);
    world.event("go", json!({}));
    assert_eq!(refused(&world, "ad"), (REFUSED, Some(GuardReason::NoAddress)));
    assert_eq!(refused(&world, "text"), (REFUSED, Some(GuardReason::NoAddress)));
}

#[test]
fn marketing_needs_consent_for_its_channel_and_service_does_not() {
    let mut world = with(
        r#"steps = [{ send = "ad" }, { send = "text", via = "sms" }, { send = "care", purpose = "service" }]"#,
    );
    world.consent(ConsentState::Withdrawn, LegalBasis::Consent);
    world.event("go", json!({}));
    assert_eq!(refused(&world, "ad"), (REFUSED, Some(GuardReason::NoConsent)));
    assert_eq!(refused(&world, "text"), (REFUSED, Some(GuardReason::NoConsent)));
    assert_eq!(world.sent(), ["care 03-02 10:00"]);
}

#[test]
fn a_consent_that_is_only_asked_for_is_none() {
    let mut world = with(r#"steps = [{ send = "ad" }]"#);
    world.snapshot.consents.clear();
    world.consent(ConsentState::Pending, LegalBasis::Consent);
    world.event("go", json!({}));
    assert_eq!(refused(&world, "ad"), (REFUSED, Some(GuardReason::NoConsent)));
}

#[test]
fn asking_again_neither_lifts_a_withdrawal_nor_takes_back_a_consent() {
    for withdrawn in [false, true] {
        let mut world = with(r#"steps = [{ send = "ad" }]"#);
        world.book.settings.existing_customers = true;
        world.order(1_000);
        if withdrawn {
            world.pass(60);
            world.consent(ConsentState::Withdrawn, LegalBasis::Consent);
        }
        world.pass(60);
        world.consent(ConsentState::Pending, LegalBasis::Consent);
        world.event("go", json!({}));
        assert_eq!(world.sent().len(), usize::from(!withdrawn), "withdrawn: {withdrawn}");
    }
}

#[test]
fn a_consent_taken_back_stops_a_message_that_was_already_decided() {
    let mut world = with(r#"steps = [{ send = "ad" }]"#);
    world.dispatching = false;
    world.event("go", json!({}));
    assert_eq!(world.delivery("ad").state, DeliveryState::Pending);
    world.pass(60);
    world.consent(ConsentState::Withdrawn, LegalBasis::Consent);
    assert_eq!(refused(&world, "ad"), (REFUSED, Some(GuardReason::NoConsent)));
    assert_eq!(world.ends(), [Some(RunEnd::Completed)]);
}

#[test]
fn existing_customers_get_advertising_without_consent_only_where_the_operator_says_so() {
    for (setting, bought, said_no, goes) in [
        (false, true, false, false),
        (true, false, false, false),
        (true, true, false, true),
        (true, true, true, false),
    ] {
        let mut world = with(r#"steps = [{ send = "ad" }]"#);
        world.snapshot.consents.clear();
        world.book.settings.existing_customers = setting;
        if bought {
            world.order(1_000);
        }
        if said_no {
            world.consent(ConsentState::Withdrawn, LegalBasis::Consent);
        }
        world.event("go", json!({}));
        assert_eq!(world.sent().len(), usize::from(goes), "{setting} {bought} {said_no}");
    }
}

#[test]
fn a_permission_for_existing_customers_holds_only_with_the_setting() {
    for setting in [false, true] {
        let mut world = with(r#"steps = [{ send = "ad" }]"#);
        world.book.settings.existing_customers = setting;
        world.order(1_000);
        world.consent(ConsentState::Granted, LegalBasis::ExistingCustomer);
        world.event("go", json!({}));
        assert_eq!(world.sent().len(), usize::from(setting));
    }
}

#[test]
fn a_held_out_customer_gets_nothing_and_goes_the_same_way() {
    let text = r#"holdout = 30
        goal = { when = "event.name == 'order.placed'", within = "30d" }
        steps = [{ send = "one" }, { wait = "2d" }, { tag = "seen" }, { send = "two" }]"#;
    let mut held = 0;
    for n in 0..100u8 {
        let mut world = with(text);
        world.snapshot.customer.id = CustomerId::derive(&[b"holdout", &[n]]);
        world.event("go", json!({}));
        world.go("2026-03-20T10:00:00+01:00");
        let run = world.last_run();
        let steps: Vec<&str> = run.acted.iter().map(|(step, _)| step.as_str()).collect();
        assert_eq!(steps, ["send:one", "wait:tag:seen", "tag:seen", "send:two"]);
        if run.ghost {
            held += 1;
            assert_eq!(refused(&world, "two"), (DeliveryState::Shadow, Some(GuardReason::JourneyHoldout)));
            assert_eq!(world.delivery("two").done_at, Some(at("2026-03-04T10:00:00+01:00")));
            assert_eq!(world.sent(), Vec::<String>::new());
            assert_eq!(world.tags(), Vec::<&str>::new());
        } else {
            assert_eq!(world.sent(), ["one 03-02 10:00", "two 03-04 10:00"]);
        }
    }
    assert!((15..=45).contains(&held), "{held} of 100 at thirty per cent");
}

#[test]
fn raising_the_holdout_adds_and_moves_nobody_else() {
    let is_held = |n: u8, share: u8| {
        let mut world = with(&format!("holdout = {share}\nsteps = [{{ send = \"one\" }}]"));
        world.snapshot.customer.id = CustomerId::derive(&[b"holdout", &[n]]);
        world.event("go", json!({}));
        world.last_run().ghost
    };
    for n in 0..60 {
        assert!(!is_held(n, 0));
        assert!(!is_held(n, 10) || is_held(n, 30), "{n} left the group when it grew");
    }
}

#[test]
fn what_a_held_out_customer_could_not_have_got_is_refused_like_anybodys() {
    let mut world = with("holdout = 50\nsteps = [{ send = \"one\" }]");
    for n in 0..20u8 {
        world.snapshot.customer.id = CustomerId::derive(&[b"holdout", &[n]]);
        let mut trial = with("holdout = 50\nsteps = [{ send = \"one\" }]");
        trial.snapshot.customer.id = world.snapshot.customer.id;
        trial.suppress();
        trial.event("go", json!({}));
        assert_eq!(refused(&trial, "one"), (REFUSED, Some(GuardReason::Suppressed)));
    }
}

fn cap(channel: Option<Channel>, max: u32, per: CapWindow) -> FrequencyCap {
    FrequencyCap { channel, max, per }
}

#[test]
fn a_daily_cap_delays_to_the_next_day_of_the_customer() {
    let mut world =
        with(r#"steps = [{ send = "one" }, { send = "two" }, { wait = "1h" }, { send = "three" }]"#);
    world.book.settings.caps = vec![cap(Some(Channel::Email), 1, CapWindow::Day)];
    world.event("go", json!({}));
    world.go("2026-03-06T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-02 10:00", "two 03-03 00:00", "three 03-04 00:00"]);
}

#[test]
fn a_cap_without_a_place_before_expiry_skips_the_message_and_the_run_goes_on() {
    let mut world = with(
        r#"steps = [{ send = "one" }, { send = "two", expires = "3h" }, { if = "sent('two')", then = [{ exit = "no" }] }, { wait = "2d" }, { send = "three" }]"#,
    );
    world.book.settings.caps = vec![cap(Some(Channel::Email), 1, CapWindow::Day)];
    world.event("go", json!({}));
    world.go("2026-03-06T10:00:00+01:00");
    assert_eq!(refused(&world, "two"), (REFUSED, Some(GuardReason::Capped)));
    assert_eq!(world.sent(), ["one 03-02 10:00", "three 03-04 10:00"]);
}

#[test]
fn a_rolling_cap_frees_a_place_when_the_oldest_leaves() {
    let mut world = with(
        r#"steps = [{ send = "one" }, { wait = "6h" }, { send = "two" }, { send = "three", expires = "5d" }]"#,
    );
    world.book.settings.caps = vec![cap(Some(Channel::Email), 2, CapWindow::Rolling(Length::days(3)))];
    world.event("go", json!({}));
    world.go("2026-03-10T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-02 10:00", "two 03-02 16:00", "three 03-05 10:00"]);
}

#[test]
fn a_rolling_window_is_full_until_its_very_end() {
    let mut world = with(r#"steps = [{ send = "one" }, { send = "two", expires = "9d" }]"#);
    world.book.settings.caps = vec![cap(Some(Channel::Email), 1, CapWindow::Rolling(Length::days(3)))];
    world.event("go", json!({}));
    let free_at = at("2026-03-05T10:00:00+01:00");
    let two = world.delivery("two").clone();
    let just_before = permits(&world.book, &world.snapshot, &two, free_at.plus_micros(-1));
    assert_eq!(just_before, Permit::Delay(free_at, GuardReason::Capped));
    assert_eq!(permits(&world.book, &world.snapshot, &two, free_at), Permit::Go);
}

#[test]
fn a_cap_over_all_channels_counts_all_channels_and_a_channels_cap_only_its_own() {
    for (channel, goes) in [(None, 1), (Some(Channel::Push), 2)] {
        let mut world = with(r#"steps = [{ send = "one" }, { send = "push", via = "push" }]"#);
        let mut push = world.snapshot.consents[0].clone();
        push.channel = Channel::Push;
        world.snapshot.consents.push(push);
        world.book.settings.caps = vec![cap(channel, 1, CapWindow::Day)];
        world.event("go", json!({}));
        assert_eq!(world.sent().len(), goes);
    }
}

#[test]
fn service_and_uncounted_messages_neither_count_nor_are_capped() {
    let mut world = with(
        r#"steps = [
          { send = "care", purpose = "service" }, { send = "free", cap = "ignore" },
          { send = "one" }, { send = "care-2", purpose = "service" }, { send = "free-2", cap = "ignore" },
        ]"#,
    );
    world.book.settings.caps = vec![cap(None, 1, CapWindow::Day)];
    world.event("go", json!({}));
    assert_eq!(world.sent().len(), 5);
}

#[test]
fn two_messages_decided_at_one_instant_do_not_both_take_the_last_place() {
    let mut world = World::new(
        r#"
        [journeys.a]
        label = { en = "A" }
        start = { event = "go" }
        steps = [{ send = "from-a" }]
        [journeys.b]
        label = { en = "B" }
        start = { event = "go" }
        steps = [{ send = "from-b" }]"#,
    );
    world.book.settings.caps = vec![cap(Some(Channel::Email), 1, CapWindow::Day)];
    world.event("go", json!({}));
    assert_eq!(world.sent().len(), 1);
    world.go("2026-03-04T10:00:00+01:00");
    assert_eq!(world.sent().len(), 2);
    assert!(world.sent()[1].ends_with("03-03 00:00"));
}

fn quiet() -> QuietHours {
    QuietHours {
        channel: Channel::Email,
        from: Time::constant(21, 0, 0, 0),
        until: Time::constant(8, 0, 0, 0),
        weekdays: Vec::new(),
        holidays: std::collections::BTreeSet::new(),
    }
}

#[test]
fn quiet_hours_delay_to_their_end_with_a_spread_of_half_an_hour() {
    let mut world =
        with(r#"steps = [{ wait = "12h" }, { send = "ad" }, { wait = "1h" }, { send = "next" }]"#);
    world.book.settings.quiet = vec![quiet()];
    world.event("go", json!({}));
    world.go("2026-03-04T10:00:00+01:00");
    let gone = world.delivery("ad").done_at.unwrap();
    assert!(gone >= at("2026-03-03T08:00:00+01:00") && gone < at("2026-03-03T08:30:00+01:00"), "{gone}");
    assert_eq!(world.delivery("next").done_at, Some(gone.plus_seconds(3_600)), "counted from the sending");
}

#[test]
fn quiet_days_are_quiet_as_a_whole_and_transactional_messages_are_exempt() {
    let mut world =
        with(r#"steps = [{ send = "receipt", purpose = "transactional" }, { send = "ad", expires = "5d" }]"#);
    let mut hours = quiet();
    hours.weekdays = vec![Weekday::Monday];
    hours.holidays.insert(jiff::civil::date(2026, 3, 3));
    world.book.settings.quiet = vec![hours];
    world.event("go", json!({}));
    world.go("2026-03-08T10:00:00+01:00");
    assert_eq!(world.delivery("receipt").done_at, Some(at("2026-03-02T10:00:00+01:00")));
    let gone = world.delivery("ad").done_at.unwrap();
    assert!(gone >= at("2026-03-04T08:00:00+01:00") && gone < at("2026-03-04T08:30:00+01:00"), "{gone}");
}

#[test]
fn quiet_hours_that_outlast_the_expiry_drop_the_message() {
    let mut world = with(r#"steps = [{ wait = "12h" }, { send = "ad", expires = "4h" }]"#);
    world.book.settings.quiet = vec![quiet()];
    world.event("go", json!({}));
    world.go("2026-03-04T10:00:00+01:00");
    assert_eq!(refused(&world, "ad"), (REFUSED, Some(GuardReason::QuietHours)));
}

#[test]
fn the_first_guard_in_the_order_gives_the_reason() {
    let mut world = with(r#"steps = [{ send = "ad", expires = "1h" }]"#);
    world.dispatching = false;
    world.event("go", json!({}));
    world.book.settings.quiet =
        vec![QuietHours { from: Time::midnight(), until: Time::constant(23, 0, 0, 0), ..quiet() }];
    world.book.settings.caps = vec![cap(None, 0, CapWindow::Rolling(Length::days(7)))];
    let delivery = world.delivery("ad").clone();
    let mut snapshot = world.snapshot.clone();
    let asked = |snapshot: &_, now| permits(&world.book, snapshot, &delivery, now);
    let late = world.now.plus_seconds(7_200);
    assert_eq!(asked(&snapshot, world.now), Permit::Refuse(GuardReason::QuietHours));
    assert_eq!(asked(&snapshot, late), Permit::Refuse(GuardReason::Expired));
    snapshot.consents.clear();
    assert_eq!(asked(&snapshot, late), Permit::Refuse(GuardReason::NoConsent));
    snapshot.customer.email = None;
    assert_eq!(asked(&snapshot, late), Permit::Refuse(GuardReason::NoAddress));
    world.suppress();
    let delivery = world.delivery("ad").clone();
    assert_eq!(
        permits(&world.book, &world.snapshot, &delivery, late),
        Permit::Refuse(GuardReason::Suppressed)
    );
}

#[test]
fn shadow_mode_records_what_it_would_send_and_takes_no_place_under_a_cap() {
    let mut world = World::new(
        r#"
        [journeys.shadow]
        label = { en = "Shadow" }
        start = { event = "go" }
        mode = "shadow"
        steps = [{ send = "would" }, { wait = "1h" }, { send = "would-2" }]
        [journeys.real]
        label = { en = "Real" }
        start = { event = "go" }
        steps = [{ wait = "2h" }, { send = "does" }]"#,
    );
    world.book.settings.caps = vec![cap(None, 1, CapWindow::Day)];
    world.event("go", json!({}));
    world.go("2026-03-02T20:00:00+01:00");
    assert_eq!(world.sent(), ["does 03-02 12:00"]);
    assert_eq!(refused(&world, "would"), (DeliveryState::Shadow, None));
    assert_eq!(world.delivery("would-2").done_at, Some(at("2026-03-02T11:00:00+01:00")));
}

#[test]
fn going_live_drops_shadow_runs_and_lets_their_customers_in() {
    let mut world =
        with("mode = \"shadow\"\nsteps = [{ send = \"one\" }, { wait = \"5d\" }, { send = \"two\" }]");
    world.event("go", json!({}));
    assert!(world.last_run().ghost);
    world.go("2026-03-03T10:00:00+01:00");
    let live = with("steps = [{ send = \"one\" }, { wait = \"5d\" }, { send = \"two\" }]");
    world.book = live.book;
    world.book.active_from.insert("j".into(), world.now);
    world.snapshot.mark.due_at = world.now;
    world.go("2026-03-12T10:00:00+01:00");
    assert_eq!(world.ends(), [Some(RunEnd::Removed)]);
    assert_eq!(world.sent(), Vec::<String>::new());
    world.event("go", json!({}));
    assert_eq!(world.sent(), ["one 03-12 10:00"], "what ran in the shadow is no earlier run");
}

#[test]
fn going_back_to_shadow_keeps_running_runs_from_sending() {
    let text = "steps = [{ send = \"one\" }, { wait = \"5d\" }, { send = \"two\" }]";
    let mut world = with(text);
    world.event("go", json!({}));
    world.go("2026-03-03T10:00:00+01:00");
    let active_from = world.book.active_from.clone();
    world.book = with(&format!("mode = \"shadow\"\n{text}")).book;
    world.book.active_from = active_from;
    world.go("2026-03-12T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-02 10:00"]);
    assert_eq!(world.delivery("two").state, DeliveryState::Shadow);
}

#[test]
fn going_back_to_shadow_takes_back_what_has_not_gone_yet() {
    let mut world = with("steps = [{ send = \"one\" }, { send = \"two\" }]");
    world.dispatching = false;
    world.event("go", json!({}));
    let active_from = world.book.active_from.clone();
    world.book = with("mode = \"shadow\"\nsteps = [{ send = \"one\" }, { send = \"two\" }]").book;
    world.book.active_from = active_from;
    world.snapshot.mark.due_at = world.now;
    world.pass(60);
    assert_eq!(world.delivery("one").state, DeliveryState::Cancelled);
    assert_eq!(world.delivery("two").state, DeliveryState::Shadow);
}

#[test]
fn what_began_in_the_shadow_is_held_out_by_nobody_when_it_is_tested() {
    let text = "steps = [{ send = \"one\" }, { wait = \"5d\" }, { send = \"two\" }]";
    let mut world = with(&format!("mode = \"shadow\"\n{text}"));
    world.event("go", json!({}));
    let active_from = world.book.active_from.clone();
    world.book = with(&format!("mode = \"test\"\n{text}")).book;
    world.book.active_from = active_from;
    world.book.settings.test_recipients.insert("somebody@example.com".into());
    world.go("2026-03-12T10:00:00+01:00");
    assert_eq!(world.sent(), Vec::<String>::new(), "it still only shows what it would do");
    assert_eq!(refused(&world, "one"), (DeliveryState::Shadow, None));
    assert_eq!(refused(&world, "two"), (DeliveryState::Shadow, None));
}

#[test]
fn test_mode_writes_to_test_recipients_only_and_calls_nobody() {
    for (recipient, sent) in
        [("somebody@example.com", vec!["one 03-02 10:00"]), ("other@example.com", vec![])]
    {
        let mut world = with("mode = \"test\"\nsteps = [{ send = \"one\" }, { call = \"slack.post\" }]");
        world.book.settings.test_recipients.insert(recipient.into());
        world.event("go", json!({}));
        assert_eq!(world.sent(), sent, "{recipient}");
        assert_eq!(refused(&world, "post"), (DeliveryState::Shadow, Some(GuardReason::TestMode)));
    }
}

#[test]
fn a_journey_that_is_off_starts_nothing_and_keeps_its_runs_where_they_are() {
    let text = "steps = [{ wait = \"1h\" }, { send = \"one\", expires = \"3d\" }]";
    let mut world = with(text);
    world.event("go", json!({}));
    let (live, off) = (world.book.clone(), with(&format!("mode = \"off\"\n{text}")).book);
    let active_from = live.active_from.clone();
    world.book = off;
    world.book.active_from = active_from;
    world.go("2026-03-03T10:00:00+01:00");
    world.event("go", json!({}));
    assert_eq!((world.snapshot.runs.len(), world.snapshot.deliveries.len()), (1, 0));
    assert_eq!(world.last_run().state, RunState::Live);
    world.book = live;
    world.snapshot.mark.due_at = world.now;
    world.pass(60);
    assert_eq!(world.sent(), ["one 03-03 10:00"]);
}
