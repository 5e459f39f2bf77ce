//! A backtest as one HTML file: tables and bars, readable without a network, a script or a foreign host.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::result::{Backtest, COLUMNS, HEADS, Share, Side, difference};

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.5rem}\
table{border-collapse:collapse;margin:.5rem 0;font-variant-numeric:tabular-nums}\
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #d8dde3}\
th:first-child,td:first-child{text-align:left}thead th{border-bottom:2px solid #57606a}\
.scroll{overflow-x:auto}svg{display:block;margin:.5rem 0;max-width:100%}\
figcaption{color:#57606a}.a{fill:#0b5cad}.b{fill:#b35900}";

/// The page.
pub fn page(result: &Backtest) -> String {
    let mut html = String::new();
    let title = format!("Backtest {} to {}", &result.from.to_string()[..10], &result.to.to_string()[..10]);
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>Lifecycle {}, days and {}s in {}. Nothing was sent: this is what would have gone out.</p>\n",
        escaped(&result.lifecycle),
        result.period,
        escaped(&result.time_zone)
    );
    heads(&mut html, &result.sides);
    journeys(&mut html, &result.sides);
    phases(&mut html, result);
    days(&mut html, &result.sides);
    per_customer(&mut html, &result.sides);
    guards(&mut html, &result.sides);
    html.push_str("</body>\n</html>\n");
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A table whose first column is text.
fn table(html: &mut String, head: &[String], rows: impl IntoIterator<Item = Vec<String>>) {
    html.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for cell in head {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escaped(cell));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let _ = write!(html, "<td>{}</td>", escaped(&cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
}

/// The figures of the sides, and the difference if there are two.
fn compared(figures: &[u64]) -> Vec<String> {
    let mut cells: Vec<String> = figures.iter().map(u64::to_string).collect();
    if let [first, second] = figures {
        cells.push(difference(*first, *second));
    }
    cells
}

fn side_names(first: &str, sides: &[Side]) -> Vec<String> {
    let mut head = vec![first.to_owned()];
    head.extend(sides.iter().map(|side| side.playbooks.clone()));
    if sides.len() == 2 {
        head.push("difference".to_owned());
    }
    head
}

fn heads(html: &mut String, sides: &[Side]) {
    let rows = HEADS.iter().map(|(name, figure)| {
        let figures: Vec<u64> = sides.iter().map(figure).collect();
        std::iter::once((*name).to_owned()).chain(compared(&figures)).collect()
    });
    table(html, &side_names("", sides), rows);
}

fn journeys(html: &mut String, sides: &[Side]) {
    html.push_str("<h2>Journeys</h2>\n");
    let names: BTreeSet<&str> = sides.iter().flat_map(|s| &s.journeys).map(|j| j.journey.as_str()).collect();
    for (column, figure) in COLUMNS {
        let _ = writeln!(html, "<h3>{column}</h3>");
        let rows = names.iter().map(|name| {
            let of = |side: &Side| side.journeys.iter().find(|j| j.journey == *name).map_or(0, figure);
            let figures: Vec<u64> = sides.iter().map(of).collect();
            std::iter::once((*name).to_owned()).chain(compared(&figures)).collect()
        });
        table(html, &side_names("journey", sides), rows);
    }
}

fn phases(html: &mut String, result: &Backtest) {
    html.push_str("<h2>Phases over time</h2>\n");
    // Playbooks move nobody directly: the sides differ only where a journey's labels are part of a phase.
    let same = result.sides.windows(2).all(|pair| pair[0].over_time == pair[1].over_time);
    for side in result.sides.iter().take(if same { 1 } else { 2 }) {
        if !same {
            let _ = writeln!(html, "<h3>{}</h3>", escaped(&side.playbooks));
        }
        let head: Vec<String> = std::iter::once("at")
            .chain(result.phases.iter().map(String::as_str))
            .map(str::to_owned)
            .collect();
        let rows = side.over_time.iter().map(|standing| {
            let count = |phase: &String| standing.phases.get(phase).copied().unwrap_or(0).to_string();
            let at = standing.at.to_string().chars().take(16).collect::<String>().replace('T', " ");
            std::iter::once(at).chain(result.phases.iter().map(count)).collect()
        });
        table(html, &head, rows);
    }
}

fn days(html: &mut String, sides: &[Side]) {
    html.push_str("<h2>Messages per day</h2>\n");
    for (index, side) in sides.iter().enumerate() {
        let figures: Vec<u64> = side.days.iter().map(|day| day.messages).collect();
        let first = side.days.first().map_or("", |day| &day.day);
        let last = side.days.last().map_or("", |day| &day.day);
        let busiest = side
            .busiest_day
            .as_ref()
            .map_or_else(|| "no messages".to_owned(), |day| format!("most on {}: {}", day.day, day.messages));
        bars(html, &figures, index, &format!("{}, {first} to {last}; {busiest}", side.playbooks));
    }
}

fn per_customer(html: &mut String, sides: &[Side]) {
    html.push_str("<h2>Messages per customer</h2>\n");
    let numbers: BTreeSet<u64> = sides.iter().flat_map(|s| &s.per_customer).map(|s| s.messages).collect();
    let rows = numbers.iter().map(|number| {
        let of = |side: &Side| {
            let found = side.per_customer.iter().find(|Share { messages, .. }| messages == number);
            found.map_or(0, |share| share.customers)
        };
        let figures: Vec<u64> = sides.iter().map(of).collect();
        std::iter::once(number.to_string()).chain(compared(&figures)).collect()
    });
    table(html, &side_names("messages", sides), rows);
}

fn guards(html: &mut String, sides: &[Side]) {
    html.push_str("<h2>Guards</h2>\n");
    let names: BTreeSet<&String> = sides.iter().flat_map(|s| s.guards.keys()).collect();
    for (word, is_refusal) in [("refused", true), ("delayed", false)] {
        let _ = writeln!(html, "<h3>{word}</h3>");
        let rows = names.iter().map(|name| {
            let of = |side: &Side| {
                let guarded = side.guards.get(*name).copied().unwrap_or_default();
                if is_refusal { guarded.refused } else { guarded.delayed }
            };
            let figures: Vec<u64> = sides.iter().map(of).collect();
            std::iter::once((*name).clone()).chain(compared(&figures)).collect()
        });
        table(html, &side_names("guard", sides), rows);
    }
}

/// A bar a figure; a long row is summed up so that every bar can be seen.
fn bars(html: &mut String, figures: &[u64], side: usize, caption: &str) {
    const WIDTH: usize = 960;
    const HEIGHT: u64 = 120;
    let each = figures.len().div_ceil(WIDTH / 3).max(1);
    let sums: Vec<u64> = figures.chunks(each).map(|some| some.iter().sum()).collect();
    let most = sums.iter().copied().max().unwrap_or(0).max(1);
    let step = (WIDTH / sums.len().max(1)).max(1);
    let class = if side == 0 { "a" } else { "b" };
    let caption = escaped(caption);
    let _ = writeln!(
        html,
        "<figure><svg role=\"img\" aria-label=\"{caption}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\">"
    );
    for (index, sum) in sums.iter().enumerate().filter(|(_, sum)| **sum > 0) {
        let height = (sum * HEIGHT / most).max(1);
        let (x, y, width) = (index * step, HEIGHT - height, step.saturating_sub(1).max(1));
        let _ = writeln!(
            html,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }
    let note = if each > 1 { format!(" ({each} days a bar)") } else { String::new() };
    let _ = writeln!(html, "</svg><figcaption>{caption}{note}</figcaption></figure>");
}
