//! Reasons not to send, asked in one order (rule R12) when a message is decided and again when it is claimed.

use jiff::tz::TimeZone;
use jiff::{ToSpan, civil::Date};
use sha2::{Digest, Sha256};
use zyklus_model::{
    At, Channel, ConsentState, Delivery, DeliveryKind, GuardReason, LegalBasis, Purpose, Run, RunEnd,
    RunState, Snapshot,
};

use crate::book::Book;
use crate::contend::outranked;
use crate::course::Course;
use crate::decide::standing_of;
use crate::facts::handed_over;
use crate::holdout::meets;
use crate::playbook::{Mode, SENT_BEFORE};
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

/// The guards that waiting does not lift, in the order of rule R12: suppression, address, legal basis, holdouts, what
/// was sent before, expiry. They take back a message that is still pending; quiet hours and caps are asked again only
/// when it is claimed.
pub fn refuses(book: &Book, snapshot: &Snapshot, delivery: &Delivery, now: At) -> Option<GuardReason> {
    let late = || {
        let sent_before = run_of(snapshot, delivery)
            .is_some_and(|run| run.acted.iter().any(|(step, o)| *step == delivery.step && o == SENT_BEFORE));
        let expired = (now > delivery.expires_at).then_some(GuardReason::Expired);
        if sent_before { Some(GuardReason::AlreadySent) } else { expired }
    };
    if delivery.kind == DeliveryKind::Action {
        return late();
    }
    let channel = delivery.channel.unwrap_or(Channel::Email);
    let held =
        || meets(book, snapshot, book.journey(&delivery.journey), delivery.purpose).map(GuardReason::from);
    lawful(book, snapshot, channel, delivery.purpose, now).or_else(held).or_else(late)
}

/// Whether a delivery may go at an instant, and which guard says otherwise; asked when it is claimed, of a customer
/// for whom nothing is left to evaluate.
pub fn permits(book: &Book, snapshot: &Snapshot, delivery: &Delivery, now: At) -> Permit {
    match admits(book, snapshot, delivery, now) {
        Permit::Go if is_over(book, snapshot, delivery, now) => Permit::Refuse(GuardReason::Over),
        // Rule R13: its run has given way to another of its group.
        Permit::Go if run_of(snapshot, delivery).is_some_and(|run| run.state == RunState::Waiting) => {
            Permit::Delay(now.plus_seconds(LOOK_AGAIN), GuardReason::Outranked)
        }
        Permit::Go => match outranked(book, snapshot, delivery, now) {
            Some((_, until)) => Permit::Delay(until, GuardReason::Outranked),
            None => Permit::Go,
        },
        other => other,
    }
}

/// The same without the questions that wait for the claim: whether the run has reached its goal or exit or given way
/// meanwhile, and who else wants to write now.
pub(crate) fn admits(book: &Book, snapshot: &Snapshot, delivery: &Delivery, now: At) -> Permit {
    if let Some(reason) = refuses(book, snapshot, delivery, now) {
        return Permit::Refuse(reason);
    }
    let later = now.plus_seconds(LOOK_AGAIN);
    match book.journey(&delivery.journey).map(|journey| journey.mode) {
        // Rule R9: a pause keeps what waits; what expires meanwhile is not sent. What a journey in shadow mode has
        // left waiting is taken back when the customer is evaluated.
        Some(Mode::Off | Mode::Shadow) => return Permit::Delay(later, GuardReason::Paused),
        Some(Mode::Test) if !is_tester(book, snapshot, delivery) => {
            return Permit::Refuse(GuardReason::TestMode);
        }
        Some(Mode::Test | Mode::Live) | None => {}
    }
    match free_from(book, snapshot, delivery, now) {
        (_, None) => Permit::Go,
        // At the instant at which it expires nothing is claimed any more.
        (at, Some(reason)) if at >= delivery.expires_at => Permit::Refuse(reason),
        (at, Some(reason)) => Permit::Delay(at, reason),
    }
}

/// The first instant, not before `at`, at which neither quiet hours nor a cap is in the way, and what was; later than
/// the delivery's expiry if there is none before.
pub(crate) fn free_from(
    book: &Book,
    snapshot: &Snapshot,
    delivery: &Delivery,
    at: At,
) -> (At, Option<GuardReason>) {
    if delivery.kind == DeliveryKind::Action {
        return (at, None);
    }
    let channel = delivery.channel.unwrap_or(Channel::Email);
    let zone = zone_of(&snapshot.customer, &book.settings.zone);
    let (now, mut at, mut reason) = (at, at, None);
    // A cap can end inside quiet hours and quiet hours on a capped day: asked in turn until both agree.
    for _ in 0..8 {
        if let Some(until) = quiet_until(book, delivery, channel, at, &zone) {
            (at, reason) = (until, Some(GuardReason::QuietHours));
        } else if let Some(until) = capped_until(book, snapshot, delivery, channel, (now, at), &zone) {
            (at, reason) = (until, Some(GuardReason::Capped));
        } else {
            break;
        }
        if at > delivery.expires_at {
            break;
        }
    }
    (at, reason)
}

/// The end of the quiet hours a message would meet at an instant.
pub(crate) fn quiet_end(book: &Book, delivery: &Delivery, at: At, zone: &TimeZone) -> Option<At> {
    let channel = delivery.channel.filter(|_| delivery.kind == DeliveryKind::Message)?;
    quiet_until(book, delivery, channel, at, zone)
}

/// Whether a journey in test mode may write to this customer (rule R19); it asks no connector to do anything.
pub(crate) fn is_tester(book: &Book, snapshot: &Snapshot, delivery: &Delivery) -> bool {
    let email = snapshot.customer.email.as_ref().map(|e| e.as_str());
    delivery.kind == DeliveryKind::Message && email.is_some_and(|e| book.settings.test_recipients.contains(e))
}

/// Rule R7: no delivery of a run goes after the first instant at which all that is known made its exit or goal true.
fn is_over(book: &Book, snapshot: &Snapshot, delivery: &Delivery, now: At) -> bool {
    let Some(run) = run_of(snapshot, delivery) else { return false };
    let Some(journey) = book.lived_by(run) else { return false };
    if !run.state.goes_on() {
        return matches!(run.end, Some(RunEnd::Goal | RunEnd::Exit));
    }
    let phase = snapshot.phase.as_ref().filter(|p| p.lifecycle == *book.lifecycle.id);
    let standing = phase.map(standing_of);
    let zone = zone_of(&snapshot.customer, &book.settings.zone);
    let standing = standing.as_ref();
    let course = Course { book, snapshot, runs: &snapshot.runs, standing, zone: &zone, now };
    let ends_at_goal = journey.goal.as_ref().is_some_and(|goal| !goal.stay);
    (ends_at_goal && course.reaches_goal(journey, run).value) || course.exits(journey, run).value
}

fn run_of<'s>(snapshot: &'s Snapshot, delivery: &Delivery) -> Option<&'s Run> {
    delivery.run.and_then(|id| snapshot.runs.iter().find(|run| run.id == id))
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
        match end_of_quiet(quiet, moment, zone) {
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

fn end_of_quiet(quiet: &QuietHours, at: At, zone: &TimeZone) -> Option<At> {
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

/// The first instant, not before `at`, at which every cap has a place again, as things stand `now` (rule R14).
fn capped_until(
    book: &Book,
    snapshot: &Snapshot,
    delivery: &Delivery,
    channel: Channel,
    (now, at): (At, At),
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
            // What is on its way counts from now, however long ago it was due.
            .map(|d| if d.done_at.is_none() { d.due_at.max(now) } else { handed_over(d) })
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
