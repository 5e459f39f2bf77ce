//! Which language a mail is in, and how that language writes money, numbers and dates.
//!
//! Never translates: a text exists once per locale, written by people.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use zyklus_model::Money;

/// The languages templates are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplateLocale {
    /// English.
    En,
    /// German, "Sie".
    De,
    /// German, "du".
    DeDu,
}

/// How a shop addresses its customers in German.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Salutation {
    /// Formal.
    #[default]
    Sie,
    /// Informal.
    Du,
}

impl TemplateLocale {
    /// All of them, in the order `check` lists them.
    pub const ALL: [TemplateLocale; 3] = [TemplateLocale::En, TemplateLocale::De, TemplateLocale::DeDu];

    /// The file name without its ending.
    pub fn as_str(self) -> &'static str {
        match self {
            TemplateLocale::En => "en",
            TemplateLocale::De => "de",
            TemplateLocale::DeDu => "de-du",
        }
    }

    /// The language as HTML's `lang` wants it.
    pub fn language(self) -> &'static str {
        match self {
            TemplateLocale::En => "en",
            TemplateLocale::De | TemplateLocale::DeDu => "de",
        }
    }

    /// The locale a file name stands for.
    pub fn parse(name: &str) -> Option<TemplateLocale> {
        TemplateLocale::ALL.into_iter().find(|locale| locale.as_str() == name)
    }

    /// Where to look for a customer's text, best first: the customer's own language (`de-AT`, `de_DE`, `en-GB`),
    /// its other salutation, the shop's language, then English and whatever else there is. All of them, each once.
    pub fn chain(customer: Option<&str>, shop: &str, salutation: Salutation) -> Vec<TemplateLocale> {
        let mut chain = Vec::new();
        for tag in [customer.unwrap_or(shop), shop, "en", "de"] {
            let language = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
            let wanted: &[TemplateLocale] = match (language.as_str(), salutation) {
                ("de", Salutation::Sie) => &[TemplateLocale::De, TemplateLocale::DeDu],
                ("de", Salutation::Du) => &[TemplateLocale::DeDu, TemplateLocale::De],
                ("en", _) => &[TemplateLocale::En],
                _ => &[],
            };
            for locale in wanted {
                if !chain.contains(locale) {
                    chain.push(*locale);
                }
            }
        }
        chain
    }

    /// Money as the language writes it: `49,90 €`, `€49.90`; each currency with its own number of decimals.
    pub fn money(self, money: Money) -> String {
        let decimal = money.decimal();
        let (sign, plain) = match decimal.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", decimal.as_str()),
        };
        let number = self.group(plain);
        let code = money.currency.code();
        match (self, symbol(code)) {
            (TemplateLocale::En, Some(symbol)) => format!("{sign}{symbol}{number}"),
            (TemplateLocale::En, None) => format!("{sign}{code}\u{a0}{number}"),
            (TemplateLocale::De | TemplateLocale::DeDu, symbol) => {
                format!("{sign}{number}\u{a0}{}", symbol.unwrap_or(code))
            }
        }
    }

    /// Sets thousands and decimal marks in a plain decimal (`1234.5`).
    pub fn group(self, plain: &str) -> String {
        let (thousands, point) = match self {
            TemplateLocale::En => (',', '.'),
            TemplateLocale::De | TemplateLocale::DeDu => ('.', ','),
        };
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let (sign, digits) = match whole.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", whole),
        };
        let mut out = String::from(sign);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.push(thousands);
            }
            out.push(digit);
        }
        if !fraction.is_empty() {
            out.push(point);
            out.push_str(fraction);
        }
        out
    }

    /// `24. Dezember 2026`, `24 December 2026`.
    pub fn long_date(self, date: Date) -> String {
        let month = usize::from(date.month().unsigned_abs()) - 1;
        match self {
            TemplateLocale::En => format!("{} {} {}", date.day(), MONTHS_EN[month], date.year()),
            TemplateLocale::De | TemplateLocale::DeDu => {
                format!("{}.\u{a0}{} {}", date.day(), MONTHS_DE[month], date.year())
            }
        }
    }

    /// `24.12.2026`, `24 Dec 2026`.
    pub fn short_date(self, date: Date) -> String {
        match self {
            TemplateLocale::En => {
                let month = MONTHS_EN[usize::from(date.month().unsigned_abs()) - 1];
                format!("{} {} {}", date.day(), &month[..3], date.year())
            }
            TemplateLocale::De | TemplateLocale::DeDu => {
                format!("{:02}.{:02}.{}", date.day(), date.month(), date.year())
            }
        }
    }
}

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_DE: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

fn symbol(code: &str) -> Option<&'static str> {
    match code {
        "EUR" => Some("€"),
        "USD" => Some("$"),
        "GBP" => Some("£"),
        "JPY" => Some("¥"),
        _ => None,
    }
}

/// The wall-clock moment an RFC 3339 instant or a plain date (`2026-12-24`) is in a time zone.
pub(super) fn civil(text: &str, zone: &TimeZone) -> Option<jiff::civil::DateTime> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.to_zoned(zone.clone()).datetime());
    }
    text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount_minor: i64, code: &str, locale: TemplateLocale) -> String {
        locale.money(Money { amount_minor, currency: code.parse().unwrap() }).replace('\u{a0}', " ")
    }

    #[test]
    fn money_is_written_as_the_language_writes_it() {
        use TemplateLocale::{De, En};
        assert_eq!(money(4990, "EUR", De), "49,90 €");
        assert_eq!(money(4990, "EUR", En), "€49.90");
        assert_eq!(money(123_456_789, "EUR", De), "1.234.567,89 €");
        assert_eq!(money(123_456_789, "USD", En), "$1,234,567.89");
        assert_eq!(money(4990, "JPY", De), "4.990 ¥");
        assert_eq!(money(4990, "JPY", En), "¥4,990");
        assert_eq!(money(4990, "KWD", En), "KWD 4.990");
        assert_eq!(money(-5, "CHF", De), "-0,05 CHF");
    }

    #[test]
    fn dates_follow_language_and_time_zone() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::fixed(jiff::tz::offset(1)));
        let at = civil("2026-12-23T23:30:00Z", &berlin).unwrap();
        assert_eq!(TemplateLocale::De.long_date(at.date()).replace('\u{a0}', " "), "24. Dezember 2026");
        assert_eq!(TemplateLocale::En.long_date(at.date()), "24 December 2026");
        assert_eq!(TemplateLocale::En.short_date(at.date()), "24 Dec 2026");
        assert_eq!(TemplateLocale::DeDu.short_date(at.date()), "24.12.2026");
        assert_eq!(civil("2026-02-01", &berlin).unwrap().date(), jiff::civil::date(2026, 2, 1));
        assert!(civil("soon", &berlin).is_none());
    }

    #[test]
    fn language_is_chosen_from_customer_shop_then_english() {
        use TemplateLocale::{De, DeDu, En};
        let chain = |customer, shop, salutation| TemplateLocale::chain(customer, shop, salutation);
        assert_eq!(chain(Some("de-AT"), "en", Salutation::Sie), [De, DeDu, En]);
        assert_eq!(chain(Some("de_DE"), "en", Salutation::Du), [DeDu, De, En]);
        assert_eq!(chain(Some("en-GB"), "de", Salutation::Du), [En, DeDu, De]);
        assert_eq!(chain(Some("fr"), "de", Salutation::Sie), [De, DeDu, En]);
        assert_eq!(chain(None, "de", Salutation::Du), [DeDu, De, En]);
        assert_eq!(chain(Some("fr"), "fr", Salutation::Sie), [En, De, DeDu]);
    }
}
