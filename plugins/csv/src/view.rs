//! One row seen through the mapping: our fields by name, read as what they are. Every failure is a sentence
//! that names the operator's column.

use std::collections::HashSet;

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use serde_json::Value;
use zyklus_connect::model::{At, Currency, CustomerRecord, CustomerRef, Email, Money, MoneyError, nearest};
use zyklus_connect::{Error, Result};

use crate::config::Table;
use crate::fields::Stream;
use crate::rows::Row;

/// Where our fields stand in a file.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Our field, its position.
    mapped: Vec<(&'static str, usize)>,
    /// Columns that are kept by their own name: attributes of customers, all others of events and consents.
    pub(crate) kept: Vec<(String, usize)>,
    /// The columns' names.
    names: Vec<String>,
}

impl Columns {
    /// Finds every field in a file's column names.
    pub(crate) fn resolve(table: &Table, names: Vec<String>, file: &str) -> Result<Self> {
        let stream = table.stream;
        let at = |wanted: &str| -> Option<usize> {
            let exact = names.iter().position(|n| n == wanted);
            exact.or_else(|| names.iter().position(|n| n.eq_ignore_ascii_case(wanted)))
        };
        let absent = |key: String, column: &str| {
            let near = nearest(column, names.iter().map(String::as_str));
            let hint = near.map_or_else(
                || format!("; its columns are: {}", names.join(", ")),
                |n| format!("; did you mean `{n}`?"),
            );
            Error::config(key, format!("`{file}` has no column `{column}`{hint}"))
        };
        let mut seen = HashSet::new();
        let twice: HashSet<&str> = names.iter().map(String::as_str).filter(|n| !seen.insert(*n)).collect();
        let mut mapped = Vec::new();
        for &field in stream.fields() {
            let key = || format!("{}.map.{field}", stream.name());
            let index = match table.map.get(field) {
                Some(column) => Some(at(column.trim()).ok_or_else(|| absent(key(), column))?),
                // A column mapped to another field is not also taken by its own name.
                None => at(field).filter(|i| !table.map.values().any(|c| c.trim() == names[*i])),
            };
            if let Some(index) = index {
                if twice.contains(names[index].as_str()) {
                    let message = format!("`{file}` has more than one column `{}`", names[index]);
                    return Err(Error::config(key(), message));
                }
                mapped.push((field, index));
            }
        }
        for group in stream.required() {
            if !mapped.iter().any(|(field, _)| group.contains(field)) {
                let wanted = group.join("` or `");
                let message = format!(
                    "`{file}` has no column for `{wanted}`; map one: {} = \"…\" (its columns are: {})",
                    group[0],
                    names.join(", ")
                );
                return Err(Error::config(format!("{}.map.{}", stream.name(), group[0]), message));
            }
        }
        let has = |field: &str| mapped.iter().any(|(f, _)| *f == field);
        let priced = has("total") || has("line_total") || has("price");
        if priced && table.currency.is_none() && !has("currency") {
            let message = format!("`{file}` has no currency column; set `currency = \"EUR\"`");
            return Err(Error::config(format!("{}.currency", stream.name()), message));
        }
        let mut kept = Vec::new();
        if matches!(stream, Stream::Events | Stream::Consents) {
            for (i, name) in names.iter().enumerate() {
                if !name.is_empty() && !mapped.iter().any(|(_, index)| *index == i) {
                    kept.push((name.clone(), i));
                }
            }
        }
        for column in &table.attributes {
            let key = || format!("{}.attributes", stream.name());
            kept.push((column.clone(), at(column).ok_or_else(|| absent(key(), column))?));
        }
        Ok(Columns { mapped, kept, names })
    }

    /// How many columns a row has.
    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    /// Whether the file carries a field.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.index(field).is_some()
    }

    /// Whether consecutive rows of one id are one order or cart.
    pub(crate) fn is_grouped(&self) -> bool {
        self.has("id") && self.mapped.iter().any(|(f, _)| f.starts_with("line_"))
    }

    fn index(&self, field: &str) -> Option<usize> {
        self.mapped.iter().find(|(f, _)| *f == field).map(|(_, i)| *i)
    }

    fn name(&self, field: &str) -> &str {
        self.index(field).map_or("", |i| self.names[i].as_str())
    }
}

/// What is wrong with a row, for the operator.
pub(crate) type Problem<T> = std::result::Result<T, String>;

