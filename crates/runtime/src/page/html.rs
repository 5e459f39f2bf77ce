//! Writing HTML: the only place where text from outside becomes markup, and there it is escaped. Never writes script or
//! anything that is loaded from elsewhere.

use std::fmt::Write as _;

/// A page being written.
#[derive(Default)]
pub(super) struct Html {
    out: String,
}

/// A cell of a table.
pub(super) enum Td {
    /// Names the row.
    Head(String),
    /// Words.
    Text(String),
    /// A figure.
    Number(String),
    /// A figure of few cases.
    Weak(String),
    /// Words over so many columns, instead of figures.
    Missing(String, usize),
}

/// The heading of a column.
pub(super) enum Th<'a> {
    /// Over words.
    Text(&'a str),
    /// Over figures.
    Number(&'a str),
}

/// Text as markup: the five signs that mean something in it are written otherwise, control characters left out.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

impl Html {
    /// Markup of our own: fixed words of this crate, or a chart.
    pub(super) fn raw(&mut self, markup: &str) {
        self.out.push_str(markup);
        self.out.push('\n');
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.out.write_fmt(line).expect("writing to a string does not fail");
        self.out.push('\n');
    }

    /// An element that holds nothing but text.
    pub(super) fn element(&mut self, tag: &'static str, text: &str) {
        self.line(format_args!("<{tag}>{}</{tag}>", escape(text)));
    }

    /// The same with a class.
    pub(super) fn classed(&mut self, tag: &'static str, class: &'static str, text: &str) {
        self.line(format_args!("<{tag} class=\"{class}\">{}</{tag}>", escape(text)));
    }

    /// Begins a part of the page, with its heading. `id` is a word of our own.
    pub(super) fn section(&mut self, id: &'static str, heading: &str) {
        self.line(format_args!(
            "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>",
            escape(heading)
        ));
    }

    pub(super) fn end_section(&mut self) {
        self.raw("</section>");
    }

    /// A chart that `insight` drew, in a frame with its title.
    pub(super) fn figure(&mut self, title: &str, unit: &str, chart: &str) {
        self.line(format_args!(
            "<figure>\n<figcaption>{} <small>{}</small></figcaption>",
            escape(title),
            escape(unit)
        ));
        self.raw(chart.trim_end());
        self.raw("</figure>");
    }

    /// A figure at a glance: name, value, small print.
    pub(super) fn tile(&mut self, name: &str, value: &str, note: &str, is_weak: bool) {
        let class = if is_weak { " class=\"weak\"" } else { "" };
        self.line(format_args!(
            "<div{class}><dt>{}</dt><dd>{}</dd><dd class=\"note\">{}</dd></div>",
            escape(name),
            escape(value),
            escape(note)
        ));
    }

    /// A table; nothing without rows. Wide ones scroll by themselves.
    pub(super) fn table(&mut self, caption: &str, heads: &[Th<'_>], rows: &[Vec<Td>]) {
        if rows.is_empty() {
            return;
        }
        self.line(format_args!(
            "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">\n<table>\n<caption>{}</caption>\n<thead><tr>",
            escape(caption),
            escape(caption)
        ));
        for head in heads {
            match head {
                Th::Text(text) => self.line(format_args!("<th scope=\"col\">{}</th>", escape(text))),
                Th::Number(text) => {
                    self.line(format_args!("<th scope=\"col\" class=\"number\">{}</th>", escape(text)));
                }
            }
        }
        self.raw("</tr></thead>\n<tbody>");
        for row in rows {
            self.out.push_str("<tr>");
            for cell in row {
                let cell = match cell {
                    Td::Head(text) => format!("<th scope=\"row\">{}</th>", escape(text)),
                    Td::Text(text) => format!("<td>{}</td>", escape(text)),
                    Td::Number(text) => format!("<td class=\"number\">{}</td>", escape(text)),
                    Td::Weak(text) => format!("<td class=\"number weak\">{}</td>", escape(text)),
                    Td::Missing(text, columns) => {
                        format!("<td class=\"missing\" colspan=\"{columns}\">{}</td>", escape(text))
                    }
                };
                self.out.push_str(&cell);
            }
            self.raw("</tr>");
        }
        self.raw("</tbody>\n</table>\n</div>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let evil = "<script>\"'&\u{7}</script>";
        let safe = "&lt;script&gt;&quot;&#39;&amp; &lt;/script&gt;";
        assert_eq!(escape(evil), safe);
        let mut html = Html::default();
        html.section("a", evil);
        html.element("p", evil);
        html.classed("p", "note", evil);
        html.tile(evil, evil, evil, true);
        html.figure(evil, evil, "");
        let cells = vec![Td::Head(evil.into()), Td::Text(evil.into()), Td::Number(evil.into())];
        let more = vec![Td::Weak(evil.into()), Td::Missing(evil.into(), 2)];
        html.table(evil, &[Th::Text(evil), Th::Number(evil)], &[cells, more]);
        let page = html.finish();
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches(safe).count(), 17);
    }
}
