//! What a shop's customers did on average, by number of orders and time since the last: the last rung of the ladder, for
//! shops in which no model can be fitted.
//!
//! Counted over a window of the past if there is one, otherwise one rate for everybody. Never claims a difference between
//! customers that was not counted: a small class leans on the whole shop.

use serde::{Deserialize, Serialize};

use super::model::NextOrder;
use super::sample::Sample;
use crate::rfm::Rfm;
use crate::span::Span;

/// Orders 1, 2, 3 to 4, more; idle for up to a half, one, two windows, longer.
const CLASSES: usize = 16;
/// A class counts as if so many customers of the whole shop were in it.
const LEANING: f64 = 20.0;
/// A shop of which nothing is known counts as if half an order had come in a year.
const UNKNOWN_ORDERS: f64 = 0.5;
const UNKNOWN_DAYS: f64 = 365.0;
/// Longer waits than a century are never. In days.
const CENTURY: f64 = 36_525.0;
/// Nobody orders within a window for certain.
const SUREST: f64 = 1.0 - 1e-9;

/// What base rates rest on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Evidence {
    /// What so many customers did in a window.
    Observed {
        /// How many.
        customers: f64,
    },
    /// All repeat purchases over the time all customers were watched: one rate for everybody.
    Pooled {
        /// Repeat purchases.
        repeats: f64,
    },
}

/// The share of a class that ordered in a window, and its mean number of orders.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Class {
    share: f64,
    orders: f64,
}

/// A shop's base rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaseRates {
    evidence: Evidence,
    window: Span,
    classes: Vec<Class>,
    /// For what is not among the classes; there is nothing, but a stored list may have been shortened.
    all: Class,
}

fn class_of(rfm: &Rfm, window: Span) -> usize {
    let orders = match rfm.repeats() {
        0 => 0,
        1 => 1,
        2 | 3 => 2,
        _ => 3,
    };
    let idle = rfm.idle().as_days() / window.as_days();
    orders * 4 + usize::from(idle > 0.5) + usize::from(idle > 1.0) + usize::from(idle > 2.0)
}

impl BaseRates {
    /// Counted: each customer as of a past day, and how many orders came in the `window` after it. Nothing if there
    /// are no customers or the window is empty.
    pub fn observed(customers: impl IntoIterator<Item = (Rfm, u32)>, window: Span) -> Option<Self> {
        if window == Span::ZERO {
            return None;
        }
        let mut counted = [(0.0, 0.0, 0.0); CLASSES];
        for (rfm, orders) in customers {
            let class = &mut counted[class_of(&rfm, window)];
            class.0 += 1.0;
            class.1 += f64::from(u8::from(orders > 0));
            class.2 += f64::from(orders);
        }
        let (count, any, orders) =
            counted.iter().fold((0.0, 0.0, 0.0), |sum, c| (sum.0 + c.0, sum.1 + c.1, sum.2 + c.2));
        if count == 0.0 {
            return None;
        }
        let leaning = |(n, any, orders): (f64, f64, f64), on: Class| Class {
            share: ((any + LEANING * on.share) / (n + LEANING)).min(SUREST),
            orders: (orders + LEANING * on.orders) / (n + LEANING),
        };
        // Half an order against certainties: nobody, or everybody.
        let all = Class { share: (any + 0.5) / (count + 1.0), orders: (orders + 0.5) / (count + 1.0) };
        let all = Class { orders: all.orders.max(all.share), ..all };
        let classes = counted.iter().map(|class| leaning(*class, all)).collect();
        Some(Self { evidence: Evidence::Observed { customers: count }, window, classes, all })
    }

    /// One rate for everybody.
    pub(crate) fn pooled(sample: &Sample) -> Self {
        let window = Span::of_days(30);
        let rate = (sample.repeats + UNKNOWN_ORDERS) / (sample.exposure + UNKNOWN_DAYS);
        let orders = rate * window.as_days();
        let all = Class { share: (-(-orders).exp_m1()).min(SUREST), orders };
        let evidence = Evidence::Pooled { repeats: sample.repeats };
        Self { evidence, window, classes: vec![all; CLASSES], all }
    }

