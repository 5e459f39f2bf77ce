//! The property of rule R10: whatever the files become, and wherever runs stand then, each step of a run acts at most
//! once, every run ends, and what has been applied changes nothing when it is applied again.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use zyklus_engine::change::{Fate, Shift, fates};
use zyklus_engine::decide;
use zyklus_model::{DeliveryState, Run, RunState};

use crate::properties::cases;
use crate::world::World;

/// One step of a random tree: what it does, and whether it has a name of its own.
#[derive(Debug, Clone)]
struct Item {
    kind: u8,
    number: u8,
    value: u8,
    named: bool,
    then: Vec<Item>,
    otherwise: Vec<Item>,
}

const LENGTHS: [&str; 5] = ["0d", "2h", "1d", "3d", "14d"];
const CONDITIONS: [&str; 4] = [
    "orders.count == 0",
    "orders.count > 1",
    "'t1' in customer.tags",
    "events.count('order.placed', 30) > 0",
];

/// Steps of a small pool of names, so that definitions have much in common; some have branches.
fn items() -> BoxedStrategy<Vec<Item>> {
    let leaf = (0u8..6, 0u8..3, 0u8..5, any::<bool>()).prop_map(|(kind, number, value, named)| Item {
        kind,
        number,
        value,
        named,
        then: Vec::new(),
        otherwise: Vec::new(),
    });
    let tree = leaf.prop_recursive(2, 8, 3, |inner| {
        let list = prop::collection::vec(inner, 0..3);
        (6u8..8, 0u8..2, 0u8..4, any::<bool>(), list.clone(), list).prop_map(
            |(kind, number, value, named, then, otherwise)| Item {
                kind,
                number,
                value,
                named,
                then,
                otherwise,
            },
        )
    });
    prop::collection::vec(tree, 1..7).boxed()
}

/// Lists as TOML; a step whose id is taken already is left out, as `check` demands.
fn written(items: &[Item], taken: &mut BTreeSet<String>) -> String {
    let mut parts = Vec::new();
    for item in items {
        let (n, v) = (item.number, usize::from(item.value));
        let id = format!("{}{n}", ["w", "m", "m", "t", "w", "c", "i", "s"][usize::from(item.kind)]);
        // Waits are always named: whether two unnamed ones lead to one step shows only in the end.
        let named = item.named || matches!(item.kind, 0 | 4);
        let key = match (named, item.kind) {
            (true, _) => id.clone(),
            // Called after its condition.
            (false, 6) => format!("if-{v}"),
            (false, _) => format!("plain-{id}"),
        };
        if !taken.insert(key) {
            continue;
        }
        let name = if named { format!(", id = \"{id}\"") } else { String::new() };
        parts.push(match item.kind {
            0 | 4 => format!("{{ wait = \"{}\"{name} }}", LENGTHS[v]),
            1 => format!("{{ send = \"m{n}\"{name}, expires = \"{}\" }}", LENGTHS[v]),
            2 => format!("{{ send = \"m{n}\", purpose = \"service\"{name}, with = {{ v = {v} }} }}"),
            3 => format!("{{ tag = \"t{n}\"{name} }}"),
            5 => format!("{{ call = \"x.c{n}\"{name} }}"),
            6 => format!(
                "{{ if = \"{}\"{name}, then = [{}], else = [{}] }}",
                CONDITIONS[v],
                written(&item.then, taken),
                written(&item.otherwise, taken)
            ),
            _ => format!(
                "{{ split = \"s{n}\"{name}, ways = [{{ name = \"a\", steps = [{}] }}, {{ name = \"b\", steps = [{}] }}] }}",
                written(&item.then, taken),
                written(&item.otherwise, taken)
            ),
        });
    }
    parts.join(", ")
}

/// A definition; `unnamed` puts a wait without a name before its first message.
pub(crate) fn definition() -> BoxedStrategy<String> {
    let change = prop_oneof![6 => Just("follow"), 1 => Just("finish"), 1 => Just("exit")];
    let mode = prop_oneof![8 => Just("live"), 1 => Just("off"), 1 => Just("shadow")];
    (items(), change, mode, prop::option::of(prop::sample::select(LENGTHS.to_vec())))
        .prop_map(|(items, change, mode, unnamed)| {
            let mut list = written(&items, &mut BTreeSet::new());
            if list.is_empty() {
                list = "{ tag = \"only\" }".into();
            }
            if let Some(length) = unnamed {
                list = format!("{{ wait = \"{length}\" }}, {list}");
            }
            format!(
                "[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"go\" }}\nreenter = \"always\"\n\
                 on_change = \"{change}\"\nmode = \"{mode}\"\nsteps = [{list}]\n"
            )
        })
        .boxed()
}

/// Every step acted once, and every message of a run and step went once.
fn assert_once(world: &World) {
    for run in &world.snapshot.runs {
        let ids: BTreeSet<&String> = run.acted.iter().map(|(step, _)| step).collect();
        assert_eq!(ids.len(), run.acted.len(), "{run:#?}");
    }
    let mut seen = BTreeSet::new();
    for delivery in &world.snapshot.deliveries {
        assert!(seen.insert((delivery.run, delivery.step.clone())), "{delivery:#?}");
    }
}