/// One row, its file and the mapping.
pub(crate) struct View<'a> {
    pub(crate) table: &'a Table,
    pub(crate) columns: &'a Columns,
    pub(crate) row: &'a Row,
    /// Stands in for a missing id: `orders.csv:17`.
    pub(crate) place: &'a str,
}

impl<'a> View<'a> {
    /// A field's text; `None` when the file does not carry it or it is empty.
    pub(crate) fn text(&self, field: &str) -> Option<&'a str> {
        self.row.field(self.columns.index(field)?).filter(|t| !t.is_empty())
    }

    /// The same, owned.
    pub(crate) fn string(&self, field: &str) -> Option<String> {
        self.text(field).map(str::to_owned)
    }

    /// A field that must not be empty.
    pub(crate) fn required(&self, field: &str) -> Problem<&'a str> {
        self.text(field).ok_or_else(|| match self.columns.name(field) {
            "" => format!("there is no `{field}`"),
            column => format!("column `{column}` is empty"),
        })
    }

    fn wrong(&self, field: &str, problem: impl std::fmt::Display) -> String {
        format!("column `{}`: {problem}", self.columns.name(field))
    }

    /// A field as an instant.
    pub(crate) fn at(&self, field: &str) -> Problem<Option<At>> {
        let Some(text) = self.text(field) else { return Ok(None) };
        parse_at(text, self.table).map(Some).map_err(|e| self.wrong(field, e))
    }

    /// A field as an instant that must be there.
    pub(crate) fn required_at(&self, field: &str) -> Problem<At> {
        self.required(field)?;
        self.at(field)?.ok_or_else(|| format!("there is no `{field}`"))
    }

    /// The row's currency.
    pub(crate) fn currency(&self) -> Problem<Currency> {
        match (self.text("currency"), self.table.currency) {
            (Some(code), _) => code.to_ascii_uppercase().parse().map_err(|e| self.wrong("currency", e)),
            (None, Some(currency)) => Ok(currency),
            (None, None) => Err("there is no currency, and none is configured".to_owned()),
        }
    }

    /// A field as an amount.
    pub(crate) fn money(&self, field: &str, currency: Currency) -> Problem<Option<Money>> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let comma = self.table.decimal_comma;
        let (sign, other) = if comma { (',', '.') } else { ('.', ',') };
        let problem = if text.contains(other) {
            let help = match (comma, text.contains('.'), text.matches(',').count()) {
                (true, _, _) => "write it without points, as 1234,56",
                (false, false, 1) => {
                    "write it with a dot, as 1234.56, or set `decimal = \",\"` for the table"
                }
                (false, _, _) => "write it without thousands separators, as 1234.56",
            };
            format!("`{text}` is not an amount; {help}")
        } else {
            match Money::parse(&text.replace(sign, "."), currency) {
                Ok(money) => return Ok(Some(money)),
                // In the file's own words, not as it was rewritten for reading.
                Err(MoneyError::Decimals { exponent, .. }) => {
                    format!("`{text}` has more decimals than {currency} has ({exponent})")
                }
                Err(MoneyError::Overflow(_)) => format!("`{text}` is too large an amount"),
                Err(_) => format!("`{text}` is not an amount; write it as 1234{sign}56"),
            }
        };
        Err(self.wrong(field, problem))
    }

    /// A field as a whole number; `2.0` is one.
    pub(crate) fn integer(&self, field: &str) -> Problem<Option<i64>> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let sign = if self.table.decimal_comma { ',' } else { '.' };
        let whole = match text.split_once(sign) {
            Some((whole, zeroes)) if zeroes.bytes().all(|b| b == b'0') => whole,
            _ => text,
        };
        let number = whole.parse().map_err(|_| format!("`{text}` is not a whole number"));
        number.map(Some).map_err(|e| self.wrong(field, e))
    }

    /// A field as a number.
    pub(crate) fn number(&self, field: &str) -> Problem<Option<f64>> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let plain = if self.table.decimal_comma { text.replace(',', ".") } else { text.to_owned() };
        match plain.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(self.wrong(field, format!("`{text}` is not a number"))),
        }
    }

    /// A field as yes or no.
    pub(crate) fn yes_no(&self, field: &str) -> Problem<Option<bool>> {
        let Some(text) = self.text(field) else { return Ok(None) };
        match text.to_lowercase().as_str() {
            "1" | "true" | "t" | "yes" | "y" | "ja" | "j" | "x" | "on" | "wahr" => Ok(Some(true)),
            "0" | "false" | "f" | "no" | "n" | "nein" | "off" | "falsch" => Ok(Some(false)),
            _ => Err(self.wrong(field, format!("`{text}` is neither yes nor no; write true or false"))),
        }
    }

    /// A field as a list; `None` when the file does not carry it.
    pub(crate) fn list(&self, field: &str) -> Option<Vec<String>> {
        let text = self.row.field(self.columns.index(field)?)?;
        let parts = text.split(self.table.list_separator.as_str()).map(str::trim);
        Some(parts.filter(|p| !p.is_empty()).map(str::to_owned).collect())
    }

    /// A column kept by its own name: numbers and truth values as such; `None` when empty.
    pub(crate) fn value(&self, index: usize) -> Option<Value> {
        let text = self.row.field(index).filter(|t| !t.is_empty())?;
        Some(match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => number_value(text, self.table.decimal_comma).unwrap_or_else(|| text.into()),
        })
    }

    /// Whom the row is about. A text in the e-mail column that is no address is left out and said in
    /// `remarks`, as long as an id names the customer too.
    pub(crate) fn customer(
        &self,
        id_field: &str,
        verified: bool,
        remarks: &mut Vec<String>,
    ) -> Problem<CustomerRef> {
        let external_id = self.string(id_field);
        let mut email = None;
        if let Some(text) = self.text("email") {
            match Email::parse(text) {
                Ok(_) => email = Some(text.to_owned()),
                Err(e) if external_id.is_some() => {
                    remarks.push(self.wrong("email", format!("{e}; the row was taken without it")));
                }
                Err(e) => return Err(self.wrong("email", e)),
            }
        }
        if external_id.is_none() && email.is_none() {
            return Err(format!("no customer: `{id_field}` and `email` are both empty"));
        }
        Ok(CustomerRef { external_id, email_verified: verified && email.is_some(), email })
    }

    /// What an order or cart says about a guest besides the address.
    pub(crate) fn profile(&self) -> Option<Box<CustomerRecord>> {
        let profile = CustomerRecord {
            phone: self.string("phone"),
            first_name: self.string("first_name"),
            last_name: self.string("last_name"),
            country: self.string("country").map(|c| c.to_ascii_uppercase()),
            locale: self.string("locale"),
            ..CustomerRecord::default()
        };
        (profile != CustomerRecord::default()).then(|| Box::new(profile))
    }
}