    /// What they rest on.
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }

    fn class(&self, rfm: &Rfm) -> Class {
        self.classes.get(class_of(rfm, self.window)).copied().unwrap_or(self.all)
    }

    /// Expected orders within `horizon`, in proportion to the window's.
    pub fn expected_orders(&self, rfm: &Rfm, horizon: Span) -> f64 {
        self.class(rfm).orders * horizon.as_days() / self.window.as_days()
    }

    /// The chance of at least one order within `horizon`: as if the share were due to a steady rate.
    pub fn any_order(&self, rfm: &Rfm, horizon: Span) -> f64 {
        -((-self.class(rfm).share).ln_1p() * horizon.as_days() / self.window.as_days()).exp_m1()
    }

    /// When the next order will have come with a chance of `share`.
    pub fn next_order(&self, rfm: &Rfm, share: f64) -> NextOrder {
        let rate = -(-self.class(rfm).share).ln_1p() / self.window.as_days();
        let days = -(-share.max(0.0)).ln_1p() / rate;
        if days <= CENTURY { NextOrder::In(Span::computed(days)) } else { NextOrder::Never }
    }

    /// None as often as [`any_order`](Self::any_order) says; otherwise geometric, with the mean that is expected.
    pub(crate) fn order_counts(&self, rfm: &Rfm, horizon: Span, most: usize) -> Vec<f64> {
        let any = self.any_order(rfm, horizon);
        let last = (any / self.expected_orders(rfm, horizon)).clamp(0.0, 1.0);
        let mut left = any;
        let mut found = vec![1.0 - any];
        for _ in 0..most {
            found.push(left * last);
            left *= 1.0 - last;
        }
        found.push(left);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfm(repeats: u32, recency: u32, age: u32) -> Rfm {
        Rfm::new(repeats, Span::of_days(recency), Span::of_days(age), None).unwrap()
    }

    #[test]
    fn a_class_of_many_has_its_own_rate_and_one_of_few_leans_on_the_shop() {
        let loyal = rfm(5, 100, 110);
        let many = (0..1000).map(|i| (loyal, u32::from(i % 2 == 0) * 2));
        let rates =
            BaseRates::observed(many.chain((0..1000).map(|_| (rfm(0, 0, 300), 0))), Span::of_days(90));
        let rates = rates.unwrap();
        let window = Span::of_days(90);
        assert!((rates.any_order(&loyal, window) - 0.5).abs() < 0.01);
        assert!((rates.expected_orders(&loyal, window) - 1.0).abs() < 0.02);
        assert!(rates.any_order(&rfm(0, 0, 300), window) < 0.01);
        let unseen = rates.any_order(&rfm(1, 50, 60), window);
        assert!((unseen - 0.25).abs() < 0.01, "{unseen}");
        let counts = rates.order_counts(&loyal, window, 3);
        assert!((counts.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_shop_without_anything_has_rates_too() {
        let rates = BaseRates::pooled(&[].iter().collect());
        let someone = rfm(0, 0, 0);
        let year = rates.any_order(&someone, Span::of_days(365));
        assert!(year > 0.3 && year < 0.5, "{year}");
        assert!(matches!(rates.next_order(&someone, 0.5), NextOrder::In(_)));
        assert_eq!(BaseRates::observed([], Span::of_days(90)), None);
        let busy: Vec<(Rfm, u32)> = (0..50).map(|_| (rfm(9, 50, 51), 40)).collect();
        let rates = BaseRates::observed(busy, Span::of_days(1)).unwrap();
        assert!(rates.any_order(&rfm(9, 50, 51), Span::of_days(1)) <= 1.0);
    }
}
