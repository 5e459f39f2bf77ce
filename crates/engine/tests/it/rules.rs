//! The rules of journeys by number, each with an example: starts, entry, waits, guards, caps, modes (R1 to R5, R7 to
//! R9, R11, R12, R14, R15, R19). Runs side by side are in `turns`, holdouts and goals in `holdouts`.

use serde_json::json;
use zyklus_engine::holdout::{held_globally, held_out};
use zyklus_engine::playbook::SENT_BEFORE;
use zyklus_engine::settings::{CapWindow, FrequencyCap, GlobalHoldout, QuietHours};
use zyklus_engine::why::Outside;
use zyklus_engine::{Permit, permits, why};
use zyklus_model::{Channel, CustomerId, Delivery, DeliveryState, GuardReason, Origin, RunEnd, SegmentState};

use crate::world::{World, at, playbook};

/// A journey `j` that the event `go` starts.
pub(crate) fn with(rest: &str) -> World {
    World::new(&text(rest))
}

fn text(rest: &str) -> String {
    format!("[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"go\" }}\n{rest}")
}

fn outcomes(world: &World) -> Vec<String> {
    world.last_run().acted.iter().map(|(step, outcome)| format!("{step} {outcome}")).collect()
}

/// E-mails are quiet from nine in the evening to eight in the morning.
pub(crate) fn quiet(world: &mut World) {
    world.book.settings.quiet = vec![QuietHours {
        channel: Channel::Email,
        from: jiff::civil::time(21, 0, 0, 0),
        until: jiff::civil::time(8, 0, 0, 0),
        weekdays: Vec::new(),
        holidays: std::collections::BTreeSet::new(),
    }];
}

#[test]
fn r01_an_event_told_twice_starts_one_run() {
    let mut world = with("reenter = \"always\"\nsteps = [{ send = \"one\" }]");
    world.event("go", json!({}));
    let again = world.snapshot.events[0].clone();
    world.commit(Origin::Live, |s| s.events.push(again));
    assert_eq!((world.snapshot.runs.len(), world.sent().len()), (1, 1));
}

#[test]
fn r02_a_write_that_changes_nothing_is_no_edge() {
    let mut world = World::new(
        "[journeys.j]\nlabel = { en = \"J\" }\nstart = { segment = \"orders.count > 0\" }\nreenter = \"always\"\nsteps = [{ send = \"one\" }]",
    );
    world.order(1_000);
    for _ in 0..3 {
        world.pass(3_600);
        world.commit(Origin::Live, |s| s.customer.first_name = Some("Some".into()));
    }
    assert_eq!(world.sent(), ["one 03-02 10:00"]);
}

#[test]
fn r03_what_happened_before_the_journey_went_live_or_arrives_late_starts_nothing() {
    let mut world = with("reenter = \"always\"\nsteps = [{ send = \"one\" }]");
    world.go("2026-03-05T10:00:00+01:00");
    world.event_at("go", json!({}), at("2026-03-02T09:59:00+01:00"), Origin::Live);
    world.event_at("go", json!({}), at("2026-03-04T09:59:00+01:00"), Origin::Live);
    world.event_at("go", json!({}), world.now, Origin::History);
    assert_eq!(world.snapshot.runs.len(), 0);
    world.event_at("go", json!({}), at("2026-03-04T10:01:00+01:00"), Origin::Live);
    assert_eq!(world.snapshot.runs.len(), 1, "less than a day late");
}

#[test]
fn r04_when_is_asked_for_half_an_hour_and_never_again_once_the_run_goes_on() {
    let mut world = with("when = \"orders.count == 1\"\nsteps = [{ wait = \"1d\" }, { send = \"one\" }]");
    world.event("go", json!({}));
    assert!(matches!(
        why(&world.book, &world.snapshot, world.now).outside[0].because,
        Outside::DoesNotQualify { .. }
    ));
    world.pass(1_000);
    world.order(1_000);
    world.pass(60);
    world.order(1_000);
    world.go("2026-03-04T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-03 10:00"], "two orders now, and that is for `exit` to say");
}

#[test]
fn r05_re_entry_counts_from_the_last_start_and_survives_a_new_name() {
    let mut world = with("reenter = \"after 10d\"\nsteps = [{ wait = \"5d\" }, { send = \"one\" }]");
    world.event("go", json!({}));
    let renamed = text("was = \"j\"\nreenter = \"after 10d\"\nsteps = [{ send = \"new\" }]");
    world.go("2026-03-11T10:00:00+01:00");
    let mut other = World::new(&renamed.replace("journeys.j", "journeys.k"));
    other.book.active_from = world.book.active_from.clone();
    world.book = other.book;
    world.event("go", json!({}));
    assert_eq!(world.snapshot.runs.len(), 1);
    world.go("2026-03-12T10:00:00+01:00");
    world.event("go", json!({}));
    assert_eq!(world.sent(), ["one 03-07 10:00", "new 03-12 10:00"]);
}

