//! What conditions read of what goes with a customer's purchases: how many products there are to recommend by what was
//! learned of the shop's products last. Never ranks, and names none.

use zyklus_insight::recommend::Bought;

use super::View;
use crate::book::counting;
use crate::condition::{Timed, Value};
use crate::outlook::day_of;

impl View<'_> {
    /// `recommend.count`; it stays until an order comes or something is learned anew.
    pub(super) fn recommend_count(&self) -> Timed {
        let count = || {
            let Some(book) = self.book else { return Value::Absent.into() };
            let (pairings, next) = counting(&book.pairings, self.at);
            let Some(pairings) = pairings else { return Timed::until(Value::Absent, next) };
            let bought = self.visible_orders().flat_map(|order| {
                let day = day_of(order.placed_at, &book.settings.zone);
                let lines = order.lines.iter().filter(|line| line.quantity > 0);
                let products = lines.filter_map(|line| line.product.as_deref());
                products.map(move |product| Bought { system: &order.system, product, day })
            });
            let count = i64::try_from(pairings.count(bought)).unwrap_or(i64::MAX);
            Timed::until(Value::Int(count), next)
        };
        self.recommendable.get_or_init(count).clone()
    }
}
