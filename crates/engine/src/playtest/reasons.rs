//! Why the engine did something a test did not expect, or did not do what it did: guards, conditions and starts, asked
//! of the same functions that decide. Changes nothing.

use serde_json::{Map, Value as Json};
use zyklus_model::{At, Run, RunEnd, RunState};

use super::play::{Played, Seen, What, play, run_end};
use super::verdict::{happened, moment};
use super::{Fact, Playtest, Wanted};
use crate::book::Book;
use crate::condition::{Condition, Explained, Group};
use crate::facts::{RunFacts, View, events_of};
use crate::playbook::{Journey, Start, Verb};
use crate::sim::Life;
use crate::why::{Outside, started_by, why};

/// How a message or anything else came about.
pub(super) fn why_it_came(staged: &Book, played: &Played, seen: &Seen) -> Vec<String> {
    let runs = &played.life.snapshot.runs;
    let began = |run: &&Run| run.journey == seen.journey && run.started_at <= seen.at;
    let Some(run) = runs.iter().filter(began).max_by_key(|run| run.started_at) else { return Vec::new() };
    let mut why = vec![began_by(staged, played, run)];
    why.extend(steps_taken(run));
    let delay = played.seen.iter().rfind(|s| {
        s.what == What::Delayed && s.name == seen.name && s.journey == seen.journey && s.at <= seen.at
    });
    why.extend(delay.map(|delay| happened(delay, played)));
    why
}

/// Why something did not happen.
pub(super) fn why_not(
    staged: &Book,
    test: &Playtest,
    played: &Played,
    wanted: &Wanted,
    (from, end): (At, At),
) -> Vec<String> {
    let held = |s: &&Seen| matches!(s.what, What::Delayed | What::Refused | What::Withdrawn);
    let is_it = |name: &String| match wanted {
        Wanted::Send(wanted) | Wanted::Call(wanted) => wanted == name,
        _ => false,
    };
    let mut why: Vec<String> = Vec::new();
    for seen in played.seen.iter().filter(held).filter(|s| is_it(&s.name)) {
        why.push(format!("{}: {}", moment(seen.at, played), happened(seen, played)));
    }
    if let Wanted::Phase(phase) = wanted {
        why.extend(why_not_in(staged, test, played, phase, from, end));
        return why;
    }
    let journeys = staged.journeys.iter().filter(|journey| does(journey, wanted));
    for journey in journeys {
        let mut runs = played.life.snapshot.runs.iter().filter(|r| r.journey == journey.root()).peekable();
        if runs.peek().is_none() {
            why.extend(why_not_started(staged, test, played, journey, end));
        }
        for run in runs {
            why.push(began_by(staged, played, run));
            why.extend(steps_taken(run));
            why.extend(ways_taken(staged, test, played, journey, run));
            why.extend(how_it_stands(staged, test, played, journey, run));
        }
    }
    why
}

/// Whether a journey could bring something about.
fn does(journey: &Journey, wanted: &Wanted) -> bool {
    let has = |wanted: &dyn Fn(&Verb) -> bool| journey.nodes.iter().any(|node| wanted(&node.verb));
    match wanted {
        Wanted::Send(name) => has(
            &|verb| matches!(verb, Verb::Send(send) if send.template == *name || send.template.contains("{{")),
        ),
        Wanted::Call(name) => has(
            &|verb| matches!(verb, Verb::Call { connector, action, .. } if format!("{connector}.{action}") == *name),
        ),
        Wanted::Tag(name) => has(&|verb| matches!(verb, Verb::Tag { tag, .. } if tag == name)),
        Wanted::Untag(name) => has(&|verb| matches!(verb, Verb::Untag(tag) if tag == name)),
        Wanted::Goal(id) | Wanted::Exit(id) | Wanted::Ended(id) => *id == *journey.id,
        Wanted::Phase(_) | Wanted::Nothing => false,
    }
}

fn began_by(staged: &Book, played: &Played, run: &Run) -> String {
    let start =
        staged.journey(&run.journey).map_or_else(String::new, |j| format!(": {}", started_by(&j.start)));
    format!("{} began on {}{start}", run.journey, moment(run.started_at, played))
}

