//! Reasons not to send, asked in one order (rule R12) when a message is decided and again when it is claimed.

use jiff::tz::TimeZone;
use jiff::{ToSpan, civil::Date};
use sha2::{Digest, Sha256};
use zyklus_model::{
    At, Channel, ConsentState, Delivery, DeliveryKind, GuardReason, LegalBasis, Purpose, Snapshot,
};

use crate::book::Book;
use crate::facts::handed_over;
use crate::playbook::Mode;
use crate::settings::{CapWindow, QuietHours};
use crate::wait::{day_start, local};
use crate::zone::zone_of;

/// How long a message of a journey that is switched off waits before it is looked at again, in seconds.
const LOOK_AGAIN: i64 = 600;

/// Whether a delivery may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Now.
    Go,
    /// Not before that instant.
    Delay(At, GuardReason),
    /// Not at all.
    Refuse(GuardReason),
}

/// The guards that waiting does not lift: suppression, address, legal basis and expiry. They take back a message
/// that is still pending; quiet hours and caps are asked again only when it is claimed.
pub fn refuses(book: &Book, snapshot: &Snapshot, delivery: &Delivery, now: At) -> Option<GuardReason> {
    let expired = (now > delivery.expires_at).then_some(GuardReason::Expired);
    if delivery.kind == DeliveryKind::Action {
        return expired;
    }
    let channel = delivery.channel.unwrap_or(Channel::Email);
    lawful(book, snapshot, channel, delivery.purpose, now).or(expired)
}

/// Whether a delivery may go at an instant, and which guard says otherwise.
pub fn permits(book: &Book, snapshot: &Snapshot, delivery: &Delivery, now: At) -> Permit {
    if let Some(reason) = refuses(book, snapshot, delivery, now) {
        return Permit::Refuse(reason);
    }
    if book.journey(&delivery.journey).is_some_and(|journey| journey.mode == Mode::Off) {
        // Rule R9: a pause keeps what waits; what expires meanwhile is not sent.
        return Permit::Delay(now.plus_seconds(LOOK_AGAIN), GuardReason::Paused);
    }
    if delivery.kind == DeliveryKind::Action {
        return Permit::Go;
    }
    let channel = delivery.channel.unwrap_or(Channel::Email);
    let zone = zone_of(&snapshot.customer, &book.settings.zone);
    let mut at = now;
    let mut reason = None;
    // A cap can end inside quiet hours and quiet hours on a capped day: asked in turn until both agree.
    for _ in 0..8 {
        if let Some(until) = quiet_until(book, delivery, channel, at, &zone) {
            (at, reason) = (until, Some(GuardReason::QuietHours));
        } else if let Some(until) = capped_until(book, snapshot, delivery, channel, at, &zone) {
            (at, reason) = (until, Some(GuardReason::Capped));
        } else {
            break;
        }
        if at > delivery.expires_at {
            break;
        }
    }
    match reason {
        None => Permit::Go,
        Some(reason) if at > delivery.expires_at => Permit::Refuse(reason),
        Some(reason) => Permit::Delay(at, reason),
    }
}

/// Suppression, address and legal basis: the guards that time does not lift.
pub fn lawful(
    book: &Book,
    snapshot: &Snapshot,
    channel: Channel,
    purpose: Purpose,
    now: At,
) -> Option<GuardReason> {
    let suppressed = snapshot
        .suppressions
        .iter()
        .any(|s| s.channel.is_none_or(|c| c == channel) && (s.all_purposes || purpose == Purpose::Marketing));
    if suppressed {
        return Some(GuardReason::Suppressed);
    }
    let customer = &snapshot.customer;
    let reachable = match channel {
        Channel::Email => customer.email.is_some(),
        Channel::Sms => customer.phone.is_some(),
        Channel::Social | Channel::Push | Channel::Post => true,
    };
    if !reachable {
        return Some(GuardReason::NoAddress);
    }
    if purpose != Purpose::Marketing {
        return None;
    }
    let allowed = match snapshot.last_word(channel, purpose, now).map(|c| (c.state, c.basis)) {
        Some((ConsentState::Granted, LegalBasis::Consent | LegalBasis::Contract)) => true,
        Some((ConsentState::Granted, LegalBasis::ExistingCustomer)) => {
            book.settings.existing_customers && has_bought(snapshot, now)
        }
        Some((ConsentState::Withdrawn, _)) => false,
        // `Pending` is no word; it stands here for completeness.
        Some((ConsentState::Pending, _)) | None => {
            channel == Channel::Email && book.settings.existing_customers && has_bought(snapshot, now)
        }
    };
    (!allowed).then_some(GuardReason::NoConsent)
}

