//! Plays a test through: a customer's life with what is given, and a log of what happened in it. Judges nothing.

use jiff::tz::TimeZone;
use zyklus_model::{At, Delivery, DeliveryKind, GuardReason, Origin, Run, RunEnd, RunState, Transition};

use super::facts::{Maker, customer};
use super::names::is_tested;
use super::{Fact, Given, Playtest, StartsAt};
use crate::book::Book;
use crate::playbook::Mode;
use crate::sim::{Happening, Life};
use crate::wait::local;
use crate::zone::zone_of;

/// A life in which runs go on for ever is left after so many days.
const LONGEST: i64 = 800;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// When.
    pub at: At,
    /// What.
    pub what: What,
    /// The template, action, label, phase, journey or fact.
    pub name: String,
    /// The journey, where one did it.
    pub journey: String,
    /// Anything else worth telling.
    pub note: String,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Given,
    Moved,
    Started,
    Goal,
    Left,
    Ended,
    Tagged,
    Untagged,
    Sent,
    Called,
    Delayed,
    Refused,
    Withdrawn,
}

/// A test played through.
#[derive(Debug)]
pub(super) struct Played {
    pub life: Life,
    pub seen: Vec<Seen>,
    pub start: At,
    pub zone: TimeZone,
}

/// The book a test runs under: its journeys alone, live since the start, nobody held out.
pub(super) fn stage(book: &Book, test: &Playtest) -> (Book, At, TimeZone) {
    let who = customer(&test.who, At::MIN);
    let zone = zone_of(&who.customer, &book.settings.zone);
    let start = match test.start {
        Some(StartsAt::Instant(at)) => at,
        Some(StartsAt::Local(time)) => local(time.date(), time.time(), &zone),
        None => local(jiff::civil::date(2026, 3, 2), jiff::civil::time(10, 0, 0, 0), &zone),
    };
    let mut staged = Book { tests: Vec::new(), ..book.clone() };
    staged.journeys.retain(|journey| is_tested(test, &journey.id));
    for journey in &mut staged.journeys {
        (journey.mode, journey.holdout) = (Mode::Live, 0);
    }
    staged.active_from = staged.journeys.iter().map(|j| (j.root().to_owned(), start)).collect();
    (staged, start, zone)
}

/// Plays a test under its own book, to its end or to `stop`, whichever comes first.
pub(super) fn play(staged: &Book, test: &Playtest, start: At, zone: &TimeZone, stop: Option<At>) -> Played {
    let mut given: Vec<(At, &Given)> = test.given.iter().map(|g| (g.at.at(start, zone), g)).collect();
    given.sort_by_key(|(at, _)| *at);
    let first = given.iter().find(|(_, g)| g.fact != Fact::Clock).map_or(start, |(at, _)| *at);
    let since = test.who.since.map_or_else(|| first.min(start), |since| since.at(start, zone)).min(start);
    let mut maker = Maker::new(staged.decimals, staged.settings.rates.clone());
    let mut seen: Vec<Seen> = Vec::new();
    let mut life = Life::unseen(customer(&test.who, since), start);
    let (before, after): (Vec<_>, Vec<_>) = given.into_iter().partition(|(at, _)| *at < start);
    if since < start {
        life.commit(Origin::History, |snapshot| {
            for (at, given) in &before {
                maker.put(snapshot, &given.fact, *at, Origin::History);
            }
        });
        seen.extend(before.iter().map(|(at, given)| told(*at, given)));
        life.round(staged, &mut |at, happening| note(&mut seen, at, happening));
    } else {
        life.commit(Origin::Live, |_| {});
    }
    let end = stop.unwrap_or(At::MAX);
    let mut after = after.into_iter().peekable();
    while let Some((at, _)) = after.peek().copied().filter(|(at, _)| *at <= end) {
        // What happens at an instant is known before anything that is due at it is done.
        life.run_to(staged, at.plus_micros(-1).max(life.now), &mut |at, h| note(&mut seen, at, h));
        life.now = life.now.max(at);
        while let Some((_, given)) = after.next_if(|(next, _)| *next == at) {
            seen.push(told(at, given));
            if given.fact != Fact::Clock {
                life.commit(Origin::Live, |snapshot| maker.put(snapshot, &given.fact, at, Origin::Live));
            }
        }
        life.round(staged, &mut |at, happening| note(&mut seen, at, happening));
    }
    run_out(staged, test, &mut life, (start, zone), stop, &mut |at, h| note(&mut seen, at, h));
    Played { life, seen, start, zone: zone.clone() }
}