/// What `plan` would announce of each run.
fn announced(world: &World) -> Vec<(Run, Fate)> {
    let decision = decide(&world.book, &world.snapshot, world.now);
    let all = fates(&world.book, &world.snapshot, &decision);
    all.into_iter().map(|(run, fate, _)| (run.clone(), fate)).collect()
}

fn assert_came_true(world: &World, before: &Run, fate: &Fate) {
    let run = world.snapshot.runs.iter().find(|run| run.id == before.id).expect("runs stay");
    let current = &world.book.journey("j").expect("it is there").definition;
    let reached =
        |step: &str| run.position.step.as_deref() == Some(step) || run.acted.iter().any(|(id, _)| id == step);
    let came_true = match fate {
        Fate::Unchanged => run.definition == before.definition,
        Fate::Paused => run == before,
        Fate::Finishes => run.definition == before.definition,
        Fate::GoesOn { due: Shift::Same } => run.position.reached_at >= before.position.reached_at,
        Fate::GoesOn { due } => {
            let step = before.position.step.as_deref().expect("it stood somewhere");
            let due_at = before.position.due_at;
            run.definition == *current
                && reached(step)
                && match due {
                    Shift::Earlier => run.position.due_at < due_at && run.position.due_at.is_some(),
                    Shift::Later => run.position.due_at > due_at,
                    Shift::Same | Shift::Now => true,
                }
        }
        Fate::Moves { to, .. } => run.definition == *current && reached(to) && !to.is_empty(),
        Fate::Ends { end, reason } => run.end == Some(*end) && run.end_reason == *reason,
    };
    assert!(came_true, "{fate:?} was announced of {before:#?}\nand it came to {run:#?}");
}

/// The property says something: random edits do everything to runs that an edit can do.
#[test]
fn r10_random_edits_are_not_empty() {
    let mut runner = TestRunner::deterministic();
    let strategy = (definition(), definition(), 0i64..300_000, any::<bool>());
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..1_000 {
        let (first, next, seconds, dispatching) = strategy.new_tree(&mut runner).expect("a case").current();
        let mut world = World::new(&first.replace("mode = \"off\"", "mode = \"live\""));
        world.dispatching = dispatching;
        world.event("go", json!({}));
        world.pass(seconds);
        world.edit_unseen(&next);
        let decision = decide(&world.book, &world.snapshot, world.now);
        *seen.entry("rewritten".into()).or_default() += u32::try_from(decision.rewritten.len()).unwrap();
        for (_, fate) in announced(&world) {
            let name = match fate {
                Fate::Moves { due, .. } => format!("moves {due:?}"),
                Fate::Ends { end, .. } => format!("ends {end:?}"),
                other => format!("{other:?}"),
            };
            *seen.entry(name).or_default() += 1;
        }
    }
    for wanted in [
        "rewritten",
        "Finishes",
        "Paused",
        "GoesOn { due: Same }",
        "GoesOn { due: Earlier }",
        "GoesOn { due: Later }",
        "GoesOn { due: Now }",
        "moves Now",
        "moves Later",
        "ends Exit",
        "ends StepRemoved",
    ] {
        assert!(seen.get(wanted).is_some_and(|count| *count > 1), "{wanted}: {seen:#?}");
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn r10_each_step_acts_once_runs_end_and_applying_twice_changes_nothing(
        first in definition(),
        edits in prop::collection::vec((definition(), 0i64..900_000, any::<bool>(), 0u8..4), 1..4),
    ) {
        let mut world = World::new(&first.replace("mode = \"off\"", "mode = \"live\""));
        world.event("go", json!({}));
        for (next, seconds, dispatching, what) in &edits {
            world.dispatching = *dispatching;
            world.pass(*seconds);
            match what {
                0 => drop(world.order(1_000)),
                1 => world.event("go", json!({})),
                2 => { world.awake = false; world.pass(*seconds); world.awake = true; }
                _ => {}
            }
            world.edit_unseen(next);
            let announced = announced(&world);
            world.settle();
            announced.iter().for_each(|(run, fate)| assert_came_true(&world, run, fate));
            assert_once(&world);
            let applied = world.snapshot.clone();
            world.edit(&format!("# again\n{next}"));
            prop_assert_eq!(&world.snapshot.runs, &applied.runs);
            prop_assert_eq!(&world.snapshot.deliveries, &applied.deliveries);
        }
        world.dispatching = true;
        let last = &edits.last().expect("one at least").0;
        world.edit(&last.replace("mode = \"off\"", "mode = \"live\""));
        world.pass(200 * 86_400);
        assert_once(&world);
        for run in &world.snapshot.runs {
            prop_assert_eq!(run.state, RunState::Ended, "{:#?}", run);
        }
        let waiting = world.snapshot.deliveries.iter().filter(|d| d.state == DeliveryState::Pending);
        prop_assert_eq!(waiting.count(), 0);
    }
}
