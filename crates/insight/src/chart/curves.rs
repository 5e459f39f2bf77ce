//! Step curves with bands, and the numbers at risk below: how many have come back, or are still there, after so many days.

use super::axis::{Plot, Scale, left_of, range};
use super::svg::{Anchor, LINE, Num, SIZE, Svg, Text, WIDTH, fitted, tone, widest, width};
use super::{Frame, Label};

/// A curve from here to the next point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Where it begins.
    pub x: f64,
    /// The share, 0 to 1.
    pub share: f64,
    /// The lower edge of the band.
    pub low: f64,
    /// The upper edge.
    pub high: f64,
}

/// One curve.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    /// Its name.
    pub label: &'a str,
    /// Its points, by x.
    pub points: Vec<CurvePoint>,
    /// How many were there at each of [`Curves::risk_at`]; written in that order.
    pub at_risk: Vec<u64>,
}

/// Some curves.
pub struct Curves<'a> {
    /// Title and description.
    pub frame: Frame<'a>,
    /// What runs to the right, with its unit.
    pub x_axis: &'a str,
    /// What the share is of.
    pub y_axis: &'a str,
    /// Writes an x.
    pub x: Label<'a>,
    /// Writes a share.
    pub y: Label<'a>,
    /// Writes a number of people.
    pub count: Label<'a>,
    /// The heading of the numbers below.
    pub risk_label: &'a str,
    /// At which x the numbers below stand; they are the axis' ticks, too.
    pub risk_at: Vec<f64>,
    /// The curves; six can be told apart.
    pub series: Vec<Series<'a>>,
}

/// So that curves differ by more than colour.
const DASHES: [&str; 3] = ["none", "7 4", "2 3"];

/// Draws them.
pub fn curves(chart: &Curves<'_>) -> String {
    let points = || chart.series.iter().flat_map(|series| usable(&series.points));
    let Some((_, last)) = range(points().map(|point| point.x).chain(chart.risk_at.iter().copied())) else {
        return Svg::empty(&chart.frame);
    };
    if points().next().is_none() {
        return Svg::empty(&chart.frame);
    }
    let names = widest(chart.series.iter().map(|series| series.label), 200.0);
    let top = 12.0;
    let bottom = top + 240.0;
    let y = Scale::new((0.0, 1.0), (bottom, top));
    let shares = y.ticks(5);
    let first = chart.risk_at.first().map_or(0.0, |at| width(&(chart.x)(*at)) / 2.0);
    let left = left_of(&shares, chart.y).max(names + 46.0 + first);
    let plot = Plot { left, right: WIDTH - 28.0, top, bottom };
    let x = Scale::new((0.0, last), (plot.left, plot.right));
    let table = bottom + SIZE + 2.0 * LINE + 16.0;
    let height = table + LINE * (chart.series.len() + 1) as f64;
    let mut svg = Svg::new(&chart.frame, height);
    plot.beside(&mut svg, &y, &shares, chart.y, chart.y_axis);
    for (at, series) in chart.series.iter().enumerate() {
        draw(&mut svg, &x, &y, series, at, last);
    }
    plot.below(&mut svg, &x, &chart.risk_at, chart.x, chart.x_axis);
    svg.note((SIZE / 2.0, table), Anchor::Start, chart.risk_label);
    for (at, series) in chart.series.iter().enumerate() {
        let line = table + LINE * (at + 1) as f64;
        svg.push(format_args!(
            "<line x1=\"6\" y1=\"{y}\" x2=\"26\" y2=\"{y}\" stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{}\"/>",
            tone(at),
            DASHES[at % DASHES.len()],
            y = Num(line - 4.0),
        ));
        svg.text((32.0, line), Anchor::Start, &fitted(series.label, names));
        let mut free = f64::NEG_INFINITY;
        for (risk_at, at_risk) in chart.risk_at.iter().zip(&series.at_risk) {
            let (middle, text) = (x.at(*risk_at), (chart.count)(*at_risk as f64));
            let half = width(&text) / 2.0;
            if middle - half >= free {
                svg.text((middle, line), Anchor::Middle, &text);
                free = middle + half + 6.0;
            }
        }
    }
    svg.end()
}

fn usable(points: &[CurvePoint]) -> impl Iterator<Item = CurvePoint> + '_ {
    let finite =
        |point: &&CurvePoint| [point.x, point.share, point.low, point.high].iter().all(|v| v.is_finite());
    points.iter().filter(finite).copied()
}

fn draw(svg: &mut Svg, x: &Scale, y: &Scale, series: &Series<'_>, number: usize, last: f64) {
    let points: Vec<CurvePoint> = usable(&series.points).collect();
    let steps = |edge: fn(&CurvePoint) -> f64| -> Vec<(f64, f64)> {
        let ends = points.iter().skip(1).map(|point| point.x).chain([last]);
        points
            .iter()
            .zip(ends)
            .flat_map(|(point, end)| [(point.x, edge(point)), (end.max(point.x), edge(point))])
            .collect()
    };
    let path = |corners: &[(f64, f64)]| -> String {
        let corner = |(at, corner): (usize, &(f64, f64))| {
            format!("{}{} {}", if at == 0 { "M" } else { "L" }, Num(x.at(corner.0)), Num(y.at(corner.1)))
        };
        corners.iter().enumerate().map(corner).collect()
    };
    let mut band = steps(|point| point.high);
    band.extend(steps(|point| point.low).into_iter().rev());
    svg.push(format_args!("<path d=\"{}Z\" fill=\"{}\" fill-opacity=\"0.18\"/>", path(&band), tone(number)));
    svg.push(format_args!(
        "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{}\"><title>{}</title></path>",
        path(&steps(|point| point.share)),
        tone(number),
        DASHES[number % DASHES.len()],
        Text(series.label),
    ));
}
