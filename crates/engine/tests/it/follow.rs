//! Runs in flight when the files change (rule R10), and what other products make of that (each test of such a
//! complaint names the product).

use serde_json::json;
use zyklus_engine::playbook::Playbook;
use zyklus_engine::{Journey, Mode};
use zyklus_model::{DeliveryState, Origin, Run, RunEnd, RunState};

use crate::world::{World, shipped, starter};

fn text(rest: &str) -> String {
    named("j", rest)
}

fn named(name: &str, rest: &str) -> String {
    format!("[journeys.{name}]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"go\" }}\n{rest}\n")
}

fn steps(steps: &str) -> String {
    text(&format!("steps = [{steps}]"))
}

/// A run that has begun at ten on 2 March.
fn begun(list: &str) -> World {
    let mut world = World::new(&steps(list));
    world.event("go", json!({}));
    world
}

fn day(world: &mut World, day: u32) {
    world.go(&format!("2026-03-{day:02}T10:00:00+01:00"));
}

/// What was sent in the end when the definition became another on 5 March.
fn sent_after(old: &str, new: &str) -> Vec<String> {
    let mut world = begun(old);
    day(&mut world, 5);
    world.edit(&steps(new));
    day(&mut world, 28);
    assert_eq!(world.live_runs(), 0);
    world.sent()
}

const THREE: &str =
    "{ send = \"a\" }, { wait = \"5d\" }, { send = \"b\" }, { wait = \"5d\" }, { send = \"c\" }";

#[test]
fn r10_klaviyo_a_longer_wait_holds_for_those_who_wait_already() {
    let longer = THREE.replacen("5d", "8d", 1);
    assert_eq!(sent_after(THREE, &longer), ["a 03-02 10:00", "b 03-10 10:00", "c 03-15 10:00"]);
}

#[test]
fn r10_mautic_838_a_new_time_of_day_reschedules_those_who_wait() {
    let later = THREE.replacen("\"5d\"", "\"5d\", at = \"17:30\"", 1);
    assert_eq!(sent_after(THREE, &later), ["a 03-02 10:00", "b 03-07 17:30", "c 03-12 17:30"]);
}

#[test]
fn r10_customer_io_who_has_waited_long_enough_goes_on_at_once_and_the_next_wait_counts_from_then() {
    let shorter = THREE.replacen("5d", "1d", 1);
    assert_eq!(sent_after(THREE, &shorter), ["a 03-02 10:00", "b 03-05 10:00", "c 03-10 10:00"]);
    // Not long enough yet: from when it was reached, not from the change.
    let shorter = THREE.replacen("5d", "4d", 1);
    assert_eq!(sent_after(THREE, &shorter), ["a 03-02 10:00", "b 03-06 10:00", "c 03-11 10:00"]);
}

#[test]
fn r10_what_was_overdue_before_the_change_is_missed_all_the_same() {
    let mut world = begun(THREE);
    world.awake = false;
    day(&mut world, 20);
    world.awake = true;
    world.edit(&steps(&THREE.replacen("5d", "1d", 1)));
    assert_eq!(world.delivery("b").reason, Some(zyklus_model::GuardReason::Missed));
    assert_eq!(world.sent(), ["a 03-02 10:00"], "due on 7 March, in vain, and then 8 days ago again");
}

#[test]
fn r10_braze_nobody_stays_in_a_delay_that_is_gone() {
    let gone = "{ send = \"a\" }, { send = \"b\" }, { wait = \"5d\" }, { send = \"c\" }";
    assert_eq!(sent_after(THREE, gone), ["a 03-02 10:00", "b 03-05 10:00", "c 03-10 10:00"]);
}

#[test]
fn r10_a_step_that_is_gone_gives_way_to_the_first_later_one() {
    let gone = "{ send = \"a\" }, { wait = \"5d\" }, { send = \"c\" }";
    // The wait for b is gone with b; the one for c begins.
    assert_eq!(sent_after(THREE, gone), ["a 03-02 10:00", "c 03-10 10:00"]);
    assert_eq!(sent_after(THREE, "{ send = \"x\" }"), ["a 03-02 10:00"], "nowhere to go");
}

