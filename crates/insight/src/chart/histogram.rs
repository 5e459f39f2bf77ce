//! A histogram: how many customers have how much value. The caller chooses the bins; the tallest fills the plot.

use super::axis::{Plot, Scale, edges, left_of, range, rounded};
use super::svg::{Anchor, LINE, SIZE, Svg, WIDTH, tone, width};
use super::{Frame, Label};

/// One bin; its bar is as wide as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Where it begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// How many are in it.
    pub count: u64,
}

/// A line at a value: the mean, the median.
#[derive(Debug, Clone, Copy)]
pub struct Marker<'a> {
    /// Where.
    pub at: f64,
    /// What it is.
    pub label: &'a str,
}

/// A histogram.
pub struct Histogram<'a> {
    /// Title and description.
    pub frame: Frame<'a>,
    /// What is measured, and in what unit.
    pub x_axis: &'a str,
    /// What is counted.
    pub y_axis: &'a str,
    /// Writes a value.
    pub x: Label<'a>,
    /// Writes a count.
    pub y: Label<'a>,
    /// The bins.
    pub bins: Vec<Bin>,
    /// The lines.
    pub markers: Vec<Marker<'a>>,
}

/// About so many bins of equal, round width that hold all finite values; a value on an edge belongs to the upper bin.
pub fn bins(values: &[f64], about: usize) -> Vec<Bin> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let Some(reach) = range(finite()) else { return Vec::new() };
    let edges = edges(reach, about.clamp(1, 200));
    let mut bins: Vec<Bin> =
        edges.windows(2).map(|pair| Bin { low: pair[0], high: pair[1], count: 0 }).collect();
    let last = bins.len() - 1;
    for value in finite() {
        let at = edges.partition_point(|edge| *edge <= value);
        bins[at.saturating_sub(1).min(last)].count += 1;
    }
    bins
}

/// Draws it.
pub fn histogram(chart: &Histogram<'_>) -> String {
    let usable = |bin: &&Bin| bin.low.is_finite() && bin.high.is_finite() && bin.low < bin.high;
    let bins: Vec<&Bin> = chart.bins.iter().filter(usable).collect();
    let Some(domain) = range(bins.iter().flat_map(|bin| [bin.low, bin.high])) else {
        return Svg::empty(&chart.frame);
    };
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1) as f64;
    let marks: Vec<&Marker<'_>> =
        chart.markers.iter().filter(|mark| domain.0 <= mark.at && mark.at <= domain.1).collect();
    let top = 10.0 + LINE * marks.len() as f64;
    let bottom = top + 220.0;
    let y = Scale::new(rounded((0.0, most), 5), (bottom, top));
    let counts = y.ticks(5);
    let plot = Plot { left: left_of(&counts, chart.y), right: WIDTH - 24.0, top, bottom };
    let x = Scale::new(domain, (plot.left, plot.right));
    let mut svg = Svg::new(&chart.frame, bottom + SIZE + LINE + 14.0);
    plot.beside(&mut svg, &y, &counts, chart.y, chart.y_axis);
    for bin in bins {
        let (left, right) = (x.at(bin.low) + 0.5, x.at(bin.high) - 0.5);
        let height = bottom - y.at(bin.count as f64);
        let hint =
            format!("{} – {}: {}", (chart.x)(bin.low), (chart.x)(bin.high), (chart.y)(bin.count as f64));
        svg.rect((left, bottom - height), (right - left, height), tone(0), 0.8, &hint);
    }
    for (row, mark) in marks.iter().enumerate() {
        let (at, line) = (x.at(mark.at), 10.0 + LINE * row as f64);
        svg.line((at, line), (at, bottom), 0.9);
        let text = format!("{} {}", mark.label, (chart.x)(mark.at));
        // To the side that has room.
        let (from, anchor) = if at + 5.0 + width(&text) <= WIDTH {
            (at + 5.0, Anchor::Start)
        } else {
            (at - 5.0, Anchor::End)
        };
        svg.text((from, line + SIZE - 2.0), anchor, &text);
    }
    plot.below(&mut svg, &x, &x.fitting(8, chart.x), chart.x, chart.x_axis);
    svg.end()
}
