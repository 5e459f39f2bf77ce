//! Predicted against seen, by decile: points on the diagonal mean that a predicted 30 % is one.

use super::axis::{Plot, Scale, left_of, range, rounded};
use super::svg::{Anchor, LINE, Num, SIZE, Svg, Text, WIDTH, tone, wrapped};
use super::{Frame, Label};
use crate::interval::Estimate;

/// Customers with predictions alike.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Their mean prediction.
    pub predicted: f64,
    /// What happened, with its interval.
    pub seen: Estimate,
}

/// A calibration plot.
pub struct Calibration<'a> {
    /// Title and description.
    pub frame: Frame<'a>,
    /// Names the prediction, with its horizon.
    pub x_axis: &'a str,
    /// Names what was seen.
    pub y_axis: &'a str,
    /// What the diagonal means.
    pub diagonal: &'a str,
    /// Writes a value on either axis.
    pub value: Label<'a>,
    /// The deciles.
    pub buckets: Vec<Bucket>,
}

/// Draws it.
pub fn calibration(chart: &Calibration<'_>) -> String {
    let buckets: Vec<&Bucket> = chart.buckets.iter().filter(|bucket| bucket.predicted.is_finite()).collect();
    let reach =
        buckets.iter().flat_map(|bucket| [bucket.predicted, bucket.seen.low(), bucket.seen.high(), 0.0]);
    let Some(domain) = range(reach) else { return Svg::empty(&chart.frame) };
    let domain = rounded(domain, 5);
    let (top, bottom) = (12.0, 372.0);
    let y = Scale::new(domain, (bottom, top));
    let ticks = y.ticks(5);
    let left = left_of(&ticks, chart.value);
    let plot = Plot { left, right: (left + 480.0).min(WIDTH - 30.0), top, bottom };
    let x = Scale::new(domain, (plot.left, plot.right));
    let mut svg = Svg::new(&chart.frame, bottom + SIZE + LINE + 14.0);
    plot.beside(&mut svg, &y, &ticks, chart.value, chart.y_axis);
    svg.push(format_args!(
        "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"currentColor\" stroke-opacity=\"0.6\" \
         stroke-dasharray=\"5 4\"><title>{}</title></line>",
        Num(plot.left),
        Num(plot.bottom),
        Num(plot.right),
        Num(plot.top),
        Text(chart.diagonal)
    ));
    // Words beside the line's end, where the plot is over.
    for (row, line) in wrapped(chart.diagonal, WIDTH - plot.right - 12.0, 8).iter().enumerate() {
        let at = (plot.right + 8.0, plot.top + SIZE / 3.0 + LINE * row as f64);
        svg.note(at, Anchor::Start, line);
    }
    for bucket in buckets {
        let (at, seen) = (x.at(bucket.predicted), &bucket.seen);
        svg.whisker((at, y.at(seen.low())), (at, y.at(seen.high())));
        let hint = format!(
            "{} → {} ({} – {}), n = {}",
            (chart.value)(bucket.predicted),
            (chart.value)(seen.value()),
            (chart.value)(seen.low()),
            (chart.value)(seen.high()),
            seen.n()
        );
        // Few cases: hollow.
        let (fill, edge) = if seen.is_weak() { ("none", "currentColor") } else { (tone(0), "none") };
        svg.push(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"5\" fill=\"{fill}\" stroke=\"{edge}\"><title>{}</title></circle>",
            Num(at),
            Num(y.at(seen.value())),
            Text(&hint)
        ));
    }
    plot.below(&mut svg, &x, &x.fitting(5, chart.value), chart.value, chart.x_axis);
    svg.end()
}
