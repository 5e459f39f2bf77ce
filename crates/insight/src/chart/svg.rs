//! Writing SVG: escaping, numbers, shapes, and how wide text will be. Never writes script, style or anything unescaped.

use std::fmt::Write;

use super::Frame;

/// Width of every chart in its own units; the page scales it.
pub(super) const WIDTH: f64 = 720.0;
/// Letter height.
pub(super) const SIZE: f64 = 12.0;
/// From one line of text to the next.
pub(super) const LINE: f64 = 15.0;

/// The colours, each readable on white and on near-black; a page's own by CSS variable.
const TONES: [&str; 6] = [
    "var(--chart-1, #2f7fc1)",
    "var(--chart-2, #c2571a)",
    "var(--chart-3, #2e8b57)",
    "var(--chart-4, #9a5fc0)",
    "var(--chart-5, #a8731a)",
    "var(--chart-6, #c0507a)",
];

/// The tone with this number, around again after the last.
pub(super) fn tone(at: usize) -> &'static str {
    TONES[at % TONES.len()]
}

/// Where a text is held.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn word(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// A chart being written.
pub(super) struct Svg {
    out: String,
    id: String,
}

impl Svg {
    pub(super) fn new(frame: &Frame<'_>, height: f64) -> Self {
        let id: String =
            frame.id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
        let mut svg = Svg { out: String::new(), id };
        svg.push(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" viewBox=\"0 0 {} {}\" \
             aria-labelledby=\"{id}-title {id}-desc\" font-family=\"system-ui, sans-serif\" font-size=\"{}\" \
             fill=\"currentColor\">",
            Num(WIDTH),
            Num(height),
            Num(SIZE),
            id = svg.id.clone(),
        ));
        svg.push(format_args!("<title id=\"{}-title\">{}</title>", svg.id.clone(), Text(frame.title)));
        svg.push(format_args!("<desc id=\"{}-desc\">{}</desc>", svg.id.clone(), Text(frame.description)));
        svg
    }

    /// A chart that says why it is none.
    pub(super) fn empty(frame: &Frame<'_>) -> String {
        let mut svg = Svg::new(frame, 60.0);
        svg.text((WIDTH / 2.0, 34.0), Anchor::Middle, frame.empty);
        svg.end()
    }

    pub(super) fn end(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }

    /// A name no other chart on the page has.
    pub(super) fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.id)
    }

    /// One line of markup. Whatever comes from outside is wrapped in [`Num`] or [`Text`].
    pub(super) fn push(&mut self, markup: std::fmt::Arguments<'_>) {
        self.out.write_fmt(markup).expect("writing to a string does not fail");
        self.out.push('\n');
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        self.push(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
            Num(x),
            Num(y),
            anchor.word(),
            Text(text)
        ));
    }

    /// Text of lesser weight.
    pub(super) fn note(&mut self, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        self.push(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{}\" font-size=\"11\" fill-opacity=\"0.75\">{}</text>",
            Num(x),
            Num(y),
            anchor.word(),
            Text(text)
        ));
    }

    /// Text four fifths as large, its middle at the point.
    pub(super) fn small(&mut self, (x, y): (f64, f64), text: &str) {
        self.push(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"{}\">{}</text>",
            Num(x),
            Num(y),
            Num(0.8 * SIZE),
            Text(text)
        ));
    }

    /// Text that runs upwards, its middle at the point.
    pub(super) fn upright(&mut self, (x, y): (f64, f64), text: &str) {
        self.push(format_args!(
            "<text transform=\"translate({} {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            Num(x),
            Num(y),
            Text(text)
        ));
    }

    /// A thin line of the page's colour.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), opacity: f64) {
        self.push(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"currentColor\" stroke-opacity=\"{}\"/>",
            Num(from.0),
            Num(from.1),
            Num(to.0),
            Num(to.1),
            Num(opacity)
        ));
    }

    /// A rectangle with a hint that says what it stands for.
    pub(super) fn rect(
        &mut self,
        (x, y): (f64, f64),
        (w, h): (f64, f64),
        fill: &str,
        opacity: f64,
        hint: &str,
    ) {
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\" fill-opacity=\"{}\">\
             <title>{}</title></rect>",
            Num(x),
            Num(y),
            Num(w.max(0.0)),
            Num(h.max(0.0)),
            Num(opacity),
            Text(hint)
        ));
    }

    /// An upright or level whisker with caps.
    pub(super) fn whisker(&mut self, from: (f64, f64), to: (f64, f64)) {
        let (dx, dy) = if from.1 == to.1 { (0.0, 4.0) } else { (4.0, 0.0) };
        self.push(format_args!(
            "<path d=\"M{} {}L{} {}M{} {}L{} {}M{} {}L{} {}\" stroke=\"currentColor\" stroke-width=\"1.5\" \
             fill=\"none\"/>",
            Num(from.0),
            Num(from.1),
            Num(to.0),
            Num(to.1),
            Num(from.0 - dx),
            Num(from.1 - dy),
            Num(from.0 + dx),
            Num(from.1 + dy),
            Num(to.0 - dx),
            Num(to.1 - dy),
            Num(to.0 + dx),
            Num(to.1 + dy),
        ));
    }
}

/// A coordinate, to a hundredth; zero if it is not finite.
pub(super) struct Num(pub(super) f64);

impl std::fmt::Display for Num {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rounded = if self.0.is_finite() { (self.0 * 100.0).round() / 100.0 } else { 0.0 };
        // No "-0".
        write!(f, "{}", rounded + 0.0)
    }
}

/// Text from outside: the five signs of markup escaped, control characters, which XML forbids, left out.
pub(super) struct Text<'a>(pub(super) &'a str);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{fffe}' | '\u{ffff}' => {}
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// About how wide a text is; rather too wide, for sans-serif letters differ from system to system.
pub(super) fn width(text: &str) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.32,
        ' ' | 'f' | 't' | 'r' | '(' | ')' | '-' | '\u{202f}' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
        c if c.is_uppercase() => 0.74,
        c if (c as u32) < 0x2e80 => 0.62,
        _ => 1.05,
    };
    text.chars().map(em).sum::<f64>() * SIZE
}

/// The longest beginning of a text that fits into `room`, with an ellipsis if that is not all of it.
pub(super) fn fitted(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if width(&short) + SIZE > room {
            short.pop();
            break;
        }
    }
    format!("{}…", short.trim_end())
}

/// Broken between words into at most `lines` lines that fit into `room`; what is left over is cut.
pub(super) fn wrapped(text: &str, room: f64, lines: usize) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let full = found.len() >= lines;
        match found.last_mut() {
            Some(line) if full || width(&format!("{line} {word}")) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => found.push(word.to_owned()),
        }
    }
    found.iter().map(|line| fitted(line, room)).collect()
}

/// The widest of some texts, at most `most`.
pub(super) fn widest<'a>(texts: impl Iterator<Item = &'a str>, most: f64) -> f64 {
    texts.map(width).fold(0.0, f64::max).min(most)
}
