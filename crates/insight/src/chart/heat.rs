//! The cohort heat map: a row a month of first orders, a column a month after it. Cells whose month is not over are hatched.

use super::svg::{Anchor, LINE, Num, SIZE, Svg, Text, WIDTH, fitted, tone, widest, width};
use super::{Frame, Label};

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeatCell {
    /// Its value; `None` leaves it blank.
    pub value: Option<f64>,
    /// Whether its month is over.
    pub complete: bool,
}

/// One row.
#[derive(Debug, Clone)]
pub struct HeatRow<'a> {
    /// Its month.
    pub label: &'a str,
    /// How many customers it has.
    pub n: u64,
    /// Its cells, from the month itself on.
    pub cells: Vec<HeatCell>,
}

/// A heat map.
pub struct HeatMap<'a> {
    /// Title and description.
    pub frame: Frame<'a>,
    /// What the columns are: months after the first order.
    pub columns: &'a str,
    /// What the rows are: the month of the first order.
    pub rows_name: &'a str,
    /// The heading over the numbers of customers.
    pub n_name: &'a str,
    /// What the hatching means.
    pub incomplete: &'a str,
    /// Writes a cell's value, briefly.
    pub value: Label<'a>,
    /// Writes a number of customers, or of months.
    pub count: Label<'a>,
    /// The rows.
    pub rows: Vec<HeatRow<'a>>,
}

const ROW: f64 = 24.0;

/// Draws it. The strongest colour is the greatest value after the first column, which is all of them by definition.
pub fn heat_map(chart: &HeatMap<'_>) -> String {
    let columns = chart.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    if columns == 0 {
        return Svg::empty(&chart.frame);
    }
    let finite = |cell: &HeatCell| cell.value.filter(|value| value.is_finite());
    let later = chart.rows.iter().flat_map(|row| row.cells.iter().skip(1)).filter_map(finite);
    let most = later.fold(0.0, f64::max);
    let names = widest(chart.rows.iter().map(|row| row.label).chain([chart.rows_name]), 150.0);
    let counts: Vec<String> = chart.rows.iter().map(|row| (chart.count)(row.n as f64)).collect();
    let numbers = widest(counts.iter().map(String::as_str).chain([chart.n_name]), 100.0);
    let left = names + numbers + 30.0;
    let side = ((WIDTH - left - 8.0) / columns as f64).min(64.0);
    let top = 2.0 * LINE + 10.0;
    let bottom = top + ROW * chart.rows.len() as f64;
    let mut svg = Svg::new(&chart.frame, bottom + 2.0 * LINE + 4.0);
    let hatch = svg.name("hatch");
    svg.push(format_args!(
        "<defs><pattern id=\"{hatch}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" stroke=\"currentColor\" \
         stroke-opacity=\"0.35\" stroke-width=\"2\"/></pattern></defs>"
    ));
    svg.text((6.0, top - 6.0), Anchor::Start, &fitted(chart.rows_name, names));
    svg.text((left - 12.0, top - 6.0), Anchor::End, &fitted(chart.n_name, numbers));
    svg.text((left, LINE), Anchor::Start, chart.columns);
    for column in 0..columns {
        let middle = left + side * (column as f64 + 0.5);
        svg.text((middle, top - 6.0), Anchor::Middle, &(chart.count)(column as f64));
    }
    for (at, (row, count)) in chart.rows.iter().zip(&counts).enumerate() {
        let y = top + ROW * at as f64;
        let line = y + ROW / 2.0 + SIZE / 3.0;
        svg.text((6.0, line), Anchor::Start, &fitted(row.label, names));
        svg.text((left - 12.0, line), Anchor::End, &fitted(count, numbers));
        for (column, cell) in row.cells.iter().enumerate() {
            let Some(value) = finite(cell) else { continue };
            let x = left + side * column as f64;
            let said = (chart.value)(value);
            let ratio = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
            let mut hint = format!("{}, {}: {said}", row.label, (chart.count)(column as f64));
            if !cell.complete {
                hint = format!("{hint} ({})", chart.incomplete);
            }
            // Never so strong that the page's text colour could not be read on it.
            svg.rect((x + 1.0, y + 1.0), (side - 2.0, ROW - 2.0), tone(0), 0.05 + 0.5 * ratio, &hint);
            if !cell.complete {
                svg.push(format_args!(
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"url(#{hatch})\" \
                     pointer-events=\"none\"/>",
                    Num(x + 1.0),
                    Num(y + 1.0),
                    Num(side - 2.0),
                    Num(ROW - 2.0)
                ));
            }
            // Too narrow for the number even in small letters: the hint has it.
            if width(&said) <= side {
                svg.text((x + side / 2.0, line), Anchor::Middle, &said);
            } else if 0.8 * width(&said) <= side {
                svg.small((x + side / 2.0, line - 1.0), &said);
            }
        }
    }
    svg.push(format_args!(
        "<rect x=\"{}\" y=\"{}\" width=\"24\" height=\"14\" fill=\"url(#{hatch})\" stroke=\"currentColor\" \
         stroke-opacity=\"0.4\"/>",
        Num(left),
        Num(bottom + LINE - 2.0)
    ));
    svg.push(format_args!(
        "<text x=\"{}\" y=\"{}\">{}</text>",
        Num(left + 30.0),
        Num(bottom + LINE + 9.0),
        Text(chart.incomplete)
    ));
    svg.end()
}
