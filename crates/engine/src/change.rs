//! What a change of the files means for the runs going on, told from the decision itself (rule R10). Decides nothing.

use serde::Serialize;
use zyklus_model::{At, Decision, Run, RunEnd, RunState, Snapshot};

use crate::book::Book;
use crate::place::goes_on_at;
use crate::playbook::{Mode, OnChange, Verb};

/// What becomes of a run when the files change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// Nothing has changed for it.
    Unchanged,
    /// Its journey is switched off, or it has given way to another: it stays where it is for now.
    Paused,
    /// It stays on the definition it has until it ends.
    Finishes,
    /// It goes on from where it stands, by the new definition.
    GoesOn {
        /// How what it waits for moves.
        due: Shift,
    },
    /// Where it stood is gone: it goes on from another step.
    Moves {
        /// From which.
        to: String,
        /// When that step acts.
        due: Shift,
    },
    /// It ends.
    Ends {
        /// How.
        end: RunEnd,
        /// Why, in words.
        reason: Option<String>,
    },
}

/// How the instant moves at which a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shift {
    /// Not at all, or it does not wait for an instant.
    Same,
    /// It comes earlier.
    Earlier,
    /// It comes later.
    Later,
    /// It is now.
    Now,
}

/// What becomes of each run going on; the run as it stood, its fate, and the run as it stands after the decision.
pub fn fates<'d>(
    book: &Book,
    snapshot: &'d Snapshot,
    decision: &'d Decision,
) -> Vec<(&'d Run, Fate, &'d Run)> {
    let live = snapshot.runs.iter().filter(|run| run.state != RunState::Ended);
    live.map(|run| {
        let after = decision.runs.iter().find(|after| after.id == run.id).unwrap_or(run);
        (run, fate(book, run, after), after)
    })
    .collect()
}

fn fate(book: &Book, run: &Run, after: &Run) -> Fate {
    let ends = || Fate::Ends { end: after.end.unwrap_or(RunEnd::Removed), reason: after.end_reason.clone() };
    let Some(journey) = book.journey(&run.journey) else { return ends() };
    let removed = after.end == Some(RunEnd::Removed);
    if removed {
        return ends();
    }
    // What is queued begins by whatever its journey is then.
    if journey.definition == run.definition || run.state == RunState::Queued {
        return Fate::Unchanged;
    }
    if journey.mode == Mode::Off {
        return Fate::Paused;
    }
    match after.state {
        RunState::Ended => return ends(),
        RunState::Waiting if journey.on_change != OnChange::Finish => return Fate::Paused,
        RunState::Live | RunState::Waiting | RunState::Queued => {}
    }
    let old = book.definitions.get(&run.definition);
    if journey.on_change == OnChange::Finish && old.is_some() {
        return Fate::Finishes;
    }
    let acted = |id: &str| run.acted.iter().any(|(step, _)| step == id);
    let step = run.position.step.as_deref().unwrap_or_default();
    let Some(node) = goes_on_at(old.map(AsRef::as_ref), journey, step, acted) else { return ends() };
    let due = if after.position.step.as_deref() == Some(node.id.as_str()) {
        shift(run.position.due_at, after.position.due_at, &node.verb)
    } else {
        Shift::Now
    };
    if node.id == step { Fate::GoesOn { due } } else { Fate::Moves { to: node.id.clone(), due } }
}

fn shift(before: Option<At>, after: Option<At>, verb: &Verb) -> Shift {
    match (before, after) {
        (Some(before), Some(after)) if after < before => Shift::Earlier,
        (Some(before), Some(after)) if after > before => Shift::Later,
        // It has come to a message, which goes out as soon as it may.
        (Some(_), None) if !matches!(verb, Verb::Wait { .. }) => Shift::Now,
        (None, Some(_)) => Shift::Later,
        (Some(_) | None, _) => Shift::Same,
    }
}
