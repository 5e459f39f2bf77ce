//! Compares what a test expects with what happened, and says of every difference why the engine did what it did.

use std::fmt;

use jiff::tz::TimeZone;
use serde::Serialize;
use zyklus_model::At;

use super::play::{Played, Seen, What, play, stage};
use super::reasons::{why_it_came, why_not};
use super::{Expect, Playtest, Wanted};
use crate::book::Book;

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The test's name.
    pub name: String,
    /// The journey it is about.
    pub journey: Option<String>,
    /// File and line.
    pub place: String,
    /// Whether everything was as expected.
    pub passed: bool,
    /// What was not.
    pub misses: Vec<Miss>,
    /// What happened, from the start of the test on.
    pub happened: Vec<Line>,
}

/// One difference between what was expected and what happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Miss {
    /// File and line of the entry, or of the test.
    pub place: String,
    /// What is different.
    pub what: String,
    /// Why the engine did what it did, line by line.
    pub why: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// When.
    pub at: At,
    /// The same as the test counts: day and local time.
    pub moment: String,
    /// What.
    pub what: String,
}

/// Runs a test under a book. The book's journeys need not be active: in a test they are, since its start.
pub fn run(book: &Book, test: &Playtest) -> Verdict {
    let (staged, start, zone) = stage(book, test);
    let played = play(&staged, test, start, &zone, None);
    let mut misses = Vec::new();
    let acts = |s: &&Seen| matches!(s.what, What::Sent | What::Called);
    let mut unexpected: Vec<&Seen> = played.seen.iter().filter(acts).collect();
    let mut open: Vec<&Expect> = Vec::new();
    for expect in &test.expect {
        let window = window(expect, &played);
        let found = match &expect.what {
            Wanted::Nothing => continue,
            Wanted::Send(_) | Wanted::Call(_) => {
                let hit = unexpected.iter().position(|s| fits(&expect.what, s) && within(window, s.at));
                hit.map(|index| unexpected.remove(index)).is_some()
            }
            what => played.seen.iter().any(|s| fits(what, s) && within(window, s.at)),
        };
        if !found {
            open.push(expect);
        }
    }
    for expect in open {
        // The same thing at another time is one difference, not two.
        let moved = unexpected.iter().position(|s| fits(&expect.what, s));
        let moved = moved.map(|index| unexpected.remove(index));
        misses.push(missed(&staged, test, &played, expect, moved));
    }
    for expect in test.expect.iter().filter(|e| e.what == Wanted::Nothing) {
        let window = window(expect, &played);
        for seen in played.seen.iter().filter(acts).filter(|s| within(window, s.at)) {
            unexpected.retain(|other| *other != seen);
            misses.push(Miss {
                place: place(&expect.place),
                what: format!(
                    "nothing was to go out{}, but {}",
                    when(expect, &played),
                    happened(seen, &played)
                ),
                why: why_it_came(&staged, &played, seen),
            });
        }
    }
    for seen in unexpected {
        misses.push(Miss {
            place: place(&test.place),
            what: format!("not expected: {}", happened(seen, &played)),
            why: why_it_came(&staged, &played, seen),
        });
    }
    Verdict {
        name: test.name.clone(),
        journey: test.journey.clone(),
        place: place(&test.place),
        passed: misses.is_empty(),
        misses,
        happened: lines(&played),
    }
}

fn place(problem: &crate::problem::Problem) -> String {
    format!("{}:{}", problem.file, problem.line)
}

/// The stretch of time an entry means; all of it without `at`.
fn window(expect: &Expect, played: &Played) -> (At, At) {
    let of = |moment: super::Moment| moment.window(played.start, &played.zone);
    let (from, end) = expect.at.map_or((At::MIN, At::MAX), of);
    (from, expect.until.map_or(end, |until| of(until).1.max(end)))
}

fn within((from, end): (At, At), at: At) -> bool {
    from <= at && at < end
}

fn fits(wanted: &Wanted, seen: &Seen) -> bool {
    match wanted {
        Wanted::Send(template) => seen.what == What::Sent && seen.name == *template,
        Wanted::Call(action) => seen.what == What::Called && seen.name == *action,
        Wanted::Tag(tag) => seen.what == What::Tagged && seen.name == *tag,
        Wanted::Untag(tag) => seen.what == What::Untagged && seen.name == *tag,
        Wanted::Phase(phase) => seen.what == What::Moved && seen.name == *phase,
        Wanted::Goal(journey) => seen.what == What::Goal && seen.name == *journey,
        Wanted::Exit(journey) => seen.what == What::Left && seen.name == *journey,
        Wanted::Ended(journey) => matches!(seen.what, What::Left | What::Ended) && seen.name == *journey,
        Wanted::Nothing => false,
    }
}