/// Lets the time that remains pass.
fn run_out(
    staged: &Book,
    test: &Playtest,
    life: &mut Life,
    (start, zone): (At, &TimeZone),
    stop: Option<At>,
    watch: &mut dyn FnMut(At, Happening<'_>),
) {
    if let Some(end) = stop.or_else(|| test.until.map(|until| until.window(start, zone).1.plus_micros(-1))) {
        life.run_to(staged, end.max(life.now), watch);
        return;
    }
    let moments = test.expect.iter().flat_map(|e| [e.at, e.until]).flatten();
    let last = moments.map(|moment| moment.window(start, zone).1.plus_micros(-1)).max();
    let end = last.map_or(life.now, |last| last.max(life.now)).max(life.now.plus_days(1));
    life.run_to(staged, end, watch);
    let longest = start.plus_days(LONGEST);
    while life.is_running() {
        match life.next_at().filter(|at| *at <= longest) {
            Some(next) => life.run_to(staged, next.max(life.now), watch),
            None => break,
        }
    }
}

fn told(at: At, given: &Given) -> Seen {
    let (journey, note) = (String::new(), String::new());
    Seen { at, what: What::Given, name: given.told.clone(), journey, note }
}

fn note(seen: &mut Vec<Seen>, at: At, happening: Happening<'_>) {
    let of_run = |what, run: &Run, note: String| {
        let (name, journey) = (run.journey.clone(), run.journey.clone());
        Seen { at, what, name, journey, note }
    };
    let of_delivery = |what, delivery: &Delivery, note: String| Seen {
        at,
        what,
        name: target(delivery),
        journey: delivery.journey.clone(),
        note,
    };
    seen.push(match happening {
        Happening::HistoryRewritten => {
            seen.retain(|s| s.what != What::Moved);
            return;
        }
        Happening::Moved(Transition { to, from, at, .. }) => Seen {
            at: *at,
            what: What::Moved,
            name: to.clone(),
            journey: String::new(),
            note: from.as_ref().map_or_else(String::new, |from| format!("from {from}")),
        },
        Happening::Started(run) => of_run(What::Started, run, String::new()),
        Happening::GoalReached(run) => of_run(What::Goal, run, String::new()),
        Happening::Ended(run) => {
            let what = if run.end == Some(RunEnd::Exit) { What::Left } else { What::Ended };
            of_run(what, run, run_end(run))
        }
        Happening::Tagged(change) => Seen {
            at,
            what: if change.on { What::Tagged } else { What::Untagged },
            name: change.tag.clone(),
            journey: String::new(),
            note: String::new(),
        },
        Happening::HandedOver(delivery) | Happening::Shown(delivery) => {
            let is_action = delivery.kind == DeliveryKind::Action;
            of_delivery(if is_action { What::Called } else { What::Sent }, delivery, String::new())
        }
        Happening::Delayed(delivery, reason) => {
            of_delivery(What::Delayed, delivery, format!("until {}: {}", delivery.due_at, words(reason)))
        }
        Happening::Refused(delivery) => {
            let reason = delivery.reason.unwrap_or(GuardReason::Expired);
            of_delivery(What::Refused, delivery, words(reason).to_owned())
        }
        Happening::Withdrawn(delivery) => of_delivery(What::Withdrawn, delivery, String::new()),
    });
}

/// A message's template, or an action with its connector.
fn target(delivery: &Delivery) -> String {
    match &delivery.connector {
        Some(connector) if delivery.kind == DeliveryKind::Action => {
            format!("{connector}.{}", delivery.target)
        }
        _ => delivery.target.clone(),
    }
}

/// How a run ended, in words; nothing for one that goes on.
pub(super) fn run_end(run: &Run) -> String {
    if run.state == RunState::Live {
        return String::new();
    }
    match (run.end, &run.end_reason) {
        (Some(RunEnd::Completed), _) => "it was through".to_owned(),
        (Some(RunEnd::Goal), _) => "its goal was reached".to_owned(),
        (Some(RunEnd::Exit), Some(reason)) => reason.clone(),
        (Some(end), Some(reason)) => format!("{end}: {reason}"),
        (Some(end), None) => end.to_string(),
        (None, _) => "it ended".to_owned(),
    }
}

/// A guard's word as an operator would say it.
pub(super) fn words(reason: GuardReason) -> &'static str {
    match reason {
        GuardReason::Suppressed => "the address is never written to",
        GuardReason::NoAddress => "the customer has no address for this channel",
        GuardReason::NoConsent => "the customer has not agreed to it",
        GuardReason::GlobalHoldout => "the customer is held out of all marketing",
        GuardReason::JourneyHoldout => "the customer is held out of the journey",
        GuardReason::AlreadySent => "this run has done it already",
        GuardReason::Expired => "its time had passed (`expires`)",
        GuardReason::Missed => "the step was reached too late (`expires`)",
        GuardReason::QuietHours => "quiet hours ([quiet] in zyklus.toml)",
        GuardReason::Capped => "the frequency cap ([caps] in zyklus.toml)",
        GuardReason::Paused => "its journey is switched off",
        GuardReason::Outranked => "another message to the customer goes first (`priority`)",
        GuardReason::Over => "its run has reached its goal or its exit",
        GuardReason::TestMode => "not one of the test recipients",
    }
}