#[test]
fn r07_what_is_known_at_the_claim_and_not_yet_evaluated_stops_the_delivery() {
    for (key, value) in [
        ("exit", "\"orders.count > 0\""),
        ("goal", "{ when = \"event.name == 'order.placed'\", within = \"5d\" }"),
    ] {
        let mut world = with(&format!("{key} = {value}\nsteps = [{{ send = \"one\" }}]"));
        world.dispatching = false;
        world.event("go", json!({}));
        world.pass(60);
        let delivery = world.delivery("one").clone();
        assert_eq!(permits(&world.book, &world.snapshot, &delivery, world.now), Permit::Go);
        let mut unread = world.snapshot.clone();
        let now = world.now;
        unread.orders.push(crate::world::order("1", 1_000, now, now, Origin::Live));
        let permit = permits(&world.book, &unread, &delivery, now);
        assert_eq!(permit, Permit::Refuse(GuardReason::Over), "{key}");
    }
}

#[test]
fn r08_a_wait_follows_a_zone_that_changes_while_it_lasts() {
    let mut world = with("steps = [{ wait = \"1d\", at = \"18:00\" }, { send = \"one\" }]");
    world.event("go", json!({}));
    world.pass(60);
    world.commit(Origin::Live, |s| s.customer.time_zone = Some("America/New_York".into()));
    world.go("2026-03-05T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-04 00:00"], "six in the evening in New York");
}

#[test]
fn r09_a_pause_keeps_runs_and_what_is_overdue_by_its_end_is_missed() {
    let steps = "steps = [{ wait = \"1d\" }, { send = \"one\" }, { wait = \"3d\" }, { send = \"two\" }]";
    let mut world = with(steps);
    world.event("go", json!({}));
    let live = world.book.clone();
    world.book = with(&format!("mode = \"off\"\n{steps}")).book;
    world.go("2026-03-04T11:00:00+01:00");
    world.book = live;
    world.snapshot.mark.due_at = world.now;
    world.go("2026-03-10T10:00:00+01:00");
    assert_eq!(outcomes(&world)[1], "send:one missed");
    assert_eq!(world.sent(), ["two 03-06 10:00"], "counted from when it was due");
}

#[test]
fn r11_the_longest_way_through_the_tree_is_what_counts() {
    let long = text(
        "steps = [{ if = \"orders.count > 0\", then = [{ wait = \"300d\" }], else = [{ wait = \"10d\", id = \"short\" }] }, { wait = \"99d\", id = \"then\" }, { send = \"one\" }]",
    );
    let parse = |text: &str| {
        zyklus_engine::playbook::Playbook::parse("p.toml", text, &std::collections::BTreeMap::new())
    };
    assert_eq!(parse(&long).expect("it works").1, []);
    let warned = parse(&long.replace("99d", "101d")).expect("it works").1;
    assert_eq!(warned[0].message, "the waits of `j` add up to 401 days");
    let nodes = &playbook(&long).journeys[0].nodes;
    assert!(nodes.iter().enumerate().all(|(n, node)| node.next.is_none_or(|next| next > n)), "only forwards");
}

/// Somebody whom every guard keeps from a message, lifted one after the other.
#[test]
fn r12_guards_are_asked_in_their_order() {
    let mut world = with("holdout = 50\nsteps = [{ send = \"one\" }]");
    world.book.settings.holdout = GlobalHoldout { share: 50, epoch: 0 };
    let is_held = |world: &World| {
        let (book, snapshot) = (&world.book, &world.snapshot);
        held_globally(book, snapshot) && held_out(book, snapshot, &book.journeys[0])
    };
    for n in 0u8.. {
        world.snapshot.customer.id = CustomerId::derive(&[b"guards", &[n]]);
        if is_held(&world) {
            break;
        }
    }
    world.event("go", json!({}));
    let delivery = Delivery { state: DeliveryState::Pending, ..world.delivery("one").clone() };
    let late = delivery.expires_at.plus_micros(1);
    world.snapshot.runs[0].acted = vec![("send:one".into(), SENT_BEFORE.into())];
    let consents = std::mem::take(&mut world.snapshot.consents);
    let mut twin = with("steps = [{ send = \"one\" }]");
    twin.suppress();
    world.snapshot.suppressions = twin.snapshot.suppressions.clone();
    let asked = |world: &World| match permits(&world.book, &world.snapshot, &delivery, late) {
        Permit::Refuse(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(&world), GuardReason::Suppressed);
    world.snapshot.suppressions.clear();
    assert_eq!(asked(&world), GuardReason::NoConsent);
    world.snapshot.consents = consents;
    assert_eq!(asked(&world), GuardReason::GlobalHoldout);
    world.book.settings.holdout.share = 0;
    assert_eq!(asked(&world), GuardReason::JourneyHoldout);
    world.book.journeys[0].holdout = 0;
    assert_eq!(asked(&world), GuardReason::AlreadySent);
    world.snapshot.runs[0].acted.clear();
    assert_eq!(asked(&world), GuardReason::Expired);
}

fn one_a_day(world: &mut World) {
    let cap = FrequencyCap { channel: Some(Channel::Email), max: 1, per: CapWindow::Day };
    world.book.settings.caps = vec![cap];
}

#[test]
fn r14_a_capped_step_says_capped_and_the_run_goes_on_and_a_failed_one_frees_its_place() {
    let steps = "steps = [{ send = \"one\" }, { send = \"two\", expires = \"1h\" }, { if = \"sent('two')\", then = [{ tag = \"got-it\" }] }]";
    let mut world = with(steps);
    one_a_day(&mut world);
    world.event("go", json!({}));
    assert_eq!(outcomes(&world)[1], "send:two capped");
    assert_eq!((world.tags(), world.last_run().end), (vec![], Some(RunEnd::Completed)));

    let mut world = with("steps = [{ send = \"one\" }, { wait = \"1h\" }, { send = \"two\" }]");
    one_a_day(&mut world);
    world.event("go", json!({}));
    world.snapshot.deliveries[0].state = DeliveryState::Failed;
    world.go("2026-03-02T12:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-02 10:00", "two 03-02 11:00"], "what failed takes no place");
}

