//! The lifecycle in figures: who goes on from one phase to which, how long phases last, and where going on more often
//! would bring most. Never calls a transition weak for its low rate alone.

use std::collections::BTreeMap;

use serde::Serialize;
use zyklus_insight::interval::{ENOUGH, Moments, Tally};
use zyklus_insight::kpi::{Transition, phase_times, weakest_links};
use zyklus_insight::survival::{Quantile, Spell, Stay, incidence};
use zyklus_model::{At, DAY_MICROS};

use super::LEVEL;
use super::intake::{Intake, STEP_DAYS};
use super::measure::{Measure, Why};
use super::paths::{Flow, Number, Paths, Walked};

/// Within so many days somebody goes on to another phase.
const WITHIN_DAYS: [u32; 3] = [30, 90, 365];
/// Earlier quarters of a year that the present one is compared with.
const QUARTERS: i64 = 8;

/// The lifecycle in figures.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseFigures {
    /// From where to where, of those who entered within the window.
    pub conversions: Vec<ConversionRow>,
    /// How long phases last for those who entered within the window.
    pub times: Vec<TimesRow>,
    /// Where everybody was some days ago, and is now.
    pub flow: FlowFigures,
    /// Where going on more often would bring most.
    pub links: Links,
}

/// From one phase to another.
#[derive(Debug, Clone, Serialize)]
pub struct ConversionRow {
    /// The phase left.
    pub from: String,
    /// The phase entered.
    pub to: String,
    /// Stays in the first that began within the window.
    pub entered: u64,
    /// Of these, those that ended in the second.
    pub arrived: u64,
    /// Those that ended in another one.
    pub elsewhere: u64,
    /// Those that go on.
    pub waiting: u64,
    /// The share that has gone on to it within some days (Aalen and Johansen).
    pub within: Vec<Within>,
}

/// A share within some days.
#[derive(Debug, Clone, Serialize)]
pub struct Within {
    /// Days.
    pub days: u32,
    /// The share.
    pub share: Measure,
}

/// How long a phase lasts, those still in it included (Kaplan and Meier).
#[derive(Debug, Clone, Serialize)]
pub struct TimesRow {
    /// The phase.
    pub phase: String,
    /// Stays.
    pub n: u64,
    /// Fewer than 30 of them.
    pub weak: bool,
    /// After how many days a quarter has left.
    pub quarter: Quantile,
    /// After how many days half have left.
    pub median: Quantile,
    /// After how many days three quarters have left.
    pub three_quarters: Quantile,
}

/// Where customers were at two points in time; what lies between is left out.
#[derive(Debug, Clone, Serialize)]
pub struct FlowFigures {
    /// The first point in time.
    pub from: At,
    /// The second.
    pub to: At,
    /// How many from where to where, staying included.
    pub rows: Vec<FlowRow>,
}

/// Customers who were in one phase and are in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowRow {
    /// The phase then; `None` = not known yet.
    pub from: Option<String>,
    /// The phase now.
    pub to: Option<String>,
    /// How many.
    pub customers: u64,
}

/// Transitions to a phase worth more, by what they could bring.
#[derive(Debug, Clone, Serialize)]
pub struct Links {
    /// Somebody has to go on within so many days.
    pub within_days: i64,
    /// What a phase is worth: `predicted_365d`; where nothing was learned of the shop `spent_90d`, what those who
    /// stood in it 90 days ago have spent since.
    pub valued_by: &'static str,
    /// The transitions, the one that could bring most first.
    pub ranked: Vec<LinkRow>,
    /// Those that cannot be judged, and why.
    pub unknown: Vec<UnjudgedLink>,
}

/// What a transition could bring in a year.
#[derive(Debug, Clone, Serialize)]
pub struct LinkRow {
    /// The phase left.
    pub from: String,
    /// The phase entered.
    pub to: String,
    /// The share that went on in time, of those who entered two quarters ago.
    pub now: f64,
    /// What it was in its better quarters.
    pub best: f64,
    /// How many cases `now` rests on.
    pub n: u64,
    /// Fewer than 30 of them.
    pub weak: bool,
    /// Customers who entered the first phase within the window.
    pub customers: u64,
    /// What a customer in the second phase is worth beyond one in the first, in minor units.
    pub value_minor: i64,
    /// (best − now) × customers × value, in minor units.
    pub worth_minor: i64,
    /// Whether the difference is more than chance.
    pub sure: bool,
}

/// A transition that cannot be judged.
#[derive(Debug, Clone, Serialize)]
pub struct UnjudgedLink {
    /// The phase left.
    pub from: String,
    /// The phase entered.
    pub to: String,
    /// A word for it.
    pub unknown: &'static str,
    /// A sentence.
    pub why: String,
}

/// All figures of phases.
pub(crate) fn figures(paths: Paths, intake: &Intake) -> PhaseFigures {
    let now = intake.now;
    let window = (intake.from, now.plus_micros(1));
    let Walked { names, stays, flow, spent } = paths.finish();
    let (mut conversions, mut times) = (Vec::new(), Vec::new());
    for (phase, stays) in names.iter().zip(&stays) {
        conversions.extend(conversions_from(phase, stays, window, now, &names));
        times.extend(phase_times(stays, window, now, LEVEL).ok().map(|found| TimesRow {
            phase: phase.clone(),
            n: found.n,
            weak: found.n < ENOUGH,
            quarter: found.quarter,
            median: found.median,
            three_quarters: found.three_quarters,
        }));
    }
    let links = links(&names, &stays, &spent, intake);
    let flow = FlowFigures { from: now.plus_days(-STEP_DAYS), to: now, rows: rows(&flow, &names) };
    PhaseFigures { conversions, times, flow, links }
}

