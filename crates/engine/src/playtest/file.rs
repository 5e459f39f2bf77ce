//! Reads `[[tests]]`: keys, types and places. What a test names is looked up once all files are read (`names`).

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeValue;
use zyklus_model::{At, Email, PhoneNumber};

use super::given::{known_orders, read_given};
use super::{Expect, Moment, Playtest, StartsAt, Wanted, Who};
use crate::problem::Problem;
use crate::source::{Source, Table};
use crate::steps::to_json;

/// Reads all tests of a file.
pub(crate) fn read_tests<'a>(source: &mut Source<'a>, value: &Spanned<DeValue<'a>>) -> Vec<Playtest> {
    let items = source.array_of("tests", value).unwrap_or_default();
    let mut tests: Vec<Playtest> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(test) = read_test(source, &format!("tests[{index}]"), item) else { continue };
        if tests.iter().any(|t| t.name == test.name) {
            let help = "give one of them another name";
            source.problem_help(
                test.place.span.clone(),
                format!("there are two tests \"{}\"", test.name),
                help,
            );
        }
        tests.push(test);
    }
    tests
}

fn read_test<'a>(source: &mut Source<'a>, path: &str, item: &Spanned<DeValue<'a>>) -> Option<Playtest> {
    let mut table = source.table(path, item)?;
    let name_at = table.need(source, "name");
    let name = name_at.and_then(|v| source.text_of(&table.join("name"), v));
    let text = |source: &mut Source<'a>, table: &mut Table<'_, 'a>, key: &'static str| {
        let value = table.take(key)?;
        source.text_of(&table.join(key), value)
    };
    let journey = text(source, &mut table, "journey");
    let beside = texts(source, &mut table, "beside");
    let start = table.take("start").and_then(|v| read_start(source, &table.join("start"), v));
    let zone = table.take("zone").and_then(|v| source.parsed(&table.join("zone"), v, zone_name));
    let mut who = match table.take("customer") {
        Some(value) => read_who(source, &table.join("customer"), value).unwrap_or_default(),
        None => Who::default(),
    };
    who.time_zone = zone;
    let until =
        table.take("until").and_then(|v| source.parsed(&table.join("until"), v, str::parse::<Moment>));
    let mut given = Vec::new();
    if let Some(items) = table.take("given").and_then(|v| source.array_of(&table.join("given"), v)) {
        let count = items.len();
        let mut named = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            given.extend(read_given(source, &format!("{path}.given[{index}]"), item));
            named.push(item.get_ref().as_table().and_then(|table| table.get("order")).map(Spanned::span));
        }
        // With an entry that cannot be read, nobody knows which orders there are.
        if given.len() == count {
            known_orders(source, &given, named);
        }
    }
    let mut expect = Vec::new();
    let expected = table.take("expect");
    if let Some(items) = expected.and_then(|v| source.array_of(&table.join("expect"), v)) {
        for (index, item) in items.into_iter().enumerate() {
            expect.extend(read_expect(source, &format!("{path}.expect[{index}]"), item, journey.as_deref()));
        }
    }
    let is_empty = expected.is_none_or(|v| v.get_ref().as_array().is_some_and(|items| items.is_empty()));
    if is_empty {
        let help =
            "write for example expect = [{ at = \"0h\", send = \"welcome-1\" }], or [{ nothing = true }]";
        source.problem_help(table.span.clone(), format!("`{path}` expects nothing, not even nothing"), help);
    }
    let says_nothing = expect.iter().find(|e| e.what == Wanted::Nothing && e.at.is_none());
    let sends = expect.iter().any(|e| matches!(e.what, Wanted::Send(_) | Wanted::Call(_)));
    if let (Some(nothing), true) = (says_nothing, sends) {
        let span = nothing.place.span.clone();
        let help = "take it out (what is not expected must not go out anyway), or say when: at = \"5d\"";
        source.problem_help(span, "`nothing = true` stands beside what is to be sent", help);
    }
    let span = name_at.map_or_else(|| table.span.clone(), |v| v.span());
    let place = Problem::at(&source.file, source.text, span, "");
    table.finish(source);
    Some(Playtest { name: name?, place, journey, beside, start, who, until, given, expect })
}