#[test]
fn r14_a_place_that_comes_free_only_when_the_message_expires_is_none() {
    let mut world = with("steps = [{ send = \"one\" }, { send = \"two\", expires = \"24h\" }]");
    one_a_day(&mut world);
    world.go("2026-03-03T00:00:00+01:00");
    world.event("go", json!({}));
    assert_eq!(outcomes(&world), ["send:one sent", "send:two capped"]);
}

#[test]
fn r14_what_was_due_yesterday_and_is_on_its_way_takes_its_place_today() {
    let mut world =
        with("reenter = \"always\"\noverlap = \"parallel\"\nkey = \"event.n\"\nsteps = [{ send = \"one\" }]");
    one_a_day(&mut world);
    world.go("2026-03-02T23:50:00+01:00");
    world.dispatching = false;
    world.event("go", json!({ "n": 1 }));
    world.event("go", json!({ "n": 2 }));
    world.go("2026-03-03T00:10:00+01:00");
    world.dispatching = true;
    world.go("2026-03-03T12:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-03 00:10"], "both were due before midnight");
}

#[test]
fn r15_the_next_wait_counts_from_the_actual_sending() {
    let mut world =
        with("steps = [{ wait = \"12h\" }, { send = \"one\" }, { wait = \"1h\" }, { send = \"two\" }]");
    quiet(&mut world);
    world.event("go", json!({}));
    world.go("2026-03-03T12:00:00+01:00");
    let (one, two) = (world.delivery("one").done_at, world.delivery("two").done_at);
    let (one, two) = (one.expect("sent"), two.expect("sent"));
    assert!(one >= at("2026-03-03T08:00:00+01:00") && one < at("2026-03-03T08:30:00+01:00"), "{one}");
    assert_eq!(two, one.plus_seconds(3_600));
}

#[test]
fn r19_who_is_no_recipient_any_more_gets_nothing_at_the_claim() {
    let mut world = with("mode = \"test\"\nsteps = [{ send = \"one\" }]");
    world.book.settings.test_recipients.insert("somebody@example.com".into());
    world.dispatching = false;
    world.event("go", json!({}));
    world.pass(60);
    let delivery = world.delivery("one").clone();
    assert_eq!(permits(&world.book, &world.snapshot, &delivery, world.now), Permit::Go);
    world.book.settings.test_recipients.clear();
    let permit = permits(&world.book, &world.snapshot, &delivery, world.now);
    assert_eq!(permit, Permit::Refuse(GuardReason::TestMode));
}

/// Segments as they are stored; re-deriving them anew is no edge.
#[test]
fn r02_rebuilding_a_segment_loses_nobodys_schedule_and_starts_nothing() {
    let mut world = World::new(
        "[journeys.j]\nlabel = { en = \"J\" }\nstart = { segment = \"orders.count > 0\" }\nreenter = \"always\"\nsteps = [{ wait = \"2d\" }, { send = \"one\" }]",
    );
    world.order(1_000);
    world.pass(3_600);
    let kept: Vec<SegmentState> = std::mem::take(&mut world.snapshot.segments);
    world.snapshot.mark.due_at = world.now;
    world.go("2026-03-06T10:00:00+01:00");
    assert_eq!(kept.len(), world.snapshot.segments.len());
    assert_eq!((world.snapshot.runs.len(), world.sent()), (1, vec!["one 03-04 10:00".to_owned()]));
}
