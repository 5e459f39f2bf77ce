//! What `why` tells agrees with what the decision did; and journeys that are paused, shown or restarted.

use serde_json::json;
use zyklus_engine::why::{Outside, why};
use zyklus_engine::{Mode, Permit, permits};
use zyklus_model::{DeliveryState, GuardReason, Origin};

use super::world::{World, at};

fn one(extra: &str) -> String {
    format!(
        "[journeys.one]\nlabel = {{ en = \"One\" }}\nstart = {{ event = \"go\" }}\n{extra}\n\
         steps = [{{ wait = \"1d\" }}, {{ send = \"mail\" }}]\n"
    )
}

fn outside(world: &World) -> Outside {
    let told = why(&world.book, &world.snapshot, world.now);
    assert_eq!(told.outside.len(), 1, "{told:#?}");
    told.outside[0].because.clone()
}

fn check(world: &World, expected: &str) {
    let text = format!("{:?}", outside(world));
    assert!(text.starts_with(expected), "expected {expected}, was told {text}");
}

#[test]
fn whoever_has_not_started_is_told_what_would_start_it() {
    let mut world = World::new(&one(""));
    check(&world, "NotStarted { start: \"the event go\" }");
    world.event_at("go", json!({}), at("2026-02-01T10:00:00Z"), Origin::History);
    check(&world, "BeforeActive");
    world.event_at("go", json!({}), at("2026-03-01T10:00:00Z"), Origin::Live);
    check(&world, "BeforeActive");
}

#[test]
fn whoever_has_been_in_it_is_told_whether_they_enter_again() {
    let mut world = World::new(&one("reenter = \"after 30d\""));
    world.event("go", json!({}));
    world.go("2026-03-05T10:00:00+01:00");
    check(&world, "Reentry { again_at: Some(");
    world.event("go", json!({}));
    check(&world, "Reentry { again_at: Some(");
    world.go("2026-05-05T10:00:00+01:00");
    world.pass(1);
    check(&world, "NotStarted");
    let mut world = World::new(&one("reenter = \"never\""));
    world.event("go", json!({}));
    world.go("2026-03-05T10:00:00+01:00");
    check(&world, "Reentry { again_at: None }");
}

#[test]
fn what_was_refused_once_is_not_about_to_start_when_its_condition_holds_later() {
    let mut world = World::new(&one("when = \"orders.count > 0\""));
    world.event("go", json!({}));
    check(&world, "DoesNotQualify");
    world.go("2026-03-05T10:00:00+01:00");
    world.order(5_000);
    assert_eq!(world.snapshot.runs.len(), 0);
    check(&world, "NotStarted");
}

#[test]
fn what_was_ignored_while_a_run_went_on_is_not_about_to_start_when_it_has_ended() {
    let mut world = World::new(&one("reenter = \"always\""));
    world.event("go", json!({}));
    world.pass(3_600);
    world.event("go", json!({}));
    world.go("2026-03-05T10:00:00+01:00");
    assert_eq!(world.snapshot.runs.len(), 1);
    check(&world, "NotStarted");
}

#[test]
fn a_condition_is_explained_with_the_event_it_was_judged_on() {
    let mut world = World::new(&one("when = \"event.size > 3\""));
    world.event("go", json!({ "size": 2 }));
    let Outside::DoesNotQualify { explained } = outside(&world) else { panic!("{:?}", outside(&world)) };
    assert!(explained.to_string().contains('2'), "{explained}");
}

