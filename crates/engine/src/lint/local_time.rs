//! Times of day that do not exist on the day the clocks go forward. Knows no today: it looks at the years ahead of a
//! fixed one, because zones change their rules seldom.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::Value;
use crate::source::Source;
use crate::wait::{local, time_of_day};

/// The first instant of 2026.
const FROM: i64 = 1_767_225_600;
/// Two years hold both changes of every zone that has them.
const SPAN: i64 = 2 * 366 * 86_400;

/// Warns of a time of day that a change of the clocks leaves out in a zone.
pub(super) fn judge(source: &mut Source<'_>, value: &Value<'_>, at: &str, zone: &TimeZone) {
    let Ok(time) = time_of_day(at) else { return };
    let Some(gap) = gap(time, zone) else { return };
    let name = zone.iana_name().unwrap_or("the shop's zone");
    let clock = |time: Time| time.strftime("%H:%M").to_string();
    source.warn(
        value.span(),
        format!(
            "{at} does not exist in {name} on the day the clocks go forward: that day it is {}",
            clock(gap.instead)
        ),
        format!(
            "write a time before {} or from {} on, if that is not meant",
            clock(gap.from),
            clock(gap.until)
        ),
    );
}

struct Gap {
    from: Time,
    until: Time,
    instead: Time,
}

fn gap(time: Time, zone: &TimeZone) -> Option<Gap> {
    let start = Timestamp::from_second(FROM).ok()?;
    for transition in zone.following(start) {
        let at = transition.timestamp();
        if at.as_second() > FROM + SPAN {
            return None;
        }
        let before = zone.to_offset(Timestamp::from_second(at.as_second() - 1).ok()?);
        let (from, until) = (before.to_datetime(at), transition.offset().to_datetime(at));
        let wanted = from.date().to_datetime(time);
        if from <= wanted && wanted < until {
            let instead = local(from.date(), time, zone).timestamp().to_zoned(zone.clone()).time();
            return Some(Gap { from: from.time(), until: until.time(), instead });
        }
    }
    None
}
