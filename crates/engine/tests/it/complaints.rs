//! What users of other systems report as wrong, and what happens here. Each test names the complaint.

use serde_json::json;
use zyklus_engine::settings::{CapWindow, FrequencyCap};
use zyklus_model::{Channel, DeliveryState, RunEnd};

use crate::rules::with;
use crate::world::World;

/// Braze: a month is 2,592,000 seconds.
#[test]
fn a_month_is_a_calendar_month() {
    let mut world = with("steps = [{ wait = \"1mo\" }, { send = \"one\" }]");
    world.event("go", json!({}));
    world.go("2026-05-01T10:00:00+02:00");
    assert_eq!(world.sent(), ["one 04-02 10:00"]);
}

/// Klaviyo: "1 day" is 24 hours without a time of day and a calendar day with one.
#[test]
fn a_day_is_a_calendar_day_with_a_time_and_without() {
    for (wait, sent) in [
        ("{ wait = \"1d\" }", "one 03-29 10:00"),
        ("{ wait = \"1d\", at = \"10:00\" }", "one 03-29 10:00"),
        ("{ wait = \"24h\" }", "one 03-29 11:00"),
    ] {
        let mut world = with(&format!("steps = [{wait}, {{ send = \"one\" }}]"));
        world.go("2026-03-28T10:00:00+01:00");
        world.event("go", json!({}));
        world.go("2026-03-31T10:00:00+02:00");
        assert_eq!(world.sent(), [sent], "{wait}");
    }
}

/// Salesforce: flows at two in the morning vanish on the day of the spring change.
#[test]
fn what_is_due_in_the_hour_that_does_not_exist_goes_an_hour_later() {
    let mut world = World::new(
        "[journeys.j]\nlabel = { en = \"J\" }\nstart = { schedule = \"daily 02:00\" }\nreenter = \"always\"\nsteps = [{ send = \"one\" }]",
    );
    world.go("2026-03-30T12:00:00+02:00");
    let sent = world.sent();
    assert_eq!(sent[sent.len() - 3..], ["one 03-28 02:00", "one 03-29 03:00", "one 03-30 02:00"]);
    assert_eq!(sent.len(), 28, "every day once");
}

/// Braze: somebody who re-enters before the canvas is over stands at two steps.
#[test]
fn re_entry_sooner_than_the_journey_is_long_never_puts_anybody_at_two_steps() {
    let mut world = with("reenter = \"after 1d\"\nsteps = [{ wait = \"5d\" }, { send = \"one\" }]");
    for day in 2..7 {
        world.go(&format!("2026-03-{day:02}T10:00:00+01:00"));
        world.event("go", json!({}));
        assert_eq!(world.live_runs(), 1);
    }
    world.go("2026-03-20T10:00:00+01:00");
    assert_eq!(world.sent().len(), 1, "while it went on the others were ignored");
}

/// Braze: an exit that looks back an hour, judged at the end of a delay, misses what happened within the delay.
#[test]
fn an_exit_that_looks_back_a_day_is_judged_when_it_happens_and_not_when_the_wait_ends() {
    let mut world = with(
        "exit = \"events.count('order.placed', 1) > 0\"\nsteps = [{ wait = \"5d\" }, { send = \"one\" }]",
    );
    world.event("go", json!({}));
    world.go("2026-03-04T10:00:00+01:00");
    world.order(1_000);
    assert_eq!(world.last_run().end, Some(RunEnd::Exit));
    world.go("2026-03-15T10:00:00+01:00");
    assert_eq!(world.sent(), Vec::<String>::new());
}

/// Braze and Klaviyo: a capped message is dropped.
#[test]
fn a_capped_message_waits_for_its_place() {
    let mut world = with("steps = [{ send = \"one\" }, { send = \"two\" }]");
    world.book.settings.caps =
        vec![FrequencyCap { channel: Some(Channel::Email), max: 1, per: CapWindow::Day }];
    world.event("go", json!({}));
    world.go("2026-03-04T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-02 10:00", "two 03-03 00:00"]);
}

/// Mautic 6405: people who were removed stay in the queue. Dittofeed, Mautic 7508: a pause throws people out, or never
/// resumes.
#[test]
fn a_pause_keeps_everybody_and_a_removed_journey_nobody() {
    let text = "steps = [{ send = \"one\", expires = \"3d\" }]";
    let mut world = with(text);
    world.dispatching = false;
    world.event("go", json!({}));
    let live = world.book.clone();
    world.book = with(&format!("mode = \"off\"\n{text}")).book;
    world.dispatching = true;
    world.snapshot.mark.due_at = world.now;
    world.go("2026-03-04T10:00:00+01:00");
    assert_eq!((world.live_runs(), world.sent().len()), (1, 0));
    world.book = live;
    world.snapshot.mark.due_at = world.now;
    world.pass(3_600);
    assert_eq!(world.sent().len(), 1);

    let mut world = with(text);
    world.dispatching = false;
    world.event("go", json!({}));
    world.book = World::new("").book;
    world.snapshot.mark.due_at = world.now;
    world.dispatching = true;
    world.pass(3_600);
    assert_eq!(world.delivery("one").state, DeliveryState::Cancelled);
    assert_eq!(world.ends(), [Some(RunEnd::Removed)]);
}

/// Iterable: "profile update" fires although the value did not change.
#[test]
fn a_profile_that_is_written_again_starts_nothing() {
    let mut world = World::new(
        "[journeys.j]\nlabel = { en = \"J\" }\nstart = { segment = \"customer.country == 'AT'\" }\nreenter = \"always\"\nsteps = [{ send = \"one\" }]",
    );
    for country in ["AT", "AT", "DE", "AT", "AT"] {
        world.pass(3_600);
        world.commit(zyklus_model::Origin::Live, |s| s.customer.country = Some(country.into()));
    }
    assert_eq!(world.sent().len(), 2, "came in twice");
}
