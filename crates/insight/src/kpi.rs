//! The shop's key figures, each with the number of cases and an interval, from plain rows the caller brings. Rows are net
//! of tax, shipping and refunds, without test and fully cancelled orders, and name resolved customers; whoever calls sees
//! to that. No currency is known here: amounts are minor units of one.

mod answers;
mod attention;
mod buying;
mod churn;
mod effect;
mod flow;
mod weakest;

use serde::Serialize;
use zyklus_model::At;

pub use answers::{AnswerRates, Score, confirmation_rate, csat, response_rate, score};
pub use attention::{Beat, BeatKind, Dwell, active_seconds, dwell};
pub use buying::{
    Basket, Repeat, average_order, discount_rate, gap_curve, gap_days, purchase_frequency, repeat_rate,
    second_order_curve,
};
pub use churn::{Chance, Churn, churn_by_gap, churn_by_model};
pub use effect::{Limits, PerRecipient, Rate, WinBack, per_recipient, rate, win_back};
pub use flow::{Conversion, Move, PhaseTimes, conversion, moved_between, phase_times, stays_in};
pub use weakest::{Link, Transition, weakest_links};

/// One order that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Whose it is; one number a resolved customer.
    pub customer: u64,
    /// When it was placed.
    pub at: At,
    /// What it is worth, net of tax, shipping and refunds, in minor units.
    pub net_minor: i64,
    /// Its goods at full price, in minor units.
    pub gross_minor: i64,
    /// What was taken off that price, in minor units.
    pub discount_minor: i64,
}

/// Whether orders that follow each other closely are one purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Split {
    /// An order less than 24 hours after the first one of a purchase belongs to it: a forgotten item, a split parcel.
    #[default]
    Merged,
    /// Each order stands for itself.
    Apart,
}
