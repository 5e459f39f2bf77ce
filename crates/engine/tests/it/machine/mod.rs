//! The ten properties of the engine over everything that can happen to two customers, their shop's files and the
//! daemon, as one state machine. `model` says from the rules' words what must and must not be; `lives` is the engine at
//! work; `checks` holds the one against the other. Properties, by number:
//!
//! 1. The same facts in any order that keeps each object's, or repeated, give the same.
//! 2. Living it again from the ledger, written down and read back each time, gives the same.
//! 3. Each step of a run goes at most once.
//! 4. Nothing of a run goes after what is known has made its goal or exit true (rule R7).
//! 5. Every window keeps its cap.
//! 6. Nothing goes without permission as it is at the claim.
//! 7. Somebody held out does what they would do if they were not.
//! 8. What is foretold is what comes.
//! 9. Whatever did not go has one recorded reason, and it holds.
//! 10. Every run ends.
//!
//! `ZYKLUS_PROPTEST_CASES` makes it the nightly size: so many cases of up to 200 letters, and others every time. That is
//! run as `ZYKLUS_PROPTEST_CASES=10000 cargo test --release -p zyklus-engine --test it machine -- --nocapture`. It begins
//! with the number that the cases follow from; `ZYKLUS_PROPTEST_SEED` with that number runs the same cases again.

mod books;
mod checks;
mod letters;
mod lives;
mod model;
mod playbooks;
mod tally;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use zyklus_engine::Book;
use zyklus_engine::forecast::{Forecast, forecast};
use zyklus_model::{At, CustomerId, GuardReason, RunState};

use books::{Kind, book, described};
use checks::{Court, Record, twins};
use letters::{Letter, beginnings, letters};
use lives::{Fate, MOMENT, Op, Side, Style, Told};
use model::Model;
use playbooks::Journey;
use tally::{count, tally};

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Letter;

    fn init_state() -> BoxedStrategy<Model> {
        beginnings()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Letter> {
        letters(model)
    }

    fn apply(mut model: Model, letter: &Letter) -> Model {
        model.apply(letter);
        model
    }

    fn preconditions(model: &Model, letter: &Letter) -> bool {
        letter.fits(model)
    }
}

/// The engine at work, four times over.
struct Machine {
    /// The life that is judged.
    main: Side,
    /// The same with facts turned round and repeated.
    turned: Side,
    /// The first customer and their first journey, held out of it and not.
    held: Side,
    treated: Side,
    first: Arc<Book>,
    begun: Model,
    ops: Vec<Op>,
    described: BTreeMap<String, Journey>,
    record: Record,
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Machine;
    type Reference = Reference;

    fn init_test(model: &Model) -> Machine {
        count("case");
        let first = Arc::new(book(model, Kind::Everybody, None));
        let alone = |kind| {
            let mut side = Side::new(Style::Plain, Arc::new(book(model, kind, None)), model);
            side.lives.pop();
            side
        };
        Machine {
            main: Side::new(Style::Plain, Arc::clone(&first), model),
            turned: Side::new(Style::Turned, Arc::clone(&first), model),
            held: alone(Kind::Held),
            treated: alone(Kind::Treated),
            described: described(model, &first),
            first,
            begun: model.clone(),
            ops: Vec::new(),
            record: Record::default(),
        }
    }

