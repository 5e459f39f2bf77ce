//! What orders say: who comes back and how soon, how often and for how much, who stays away, and what the customers of
//! each month and each source have brought in. Never looks at a customer otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use zyklus_insight::cohort::{Purchase, realised_by_month, realised_by_source, retention};
use zyklus_insight::interval::share;
use zyklus_insight::kpi::{
    Order, Split, average_order, churn_by_gap, churn_by_model, gap_curve, purchase_frequency, repeat_rate,
    second_order_curve,
};
use zyklus_insight::learned::Learned;
use zyklus_insight::survival::{Curve, Quantile};
use zyklus_model::At;

use super::intake::{Intake, STEP_DAYS};
use super::measure::{Measure, Why};
use super::{EVER, LEVEL};

/// Within so many days a second order is waited for.
const REPEAT_DAYS: [i64; 5] = [30, 60, 90, 180, 365];
/// A curve is told at so many places.
const POINTS: u32 = 120;
/// Steps of an axis of days.
const ROUND_DAYS: [f64; 8] = [1.0, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0, 360.0];
/// Gaps that so many orders are followed within, in the order they are tried.
const GAP_SHARES: [f64; 5] = [0.9, 0.8, 0.7, 0.6, 0.5];
/// Cohorts are shown for so many months after the first order.
const MONTHS: u32 = 12;
/// The latest cohorts, so many of them.
const COHORTS: usize = 24;
/// At these ages, in months, the value of customers is looked at.
const AGES: [u32; 3] = [3, 6, 12];

/// How often and for how much customers buy.
#[derive(Debug, Clone, Serialize)]
pub struct Buying {
    /// Who comes back within some days, of all whose first order is at least that long ago.
    pub repeat: Vec<RepeatRow>,
    /// When they come back, the young ones as far as they have come.
    pub second_order: Option<SecondOrder>,
    /// Purchases a buyer within the window; `n` is the active base.
    pub frequency: Measure,
    /// Orders of the window whose amount is known.
    pub orders: u64,
    /// What an order of the window comes to, in minor units.
    pub order_mean_minor: Measure,
    /// The median of it.
    pub order_median_minor: Measure,
    /// What was taken off the full price, as a share of it.
    pub discount: Measure,
    /// Orders of the window with a coupon code, as a share of all.
    pub with_coupon: Measure,
}

/// The repeat rate within some days.
#[derive(Debug, Clone, Serialize)]
pub struct RepeatRow {
    /// Days given to come back.
    pub within_days: i64,
    /// The share that did.
    pub share: Measure,
    /// Buyers whose first order is more recent than that.
    pub too_young: u64,
}

/// After how many days a second order comes.
#[derive(Debug, Clone, Serialize)]
pub struct SecondOrder {
    /// Buyers.
    pub n: u64,
    /// After how many days a quarter has come back.
    pub quarter: Quantile,
    /// After how many days half have.
    pub median: Quantile,
    /// For how many days the curve is known.
    pub known_for_days: f64,
    /// The share that has come back, by days.
    pub points: Vec<Point>,
    /// How many were still being waited for.
    pub at_risk: Vec<AtRisk>,
}

/// A place of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Days.
    pub days: f64,
    /// The share.
    pub share: f64,
    /// The band's lower edge.
    pub low: f64,
    /// The band's upper edge.
    pub high: f64,
}

/// How many were left at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AtRisk {
    /// Days.
    pub days: f64,
    /// How many.
    pub customers: u64,
}

/// Who has gone between two points in time.
#[derive(Debug, Clone, Serialize)]
pub struct Churned {
    /// The first point in time.
    pub from: At,
    /// The second.
    pub to: At,
    /// Who has not ordered for so many days counts as gone.
    pub gap_days: Option<f64>,
    /// The share of orders that are followed by another within that gap: 0.9, or less where fewer ever are.
    pub gap_share: Option<f64>,
    /// By that gap: of those active at the first, the share gone at the second.
    pub by_gap: Measure,
    /// How many had gone at the first and ordered before the second.
    pub reactivated: Option<u64>,
    /// The same as a share of those who had gone.
    pub reactivation: Measure,
    /// By the shop's model: of those whose chance of an order was above the threshold, the share now below it.
    pub by_model: Measure,
    /// The chance is that of an order within so many days.
    pub model_days: Option<f64>,
    /// Below this chance somebody counts as gone: a third of what all customers did.
    pub model_threshold: Option<f64>,
}

/// Customers by the month of their first order, and by where they came from.
#[derive(Debug, Clone, Serialize)]
pub struct Cohorts {
    /// The latest months, oldest first.
    pub retention: Vec<CohortCells>,
    /// What a customer has brought in by some age, by month.
    pub by_month: Vec<RealisedRow>,
    /// The same by source, `unknown` as any other.
    pub by_source: Vec<RealisedRow>,
}