fn read_start<'a>(source: &mut Source<'a>, path: &str, value: &Spanned<DeValue<'a>>) -> Option<StartsAt> {
    let text = match value.get_ref() {
        DeValue::Datetime(date) => date.to_string(),
        _ => source.text_of(path, value)?,
    };
    let parsed = match (text.parse::<At>(), text.parse::<DateTime>()) {
        (Ok(at), _) => Some(StartsAt::Instant(at)),
        (Err(_), Ok(local)) => Some(StartsAt::Local(local)),
        (Err(_), Err(_)) => None,
    };
    if parsed.is_none() {
        let help = "write it as \"2026-03-28 10:00\" (where the customer lives) or \"2026-03-28T09:00:00Z\"";
        source.problem_help(value.span(), format!("`{path}`: \"{text}\" is no date and time"), help);
    }
    parsed
}

fn zone_name(name: &str) -> Result<String, String> {
    match TimeZone::get(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(format!("\"{name}\" is no time zone; write one as Europe/Berlin or America/New_York")),
    }
}

fn read_who<'a>(source: &mut Source<'a>, path: &str, value: &Spanned<DeValue<'a>>) -> Option<Who> {
    let mut table = source.table(path, value)?;
    let text = |source: &mut Source<'a>, table: &mut Table<'_, 'a>, key: &'static str| {
        let value = table.take(key)?;
        source.text_of(&table.join(key), value)
    };
    let number = table.take("number").and_then(|v| source.int_of(&table.join("number"), v, 0..1_000_000));
    let since =
        table.take("since").and_then(|v| source.parsed(&table.join("since"), v, str::parse::<Moment>));
    let consent = table.take("consent").and_then(|v| source.bool_of(&table.join("consent"), v));
    let has_account = table.take("has_account").and_then(|v| source.bool_of(&table.join("has_account"), v));
    let email = table.take("email").and_then(|v| source.parsed(&table.join("email"), v, Email::parse));
    let phone = table.take("phone").and_then(|v| {
        let path = table.join("phone");
        source.parsed(&path, v, |text| {
            let wrong = || format!("\"{text}\" is no telephone number; write it as +4915112345678");
            PhoneNumber::parse(text).ok_or_else(wrong)
        })
    });
    let first_name = text(source, &mut table, "first_name");
    let last_name = text(source, &mut table, "last_name");
    let locale = table.take("locale").and_then(|v| source.parsed(&table.join("locale"), v, locale));
    let country = table.take("country").and_then(|v| source.parsed(&table.join("country"), v, country));
    let mut who = Who {
        number: number.unwrap_or(0),
        since,
        consent,
        has_account,
        email,
        phone,
        first_name,
        last_name,
        locale,
        country,
        ..Who::default()
    };
    let path = table.join("attributes");
    if let Some(mut inner) = table.take("attributes").and_then(|v| source.table(&path, v)) {
        for (key, span, value) in inner.rest() {
            match to_json(value.get_ref()) {
                Some(json) => {
                    who.attributes.insert(key, json);
                }
                None => source.problem(span, format!("`{path}.{key}` cannot be an attribute")),
            }
        }
    }
    table.finish(source);
    Some(who)
}

/// A language, with or without a region, as the store keeps it. What a shop sends is not judged; what somebody writes
/// into a test is a mistake.
fn locale(text: &str) -> Result<String, String> {
    let locale = text.replace('_', "-");
    let mut parts = locale.split('-');
    let is_word = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_language =
        |part: &str| (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic());
    let fits = parts.next().is_some_and(is_language)
        && parts.all(|part| (1..=8).contains(&part.len()) && is_word(part));
    let wrong = || format!("\"{text}\" is no language; write it as \"de\" or \"de-AT\" (BCP 47)");
    if fits { Ok(locale) } else { Err(wrong()) }
}