    fn apply(mut machine: Machine, model: &Model, letter: Letter) -> Machine {
        letter.names().into_iter().for_each(count);
        machine.note_clock_change(model);
        match &letter {
            Letter::Crash { point, hears, .. } => {
                let (until, point) = (model.now, *point);
                let heard = model.facts.last().filter(|_| *hears).map(|fact| (fact.heard, fact.number));
                if let Some((at, known)) = heard {
                    machine.take(Op::Pass(at), model);
                    machine.take(Op::Crash { until, point, known: Some(known) }, model);
                    machine.take_alone(&Op::Commit { who: 0, known, live: true, history: false }, model);
                } else {
                    machine.take(Op::Crash { until, point, known: None }, model);
                }
                machine.take_alone(&Op::Pass(until), model);
            }
            _ => machine.take(Op::Pass(model.now), model),
        }
        match letter {
            Letter::Facts { who, .. } => {
                let (from, known) = (machine.main.known, model.known());
                if known > from {
                    let new = &model.facts[from as usize..];
                    let (live, history) = (new.iter().any(|f| f.live), new.iter().any(|f| !f.live));
                    machine.take(Op::Commit { who, known, live, history }, model);
                }
            }
            Letter::Duplicate { who, .. } => machine.take(Op::Repeat { who }, model),
            Letter::Edit { .. } | Letter::Pause { .. } | Letter::Resume { .. } => machine.change_files(model),
            Letter::Admit { .. } => machine.admit(model),
            Letter::Merge { .. } => machine.take(Op::Merge, model),
            Letter::Unmerge { .. } => machine.take(Op::Unmerge, model),
            Letter::Sleep { .. } => machine.take(Op::Sleep, model),
            Letter::Wake { .. } => machine.take(Op::Wake, model),
            Letter::Pass { .. } | Letter::Crash { .. } => {}
        }
        machine
    }

    fn teardown(mut machine: Machine, model: Model) {
        machine.replay(&model);
        machine.main.run_out();
        machine.judge(&model);
        for run in machine.main.runs() {
            assert_eq!(run.state, RunState::Ended, "property 10: it never ends: {run:#?}");
            count(format!("ended: {}", run.end.map_or("nothing says how", |end| end.as_str())));
            assert!(run.end.is_some() && run.ended_at.is_some(), "property 10: {run:#?}");
        }
        let deliveries = machine.main.lives.iter().flat_map(|life| &life.snapshot.deliveries);
        let waiting = deliveries.filter(|d| !d.state.is_final()).count();
        assert_eq!(waiting, 0, "property 10: nothing waits for ever");
    }
}

impl Machine {
    /// Does it on all sides, and judges what came of it.
    fn take(&mut self, op: Op, model: &Model) {
        let foretold = self.foretell(&op);
        let told = self.main.told.len();
        self.main.take(&op, model);
        self.judge(model);
        if let Some(foretold) = foretold {
            self.came_true(&foretold, told);
        }
        self.turned.take(&op, model);
        self.same(&self.turned, "property 1: in the other order");
        self.take_alone(&op, model);
        self.ops.push(op);
    }

    /// For the pair only what happens to one customer, and never to the daemon.
    fn take_alone(&mut self, op: &Op, model: &Model) {
        let is_theirs = match op {
            Op::Pass(_) => true,
            Op::Commit { who, .. } => *who == 0,
            Op::Repeat { .. }
            | Op::Files(_)
            | Op::Merge
            | Op::Unmerge
            | Op::Sleep
            | Op::Wake
            | Op::Crash { .. } => false,
        };
        if is_theirs {
            self.held.take(op, model);
            self.treated.take(op, model);
            twins(&self.held, &self.treated);
        }
    }

    fn judge(&mut self, model: &Model) {
        let court = Court { model, side: &self.main, described: &self.described };
        court.judge(&mut self.record);
        court.inspect();
    }

    /// Runs and deliveries of another side are those of the first.
    fn same(&self, other: &Side, property: &str) {
        for (a, b) in self.main.lives.iter().zip(&other.lives) {
            first_difference(&a.snapshot.runs, &b.snapshot.runs, property);
            first_difference(&a.snapshot.deliveries, &b.snapshot.deliveries, property);
            assert_eq!(a.snapshot.phase, b.snapshot.phase, "{property}");
            assert_eq!(a.snapshot.tags, b.snapshot.tags, "{property}");
        }
    }