#[test]
fn r10_a_wait_for_a_mail_that_was_replaced_is_the_same_wait() {
    let replaced = THREE.replace("\"b\"", "\"b-new\"");
    assert_eq!(sent_after(THREE, &replaced), ["a 03-02 10:00", "b-new 03-07 10:00", "c 03-12 10:00"]);
    let tagged = THREE.replace("{ send = \"b\" }", "{ tag = \"t\" }, { send = \"b\" }");
    assert_eq!(sent_after(THREE, &tagged), ["a 03-02 10:00", "b 03-07 10:00", "c 03-12 10:00"]);
}

#[test]
fn r10_what_is_inserted_behind_never_runs_and_what_is_inserted_ahead_does() {
    let more = "{ send = \"before\" }, { send = \"a\" }, { wait = \"1d\" }, { send = \"between\" }, { wait = \"5d\" }, \
                { send = \"b\" }, { send = \"ahead\" }, { wait = \"5d\" }, { send = \"c\" }";
    let expected = ["a 03-02 10:00", "b 03-07 10:00", "ahead 03-07 10:00", "c 03-12 10:00"];
    assert_eq!(sent_after(THREE, more), expected);
}

#[test]
fn r10_a_step_taken_once_never_acts_again_wherever_it_is_moved() {
    let moved = "{ wait = \"5d\" }, { send = \"b\" }, { send = \"a\" }, { wait = \"5d\" }, { send = \"c\" }";
    assert_eq!(sent_after(THREE, moved), ["a 03-02 10:00", "b 03-07 10:00", "c 03-12 10:00"]);
}

const BRANCH: &str = "{ if = \"orders.count == 0\", id = \"new\", then = [{ wait = \"9d\", id = \"w\" }, { send = \"x\" }, { send = \"y\" }], \
                      else = [{ send = \"z\" }] }, { send = \"end\" }";

#[test]
fn r10_a_run_stays_in_its_branch_or_comes_out_of_it() {
    let gone = |list: &str| {
        BRANCH.replace("{ wait = \"9d\", id = \"w\" }, { send = \"x\" }, { send = \"y\" }", list)
    };
    assert_eq!(sent_after(BRANCH, &gone("{ send = \"y\" }")), ["y 03-05 10:00", "end 03-05 10:00"]);
    // Never into the other way.
    assert_eq!(sent_after(BRANCH, &gone("{ tag = \"t\" }")), ["end 03-05 10:00"]);
    // A step moved into a branch nobody has chosen for this run is not where it goes on.
    let hidden =
        "{ if = \"orders.count == 0\", id = \"other\", then = [{ send = \"y\" }] }, { send = \"end\" }";
    assert_eq!(sent_after(BRANCH, hidden), ["end 03-05 10:00"]);
    // Moved outwards it is.
    assert_eq!(sent_after(BRANCH, "{ send = \"y\" }"), ["y 03-05 10:00"]);
}

#[test]
fn r10_two_waits_for_the_same_step_need_a_name() {
    let twice = steps("{ wait = \"1d\" }, { wait = \"2h\", until = \"orders.count > 0\" }, { send = \"a\" }");
    let problems = Playbook::parse("p.toml", &twice, &std::collections::BTreeMap::new()).unwrap_err();
    assert_eq!(problems[0].message, "`journeys.j` has two steps `wait:send:a`");
    assert_eq!(
        problems[0].help.as_deref(),
        Some("give one of them a name, for example id = \"wait-send-a-2\"")
    );
}

