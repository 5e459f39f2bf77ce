//! Gathers, customer by customer, the plain rows that key figures are made of. Never computes a figure.
//!
//! Kept until the end: 40 bytes an order, 2 bytes a buyer, 32 more where something was learned of the shop, 8 bytes a
//! visit, one byte an answer to a survey, and some 50 bytes a customer who bought within the last 90 days. Everything
//! else is counted on the way. A customer's own rows are let go before the next one comes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;
use zyklus_engine::outlook::{bought, day_of};
use zyklus_insight::interval::{Moments, Tally};
use zyklus_insight::kpi::{Beat, BeatKind, Chance, active_seconds};
use zyklus_insight::learned::Learned;
use zyklus_insight::rfm::{Day, History};
use zyklus_model::{
    At, ConsentState, CustomerId, DeliveryClass, DeliveryKind, DeliveryState, FeedbackKind, Order, Snapshot,
};

use super::buying::UNKNOWN_SOURCE;

/// Most figures are of so many days before the instant.
pub(crate) const WINDOW_DAYS: i64 = 365;
/// Between these two points in time churn is looked at, and the flow between phases.
pub(crate) const STEP_DAYS: i64 = 90;
/// A survey is answered within so many days, or not at all.
const ANSWER_DAYS: i64 = 30;
/// What a customer's source may be called, in the order they are looked for.
const SOURCES: [&str; 3] = ["acquisition_source", "first_utm_source", "utm_source"];
/// Longer names of sources are cut.
const LONGEST_SOURCE: usize = 60;
/// Sources beyond so many are counted under one name.
const MOST_SOURCES: usize = 1_000;
/// The one name.
const OTHER_SOURCES: &str = "(other)";

/// One order that counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) at: At,
    /// After refunds, in minor units of the reporting currency; `None` without a rate.
    pub(crate) net: Option<i64>,
    /// The buyer, numbered as they come.
    pub(crate) buyer: u32,
    /// The calendar month in the shop's zone, year × 12 + month − 1.
    pub(crate) month: i32,
}

/// Customers standing in a phase.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    /// What is expected of them.
    pub(crate) expected: Moments,
}

/// What became of messages that arrived within the window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mailed {
    pub(crate) unsubscribed: Tally,
    pub(crate) complained: Tally,
    pub(crate) bounced: Tally,
    pub(crate) answered: Tally,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) now: At,
    /// Where the window begins.
    pub(crate) from: At,
    zone: TimeZone,
    today: Day,
    pub(crate) learned: Option<Arc<Learned>>,
    pub(crate) orders: Vec<Placed>,
    /// By buyer; 0 is unknown, others are one more than the place in `source_names`.
    pub(crate) sources: Vec<u16>,
    pub(crate) source_names: Vec<String>,
    numbers: HashMap<String, u16>,
    pub(crate) with_coupon: Tally,
    pub(crate) alive: Vec<Chance>,
    /// What each buyer's orders of the year to come are worth today, in minor units.
    pub(crate) expected: Vec<f64>,
    pub(crate) standing: BTreeMap<String, Standing>,
    /// What each customer has spent since the first of the two points in time, if anything.
    pub(crate) lately: HashMap<CustomerId, i64>,
    /// Each customer's last answer of the window.
    pub(crate) nps: Vec<u8>,
    pub(crate) csat: Vec<u8>,
    /// Four and five stars of all reviews of the window.
    pub(crate) stars: Tally,
    pub(crate) mailed: Mailed,
    /// Active seconds by visit.
    pub(crate) visits: Vec<f64>,
}

impl Intake {
    pub(crate) fn new(now: At, zone: &TimeZone, learned: Option<Arc<Learned>>) -> Self {
        Intake {
            now,
            from: now.plus_days(-WINDOW_DAYS),
            zone: zone.clone(),
            today: day_of(now, zone),
            learned,
            orders: Vec::new(),
            sources: Vec::new(),
            source_names: Vec::new(),
            numbers: HashMap::new(),
            with_coupon: Tally::default(),
            alive: Vec::new(),
            expected: Vec::new(),
            standing: BTreeMap::new(),
            lately: HashMap::new(),
            nps: Vec::new(),
            csat: Vec::new(),
            stars: Tally::default(),
            mailed: Mailed::default(),
            visits: Vec::new(),
        }
    }

