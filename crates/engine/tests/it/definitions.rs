//! What happens to running runs when the files change, and what counts as a change (rules R10, R11).

use std::collections::BTreeMap;

use serde_json::json;
use zyklus_engine::playbook::Playbook;
use zyklus_model::{DeliveryState, RunEnd, RunState};

use crate::world::{LIFECYCLE, World, lifecycle, playbook};

fn text(name: &str, rest: &str) -> String {
    format!("[journeys.{name}]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"go\" }}\n{rest}")
}

fn rewrite(world: &mut World, journeys: &str) {
    world.edit(journeys);
    world.pass(1);
}

#[test]
fn a_journey_gone_from_the_files_ends_its_runs_and_takes_back_its_messages() {
    let mut world =
        World::new(&text("j", "steps = [{ send = \"one\" }, { wait = \"1d\" }, { send = \"two\" }]"));
    world.dispatching = false;
    world.event("go", json!({}));
    rewrite(&mut world, &text("other", "steps = [{ send = \"three\" }]"));
    assert_eq!(world.ends(), [Some(RunEnd::Removed)]);
    assert_eq!(world.delivery("one").state, DeliveryState::Cancelled);
}

#[test]
fn a_changed_wait_counts_from_when_the_step_was_reached() {
    let mut world = World::new(&text("j", "steps = [{ wait = \"10d\", id = \"w\" }, { send = \"one\" }]"));
    world.event("go", json!({}));
    world.go("2026-03-04T10:00:00+01:00");
    rewrite(&mut world, &text("j", "steps = [{ wait = \"3d\", id = \"w\" }, { send = \"one\" }]"));
    world.go("2026-03-20T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-05 10:00"]);
}

#[test]
fn a_step_that_is_gone_ends_the_run_and_says_so() {
    let mut world = World::new(&text("j", "steps = [{ wait = \"10d\" }, { send = \"one\" }]"));
    world.event("go", json!({}));
    rewrite(&mut world, &text("j", "steps = [{ send = \"two\" }]"));
    assert_eq!(world.ends(), [Some(RunEnd::StepRemoved)]);
}

#[test]
fn a_step_already_taken_never_acts_again_wherever_it_is_moved() {
    let mut world = World::new(&text(
        "j",
        "steps = [{ send = \"one\" }, { tag = \"t\" }, { wait = \"1d\" }, { send = \"two\" }]",
    ));
    world.event("go", json!({}));
    let moved = "steps = [{ wait = \"1d\" }, { tag = \"t\" }, { send = \"one\" }, { wait = \"2d\" }, { send = \"two\" }]";
    rewrite(&mut world, &text("j", moved));
    world.go("2026-03-20T10:00:00+01:00");
    assert_eq!(world.sent(), ["one 03-02 10:00", "two 03-04 10:00"]);
    let tagged = world.last_run().acted.iter().filter(|(step, _)| step == "tag:t").count();
    assert_eq!(tagged, 1);
}

#[test]
fn a_renamed_journey_keeps_its_runs_its_entries_and_its_name_in_conditions() {
    let steps = "steps = [{ wait = \"1d\" }, { send = \"one\" }]";
    let mut world = World::new(&text("j", steps));
    world.event("go", json!({}));
    let renamed = format!(
        "{}\n{}",
        text("k", &format!("was = \"j\"\n{steps}")),
        text("asks", "when = \"journey('k').state == 'completed'\"\nsteps = [{ send = \"after\" }]"),
    );
    rewrite(&mut world, &renamed);
    assert_eq!(world.last_run().state, RunState::Live);
    world.book.active_from.insert("asks".into(), world.now);
    world.go("2026-03-04T10:00:00+01:00");
    world.event("go", json!({}));
    assert_eq!(world.sent(), ["one 03-03 10:00", "after 03-04 10:00"]);
}

#[test]
fn a_phase_can_follow_what_became_of_a_journey() {
    let phases =
        LIFECYCLE.replace("when = \"orders.count >= 3\"", "when = \"journey('j').state == 'completed'\"");
    let mut world = World::unseen(&phases, &text("j", "steps = [{ wait = \"1h\" }, { tag = \"t\" }]"));
    world.pass(1);
    world.event("go", json!({}));
    world.pass(3_600);
    world.settle();
    assert_eq!(world.phase(), "loyal", "at once, not at the next fact");
}

