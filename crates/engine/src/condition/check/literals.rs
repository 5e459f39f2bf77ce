//! Durations and patterns written inside conditions. Knows no tree.

use regex::{Regex, RegexBuilder};

/// Microseconds of `90m`, `1h30m`, `2d`, `-10s`; days and weeks are 24 hours and seven of them. None if it is no duration.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).filter(|end| *end > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let unit: f64 = match &rest[..letters] {
            "us" | "µs" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "m" => 60e6,
            "h" => 3600e6,
            "d" => 86_400e6,
            "w" => 604_800e6,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.saturating_add((number * unit) as i64);
    }
    Some(if negative { -total } else { total })
}

/// A pattern of linear running time, bounded in size.
pub(super) fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(1 << 20).build()
}