fn named(names: &[String], number: Number) -> String {
    names.get(usize::from(number)).cloned().unwrap_or_default()
}

fn rows(flow: &Flow, names: &[String]) -> Vec<FlowRow> {
    let row = |((from, to), customers): (&(Option<Number>, Option<Number>), &u64)| FlowRow {
        from: from.map(|phase| named(names, phase)),
        to: to.map(|phase| named(names, phase)),
        customers: *customers,
    };
    flow.iter().map(row).collect()
}

fn conversions_from(
    phase: &str,
    stays: &[Stay<Number>],
    (from, to): (At, At),
    now: At,
    names: &[String],
) -> Vec<ConversionRow> {
    let inside = stays.iter().filter(|stay| from <= stay.entered && stay.entered < to);
    let spells: Vec<Spell<Number>> = inside.filter_map(|stay| stay.spell(now)).collect();
    let mut exits: BTreeMap<Number, u64> = BTreeMap::new();
    for exit in spells.iter().filter_map(|spell| spell.exit) {
        *exits.entry(exit).or_default() += 1;
    }
    // One estimate serves all exits.
    let Ok(incidence) = incidence(&spells, LEVEL) else { return Vec::new() };
    let entered = spells.len() as u64;
    let left: u64 = exits.values().sum();
    let row = |(exit, arrived): (&Number, &u64)| ConversionRow {
        from: phase.to_owned(),
        to: named(names, *exit),
        entered,
        arrived: *arrived,
        elsewhere: left - arrived,
        waiting: entered - left,
        within: WITHIN_DAYS
            .iter()
            .map(|days| Within { days: *days, share: incidence.gone_by(*exit, f64::from(*days)).into() })
            .collect(),
    };
    exits.iter().map(row).collect()
}

fn links(
    names: &[String],
    stays: &[Vec<Stay<Number>>],
    spent: &BTreeMap<Number, Moments>,
    intake: &Intake,
) -> Links {
    let now = intake.now;
    let is_learned = !intake.expected.is_empty();
    let worth = |phase: Number| {
        if is_learned {
            intake.standing.get(&named(names, phase))?.expected.mean()
        } else {
            spent.get(&phase)?.mean()
        }
    };
    let mut transitions = Vec::new();
    let mut values: BTreeMap<(Number, Number), (u64, i64)> = BTreeMap::new();
    for (from, stays) in (0..).zip(stays) {
        let mut exits: Vec<Number> = stays.iter().filter_map(|stay| stay.left.map(|(_, to)| to)).collect();
        exits.sort_unstable();
        exits.dedup();
        let customers = stays.iter().filter(|stay| stay.entered >= intake.from).count() as u64;
        for to in exits {
            let gain = worth(to).zip(worth(from));
            let Some(value) = gain.map(|(there, here)| there - here).filter(|gain| *gain >= 1.0) else {
                continue;
            };
            // A cast stops at the ends of the type; there is no more money than that.
            let value_minor = value.round() as i64;
            let cohort = |back: i64| quarter(stays, to, now.plus_days(-STEP_DAYS * back));
            let enough = |tally: &Tally| tally.of() >= ENOUGH;
            let cohorts = (2..2 + QUARTERS).map(cohort).filter(enough).collect();
            values.insert((from, to), (customers, value_minor));
            transitions.push(Transition { key: (from, to), now: cohort(1), cohorts, customers, value_minor });
        }
    }
    let (ranked, unknown) = weakest_links(&transitions, LEVEL);
    let row = |link: &zyklus_insight::kpi::Link<(Number, Number)>| {
        let (customers, value_minor) = values.get(&link.key).copied().unwrap_or_default();
        LinkRow {
            from: named(names, link.key.0),
            to: named(names, link.key.1),
            now: link.now,
            best: link.best,
            n: link.n,
            weak: link.n < ENOUGH,
            customers,
            value_minor,
            worth_minor: link.worth_minor,
            sure: link.sure,
        }
    };
    let unjudged = |(key, why): &((Number, Number), zyklus_insight::interval::Unknown)| UnjudgedLink {
        from: named(names, key.0),
        to: named(names, key.1),
        unknown: Why::Counted(*why).word(),
        why: match why {
            zyklus_insight::interval::Unknown::TooFew { .. } => {
                format!("no earlier quarter of a year has {ENOUGH} customers to compare with")
            }
            zyklus_insight::interval::Unknown::Empty => {
                "nobody came to it in the quarter looked at".to_owned()
            }
            zyklus_insight::interval::Unknown::TooYoung { .. }
            | zyklus_insight::interval::Unknown::Unbounded
            | zyklus_insight::interval::Unknown::NoSpread
            | zyklus_insight::interval::Unknown::Impossible => why.to_string(),
        },
    };
    Links {
        within_days: STEP_DAYS,
        valued_by: if is_learned { "predicted_365d" } else { "spent_90d" },
        ranked: ranked.iter().map(row).collect(),
        unknown: unknown.iter().map(unjudged).collect(),
    }
}

/// Who came in during the quarter of a year before `until`, and went on to `to` within as long.
fn quarter(stays: &[Stay<Number>], to: Number, until: At) -> Tally {
    let from = until.plus_days(-STEP_DAYS);
    let came = stays.iter().filter(|stay| from <= stay.entered && stay.entered < until);
    Tally::count(came.map(|stay| {
        stay.left
            .is_some_and(|(at, exit)| exit == to && at.micros_since(stay.entered) <= STEP_DAYS * DAY_MICROS)
    }))
}
