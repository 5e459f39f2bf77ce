//! The filters and tests templates have, and how a value is written into HTML or text.
//!
//! None builds a text longer than [`MAX_RESULT`]; none sees anything but its arguments, the locale and the time
//! zone. minijinja's own filters are not registered: some of them make unbounded texts.

use jiff::tz::TimeZone;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use zyklus_model::Money;

use super::context::{is_mail_link, is_web_link};
use super::locale::{TemplateLocale, civil};
use super::markup::escape;

/// Filters a template may use.
pub(super) const FILTERS: &[&str] = &[
    "money", "date", "time", "number", "default", "upper", "lower", "title", "trim", "length", "first",
    "last", "join", "url", "mailto", "tel",
];
/// Tests a template may use (`is defined`); the comparing ones are for places where `<` and `>` cannot stand.
pub(super) const TESTS: &[&str] = &["defined", "none", "eq", "ne", "lt", "le", "gt", "ge"];

/// Longest text a filter makes, in bytes.
const MAX_RESULT: usize = 16 * 1024;
/// Steps one rendering may take.
pub(super) const FUEL: u64 = 100_000;

/// Marks an error as "this value is missing"; [`super::render`] turns it into advice.
pub(super) const EMPTY: &str = "the value is empty";
/// Marks an error as "this is not a link for mails".
pub(super) const UNSAFE_LINK: &str = "the link is not allowed";

/// An environment with our filters and nothing else.
pub(super) fn environment(locale: TemplateLocale) -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    env.set_auto_escape_callback(
        |name| {
            if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        },
    );
    env.set_formatter(write);
    env.add_filter("money", move |value: Value| money(locale, &value));
    env.add_filter("date", move |state: &State<'_, '_>, value: Value, style: Option<String>| {
        date(locale, state, &value, style.as_deref())
    });
    env.add_filter("time", |state: &State<'_, '_>, value: Value| {
        Ok::<_, Error>(moment(state, &value)?.strftime("%H:%M").to_string())
    });
    env.add_filter("number", move |value: Value| Ok::<_, Error>(locale.group(&text(&value)?)));
    env.add_filter("default", |value: Value, other: Value| if missing(&value) { other } else { value });
    env.add_filter("upper", |value: Value| Ok::<_, Error>(text(&value)?.to_uppercase()));
    env.add_filter("lower", |value: Value| Ok::<_, Error>(text(&value)?.to_lowercase()));
    env.add_filter("title", |value: Value| Ok::<_, Error>(title(&text(&value)?)));
    env.add_filter("trim", |value: Value| Ok::<_, Error>(text(&value)?.trim().to_owned()));
    env.add_filter("length", |value: Value| {
        value.len().ok_or_else(|| invalid("only texts and lists have a length"))
    });
    env.add_filter("first", |value: Value| {
        Ok::<_, Error>(value.try_iter()?.next().unwrap_or(Value::UNDEFINED))
    });
    env.add_filter("last", |value: Value| {
        Ok::<_, Error>(value.try_iter()?.last().unwrap_or(Value::UNDEFINED))
    });
    env.add_filter("join", |value: Value, glue: Option<String>| join(&value, glue.as_deref().unwrap_or("")));
    env.add_filter("url", |value: Value| url(&value));
    env.add_filter("mailto", |value: Value| {
        let link = format!("mailto:{}", text(&value)?);
        if link.contains('?') || !is_mail_link(&link) { Err(invalid(UNSAFE_LINK)) } else { Ok(link) }
    });
    env.add_filter("tel", |value: Value| {
        let digits: String = text(&value)?.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        if digits.is_empty() { Err(invalid(UNSAFE_LINK)) } else { Ok(format!("tel:{digits}")) }
    });
    env.add_test("defined", |value: Value| !value.is_undefined());
    env.add_test("none", |value: Value| value.is_none() || value.is_undefined());
    env.add_test("eq", |a: Value, b: Value| a == b);
    env.add_test("ne", |a: Value, b: Value| a != b);
    env.add_test("lt", |a: Value, b: Value| a < b);
    env.add_test("le", |a: Value, b: Value| a <= b);
    env.add_test("gt", |a: Value, b: Value| a > b);
    env.add_test("ge", |a: Value, b: Value| a >= b);
    env
}

fn invalid(detail: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

fn missing(value: &Value) -> bool {
    value.is_undefined() || value.is_none() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A scalar as text, never longer than a filter may answer.
fn text(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            if text.len() > MAX_RESULT { Err(invalid("the text is too long")) } else { Ok(text.to_owned()) }
        }
        ValueKind::Number => Ok(value.to_string()),
        ValueKind::None | ValueKind::Undefined => Err(invalid(EMPTY)),
        _ => Err(invalid("this is not a text or a number")),
    }
}

/// Writes a value: escaped in HTML, bare in text. Missing values and lists are errors, never blanks.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = text(value)?;
    let mut result = Ok(());
    if matches!(state.auto_escape(), AutoEscape::None) {
        result = out.write_str(&text);
    } else {
        escape(&text, &mut |part| {
            if result.is_ok() {
                result = out.write_str(part);
            }
        });
    }
    result.map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is too large"))
}

fn money(locale: TemplateLocale, value: &Value) -> Result<String, Error> {
    if value.is_none() || value.is_undefined() {
        return Err(invalid(EMPTY));
    }
    let part = |name| value.get_attr(name).ok().filter(|part| !part.is_undefined());
    let amount = part("amount_minor").and_then(|amount| i64::try_from(amount).ok());
    let currency = part("currency").and_then(|code| code.as_str().and_then(|code| code.parse().ok()));
    match (amount, currency) {
        (Some(amount_minor), Some(currency)) => Ok(locale.money(Money { amount_minor, currency })),
        _ => Err(invalid("this is not money: it needs amount_minor and currency")),
    }
}

fn moment(state: &State<'_, '_>, value: &Value) -> Result<jiff::civil::DateTime, Error> {
    let zone =
        state.lookup("time_zone").and_then(|zone| zone.as_str().and_then(|name| TimeZone::get(name).ok()));
    civil(&text(value)?, &zone.unwrap_or(TimeZone::UTC)).ok_or_else(|| invalid("this is not a date"))
}

fn date(
    locale: TemplateLocale,
    state: &State<'_, '_>,
    value: &Value,
    style: Option<&str>,
) -> Result<String, Error> {
    let date = moment(state, value)?.date();
    match style {
        None | Some("long") => Ok(locale.long_date(date)),
        Some("short") => Ok(locale.short_date(date)),
        Some(_) => Err(invalid("date knows 'long' and 'short'")),
    }
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = true;
    for character in text.chars() {
        if start {
            out.extend(character.to_uppercase());
        } else {
            out.extend(character.to_lowercase());
        }
        start = character.is_whitespace() || character == '-';
    }
    out
}

fn join(value: &Value, glue: &str) -> Result<String, Error> {
    let mut out = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        if index > 0 {
            out.push_str(glue);
        }
        out.push_str(&text(&item)?);
        if out.len() > MAX_RESULT {
            return Err(invalid("the joined text is too long"));
        }
    }
    Ok(out)
}

/// An address that may stand in `href` or `src` (`src` is checked again when the mail is finished), with what could
/// end an attribute percent-encoded.
fn url(value: &Value) -> Result<String, Error> {
    let text = text(value)?;
    let text = text.trim();
    if !is_web_link(text) && !is_mail_link(text) {
        return Err(invalid(UNSAFE_LINK));
    }
    Ok(text.replace('\'', "%27").replace('(', "%28").replace(')', "%29"))
}
