//! Small charts as SVG text, for pages without script. Everything a reader sees as words or numbers comes from the caller,
//! already in their language; nothing here knows one. Colours are CSS variables with a middle tone to fall back on, text
//! has the page's own colour, so that both light and dark pages can show them.

mod axis;
mod bars;
mod calibration;
mod curves;
mod flow;
mod heat;
mod histogram;
mod svg;

pub use bars::{Bar, Bars, bars};
pub use calibration::{Bucket, Calibration, calibration};
pub use curves::{CurvePoint, Curves, Series, curves};
pub use flow::{Flow, FlowChart, FlowNode, flow};
pub use heat::{HeatCell, HeatMap, HeatRow, heat_map};
pub use histogram::{Bin, Histogram, Marker, bins, histogram};

/// What every chart has.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Unique on the page; made of letters, digits and hyphens, anything else becomes a hyphen.
    pub id: &'a str,
    /// What the chart shows, in a few words.
    pub title: &'a str,
    /// What there is to see, in a sentence or two, for those who cannot see it.
    pub description: &'a str,
    /// What to say if there is nothing to draw.
    pub empty: &'a str,
}

/// Writes a number the reader's way.
pub type Label<'a> = &'a dyn Fn(f64) -> String;