/// One month's customers.
#[derive(Debug, Clone, Serialize)]
pub struct CohortCells {
    /// The month, as 2026-03.
    pub month: String,
    /// How many.
    pub customers: u64,
    /// The month itself, the month after, and so on.
    pub cells: Vec<Cell>,
}

/// What they did so many months later.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    /// Months after the first order's.
    pub age: u32,
    /// The share that ordered in that month.
    pub ordering: Measure,
    /// What all of them have brought in up to and with it, in minor units.
    pub revenue_minor: i64,
    /// The same a customer.
    pub revenue_each_minor: Measure,
    /// Whether that month is over.
    pub complete: bool,
}

/// What a customer has brought in by some age.
#[derive(Debug, Clone, Serialize)]
pub struct RealisedRow {
    /// The month or the source.
    pub of: String,
    /// Customers of that kind, of any age.
    pub customers: u64,
    /// Months after that of the first order, which is counted in.
    pub months: u32,
    /// Minor units a customer, who never came back among them; of those who have reached that age.
    pub value_minor: Measure,
}

/// What is called the source of whom nothing is known.
pub const UNKNOWN_SOURCE: &str = "unknown";

impl Intake {
    /// The orders as insight wants them; without an amount, `net_minor` is zero.
    fn rows(&self, of: impl Fn(&super::intake::Placed) -> bool) -> Vec<Order> {
        let row = |placed: &super::intake::Placed| Order {
            customer: u64::from(placed.buyer),
            at: placed.at,
            net_minor: placed.net.unwrap_or(0),
            gross_minor: placed.net.unwrap_or(0),
            discount_minor: 0,
        };
        self.orders.iter().filter(|placed| of(placed)).map(row).collect()
    }

    /// Buying and churn, from one copy of the orders.
    pub(crate) fn buying(&self) -> (Buying, Churned) {
        let all = self.rows(|_| true);
        let repeat = |within: &i64| {
            let found = repeat_rate(&all, EVER, *within, self.now, Split::Merged, LEVEL);
            RepeatRow { within_days: *within, share: found.share.into(), too_young: found.too_young }
        };
        let repeat = REPEAT_DAYS.iter().map(repeat).collect();
        let curve = second_order_curve(&all, EVER, self.now, Split::Merged, LEVEL).ok();
        let second_order = curve.map(|curve| told(&curve));
        let frequency = purchase_frequency(&all, self.now, Split::Merged, LEVEL).into();
        let churn = self.churn(&all);
        drop(all);
        let rated = self.rows(|placed| placed.net.is_some() && placed.at >= self.from);
        let basket = average_order(&rated, (self.from, self.now.plus_micros(1)), LEVEL);
        let buying = Buying {
            repeat,
            second_order,
            frequency,
            orders: basket.orders,
            order_mean_minor: basket.mean_minor.into(),
            order_median_minor: basket.median_minor.into(),
            // No record of an order says what it would have cost without its coupons.
            discount: Measure::unknown(Why::NotRecorded),
            with_coupon: share(self.with_coupon, LEVEL).into(),
        };
        (buying, churn)
    }

    fn churn(&self, all: &[Order]) -> Churned {
        let window = (self.now.plus_days(-STEP_DAYS), self.now);
        let usual = |curve: &Curve| {
            GAP_SHARES.iter().find_map(|share| Some((*share, curve.quantile(*share).days()?)))
        };
        let gap = gap_curve(all, self.now, Split::Merged, LEVEL).map(|curve| usual(&curve));
        let by_gap = match gap {
            Ok(Some((_, days))) => Ok(churn_by_gap(all, days, window, Split::Merged, LEVEL)),
            Ok(None) => Err(Why::NoGap),
            Err(unknown) => Err(Why::Counted(unknown)),
        };
        let gap = gap.ok().flatten();
        let rate = |learned: &Arc<Learned>| learned.base_rate.filter(|_| learned.is_telling());
        let threshold = self.learned.as_ref().map(|learned| rate(learned).map(|rate| rate / 3.0));
        let by_model = match threshold {
            None => Measure::unknown(Why::NotLearned),
            Some(None) => Measure::unknown(Why::NotForeseen),
            Some(Some(threshold)) => churn_by_model(&self.alive, threshold, LEVEL).share.into(),
        };
        let known = by_gap.as_ref().ok();
        let figure = |of: fn(&zyklus_insight::kpi::Churn) -> zyklus_insight::interval::Figure| match &by_gap {
            Ok(churn) => Measure::from(of(churn)),
            Err(why) => Measure::unknown(*why),
        };
        Churned {
            from: window.0,
            to: window.1,
            gap_days: gap.map(|(_, days)| days),
            gap_share: gap.map(|(share, _)| share),
            by_gap: figure(|churn| churn.share),
            reactivated: known.map(|churn| churn.reactivated),
            reactivation: figure(|churn| churn.reactivation),
            by_model,
            model_days: self.learned.as_ref().map(|learned| learned.horizon.as_days()),
            model_threshold: threshold.flatten(),
        }
    }

