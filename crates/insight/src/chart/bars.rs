//! Level bars with intervals, one below the other, so that long names have room. Weak figures are drawn pale.

use super::axis::{Plot, Scale, range, rounded};
use super::svg::{Anchor, LINE, SIZE, Svg, WIDTH, fitted, tone, widest, wrapped};
use super::{Frame, Label};
use crate::interval::Figure;

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar<'a> {
    /// What it stands for.
    pub label: &'a str,
    /// Its value; without one, the bar says [`Bars::unknown`].
    pub figure: Figure,
    /// Small print under the value: how many cases.
    pub note: &'a str,
}

/// A bar chart.
pub struct Bars<'a> {
    /// Title and description.
    pub frame: Frame<'a>,
    /// What is measured, and in what unit.
    pub axis: &'a str,
    /// Writes a value.
    pub value: Label<'a>,
    /// What to write instead of a value that is not known.
    pub unknown: &'a str,
    /// The bars, from the top.
    pub bars: Vec<Bar<'a>>,
}

const ROW: f64 = 36.0;

/// Draws it.
pub fn bars(chart: &Bars<'_>) -> String {
    if chart.bars.is_empty() {
        return Svg::empty(&chart.frame);
    }
    let known = chart.bars.iter().filter_map(|bar| bar.figure.ok());
    let reach = known.flat_map(|figure| [figure.low(), figure.high(), figure.value(), 0.0]);
    let domain = rounded(range(reach).unwrap_or((0.0, 1.0)), 6);
    let names = widest(chart.bars.iter().map(|bar| bar.label), 190.0);
    let said =
        |bar: &Bar<'_>| bar.figure.map_or_else(|_| chart.unknown.to_owned(), |f| (chart.value)(f.value()));
    let values: Vec<String> = chart.bars.iter().map(said).collect();
    let notes = chart.bars.iter().map(|bar| bar.note);
    let room = widest(values.iter().map(String::as_str).chain(notes), 160.0);
    let bottom = 10.0 + ROW * chart.bars.len() as f64;
    let plot = Plot { left: names + 16.0, right: WIDTH - room - 20.0, top: 10.0, bottom };
    let scale = Scale::new(domain, (plot.left, plot.right));
    let mut svg = Svg::new(&chart.frame, bottom + SIZE + LINE + 14.0);
    let ticks = scale.fitting(8, chart.value);
    for tick in &ticks {
        svg.line((scale.at(*tick), plot.top), (scale.at(*tick), plot.bottom), 0.15);
    }
    for (row, (bar, said)) in chart.bars.iter().zip(&values).enumerate() {
        let y = plot.top + ROW * row as f64;
        let middle = y + ROW / 2.0;
        let lines = wrapped(bar.label, names, 2);
        for (at, line) in lines.iter().enumerate() {
            let down = LINE * (at as f64 - 0.5 * (lines.len() - 1) as f64);
            svg.text((plot.left - 8.0, middle + SIZE / 3.0 + down), Anchor::End, line);
        }
        let line = if bar.note.is_empty() { middle + SIZE / 3.0 } else { middle - 2.0 };
        svg.text((WIDTH - 8.0, line), Anchor::End, &fitted(said, room));
        if !bar.note.is_empty() {
            svg.note((WIDTH - 8.0, line + SIZE), Anchor::End, &fitted(bar.note, room));
        }
        let Ok(figure) = bar.figure else { continue };
        let (low, high) = (scale.at(figure.low()), scale.at(figure.high()));
        let (zero, end) = (scale.at(0.0), scale.at(figure.value()));
        let hint = format!(
            "{}: {said} ({} – {}), n = {}",
            bar.label,
            (chart.value)(figure.low()),
            (chart.value)(figure.high()),
            figure.n()
        );
        let opacity = if figure.is_weak() { 0.3 } else { 0.8 };
        let fill = if figure.is_weak() { "currentColor" } else { tone(0) };
        svg.rect((zero.min(end), y + 8.0), ((end - zero).abs(), ROW - 16.0), fill, opacity, &hint);
        svg.whisker((low, middle), (high, middle));
    }
    svg.line((scale.at(0.0), plot.top), (scale.at(0.0), plot.bottom), 0.6);
    plot.below(&mut svg, &scale, &ticks, chart.value, chart.axis);
    svg.end()
}
