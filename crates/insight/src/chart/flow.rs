//! The flow between phases as a Sankey diagram: columns of phases, ribbons as thick as the customers that moved. Columns
//! follow time, so that a customer who goes back is drawn like any other.

use super::svg::{Anchor, LINE, Num, SIZE, Svg, Text, WIDTH, fitted, tone, widest, width};
use super::{Frame, Label};

/// A phase at a point in time.
#[derive(Debug, Clone, Copy)]
pub struct FlowNode<'a> {
    /// Its name.
    pub label: &'a str,
    /// Its column, from 0 on the left.
    pub column: usize,
    /// Which phase it is: the same number has the same colour in every column.
    pub kind: usize,
}

/// Customers who moved from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Which node of the list they come from.
    pub from: usize,
    /// Which one they go to, in a later column.
    pub to: usize,
    /// How many.
    pub customers: u64,
}

/// A flow chart.
pub struct FlowChart<'a> {
    /// Title and description.
    pub frame: Frame<'a>,
    /// Names the columns: what time each stands for.
    pub columns: Vec<&'a str>,
    /// Writes a number of customers.
    pub count: Label<'a>,
    /// The nodes; within a column from the top.
    pub nodes: Vec<FlowNode<'a>>,
    /// The flows; those that do not lead from a node to one in a later column are left out.
    pub flows: Vec<Flow>,
}

/// Room for the customers of the fullest column.
const HEIGHT: f64 = 260.0;
/// A node has at least the height of its label.
const SLOT: f64 = 2.0 * LINE;
const GAP: f64 = 8.0;
const THICK: f64 = 14.0;

/// A node in its place.
#[derive(Clone, Copy)]
struct Placed {
    x: f64,
    y: f64,
    height: f64,
    customers: u64,
}

/// Draws it.
pub fn flow(chart: &FlowChart<'_>) -> String {
    let nodes = &chart.nodes;
    let leads = |flow: &&Flow| {
        let (from, to) = (nodes.get(flow.from), nodes.get(flow.to));
        flow.customers > 0 && from.zip(to).is_some_and(|(from, to)| from.column < to.column)
    };
    let flows: Vec<&Flow> = chart.flows.iter().filter(leads).collect();
    if flows.is_empty() {
        return Svg::empty(&chart.frame);
    }
    let columns = nodes.iter().map(|node| node.column).max().unwrap_or(0) + 1;
    let through = |at: usize| -> u64 {
        let side = |is: fn(&Flow) -> usize| -> u64 {
            flows.iter().filter(|flow| is(flow) == at).map(|flow| flow.customers).sum()
        };
        side(|flow| flow.from).max(side(|flow| flow.to))
    };
    let customers: Vec<u64> = (0..nodes.len()).map(through).collect();
    let in_column = |column: usize| (0..nodes.len()).filter(move |at| nodes[*at].column == column);
    let fullest = (0..columns).map(|column| in_column(column).map(|at| customers[at]).sum::<u64>()).max();
    let unit = HEIGHT / fullest.unwrap_or(1).max(1) as f64;

    // Outer columns have their labels outside, inner ones to the right of the node.
    let side = |column: usize| {
        let said: Vec<String> = in_column(column).map(|at| (chart.count)(customers[at] as f64)).collect();
        let names = in_column(column).map(|at| nodes[at].label);
        widest(names.chain(said.iter().map(String::as_str)), 200.0)
    };
    let (left, right) = (side(0) + 14.0, WIDTH - side(columns - 1) - 14.0 - THICK);
    let top = LINE + 14.0;
    let mut placed = vec![Placed { x: 0.0, y: 0.0, height: 0.0, customers: 0 }; nodes.len()];
    let mut bottom: f64 = top;
    for column in 0..columns {
        let x = left + (right - left) * column as f64 / (columns - 1).max(1) as f64;
        let mut y = top;
        for at in in_column(column) {
            let height = (customers[at] as f64 * unit).max(1.0);
            let slot = height.max(SLOT);
            placed[at] = Placed { x, y: y + (slot - height) / 2.0, height, customers: customers[at] };
            y += slot + GAP;
        }
        bottom = bottom.max(y);
    }
    let mut svg = Svg::new(&chart.frame, bottom + 4.0);
    for (column, name) in chart.columns.iter().enumerate().take(columns) {
        let x = left + (right - left) * column as f64 / (columns - 1).max(1) as f64 + THICK / 2.0;
        // Held where the text cannot leave the chart.
        let half = width(name) / 2.0;
        svg.text(
            (x.clamp(half.min(WIDTH / 2.0), (WIDTH - half).max(WIDTH / 2.0)), LINE),
            Anchor::Middle,
            name,
        );
    }
    ribbons(&mut svg, chart, &flows, &placed, unit);
    for (at, node) in nodes.iter().enumerate() {
        let place = placed[at];
        let said = (chart.count)(place.customers as f64);
        let hint = format!("{}: {said}", node.label);
        svg.rect((place.x, place.y), (THICK, place.height), tone(node.kind), 1.0, &hint);
        let (x, anchor, room) = if node.column == 0 {
            (place.x - 6.0, Anchor::End, left - 8.0)
        } else if node.column + 1 == columns {
            (place.x + THICK + 6.0, Anchor::Start, WIDTH - right - THICK - 8.0)
        } else {
            let room = (right - left) / (columns - 1) as f64 - THICK - 14.0;
            (place.x + THICK + 6.0, Anchor::Start, room)
        };
        let middle = place.y + place.height / 2.0;
        svg.text((x, middle - 2.0), anchor, &fitted(node.label, room));
        svg.note((x, middle - 2.0 + SIZE), anchor, &fitted(&said, room));
    }
    svg.end()
}

