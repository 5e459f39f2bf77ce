//! What sells now: what is left to offer when nothing is known of a customer. Never looks at who buys.

use serde::{Deserialize, Serialize};

use super::interactions::Interactions;

/// Items by how often they were bought lately.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Popularity {
    ranked: Vec<(u32, f64)>,
}

impl Popularity {
    /// Every customer's purchase of an item on a day counts one on that day, and half as much after every
    /// `half_life_days` (30 is usual; less than one day is taken as one). What lies after `today` counts nothing.
    #[must_use]
    pub fn learn(interactions: &Interactions, today: i32, half_life_days: f64) -> Self {
        let half_life = if half_life_days.is_nan() { 30.0 } else { half_life_days.max(1.0) };
        let mut scores = vec![0.0; interactions.items().len()];
        for cell in 0..interactions.cell_count() {
            let item = interactions.item_at(cell) as usize;
            for day in interactions.days_at(cell).iter().filter(|day| **day <= today) {
                let age = f64::from(today) - f64::from(*day);
                scores[item] += (-age / half_life).exp2();
            }
        }
        let mut ranked: Vec<(u32, f64)> =
            interactions.items().iter().copied().zip(scores).filter(|(_, score)| *score > 0.0).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Self { ranked }
    }

    /// Forgets all but the best so many.
    pub fn keep(&mut self, most: usize) {
        self.ranked.truncate(most);
    }

    /// Items and their scores, best first.
    #[must_use]
    pub fn ranked(&self) -> &[(u32, f64)] {
        &self.ranked
    }
}