fn missed(staged: &Book, test: &Playtest, played: &Played, expect: &Expect, moved: Option<&Seen>) -> Miss {
    let wanted = &expect.what;
    let elsewhere = moved
        .or_else(|| played.seen.iter().find(|s| fits(wanted, s) && !within(window(expect, played), s.at)));
    let place = place(&expect.place);
    let asked = format!("expected{}: {wanted}", when(expect, played));
    match elsewhere {
        Some(seen) => Miss {
            place,
            what: format!("{asked}; it came on {}", moment(seen.at, played)),
            why: why_it_came(staged, played, seen),
        },
        None => Miss {
            place,
            what: format!("{asked}; it did not happen"),
            why: why_not(staged, test, played, wanted, window(expect, played)),
        },
    }
}

/// When an entry expects something, in words.
fn when(expect: &Expect, played: &Played) -> String {
    let Some(at) = expect.at else { return String::new() };
    let (from, end) = window(expect, played);
    let last = end.plus_micros(-1);
    let day = |at: At| at.timestamp().to_zoned(played.zone.clone()).strftime("%a %Y-%m-%d").to_string();
    let minute = |at: At| at.timestamp().to_zoned(played.zone.clone()).strftime("%H:%M").to_string();
    match &expect.until {
        Some(until) => format!(" between {at} and {until} ({} to {})", day(from), day(last)),
        None if at.time.is_none() && at.length.is_calendar() => format!(" on {}, {at}", day(from)),
        None => format!(" on {} from {} to {}, {at}", day(from), minute(from), minute(end)),
    }
}

/// An instant as the test counts it: `Thu 2026-03-05 10:00 (3d)`.
pub(super) fn moment(at: At, played: &Played) -> String {
    let zoned = at.timestamp().to_zoned(played.zone.clone());
    format!("{} ({}d)", zoned.strftime("%a %Y-%m-%d %H:%M"), days(at, played.start, &played.zone))
}

/// Calendar days from the start.
fn days(at: At, start: At, zone: &TimeZone) -> i64 {
    let date = |at: At| at.timestamp().to_zoned(zone.clone()).date();
    date(start).until(date(at)).map_or(0, |span| i64::from(span.get_days()))
}

/// What an entry of the log says.
pub(super) fn happened(seen: &Seen, played: &Played) -> String {
    let by = format!("{} of {}", seen.name, seen.journey);
    let what = match seen.what {
        What::Given => format!("given: {}", seen.name),
        What::Moved => format!("phase {}", seen.name),
        What::Started => format!("{} begins", seen.name),
        What::Goal => format!("{} reaches its goal", seen.name),
        What::Left | What::Ended => format!("{} ends", seen.name),
        What::Tagged => format!("tag {}", seen.name),
        What::Untagged => format!("untag {}", seen.name),
        What::Sent => format!("{by} goes out"),
        What::Called => format!("{by} is done"),
        What::Delayed => format!("{by} waits"),
        What::Refused => format!("{by} is not sent"),
        What::Withdrawn => format!("{by} is withdrawn, its run has ended"),
    };
    let note = if seen.note.is_empty() { String::new() } else { format!(" ({})", seen.note) };
    if matches!(seen.what, What::Sent | What::Called) {
        return format!("{what} on {}", moment(seen.at, played));
    }
    format!("{what}{note}")
}

fn lines(played: &Played) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for seen in &played.seen {
        let zoned = seen.at.timestamp().to_zoned(played.zone.clone());
        let day = days(seen.at, played.start, &played.zone);
        let acts = matches!(seen.what, What::Sent | What::Called);
        let told = happened(seen, played);
        let what = if acts { told.split(" on ").next().unwrap_or(&told).to_owned() } else { told };
        lines.push(Line { at: seen.at, moment: format!("{day}d {}", zoned.strftime("%H:%M")), what });
    }
    lines.sort_by_key(|line| line.at);
    lines
}

impl fmt::Display for Verdict {
    /// The differences, and below them what happened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for miss in &self.misses {
            writeln!(f, "  {}: {}", miss.place, miss.what)?;
            for line in miss.why.iter().flat_map(|why| why.lines()) {
                writeln!(f, "      {line}")?;
            }
        }
        if !self.passed {
            writeln!(f, "  what happened:")?;
            let width = self.happened.iter().map(|line| line.moment.len()).max().unwrap_or(0);
            for line in &self.happened {
                writeln!(f, "    {:width$}  {}", line.moment, line.what)?;
            }
        }
        Ok(())
    }
}