/// Reads an instant as the table says dates are written. A local time that a clock change skips counts as
/// the instant after the change; one that occurs twice, as the first.
pub(crate) fn parse_at(text: &str, table: &Table) -> Problem<At> {
    let zoned = |local: DateTime| local.to_zoned(table.time_zone.clone()).map(|z| z.timestamp());
    let stamp = match &table.date_format {
        None => text.parse::<jiff::Timestamp>().or_else(|_| zoned(text.parse::<DateTime>()?)).map_err(|_| {
            format!("`{text}` is not a date; write 2026-03-01 or 2026-03-01T10:00:00+01:00, or set `date_format`")
        })?,
        Some(format) => strtime::parse(format, text)
            .and_then(|parts| {
                if parts.offset().is_some() {
                    return parts.to_timestamp();
                }
                let time = if parts.hour().is_some() { parts.to_time()? } else { jiff::civil::Time::midnight() };
                zoned(parts.to_date()?.to_datetime(time))
            })
            .map_err(|_| format!("`{text}` is not a date of the form `{format}`"))?,
    };
    Ok(At::from_timestamp(stamp))
}

/// A number written as one: `007` and `+1` are names, not numbers.
fn number_value(text: &str, decimal_comma: bool) -> Option<Value> {
    let plain = if decimal_comma { text.replace(',', ".") } else { text.to_owned() };
    let digits = plain.strip_prefix('-').unwrap_or(&plain);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole)
        || (whole.len() > 1 && whole.starts_with('0'))
        || fraction.is_some_and(|f| !is_digits(f))
    {
        return None;
    }
    match fraction {
        None => plain.parse::<i64>().ok().map(Value::from),
        Some(_) => plain.parse::<f64>().ok().map(Value::from),
    }
}