/// The ribbons. At a node they leave and arrive in the order of the nodes they lead to and come from, so that they cross
/// as little as that order allows.
fn ribbons(svg: &mut Svg, chart: &FlowChart<'_>, flows: &[&Flow], placed: &[Placed], unit: f64) {
    let mut sorted = flows.to_vec();
    let offset = |end: fn(&Flow) -> usize, other: fn(&Flow) -> usize, flow: &Flow| -> f64 {
        let before = flows.iter().filter(|one| end(one) == end(flow) && other(one) < other(flow));
        before.map(|one| one.customers as f64 * unit).sum()
    };
    // Thin ones last, on top of thick ones.
    sorted.sort_by(|one, other| {
        other.customers.cmp(&one.customers).then((one.from, one.to).cmp(&(other.from, other.to)))
    });
    for flow in sorted {
        let (from, to) = (placed[flow.from], placed[flow.to]);
        let thick = flow.customers as f64 * unit;
        let (x0, x1) = (from.x + THICK, to.x);
        let y0 = from.y + offset(|flow| flow.from, |flow| flow.to, flow);
        let y1 = to.y + offset(|flow| flow.to, |flow| flow.from, flow);
        let bend = (x1 - x0) * 0.5;
        let hint = format!(
            "{} → {}: {}",
            chart.nodes[flow.from].label,
            chart.nodes[flow.to].label,
            (chart.count)(flow.customers as f64)
        );
        svg.push(format_args!(
            "<path d=\"M{a} {b}C{c} {b} {d} {e} {f} {e}L{f} {g}C{d} {g} {c} {h} {a} {h}Z\" fill=\"{}\" \
             fill-opacity=\"0.35\"><title>{}</title></path>",
            tone(chart.nodes[flow.from].kind),
            Text(&hint),
            a = Num(x0),
            b = Num(y0),
            c = Num(x0 + bend),
            d = Num(x1 - bend),
            e = Num(y1),
            f = Num(x1),
            g = Num(y1 + thick),
            h = Num(y0 + thick),
        ));
    }
}
