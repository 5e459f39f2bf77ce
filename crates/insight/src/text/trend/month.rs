//! A month of a year, written `2026-11`. Never knows what day it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A month of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: u16,
    month: u8,
}

/// A text or numbers that are no month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a month is written 2026-11: a year of four digits, and 01 to 12")]
pub struct MonthError;

impl Month {
    /// A month from 1 to 12 of a year from 0 to 9999.
    ///
    /// # Errors
    /// [`MonthError`] for other numbers.
    pub fn new(year: u16, month: u8) -> Result<Self, MonthError> {
        let exists = year <= 9999 && (1..=12).contains(&month);
        exists.then_some(Self { year, month }).ok_or(MonthError)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let (year, month) = text.split_once('-').ok_or(MonthError)?;
        let digits =
            |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(MonthError);
        }
        Self::new(year.parse().map_err(|_| MonthError)?, month.parse().map_err(|_| MonthError)?)
    }
}

impl TryFrom<String> for Month {
    type Error = MonthError;

    fn try_from(text: String) -> Result<Self, MonthError> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}
