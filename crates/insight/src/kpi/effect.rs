//! What messages did: revenue per recipient, attributed and gained, win-back beside its ghosts, and what they cost in
//! goodwill. Opens are in none of it.

use serde::Serialize;

use crate::experiment::{Arms, Boundary, mean_lift, share_lift};
use crate::interval::{Figure, Level, Moments, Tally, figure, mean, share};

/// Lapsed customers who ordered again in time, with and without a message.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WinBack {
    /// Of those who were written to.
    #[serde(serialize_with = "figure")]
    pub treated: Figure,
    /// Of the ghosts: who would have been, and was held out. They come back, too.
    #[serde(serialize_with = "figure")]
    pub ghosts: Figure,
    /// The difference, which alone is the journey's doing.
    #[serde(serialize_with = "figure")]
    pub gained: Figure,
}

/// Win-back. Who is counted entered the phase at least the goal's time ago, in both arms.
pub fn win_back(arms: Arms<Tally>, boundary: Boundary<'_>) -> WinBack {
    let level = boundary.level();
    WinBack {
        treated: share(arms.treated, level),
        ghosts: share(arms.held, level),
        gained: share_lift(arms, boundary),
    }
}

/// Revenue per recipient in minor units, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PerRecipient {
    /// Net revenue credited by clicks / distinct customers a message was delivered to.
    #[serde(serialize_with = "figure")]
    pub attributed_minor: Figure,
    /// Revenue of a treated customer beyond that of a held-out one over the same time.
    #[serde(serialize_with = "figure")]
    pub gained_minor: Figure,
}

/// Revenue per recipient. `attributed` has one value a recipient, zero for most; `arms` one a customer of either arm.
pub fn per_recipient(attributed: &Moments, arms: &Arms<Moments>, boundary: Boundary<'_>) -> PerRecipient {
    PerRecipient {
        attributed_minor: mean(attributed, boundary.level()),
        gained_minor: mean_lift(arms, boundary),
    }
}

/// Where a rate begins to be noticed, and where to be harmful: complaints 0.001 and 0.003, as the mailbox providers have
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limits {
    /// From here on it deserves a look.
    pub notice: f64,
    /// From here on it does harm.
    pub harm: f64,
}

impl Limits {
    /// Complaints per delivered message.
    pub const COMPLAINTS: Limits = Limits { notice: 0.001, harm: 0.003 };
}

/// A rate against its limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// The share.
    #[serde(serialize_with = "figure")]
    pub share: Figure,
    /// Whether it has reached the lower limit. Judged by the figure itself, not by the interval: a provider does so, too.
    pub notice: bool,
    /// Whether it has reached the upper one.
    pub harm: bool,
}

/// Unsubscriptions, complaints: hits per delivered message of one send, or per customer and month.
pub fn rate(tally: Tally, limits: Limits, level: Level) -> Rate {
    let reached = |limit: f64| tally.rate().is_some_and(|rate| rate >= limit);
    Rate { share: share(tally, level), notice: reached(limits.notice), harm: reached(limits.harm) }
}
