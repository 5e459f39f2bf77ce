//! What journeys changed: the goal among those treated against those held out, how many more customers it takes to be
//! sure, and beside it what followed a click. Never calls the one the other.

use serde::Serialize;
use zyklus_insight::experiment::{Arms, customers_for_share, overall, share_lift};
use zyklus_insight::interval::{Tally, Unknown, share};

use super::LEVEL;
use super::measure::{Measure, Why};
use crate::journeys::{Arm, JourneyRow, both, whenever};

/// A true lift of the size measured is to be found with this probability.
const POWER: f64 = 0.8;

/// What journeys changed.
#[derive(Debug, Clone, Serialize)]
pub struct Effects {
    /// By journey, those with runs or credited orders.
    pub journeys: Vec<Effect>,
    /// Over all journeys that hold customers out, per treated customer.
    pub overall: Measure,
}

/// What one journey changed.
#[derive(Debug, Clone, Serialize)]
pub struct Effect {
    /// The journey's root id.
    pub journey: String,
    /// What people call it.
    pub label: String,
    /// Orders credited to it: placed within five days of the last click.
    pub orders: u64,
    /// What they came to after refunds, in minor units. Some of it would have come anyway.
    pub attributed_minor: i64,
    /// The share of the treated that reached the goal.
    pub treated: Measure,
    /// The share of the held-out that did.
    pub held: Measure,
    /// The difference: what the journey changed. Its interval holds however often it is looked at.
    pub lift: Measure,
    /// What it takes to tell a lift of that size from nothing.
    pub needs: NeedsFigures,
}

/// How many customers it takes.
#[derive(Debug, Clone, Serialize)]
pub struct NeedsFigures {
    /// The probability of finding a true lift of the size measured.
    pub power: f64,
    /// Customers in both arms together; `None` if that cannot be said.
    pub customers: Option<u64>,
    /// Beyond those already in them.
    pub more: Option<u64>,
    /// Why it cannot be said.
    pub why: Option<NoNumber>,
}

/// Why it cannot be said how many customers it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoNumber {
    /// The journey has no goal.
    NoGoal,
    /// Nobody is held out.
    NotHeld,
    /// The lift measured is as good as nothing.
    NoDifference,
    /// The numbers give none.
    NoAnswer,
}

/// From what the report counts anyway.
pub(crate) fn effects(rows: &[JourneyRow]) -> Effects {
    let shown = rows.iter().filter(|row| row.started > 0 || row.orders > 0);
    let all: Vec<Arms<Tally>> = rows.iter().filter_map(arms).collect();
    let overall = match overall(&all, whenever()) {
        Err(Unknown::Empty) => Measure::unknown(Why::NotHeld),
        other => other.into(),
    };
    Effects { journeys: shown.map(effect).collect(), overall }
}

fn arms(row: &JourneyRow) -> Option<Arms<Tally>> {
    row.lift.and_then(|_| both(row.treated, row.held))
}

fn effect(row: &JourneyRow) -> Effect {
    let arms = arms(row);
    let of = |arm: Arm| match arm.tally() {
        Some(tally) => Measure::from(share(tally, LEVEL)),
        None => Measure::unknown(Why::NoGoal),
    };
    Effect {
        journey: row.journey.clone(),
        label: row.label.clone(),
        orders: row.orders,
        attributed_minor: row.revenue_minor,
        treated: of(row.treated),
        held: of(row.held).or_empty(Why::NotHeld),
        lift: match arms {
            Some(arms) => share_lift(arms, whenever()).into(),
            None if row.treated.reached.is_none() => Measure::unknown(Why::NoGoal),
            None => Measure::unknown(Why::NotHeld),
        },
        needs: needs(row, arms),
    }
}

fn needs(row: &JourneyRow, arms: Option<Arms<Tally>>) -> NeedsFigures {
    let found = match arms {
        None if row.treated.reached.is_none() => Err(NoNumber::NoGoal),
        None => Err(NoNumber::NotHeld),
        Some(arms) => customers_for_share(arms, None, POWER, LEVEL).map_err(|unknown| match unknown {
            Unknown::NoSpread => NoNumber::NoDifference,
            Unknown::Empty => NoNumber::NotHeld,
            Unknown::TooFew { .. } | Unknown::TooYoung { .. } | Unknown::Unbounded | Unknown::Impossible => {
                NoNumber::NoAnswer
            }
        }),
    };
    NeedsFigures {
        power: POWER,
        customers: found.ok().map(|needs| needs.customers),
        more: found.ok().map(|needs| needs.more),
        why: found.err(),
    }
}