    /// The calendar month an instant lies in.
    pub(crate) fn month_of(&self, at: At) -> i32 {
        let date = at.timestamp().to_zoned(self.zone.clone()).date();
        i32::from(date.year()) * 12 + i32::from(date.month()) - 1
    }

    fn is_recent(&self, at: At) -> bool {
        self.from <= at && at <= self.now
    }

    /// Takes in one customer. `orders` are those that count, oldest first.
    pub(crate) fn add(&mut self, snapshot: &Snapshot, orders: &[&Order], phase: Option<&str>) {
        self.buy(snapshot, orders);
        let expected = if orders.is_empty() { None } else { self.foresee(orders) };
        if let Some(phase) = phase {
            let standing = self.standing.entry(phase.to_owned()).or_default();
            standing.expected = standing.expected.with(expected.unwrap_or(0.0));
        }
        self.hear(snapshot);
        self.mail(snapshot);
        self.visit(snapshot);
    }

    /// Keeps the orders.
    fn buy(&mut self, snapshot: &Snapshot, orders: &[&Order]) {
        let Some(first) = orders.first() else { return };
        let buyer = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        let mut spent: i64 = 0;
        let step = self.now.plus_days(-STEP_DAYS);
        for order in orders {
            let net = order.reporting_minor_at(self.now).map(|(total, back)| total.saturating_sub(back));
            let month = self.month_of(order.placed_at);
            self.orders.push(Placed { at: order.placed_at, net, buyer, month });
            if order.placed_at > step {
                spent = spent.saturating_add(net.unwrap_or(0));
            }
            if self.is_recent(order.placed_at) {
                self.with_coupon = self.with_coupon.plus(Tally::count([!order.coupons.is_empty()]));
            }
        }
        let source = self.source_of(snapshot, first.placed_at);
        self.sources.push(source);
        if spent != 0 {
            self.lately.insert(snapshot.customer.id, spent);
        }
    }

    /// Where the customer came from: an attribute the shop keeps, or else what the earliest event up to the first order
    /// says. Nothing is guessed.
    pub(super) fn source_of(&mut self, snapshot: &Snapshot, first_order: At) -> u16 {
        let attributes = &snapshot.customer.attributes;
        let said = SOURCES.iter().find_map(|key| attributes.get(*key)?.as_str().filter(|s| is_name(s)));
        let early = || {
            let before = snapshot.events.iter().filter(|event| event.occurred_at <= first_order);
            before.filter_map(|event| event.data.get("utm_source")?.as_str()).find(|s| is_name(s))
        };
        let Some(name) = said.or_else(early) else { return 0 };
        let name: String = name.trim().chars().take(LONGEST_SOURCE).collect::<String>().to_lowercase();
        if name == UNKNOWN_SOURCE {
            return 0;
        }
        let known = self.numbers.get(&name).copied();
        known.unwrap_or_else(|| {
            let name = if self.source_names.len() < MOST_SOURCES { name } else { OTHER_SOURCES.to_owned() };
            if let Some(number) = self.numbers.get(&name) {
                return *number;
            }
            self.source_names.push(name.clone());
            // At most one more than the limit, which fits.
            let number = u16::try_from(self.source_names.len()).unwrap_or(0);
            self.numbers.insert(name, number);
            number
        })
    }

