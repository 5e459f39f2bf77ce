//! How long until: stays that may still be going on, and the curves that count them rightly. Reads no clock: `now` is
//! an argument, and whoever is still in at `now` has been watched until then and no longer.

mod competing;
mod curve;

use serde::{Deserialize, Serialize};
use zyklus_model::At;
use zyklus_model::time::DAY_MICROS;

pub use competing::{Incidence, IncidencePoint, incidence};
pub use curve::{Curve, Quantile, Step, curve};

/// Somebody's time in a state: since when, and when and by which exit they left it, if they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay<E> {
    /// When they came in.
    pub entered: At,
    /// When they left, and where to; `None` while they are in.
    pub left: Option<(At, E)>,
}

/// How long somebody was watched, and how that ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spell<E> {
    /// In days; a spell that is negative or not finite is counted as unusable.
    pub days: f64,
    /// By which exit it ended; `None` if it was still going on.
    pub exit: Option<E>,
}

impl<E: Copy> Stay<E> {
    /// As a spell watched until `now`. What happened after `now` has not happened; a stay that begins after it, or
    /// ends before it began, gives none.
    pub fn spell(&self, now: At) -> Option<Spell<E>> {
        let left = self.left.filter(|(at, _)| *at <= now);
        let until = left.map_or(now, |(at, _)| at);
        (until >= self.entered)
            .then(|| Spell { days: days(self.entered, until), exit: left.map(|(_, to)| to) })
    }
}

/// Days from one instant to another, 24 hours each.
pub(crate) fn days(from: At, to: At) -> f64 {
    to.micros_since(from) as f64 / DAY_MICROS as f64
}

/// Those who were there at one point in time, and what they did.
struct Moment {
    days: f64,
    at_risk: u64,
    /// How many left by each exit.
    exits: Vec<u64>,
    /// How many were watched no longer.
    censored: u64,
}

impl Moment {
    fn left(&self) -> u64 {
        self.exits.iter().sum()
    }
}

/// Spells by their length, each length once. Who leaves at a time is counted before who is lost from sight at it.
/// Also how many spells were unusable.
fn moments(spells: &[Spell<usize>], exits: usize) -> (Vec<Moment>, u64) {
    let usable = |spell: &&Spell<usize>| {
        spell.days.is_finite() && spell.days >= 0.0 && spell.exit.is_none_or(|exit| exit < exits)
    };
    let mut sorted: Vec<&Spell<usize>> = spells.iter().filter(usable).collect();
    sorted.sort_by(|one, other| one.days.total_cmp(&other.days));
    let mut at_risk = sorted.len() as u64;
    let mut moments: Vec<Moment> = Vec::new();
    // Equal as numbers: total_cmp tells -0.0 from 0.0, the comparison below does not.
    for group in sorted.chunk_by(|one, other| one.days == other.days) {
        let mut moment = Moment { days: group[0].days + 0.0, at_risk, exits: vec![0; exits], censored: 0 };
        for spell in group {
            match spell.exit {
                Some(exit) => moment.exits[exit] += 1,
                None => moment.censored += 1,
            }
        }
        at_risk -= group.len() as u64;
        moments.push(moment);
    }
    (moments, (spells.len() - sorted.len()) as u64)
}
