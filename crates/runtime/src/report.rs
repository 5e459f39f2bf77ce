//! Figures over all customers as of an instant: phases, moves, revenue, repeat rate, cohorts, and the key figures. Streams
//! the store page by page; never holds a customer longer than that (what the key figures keep of one says `kpis`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Serialize;
use zyklus_engine::Book;
use zyklus_engine::phase::{classify, replay};
use zyklus_engine::zone::zone_of;
use zyklus_insight::learned::Learned;
use zyklus_model::{At, Money, Order, RunState, Snapshot};
use zyklus_store::{AsOf, Lesson, Store};

use crate::error::RuntimeError;
use crate::journeys::{JourneyRow, Journeys};
use crate::kpis::{Intake, Kpis, Paths, kpis};
use crate::learn::versions;
use crate::project::Project;

const BATCH: u32 = 2_000;
/// Customers are spread over so many buckets.
const BUCKETS: i16 = 1_024;
/// The moves of so many of them are read in one go.
const BUCKETS_AT_ONCE: usize = 32;

/// Figures as of an instant. Money is in the reporting currency.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// As of when.
    pub at: At,
    /// The lifecycle's id.
    pub lifecycle: String,
    /// The reporting currency.
    pub currency: String,
    /// Customers known by then.
    pub customers: u64,
    /// Customers with an order that counts.
    pub buyers: u64,
    /// Orders placed and not cancelled by then.
    pub orders: u64,
    /// What they came to, before refunds, in minor units.
    pub gross_minor: i64,
    /// What went back, in minor units.
    pub refunded_minor: i64,
    /// What remained, in minor units.
    pub revenue_minor: i64,
    /// What remained, as a decimal number.
    pub revenue: String,
    /// Buyers with a second order, as a share of buyers; `None` without buyers.
    pub repeat_rate: Option<f64>,
    /// Of those who were buyers 90 days ago and had ordered in the year before that, the share that has not ordered in the last 90 days;
    /// `None` when there were none.
    pub churn_90d: Option<f64>,
    /// Phases in the lifecycle's order.
    pub phases: Vec<PhaseRow>,
    /// Moves between phases.
    pub moves: Vec<MoveRow>,
    /// Customers by the month of their first order, and how many of them ordered in each month after.
    pub cohorts: Vec<CohortRow>,
    /// Orders whose currency has no rate, by currency: they are in no figure of money.
    pub unrated: BTreeMap<String, u64>,
    /// Live runs by journey.
    pub live_runs: BTreeMap<String, u64>,
    /// What journeys came to, by root id.
    pub journeys: Vec<JourneyRow>,
    /// The key figures.
    pub kpis: Kpis,
}

/// One phase.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseRow {
    /// The phase.
    pub phase: String,
    /// What people call it.
    pub label: String,
    /// How many stand in it.
    pub customers: u64,
    /// Their share of all.
    pub share: f64,
    /// What their orders came to after refunds, in minor units.
    pub revenue_minor: i64,
    /// The same as a decimal number.
    pub revenue: String,
}

/// Moves from one phase to another.
#[derive(Debug, Clone, Serialize)]
pub struct MoveRow {
    /// The phase left; `None` = the first phase of a customer.
    pub from: Option<String>,
    /// The phase entered.
    pub to: String,
    /// How many in the last 30 days.
    pub last_30d: u64,
    /// How many ever.
    pub ever: u64,
    /// Of all who ever left `from`, the share that came here.
    pub conversion: f64,
}

/// Customers who first ordered in one month.
#[derive(Debug, Clone, Serialize)]
pub struct CohortRow {
    /// The month, as 2026-03, in the shop's time zone.
    pub month: String,
    /// How many.
    pub customers: u64,
    /// How many of them ordered in that month, the month after, and so on.
    pub active: Vec<u64>,
}

struct Tally {
    intake: Intake,
    paths: Paths,
    learned_at: Option<At>,
    customers: u64,
    buyers: u64,
    repeaters: u64,
    orders: u64,
    gross: i64,
    refunded: i64,
    churn: (u64, u64),
    phases: BTreeMap<String, (u64, i64)>,
    moves: BTreeMap<(Option<String>, String), (u64, u64)>,
    cohorts: BTreeMap<(i16, i8), (u64, BTreeMap<i32, u64>)>,
    unrated: BTreeMap<String, u64>,
    runs: BTreeMap<String, u64>,
    journeys: Journeys,
}

