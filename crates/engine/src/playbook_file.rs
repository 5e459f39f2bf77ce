//! Reads playbook files, and says of every mistake where it stands and what to write instead.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;
use zyklus_model::nearest;

use crate::condition::{Condition, Named, Scope};
use crate::definition::written;
use crate::lifecycle::{identifier, read_label};
use crate::playbook::{
    Backfill, Every, Goal, Journey, Mode, OnChange, Overlap, Playbook, Reenter, Start, Yield,
};
use crate::playtest::read_tests;
use crate::problem::Problem;
use crate::source::{Source, Table};
use crate::steps::{Steps, Window};
use crate::wait::{Length, time_of_day};

const JOURNEY_MODES: &[(&str, Mode)] =
    &[("live", Mode::Live), ("shadow", Mode::Shadow), ("test", Mode::Test), ("off", Mode::Off)];

/// Every key of a journey; each can stand in `[defaults]`.
const JOURNEY_KEYS: &[&str] = &[
    "label",
    "start",
    "when",
    "key",
    "exit",
    "goal",
    "overlap",
    "reenter",
    "late",
    "patience",
    "priority",
    "holdout",
    "epoch",
    "group",
    "yield",
    "was",
    "mode",
    "backfill",
    "on_change",
    "steps",
];

const OVERLAPS: &[(&str, Overlap)] = &[
    ("ignore", Overlap::Ignore),
    ("restart", Overlap::Restart),
    ("queue", Overlap::Queue),
    ("parallel", Overlap::Parallel),
];

const YIELDS: &[(&str, Yield)] = &[("wait", Yield::Wait), ("end", Yield::End)];
const CHANGES: &[(&str, OnChange)] =
    &[("follow", OnChange::Follow), ("finish", OnChange::Finish), ("exit", OnChange::Exit)];

impl Playbook {
    /// Reads one file. `segments` are those of all files read before, so that a start can name them.
    ///
    /// # Errors
    /// Every mistake found, with its place. Warnings alone are no error and are given beside the playbook.
    pub fn parse(
        file: &str,
        text: &str,
        segments: &BTreeMap<String, Condition>,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut source = Source::new(file, text);
        let playbook = read(&mut source, segments);
        // What is wrong in `[defaults]` is found once for every journey.
        let mut seen: Vec<Problem> = Vec::new();
        source.problems.retain(|p| {
            let is_new = !seen.contains(p);
            seen.extend(is_new.then(|| p.clone()));
            is_new
        });
        match playbook {
            Some(playbook) if source.problems.iter().all(|p| p.is_warning) => Ok((playbook, source.problems)),
            _ => Err(source.problems),
        }
    }
}

fn read(source: &mut Source<'_>, known: &BTreeMap<String, Condition>) -> Option<Playbook> {
    let document = source.parse()?;
    let mut root = Table::new("", document.span(), document.get_ref());
    let mut playbook = Playbook::default();
    let mut broken = Vec::new();
    if let Some(value) = root.take("segments")
        && let Some(mut table) = source.table("segments", value)
    {
        for (id, _, value) in table.rest() {
            let path = format!("segments.{id}");
            match source.condition(&path, value, Scope::Segment) {
                Some(condition) => drop(playbook.segments.insert(id, condition)),
                None => broken.push(no_segment(&id)),
            }
        }
    }
    let defaults = root.take("defaults");
    if let Some(mut table) = defaults.and_then(|value| source.table("defaults", value)) {
        for key in JOURNEY_KEYS {
            table.take(key);
        }
        table.finish(source);
    }
    let mut segments = known.clone();
    segments.extend(playbook.segments.iter().map(|(id, c)| (id.clone(), c.clone())));
    if let Some(value) = root.take("journeys")
        && let Some(mut table) = source.table("journeys", value)
    {
        for (id, span, value) in table.rest() {
            if let Err(error) = identifier(&id) {
                source.problem(span, error);
                continue;
            }
            let mentioned = source.mentions.len();
            let journey = read_journey(source, &id, span, value, defaults, &segments);
            for mention in &mut source.mentions[mentioned..] {
                mention.journey = Some(id.as_str().into());
            }
            if let Some(journey) = journey {
                playbook.journeys.push(journey);
            }
        }
    }
    if let Some(tests) = root.take("tests") {
        playbook.tests = read_tests(source, tests);
    }
    source.later_tables(&mut root);
    root.finish(source);
    // A segment that is there and broken was reported where it stands.
    source.problems.retain(|problem| !broken.contains(&problem.message));
    playbook.mentions = std::mem::take(&mut source.mentions);
    Some(playbook)
}

