//! Says figures the reader's way: language, separators, currency, dates. Never computes one.

use jiff::tz::TimeZone;
use zyklus_insight::interval::{Estimate, Unknown};
use zyklus_insight::survival::Quantile;
use zyklus_model::{At, Currency};

use crate::kpis::Why;
use crate::shop::ShopSettings;

/// The languages of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

impl Language {
    /// German for a German locale (`de`, `de-AT`), English for all others.
    pub fn of(locale: &str) -> Self {
        match locale.split(['-', '_']).next() {
            Some(language) if language.eq_ignore_ascii_case("de") => Language::German,
            _ => Language::English,
        }
    }
}

/// A space that no line is broken at.
const HARD: char = '\u{a0}';

/// Says figures.
pub(super) struct Teller {
    pub(super) language: Language,
    pub(super) currency: Currency,
    pub(super) zone: TimeZone,
}

/// What a figure is of.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// A share of one.
    Share,
    /// A difference of shares.
    Points,
    /// Minor units of money.
    Money,
    /// A bare number.
    Plain,
    /// Seconds.
    Seconds,
}

impl Teller {
    /// In the language of the shop's locale.
    pub(super) fn of(shop: &ShopSettings) -> Self {
        Teller { language: Language::of(&shop.locale), currency: shop.currency, zone: shop.zone.clone() }
    }

    /// One of two wordings.
    pub(super) fn say<'a>(&self, english: &'a str, german: &'a str) -> &'a str {
        match self.language {
            Language::English => english,
            Language::German => german,
        }
    }