/// Computes the figures as of `now`; facts dated later are not seen.
///
/// # Errors
/// The store's.
pub async fn report(store: &Store, project: &Project, book: &Book, now: At) -> Result<Report, RuntimeError> {
    let mut tally =
        Tally::new(project, book, versions(store.learned_by(Lesson::Shop, now).await?).last(), now);
    let mut after = None;
    loop {
        let ids = store.customer_ids(after, BATCH).await?;
        let Some(last) = ids.last() else { break };
        after = Some(*last);
        for snapshot in store.snapshots(&ids).await? {
            tally.add(book, &snapshot, now, &project.shop.zone);
        }
    }
    tally.paths.spent(std::mem::take(&mut tally.intake.lately));
    let mut cursor = None;
    loop {
        let page = store.transitions_page(&book.lifecycle.id, cursor, BATCH).await?;
        let Some(last) = page.last() else { break };
        cursor = Some((last.0, last.1.id));
        for (_, transition) in page.iter().filter(|(_, t)| t.at <= now) {
            let entry = tally.moves.entry((transition.from.clone(), transition.to.clone())).or_default();
            entry.0 += u64::from(transition.at > now.plus_days(-30));
            entry.1 += 1;
        }
        for (customer, transition) in page.iter().filter(|(_, t)| t.at <= now) {
            tally.paths.add(*customer, transition.from.as_deref(), &transition.to, transition.at);
        }
    }
    Ok(tally.finish(project, book, now))
}

/// The figures as they were told at an instant, and how many customers stood in a phase of another lifecycle or of
/// one that was defined otherwise: `book` tells of them what it would have told.
///
/// # Errors
/// The store's.
pub async fn report_as_of(
    past: &AsOf,
    project: &Project,
    book: &Book,
) -> Result<(Report, u64), RuntimeError> {
    let now = past.at();
    let mut tally = Tally::new(project, book, versions(past.learned_until(Lesson::Shop).await?).last(), now);
    let (mut after, mut others) = (None, 0);
    loop {
        let ids = past.customer_ids(after, BATCH).await?;
        let Some(last) = ids.last() else { break };
        after = Some(*last);
        for snapshot in past.snapshots(&ids).await? {
            others += u64::from(!is_of(&snapshot, book));
            tally.add(book, &snapshot, now, &project.shop.zone);
        }
    }
    for moved in past.moves(&book.lifecycle.id, now.plus_days(-30)).await? {
        tally.moves.insert((moved.from, moved.to), (moved.since, moved.ever));
    }
    tally.paths.spent(std::mem::take(&mut tally.intake.lately));
    for first in (0..BUCKETS).step_by(BUCKETS_AT_ONCE) {
        let buckets = (first, first + BUCKETS_AT_ONCE as i16);
        for moved in past.moves_of(&book.lifecycle.id, buckets).await? {
            tally.paths.add(moved.customer, moved.from.as_deref(), &moved.to, moved.at);
        }
    }
    Ok((tally.finish(project, book, now), others))
}

/// Whether a customer's phase, if there is one, is of the book's lifecycle as it is defined.
pub fn is_of(snapshot: &Snapshot, book: &Book) -> bool {
    let lifecycle = &book.lifecycle;
    let its = snapshot.phase.as_ref();
    its.is_none_or(|p| p.lifecycle == *lifecycle.id && p.definition == lifecycle.definition)
}

impl Tally {
    /// Nothing counted yet. What was learned after `now` is not known at it.
    fn new(project: &Project, book: &Book, learned: Option<&(At, Arc<Learned>)>, now: At) -> Self {
        let learned = learned.filter(|(at, _)| *at <= now);
        let phases = book.lifecycle.phases.iter().map(|phase| phase.id.to_string());
        Tally {
            intake: Intake::new(now, &project.shop.zone, learned.map(|(_, learned)| Arc::clone(learned))),
            paths: Paths::new(now, phases),
            learned_at: learned.map(|(at, _)| *at),
            customers: 0,
            buyers: 0,
            repeaters: 0,
            orders: 0,
            gross: 0,
            refunded: 0,
            churn: (0, 0),
            phases: BTreeMap::new(),
            moves: BTreeMap::new(),
            cohorts: BTreeMap::new(),
            unrated: BTreeMap::new(),
            runs: BTreeMap::new(),
            journeys: Journeys::default(),
        }
    }