    /// What the shop's models say of a buyer.
    fn foresee(&mut self, orders: &[&Order]) -> Option<f64> {
        // What tells nobody apart is not decided by, and not reported either.
        let learned = Arc::clone(self.learned.as_ref().filter(|learned| learned.is_telling())?);
        let days = orders.iter().map(|order| bought(order, self.now, &self.zone));
        let history = History::new(days.collect())?;
        let before = self.today - i32::try_from(STEP_DAYS).unwrap_or_default();
        if let (Some(then), Some(now)) = (history.rfm(before), history.rfm(self.today)) {
            self.alive.push(Chance {
                before: learned.any_order(&then, learned.horizon),
                after: learned.any_order(&now, learned.horizon),
                ordered: history.orders_between(before, self.today) > 0,
            });
        }
        let value = learned.value(&history.rfm(self.today)?)?;
        self.expected.push(value);
        Some(value)
    }

    fn hear(&mut self, snapshot: &Snapshot) {
        let mut nps = None;
        for said in &snapshot.feedback {
            let Some(score) = said.score.filter(|_| self.is_recent(said.at)) else { continue };
            match said.kind {
                FeedbackKind::Nps => nps = whole(score, 0..=10).or(nps),
                FeedbackKind::Csat => self.csat.extend(whole(score, 1..=5)),
                FeedbackKind::Review => self.stars = self.stars.plus(Tally::count([score >= 4.0])),
                FeedbackKind::Comment => {}
            }
        }
        self.nps.extend(nps);
    }

    fn mail(&mut self, snapshot: &Snapshot) {
        let left: Vec<&str> = snapshot
            .consents
            .iter()
            .filter(|word| word.state == ConsentState::Withdrawn && word.at <= self.now)
            .filter_map(|word| word.evidence.get("delivery")?.as_str())
            .collect();
        for delivery in snapshot.deliveries.iter().filter(|d| d.kind == DeliveryKind::Message) {
            let Some(at) = delivery.done_at.filter(|at| self.is_recent(*at)) else { continue };
            let arrived = match delivery.state {
                DeliveryState::Accepted | DeliveryState::Delivered | DeliveryState::Complained => true,
                DeliveryState::Bounced => false,
                DeliveryState::Pending
                | DeliveryState::Sending
                | DeliveryState::Failed
                | DeliveryState::Unknown
                | DeliveryState::Dead
                | DeliveryState::Expired
                | DeliveryState::Refused
                | DeliveryState::Cancelled
                | DeliveryState::Shadow => continue,
            };
            let mailed = &mut self.mailed;
            mailed.bounced = mailed.bounced.plus(Tally::count([!arrived]));
            if !arrived {
                continue;
            }
            let complained = delivery.state == DeliveryState::Complained;
            mailed.complained = mailed.complained.plus(Tally::count([complained]));
            if DeliveryClass::from(delivery.purpose) == DeliveryClass::Marketing {
                let id = delivery.id.to_string();
                mailed.unsubscribed = mailed.unsubscribed.plus(Tally::count([left.contains(&id.as_str())]));
            }
            // As conditions have it: a review request is the asking.
            let until = at.plus_days(ANSWER_DAYS);
            if delivery.target.starts_with("review-request") && until <= self.now {
                let answered = snapshot.feedback.iter().any(|said| at <= said.at && said.at <= until);
                mailed.answered = mailed.answered.plus(Tally::count([answered]));
            }
        }
    }

    fn visit(&mut self, snapshot: &Snapshot) {
        let mut visits: BTreeMap<String, u64> = BTreeMap::new();
        let mut beats = Vec::new();
        for event in snapshot.events.iter().filter(|event| self.is_recent(event.occurred_at)) {
            let kind = match event.name.as_str() {
                "page.shown" => BeatKind::Shown,
                "page.input" => BeatKind::Input,
                "page.hidden" => BeatKind::Hidden,
                _ => continue,
            };
            let Some(visit) = event.data.get("visit") else { continue };
            let next = visits.len() as u64;
            let visit = *visits.entry(visit.to_string()).or_insert(next);
            beats.push(Beat { visit, at: event.occurred_at, kind });
        }
        self.visits.extend(active_seconds(&beats).into_values());
    }
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty()
}

/// A score that is a whole number of the scale.
fn whole(score: f64, mut scale: std::ops::RangeInclusive<u8>) -> Option<u8> {
    scale.find(|step| (f64::from(*step) - score).abs() < 1e-9)
}