fn steps_taken(run: &Run) -> Option<String> {
    let steps: Vec<String> = run.acted.iter().map(|(step, outcome)| format!("{step} → {outcome}")).collect();
    (!steps.is_empty()).then(|| format!("its steps: {}", steps.join(", ")))
}

/// The conditions that sent a run one way or the other, value by value, where they can be asked again as of the
/// instant they were judged at.
fn ways_taken(staged: &Book, test: &Playtest, played: &Played, journey: &Journey, run: &Run) -> Vec<String> {
    let of_run = played.seen.iter().filter(|s| s.journey == run.journey).map(|s| s.at);
    let mut instants: Vec<At> = of_run.chain(run.ended_at).filter(|at| *at >= run.started_at).collect();
    instants.sort_unstable();
    instants.dedup();
    let mut why = Vec::new();
    for (step, outcome) in &run.acted {
        let node = journey.node(step).map(|index| &journey.nodes[index].verb);
        let Some(Verb::If { condition, .. }) = node else { continue };
        for at in &instants {
            let then = play(staged, test, played.start, &played.zone, Some(*at)).life;
            let Some(known) = then.snapshot.runs.iter().find(|r| r.id == run.id) else { continue };
            if known.acted.iter().any(|(acted, _)| acted == step) {
                let explained = explain(staged, &then, condition, run, *at);
                if explained.value.is_true() == (outcome == "then") {
                    why.push(format!("at {step}:\n{explained}"));
                }
                break;
            }
        }
    }
    why
}

/// A condition of a run, value by value, as of an instant of its life.
fn explain(staged: &Book, then: &Life, condition: &Condition, run: &Run, at: At) -> Explained {
    explain_by(staged, then, condition, run, &run.event, at)
}

/// The same of another event than the one that started the run.
fn explain_by(
    staged: &Book,
    then: &Life,
    condition: &Condition,
    run: &Run,
    event: &Map<String, Json>,
    at: At,
) -> Explained {
    let standing = then.snapshot.phase.as_ref().map(crate::decide::standing_of);
    let facts = RunFacts { event: Some(event), key: Some(run.key.as_str()), run: Some(run) };
    let view = View::new(&then.snapshot, at, staged.decimals, standing).with_book(staged).for_run(facts);
    condition.explain(&view, at)
}

/// A goal that asks of an event, by the later event that reached it.
fn explain_goal(staged: &Book, then: &Life, condition: &Condition, run: &Run, at: At) -> Option<Explained> {
    let later = |_: &str, happened_at: At, _: At, _| happened_at > run.started_at && happened_at <= at;
    events_of(&then.snapshot, later, staged.decimals)
        .iter()
        .map(|event| explain_by(staged, then, condition, run, &event.data, at))
        .find(|explained| explained.value.is_true())
}

/// Where a run ended or still stands.
fn how_it_stands(
    staged: &Book,
    test: &Playtest,
    played: &Played,
    journey: &Journey,
    run: &Run,
) -> Vec<String> {
    let Some(ended_at) = run.ended_at.filter(|_| run.state == RunState::Ended) else {
        let step = run.position.step.as_deref().unwrap_or("its end");
        let due = run.position.due_at.map_or_else(String::new, |at| format!(" until {}", moment(at, played)));
        return vec![format!("when the test ended it stood at {step}{due}; `until` lets it run longer")];
    };
    let mut why = vec![format!("it ended on {}: {}", moment(ended_at, played), run_end(run))];
    let condition = match run.end {
        Some(RunEnd::Exit) if run.acted.last().is_none_or(|(_, outcome)| outcome != "exit") => {
            journey.exit.as_ref()
        }
        Some(RunEnd::Goal) => journey.goal.as_ref().map(|goal| &goal.when),
        _ => None,
    };
    if let Some(condition) = condition {
        // As it was judged: the same life, stopped at that instant.
        let then = play(staged, test, played.start, &played.zone, Some(ended_at)).life;
        let by_event = (run.end == Some(RunEnd::Goal) && condition.reads().contains(Group::Event))
            .then(|| explain_goal(staged, &then, condition, run, ended_at));
        let explained = by_event.flatten();
        why.push(explained.unwrap_or_else(|| explain(staged, &then, condition, run, ended_at)).to_string());
    }
    why
}