    fn change_files(&mut self, model: &Model) {
        let old: BTreeMap<_, _> = self.main.runs().map(|run| (run.id, run.clone())).collect();
        let next = Arc::new(book(model, Kind::Everybody, Some(&self.main.book)));
        self.described.extend(described(model, &next));
        self.take(Op::Files(next), model);
        for run in self.main.runs().filter(|run| run.state != RunState::Ended) {
            let Some(old) = old.get(&run.id).filter(|old| old.definition != run.definition) else { continue };
            count(if old.position.step == run.position.step { "run that follows" } else { "moved run" });
        }
        for (kind, side) in [(Kind::Held, &mut self.held), (Kind::Treated, &mut self.treated)] {
            let next = book(model, kind, Some(&side.book));
            side.take(&Op::Files(Arc::new(next)), model);
        }
        twins(&self.held, &self.treated);
    }

    fn admit(&mut self, model: &Model) {
        let mut next = (*self.main.book).clone();
        next.admitted.clear();
        let mut candidates: Vec<(String, CustomerId)> = self.main.candidates();
        candidates.truncate(2);
        let before = self.main.runs().count();
        for (root, who) in candidates {
            next.admitted.entry(root).or_default().insert(who);
        }
        if next.admitted.is_empty() {
            return;
        }
        self.take(Op::Files(Arc::new(next)), model);
        count("let in");
        assert!(self.main.runs().count() > before, "who is a candidate is let in");
    }

    /// What is foretold of each life that is about to go on.
    fn foretell(&self, op: &Op) -> Option<Vec<Forecast>> {
        if !self.main.is_awake {
            return None;
        }
        let (book, until) = match op {
            Op::Pass(to) => (&self.main.book, *to),
            Op::Files(book) => (book, self.main.lives[0].now),
            _ => return None,
        };
        let lives = self.main.lives.iter();
        Some(lives.map(|life| forecast(book, &life.snapshot, life.now, until.plus_micros(MOMENT))).collect())
    }

    /// Property 8.
    fn came_true(&self, foretold: &[Forecast], since: usize) {
        for (who, forecast) in foretold.iter().enumerate() {
            let its: Vec<&Told> = self.main.told[since..].iter().filter(|told| told.who == who).collect();
            let of = |fate: Fate| its.iter().filter(move |told| told.fate == fate);
            // What follows at once follows a few microseconds later in one of them.
            let going = forecast.going.iter().map(|g| (&g.journey, &g.target, g.at));
            let gone =
                of(Fate::HandedOver).map(|told| (&told.delivery.journey, &told.delivery.target, told.at));
            let (mut going, mut gone): (Vec<_>, Vec<_>) = (going.collect(), gone.collect());
            going.sort();
            gone.sort();
            let near = |a: At, b: At| a.micros_since(b).abs() <= MOMENT;
            let is_same = |(a, b): (&(&String, &String, At), &(&String, &String, At))| {
                (a.0, a.1) == (b.0, b.1) && near(a.2, b.2)
            };
            let came = going.len() == gone.len() && going.iter().zip(&gone).all(is_same);
            assert!(came, "property 8: foretold {going:#?}\nand it came to {gone:#?}");
            let (mut foretold, mut refused) = (forecast.refused.clone(), Vec::new());
            refused.extend(of(Fate::Refused).filter_map(|told| told.delivery.reason));
            foretold.sort();
            refused.sort();
            assert_eq!(foretold, refused, "property 8: foretold on the left, came on the right");
            let mut gave_way: Vec<_> = of(Fate::Delayed(GuardReason::Outranked))
                .filter(|told| told.delivery.outranked_by.is_some())
                .map(|told| told.delivery.id)
                .collect();
            gave_way.sort();
            gave_way.dedup();
            assert_eq!(forecast.outranked.len(), gave_way.len(), "property 8: {forecast:#?}");
            if !gone.is_empty() {
                count("foretold");
            }
        }
    }

    /// Property 2.
    fn replay(&self, model: &Model) {
        let mut again = Side::new(Style::Replayed, Arc::clone(&self.first), &self.begun);
        for op in &self.ops {
            again.take(op, model);
        }
        self.same(&again, "property 2: lived on the left, again on the right");
    }

