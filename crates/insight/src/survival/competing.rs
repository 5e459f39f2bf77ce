//! Several ways out: the share that has left by each of them after so many days, when leaving by one makes the others
//! impossible. The shares and the share still there always sum to one.

use serde::Serialize;

use super::{Moment, Spell, moments};
use crate::interval::{Estimate, Figure, Level, Tally, Unknown, share};

/// The share gone by one exit, after a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct IncidencePoint {
    /// Days since the beginning.
    pub days: f64,
    /// The share gone by this exit.
    pub share: f64,
    /// The lower edge of the band.
    pub low: f64,
    /// Its upper edge.
    pub high: f64,
}

/// Cumulative incidence by exit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incidence<E> {
    level: Level,
    n: u64,
    unusable: u64,
    known_for: f64,
    staying: Vec<Staying>,
    exits: Vec<(E, Vec<IncidencePoint>)>,
}

/// Who is left after a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Staying {
    days: f64,
    share: f64,
    /// How many were not lost from sight before it: what became of them until then is known.
    known: u64,
}

/// Aalen and Johansen's estimate (1978, Scandinavian Journal of Statistics 5, 141) for each exit in `spells`, with
/// the variance of Marubini and Valsecchi (1995, 10.3) on the log-log scale.
///
/// # Errors
/// [`Unknown::Empty`] without usable spells.
pub fn incidence<E: Copy + Ord>(spells: &[Spell<E>], level: Level) -> Result<Incidence<E>, Unknown> {
    let mut names: Vec<E> = spells.iter().filter_map(|spell| spell.exit).collect();
    names.sort_unstable();
    names.dedup();
    let numbered = |exit: E| names.binary_search(&exit).unwrap_or(names.len());
    let numbers: Vec<Spell<usize>> =
        spells.iter().map(|spell| Spell { days: spell.days, exit: spell.exit.map(numbered) }).collect();
    let (moments, unusable) = moments(&numbers, names.len());
    let first = moments.first().ok_or(Unknown::Empty)?;
    let mut staying = Vec::with_capacity(moments.len());
    let (mut rest, mut known) = (1.0, first.at_risk);
    for moment in &moments {
        rest *= 1.0 - moment.left() as f64 / moment.at_risk as f64;
        staying.push(Staying { days: moment.days, share: rest, known });
        known -= moment.censored;
    }
    let z = level.z();
    let points = |exit: usize| {
        let mut sums = Sums::default();
        moments.iter().map(|moment| sums.step(moment, exit, z)).collect()
    };
    let exits = names.iter().enumerate().map(|(number, name)| (*name, points(number))).collect();
    let known_for = moments.last().map_or(0.0, |moment| moment.days);
    Ok(Incidence { level, n: first.at_risk, unusable, known_for, staying, exits })
}

/// Running sums of the variance Σ (F − Fᵢ)² dᵢ/(nᵢ(nᵢ−dᵢ)) + Σ Sᵢ₋₁² (nᵢ−dₖᵢ) dₖᵢ/nᵢ³ − 2 Σ (F − Fᵢ) Sᵢ₋₁ dₖᵢ/nᵢ², multiplied
/// out by powers of F, the incidence so far: so one pass gives it at every time.
#[derive(Default)]
struct Sums {
    /// Σ d/n, over all exits, as a product: one minus the share still there.
    gone: f64,
    share: f64,
    all: [f64; 3],
    own: f64,
    both: [f64; 2],
    /// The lower edge before all had left by this exit, when there is no spread to see any more.
    lowest: f64,
}

impl Sums {
    fn step(&mut self, moment: &Moment, exit: usize, z: f64) -> IncidencePoint {
        let (there, left) = (moment.at_risk as f64, moment.left() as f64);
        let mine = moment.exits[exit] as f64;
        let before = 1.0 - self.gone;
        self.share += before * mine / there;
        self.gone = 1.0 - before * (1.0 - left / there);
        // When all leave at once, F does not change any more, and F − Fᵢ is zero from here on.
        if left < there {
            let all = left / (there * (there - left));
            self.all[0] += all;
            self.all[1] += self.share * all;
            self.all[2] += self.share * self.share * all;
        }
        self.own += before * before * (there - mine) * mine / (there * there * there);
        let both = before * mine / (there * there);
        self.both[0] += both;
        self.both[1] += self.share * both;
        let f = self.share;
        let variance = f * f * self.all[0] - 2.0 * f * self.all[1] + self.all[2] + self.own
            - 2.0 * (f * self.both[0] - self.both[1]);
        let (low, high) = if f < 1.0 { band(f, variance.max(0.0), z) } else { (self.lowest, 1.0) };
        self.lowest = low;
        IncidencePoint { days: moment.days, share: f.clamp(0.0, 1.0), low, high }
    }
}

/// F to the power of exp(± z √V / (F ln F)), below one.
fn band(share: f64, variance: f64, z: f64) -> (f64, f64) {
    if share <= 0.0 {
        return (0.0, 0.0);
    }
    let ln = share.ln();
    let off = (z * variance.sqrt() / (share * -ln)).exp();
    ((ln * off).exp(), (ln / off).exp())
}

impl<E: Copy + Ord> Incidence<E> {
    /// The exits that occurred, in their order, each with its points by time.
    pub fn exits(&self) -> impl Iterator<Item = (E, &[IncidencePoint])> {
        self.exits.iter().map(|(exit, points)| (*exit, points.as_slice()))
    }

    /// How many spells it is made of.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// How many were left out, being negative or not finite.
    pub fn unusable(&self) -> u64 {
        self.unusable
    }

    /// The share gone by `exit` within `days`.
    ///
    /// # Errors
    /// [`Unknown::TooYoung`] if nobody has been watched for so long, unless all have left before.
    pub fn gone_by(&self, exit: E, days: f64) -> Figure {
        let passed = self.staying.partition_point(|point| point.days <= days);
        if days.is_nan() || (days > self.known_for && self.staying(days) > 0.0) {
            return Err(Unknown::TooYoung { days: self.known_for });
        }
        let last = passed.checked_sub(1);
        let points = self.exits.iter().find(|(name, _)| *name == exit).map(|(_, points)| points);
        match points.zip(last).map(|(points, at)| points[at]) {
            Some(point) if point.share > 0.0 => {
                Estimate::new(point.share, point.low, point.high, self.level, self.n)
            }
            // Nobody has taken it: what that says depends on how many could have.
            Some(_) | None => {
                let known = last.map_or(self.n, |at| self.staying[at].known);
                let most = share(Tally::new(0, known)?, self.level)?.high();
                Estimate::new(0.0, 0.0, most, self.level, self.n)
            }
        }
    }

    /// The share still there after `days`, without a band: `curve` has it.
    pub fn staying(&self, days: f64) -> f64 {
        let passed = self.staying.partition_point(|point| point.days <= days);
        passed.checked_sub(1).map_or(1.0, |at| self.staying[at].share)
    }
}