/// What kept the customer out of a journey.
fn why_not_started(
    staged: &Book,
    test: &Playtest,
    played: &Played,
    journey: &Journey,
    end: At,
) -> Vec<String> {
    let at = looked_at(test, played, journey, end);
    let then = play(staged, test, played.start, &played.zone, Some(at)).life;
    let told = why(staged, &then.snapshot, at);
    let outside = told.outside.iter().find(|outside| outside.journey == *journey.id);
    let because = match outside.map(|outside| &outside.because) {
        None => return Vec::new(),
        Some(Outside::NotStarted { .. }) => match &journey.start {
            Start::Phase(phase) | Start::Left(phase) => {
                let mut why =
                    vec![format!("{} never began: it waits for {}", journey.id, started_by(&journey.start))];
                why.extend(why_not_in(staged, test, played, phase, played.start, end));
                return why;
            }
            start => format!("it waits for {}", started_by(start)),
        },
        Some(Outside::BeforeActive { happened_at, .. }) => format!(
            "what starts it happened on {}, before the test began; only what happens from 0h on starts anything",
            moment(*happened_at, played)
        ),
        Some(Outside::TooLate { .. }) => "what starts it was heard of too late (`late`)".to_owned(),
        Some(Outside::Reentry { .. }) => "it may not be entered again (`reenter`)".to_owned(),
        Some(Outside::Running) => "a run of it was going on (`overlap`)".to_owned(),
        Some(Outside::QueueFull { .. }) => {
            "a run of it was going on and another one waited already (`overlap = \"queue\"`)".to_owned()
        }
        Some(Outside::GroupTaken { journey }) => format!("`{journey}` of the same group goes on"),
        Some(Outside::DoesNotFit { explained, .. }) => {
            return vec![format!("{} never began: `where` does not hold", journey.id), explained.to_string()];
        }
        Some(Outside::DoesNotQualify { explained }) => {
            return vec![format!("{} never began: `when` does not hold", journey.id), explained.to_string()];
        }
        Some(Outside::Off | Outside::NotActive) => "it is not active".to_owned(),
    };
    vec![format!("{} never began: {because}", journey.id)]
}

/// The instant at which to ask why a journey did not start: at what was given last, or at the end of the time in
/// which it was expected when only the clock could start it.
fn looked_at(test: &Playtest, played: &Played, journey: &Journey, end: At) -> At {
    let instants = test.given.iter().filter(|g| g.fact != Fact::Clock);
    let given = instants.map(|g| g.at.at(played.start, &played.zone)).filter(|at| *at < end).max();
    let latest = end.plus_micros(-1).min(played.life.now).max(played.start);
    match &journey.start {
        Start::Event { .. } => given.unwrap_or(latest).max(played.start),
        Start::Phase(_)
        | Start::Left(_)
        | Start::Segment { .. }
        | Start::Schedule { .. }
        | Start::Date { .. } => latest,
    }
}

/// Where the customer stood instead of in a phase, and what kept them out of it.
fn why_not_in(
    staged: &Book,
    test: &Playtest,
    played: &Played,
    phase: &str,
    from: At,
    end: At,
) -> Vec<String> {
    let at = end.plus_micros(-1).min(played.life.now).max(from.min(played.life.now));
    let then = play(staged, test, played.start, &played.zone, Some(at)).life;
    let told = why(staged, &then.snapshot, at);
    let Some(stands) = told.phase else { return vec!["nothing is known of the customer yet".to_owned()] };
    let mut why = vec![format!(
        "on {} the customer stands in {} (since {})",
        moment(at, played),
        stands.phase,
        moment(stands.since, played)
    )];
    if let Some(rule) = stands.lost.iter().find(|rule| rule.phase == phase) {
        why.push(format!("not in {phase}:\n{}", rule.explained));
    } else if stands.phase != phase {
        why.push(format!("{}, which comes before {phase}, holds:\n{}", stands.phase, stands.rule.explained));
    }
    why
}