struct Reader<'s, 'a, 'd> {
    source: &'s mut Source<'a>,
    table: Table<'d, 'a>,
    defaults: Option<Table<'d, 'a>>,
}

impl<'a, 'd> Reader<'_, 'a, 'd> {
    /// A key of the journey, else of `[defaults]`.
    fn take(&mut self, key: &'static str) -> Option<(String, &'d Spanned<DeValue<'a>>)> {
        let fallback = self.defaults.as_mut().and_then(|d| d.take(key).map(|v| (d.join(key), v)));
        self.table.take(key).map(|v| (self.table.join(key), v)).or(fallback)
    }

    fn length(&mut self, key: &'static str) -> Option<Length> {
        let (path, value) = self.take(key)?;
        self.source.length(&path, value, positive)
    }

    fn condition(&mut self, key: &'static str, scope: Scope) -> Option<Condition> {
        let (path, value) = self.take(key)?;
        self.source.condition(&path, value, scope)
    }
}

fn read_journey<'a>(
    source: &mut Source<'a>,
    id: &str,
    span: Range<usize>,
    value: &Spanned<DeValue<'a>>,
    defaults: Option<&Spanned<DeValue<'a>>>,
    segments: &BTreeMap<String, Condition>,
) -> Option<Journey> {
    let path = format!("journeys.{id}");
    let table = source.table(&path, value)?;
    let problems_before = source.problems.len();
    let place = {
        let (line, _) = crate::problem::line_column(source.text, span.start);
        format!("{}:{line}", source.file)
    };
    let root_defaults = defaults;
    let defaults = defaults.and_then(|d| d.get_ref().as_table().map(|t| Table::new("defaults", d.span(), t)));
    let mut reader = Reader { source, table, defaults };

    let label = reader.take("label").and_then(|(path, v)| read_label(reader.source, &path, v));
    let was = reader.take("was").and_then(|(path, v)| reader.source.parsed(&path, v, identifier));
    let root = was.as_deref().unwrap_or(id);
    let start = match reader.take("start") {
        Some((path, value)) => read_start(reader.source, root, &path, value, segments),
        None => {
            let example = "write for example start = { phase = \"lapsed\" } or { event = \"order.placed\" }";
            reader.source.problem_help(
                span.clone(),
                format!("journey `{id}` says nothing of what starts it"),
                example,
            );
            None
        }
    };
    let when = reader.condition("when", Scope::JourneyWhen);
    let key_at = reader.take("key");
    let has_key = key_at.is_some();
    let key = key_at.and_then(|(path, v)| reader.source.expression(&path, v, Scope::Key));
    let exit = reader.condition("exit", Scope::Exit);
    let goal_at = reader.take("goal");
    let has_goal = goal_at.is_some();
    let goal = goal_at.and_then(|(path, v)| read_goal(reader.source, &path, v));
    let overlap_at = reader.take("overlap");
    let overlap = overlap_at.as_ref().and_then(|(path, v)| reader.source.word_of(path, v, OVERLAPS));
    if let (Some((_, value)), Some(Overlap::Parallel), false) = (&overlap_at, overlap, has_key) {
        let help = "say with `key` what the runs are about, for example key = \"event.order_id\"";
        let message = format!("`{path}` has no `key`: nothing tells runs that go on side by side apart");
        reader.source.problem_help(value.span(), message, help);
    }
    let reenter = reader.take("reenter").and_then(|(path, v)| reader.source.parsed(&path, v, parse_reenter));
    let late = reader.length("late");
    let patience = reader.length("patience");
    let priority = reader.take("priority").and_then(|(path, v)| reader.source.int_of(&path, v, 0..101));
    let holdout = reader.take("holdout").and_then(|(path, v)| reader.source.int_of(&path, v, 0..51));
    let epoch = reader.take("epoch").and_then(|(path, v)| reader.source.int_of(&path, v, 0..1_000_000));
    let group = reader.take("group").and_then(|(path, v)| reader.source.parsed(&path, v, identifier));
    let yield_at = reader.take("yield");
    let gives_way = yield_at.as_ref().and_then(|(path, v)| reader.source.word_of(path, v, YIELDS));
    if let (Some((path, value)), None) = (&yield_at, &group)
        && path.starts_with("journeys.")
    {
        let help = "name the group with `group`, or take `yield` out";
        reader.source.warn(value.span(), format!("`{path}` has no effect without a group"), help);
    }
    let mode = reader.take("mode").and_then(|(path, v)| reader.source.word_of(&path, v, JOURNEY_MODES));
    let on_change = reader.take("on_change").and_then(|(path, v)| reader.source.word_of(&path, v, CHANGES));
    let backfill =
        reader.take("backfill").and_then(|(path, v)| read_backfill(reader.source, &path, v, start.as_ref()));
    let window = match &goal {
        Some(goal) => Window::Of(goal.within),
        None if has_goal => Window::Broken,
        None => Window::None,
    };
    let mut steps = Steps::new(&path, window);
    match reader.take("steps") {
        Some((path, value)) => steps.read(reader.source, &path, value),
        None => reader.source.problem(span.clone(), format!("journey `{id}` has no `steps`")),
    }
    let (nodes, waits) = steps.finish(reader.source);
    if waits > 400.0 {
        let help = "split it in two journeys: a run should not last more than about a year";
        reader.source.warn(span, format!("the waits of `{id}` add up to {waits:.0} days"), help);
    }
    reader.table.finish(reader.source);
    if source.problems[problems_before..].iter().any(|p| !p.is_warning) {
        return None;
    }
    let (definition, text) =
        written(id, value.get_ref(), root_defaults.map(Spanned::get_ref), start.as_ref());
    Some(Journey {
        id: id.into(),
        was,
        label: label.unwrap_or_default(),
        start: start?,
        when,
        key,
        overlap: overlap.unwrap_or(Overlap::Ignore),
        reenter,
        late: late.unwrap_or(Length::hours(24)),
        patience: patience.unwrap_or(Length::minutes(30)),
        goal,
        exit,
        priority: priority.unwrap_or(50) as u8,
        group,
        gives_way: gives_way.unwrap_or(Yield::Wait),
        holdout: holdout.unwrap_or(0) as u8,
        epoch: epoch.unwrap_or(0),
        mode: mode.unwrap_or(Mode::Live),
        on_change: on_change.unwrap_or(OnChange::Follow),
        backfill,
        nodes,
        place,
        definition,
        text: text.into(),
    })
}

