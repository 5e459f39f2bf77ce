//! Instants: microseconds since 1970-01-01 UTC. Never reads a clock.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Microseconds in an hour.
pub const HOUR_MICROS: i64 = 3_600_000_000;
/// Microseconds in 24 hours.
pub const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// An instant, in microseconds since the Unix epoch. Text form: RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct At(i64);

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an instant; write it as 2026-03-01T10:00:00Z or 2026-03-01T10:00:00+01:00")]
pub struct AtError(pub String);

impl At {
    /// The earliest instant that can be stored and shown, the year 1.
    pub const MIN: At = At(-62_135_596_800_000_000);
    /// The latest instant that can be stored and shown, the end of the year 9998.
    pub const MAX: At = At(253_370_764_799_000_000);

    /// From microseconds since the epoch; held within [`At::MIN`] and [`At::MAX`].
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            At(micros)
        }
    }

    /// From whole seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_micros(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by so many microseconds, held within range.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// This instant moved by so many seconds.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_micros(seconds.saturating_mul(1_000_000))
    }

    /// This instant moved by so many times 24 hours.
    #[must_use]
    pub const fn plus_days(self, days: i64) -> Self {
        self.plus_micros(days.saturating_mul(DAY_MICROS))
    }

    /// Microseconds from `earlier` to this instant; negative when `earlier` is later.
    pub const fn micros_since(self, earlier: At) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The same instant as jiff's type.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).expect("At is held within the years 1 to 9998")
    }

    /// From jiff's type; parts below a microsecond are cut off.
    pub fn from_timestamp(timestamp: Timestamp) -> Self {
        Self::from_micros(timestamp.as_microsecond())
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.timestamp(), f)
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for At {
    type Err = AtError;

    fn from_str(text: &str) -> Result<Self, AtError> {
        text.trim().parse::<Timestamp>().map(Self::from_timestamp).map_err(|_| AtError(text.to_owned()))
    }
}

impl Serialize for At {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_rfc_3339_in_utc() {
        let at: At = "2026-03-01T10:00:00.5+01:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-03-01T09:00:00.5Z");
        assert_eq!(at.to_string().parse(), Ok(at));
        assert!("yesterday".parse::<At>().is_err());
    }

    #[test]
    fn extremes_can_be_shown() {
        assert_eq!(At::from_micros(i64::MAX), At::MAX);
        assert!(At::MAX.to_string().starts_with("9998-"));
        assert!(At::MIN.to_string().starts_with("0001-"));
        assert_eq!(At::MAX.plus_days(1), At::MAX);
    }
}
