//! How customers move between phases: who gets from one to the next in time, and how long they stay. Those who are still
//! waiting count as waiting, not as lost.

use serde::Serialize;
use zyklus_model::At;

use crate::interval::{Figure, Level, Unknown, figure};
use crate::survival::{Curve, Quantile, Spell, Stay, curve, incidence};

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