/// A stretch of time that is not negative.
pub(crate) fn positive(text: &str) -> Result<Length, String> {
    let length: Length = text.parse().map_err(|e: crate::wait::LengthError| e.to_string())?;
    if length.count < 0 {
        Err(format!("\"{text}\" is negative; write how long, as in \"2h\""))
    } else {
        Ok(length)
    }
}

fn parse_reenter(text: &str) -> Result<Reenter, String> {
    match text {
        "never" => Ok(Reenter::Never),
        "always" => Ok(Reenter::Always),
        _ => match text.strip_prefix("after ") {
            Some(length) => positive(length).map(Reenter::After),
            None => Err(format!("\"{text}\" must be \"never\", \"always\" or for example \"after 90d\"")),
        },
    }
}

fn read_goal<'a>(source: &mut Source<'a>, path: &str, value: &Spanned<DeValue<'a>>) -> Option<Goal> {
    let mut table = source.table(path, value)?;
    let when =
        table.need(source, "when").and_then(|v| source.condition(&format!("{path}.when"), v, Scope::Goal));
    let within = match table.take("within") {
        Some(v) => source.length(&format!("{path}.within"), v, positive),
        None => {
            let help = "a goal needs a window, for example within = \"14d\"";
            source.problem_help(value.span(), format!("`{path}` has no `within`"), help);
            None
        }
    };
    let stay = table.take("stay").and_then(|v| source.bool_of(&format!("{path}.stay"), v)).unwrap_or(false);
    table.finish(source);
    Some(Goal { when: when?, within: within?, stay })
}

fn read_backfill<'a>(
    source: &mut Source<'a>,
    path: &str,
    value: &Spanned<DeValue<'a>>,
    start: Option<&Start>,
) -> Option<Backfill> {
    let mut table = source.table(path, value)?;
    let since =
        table.need(source, "since").and_then(|v| source.length(&format!("{path}.since"), v, positive));
    let per_day = table
        .need(source, "per_day")
        .and_then(|v| source.int_of(&format!("{path}.per_day"), v, 1..1_000_001));
    let as_new = match table.take("as") {
        Some(v) => source.word_of(&format!("{path}.as"), v, &[("new", true)]),
        None => Some(false),
    };
    table.finish(source);
    match start {
        Some(Start::Phase(_) | Start::Segment { .. }) | None => {}
        Some(Start::Left(_) | Start::Event { .. } | Start::Schedule { .. } | Start::Date { .. }) => {
            let help = "only who stands in a phase or segment can be let in later: take it out, or start with { phase = … } or { segment = … }";
            source.problem_help(value.span(), format!("`{path}` does not fit this start"), help);
            return None;
        }
    }
    Some(Backfill { since: since?, per_day: u32::try_from(per_day?).unwrap_or(u32::MAX), as_new: as_new? })
}

