//! Whether forecasts come true, measured on a shop's own past: at several cut-offs the models see what was known then,
//! and their forecasts are held against what came.
//!
//! Thresholds are never taken from the window they are judged on: they are frozen from the cut-off before. One-time and
//! repeat buyers are judged apart, too: they are different questions. Whether acting on a forecast pays is not asked
//! here; only a holdout group can answer that.

mod metrics;

pub use metrics::{Bin, auc, balanced_accuracy, brier, calibration, correlation};

use serde::{Deserialize, Serialize};

use crate::cadence::base_rate;
use crate::learned::observed;
use crate::purchase::Sample;
use crate::purchase::fit::{Options, Rung, fit};
use crate::rfm::{Day, History, Rfm};
use crate::span::Span;
use metrics::best_threshold;

/// Fewer cut-offs than that show nothing.
const FEWEST: usize = 3;

/// Why there is nothing to report.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ValidateError {
    /// Too few cut-offs.
    #[error("{0} cut-offs are too few: one good month proves nothing, give at least 3")]
    FewCutoffs(usize),
    /// A window that is not over.
    #[error(
        "the window after the cut-off on day {cutoff} ends after the last day of the observation, {until}"
    )]
    Unfinished {
        /// The cut-off.
        cutoff: Day,
        /// The last day of the observation.
        until: Day,
    },
    /// No window at all.
    #[error("the window after a cut-off must be at least a day long")]
    EmptyWindow,
}

/// Forecasts against what came, at every cut-off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Days after a cut-off that a forecast is about.
    pub window_days: u32,
    /// By ascending day.
    pub cutoffs: Vec<Cutoff>,
}

/// Forecasts against what came, at one cut-off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cutoff {
    /// Its day.
    pub day: Day,
    /// Where the model stood then.
    pub rung: Rung,
    /// All who were customers then.
    pub all: Group,
    /// Those of them with one purchase.
    pub one_time: Group,
    /// The others.
    pub repeat: Group,
    /// How well "will order within the window" was told from "will not".
    pub told: Told,
}

/// Some customers' forecasts against what came. Figures are absent where there is nothing they could be figures of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// How many.
    pub customers: usize,
    /// The share that ordered.
    pub ordered: Option<f64>,
    /// Purchases that came, a day's being one.
    pub orders: f64,
    /// Purchases that were forecast.
    pub forecast: f64,
    /// Forecast by actual purchases, less 1: -0.12 says that 12 % too few were forecast.
    pub forecast_error: Option<f64>,
    /// The chance that somebody who ordered had been given a higher chance than somebody who did not.
    pub auc: Option<f64>,
    /// Mean squared difference between the chance and what came, 0 or 1.
    pub brier: Option<f64>,
    /// Tenths of the customers by ascending chance.
    pub calibration: Vec<Bin>,
}

/// Mean of the shares of those who ordered and of those who did not that a rule told rightly; 0.5 is guessing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// By the chance, against the share of customers that had ordered in the window before: nothing is tuned.
    pub by_base_rate: Option<f64>,
    /// By the chance, against the threshold that had been best at the cut-off before.
    pub by_model: Option<f64>,
    /// By days since the last order, against the number that had been best at the cut-off before.
    pub by_fixed_window: Option<f64>,
    /// That number.
    pub fixed_window_days: Option<f64>,
}

/// One customer at one cut-off.
struct Case {
    rfm: Rfm,
    chance: f64,
    expected: f64,
    orders: u32,
}

impl Case {
    fn came(&self) -> bool {
        self.orders > 0
    }
}

/// Fits the model of `options` at every cut-off and holds its forecasts of the `window` after it against what came.
///
/// # Errors
/// If there are fewer than three cut-offs, or a window has no days or ends after `until`, the last day of the
/// observation.
pub fn rolling(
    histories: &[History],
    cutoffs: &[Day],
    window_days: u32,
    until: Day,
    options: &Options,
) -> Result<Report, ValidateError> {
    let mut days = cutoffs.to_vec();
    days.sort_unstable();
    days.dedup();
    if days.len() < FEWEST {
        return Err(ValidateError::FewCutoffs(days.len()));
    }
    if window_days == 0 {
        return Err(ValidateError::EmptyWindow);
    }
    let late = days.iter().find(|day| day.checked_add_unsigned(window_days).is_none_or(|end| end > until));
    if let Some(&cutoff) = late {
        return Err(ValidateError::Unfinished { cutoff, until });
    }
    let window = Span::of_days(window_days);
    let mut frozen: Option<(Option<f64>, Option<f64>)> = None;
    let mut found = Vec::with_capacity(days.len());
    for day in days {
        let known: Vec<(&History, Rfm)> =
            histories.iter().filter_map(|history| Some((history, history.rfm(day)?))).collect();
        let sample: Sample = known.iter().map(|(_, rfm)| rfm).collect();
        // The last rung is counted, as whoever lives by it counts it: from what was known on the day.
        let base = observed(histories, day, window);
        let fit = fit(&sample, &Options { base, ..options.clone() });
        let end = day.saturating_add_unsigned(window_days);
        let cases: Vec<Case> = known
            .iter()
            .map(|(history, rfm)| Case {
                rfm: *rfm,
                chance: fit.model.any_order(rfm, window),
                expected: fit.model.expected_orders(rfm, window),
                orders: history.orders_between(day, end),
            })
            .collect();
        let chances = || cases.iter().map(|case| (case.chance, case.came()));
        // Whoever ordered lately is the likelier to order.
        let fresh = || cases.iter().map(|case| (-case.rfm.idle().as_days(), case.came()));
        let (by_model, by_window) = frozen.unwrap_or_default();
        let base = base_rate(histories, day, window);
        let told = Told {
            by_base_rate: base.and_then(|rate| balanced_accuracy(chances(), rate)),
            by_model: by_model.and_then(|threshold| balanced_accuracy(chances(), threshold)),
            by_fixed_window: by_window.and_then(|threshold| balanced_accuracy(fresh(), threshold)),
            fixed_window_days: by_window.map(|threshold| -threshold),
        };
        frozen = Some((best_threshold(chances()), best_threshold(fresh())));
        found.push(Cutoff {
            day,
            rung: fit.rung,
            all: group(cases.iter()),
            one_time: group(cases.iter().filter(|case| case.rfm.repeats() == 0)),
            repeat: group(cases.iter().filter(|case| case.rfm.repeats() > 0)),
            told,
        });
    }
    Ok(Report { window_days, cutoffs: found })
}

fn group<'a>(cases: impl Iterator<Item = &'a Case> + Clone) -> Group {
    let chances = || cases.clone().map(|case| (case.chance, case.came()));
    let customers = cases.clone().count();
    let orders: f64 = cases.clone().map(|case| f64::from(case.orders)).sum();
    let forecast: f64 = cases.clone().map(|case| case.expected).sum();
    let ordered = cases.clone().filter(|case| case.came()).count();
    Group {
        customers,
        ordered: (customers > 0).then(|| ordered as f64 / customers as f64),
        orders,
        forecast,
        forecast_error: (orders > 0.0).then(|| forecast / orders - 1.0),
        auc: auc(chances()),
        brier: brier(chances()),
        calibration: calibration(chances(), 10),
    }
}
