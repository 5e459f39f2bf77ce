//! Stretches of time as operators write them (`2h`, `14d`, `1mo`) and what they mean on the calendar (rule R8).
//!
//! Seconds, minutes and hours are elapsed time; days, weeks, months and years are calendar units in a time zone:
//! "1d" over the change to summer time keeps ten o'clock. Never reads a clock.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use zyklus_model::At;

/// The unit of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Elapsed seconds.
    Seconds,
    /// Elapsed minutes.
    Minutes,
    /// Elapsed hours.
    Hours,
    /// Calendar days.
    Days,
    /// Calendar weeks.
    Weeks,
    /// Calendar months.
    Months,
    /// Calendar years.
    Years,
}

/// A whole number of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// How many; negative only in a date start's `offset`.
    pub count: i64,
    /// Of what.
    pub unit: Unit,
}

/// Why a text is not a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a stretch of time; {advice}")]
pub struct LengthError {
    text: String,
    advice: String,
}

impl LengthError {
    fn of(text: &str) -> Self {
        let meant = meant(text).filter(|meant| meant != text).map(|meant| format!("write \"{meant}\""));
        let rule = "write a whole number and s, m, h, d, w, mo or y, as in \"2h\" or \"14d\"";
        LengthError { text: text.to_owned(), advice: meant.unwrap_or_else(|| rule.to_owned()) }
    }
}

/// The stretch of time somebody wrote out in words: `1 month` is `1mo`, and `week` is `7d`.
fn meant(text: &str) -> Option<String> {
    // A capital M may be minutes or months.
    if text.trim_end().ends_with('M') {
        return None;
    }
    let text = text.trim().to_lowercase();
    let word = text.find(|c: char| c.is_ascii_alphabetic()).map(|at| text.split_at(at));
    let (count, word) = word?;
    let unit = match word.strip_suffix('s').unwrap_or(word) {
        "second" | "sec" => "s",
        "minute" | "min" => "m",
        "hour" | "hr" => "h",
        "day" | "d" => "d",
        "week" => "w",
        "month" | "mo" => "mo",
        "year" | "yr" => "y",
        "" if word == "s" => "s",
        one @ ("m" | "h" | "w" | "y") => one,
        _ => return None,
    };
    match count.trim() {
        "" if unit == "w" => Some("7d".to_owned()),
        "" if word.len() > 2 => Some(format!("1{unit}")),
        count => count.parse::<u32>().ok().map(|count| format!("{count}{unit}")),
    }
}

impl Length {
    /// So many hours.
    pub const fn hours(count: i64) -> Self {
        Length { count, unit: Unit::Hours }
    }

    /// So many minutes.
    pub const fn minutes(count: i64) -> Self {
        Length { count, unit: Unit::Minutes }
    }

    /// So many days.
    pub const fn days(count: i64) -> Self {
        Length { count, unit: Unit::Days }
    }

    /// Whether it is counted on the calendar rather than on the clock.
    pub const fn is_calendar(self) -> bool {
        matches!(self.unit, Unit::Days | Unit::Weeks | Unit::Months | Unit::Years)
    }

    /// The instant so long after `from` in a time zone. A local time that does not exist moves forward by the
    /// gap; one that exists twice is the first.
    pub fn after(self, from: At, zone: &TimeZone) -> At {
        let micros = |unit: i64| from.plus_micros(self.count.saturating_mul(unit));
        let span = |span: Result<Span, jiff::Error>| {
            span.and_then(|span| from.timestamp().to_zoned(zone.clone()).checked_add(span))
                .map_or(if self.count < 0 { At::MIN } else { At::MAX }, |zoned| {
                    At::from_timestamp(zoned.timestamp())
                })
        };
        match self.unit {
            Unit::Seconds => micros(1_000_000),
            Unit::Minutes => micros(60_000_000),
            Unit::Hours => micros(3_600_000_000),
            Unit::Days => span(Span::new().try_days(self.count)),
            Unit::Weeks => span(Span::new().try_weeks(self.count)),
            Unit::Months => span(Span::new().try_months(self.count)),
            Unit::Years => span(Span::new().try_years(self.count)),
        }
    }

    /// The instant so long after `from`, at a local time of day: the first such time on that day or later that
    /// is not before `from`.
    pub fn after_at(self, from: At, time: Time, zone: &TimeZone) -> At {
        let base = self.after(from, zone);
        let mut date = base.timestamp().to_zoned(zone.clone()).date();
        // An elapsed wait that ends after the wanted time of day takes the next day.
        let floor = if self.is_calendar() { from } else { base };
        for _ in 0..3 {
            let at = local(date, time, zone);
            if at >= floor {
                return at;
            }
            match date.checked_add(1.day()) {
                Ok(next) => date = next,
                Err(_) => return At::MAX,
            }
        }
        local(date, time, zone)
    }

