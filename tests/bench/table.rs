//! The table of results: what was measured, the figure, its bound, and whether it keeps it. Never measures.

use std::fmt::Write as _;

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    name: String,
    figure: String,
    bound: String,
    met: Option<bool>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Row { name: name.into(), figure: String::new(), bound: String::new(), met: None }
    }

    /// A figure without a bound.
    pub(crate) fn figure(mut self, figure: impl Into<String>) -> Self {
        self.figure = figure.into();
        self
    }

    /// A figure that must not exceed its bound.
    pub(crate) fn at_most(mut self, value: f64, bound: f64, unit: &str, digits: usize) -> Self {
        self.figure = format!("{value:.digits$} {unit}");
        self.bound = format!("at most {bound} {unit}");
        self.met = Some(value <= bound);
        self
    }

    /// A figure that must reach its bound.
    pub(crate) fn at_least(mut self, value: f64, bound: f64, unit: &str, digits: usize) -> Self {
        self.figure = format!("{value:.digits$} {unit}");
        self.bound = format!("at least {bound} {unit}");
        self.met = Some(value >= bound);
        self
    }

    /// A figure that is to stay below its bound.
    pub(crate) fn below(mut self, value: f64, bound: f64, unit: &str, digits: usize) -> Self {
        self.figure = format!("{value:.digits$} {unit}");
        self.bound = format!("below {bound} {unit}");
        self.met = Some(value < bound);
        self
    }
}

/// The table as text. A small run judges nothing: the bounds are for the whole size.
pub(crate) fn render(rows: &[Row], small: bool) -> String {
    let width = |column: fn(&Row) -> &str| rows.iter().map(|row| column(row).chars().count()).max();
    let name = width(|row| &row.name).unwrap_or(0);
    let figure = width(|row| &row.figure).unwrap_or(0);
    let bound = width(|row| &row.bound).unwrap_or(0);
    let mut text = String::new();
    if small {
        text.push_str("A small run: its figures are no results, and no bound is judged.\n");
    }
    for row in rows {
        let verdict = match row.met {
            None => "",
            Some(_) if small => "not judged",
            Some(true) => "met",
            Some(false) => "NOT met",
        };
        let line = format!("{:name$}  {:>figure$}  {:bound$}  {verdict}", row.name, row.figure, row.bound);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