    pub(crate) fn cohorts(&self) -> Cohorts {
        let now = self.month_of(self.now);
        let purchase = |placed: &super::intake::Placed| Purchase {
            customer: u64::from(placed.buyer),
            month: placed.month,
            net_minor: placed.net.unwrap_or(0),
        };
        let purchases: Vec<Purchase> = self.orders.iter().map(purchase).collect();
        let rows = retention(&purchases, now, MONTHS, LEVEL);
        let sizes: BTreeMap<i32, u64> = rows.iter().map(|row| (row.month, row.customers)).collect();
        let late = rows.len().saturating_sub(COHORTS);
        let retention = rows.into_iter().skip(late).map(cells).collect();
        let first = sizes.keys().nth(late).copied().unwrap_or(now);
        let by_month = AGES.iter().flat_map(|age| realised_by_month(&purchases, now, *age, LEVEL));
        let by_month = by_month.filter(|found| found.key >= first).map(|found| RealisedRow {
            of: month(found.key),
            customers: sizes.get(&found.key).copied().unwrap_or(0),
            months: found.age,
            value_minor: Measure::from(found.value_minor).or_empty(Why::TooYoung),
        });
        let by_month = by_month.collect();
        Cohorts { retention, by_month, by_source: self.by_source(&purchases, now) }
    }

    fn by_source(&self, purchases: &[Purchase], now: i32) -> Vec<RealisedRow> {
        let mut sources: BTreeMap<u64, &str> = BTreeMap::new();
        let mut sizes: BTreeMap<Option<&str>, u64> = BTreeMap::new();
        for (buyer, number) in (0u64..).zip(&self.sources) {
            let name = number.checked_sub(1).and_then(|place| self.source_names.get(usize::from(place)));
            let name = name.map(String::as_str);
            sources.extend(name.map(|name| (buyer, name)));
            *sizes.entry(name).or_default() += 1;
        }
        let found = AGES.iter().flat_map(|age| realised_by_source(purchases, &sources, now, *age, LEVEL));
        let row = |found: zyklus_insight::cohort::Realised<Option<&str>>| RealisedRow {
            of: found.key.unwrap_or(UNKNOWN_SOURCE).to_owned(),
            customers: sizes.get(&found.key).copied().unwrap_or(0),
            months: found.age,
            value_minor: Measure::from(found.value_minor).or_empty(Why::TooYoung),
        };
        found.map(row).collect()
    }
}

fn cells(row: zyklus_insight::cohort::Row) -> CohortCells {
    let cell = |(age, cell): (u32, zyklus_insight::cohort::Cell)| Cell {
        age,
        ordering: cell.ordering.into(),
        revenue_minor: cell.revenue_minor,
        revenue_each_minor: cell.revenue_each.into(),
        complete: cell.complete,
    };
    CohortCells {
        month: month(row.month),
        customers: row.customers,
        cells: (0..).zip(row.cells).map(cell).collect(),
    }
}

/// A month's number as 2026-03.
fn month(number: i32) -> String {
    format!("{:04}-{:02}", number.div_euclid(12), number.rem_euclid(12) + 1)
}

/// The curve of those who came back, at evenly spaced places.
fn told(curve: &Curve) -> SecondOrder {
    let known = curve.known_for();
    let steps = curve.steps();
    let point = |place: u32| {
        let days = known * f64::from(place) / f64::from(POINTS);
        let passed = steps.partition_point(|step| step.days <= days);
        let step = passed.checked_sub(1).map(|at| steps[at]);
        let (share, low, high) = step.map_or((0.0, 0.0, 0.0), |s| (1.0 - s.share, 1.0 - s.high, 1.0 - s.low));
        Point { days, share, low, high }
    };
    // At round numbers of days, a handful of them.
    let step = ROUND_DAYS.into_iter().find(|step| known / step <= 7.0).unwrap_or(known / 4.0);
    let ticks = (0..8).map(|tick| f64::from(tick) * step).take_while(|days| *days <= known);
    let at_risk = ticks.map(|days| AtRisk { days, customers: curve.at_risk(days) }).collect();
    SecondOrder {
        n: curve.n(),
        quarter: curve.quantile(0.25),
        median: curve.quantile(0.5),
        known_for_days: known,
        points: (0..=POINTS).map(point).collect(),
        at_risk,
    }
}