#[test]
fn r10_waits_are_named_after_what_they_lead_to() {
    let world = World::new(&steps(
        "{ wait = \"1d\" }, { if = \"orders.count == 0\", then = [{ send = \"a\" }, { wait = \"1d\" }] }, { tag = \"t\" }, \
         { wait = \"2d\" }, { if = \"orders.count == 1\", id = \"one\", then = [{ exit = \"x\" }] }, { wait = \"3d\" }",
    ));
    let ids: Vec<&str> = world.book.journeys[0].nodes.iter().map(|n| n.id.as_str()).collect();
    let expected = [
        "wait:send:a",
        "if:orders.count == 0",
        "send:a",
        "wait:tag:t",
        "tag:t",
        "wait:one",
        "one",
        "exit:x",
        "wait:end",
    ];
    assert_eq!(ids, expected);
}

#[test]
fn r10_finish_stays_on_what_it_was_and_newcomers_take_what_it_is() {
    let list = |on_change: &str, mail: &str, wait: &str| {
        text(&format!(
            "reenter = \"always\"\non_change = \"{on_change}\"\nsteps = [{{ wait = \"{wait}\" }}, {{ send = \"{mail}\" }}]"
        ))
    };
    let mut world = World::new(&list("follow", "old", "9d"));
    world.event("go", json!({}));
    day(&mut world, 5);
    world.edit(&list("finish", "new", "1d"));
    assert_eq!(world.live_runs(), 1);
    day(&mut world, 12);
    assert_eq!(world.sent(), ["old 03-11 10:00"]);
    world.event("go", json!({}));
    day(&mut world, 20);
    assert_eq!(world.sent(), ["old 03-11 10:00", "new 03-13 10:00"]);
    assert_eq!(world.ends(), [Some(RunEnd::Completed); 2]);
}

#[test]
fn r10_a_run_that_finishes_can_still_be_paused_and_taken_along_later() {
    let list = |keys: &str, wait: &str| {
        text(&format!("{keys}\nsteps = [{{ wait = \"{wait}\" }}, {{ send = \"one\" }}]"))
    };
    let mut world = World::new(&list("", "9d"));
    world.event("go", json!({}));
    world.edit(&list("on_change = \"finish\"\nmode = \"off\"", "20d"));
    day(&mut world, 12);
    assert_eq!((world.sent().len(), world.live_runs()), (0, 1), "off is off");
    world.edit(&list("on_change = \"follow\"", "12d"));
    day(&mut world, 28);
    assert_eq!(world.sent(), ["one 03-14 10:00"]);
}

#[test]
fn r10_exit_ends_all_and_takes_their_messages_back() {
    let mut world = World::new(&text("steps = [{ send = \"one\" }, { wait = \"1d\" }]"));
    world.dispatching = false;
    world.event("go", json!({}));
    world.edit(&text("on_change = \"exit\"\nsteps = [{ send = \"one\" }, { wait = \"1d\" }]"));
    assert_eq!(world.live_runs(), 1, "what a change means is none");
    world.edit(&text("on_change = \"exit\"\nsteps = [{ send = \"one\" }, { wait = \"2d\" }]"));
    assert_eq!(world.ends(), [Some(RunEnd::Exit)]);
    assert_eq!(world.last_run().end_reason.as_deref(), Some("its definition changed"));
    assert_eq!(world.delivery("one").state, DeliveryState::Cancelled);
}

#[test]
fn r10_what_a_change_means_can_stand_in_the_defaults() {
    let world = World::new(&format!("[defaults]\non_change = \"exit\"\n{}", steps("{ send = \"a\" }")));
    assert_eq!(world.book.journeys[0].on_change, zyklus_engine::playbook::OnChange::Exit);
}

#[test]
fn r10_a_waiting_message_says_what_its_step_says_now() {
    let mut world = World::new(&steps("{ send = \"one\", id = \"s\" }, { wait = \"1d\" }"));
    world.dispatching = false;
    world.event("go", json!({}));
    let id = world.delivery("one").id;
    world.edit(&steps("{ send = \"two\", id = \"s\", purpose = \"service\", with = { a = 1 }, expires = \"3d\" }, { wait = \"1d\" }"));
    let delivery = world.delivery("two");
    assert_eq!((delivery.id, delivery.purpose, delivery.capped), (id, zyklus_model::Purpose::Service, false));
    assert_eq!(delivery.payload["with"], json!({ "a": 1 }));
    assert_eq!(delivery.expires_at, delivery.created_at.plus_days(3));
    world.dispatching = true;
    world.pass(10);
    assert_eq!(world.sent(), ["two 03-02 10:00"]);
    assert_eq!(world.last_run().acted, [("s".into(), "sent".into())]);
}

