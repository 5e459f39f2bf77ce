//! Axes: round ticks, and where a value lies. Never lets a label touch the next one.

use super::Label;
use super::svg::{Anchor, LINE, SIZE, Svg, width};

/// A straight scale from values to coordinates.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// `low` lies at the coordinate `from`, `high` at `to`. If they are equal, the scale is one long.
    pub(super) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Scale { low, high, from, to }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round values on the scale, about `count` of them: 1, 2 or 5 times a power of ten apart.
    pub(super) fn ticks(&self, count: usize) -> Vec<f64> {
        let step = round_step((self.high - self.low) / count.max(1) as f64);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last.min(first.saturating_add(50))).map(|at| at as f64 * step).collect()
    }

    /// At most about `count` round values whose labels have room beside each other.
    pub(super) fn fitting(&self, count: usize, label: Label<'_>) -> Vec<f64> {
        let fits = |ticks: &Vec<f64>| {
            let half = |tick: f64| width(&label(tick)) / 2.0;
            ticks
                .windows(2)
                .all(|pair| self.at(pair[1]) - self.at(pair[0]) > half(pair[0]) + half(pair[1]) + 6.0)
        };
        (2..=count).rev().map(|count| self.ticks(count)).find(fits).unwrap_or_else(|| self.ticks(1))
    }
}

fn round_step(rough: f64) -> f64 {
    if !(rough.is_finite() && rough > 0.0) {
        return 1.0;
    }
    let power = 10.0_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// The smallest and the greatest finite value.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// Widened to end on round values.
pub(super) fn rounded((low, high): (f64, f64), count: usize) -> (f64, f64) {
    let step = round_step((high - low) / count.max(1) as f64);
    ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step)
}

/// Rising round values from below or at `low` to above or at `high`, at least two, about `count` steps apart.
pub(super) fn edges((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let step = round_step((high - low) / count as f64);
    let first = (low / step + 1e-9).floor();
    let steps = ((high / step - 1e-9).ceil() - first).clamp(1.0, 1_000.0) as usize;
    let edges: Vec<f64> = (0..=steps).map(|at| (first + at as f64) * step).collect();
    // Values so large that a step is lost in them cannot be told apart.
    if edges.windows(2).all(|pair| pair[0] < pair[1]) { edges } else { vec![low, low + low.abs().max(1.0)] }
}

/// Where the plot lies.
#[derive(Clone, Copy)]
pub(super) struct Plot {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Plot {
    /// The level axis below, with its name.
    pub(super) fn below(&self, svg: &mut Svg, scale: &Scale, ticks: &[f64], label: Label<'_>, name: &str) {
        svg.line((self.left, self.bottom), (self.right, self.bottom), 0.6);
        let mut free = f64::NEG_INFINITY;
        for tick in ticks {
            let (x, text) = (scale.at(*tick), label(*tick));
            svg.line((x, self.bottom), (x, self.bottom + 4.0), 0.6);
            let half = width(&text) / 2.0;
            if x - half >= free {
                svg.text((x, self.bottom + 4.0 + SIZE), Anchor::Middle, &text);
                free = x + half + 6.0;
            }
        }
        let middle = 0.5 * (self.left + self.right);
        svg.text((middle, self.bottom + 6.0 + SIZE + LINE), Anchor::Middle, name);
    }

    /// The upright axis on the left, with lines across the plot and its name running upwards at the edge.
    pub(super) fn beside(&self, svg: &mut Svg, scale: &Scale, ticks: &[f64], label: Label<'_>, name: &str) {
        for tick in ticks {
            let y = scale.at(*tick);
            svg.line((self.left, y), (self.right, y), 0.15);
            svg.text((self.left - 6.0, y + SIZE / 3.0), Anchor::End, &label(*tick));
        }
        let room = left_of(ticks, label) - SIZE;
        svg.upright((self.left - room, 0.5 * (self.top + self.bottom)), name);
    }
}

/// The left edge of a plot that leaves room for the tick labels and the axis' name.
pub(super) fn left_of(ticks: &[f64], label: Label<'_>) -> f64 {
    let texts: Vec<String> = ticks.iter().map(|tick| label(*tick)).collect();
    super::svg::widest(texts.iter().map(String::as_str), 160.0) + SIZE + 16.0
}