#[test]
fn a_pending_message_of_a_journey_that_is_switched_off_waits() {
    let mut world = World::new(&one(""));
    world.dispatching = false;
    world.event("go", json!({}));
    world.go("2026-03-03T10:00:01+01:00");
    assert_eq!(world.delivery("mail").state, DeliveryState::Pending);
    world.book.journeys[0].mode = Mode::Off;
    let (delivery, now) = (world.delivery("mail").clone(), world.now);
    let Permit::Delay(until, GuardReason::Paused) = permits(&world.book, &world.snapshot, &delivery, now)
    else {
        panic!("it must wait");
    };
    assert!(until > now);
    world.dispatching = true;
    world.go("2026-03-03T12:00:00+01:00");
    assert!(world.sent().is_empty());
    world.book.journeys[0].mode = Mode::Live;
    world.go("2026-03-03T13:00:00+01:00");
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn a_pending_message_is_withdrawn_when_its_journey_goes_to_test() {
    let mut world = World::new(&one(""));
    world.dispatching = false;
    world.event("go", json!({}));
    world.go("2026-03-03T10:00:01+01:00");
    world.book.journeys[0].mode = Mode::Test;
    world.order(100);
    assert_eq!(world.delivery("mail").state, DeliveryState::Cancelled);
}

#[test]
fn a_journey_that_is_only_shown_takes_no_place_in_its_group() {
    let two = format!(
        "{}\n[journeys.two]\nlabel = {{ en = \"Two\" }}\nstart = {{ event = \"go\" }}\ngroup = \"g\"\n\
         steps = [{{ wait = \"1d\" }}, {{ send = \"other\" }}]\n",
        one("group = \"g\"\npriority = 90\nmode = \"shadow\"")
    );
    let mut world = World::new(&two);
    world.event("go", json!({}));
    world.go("2026-03-05T10:00:00+01:00");
    assert_eq!(world.sent(), ["other 03-03 10:00"]);
}

#[test]
fn something_older_does_not_restart_a_newer_run() {
    let mut world = World::new(&one("overlap = \"restart\"\nlate = \"7d\""));
    world.go("2026-03-03T10:00:00+01:00");
    world.event("go", json!({}));
    world.pass(3_600);
    world.event_at("go", json!({}), at("2026-03-03T08:00:00+01:00"), Origin::Live);
    assert_eq!(world.ends(), [None]);
    world.event("go", json!({}));
    assert_eq!(world.snapshot.runs.len(), 2, "a newer one does");
}

#[test]
fn a_changed_segment_is_a_changed_journey() {
    let definition = |condition: &str| {
        let text = format!(
            "[segments]\nbig = \"{condition}\"\n[journeys.one]\nlabel = {{ en = \"One\" }}\n\
             start = {{ segment = \"big\" }}\nsteps = [{{ send = \"mail\" }}]\n"
        );
        super::world::playbook(&text).journeys[0].definition.clone()
    };
    assert_eq!(definition("orders.count > 3"), definition("orders.count > 3"));
    assert_ne!(definition("orders.count > 3"), definition("orders.count > 4"));
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let phases = "label = { en = \"L\" }\n[[phases]]\nid = \"a\"\nlabel = { en = \"A\" }\nwhen = \"true\"\nhold = \"-3d\"\n";
    let problems = zyklus_engine::Lifecycle::parse("l", "l.toml", phases).unwrap_err();
    assert!(problems[0].to_string().contains("is negative"), "{}", problems[0]);
    for (per, words) in [("-7d", "is negative"), ("0d", "is no time at all")] {
        let text = format!("[caps]\nemail = {{ max = 1, per = \"{per}\" }}\n");
        let mut source = zyklus_engine::source::Source::new("zyklus.toml", &text);
        let document = source.parse().unwrap();
        let caps = document.get_ref().get("caps").unwrap();
        zyklus_engine::Settings::default().read_caps(&mut source, caps);
        assert!(source.problems[0].to_string().contains(words), "{}", source.problems[0]);
    }
}

#[test]
fn a_finished_run_that_only_recorded_leaves_a_trace_and_keeps_out_as_any_other() {
    for mode in ["shadow", "test"] {
        let mut world = World::new(&one(&format!("reenter = \"after 180d\"\nmode = \"{mode}\"")));
        world.event("go", json!({}));
        world.go("2026-03-08T10:00:00+01:00");
        let told = why(&world.book, &world.snapshot, world.now).outside.remove(0);
        assert!(matches!(told.because, Outside::Reentry { again_at: Some(_) }), "{mode}: {:?}", told.because);
        assert!(told.last_run.is_some() && told.last_run_recorded, "{mode}: {told:?}");
        assert_eq!(told.last_run_is_ghost, mode == "shadow", "{mode}: {told:?}");
        assert_eq!(
            told.last_run_acted.last().unwrap(),
            &("send:mail".to_owned(), "shadow".to_owned()),
            "{mode}"
        );
    }
}

#[test]
fn the_last_event_that_did_not_fit_is_told_of_with_its_values() {
    let text = "[journeys.one]\nlabel = { en = \"One\" }\n\
                start = { event = \"go\", where = \"event.total >= 100.0\" }\nsteps = [{ send = \"mail\" }]\n";
    let mut world = World::new(text);
    check(&world, "NotStarted");
    world.event_at("go", json!({ "total": 120.0 }), at("2026-02-01T10:00:00Z"), Origin::History);
    check(&world, "BeforeActive");
    world.event("go", json!({ "total": 99.99 }));
    let Outside::DoesNotFit { happened_at, explained } = outside(&world) else {
        panic!("{:?}", outside(&world))
    };
    assert_eq!(happened_at, world.now);
    let text = explained.to_string();
    assert!(text.contains("event.total >= 100.0") && text.contains("99.99"), "{text}");
}