#[test]
fn r10_a_waiting_message_whose_step_is_gone_is_taken_back() {
    let mut world = World::new(&steps("{ send = \"one\" }, { wait = \"1d\" }, { send = \"two\" }"));
    world.dispatching = false;
    world.event("go", json!({}));
    world.edit(&steps("{ wait = \"1d\" }, { send = \"two\" }"));
    assert_eq!(world.delivery("one").state, DeliveryState::Cancelled);
    world.dispatching = true;
    // Taken back is taken back, and not sent when its step comes again.
    world.edit(&steps("{ wait = \"1d\" }, { send = \"one\" }, { send = \"two\" }"));
    day(&mut world, 20);
    assert_eq!(world.sent(), ["two 03-03 10:00"]);
}

#[test]
fn r10_a_renamed_journey_keeps_runs_entries_holdout_and_since_when_it_is_live() {
    let list = "holdout = 50\nsteps = [{ wait = \"5d\" }, { send = \"one\" }]";
    let mut world = World::new(&text(list));
    world.event("go", json!({}));
    let (run, active_from): (Run, _) = (world.last_run().clone(), world.book.active_from["j"]);
    day(&mut world, 3);
    world.edit(&named("k", &format!("was = \"j\"\n{list}")));
    assert_eq!(world.book.active_from, [("j".to_owned(), active_from)].into());
    assert_eq!(world.last_run(), &run, "nothing that it lives by has changed");
    day(&mut world, 10);
    world.event("go", json!({}));
    assert_eq!(world.ends(), [Some(RunEnd::Completed)], "once is once under every name");
    assert_eq!(world.delivery("one").state == DeliveryState::Shadow, run.ghost);
}

#[test]
fn r10_a_renamed_journey_keeps_who_is_inside_its_condition() {
    let list = |keys: &str| {
        format!(
            "{keys}start = {{ segment = \"orders.count == 0\" }}\nreenter = \"always\"\nsteps = [{{ send = \"one\" }}]\n"
        )
    };
    let mut world = World::new(&format!("[journeys.j]\nlabel = {{ en = \"J\" }}\n{}", list("")));
    let inside = world.snapshot.segments.clone();
    world.edit(&format!("[journeys.k]\nlabel = {{ en = \"K\" }}\n{}", list("was = \"j\"\n")));
    assert_eq!(world.snapshot.segments, inside);
    assert_eq!(world.snapshot.runs.len(), 0);
}

#[test]
fn r10_dittofeed_nobody_is_thrown_out_by_a_pause_and_mautic_7508_what_waited_goes_on_after_it() {
    let list = |mode: &str| {
        text(&format!(
            "mode = \"{mode}\"\nsteps = [{{ wait = \"2d\" }}, {{ send = \"b\", expires = \"4d\" }}, {{ wait = \"2d\" }}, {{ send = \"c\" }}]"
        ))
    };
    let mut world = World::new(&list("live"));
    world.event("go", json!({}));
    day(&mut world, 3);
    world.edit(&list("off"));
    day(&mut world, 7);
    assert_eq!((world.sent().len(), world.live_runs()), (0, 1));
    world.edit(&list("live"));
    day(&mut world, 20);
    assert_eq!(world.sent(), ["b 03-07 10:00", "c 03-09 10:00"], "three days late is within its four");
}