/// A country, as the store keeps it.
fn country(text: &str) -> Result<String, String> {
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    Err(format!("\"{text}\" is no country; write its two letters, as \"DE\" or \"AT\" (ISO 3166)"))
}

const WANTED: [&str; 9] = ["send", "call", "tag", "untag", "phase", "goal", "exit", "ended", "nothing"];

fn read_expect<'a>(
    source: &mut Source<'a>,
    path: &str,
    item: &Spanned<DeValue<'a>>,
    journey: Option<&str>,
) -> Option<Expect> {
    let mut table = source.table(path, item)?;
    let at = table.take("at").map(|v| source.parsed(&format!("{path}.at"), v, str::parse::<Moment>));
    let until =
        table.take("until").and_then(|v| source.parsed(&format!("{path}.until"), v, str::parse::<Moment>));
    let named: Vec<&'static str> = WANTED.into_iter().filter(|key| table.has(key)).collect();
    let mut found: Vec<Option<Wanted>> = Vec::new();
    for key in WANTED {
        let Some(value) = table.take(key) else { continue };
        let key_path = format!("{path}.{key}");
        found.push(match (key, value.get_ref()) {
            ("nothing", _) => match source.bool_of(&key_path, value) {
                Some(true) => Some(Wanted::Nothing),
                Some(false) => {
                    source.problem(value.span(), format!("`{key_path}` can only be true"));
                    None
                }
                None => None,
            },
            ("goal" | "exit" | "ended", DeValue::Boolean(true)) => match journey {
                Some(journey) => Some(of_journey(key, journey.to_owned())),
                None => {
                    let help = "write the journey's id: the test names none";
                    source.problem_help(
                        value.span(),
                        format!("`{key_path}` does not say of which journey"),
                        help,
                    );
                    None
                }
            },
            _ => source.text_of(&key_path, value).map(|text| match key {
                "send" => Wanted::Send(text),
                "call" => Wanted::Call(text),
                "tag" => Wanted::Tag(text),
                "untag" => Wanted::Untag(text),
                "phase" => Wanted::Phase(text),
                _ => of_journey(key, text),
            }),
        });
    }
    let is_misspelt = named.is_empty();
    let before = source.problems.len();
    table.finish(source);
    if named.len() != 1 {
        // A misspelt key has been named as such.
        if !(is_misspelt && source.problems.len() > before) {
            let message = match named.len() {
                0 => format!("`{path}` names nothing that is expected"),
                _ => format!("`{path}` names {}; one entry expects one thing", named.join(" and ")),
            };
            source.problem_help(item.span(), message, format!("write one of {}", WANTED.join(", ")));
        }
        return None;
    }
    let what = found.pop().flatten()?;
    let place = Problem::at(&source.file, source.text, item.span(), "");
    match at {
        Some(at) => Some(Expect { at: Some(at?), until, what, place }),
        None if what == Wanted::Nothing => Some(Expect { at: None, until, what, place }),
        None => {
            let help =
                "say when, counted from the start of the test: at = \"3d\" is that day, \"2h\" that hour";
            source.problem_help(item.span(), format!("`{path}` has no `at`"), help);
            None
        }
    }
}

fn of_journey(key: &str, journey: String) -> Wanted {
    match key {
        "goal" => Wanted::Goal(journey),
        "exit" => Wanted::Exit(journey),
        _ => Wanted::Ended(journey),
    }
}

/// A key's array of texts; empty without the key.
pub(super) fn texts<'a>(
    source: &mut Source<'a>,
    table: &mut Table<'_, 'a>,
    key: &'static str,
) -> Vec<String> {
    let path = table.join(key);
    let items = table.take(key).and_then(|v| source.array_of(&path, v)).unwrap_or_default();
    items.into_iter().filter_map(|item| source.text_of(&path, item)).collect()
}