    /// A number with so many decimals, in groups of three digits.
    pub(super) fn number(&self, value: f64, decimals: usize) -> String {
        let (group, point) = match self.language {
            Language::English => (',', '.'),
            Language::German => ('.', ','),
        };
        let text = format!("{:.decimals$}", value.abs());
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let is_zero = text.bytes().all(|b| b == b'0' || b == b'.');
        let mut said = if value < 0.0 && !is_zero { "−".to_owned() } else { String::new() };
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                said.push(group);
            }
            said.push(digit);
        }
        if !fraction.is_empty() {
            said.push(point);
            said.push_str(fraction);
        }
        said
    }

    pub(super) fn count(&self, count: u64) -> String {
        self.number(count as f64, 0)
    }

    pub(super) fn percent(&self, share: f64) -> String {
        format!("{}{HARD}%", self.number(share * 100.0, 1))
    }

    /// A share on an axis.
    pub(super) fn axis_percent(&self, share: f64) -> String {
        format!("{}{HARD}%", self.number(share * 100.0, 0))
    }

    /// Small shares, such as complaints, need more digits.
    fn share(&self, share: f64) -> String {
        let decimals = if share != 0.0 && share.abs() < 0.01 { 2 } else { 1 };
        format!("{}{HARD}%", self.number(share * 100.0, decimals))
    }

    /// An amount; from a thousand on without decimals.
    pub(super) fn money(&self, minor: f64) -> String {
        let exponent = self.currency.exponent();
        let major = minor / 10f64.powi(i32::from(exponent));
        let decimals = if major.abs() >= 1_000.0 { 0 } else { usize::from(exponent) };
        format!("{}{HARD}{}", self.number(major, decimals), self.currency)
    }

    /// An amount on an axis: without the currency, which the axis names.
    pub(super) fn axis_money(&self, minor: f64) -> String {
        let major = minor / 10f64.powi(i32::from(self.currency.exponent()));
        let decimals = if major.fract().abs() > 1e-9 && major.abs() < 10.0 { 2 } else { 0 };
        self.number(major, decimals)
    }

    pub(super) fn days(&self, days: f64) -> String {
        let decimals = usize::from(days < 10.0 && days.fract() > 0.05);
        let is_one = (days - 1.0).abs() < 0.05;
        let unit = if is_one { self.say("day", "Tag") } else { self.say("days", "Tage") };
        format!("{}{HARD}{unit}", self.number(days, decimals))
    }

    /// A day where the shop is.
    pub(super) fn day(&self, at: At) -> String {
        let there = at.timestamp().to_zoned(self.zone.clone());
        there.strftime(self.say("%Y-%m-%d", "%d.%m.%Y")).to_string()
    }

    /// An instant where the shop is, with the zone's name.
    pub(super) fn instant(&self, at: At) -> String {
        let there = at.timestamp().to_zoned(self.zone.clone());
        let zone = self.zone.iana_name().unwrap_or("UTC");
        format!("{} {zone}", there.strftime(self.say("%Y-%m-%d %H:%M", "%d.%m.%Y, %H:%M")))
    }

    pub(super) fn value(&self, value: f64, unit: Unit) -> String {
        match unit {
            Unit::Share => self.share(value),
            Unit::Points => {
                let sign = if value > 0.0 { "+" } else { "" };
                format!("{sign}{}{HARD}{}", self.number(value * 100.0, 1), self.say("points", "Punkte"))
            }
            Unit::Money => self.money(value),
            Unit::Plain => self.number(value, if value.abs() < 10.0 { 2 } else { 1 }),
            Unit::Seconds => format!("{}{HARD}s", self.number(value, 0)),
        }
    }

    /// From where to where the truth is likely to lie.
    pub(super) fn interval(&self, estimate: &Estimate, unit: Unit) -> String {
        let [low, high] = [estimate.low(), estimate.high()].map(|end| self.value(end, unit));
        // The unit once, where both ends have the same.
        match (low.rsplit_once(HARD), high.rsplit_once(HARD)) {
            (Some((bare, one)), Some((_, other))) if one == other => format!("{bare} – {high}"),
            _ => format!("{low} – {high}"),
        }
    }

    /// How many cases, and that they are few.
    pub(super) fn cases(&self, estimate: &Estimate) -> String {
        let few = if estimate.is_weak() { self.say(" (few)", " (wenige)") } else { "" };
        format!("{}{few}", self.count(estimate.n()))
    }

    pub(super) fn unknown(&self) -> &'static str {
        match self.language {
            Language::English => "unknown",
            Language::German => "nicht bekannt",
        }
    }

    /// After how many days; or that it takes longer than is known.
    pub(super) fn quantile(&self, quantile: Quantile) -> String {
        match quantile {
            Quantile::Reached { days, .. } => self.days(days),
            Quantile::NotReached { beyond } => {
                format!("{} {}", self.say("more than", "mehr als"), self.days(beyond))
            }
        }
    }

    /// Why a figure is not known.
    pub(super) fn why(&self, why: Why) -> String {
        if self.language == Language::English {
            return why.to_string();
        }
        match why {
            Why::Counted(Unknown::Empty) => "es gibt keine Fälle".to_owned(),
            Why::Counted(Unknown::TooFew { n, needed }) => {
                format!("{} Fälle sind zu wenige, nötig sind {}", self.count(n), self.count(needed))
            }
            Why::Counted(Unknown::TooYoung { days }) => {
                format!("niemand wurde länger als {} beobachtet", self.days(days))
            }
            Why::Counted(Unknown::Unbounded) => "der Nenner ist von null nicht zu unterscheiden".to_owned(),
            Why::Counted(Unknown::NoSpread) => "alle Werte sind gleich".to_owned(),
            Why::Counted(Unknown::Impossible) => "die Zahlen widersprechen sich".to_owned(),
            Why::TooYoung => "so lange ist noch niemand Kunde".to_owned(),
            Why::NotLearned => "über den Shop wurde noch nichts gelernt".to_owned(),
            Why::NotForeseen => "das Gelernte sagt darüber nichts".to_owned(),
            Why::NotRecorded => "keine Anbindung liefert es".to_owned(),
            Why::NotAsked => "niemand wurde vor mehr als 30 Tagen gefragt".to_owned(),
            Why::NoEvents => "der Shop sendet keine solchen Ereignisse".to_owned(),
            Why::NoGap => "nicht einmal der Hälfte aller Bestellungen folgt eine weitere".to_owned(),
            Why::NoGoal => "es gibt kein Ziel".to_owned(),
            Why::NotHeld => "es gibt keine Kontrollgruppe".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn teller(language: Language, currency: Currency) -> Teller {
        Teller { language, currency, zone: TimeZone::UTC }
    }

    #[test]
    fn numbers_are_said_the_readers_way() {
        let en = teller(Language::of("en-GB"), Currency::USD);
        let de = teller(Language::of("de_AT"), Currency::EUR);
        assert_eq!(en.number(1_234_567.891, 2), "1,234,567.89");
        assert_eq!(de.number(-1_234.5, 1), "−1.234,5");
        assert_eq!((en.number(-0.001, 1), en.count(999)), ("0.0".to_owned(), "999".to_owned()));
        assert_eq!(de.money(12_345.0), "123,45\u{a0}EUR");
        assert_eq!(en.money(123_456_789.0), "1,234,568\u{a0}USD");
        assert_eq!(teller(Language::English, "JPY".parse().unwrap()).money(500.0), "500\u{a0}JPY");
        assert_eq!(de.value(0.0012, Unit::Share), "0,12\u{a0}%");
        assert_eq!(en.value(0.05, Unit::Points), "+5.0\u{a0}points");
        assert_eq!((en.days(1.0), de.days(2.5)), ("1\u{a0}day".to_owned(), "2,5\u{a0}Tage".to_owned()));
        assert_eq!(Language::of("den"), Language::English);
    }
}
