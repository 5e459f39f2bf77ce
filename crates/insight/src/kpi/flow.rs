//! How customers move between phases: who gets from one to the next in time, and how long they stay. Those who are still
//! waiting count as waiting, not as lost.

use std::collections::BTreeMap;

use serde::Serialize;
use zyklus_model::At;

use crate::interval::{Figure, Level, Unknown, figure};
use crate::survival::{Curve, Quantile, Spell, Stay, curve, incidence};

/// A customer's coming into a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Move<P> {
    /// Whose; one number a resolved customer.
    pub customer: u64,
    /// When.
    pub at: At,
    /// Into which phase.
    pub to: P,
}

/// Each customer's moves by time. Of two at one instant the later one in the list counts as later.
fn paths<P: Copy>(moves: &[Move<P>]) -> BTreeMap<u64, Vec<Move<P>>> {
    let mut paths: BTreeMap<u64, Vec<Move<P>>> = BTreeMap::new();
    for one in moves {
        paths.entry(one.customer).or_default().push(*one);
    }
    for path in paths.values_mut() {
        path.sort_by_key(|one| one.at);
    }
    paths
}

/// All stays in one phase. Moves from a phase into itself do not end a stay.
pub fn stays_in<P: Copy + Eq>(phase: P, moves: &[Move<P>]) -> Vec<Stay<P>> {
    let mut stays = Vec::new();
    for mut path in paths(moves).into_values() {
        path.dedup_by(|later, earlier| later.to == earlier.to);
        for (at, one) in path.iter().enumerate().filter(|(_, one)| one.to == phase) {
            let left = path.get(at + 1).map(|next| (next.at, next.to));
            stays.push(Stay { entered: one.at, left });
        }
    }
    stays
}

/// How many customers were in which phase at the first instant and in which at the second, what lies between left out;
/// `None` is before a customer's first phase. Who had none at either is not counted.
pub fn moved_between<P: Copy + Ord>(
    moves: &[Move<P>],
    (from, to): (At, At),
) -> BTreeMap<(Option<P>, Option<P>), u64> {
    let mut counts = BTreeMap::new();
    for path in paths(moves).into_values() {
        let phase_at = |at: At| path.iter().rev().find(|one| one.at <= at).map(|one| one.to);
        let (before, after) = (phase_at(from), phase_at(to));
        if before.is_some() || after.is_some() {
            *counts.entry((before, after)).or_default() += 1;
        }
    }
    counts
}

/// From one phase into another within some days.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conversion {
    /// The days asked about.
    pub within_days: f64,
    /// The share that goes on to the phase in time, others leaving elsewhere, some still there.
    #[serde(serialize_with = "figure")]
    pub share: Figure,
    /// How many came into the first phase in the window.
    pub entered: u64,
    /// How many of them went on to the phase, whenever.
    pub arrived: u64,
    /// How many left for another one.
    pub elsewhere: u64,
    /// How many are still there.
    pub waiting: u64,
}

/// How long a phase lasts, those still in it included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PhaseTimes {
    /// How many stays, finished or not.
    pub n: u64,
    /// After how many days a quarter has left.
    pub quarter: Quantile,
    /// After how many days half have left.
    pub median: Quantile,
    /// After how many days three quarters have left.
    pub three_quarters: Quantile,
}

/// Of those who entered a phase in `[from, to)`, the share that reaches `target` within `days`: cumulative incidence with
/// all other exits as competitors, watched until `now`. `stays` are of the one phase that is left.
pub fn conversion<P: Copy + Ord>(
    stays: &[Stay<P>],
    window: (At, At),
    target: P,
    days: f64,
    now: At,
    level: Level,
) -> Conversion {
    let spells = spells(stays, window, now);
    let share = incidence(&spells, level).and_then(|incidence| incidence.gone_by(target, days));
    let count = |is: &dyn Fn(Option<P>) -> bool| spells.iter().filter(|spell| is(spell.exit)).count() as u64;
    Conversion {
        within_days: days,
        share,
        entered: spells.len() as u64,
        arrived: count(&|exit| exit == Some(target)),
        elsewhere: count(&|exit| exit.is_some_and(|exit| exit != target)),
        waiting: count(&|exit| exit.is_none()),
    }
}

/// How long those who entered in `[from, to)` stay, whatever follows.
///
/// # Errors
/// [`Unknown::Empty`] if nobody entered.
pub fn phase_times<P: Copy>(
    stays: &[Stay<P>],
    window: (At, At),
    now: At,
    level: Level,
) -> Result<PhaseTimes, Unknown> {
    let curve: Curve = curve(&spells(stays, window, now), level)?;
    Ok(PhaseTimes {
        n: curve.n(),
        quarter: curve.quantile(0.25),
        median: curve.quantile(0.5),
        three_quarters: curve.quantile(0.75),
    })
}

fn spells<P: Copy>(stays: &[Stay<P>], (from, to): (At, At), now: At) -> Vec<Spell<P>> {
    let inside = stays.iter().filter(|stay| from <= stay.entered && stay.entered < to);
    inside.filter_map(|stay| stay.spell(now)).collect()
}
