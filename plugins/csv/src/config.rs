//! The configuration as the operator writes it, and the checked form everything else works with.
//! Never opens a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use zyklus_connect::model::{Currency, nearest};
use zyklus_connect::{Error, Result};

use crate::fields::Stream;
use crate::lines::{EMPTY_HASH, hash_on};

/// `[connectors.<id>]` with `type = "csv"`: one table per stream.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// Folder for rejected rows, relative to the configuration file. Default: `rejects` in the connector's
    /// own data folder.
    #[serde(default)]
    pub rejects: Option<String>,
    /// Customers, and their consent to e-mail.
    #[serde(default)]
    pub customers: Option<TableConfig>,
    /// Orders; with `line_…` columns, consecutive rows of one order id are one order.
    #[serde(default)]
    pub orders: Option<TableConfig>,
    /// Products.
    #[serde(default)]
    pub products: Option<TableConfig>,
    /// Reviews, survey answers and comments.
    #[serde(default)]
    pub reviews: Option<TableConfig>,
    /// Things that happened; columns that are no field become the event's data.
    #[serde(default)]
    pub events: Option<TableConfig>,
    /// Consents in a file of their own; columns that are no field are kept as evidence.
    #[serde(default)]
    pub consents: Option<TableConfig>,
    /// Carts; with `line_…` columns, consecutive rows of one cart id are one cart.
    #[serde(default)]
    pub carts: Option<TableConfig>,
}

/// Where one stream's files are and how they are written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// A file, a folder, or a file name with `*` and `?`; relative to the configuration file. `.gz` is fine.
    pub path: String,
    /// What separates columns: one character, `,` by default; a blank stands for any run of blanks and tabs.
    #[serde(default)]
    pub delimiter: Option<String>,
    /// Whether the first line names the columns. Default: true, unless `columns` is given.
    #[serde(default)]
    pub header: Option<bool>,
    /// The columns' names when the files have no header.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// How dates are written (`%d.%m.%Y %H:%M`). Default: RFC 3339, or ISO dates with or without a time.
    #[serde(default)]
    pub date_format: Option<String>,
    /// IANA time zone of dates without an offset. Default: UTC.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// The decimal sign, `.` or `,`. Thousands separators are refused.
    #[serde(default)]
    pub decimal: Option<String>,
    /// The currency of amounts when no column carries it.
    #[serde(default)]
    pub currency: Option<String>,
    /// Whether the addresses are proven to be the customer's. Default: true for customers with an account,
    /// false everywhere else.
    #[serde(default)]
    pub emails_verified: Option<bool>,
    /// What separates several values in one column (tags, categories, coupons). Default: `|`.
    #[serde(default)]
    pub list_separator: Option<String>,
    /// Words in the `state` column that mean a cancelled order; every other word means a placed one.
    /// Default: cancelled, canceled, storniert, failed, void.
    #[serde(default)]
    pub cancelled_states: Option<Vec<String>>,
    /// Columns of customers kept as attributes.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// Our field = their column. A field not named here takes the column of the same name if there is one.
    #[serde(default)]
    pub map: BTreeMap<String, String>,
}

/// What separates columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delimiter {
    /// One ASCII character; quotes are understood.
    Char(u8),
    /// Runs of blanks and tabs; no quotes.
    Blanks,
}

/// One stream's table, checked.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) stream: Stream,
    pub(crate) path: PathBuf,
    /// The path as the configuration has it.
    pub(crate) shown: String,
    pub(crate) delimiter: Delimiter,
    /// `None` = the first line names them.
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) date_format: Option<String>,
    pub(crate) time_zone: TimeZone,
    pub(crate) decimal_comma: bool,
    pub(crate) currency: Option<Currency>,
    pub(crate) emails_verified: bool,
    pub(crate) list_separator: String,
    pub(crate) cancelled_states: Vec<String>,
    pub(crate) attributes: Vec<String>,
    pub(crate) map: BTreeMap<String, String>,
    /// The fingerprint of everything that decides what a row becomes, hexadecimal.
    pub(crate) settings: String,
}

impl CsvConfig {
    /// The configured tables, in the order they should be read first.
    pub(crate) fn tables(&self, base: &Path) -> Result<Vec<Table>> {
        self.checked(base).into_iter().collect()
    }

