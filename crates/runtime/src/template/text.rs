//! The text part of a mail, made from its HTML: same blocks, same order, links written out.
//!
//! It reads only HTML that we rendered ourselves (attributes quoted, values escaped); it is not a browser.

use super::markup::{Token, VOID, attribute, tokens, unescape};

/// Lines are broken before this many characters; a longer word (a link) stays whole.
const WIDTH: usize = 74;

#[derive(Default)]
struct Writer {
    out: String,
    line: String,
    /// The current line is an element of a list.
    bullet: bool,
}

impl Writer {
    /// Adds inline text; runs of white space are one space, as in HTML. A no-break space stays.
    fn add(&mut self, text: &str) {
        for character in text.chars() {
            if matches!(character, ' ' | '\n' | '\r' | '\t') {
                if !self.line.is_empty() && !self.line.ends_with([' ', '\n']) {
                    self.line.push(' ');
                }
            } else {
                self.line.push(character);
            }
        }
    }

    /// Ends the current line, broken into lines of at most [`WIDTH`] characters.
    fn flush(&mut self) {
        let line = std::mem::take(&mut self.line);
        let (mut prefix, rest) = if self.bullet { ("- ", "  ") } else { ("", "") };
        let mut emit = |current: &mut String| {
            if !current.is_empty() {
                self.out.push_str(prefix);
                self.out.push_str(current);
                self.out.push('\n');
                current.clear();
                prefix = rest;
            }
        };
        for part in line.split('\n') {
            let mut current = String::new();
            for word in part.split(' ').filter(|word| !word.is_empty()) {
                if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > WIDTH {
                    emit(&mut current);
                }
                if !current.is_empty() {
                    current.push(' ');
                }
                current.push_str(word);
            }
            emit(&mut current);
        }
    }

    /// Ends the current block; the next one starts after a blank line.
    fn block(&mut self) {
        self.flush();
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }
}

struct Link {
    address: String,
    from: usize,
}

/// The text of a rendered mail.
pub(super) fn from_html(html: &str) -> String {
    let mut writer = Writer::default();
    let mut hidden: Option<(String, usize)> = None;
    let mut link: Option<Link> = None;
    // For every open table: is it one of data?
    let mut tables: Vec<bool> = Vec::new();
    let mut cells = 0;
    for (_, token) in tokens(html) {
        if let Some((name, depth)) = &mut hidden {
            match &token {
                Token::Open { name: open, closed: false, .. } if open == name => *depth += 1,
                Token::Close { name: close } if close == name => {
                    *depth -= 1;
                    if *depth == 0 {
                        hidden = None;
                    }
                }
                _ => {}
            }
            continue;
        }
        let data = tables.last().copied().unwrap_or(false);
        match token {
            Token::Comment(_) => {}
            Token::Text(text) => writer.add(&unescape(text)),
            Token::Open { name, attributes, closed } => {
                let style = attribute(&attributes, "style").unwrap_or_default();
                let invisible = matches!(name, "head" | "style" | "script" | "title")
                    || style.replace(' ', "").contains("display:none");
                if invisible && !closed && !VOID.contains(&name) {
                    hidden = Some((name.to_owned(), 1));
                    continue;
                }
                match name {
                    "br" => writer.line.push('\n'),
                    "hr" => {
                        writer.block();
                        writer.add("----");
                        writer.block();
                    }
                    "a" => {
                        let address = attribute(&attributes, "href").map(unescape).unwrap_or_default();
                        link = Some(Link { address, from: writer.line.len() });
                    }
                    "table" => {
                        writer.block();
                        tables.push(attribute(&attributes, "role") != Some("presentation"));
                    }
                    "tr" if data => {
                        writer.flush();
                        cells = 0;
                    }
                    "td" | "th" if data => {
                        if cells > 0 {
                            writer.add(" | ");
                        }
                        cells += 1;
                    }
                    "li" => {
                        writer.flush();
                        writer.bullet = true;
                    }
                    "h1" | "h2" | "h3" | "h4" | "p" | "ul" | "ol" | "blockquote" if !data => writer.block(),
                    "div" | "td" | "tr" if !data => writer.block(),
                    _ => {}
                }
            }
            Token::Close { name } => match name {
                // Rows stay on one line: what a table links to is linked again below it.
                "a" if data => link = None,
                "a" => close_link(&mut writer, link.take()),
                "table" => {
                    writer.block();
                    tables.pop();
                }
                "tr" if data => writer.flush(),
                "li" => {
                    writer.flush();
                    writer.bullet = false;
                }
                "h1" if !data => {
                    let width = writer.line.trim().chars().count().min(WIDTH);
                    writer.flush();
                    if width > 0 {
                        writer.out.push_str(&"=".repeat(width));
                        writer.out.push('\n');
                    }
                    writer.block();
                }
                "h2" | "h3" | "h4" | "p" | "ul" | "ol" | "blockquote" | "div" | "td" if !data => {
                    writer.block()
                }
                _ => {}
            },
        }
    }
    writer.flush();
    let mut out = writer.out.trim().to_owned();
    out.push('\n');
    out
}

/// Writes the address behind a link's words: `words (address)`; a link around a picture only is left out.
fn close_link(writer: &mut Writer, link: Option<Link>) {
    let Some(Link { address, from }) = link else { return };
    let words = writer.line.get(from..).unwrap_or(&writer.line).trim().to_owned();
    let bare = |text: &str| {
        let text = text.trim_end_matches('/');
        ["mailto:", "tel:", "https://", "http://"]
            .iter()
            .find_map(|p| text.strip_prefix(p))
            .unwrap_or(text)
            .to_owned()
    };
    if words.is_empty() || address.is_empty() || address.starts_with("tel:") || bare(&words) == bare(&address)
    {
        return;
    }
    writer.line.truncate(writer.line.trim_end().len());
    writer.add(&format!(" ({address})"));
}

#[cfg(test)]
mod tests {
    use super::from_html;

    #[test]
    fn blocks_links_lists_and_tables_become_text() {
        let html = r#"<html><head><title>No</title></head><body><div style="display:none;x">preview<div>y</div></div>
            <table role="presentation"><tr><td><h1>Hello  <b>Ann</b></h1><p>One &amp; two<br>three</p></td></tr></table>
            <p><a href="https://shop.example/x?a=1&amp;b=2">Open the cart</a></p><a href="https://x.example"><img alt="z"></a>
            <ul><li>first</li><li>second</li></ul><!--[if mso]><p>mso</p><![endif]-->
            <table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>9,90&nbsp;€</td></tr></table>
            <a href="mailto:a@b.example">a@b.example</a></body></html>"#;
        assert_eq!(
            from_html(html),
            "Hello Ann\n=========\n\nOne & two\nthree\n\nOpen the cart (https://shop.example/x?a=1&b=2)\n\n\
             - first\n- second\n\nItem | Price\nTea | 9,90\u{a0}€\n\na@b.example\n"
        );
    }

    #[test]
    fn long_lines_are_broken_and_long_links_are_not() {
        let html =
            format!("<p>{}<a href=\"https://s.example/{}\">go</a></p>", "word ".repeat(60), "x".repeat(200));
        let text = from_html(&html);
        assert!(
            text.lines().filter(|line| !line.contains("https")).all(|line| line.chars().count() <= 74),
            "{text}"
        );
        assert!(text.contains(&format!("(https://s.example/{})", "x".repeat(200))));
    }
}
