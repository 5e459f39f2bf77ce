//! The shop's key figures over all customers, each with its number of cases and its interval, or why there is none.
//! Gathered while a report walks the store page by page, computed by `insight`. Never decides, never reads a store.
//!
//! Money is what customers paid less what went back, in the reporting currency, tax and shipping included, since orders
//! say no more than that; an order without a rate counts as an order and is in no sum. Orders of one customer within 24
//! hours are one purchase where it is asked who comes back.
//!
//! What is kept in memory until the end is said in `intake` and `paths`: about 32 bytes an order and 32 a stay in a
//! phase; insight makes further copies of as much while it computes.

mod buying;
mod effects;
mod intake;
mod measure;
mod paths;
mod phases;
mod worth;

use serde::Serialize;
use zyklus_insight::interval::{ENOUGH, Level};
use zyklus_model::At;

pub use buying::{
    AtRisk, Buying, Cell, Churned, CohortCells, Cohorts, Point, RealisedRow, RepeatRow, SecondOrder,
    UNKNOWN_SOURCE,
};
pub use effects::{Effect, Effects, NeedsFigures, NoNumber};
pub(crate) use intake::Intake;
pub use measure::{Measure, Why};
pub(crate) use paths::Paths;
pub use phases::{
    ConversionRow, FlowFigures, FlowRow, LinkRow, Links, PhaseFigures, TimesRow, UnjudgedLink, Within,
};
pub use worth::{Messages, Predicted, ValueBin, Visits, Voices};

use crate::journeys::JourneyRow;

/// How sure intervals are.
const LEVEL: Level = Level::P95;
/// All time.
const EVER: (At, At) = (At::MIN, At::MAX);

/// The key figures.
#[derive(Debug, Clone, Serialize)]
pub struct Kpis {
    /// Where the window begins that most figures are of.
    pub from: At,
    /// Where it ends.
    pub to: At,
    /// How sure intervals are.
    pub level: f64,
    /// Figures from fewer cases are weak.
    pub enough: u64,
    /// How often and for how much customers buy.
    pub buying: Buying,
    /// Who has gone.
    pub churn: Churned,
    /// The lifecycle.
    pub phases: PhaseFigures,
    /// Customers by month and by source.
    pub cohorts: Cohorts,
    /// What they are expected to bring in.
    pub predicted: Predicted,
    /// What they say.
    pub voices: Voices,
    /// What became of messages.
    pub messages: Messages,
    /// How long they look.
    pub visits: Visits,
    /// What journeys changed.
    pub effects: Effects,
}

/// Computes them of what was gathered.
pub(crate) fn kpis(intake: &Intake, paths: Paths, learned_at: Option<At>, journeys: &[JourneyRow]) -> Kpis {
    let (buying, churn) = intake.buying();
    Kpis {
        from: intake.from,
        to: intake.now,
        level: LEVEL.share(),
        enough: ENOUGH,
        buying,
        churn,
        phases: phases::figures(paths, intake),
        cohorts: intake.cohorts(),
        predicted: intake.predicted(learned_at),
        voices: intake.voices(),
        messages: intake.messages(),
        visits: intake.visited(),
        effects: effects::effects(journeys),
    }
}

#[cfg(test)]
mod tests;
