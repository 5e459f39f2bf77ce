//! How long visitors are really there: seconds in which a page is visible and something was done within the last half
//! minute. Works on visits of people who agreed; who they are is not looked at.

use std::collections::BTreeMap;

use serde::Serialize;
use zyklus_model::At;

use crate::interval::{Figure, Level, figure, median};

/// For how long one input counts as attention.
const ATTENTION_MICROS: i64 = 30_000_000;

/// What a page reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BeatKind {
    /// It came into view; that is an input, somebody did it.
    Shown,
    /// A key, a movement, a scroll, a touch.
    Input,
    /// It went out of view, or was closed.
    Hidden,
}

/// One report of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Beat {
    /// Which visit it belongs to.
    pub visit: u64,
    /// When.
    pub at: At,
    /// What.
    pub kind: BeatKind,
}

/// Dwell time over visits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Dwell {
    /// The median of a visit's active seconds.
    #[serde(serialize_with = "figure")]
    pub median_seconds: Figure,
    /// Visits.
    pub visits: u64,
}

/// Active seconds by visit. After a visit's last report nothing is known, and nothing counted.
pub fn active_seconds(beats: &[Beat]) -> BTreeMap<u64, f64> {
    let mut visits: BTreeMap<u64, Vec<(At, BeatKind)>> = BTreeMap::new();
    for beat in beats {
        visits.entry(beat.visit).or_default().push((beat.at, beat.kind));
    }
    visits.into_iter().map(|(visit, beats)| (visit, active(beats))).collect()
}

fn active(mut beats: Vec<(At, BeatKind)>) -> f64 {
    beats.sort_unstable();
    let mut micros = 0;
    for pair in beats.windows(2) {
        let ((at, kind), (next, _)) = (pair[0], pair[1]);
        // From the last input on, attention lasts its time; every input starts it anew, so only the gap to the
        // next report matters.
        if kind != BeatKind::Hidden {
            micros += next.micros_since(at).min(ATTENTION_MICROS);
        }
    }
    micros as f64 / 1e6
}

/// The median visit.
pub fn dwell(beats: &[Beat], level: Level) -> Dwell {
    let seconds: Vec<f64> = active_seconds(beats).into_values().collect();
    Dwell { median_seconds: median(&seconds, level), visits: seconds.len() as u64 }
}
