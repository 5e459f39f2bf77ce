//! Where improving pays most: each transition's distance to what it has been at its best, in money. Never names a link
//! for its low rate alone; the last one always has the lowest.

use serde::Serialize;

use crate::interval::{Level, Tally, Unknown, share};

/// One transition from a phase to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition<K> {
    /// Which one.
    pub key: K,
    /// Now: who made it, of those who could have.
    pub now: Tally,
    /// Earlier cohorts, the same.
    pub cohorts: Vec<Tally>,
    /// How many customers come to it in the time the money is meant for.
    pub customers: u64,
    /// What one more in the next phase is worth, in minor units.
    pub value_minor: i64,
}

/// What a transition could bring.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Link<K> {
    /// Which one.
    pub key: K,
    /// Its share now.
    pub now: f64,
    /// What it has been in its better times: the upper quartile of the cohorts, or the median of fewer than four.
    pub best: f64,
    /// (best − now) × customers × value, in minor units; zero when it is at its best.
    pub worth_minor: i64,
    /// Whether the difference is more than chance: the better times lie above the interval of now.
    pub sure: bool,
    /// How many cases the present share rests on.
    pub n: u64,
}

/// The links by what they could bring, most first; beside it those that cannot be judged, and why: nobody came to them, or
/// there are no earlier cohorts.
pub fn weakest_links<K: Clone + Ord>(
    transitions: &[Transition<K>],
    level: Level,
) -> (Vec<Link<K>>, Vec<(K, Unknown)>) {
    let (mut links, mut unknown) = (Vec::new(), Vec::new());
    for transition in transitions {
        match link(transition, level) {
            Ok(link) => links.push(link),
            Err(why) => unknown.push((transition.key.clone(), why)),
        }
    }
    links.sort_by(|one, other| other.worth_minor.cmp(&one.worth_minor).then_with(|| one.key.cmp(&other.key)));
    (links, unknown)
}

fn link<K: Clone>(transition: &Transition<K>, level: Level) -> Result<Link<K>, Unknown> {
    let now = share(transition.now, level)?;
    let mut rates: Vec<f64> = transition.cohorts.iter().filter_map(|cohort| cohort.rate()).collect();
    rates.sort_by(f64::total_cmp);
    let best = match rates.len() {
        0 => return Err(Unknown::TooFew { n: 0, needed: 1 }),
        1..=3 => quantile(&rates, 0.5),
        _ => quantile(&rates, 0.75),
    };
    let gain = (best - now.value()).max(0.0) * transition.customers as f64 * transition.value_minor as f64;
    // A cast to an integer stops at its ends; there is no more money than that.
    let worth_minor = gain.round() as i64;
    let sure = !now.is_weak() && best > now.high();
    Ok(Link { key: transition.key.clone(), now: now.value(), best, worth_minor, sure, n: now.n() })
}

/// With linear interpolation (Hyndman and Fan 1996, American Statistician 50, 361, type 7). Of at least one.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (at - at.floor()) * (sorted[above] - sorted[below])
}
