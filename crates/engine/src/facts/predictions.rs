//! What conditions read of what was learned of the shop: which version counts at the view's instant, what it says of the
//! customer, and when that turns. Never learns.

use zyklus_insight::learned::Learned;
use zyklus_insight::span::Span as Length;
use zyklus_model::At;

use super::View;
use crate::book::counting;
use crate::condition::{Timed, Value};
use crate::outlook::{Falling, Outlook, Stepped, bought, day_of, start_of};

pub(super) fn whole_days(length: Option<Length>) -> Value {
    length.map_or(Value::Absent, |length| Value::Int(length.as_days().round() as i64))
}

impl<'s> View<'s> {
    /// What is known of the shop at this view's instant, and when that is replaced.
    fn learned(&self) -> (Option<&'s Learned>, Option<At>) {
        counting(self.book.map_or(&[], |book| &book.learned), self.at)
    }

    pub(super) fn outlook(&self) -> Option<&Outlook<'s>> {
        let made = self.outlook.get_or_init(|| {
            let zone = &self.book?.settings.zone;
            let learned = self.learned().0?;
            let orders = self.visible_orders().map(|order| bought(order, self.at, zone)).collect();
            Outlook::new(learned, orders, day_of(self.at, zone))
        });
        made.as_ref()
    }

    /// Something that stays as long as what was learned.
    pub(super) fn learned_value(&self, value: impl FnOnce(&'s Learned) -> Value) -> Timed {
        let (learned, next) = self.learned();
        Timed::until(learned.map_or(Value::Absent, value), next)
    }

    /// Something that falls from day to day, and until when it stays on its side of a limit. `per` is how many of its units
    /// are one of the limit's.
    pub(super) fn falls_past(&self, which: Falling, limit: f64, or_at: bool, per: f64) -> Option<Timed> {
        let zone = &self.book?.settings.zone;
        let is_past = |told: f64| if or_at { told / per <= limit } else { told / per < limit };
        let (told, day) = self.outlook()?.falls_past(which, limit * per, is_past)?;
        let next = self.learned().1;
        let turns = day.map(|day| start_of(day, zone));
        Some(Timed::until(Value::maybe_double(Some(told / per)), next.into_iter().chain(turns).min()))
    }

    /// Something that moves from day to day.
    pub(super) fn stepped<T>(
        &self,
        figure: impl FnOnce(&Outlook<'s>) -> Option<Stepped<T>>,
        value: impl FnOnce(Option<T>) -> Value,
    ) -> Timed {
        let next = self.learned().1;
        let stepped = self.outlook().and_then(figure);
        let zone = self.book.map(|book| &book.settings.zone);
        let moves = stepped.as_ref().zip(zone).map(|(stepped, zone)| start_of(stepped.until, zone));
        Timed::until(value(stepped.map(|s| s.value)), next.into_iter().chain(moves).min())
    }
}