fn read_start<'a>(
    source: &mut Source<'a>,
    journey: &str,
    path: &str,
    value: &Spanned<DeValue<'a>>,
    segments: &BTreeMap<String, Condition>,
) -> Option<Start> {
    let mut table = source.table(path, value)?;
    const KINDS: [&str; 6] = ["phase", "left", "event", "segment", "schedule", "date"];
    let named: Vec<&str> = KINDS.into_iter().filter(|kind| table.has(kind)).collect();
    if named.len() != 1 {
        let message = match named.len() {
            0 => format!("`{path}` names nothing that starts it"),
            _ => format!("`{path}` names {}; a journey has one start", named.join(" and ")),
        };
        let rest = if named.is_empty() { table.rest() } else { Vec::new() };
        let near = rest.iter().find_map(|(key, ..)| nearest(key, KINDS));
        let help = near.map(|kind| format!("did you mean `{kind}`?"));
        let help = help.unwrap_or_else(|| format!("write one of {}", KINDS.join(", ")));
        source.problem_help(value.span(), message, help);
        return None;
    }
    let start = match named[0] {
        "phase" => table.take("phase").and_then(|v| {
            let phase = source.parsed(&format!("{path}.phase"), v, identifier)?;
            source.mention(Named::Phase, &phase, v.span());
            Some(Start::Phase(phase))
        }),
        "left" => table.take("left").and_then(|v| {
            let phase = source.parsed(&format!("{path}.left"), v, identifier)?;
            source.mention(Named::Phase, &phase, v.span());
            Some(Start::Left(phase))
        }),
        "event" => {
            let event = table.take("event");
            let name = event.and_then(|v| source.parsed(&format!("{path}.event"), v, event_name));
            let filter =
                table.take("where").map(|v| source.condition(&format!("{path}.where"), v, Scope::StartWhere));
            match (name, filter) {
                (Some(_), Some(None)) | (None, _) => None,
                (Some(name), filter) => {
                    let span = event.map_or(value.span(), |v| v.span());
                    source.mention(Named::Event, &name, span);
                    Some(Start::Event { name, filter: filter.flatten() })
                }
            }
        }
        "segment" => table.take("segment").and_then(|v| {
            let text = source.text_of(&format!("{path}.segment"), v)?;
            if let Some(condition) = segments.get(&text) {
                return Some(Start::Segment { id: text, condition: condition.clone() });
            }
            if identifier(&text).is_ok() && !text.contains('.') {
                let help = match nearest(&text, segments.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => "name it under [segments], or write its condition here".to_owned(),
                };
                source.problem_help(v.span(), no_segment(&text), help);
                return None;
            }
            let condition = source.condition(&format!("{path}.segment"), v, Scope::Segment)?;
            Some(Start::Segment { id: format!("journey:{journey}"), condition })
        }),
        "schedule" => {
            let schedule = table
                .take("schedule")
                .and_then(|v| source.parsed(&format!("{path}.schedule"), v, parse_schedule));
            let zones = &[("customer", true), ("shop", false)];
            let zone = table.take("zone").and_then(|v| source.word_of(&format!("{path}.zone"), v, zones));
            schedule.map(|(every, at)| Start::Schedule { every, at, customer_zone: zone.unwrap_or(true) })
        }
        _ => {
            let field = table
                .take("date")
                .and_then(|v| source.expression(&format!("{path}.date"), v, Scope::Segment));
            let offset = table
                .take("offset")
                .and_then(|v| source.length(&format!("{path}.offset"), v, |text| text.parse::<Length>()));
            let at = table.take("at").and_then(|v| source.parsed(&format!("{path}.at"), v, time_of_day));
            field.map(|field| Start::Date { field, offset, at })
        }
    };
    table.finish(source);
    start
}

fn no_segment(id: &str) -> String {
    format!("there is no segment \"{id}\"")
}

/// Checks an event's name: lower-case words joined by dots.
pub(crate) fn event_name(text: &str) -> Result<String, String> {
    let fine = !text.is_empty()
        && text.split('.').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
        });
    if fine {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not an event's name, as order.placed is"))
    }
}

fn parse_schedule(text: &str) -> Result<(Every, jiff::civil::Time), String> {
    let wrong = || format!("\"{text}\" must be \"daily 09:00\" or for example \"monthly 1 09:00\"");
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["daily", at] => Ok((Every::Day, time_of_day(at)?)),
        ["monthly", day, at] => {
            let day: i8 = day.parse().map_err(|_| wrong())?;
            if !(1..=31).contains(&day) {
                return Err(wrong());
            }
            Ok((Every::Month(day), time_of_day(at)?))
        }
        _ => Err(wrong()),
    }
}
