//! Properties of deciding over random lifecycles, playbooks and lives: stepping through time gives what looking at
//! everything at once gives, and nothing happens before `revisit_at`. `ZYKLUS_PROPTEST_CASES` sets how many are tried.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use zyklus_engine::decide;
use zyklus_engine::facts::Standing;
use zyklus_engine::phase::{classify, replay};
use zyklus_engine::settings::{CapWindow, FrequencyCap};
use zyklus_engine::wait::Length;
use zyklus_engine::zone::zone_of;
use zyklus_model::{At, Channel, DAY_MICROS, DeliveryState, RunEnd, RunState};

use crate::sequences::{
    any_steps, journeys, plain_lifecycle, prompt_steps, remembering_lifecycle, shipped_lifecycle,
};
use crate::world::{World, starter};

/// As many cases as the environment asks for, else so many.
pub(crate) fn cases(otherwise: u32) -> Config {
    let cases = std::env::var("ZYKLUS_PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    let config = Config { failure_persistence: None, ..Config::default() };
    Config { cases: cases.unwrap_or(otherwise), ..config }
}

/// Instants before an evaluation is due: the second after now, every second of the last minute, and some between.
fn instants_before(now: At, due: Option<At>) -> Vec<At> {
    let end = due.map_or(now.plus_days(400), |due| due.min(now.plus_days(400)));
    let seconds = (1..=30).map(|second| end.plus_seconds(-second));
    let edges = [now.plus_micros(1), now.plus_seconds(1), end.plus_micros(-1)];
    let length = end.micros_since(now);
    let between = (1..12).map(|twelfth| now.plus_micros(length / 12 * twelfth));
    let days = (1..5).map(|days| now.plus_micros(days * DAY_MICROS));
    let all = seconds.chain(edges).chain(between).chain(days);
    all.filter(|at| *at > now && *at < end).collect()
}

/// Nothing that `decide` would do becomes due before the instant it named.
fn assert_never_late(world: &World) {
    if !world.awake {
        return;
    }
    let due = Some(world.snapshot.mark.due_at).filter(|at| *at < At::MAX);
    for at in instants_before(world.now, due) {
        let decision = decide(&world.book, &world.snapshot, at);
        assert!(
            decision.is_quiet(),
            "evaluated at {}, due at {due:?}, but at {at}: {decision:#?}",
            world.now
        );
    }
}

fn standing(world: &World) -> Option<(String, At, Option<String>)> {
    world.snapshot.phase.as_ref().map(|p| (p.phase.clone(), p.since, p.previous.clone()))
}

/// The properties say something: random lives hold enough of everything they speak about.
#[test]
fn random_lives_are_not_empty() {
    let mut runner = TestRunner::deterministic();
    let strategy = (remembering_lifecycle(), journeys(), any_steps(12));
    let (mut moves, mut runs, mut sent, mut refused, mut ends) = (0, 0, 0, 0, BTreeSet::new());
    // Withdrawals that a message still follows are rare.
    for _ in 0..2_000 {
        let (phases, journeys, steps) = strategy.new_tree(&mut runner).expect("a case").current();
        let mut world = World::unseen(&phases, &journeys);
        world.settle();
        steps.iter().for_each(|step| world.take(step));
        moves += world.transitions.len();
        runs += world.snapshot.runs.len();
        sent += world.sent().len();
        refused += world.snapshot.deliveries.iter().filter(|d| d.state == DeliveryState::Refused).count();
        ends.extend(world.ends());
    }
    assert!(moves > 600 && runs > 300 && sent > 100 && refused > 20, "{moves} {runs} {sent} {refused}");
    let wanted =
        [None, Some(RunEnd::Completed), Some(RunEnd::Goal), Some(RunEnd::Exit), Some(RunEnd::Restarted)];
    for end in wanted {
        assert!(ends.contains(&end), "no run ended as {end:?}");
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// Where no phase asks what was before, the stored phase is the one that looking at all facts now gives, however
    /// late, out of order or from history they came.
    #[test]
    fn the_stored_phase_is_what_all_facts_say_now(
        phases in plain_lifecycle(),
        steps in any_steps(14),
    ) {
        let mut world = World::unseen(&phases, "");
        world.settle();
        for step in &steps {
            world.take(step);
            if !world.awake {
                continue;
            }
            let zone = zone_of(&world.snapshot.customer, &world.book.settings.zone);
            let (now, _) = classify(&world.book, &world.snapshot, &zone, world.now, None);
            prop_assert_eq!(world.phase(), &*now, "at {} after {:?}", world.now, step);
        }
    }

    /// Where it matters what was before (`hold`, `phase.days`, `phase.previous`), stepping through a life gives the
    /// same phase, since the same instant, as replaying it from scratch, also when the daemon was down meanwhile.
    #[test]
    fn living_through_it_is_replaying_it_from_scratch(
        phases in prop_oneof![2 => remembering_lifecycle(), 1 => shipped_lifecycle()],
        steps in prompt_steps(14),
    ) {
        let mut world = World::unseen(&phases, "");
        world.snapshot.customer.created_at = world.now;
        world.snapshot.consents.clear();
        world.snapshot.mark.history_pending = false;
        world.snapshot.mark.live_pending = true;
        world.settle();
        for step in &steps {
            // Never at the very instant at which the clock moves something, where either may come first.
            world.run_to(world.now.plus_micros(7));
            world.take(step);
            if !world.awake {
                continue;
            }
            let zone = zone_of(&world.snapshot.customer, &world.book.settings.zone);
            let path = replay(&world.book, &world.snapshot, &zone, world.now);
            let plain = |s: Standing| (s.phase.to_string(), s.since, s.previous.map(|p| p.to_string()));
            prop_assert_eq!(standing(&world), path.standing.map(plain), "at {} after {:?}", world.now, step);
            let lived: Vec<(&str, At)> = world.transitions.iter().map(|t| (t.to.as_str(), t.at)).collect();
            let replayed: Vec<(&str, At)> = path.moves.iter().map(|m| (&*m.to, m.at)).collect();
            prop_assert_eq!(lived, replayed);
        }
    }

    /// Nothing changes before `revisit_at`: no phase, segment, run, delivery or label.
    #[test]
    fn nothing_is_due_before_revisit_at(
        phases in remembering_lifecycle(),
        journeys in journeys(),
        steps in any_steps(10),
        dispatching in any::<bool>(),
    ) {
        let mut world = World::unseen(&phases, &journeys);
        world.dispatching = dispatching;
        world.book.settings.caps = vec![
            FrequencyCap { channel: Some(Channel::Email), max: 1, per: CapWindow::Day },
            FrequencyCap { channel: None, max: 2, per: CapWindow::Rolling(Length::days(7)) },
        ];
        world.settle();
        assert_never_late(&world);
        for step in &steps {
            world.take(step);
            assert_never_late(&world);
        }
    }

    /// Whatever happens: each step of a run acts once, every window keeps its cap, nothing goes without consent, and
    /// every run comes to its end.
    #[test]
    fn runs_end_and_send_each_step_once_within_the_caps(
        phases in remembering_lifecycle(),
        journeys in journeys(),
        steps in any_steps(12),
    ) {
        let mut world = World::unseen(&phases, &journeys);
        let per = Length::days(7);
        world.book.settings.caps =
            vec![FrequencyCap { channel: None, max: 2, per: CapWindow::Rolling(per) }];
        world.settle();
        for step in &steps {
            world.take(step);
        }
        world.awake = true;
        world.pass(1);
        let live: Vec<_> =
            world.snapshot.runs.iter().filter(|r| r.state == RunState::Live).map(|r| r.id).collect();
        world.pass(400 * 86_400);
        for run in &world.snapshot.runs {
            // Who has given way waits as long as others of the group keep beginning.
            let is_over = matches!(run.state, RunState::Ended | RunState::Waiting);
            prop_assert!(!live.contains(&run.id) || is_over, "{run:#?}");
            let mut ids: Vec<&String> = run.acted.iter().map(|(step, _)| step).collect();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(ids.len(), run.acted.len());
        }
        let zone = zone_of(&world.snapshot.customer, &world.book.settings.zone);
        let counted: Vec<_> = world.snapshot.deliveries.iter().filter(|d| d.capped && d.state.counts()).collect();
        for delivery in &counted {
            let from = delivery.done_at.unwrap();
            let within = counted.iter().filter(|d| {
                let at = d.done_at.unwrap();
                at >= from && at < per.after(from, &zone)
            });
            prop_assert!(within.count() <= 2);
            let word = world.snapshot.consents.iter().rfind(|c| c.at <= from).unwrap();
            prop_assert_eq!(word.state, zyklus_model::ConsentState::Granted);
        }
        let without_reason = world.snapshot.deliveries.iter().filter(|d| {
            matches!(d.state, DeliveryState::Refused | DeliveryState::Expired) && d.reason.is_none()
        });
        prop_assert_eq!(without_reason.count(), 0, "what was not sent says why");
    }
}

proptest! {
    #![proptest_config(cases(100))]

    /// The same of the starter configuration.
    #[test]
    fn nothing_of_the_starter_playbooks_is_due_before_revisit_at(steps in any_steps(16)) {
        let mut world = World::of(starter());
        world.settle();
        for step in &steps {
            world.take(step);
            assert_never_late(&world);
        }
    }
}
