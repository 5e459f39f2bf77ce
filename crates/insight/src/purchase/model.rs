//! One type for whichever model a shop has, and the questions every one of them answers.
//!
//! Never a number that is not finite, and P(alive) only where it says something: see [`Model::p_alive`].

use serde::{Deserialize, Serialize};

use super::{BaseRates, BgNbd, MbgNbd, Nbd, ParetoNbd};
use crate::rfm::Rfm;
use crate::span::Span;

/// When an order comes with a given chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum NextOrder {
    /// From the end of the observation.
    In(Span),
    /// The chance of any further order is smaller than that.
    Never,
}

/// Longer waits than a century are never. In days.
const CENTURY: f64 = 36_525.0;

/// When the first event will have come with a chance of `share`, if there are events at all with a chance of `alive`, at
/// a rate that is gamma-distributed with `shape` and scale `since`.
pub(crate) fn arrives_by(share: f64, alive: f64, shape: f64, since: f64) -> NextOrder {
    if share.is_nan() || share >= alive {
        return NextOrder::Never;
    }
    let days = since * (-(-share.max(0.0) / alive).ln_1p() / shape).exp_m1();
    if days <= CENTURY { NextOrder::In(Span::computed(days)) } else { NextOrder::Never }
}

/// A shop's purchase model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Model {
    /// BG/NBD.
    Bg(BgNbd),
    /// MBG/NBD.
    Mbg(MbgNbd),
    /// Pareto/NBD.
    Pareto(ParetoNbd),
    /// NBD, without leaving.
    Nbd(Nbd),
    /// No model: what the shop's customers did on average.
    Base(BaseRates),
}

impl Model {
    /// Expected orders within `horizon` from the end of the observation.
    pub fn expected_orders(&self, rfm: &Rfm, horizon: Span) -> f64 {
        match self {
            Model::Bg(model) => model.expected_orders(rfm, horizon),
            Model::Mbg(model) => model.expected_orders(rfm, horizon),
            Model::Pareto(model) => model.expected_orders(rfm, horizon),
            Model::Nbd(model) => model.expected_orders(rfm, horizon),
            Model::Base(rates) => rates.expected_orders(rfm, horizon),
        }
    }

    /// The chance of at least one order within `horizon` from the end of the observation.
    pub fn any_order(&self, rfm: &Rfm, horizon: Span) -> f64 {
        match self {
            Model::Bg(model) => model.any_order(rfm, horizon),
            Model::Mbg(model) => model.any_order(rfm, horizon),
            Model::Pareto(model) => model.any_order(rfm, horizon),
            Model::Nbd(model) => model.any_order(rfm, horizon),
            Model::Base(rates) => rates.any_order(rfm, horizon),
        }
    }

    /// When the next order will have come with a chance of `share`, from the end of the observation.
    pub fn next_order(&self, rfm: &Rfm, share: f64) -> NextOrder {
        match self {
            Model::Bg(model) => model.next_order(rfm, share),
            Model::Mbg(model) => model.next_order(rfm, share),
            Model::Pareto(model) => model.next_order(rfm, share),
            Model::Nbd(model) => model.next_order(rfm, share),
            Model::Base(rates) => rates.next_order(rfm, share),
        }
    }

    /// The chance that the customer has not left, of Pareto/NBD alone. In the beta-geometric models leaving is tied to
    /// orders, so that somebody with few orders is likely "alive" and yet unlikely to order; ask
    /// [`any_order`](Self::any_order) instead.
    pub fn p_alive(&self, rfm: &Rfm) -> Option<f64> {
        match self {
            Model::Pareto(model) => Some(model.p_alive(rfm)),
            Model::Bg(_) | Model::Mbg(_) | Model::Nbd(_) | Model::Base(_) => None,
        }
    }

    /// The chances of 0, 1, … `most` orders within `horizon`, and in the last place of more than that.
    pub(crate) fn order_counts(&self, rfm: &Rfm, horizon: Span, most: usize) -> Vec<f64> {
        match self {
            Model::Bg(model) => model.order_counts(rfm, horizon, most),
            Model::Mbg(model) => model.order_counts(rfm, horizon, most),
            Model::Pareto(model) => model.order_counts(rfm, horizon, most),
            Model::Nbd(model) => model.order_counts(rfm, horizon, most),
            Model::Base(rates) => rates.order_counts(rfm, horizon, most),
        }
    }

    /// The model with the logarithm of one of its parameters moved; itself if it has no such parameter.
    pub(crate) fn nudged(&self, parameter: usize, by: f64) -> Model {
        let factor = |i: usize| if i == parameter { by.exp() } else { 1.0 };
        let span = |of: Span, i: usize| Span::computed(of.as_days() * factor(i));
        match self {
            Model::Bg(m) => Model::Bg(BgNbd {
                r: m.r * factor(0),
                alpha: span(m.alpha, 1),
                a: m.a * factor(2),
                b: m.b * factor(3),
            }),
            Model::Mbg(m) => Model::Mbg(MbgNbd {
                r: m.r * factor(0),
                alpha: span(m.alpha, 1),
                a: m.a * factor(2),
                b: m.b * factor(3),
            }),
            Model::Pareto(m) => Model::Pareto(ParetoNbd {
                r: m.r * factor(0),
                alpha: span(m.alpha, 1),
                s: m.s * factor(2),
                beta: span(m.beta, 3),
            }),
            Model::Nbd(m) => Model::Nbd(Nbd { r: m.r * factor(0), alpha: span(m.alpha, 1) }),
            Model::Base(rates) => Model::Base(rates.clone()),
        }
    }
}
