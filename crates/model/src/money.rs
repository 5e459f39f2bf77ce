//! Money: whole minor units of a currency, each currency with its own number of decimals.
//!
//! Never a float in, and never a guess: an amount without an exchange rate stays unconverted.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An ISO 4217 code: three upper-case letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Why a text is not money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three letters.
    #[error("`{0}` is not a currency; write its three letters, for example EUR")]
    Currency(String),
    /// Not a decimal number.
    #[error("`{0}` is not an amount; write it with a dot, for example 49.90")]
    Amount(String),
    /// More decimals than the currency has.
    #[error("`{amount}` has more decimals than {currency} has ({exponent})")]
    Decimals {
        /// What was given.
        amount: String,
        /// The currency.
        currency: Currency,
        /// Its number of decimals.
        exponent: u8,
    },
    /// Larger than fits.
    #[error("`{0}` is too large an amount")]
    Overflow(String),
}

impl Currency {
    /// The euro.
    pub const EUR: Currency = Currency(*b"EUR");
    /// The US dollar.
    pub const USD: Currency = Currency(*b"USD");

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is three ASCII letters")
    }

    /// How many decimals the currency has (ISO 4217, "minor unit").
    pub fn exponent(self) -> u8 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF"
            | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let upper = text.trim().to_ascii_uppercase();
        match upper.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|l| l.is_ascii_uppercase()) => Ok(Currency([*a, *b, *c])),
            _ => Err(MoneyError::Currency(text.to_owned())),
        }
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in minor units of a currency: 4990 EUR is 49.90 €, 4990 JPY is ¥4990.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; negative for what flows back.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// An amount in minor units.
    pub const fn new(amount_minor: i64, currency: Currency) -> Self {
        Money { amount_minor, currency }
    }

    /// Reads a decimal in major units ("49.9", "-3", "1e2" is refused) exactly. Zeroes beyond the
    /// currency's decimals are fine ("11.770" EUR), other digits are an error, never rounded.
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, MoneyError> {
        let text = amount.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !plain(whole) || !plain(fraction) {
            return Err(MoneyError::Amount(amount.to_owned()));
        }
        let exponent = currency.exponent();
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > usize::from(exponent) {
            return Err(MoneyError::Decimals { amount: amount.to_owned(), currency, exponent });
        }
        let overflow = || MoneyError::Overflow(amount.to_owned());
        let mut minor: i64 = 0;
        let padding = std::iter::repeat_n(b'0', usize::from(exponent) - fraction.len());
        for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
            minor = minor
                .checked_mul(10)
                .and_then(|m| m.checked_add(i64::from(digit - b'0')))
                .ok_or_else(overflow)?;
        }
        Ok(Money { amount_minor: if negative { -minor } else { minor }, currency })
    }

    /// The amount in major units, for comparing with numbers people write. Not for adding up.
    pub fn major(self) -> f64 {
        self.amount_minor as f64 / 10f64.powi(i32::from(self.currency.exponent()))
    }

    /// The amount in major units as exact decimal text ("49.90").
    pub fn decimal(self) -> String {
        let exponent = usize::from(self.currency.exponent());
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.amount_minor.unsigned_abs(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        if exponent == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Exchange rates into one reporting currency: how many units of it one major unit of another is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// The currency everything is reported in.
    pub reporting: Currency,
    /// Rate by currency; the reporting currency itself needs none.
    pub rates: BTreeMap<Currency, f64>,
}

impl Rates {
    /// Only the reporting currency, no rates.
    pub fn only(reporting: Currency) -> Self {
        Rates { reporting, rates: BTreeMap::new() }
    }

    /// The amount in minor units of the reporting currency, rounded half away from zero; `None` when the
    /// currency has no rate.
    pub fn convert(&self, money: Money) -> Option<i64> {
        if money.currency == self.reporting {
            return Some(money.amount_minor);
        }
        let rate = self.rates.get(&money.currency)?;
        let shift = i32::from(self.reporting.exponent()) - i32::from(money.currency.exponent());
        Some((money.amount_minor as f64 * rate * 10f64.powi(shift)).round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(amount: &str, currency: &str) -> Result<i64, MoneyError> {
        Money::parse(amount, currency.parse().unwrap()).map(|m| m.amount_minor)
    }

    #[test]
    fn each_currency_has_its_own_decimals() {
        assert_eq!(parse("49.9", "EUR"), Ok(4990));
        assert_eq!(parse("4990", "JPY"), Ok(4990));
        assert_eq!(parse("4.99", "KWD"), Ok(4990));
        assert_eq!(parse("-0.05", "EUR"), Ok(-5));
        assert_eq!(parse("11.770000", "EUR"), Ok(1177));
        assert_eq!(parse(".5", "EUR"), Ok(50));
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for (amount, currency) in
            [("49.905", "EUR"), ("1.5", "JPY"), ("1e3", "EUR"), ("", "EUR"), ("1,5", "EUR"), (".", "EUR")]
        {
            assert!(parse(amount, currency).is_err(), "{amount} {currency}");
        }
        assert!(matches!(parse("99999999999999999999", "EUR"), Err(MoneyError::Overflow(_))));
    }

    #[test]
    fn decimal_text_round_trips() {
        for (minor, currency, text) in
            [(-5, "EUR", "-0.05"), (4990, "JPY", "4990"), (4990, "KWD", "4.990"), (0, "EUR", "0.00")]
        {
            let money = Money::new(minor, currency.parse().unwrap());
            assert_eq!(money.decimal(), text);
            assert_eq!(Money::parse(text, money.currency), Ok(money));
        }
    }

    #[test]
    fn an_amount_without_a_rate_is_not_guessed() {
        let mut rates = Rates::only(Currency::EUR);
        let yen = Money::new(1000, "JPY".parse().unwrap());
        assert_eq!(rates.convert(yen), None);
        rates.rates.insert(yen.currency, 0.006);
        assert_eq!(rates.convert(yen), Some(600));
    }
}