#[test]
fn a_phase_can_follow_a_journey_that_has_begun() {
    let phases = LIFECYCLE.replace("when = \"orders.count >= 3\"", "when = \"journey('j').state == 'live'\"");
    let mut world = World::unseen(&phases, &text("j", "steps = [{ wait = \"1h\" }, { send = \"one\" }]"));
    world.pass(1);
    world.event("go", json!({}));
    assert_eq!(world.phase(), "loyal");
    world.pass(3_600);
    world.settle();
    assert_eq!(world.phase(), "reach");
}

#[test]
fn only_what_decides_is_part_of_a_definition() {
    let hash = |text: &str| {
        let (book, _) = Playbook::parse("play.toml", text, &BTreeMap::new()).unwrap();
        book.journeys[0].definition.clone()
    };
    let plain = text("j", "steps = [{ wait = \"1d\" }, { send = \"one\" }]");
    let same = [
        format!("# a comment\n{plain}"),
        plain.replace("steps = ", "steps    =   "),
        plain.replace("[{ wait", "[\n  # now\n  { wait"),
        plain.replace("en = \"J\"", "en = \"Another name\""),
        format!(
            "{plain}\n[journeys.z]\nlabel = {{ en = \"Z\" }}\nstart = {{ event = \"z\" }}\nsteps = [{{ send = \"z\" }}]"
        ),
    ];
    for other in same {
        assert_eq!(hash(&plain), hash(&other), "{other}");
    }
    let different = [
        plain.replace("1d", "2d"),
        plain.replace("steps", "priority = 51\nsteps"),
        format!("{plain}\n[journeys.j.goal]\nwhen = \"orders.count > 0\"\nwithin = \"1d\""),
        format!("[defaults]\nholdout = 5\n{plain}"),
    ];
    for other in different {
        assert_ne!(hash(&plain), hash(&other), "{other}");
    }
    let tables = |within: &str| {
        hash(&format!("{plain}\n[journeys.j.goal]\nwhen = \"orders.count > 0\"\nwithin = \"{within}\""))
    };
    assert_ne!(tables("1d"), tables("2d"), "a table below the journey's own belongs to it");
}

#[test]
fn a_lifecycles_definition_follows_its_rules_and_not_its_labels() {
    let plain = lifecycle(LIFECYCLE).definition;
    assert_eq!(plain, lifecycle(&LIFECYCLE.replace("\"Loyal\"", "\"Faithful\"")).definition);
    assert_ne!(plain, lifecycle(&LIFECYCLE.replace(">= 3", ">= 4")).definition);
    let held =
        LIFECYCLE.replace("when = \"orders.count >= 3\"", "when = \"orders.count >= 3\"\nhold = \"3d\"");
    assert_ne!(plain, lifecycle(&held).definition);
}

#[test]
fn the_defaults_of_a_file_hold_for_its_journeys_and_are_overridden_by_them() {
    let book = playbook(
        r#"
        [defaults]
        priority = 70
        reenter = "always"
        [journeys.a]
        label = { en = "A" }
        start = { event = "go" }
        steps = [{ send = "a" }]
        [journeys.b]
        label = { en = "B" }
        start = { event = "go" }
        priority = 20
        steps = [{ send = "b" }]"#,
    );
    let priorities: Vec<u8> = book.journeys.iter().map(|j| j.priority).collect();
    assert_eq!(priorities, [70, 20]);
    assert!(book.journeys.iter().all(|j| j.reenter.is_some()));
}

#[test]
fn phases_that_demand_each_other_move_nobody() {
    let circle = LIFECYCLE
        .replace("orders.days_since_last > 90 && orders.count > 0", "phase.id == 'loyal'")
        .replace("orders.count >= 3", "phase.id == 'lapsed' || orders.count >= 3");
    let mut world = World::unseen(&circle, "");
    world.settle();
    for _ in 0..3 {
        world.order(1_000);
        world.pass(86_400);
    }
    assert_eq!(world.phase(), "buyer");
    assert_eq!(world.transitions.len(), 2);
}
