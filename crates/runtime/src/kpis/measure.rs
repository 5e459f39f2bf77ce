//! A figure as reports show it: with its interval and the number of cases, or the reason why there is none. Never a
//! figure without either.

use std::fmt;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use zyklus_insight::interval::{Estimate, Figure, Unknown};

/// A figure, or why there is none. As JSON either `value`, `low`, `high`, `level`, `n`, `weak`, or `unknown` (a word that
/// stays) and `why` (a sentence).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure(Result<Estimate, Why>);

/// Why there is no figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Why {
    /// What was counted does not give one.
    Counted(Unknown),
    /// Nobody has been a customer for so long.
    TooYoung,
    /// Nothing has been learned of the shop yet.
    NotLearned,
    /// What was learned of the shop says nothing of this.
    NotForeseen,
    /// No connector says it.
    NotRecorded,
    /// Nobody was asked long enough ago.
    NotAsked,
    /// The shop sends no such events.
    NoEvents,
    /// So few orders are ever followed by another one that no gap is usual.
    NoGap,
    /// The journey has no goal.
    NoGoal,
    /// Nobody is held out.
    NotHeld,
}

impl Why {
    /// A word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Why::Counted(Unknown::Empty) => "empty",
            Why::Counted(Unknown::TooFew { .. }) => "too_few",
            Why::Counted(Unknown::TooYoung { .. }) | Why::TooYoung => "too_young",
            Why::Counted(Unknown::Unbounded) => "unbounded",
            Why::Counted(Unknown::NoSpread) => "no_spread",
            Why::Counted(Unknown::Impossible) => "impossible",
            Why::NotLearned => "not_learned",
            Why::NotForeseen => "not_foreseen",
            Why::NotRecorded => "not_recorded",
            Why::NotAsked => "not_asked",
            Why::NoEvents => "no_events",
            Why::NoGap => "no_gap",
            Why::NoGoal => "no_goal",
            Why::NotHeld => "not_held",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Why::Counted(unknown) => return unknown.fmt(f),
            Why::TooYoung => "nobody has been a customer for so long",
            Why::NotLearned => "nothing has been learned of the shop yet",
            Why::NotForeseen => "what was learned of the shop says nothing of this",
            Why::NotRecorded => "no connector says it",
            Why::NotAsked => "nobody was asked more than 30 days ago",
            Why::NoEvents => "the shop sends no such events",
            Why::NoGap => "not even half of all orders are ever followed by another",
            Why::NoGoal => "there is no goal",
            Why::NotHeld => "nobody is held out",
        };
        f.write_str(words)
    }
}

impl Measure {
    /// There is none.
    pub fn unknown(why: Why) -> Self {
        Measure(Err(why))
    }

    /// The figure.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(self) -> Result<Estimate, Why> {
        self.0
    }

    /// With another reason than "no cases".
    #[must_use]
    pub(crate) fn or_empty(self, why: Why) -> Self {
        match self.0 {
            Err(Why::Counted(Unknown::Empty)) => Measure(Err(why)),
            Ok(_) | Err(_) => self,
        }
    }
}

impl From<Figure> for Measure {
    fn from(figure: Figure) -> Self {
        Measure(figure.map_err(Why::Counted))
    }
}

impl Serialize for Measure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(known) => known.serialize(serializer),
            Err(why) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("unknown", why.word())?;
                map.serialize_entry("why", &why.to_string())?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use zyklus_insight::interval::Level;

    use super::*;

    #[test]
    fn a_missing_figure_says_why_and_a_known_one_how_sure_it_is() {
        let few = Measure::from(Err(Unknown::TooFew { n: 3, needed: 6 }));
        let text = serde_json::to_string(&few).unwrap();
        assert_eq!(text, r#"{"unknown":"too_few","why":"there are 3 cases, and it takes 6"}"#);
        let known = Measure::from(Estimate::new(0.5, 0.25, 0.75, Level::P95, 12));
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(text, r#"{"value":0.5,"low":0.25,"high":0.75,"level":0.95,"n":12,"weak":true}"#);
        let empty = Measure::from(Err(Unknown::Empty)).or_empty(Why::TooYoung);
        assert_eq!((empty.get(), few.or_empty(Why::TooYoung)), (Err(Why::TooYoung), few));
    }
}