fn has_bought(snapshot: &Snapshot, now: At) -> bool {
    snapshot.orders.iter().any(|o| o.counts_at(now))
}

/// The end of the quiet hours an instant lies in (rule R15), spread over half an hour so that nothing bunches.
fn quiet_until(book: &Book, delivery: &Delivery, channel: Channel, at: At, zone: &TimeZone) -> Option<At> {
    if delivery.purpose == Purpose::Transactional {
        return None;
    }
    let quiet = book.settings.quiet.iter().find(|q| q.channel == channel)?;
    let mut moment = at;
    let mut end = None;
    // At most a year of quiet days in a row, then the operator meant something else.
    for _ in 0..366 {
        match quiet_end(quiet, moment, zone) {
            Some(until) if until > moment => {
                moment = until;
                end = Some(until);
            }
            _ => break,
        }
    }
    let digest = Sha256::digest(delivery.id.uuid().as_bytes());
    let spread = i64::from(u16::from_be_bytes([digest[0], digest[1]])) * 1_800 / 65_536;
    end.map(|end| end.plus_seconds(spread))
}

fn quiet_end(quiet: &QuietHours, at: At, zone: &TimeZone) -> Option<At> {
    let zoned = at.timestamp().to_zoned(zone.clone());
    let (date, time) = (zoned.date(), zoned.time());
    let next_day = |date: Date| date.checked_add(1.day()).unwrap_or(date);
    if quiet.weekdays.contains(&date.weekday()) || quiet.holidays.contains(&date) {
        return Some(local(next_day(date), jiff::civil::Time::midnight(), zone));
    }
    if quiet.from <= quiet.until {
        (time >= quiet.from && time < quiet.until).then(|| local(date, quiet.until, zone))
    } else if time >= quiet.from {
        Some(local(next_day(date), quiet.until, zone))
    } else {
        (time < quiet.until).then(|| local(date, quiet.until, zone))
    }
}

/// The first instant at which every cap has a place again (rule R14).
fn capped_until(
    book: &Book,
    snapshot: &Snapshot,
    delivery: &Delivery,
    channel: Channel,
    at: At,
    zone: &TimeZone,
) -> Option<At> {
    if delivery.purpose != Purpose::Marketing || !delivery.capped {
        return None;
    }
    let mut until: Option<At> = None;
    for cap in book.settings.caps.iter().filter(|cap| cap.channel.is_none_or(|c| c == channel)) {
        let mut counted: Vec<At> = snapshot
            .deliveries
            .iter()
            .filter(|d| {
                d.id != delivery.id
                    && d.kind == DeliveryKind::Message
                    && d.purpose == Purpose::Marketing
                    && d.capped
                    && d.state.counts()
                    && (cap.channel.is_none() || d.channel == cap.channel)
            })
            .map(handed_over)
            .collect();
        let free_at = match cap.per {
            CapWindow::Day => {
                let today = day_start(at, zone);
                counted.retain(|c| day_start(*c, zone) == today);
                let date = at.timestamp().to_zoned(zone.clone()).date();
                let tomorrow = date.checked_add(1.day()).unwrap_or(date);
                (counted.len() >= cap.max as usize)
                    .then(|| local(tomorrow, jiff::civil::Time::midnight(), zone))
            }
            CapWindow::Rolling(per) => {
                counted.retain(|c| *c <= at && per.after(*c, zone) > at);
                counted.sort_unstable();
                match counted.len().checked_sub(cap.max as usize) {
                    None => None,
                    Some(_) if cap.max == 0 => Some(At::MAX),
                    Some(over) => Some(per.after(counted[over], zone)),
                }
            }
        };
        until = until.max(free_at);
    }
    until
}