    /// The same, each by itself.
    pub(crate) fn checked(&self, base: &Path) -> Vec<Result<Table>> {
        let mut tables = Vec::new();
        for &stream in Stream::ALL {
            let table = match stream {
                Stream::Products => &self.products,
                Stream::Customers => &self.customers,
                Stream::Consents => &self.consents,
                Stream::Orders => &self.orders,
                Stream::Carts => &self.carts,
                Stream::Reviews => &self.reviews,
                Stream::Events => &self.events,
            };
            if let Some(table) = table {
                tables.push(table.checked(stream, base));
            }
        }
        if tables.is_empty() {
            let names: Vec<_> = Stream::ALL.iter().map(|s| s.name()).collect();
            let message = format!("no stream is configured; add a table with a `path`: {}", names.join(", "));
            return vec![Err(Error::config("", message))];
        }
        tables
    }
}

impl TableConfig {
    fn checked(&self, stream: Stream, base: &Path) -> Result<Table> {
        let key = |name: &str| format!("{}.{name}", stream.name());
        if self.path.trim().is_empty() {
            return Err(Error::config(key("path"), "`path` is empty; name a file or a folder"));
        }
        let delimiter = match self.delimiter.as_deref().unwrap_or(",").as_bytes() {
            b" " => Delimiter::Blanks,
            [c] if c.is_ascii() && !matches!(c, b'"' | b'\r' | b'\n') => Delimiter::Char(*c),
            _ => {
                let message = "a delimiter is one character: `,` `;` a tab, or a blank for runs of blanks";
                return Err(Error::config(key("delimiter"), message));
            }
        };
        let columns = match (self.header, &self.columns) {
            (Some(true), Some(_)) => {
                let message = "`columns` is for files without a header; remove it or `header = true`";
                return Err(Error::config(key("columns"), message));
            }
            (Some(false), None) => {
                let message = "files without a header need `columns = [\"…\"]`";
                return Err(Error::config(key("columns"), message));
            }
            (_, columns) => columns.clone(),
        };
        let zone_name = self.time_zone.as_deref().unwrap_or("UTC");
        let time_zone = TimeZone::get(zone_name).map_err(|e| {
            let message = format!("`{zone_name}` is not a time zone; write it as Europe/Berlin");
            Error::config(key("time_zone"), message).with_detail(e.to_string())
        })?;
        let decimal_comma = match self.decimal.as_deref().unwrap_or(".") {
            "." => false,
            "," => true,
            other => {
                let message = format!("`{other}` is not a decimal sign; write \".\" or \",\"");
                return Err(Error::config(key("decimal"), message));
            }
        };
        let currency = self
            .currency
            .as_deref()
            .map(|text| text.parse().map_err(|e| Error::config(key("currency"), format!("{e}"))))
            .transpose()?;
        for field in self.map.keys() {
            if !stream.fields().contains(&field.as_str()) {
                let near = nearest(field, stream.fields().iter().copied());
                let hint = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
                let message = format!("{} have no field `{field}`{hint}", stream.name());
                return Err(Error::config(key(&format!("map.{field}")), message));
            }
        }
        if !self.attributes.is_empty() && stream != Stream::Customers {
            return Err(Error::config(key("attributes"), "only customers have attributes"));
        }
        let default_cancelled = ["cancelled", "canceled", "storniert", "failed", "void"];
        let cancelled_states = match &self.cancelled_states {
            Some(words) => words.iter().map(|w| w.to_lowercase()).collect(),
            None => default_cancelled.map(str::to_owned).to_vec(),
        };
        Ok(Table {
            stream,
            path: base.join(self.path.trim()),
            shown: self.path.trim().to_owned(),
            delimiter,
            columns,
            date_format: self.date_format.clone(),
            time_zone,
            decimal_comma,
            currency,
            emails_verified: self.emails_verified.unwrap_or(stream == Stream::Customers),
            list_separator: self.list_separator.clone().filter(|s| !s.is_empty()).unwrap_or("|".into()),
            cancelled_states,
            attributes: self.attributes.clone(),
            map: self.map.clone(),
            settings: self.fingerprint(),
        })
    }

    /// The fingerprint of all settings but where the files are.
    fn fingerprint(&self) -> String {
        let settings = TableConfig { path: String::new(), ..self.clone() };
        format!("{:x}", hash_on(EMPTY_HASH, format!("{settings:?}").as_bytes()))
    }
}