    fn add(&mut self, book: &Book, snapshot: &Snapshot, now: At, zone: &TimeZone) {
        if snapshot.customer.created_at > now && snapshot.orders.iter().all(|o| o.placed_at > now) {
            return;
        }
        self.customers += 1;
        let orders: Vec<&Order> = snapshot.orders.iter().filter(|o| o.counts_at(now)).collect();
        let mut net = 0;
        for order in &orders {
            self.orders += 1;
            match order.reporting_minor_at(now) {
                Some((total, back)) => {
                    self.gross += total;
                    self.refunded += back;
                    net += total - back;
                }
                None => *self.unrated.entry(order.total.currency.code().to_owned()).or_default() += 1,
            }
        }
        self.buyers += u64::from(!orders.is_empty());
        self.repeaters += u64::from(orders.len() > 1);
        let (recent, year) = (now.plus_days(-90), now.plus_days(-455));
        if orders.iter().any(|o| o.placed_at <= recent && o.placed_at > year) {
            self.churn.0 += 1;
            self.churn.1 += u64::from(orders.iter().all(|o| o.placed_at <= recent));
        }
        let phase = phase_at(book, snapshot, now);
        self.intake.add(snapshot, &orders, phase.as_deref());
        if let Some(phase) = phase {
            let entry = self.phases.entry(phase).or_default();
            entry.0 += 1;
            entry.1 += net;
        }
        let month = |at: At| {
            let date = at.timestamp().to_zoned(zone.clone()).date();
            (date.year(), date.month())
        };
        if let Some(first) = orders.first().map(|o| month(o.placed_at)) {
            let number = |(year, month): (i16, i8)| i32::from(year) * 12 + i32::from(month);
            let months: BTreeSet<i32> =
                orders.iter().map(|o| number(month(o.placed_at)) - number(first)).collect();
            let cohort = self.cohorts.entry(first).or_default();
            cohort.0 += 1;
            for month in months {
                *cohort.1.entry(month).or_default() += 1;
            }
        }
        for run in snapshot.runs.iter().filter(|r| r.state == RunState::Live && r.started_at <= now) {
            *self.runs.entry(run.journey.clone()).or_default() += 1;
        }
        self.journeys.add(book, snapshot, now);
    }

    fn finish(self, project: &Project, book: &Book, now: At) -> Report {
        let currency = project.shop.currency;
        let decimal = |minor: i64| Money::new(minor, currency).decimal();
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let language = project.shop.locale.split(['-', '_']).next().unwrap_or("en").to_owned();
        let phases = book
            .lifecycle
            .phases
            .iter()
            .map(|phase| {
                let (customers, revenue_minor) = self.phases.get(&*phase.id).copied().unwrap_or_default();
                PhaseRow {
                    phase: phase.id.to_string(),
                    label: book.lifecycle.label_of(&phase.id, &language),
                    customers,
                    share: share(customers, self.customers).unwrap_or(0.0),
                    revenue_minor,
                    revenue: decimal(revenue_minor),
                }
            })
            .collect();
        let mut left: BTreeMap<Option<String>, u64> = BTreeMap::new();
        for ((from, _), (_, ever)) in &self.moves {
            *left.entry(from.clone()).or_default() += ever;
        }
        let moves = self
            .moves
            .iter()
            .map(|((from, to), (last_30d, ever))| MoveRow {
                from: from.clone(),
                to: to.clone(),
                last_30d: *last_30d,
                ever: *ever,
                conversion: share(*ever, left.get(from).copied().unwrap_or(0)).unwrap_or(0.0),
            })
            .collect();
        let cohorts = self
            .cohorts
            .iter()
            .map(|((year, month), (customers, months))| {
                let last = months.keys().max().copied().unwrap_or(0);
                CohortRow {
                    month: format!("{year:04}-{month:02}"),
                    customers: *customers,
                    active: (0..=last).map(|m| months.get(&m).copied().unwrap_or(0)).collect(),
                }
            })
            .collect();
        let journeys = self.journeys.finish(book, currency, &language);
        Report {
            kpis: kpis(&self.intake, self.paths, self.learned_at, &journeys),
            at: now,
            lifecycle: book.lifecycle.id.to_string(),
            currency: currency.code().to_owned(),
            customers: self.customers,
            buyers: self.buyers,
            orders: self.orders,
            gross_minor: self.gross,
            refunded_minor: self.refunded,
            revenue_minor: self.gross - self.refunded,
            revenue: decimal(self.gross - self.refunded),
            repeat_rate: share(self.repeaters, self.buyers),
            churn_90d: share(self.churn.1, self.churn.0),
            phases,
            moves,
            cohorts,
            unrated: self.unrated,
            live_runs: self.runs,
            journeys,
        }
    }
}

/// The phase a customer stood in at an instant: the stored one if it was computed by then, else what the engine
/// makes of the facts known now.
fn phase_at(book: &Book, snapshot: &Snapshot, now: At) -> Option<String> {
    let stored = snapshot.phase.as_ref().filter(|p| {
        p.lifecycle == *book.lifecycle.id
            && p.definition == book.lifecycle.definition
            && p.since <= now
            && snapshot.mark.due_at > now
            && snapshot.mark.evaluated_at.is_some_and(|at| at <= now)
    });
    if let Some(state) = stored {
        return Some(state.phase.clone());
    }
    let zone = zone_of(&snapshot.customer, &book.settings.zone);
    let path = replay(book, snapshot, &zone, now);
    let standing = path.standing?;
    Some(classify(book, snapshot, &zone, now, Some(&standing)).0.to_string())
}
