//! What a customer buys again and again, by their own rhythm alone, and when it will be used up: nothing here depends on
//! what others buy, so that it is the same live, looked back at and replayed.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use zyklus_insight::recommend::{CycleOptions, own_rhythm};
use zyklus_model::{At, DAY_MICROS};

use super::View;
use crate::condition::{Timed, Value};
use crate::outlook::day_of;

/// A product bought again and again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rhythm<'s> {
    product: &'s str,
    every_days: f64,
    gaps: u32,
    due_at: At,
    given_up_at: At,
}

impl Rhythm<'_> {
    /// From 0 to 1: how much the customer's own gaps count beside two that were imagined.
    fn confidence(&self) -> f64 {
        f64::from(self.gaps) / (f64::from(self.gaps) + 2.0)
    }
}

/// So many days later, in whole days: no purchase is told to the hour.
fn later(at: At, days: f64) -> At {
    at.plus_micros((days.round() as i64).saturating_mul(DAY_MICROS))
}

impl<'s> View<'s> {
    /// What a run is about: the one it began for, and nothing once that is given up. Elsewhere what will be used up next, or
    /// was and is still waited for.
    fn replenishment(&self) -> Option<Rhythm<'s>> {
        *self.rhythm.get_or_init(|| {
            let event = self.facts.run.map(|run| &run.event).or(self.facts.event);
            let began = event.filter(|event| event.get("name").and_then(Json::as_str) == Some("date"));
            let about = began.and_then(|event| event.get("product_id")?.as_str());
            self.rhythms().into_iter().find(|rhythm| about.is_none_or(|product| product == rhythm.product))
        })
    }

    /// The ids of all products with a rhythm, what is used up first before the others.
    pub(crate) fn products_used_up(&self) -> Vec<&'s str> {
        self.rhythms().into_iter().map(|rhythm| rhythm.product).collect()
    }

    /// All that is bought again and again and not given up.
    fn rhythms(&self) -> Vec<Rhythm<'s>> {
        // As recommendations have it: from three purchases on, and for three rhythms without one.
        let CycleOptions { least_own_gaps, given_up_after, .. } = CycleOptions::default();
        // Most customers have ordered less often, and are told fast.
        let (Some(book), Some(_)) = (self.book, self.visible_orders().nth(least_own_gaps as usize)) else {
            return Vec::new();
        };
        let mut bought: BTreeMap<&'s str, (Vec<i32>, At)> = BTreeMap::new();
        for order in self.visible_orders() {
            let day = day_of(order.placed_at, &book.settings.zone);
            for product in order.lines.iter().filter_map(|line| line.product.as_deref()) {
                let (days, last) = bought.entry(product).or_insert((Vec::new(), order.placed_at));
                if days.last() != Some(&day) {
                    days.push(day);
                }
                *last = order.placed_at;
            }
        }
        let rhythms = bought.into_iter().filter_map(|(product, (days, last))| {
            let every_days = own_rhythm(&days, least_own_gaps)?;
            let gaps = u32::try_from(days.len() - 1).ok()?;
            let (due_at, given_up_at) = (later(last, every_days), later(last, given_up_after * every_days));
            Some(Rhythm { product, every_days, gaps, due_at, given_up_at })
        });
        let mut rhythms: Vec<_> = rhythms.filter(|rhythm| rhythm.given_up_at > self.at).collect();
        rhythms.sort_by_key(|rhythm| (rhythm.due_at, rhythm.product));
        rhythms
    }

    /// Something of it; it turns when the customer has given the product up.
    fn replenished(&self, value: impl FnOnce(&Rhythm<'s>) -> Value) -> Timed {
        match self.replenishment() {
            Some(rhythm) => Timed::until(value(&rhythm), Some(rhythm.given_up_at)),
            None => Value::Absent.into(),
        }
    }

    pub(super) fn replenish_due_at(&self) -> Timed {
        self.replenished(|rhythm| Value::Instant(rhythm.due_at))
    }

    pub(super) fn replenish_product(&self) -> Timed {
        self.replenished(|rhythm| Value::maybe_text(Some(rhythm.product)))
    }

    pub(super) fn replenish_every_days(&self) -> Timed {
        self.replenished(|rhythm| Value::Int(rhythm.every_days.round() as i64))
    }

    pub(super) fn replenish_confidence(&self) -> Timed {
        self.replenished(|rhythm| Value::maybe_double(Some(rhythm.confidence())))
    }
}