    /// Whether the clocks of somebody with a run change before the letter.
    fn note_clock_change(&self, model: &Model) {
        for (who, life) in self.main.lives.iter().enumerate() {
            let runs = life.snapshot.runs.iter().any(|run| run.state == RunState::Live);
            let zone = model.view(who, self.main.is_one(), self.main.known, life.now).zone();
            let offset = |at: At| at.timestamp().to_zoned(zone.clone()).offset();
            if runs && offset(life.now) != offset(model.now) {
                count("DST crossing");
            }
        }
    }
}

/// Panics with the first entry in which two lists differ.
fn first_difference<T: PartialEq + Debug>(a: &[T], b: &[T], property: &str) {
    if a != b {
        let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        panic!("{property}: left {:#?}\nright {:#?}", a.get(same), b.get(same));
    }
}

/// Letters and outcomes, and how often each has to occur in a run of the common size at least.
const WANTED: &[(&str, u64)] = &[
    ("order", 400),
    ("late order", 100),
    ("refund", 100),
    ("cancellation", 100),
    ("event", 1000),
    ("late event", 300),
    ("duplicate", 80),
    ("clock step", 400),
    ("zone", 100),
    ("DST crossing", 20),
    ("edit", 300),
    ("removal", 30),
    ("moved run", 5),
    ("run that follows", 20),
    ("pause", 80),
    ("resume", 50),
    ("admission", 100),
    ("let in", 2),
    ("merge", 100),
    ("un-merge", 80),
    ("ended: merged", 10),
    ("consent change", 200),
    ("suppression", 20),
    ("sleep", 80),
    ("wake", 80),
    ("crash before writing", 80),
    ("crash after claiming", 80),
    ("crash after handing over", 80),
    ("answer lost", 10),
    ("send", 300),
    ("foretold", 80),
    ("ghost", 200),
    ("shown", 100),
    ("withdrawn", 1),
    ("beside another under a cap", 5),
    ("delayed: capped", 20),
    ("delayed: quiet_hours", 10),
    ("delayed: outranked", 1),
    ("refused: capped", 20),
    ("refused: expired", 1),
    ("refused: missed", 20),
    ("refused: no_address", 10),
    ("refused: no_consent", 60),
    ("refused: quiet_hours", 2),
    ("refused: suppressed", 40),
    ("ended: completed", 300),
    ("ended: exit", 100),
    ("ended: goal", 30),
    ("ended: restarted", 50),
    ("ended: gave_way", 1),
    ("ended: removed", 8),
    ("ended: step_removed", 5),
];

#[test]
fn the_ten_properties() {
    let cases = std::env::var("ZYKLUS_PROPTEST_CASES").ok().and_then(|n| n.parse::<u32>().ok());
    let config = Config {
        cases: cases.unwrap_or(300),
        failure_persistence: None,
        max_shrink_iters: 4_000,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let longest = if cases.is_some() { 200 } else { 60 };
    let rng = match cases {
        Some(_) => {
            let given = std::env::var("ZYKLUS_PROPTEST_SEED").ok();
            let seed: u64 = given.map_or_else(
                || RandomState::new().hash_one(0),
                |seed| seed.parse().expect("ZYKLUS_PROPTEST_SEED is a number that was printed before"),
            );
            println!("ZYKLUS_PROPTEST_SEED={seed}");
            TestRng::from_seed(config.rng_algorithm, &[seed.to_le_bytes(); 4].concat())
        }
        None => TestRng::deterministic_rng(config.rng_algorithm),
    };
    let mut runner = TestRunner::new_with_rng(config.clone(), rng);
    let outcome = runner.run(&Reference::sequential_strategy(1..=longest), |(model, letters, seen)| {
        Machine::test_sequential(config.clone(), model, letters, seen);
        Ok::<(), TestCaseError>(())
    });
    if let Err(failure) = outcome {
        panic!("after {:?} cases, shrinking among them: {failure}", tally().get("case"));
    }
    let tally = tally();
    println!("{tally:?}");
    for (what, least) in WANTED {
        let found = tally.get(*what).copied().unwrap_or(0);
        assert!(found >= *least, "{what}: {found} times, {least} at least: {tally:#?}");
    }
}