#[test]
fn r10_braze_a_message_that_waited_through_a_pause_is_not_lost() {
    let list =
        |mode: &str| text(&format!("mode = \"{mode}\"\nsteps = [{{ send = \"a\", expires = \"4d\" }}]"));
    let mut world = World::new(&list("live"));
    world.dispatching = false;
    world.event("go", json!({}));
    world.edit(&list("off"));
    world.dispatching = true;
    day(&mut world, 4);
    assert_eq!(world.sent().len(), 0);
    world.edit(&list("live"));
    world.pass(700);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn r10_mautic_13176_steps_behind_one_that_starts_another_journey_run() {
    let other = "[journeys.other]\nlabel = { en = \"O\" }\nstart = { segment = \"'moved' in customer.tags\" }\nsteps = [{ send = \"other\" }]\n";
    let mut world = World::new(&format!(
        "{}{other}",
        steps("{ tag = \"moved\" }, { wait = \"1d\" }, { send = \"after\" }")
    ));
    world.event("go", json!({}));
    day(&mut world, 10);
    assert_eq!(world.sent(), ["other 03-02 10:00", "after 03-03 10:00"]);
}

#[test]
fn r10_mautic_6447_a_restart_does_not_skip_the_first_mail() {
    let list = text(
        "overlap = \"restart\"\nreenter = \"always\"\nsteps = [{ send = \"a\" }, { wait = \"5d\" }, { send = \"b\" }]",
    );
    let mut world = World::new(&list);
    world.event("go", json!({}));
    day(&mut world, 4);
    // A run begun anew sends from the first step on; and so does one begun while the files change.
    world.event("go", json!({}));
    day(&mut world, 5);
    world.edit_unseen(&list.replace("5d", "6d"));
    world.event("go", json!({}));
    day(&mut world, 20);
    assert_eq!(world.sent(), ["a 03-02 10:00", "a 03-04 10:00", "a 03-05 10:00", "b 03-11 10:00"]);
}

#[test]
fn r10_mautic_2419_looking_at_everybody_again_moves_nobody() {
    let mut world = begun(THREE);
    day(&mut world, 5);
    let runs = world.snapshot.runs.clone();
    world.edit(&format!("# no change\n{}{}", steps(THREE), named("more", "steps = [{ send = \"m\" }]")));
    assert_eq!(world.snapshot.runs, runs);
}

#[test]
fn r10_a_journey_is_built_again_from_the_text_it_is_kept_as() {
    let odd = "[segments]\nbig = \"orders.revenue > 0.5e1\"\n[defaults]\nreenter = \"after 5d\"\npriority = 0x1F\n[journeys.j]\nlabel = { en = \"A \\\"b\\\" \\\\ \\u0007\" }\n\
               start = { segment = \"big\" }\nwas = \"i\"\nsteps = [\n  { send = \"a\", with = { n = 1_000, f = 1.5, b = true, d = 2026-01-01, l = [1, \"x\"], t = { u = \"ü\" } } },\n]\n";
    let mut books = [starter().journeys, World::new(odd).book.journeys];
    assert!(shipped("playbooks").len() > 3);
    for journey in books.iter_mut().flatten() {
        let mut again = Journey::rebuild(&journey.definition, &journey.text).expect("it reads");
        assert_eq!(again.definition, journey.definition);
        assert_eq!(again.text, journey.text);
        again.place.clone_from(&journey.place);
        assert_eq!(again, *journey);
        let parsed = Playbook::parse("p.toml", &journey.text, &std::collections::BTreeMap::new()).unwrap().0;
        assert_eq!(parsed.journeys[0].definition, journey.definition, "the text has the same hash");
    }
    assert_eq!(books[1][0].mode, Mode::Live);
}

#[test]
fn r10_without_the_old_definition_a_run_goes_on_at_its_step_or_ends() {
    let mut world = begun(THREE);
    world.book.definitions.clear();
    world.edit_unseen(&steps(&THREE.replacen("5d", "6d", 1)));
    world.book.definitions.clear();
    world.settle();
    assert_eq!(world.last_run().state, RunState::Live);
    world.edit_unseen(&steps("{ send = \"c\" }"));
    world.book.definitions.clear();
    world.settle();
    assert_eq!(world.ends(), [Some(RunEnd::StepRemoved)]);
}

#[test]
fn r10_a_run_that_has_given_way_is_brought_over_when_its_turn_comes() {
    let list = |wait: &str, other: &str| {
        format!(
            "{}[journeys.other]\nlabel = {{ en = \"O\" }}\nstart = {{ event = \"stop\" }}\ngroup = \"g\"\npriority = 90\nsteps = [{other}]\n",
            text(&format!(
                "group = \"g\"\npriority = 10\nsteps = [{{ wait = \"{wait}\" }}, {{ send = \"a\", expires = \"1h\" }}]"
            ))
        )
    };
    let four = "{ wait = \"4d\" }, { tag = \"t\" }";
    let mut world = World::new(&list("5d", four));
    world.pass(60);
    world.event("go", json!({}));
    day(&mut world, 3);
    world.event("stop", json!({}));
    assert_eq!(world.snapshot.runs[0].state, RunState::Waiting);
    day(&mut world, 4);
    let before = world.snapshot.runs[0].clone();
    world.edit(&list("2h", four));
    assert_eq!(world.snapshot.runs[0], before, "it stands still");
    day(&mut world, 12);
    // Due the day before by the new wait, and by the change alone: it goes when its turn has come.
    assert_eq!(world.sent(), ["a 03-07 10:00"]);
    assert_eq!(world.live_runs(), 0);
}

#[test]
fn r10_a_run_that_finishes_is_over_by_its_own_exit_and_not_by_the_new_one() {
    let old = text("steps = [{ wait = \"1d\" }, { send = \"a\" }]");
    let new = text("on_change = \"finish\"\nexit = \"orders.count == 0\"\nsteps = [{ wait = \"2d\" }]");
    let mut world = World::new(&old);
    world.event("go", json!({}));
    world.edit(&new);
    day(&mut world, 10);
    assert_eq!(world.sent(), ["a 03-03 10:00"]);
}

#[test]
fn r10_a_goal_that_comes_to_end_runs_ends_those_that_have_reached_it() {
    let goal = |stay: bool| {
        let goal = "{ when = \"event.name == 'order.placed'\", within = \"30d\"";
        text(&format!("goal = {goal}, stay = {stay} }}\nsteps = [{{ wait = \"5d\" }}, {{ send = \"a\" }}]"))
    };
    let mut world = World::new(&goal(true));
    world.event("go", json!({}));
    world.pass(60);
    world.order(1_000);
    assert_eq!(world.ends(), [None]);
    world.edit(&goal(false));
    assert_eq!(world.ends(), [Some(RunEnd::Goal)]);
    day(&mut world, 20);
    assert!(world.sent().is_empty());
}

#[test]
fn another_file_or_zone_does_not_bring_back_an_hour_that_has_passed() {
    let text = |hour: &str| {
        format!(
            "[journeys.j]\nlabel = {{ en = \"J\" }}\nreenter = \"always\"\nstart = {{ schedule = \"daily {hour}\" }}\nsteps = [{{ send = \"hello\" }}]"
        )
    };
    let mut world = World::new(&text("18:00"));
    world.go("2026-03-03T12:00:00+01:00");
    world.edit(&text("09:00"));
    world.go("2026-03-04T12:00:00+01:00");
    assert_eq!(world.sent(), ["hello 03-02 18:00", "hello 03-04 09:00"], "nine had passed on the third");
    // Nine in Apia was at nine in the evening in Berlin.
    world.commit(Origin::Live, |s| s.customer.time_zone = Some("Pacific/Apia".into()));
    world.go("2026-03-04T22:00:00+01:00");
    assert_eq!(world.sent().last().map(String::as_str), Some("hello 03-04 21:00"));
    world.commit(Origin::Live, |s| s.customer.time_zone = Some("Africa/Cairo".into()));
    world.go("2026-03-05T07:00:00+01:00");
    assert_eq!(world.sent().len(), 3, "nine in Cairo had passed before they moved there");
}
