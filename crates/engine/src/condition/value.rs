//! The values conditions compute with, and their total comparison and arithmetic. Never fails, never overflows, never reads a clock.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use zyklus_model::At;

/// A value of the condition language. Numbers, flags and instants are held without allocation; texts and lists are shared.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    /// Not known, or there is none: an e-mail address nobody gave, the average of no orders.
    #[default]
    Absent,
    /// "Days since" something that never happened: a whole number greater than every number.
    Never,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with decimals; money is in major units of the reporting currency.
    Double(f64),
    /// A text.
    Text(Arc<str>),
    /// An instant.
    Instant(At),
    /// A stretch of time, in microseconds.
    Span(i64),
    /// A list.
    List(Arc<[Value]>),
    /// Named values, as they occur inside events and attributes.
    Map(Arc<BTreeMap<Arc<str>, Value>>),
}

impl Value {
    /// A text value.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Value::Text(text.into())
    }

    /// A text value, or absent.
    pub fn maybe_text(text: Option<&str>) -> Self {
        text.map_or(Value::Absent, Value::text)
    }

    /// A list of texts.
    pub fn texts<I>(texts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Arc<str>>,
    {
        Value::List(texts.into_iter().map(Value::text).collect())
    }

    /// An instant, or absent.
    pub fn maybe_instant(at: Option<At>) -> Self {
        at.map_or(Value::Absent, Value::Instant)
    }

    /// A number, or absent. Not-a-number counts as absent.
    pub fn maybe_double(number: Option<f64>) -> Self {
        number.map_or(Value::Absent, double)
    }

    /// From JSON: null is absent, whole numbers that fit are whole numbers, texts stay texts (dates too).
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Value::Absent,
            serde_json::Value::Bool(flag) => Value::Bool(*flag),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Value::Int(whole),
                None => Value::maybe_double(number.as_f64()),
            },
            serde_json::Value::String(text) => Value::text(text.as_str()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Value::from_json).collect()),
            serde_json::Value::Object(entries) => Value::Map(Arc::new(
                entries
                    .iter()
                    .map(|(name, value)| (Arc::from(name.as_str()), Value::from_json(value)))
                    .collect(),
            )),
        }
    }

    /// The value at a path inside JSON, for [`super::Fields::entry`]; absent when a step is missing.
    pub fn at_json_path(json: &serde_json::Value, path: &[Arc<str>]) -> Self {
        let mut here = json;
        for step in path {
            match here.get(&**step) {
                Some(next) => here = next,
                None => return Value::Absent,
            }
        }
        Value::from_json(here)
    }

    /// Whether this is [`Value::Absent`].
    pub fn is_absent(&self) -> bool {
        matches!(self, Value::Absent)
    }

    /// Whether this is true; everything else, absent included, is not.
    pub fn is_true(&self) -> bool {
        matches!(self, Value::Bool(true))
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(whole) => Some(*whole),
            _ => None,
        }
    }

    /// The value under a name, for maps; absent otherwise.
    pub fn entry(&self, name: &str) -> Value {
        match self {
            Value::Map(entries) => entries.get(name).cloned().unwrap_or_default(),
            _ => Value::Absent,
        }
    }

    /// `==`: numbers across kinds by value, different kinds never equal, absent equal only to absent.
    pub fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Absent, Value::Absent) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| a.equals(b)))
            }
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    /// `==` where a text and a whole number are equal when they read the same: for `key`, which is kept as text.
    pub(super) fn equals_as_text(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Text(text), Value::Int(whole)) | (Value::Int(whole), Value::Text(text)) => {
                text.parse::<i64>() == Ok(*whole)
            }
            _ => self.equals(other),
        }
    }

    /// The order of two values of one kind, numbers across kinds; none for what cannot be ordered.
    pub fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Int(a), Value::Double(b)) => order_mixed(*a, *b),
            (Value::Double(a), Value::Int(b)) => order_mixed(*b, *a).map(Ordering::reverse),
            (Value::Never, Value::Never) => Some(Ordering::Equal),
            (Value::Never, Value::Int(_) | Value::Double(_)) => Some(Ordering::Greater),
            (Value::Int(_) | Value::Double(_), Value::Never) => Some(Ordering::Less),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Instant(a), Value::Instant(b)) => Some(a.cmp(b)),
            (Value::Span(a), Value::Span(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Compares exactly, without rounding the whole number to a double.
fn order_mixed(whole: i64, number: f64) -> Option<Ordering> {
    const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
    if number.is_nan() {
        return None;
    }
    if number >= TWO_POW_63 {
        return Some(Ordering::Less);
    }
    if number < -TWO_POW_63 {
        return Some(Ordering::Greater);
    }
    let cut = number.trunc();
    match whole.cmp(&(cut as i64)) {
        Ordering::Equal => 0.0_f64.partial_cmp(&(number - cut)),
        unequal => Some(unequal),
    }
}

/// A double; what is not a number is absent.
pub(super) fn double(number: f64) -> Value {
    if number.is_nan() { Value::Absent } else { Value::Double(number) }
}

/// The four operations and the remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Arithmetic without errors: whole numbers saturate, division by zero and mismatched kinds are absent, and never absorbs what
/// leaves it greater than every number.
pub(super) fn calculate(operation: Operation, a: &Value, b: &Value) -> Value {
    use Operation::{Add, Divide, Multiply, Remainder, Subtract};
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => match operation {
            Add => Value::Int(a.saturating_add(*b)),
            Subtract => Value::Int(a.saturating_sub(*b)),
            Multiply => Value::Int(a.saturating_mul(*b)),
            Divide if *b == 0 => Value::Absent,
            Divide => Value::Int(a.saturating_div(*b)),
            Remainder if *b == 0 => Value::Absent,
            Remainder => Value::Int(a.wrapping_rem(*b)),
        },
        (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
            let (a, b) = (as_double(a), as_double(b));
            match operation {
                Add => double(a + b),
                Subtract => double(a - b),
                Multiply => double(a * b),
                Divide | Remainder if b == 0.0 => Value::Absent,
                Divide => double(a / b),
                Remainder => double(a % b),
            }
        }
        (Value::Never, Value::Int(_) | Value::Double(_)) => match operation {
            Add | Subtract => Value::Never,
            Multiply | Divide if as_double(b) > 0.0 => Value::Never,
            Multiply | Divide | Remainder => Value::Absent,
        },
        (Value::Int(_) | Value::Double(_), Value::Never) => match operation {
            Add => Value::Never,
            Multiply if as_double(a) > 0.0 => Value::Never,
            Multiply | Subtract | Divide | Remainder => Value::Absent,
        },
        (Value::Never, Value::Never) if operation == Add => Value::Never,
        (Value::Instant(a), Value::Span(b)) if operation == Add => Value::Instant(a.plus_micros(*b)),
        (Value::Span(a), Value::Instant(b)) if operation == Add => Value::Instant(b.plus_micros(*a)),
        (Value::Instant(a), Value::Span(b)) if operation == Subtract => {
            Value::Instant(a.plus_micros(b.saturating_neg()))
        }
        (Value::Instant(a), Value::Instant(b)) if operation == Subtract => Value::Span(a.micros_since(*b)),
        (Value::Span(a), Value::Span(b)) if operation == Add => Value::Span(a.saturating_add(*b)),
        (Value::Span(a), Value::Span(b)) if operation == Subtract => Value::Span(a.saturating_sub(*b)),
        (Value::Text(a), Value::Text(b)) if operation == Add => Value::text(format!("{a}{b}")),
        _ => Value::Absent,
    }
}

/// `-x`: never and everything that is not a number become absent.
pub(super) fn negate(value: &Value) -> Value {
    match value {
        Value::Int(whole) => Value::Int(whole.saturating_neg()),
        Value::Double(number) => Value::Double(-number),
        Value::Span(micros) => Value::Span(micros.saturating_neg()),
        _ => Value::Absent,
    }
}

fn as_double(value: &Value) -> f64 {
    match value {
        Value::Int(whole) => *whole as f64,
        Value::Double(number) => *number,
        _ => f64::NAN,
    }
}

/// Shows values as an operator reads them: `absent`, `never`, 78, 12.5, "text", an instant, 36h, ["a", "b"].
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Absent => f.write_str("absent"),
            Value::Never => f.write_str("never"),
            Value::Bool(flag) => write!(f, "{flag}"),
            Value::Int(whole) => write!(f, "{whole}"),
            Value::Double(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Instant(at) => write!(f, "{at}"),
            Value::Span(micros) => write_span(f, *micros),
            Value::List(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    if position == 8 {
                        write!(f, ", and {} more", items.len() - 8)?;
                        break;
                    }
                    write!(f, "{}{item}", if position == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Value::Map(entries) => write!(f, "a map of {}", entries.len()),
        }
    }
}

fn write_span(f: &mut fmt::Formatter<'_>, micros: i64) -> fmt::Result {
    let mut rest = micros.unsigned_abs();
    if micros < 0 {
        f.write_str("-")?;
    }
    if rest == 0 {
        return f.write_str("0s");
    }
    for (unit, size) in [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)]
    {
        if rest >= size {
            write!(f, "{}{unit}", rest / size)?;
            rest %= size;
        }
    }
    Ok(())
}

/// As JSON: absent is null, never is the text "never", instants are RFC 3339, spans are seconds.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Absent => serializer.serialize_none(),
            Value::Never => serializer.serialize_str("never"),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(whole) => serializer.serialize_i64(*whole),
            Value::Double(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Instant(at) => at.serialize(serializer),
            Value::Span(micros) => serializer.serialize_f64(*micros as f64 / 1e6),
            Value::List(items) => serializer.collect_seq(items.iter()),
            Value::Map(entries) => {
                serializer.collect_map(entries.iter().map(|(name, value)| (&**name, value)))
            }
        }
    }
}
