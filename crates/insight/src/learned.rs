//! All that is learned of a shop as a whole in one night, as figures that can be stored, and what they say of one
//! customer on a day. Never keeps a customer: whoever asks brings the customer's own orders.

use serde::{Deserialize, Serialize};

use crate::cadence::{Basis, Cadence, base_rate};
use crate::experiment::WeekCounts;
use crate::predict::{Forecaster, Prediction, Question, discounted_orders};
use crate::purchase::fit::{Budget, Fit, Kind, Options, Rung, fit};
use crate::purchase::{BaseRates, Grouping};
use crate::rfm::{Day, History, Rfm};
use crate::span::{DiscountRate, Discounting, Span};
use crate::spend::Spends;
use crate::spend::fit::{SpendFit, fit as fit_spend};

/// A year, as far as customers' values are concerned.
pub const YEAR: u32 = 365;
/// So many customers a shop needs before its model is believed of one of them: with fewer, the model is mostly what other
/// shops are like, and the base rate a handful of people.
const TELLING: u64 = 50;
/// By so much the horizon or the base rate may move while it is still the same measure.
const JUMP: f64 = 0.1;
/// What money loses in worth in a year: what a small shop pays for a loan.
const YEARLY_DISCOUNT: f64 = 0.1;

/// What one night's learning leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// The last day that was looked at.
    pub until: Day,
    /// Customers with orders.
    pub customers: u64,
    /// Their purchases: orders of one day are one.
    pub purchases: u64,
    /// How often customers order again, and whether.
    pub purchase: Fit,
    /// What an order is worth.
    pub spend: SpendFit,
    /// How long customers wait between orders.
    pub cadence: Cadence,
    /// Within which time a customer should order again.
    pub horizon: Span,
    /// How the horizon came about.
    pub basis: Basis,
    /// The share of customers that did order within the last horizon; nothing if there were none before it.
    pub base_rate: Option<f64>,
    /// When in the week orders are placed, where the shop is; empty while they are too few to tell.
    #[serde(default)]
    pub hours: WeekCounts,
}

impl Learned {
    /// Of all customers, as of the end of the day `until`; nothing if nobody had ordered by then.
    pub fn of(histories: &[History], until: Day, kind: Kind, budget: Budget) -> Option<Self> {
        let cadence = Cadence::observe(histories, until);
        let (horizon, basis) = cadence.horizon();
        let mut grouping = Grouping::new();
        let mut summaries = Vec::with_capacity(histories.len());
        let mut purchases = 0;
        for rfm in histories.iter().filter_map(|history| history.rfm(until)) {
            grouping.add(&rfm);
            purchases += u64::from(rfm.repeats()) + 1;
            summaries.push(rfm);
        }
        if summaries.is_empty() {
            return None;
        }
        let spend = fit_spend(&Spends::of_weighted(summaries.iter().map(|rfm| (rfm, 1.0))), budget);
        let customers = summaries.len() as u64;
        drop(summaries);
        let base = observed(histories, until, horizon);
        let purchase = fit(&grouping.finish(), &Options { kind, budget, base, ..Options::default() });
        let base_rate = base_rate(histories, until, horizon);
        let hours = WeekCounts::default();
        Some(Learned {
            until,
            customers,
            purchases,
            purchase,
            spend,
            cadence,
            horizon,
            basis,
            base_rate,
            hours,
        })
    }

    /// The same with the hours of its orders, if they are enough to tell when the shop's customers are about.
    #[must_use]
    pub fn with_hours(self, hours: WeekCounts) -> Self {
        if hours.n() < TELLING { self } else { Learned { hours, ..self } }
    }

    /// What customers are asked about: the shop's horizon, and the value of the year to come.
    pub fn question(&self) -> Question {
        Question {
            horizon: self.horizon,
            value_horizon: Span::of_days(YEAR),
            rate: yearly_discount(),
            discounting: Discounting::Continuous,
        }
    }

    /// One customer's forecast in full.
    pub fn predict(&self, rfm: &Rfm) -> Prediction {
        Forecaster::new(&self.purchase, &self.spend, self.question()).predict(rfm)
    }

    /// The chance of at least one order within `span`.
    pub fn any_order(&self, rfm: &Rfm, span: Span) -> f64 {
        self.purchase.model.any_order(rfm, span).clamp(0.0, 1.0)
    }

    /// What the customer's orders of the year to come are worth today, in minor units; nothing if the shop's orders say
    /// nothing of what one is worth.
    pub fn value(&self, rfm: &Rfm) -> Option<f64> {
        let spend = self.spend.model.expected_spend(rfm).filter(|spend| spend.is_finite())?;
        let question = self.question();
        let model = &self.purchase.model;
        let orders =
            discounted_orders(model, rfm, question.value_horizon, question.rate, question.discounting);
        Some((spend * orders).max(0.0)).filter(|value| value.is_finite())
    }

    /// Whether the shop's orders carry a model of its customers; a young shop's do not, and rates that hold for everybody
    /// tell nobody apart.
    pub fn is_telling(&self) -> bool {
        self.customers >= TELLING && !matches!(self.purchase.rung, Rung::BaseRates { .. })
    }

    /// So long nobody counts as overdue who has ordered once: until half of all customers have ordered a second time, but
    /// not longer than the horizon.
    pub fn new_for(&self) -> Span {
        match self.cadence.new_until() {
            Some(wait) if wait < self.horizon => wait,
            Some(_) | None => self.horizon,
        }
    }

    /// Whether it judges the shop's customers by another measure than an earlier version (or none) did, so that many of
    /// them stand elsewhere by it though nothing has happened: because one of them tells customers apart and the other
    /// does not, or because the horizon or the base rate is off by more than a tenth.
    pub fn is_unlike(&self, earlier: Option<&Learned>) -> bool {
        let Some(earlier) = earlier.filter(|earlier| earlier.is_telling()) else { return self.is_telling() };
        let is_off = |a: f64, b: f64| (a - b).abs() > JUMP * b.abs();
        let rates_are_off = match (self.base_rate, earlier.base_rate) {
            (Some(rate), Some(before)) => is_off(rate, before),
            (rate, before) => rate != before,
        };
        !self.is_telling() || rates_are_off || is_off(self.horizon.as_days(), earlier.horizon.as_days())
    }
}

/// What customers did within a window that ends with the day `until`, for the last rung.
pub(crate) fn observed(histories: &[History], until: Day, window: Span) -> Option<BaseRates> {
    let before = until.saturating_sub(window.as_days().round() as Day);
    let then = histories.iter();
    let then = then.filter_map(|h| Some((h.rfm(before)?, h.orders_between(before, until))));
    BaseRates::observed(then, window)
}

fn yearly_discount() -> DiscountRate {
    DiscountRate::per_year(YEARLY_DISCOUNT).unwrap_or(DiscountRate::NONE)
}
