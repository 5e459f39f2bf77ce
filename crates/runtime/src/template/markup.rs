//! A small reader of markup: MJML and the HTML we make of it, one token after another.
//!
//! It never builds a tree and never recurses, so that nesting cannot overflow a stack; it never repairs.

/// One piece of markup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `<name a="b">`; `closed` when it ends in `/>`.
    Open { name: &'a str, attributes: Vec<(&'a str, &'a str)>, closed: bool },
    /// `</name>`.
    Close { name: &'a str },
    /// Anything between tags, entities as written.
    Text(&'a str),
    /// A comment, a conditional comment or a doctype: everything between `<!` and its end.
    Comment(&'a str),
}

/// Elements that have no end tag in HTML.
pub(super) const VOID: &[&str] = &["area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"];
/// Elements whose content is text up to their end tag.
const RAW: &[&str] = &["style", "script", "mj-style"];

/// The tokens of a text, each with the byte offset it starts at.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    raw: Option<&'a str>,
}

/// Reads markup.
pub(super) fn tokens(text: &str) -> Tokens<'_> {
    Tokens { text, at: 0, raw: None }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (usize, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let rest = &self.text[start..];
        if rest.is_empty() {
            return None;
        }
        if let Some(name) = self.raw.take() {
            let end = find_close(rest, name).unwrap_or(rest.len());
            if end > 0 {
                self.at += end;
                return Some((start, Token::Text(&rest[..end])));
            }
        }
        if let Some(inner) = rest.strip_prefix("<!--") {
            let end = inner.find("-->").map_or(rest.len(), |i| i + 7);
            self.at += end;
            return Some((start, Token::Comment(&rest[..end])));
        }
        if rest.starts_with("<!") {
            let end = rest.find('>').map_or(rest.len(), |i| i + 1);
            self.at += end;
            return Some((start, Token::Comment(&rest[..end])));
        }
        if let Some(inner) = rest.strip_prefix("</") {
            let end = inner.find('>').map_or(rest.len(), |i| i + 3);
            self.at += end;
            return Some((start, Token::Close { name: inner[..end.saturating_sub(3)].trim() }));
        }
        if is_tag(rest) {
            let (token, length) = open_tag(rest);
            if let Token::Open { name, closed: false, .. } = &token
                && RAW.contains(name)
            {
                self.raw = Some(name);
            }
            self.at += length;
            return Some((start, token));
        }
        // Text, up to the next thing that starts a tag; a lone `<` is text.
        let mut end = rest.chars().next().map_or(1, char::len_utf8);
        while let Some(next) = rest[end..].find('<') {
            end += next;
            let tail = &rest[end..];
            if is_tag(tail) || tail.starts_with("</") || tail.starts_with("<!") {
                self.at += end;
                return Some((start, Token::Text(&rest[..end])));
            }
            end += 1;
        }
        self.at = self.text.len();
        Some((start, Token::Text(rest)))
    }
}

fn is_tag(rest: &str) -> bool {
    let mut bytes = rest.bytes();
    bytes.next() == Some(b'<') && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
}

fn find_close(rest: &str, name: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = rest[from..].find("</") {
        let at = from + found;
        if rest[at + 2..].starts_with(name) {
            return Some(at);
        }
        from = at + 2;
    }
    None
}

/// Reads `<name a="b" c>`; returns the token and its length in bytes.
fn open_tag(rest: &str) -> (Token<'_>, usize) {
    let bytes = rest.as_bytes();
    let name_end = |from: usize, stop: &[u8]| {
        bytes[from..]
            .iter()
            .position(|b| b.is_ascii_whitespace() || stop.contains(b))
            .map_or(bytes.len(), |i| from + i)
    };
    let mut at = name_end(1, b"/>");
    let name = &rest[1..at];
    let mut attributes = Vec::new();
    loop {
        while at < bytes.len() && bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        match bytes.get(at) {
            None => return (Token::Open { name, attributes, closed: false }, at),
            Some(b'>') => return (Token::Open { name, attributes, closed: false }, at + 1),
            Some(b'/') if bytes.get(at + 1) == Some(&b'>') => {
                return (Token::Open { name, attributes, closed: true }, at + 2);
            }
            Some(b'/') => at += 1,
            Some(_) => {
                let end = name_end(at, b"=/>").max(at + 1);
                // A name that starts with a multi-byte character must not be cut in two.
                let end = (end..=rest.len()).find(|i| rest.is_char_boundary(*i)).unwrap_or(rest.len());
                let key = &rest[at..end];
                at = end;
                let mut value = "";
                if bytes.get(at) == Some(&b'=') {
                    at += 1;
                    match bytes.get(at) {
                        Some(&quote @ (b'"' | b'\'')) => {
                            let from = at + 1;
                            let to = rest[from..].find(char::from(quote)).map_or(rest.len(), |i| from + i);
                            value = &rest[from..to];
                            at = (to + 1).min(rest.len());
                        }
                        _ => {
                            let to = name_end(at, b">");
                            value = &rest[at..to];
                            at = to;
                        }
                    }
                }
                attributes.push((key, value));
            }
        }
    }
}

/// The value of an attribute.
pub(super) fn attribute<'a>(attributes: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// Writes text so that it is only text in HTML, in an element as in a quoted attribute.
pub(super) fn escape(text: &str, out: &mut dyn FnMut(&str)) {
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let entity = match byte {
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'&' => "&amp;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => continue,
        };
        out(&text[from..at]);
        out(entity);
        from = at + 1;
    }
    out(&text[from..]);
}

/// Turns entities back into characters: the named ones our own output uses, and all numeric ones.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest[1..].find(';').filter(|end| *end <= 8).and_then(|end| rest.get(1..=end));
        match entity.and_then(decode) {
            Some(decoded) => {
                out.push(decoded);
                rest = &rest[entity.map_or(0, str::len) + 2..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn decode(entity: &str) -> Option<char> {
    Some(match entity {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "shy" => '\u{ad}',
        "zwnj" => '\u{200c}',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "middot" => '·',
        "times" => '×',
        "euro" => '€',
        "copy" => '©',
        "rarr" => '→',
        "bdquo" => '„',
        "ldquo" => '“',
        "rdquo" => '”',
        "lsquo" => '‘',
        "rsquo" => '’',
        _ => {
            let digits = entity.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_read_piece_by_piece() {
        let seen: Vec<_> =
            tokens("ä<b x='1' y=\"2>\">1 < 2</b><!-- <i> --><br/><style>a>b{}</style>").collect();
        let kinds: Vec<_> = seen.iter().map(|(_, token)| token.clone()).collect();
        assert_eq!(
            kinds,
            [
                Token::Text("ä"),
                Token::Open { name: "b", attributes: vec![("x", "1"), ("y", "2>")], closed: false },
                Token::Text("1 < 2"),
                Token::Close { name: "b" },
                Token::Comment("<!-- <i> -->"),
                Token::Open { name: "br", attributes: vec![], closed: true },
                Token::Open { name: "style", attributes: vec![], closed: false },
                Token::Text("a>b{}"),
                Token::Close { name: "style" },
            ]
        );
    }

    #[test]
    fn broken_markup_ends() {
        for text in
            ["<", "<a", "<a b", "<a b=", "<a b='", "</", "</a", "<!--", "<!", "<a é='x'", "<a 'é", "<style>"]
        {
            let _ = tokens(text).count();
        }
        assert_eq!(unescape("a&amp;b&#8211;c&nbsp;d&x;&é;&"), "a&b–c\u{a0}d&x;&é;&");
    }
}