    /// About how many days, for limits (a month counts as 31, a year as 366).
    pub fn rough_days(self) -> f64 {
        let count = self.count as f64;
        match self.unit {
            Unit::Seconds => count / 86_400.0,
            Unit::Minutes => count / 1_440.0,
            Unit::Hours => count / 24.0,
            Unit::Days => count,
            Unit::Weeks => count * 7.0,
            Unit::Months => count * 31.0,
            Unit::Years => count * 366.0,
        }
    }
}

/// The instant of a local date and time; in a gap it moves forward, in a fold it is the first.
pub fn local(date: jiff::civil::Date, time: Time, zone: &TimeZone) -> At {
    date.to_datetime(time)
        .to_zoned(zone.clone())
        .map_or(At::MAX, |zoned| At::from_timestamp(zoned.timestamp()))
}

/// Reads a time of day, "09:30".
pub fn time_of_day(text: &str) -> Result<Time, String> {
    let wrong = || format!("\"{text}\" is not a time of day; write it as \"09:30\"");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    if hour.len() != 2 || minute.len() != 2 {
        return Err(wrong());
    }
    let hour: i8 = hour.parse().map_err(|_| wrong())?;
    let minute: i8 = minute.parse().map_err(|_| wrong())?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

/// The start of the local day an instant lies in.
pub fn day_start(at: At, zone: &TimeZone) -> At {
    let date = Timestamp::to_zoned(at.timestamp(), zone.clone()).date();
    local(date, Time::midnight(), zone)
}

impl FromStr for Length {
    type Err = LengthError;

    fn from_str(text: &str) -> Result<Self, LengthError> {
        let error = || LengthError::of(text);
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?;
        let (count, unit) = trimmed.split_at(split);
        let unit = match unit {
            "s" => Unit::Seconds,
            "m" => Unit::Minutes,
            "h" => Unit::Hours,
            "d" => Unit::Days,
            "w" => Unit::Weeks,
            "mo" => Unit::Months,
            "y" => Unit::Years,
            _ => return Err(error()),
        };
        let count: i64 = count.parse().map_err(|_| error())?;
        if count.unsigned_abs() > 1_000_000 {
            return Err(error());
        }
        Ok(Length { count, unit })
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Seconds => "s",
            Unit::Minutes => "m",
            Unit::Hours => "h",
            Unit::Days => "d",
            Unit::Weeks => "w",
            Unit::Months => "mo",
            Unit::Years => "y",
        };
        write!(f, "{}{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    #[track_caller]
    fn check(length: &str, from: &str, expected: &str) {
        let length: Length = length.parse().unwrap();
        assert_eq!(length.after(from.parse().unwrap(), &berlin()).to_string(), expected);
    }

    #[test]
    fn a_day_keeps_the_wall_clock_and_24_hours_do_not() {
        check("1d", "2026-03-28T10:00:00+01:00", "2026-03-29T08:00:00Z");
        check("24h", "2026-03-28T10:00:00+01:00", "2026-03-29T09:00:00Z");
    }

    #[test]
    fn a_local_time_in_the_gap_moves_forward() {
        check("1d", "2026-03-28T02:30:00+01:00", "2026-03-29T01:30:00Z");
    }

    #[test]
    fn months_and_years_stay_within_the_month() {
        check("1mo", "2026-01-31T12:00:00+01:00", "2026-02-28T11:00:00Z");
        check("1y", "2028-02-29T12:00:00+01:00", "2029-02-28T11:00:00Z");
    }

    #[test]
    fn a_time_of_day_is_never_before_the_step_was_reached() {
        let at = |length: &str, from: &str| {
            let length: Length = length.parse().unwrap();
            length.after_at(from.parse().unwrap(), time_of_day("18:00").unwrap(), &berlin()).to_string()
        };
        assert_eq!(at("0d", "2026-06-01T17:00:00+02:00"), "2026-06-01T16:00:00Z");
        assert_eq!(at("0d", "2026-06-01T19:00:00+02:00"), "2026-06-02T16:00:00Z");
        assert_eq!(at("1d", "2026-06-01T19:00:00+02:00"), "2026-06-02T16:00:00Z");
        assert_eq!(at("3h", "2026-06-01T16:00:00+02:00"), "2026-06-02T16:00:00Z");
    }

    #[test]
    fn what_is_written_in_words_is_understood_and_refused() {
        for (text, meant) in [
            ("1 month", "1mo"),
            ("3 months", "3mo"),
            ("week", "7d"),
            ("2 weeks", "2w"),
            ("2days", "2d"),
            ("day", "1d"),
            ("24 hours", "24h"),
            ("5 m", "5m"),
            ("30 min", "30m"),
        ] {
            let error = text.parse::<Length>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("; write \"{meant}\"")), "{error}");
        }
        let error = "soon".parse::<Length>().unwrap_err().to_string();
        assert!(error.contains("a whole number and s, m, h"), "{error}");
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in ["", "d", "2", "2 weeks", "1.5h", "2days", "9999999d"] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
        assert!(time_of_day("9:30").is_err() && time_of_day("24:00").is_err());
    }
}
