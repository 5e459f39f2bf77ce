//! An SMTP server's replies (RFC 5321, 4.2): reading them from bytes and what their codes say. Never does I/O.

use std::fmt;

/// Longest reply taken, in bytes: all lines together.
pub(crate) const REPLY_MAX: usize = 64 * 1024;

/// One reply, of one or several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The three-digit code.
    pub(crate) code: u16,
    /// The text of each line, without code.
    pub(crate) lines: Vec<String>,
}

/// What came is not an SMTP reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server does not speak SMTP: `{0}`")]
pub(crate) struct Malformed(pub(crate) String);

impl Reply {
    /// Reads the reply at the beginning of the bytes; with it, how many bytes it took. `None` = not all of it
    /// is there yet.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
        let mut lines = Vec::new();
        let mut first = None;
        let mut at = 0;
        while let Some(end) = bytes[at..].iter().position(|b| *b == b'\n') {
            let line = &bytes[at..at + end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            at += end + 1;
            let malformed = || Malformed(String::from_utf8_lossy(line).chars().take(80).collect());
            let (code, rest) = line.split_at_checked(3).ok_or_else(malformed)?;
            let known = matches!(code[0], b'2'..=b'5') && code.iter().all(u8::is_ascii_digit);
            let code = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit.wrapping_sub(b'0')));
            let more = match rest.first() {
                None | Some(b' ') => false,
                Some(b'-') => true,
                Some(_) => return Err(malformed()),
            };
            if !known || first.is_some_and(|first| first != code) {
                return Err(malformed());
            }
            first = Some(code);
            lines.push(String::from_utf8_lossy(rest.get(1..).unwrap_or_default()).trim().to_owned());
            if !more {
                return Ok(Some((Reply { code, lines }, at)));
            }
        }
        if bytes.len() > REPLY_MAX {
            return Err(Malformed("a reply without end".into()));
        }
        Ok(None)
    }

    /// The enhanced status code (RFC 3463), if the text begins with one: `5.1.1` is `(5, 1, 1)`.
    pub(crate) fn enhanced(&self) -> Option<(u16, u16, u16)> {
        let word = self.lines.first()?.split([' ', '\t']).next()?;
        let mut parts = word.split('.').map(|part| part.parse::<u16>().ok().filter(|_| part.len() <= 3));
        let status = (parts.next()??, parts.next()??, parts.next()??);
        (parts.next().is_none() && status.0 == self.code / 100).then_some(status)
    }

    /// The code as operators know it: `550 5.1.1`, or `550` alone.
    pub(crate) fn label(&self) -> String {
        match self.enhanced() {
            Some((class, subject, detail)) => format!("{} {class}.{subject}.{detail}", self.code),
            None => self.code.to_string(),
        }
    }

    /// Whether the server says no, for now or for good.
    pub(crate) fn is_refusal(&self) -> bool {
        (400..600).contains(&self.code)
    }

    /// Whether it says no for good.
    pub(crate) fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" / "))
    }
}

/// What a server offers (its answer to EHLO).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// The server's name for itself.
    pub(crate) server: String,
    /// All extensions' keywords, in capitals.
    pub(crate) keywords: Vec<String>,
    /// Largest mail it takes, in bytes.
    pub(crate) size: Option<u64>,
    /// Ways to log in, in capitals.
    pub(crate) auth: Vec<String>,
}

impl Extensions {
    /// Reads the answer to EHLO.
    pub(crate) fn read(reply: &Reply) -> Self {
        let first = reply.lines.first().map_or("", String::as_str);
        let mut found = Extensions {
            server: first.split(' ').next().unwrap_or_default().chars().take(100).collect(),
            ..Extensions::default()
        };
        for line in reply.lines.iter().skip(1) {
            // Some old servers write `AUTH=LOGIN`.
            let line = line.to_ascii_uppercase().replacen("AUTH=", "AUTH ", 1);
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            match keyword {
                "SIZE" => found.size = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0),
                "AUTH" => found.auth.extend(words.map(str::to_owned)),
                _ => {}
            }
            if !found.offers(keyword) {
                found.keywords.push(keyword.to_owned());
            }
        }
        found
    }

    /// Whether it offers an extension, by its keyword in capitals.
    pub(crate) fn offers(&self, keyword: &str) -> bool {
        self.keywords.iter().any(|k| k == keyword)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Reply {
        let (reply, used) = Reply::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(used, text.len());
        reply
    }

    #[test]
    fn replies_of_one_and_several_lines_are_read() {
        assert_eq!(parse("250 OK\r\n"), Reply { code: 250, lines: vec!["OK".into()] });
        assert_eq!(parse("354\r\n").code, 354);
        assert_eq!(parse("250-a\r\n250-b c\r\n250 d\r\n").lines, ["a", "b c", "d"]);
        assert_eq!(Reply::parse(b"250-a\r\n250 b"), Ok(None));
        let (_, used) = Reply::parse(b"250 a\r\n550 b\r\n").unwrap().unwrap();
        assert_eq!(used, 7);
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for text in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\r\n",
            "25\r\n",
            "250_OK\r\n",
            "650 x\r\n",
            "250-a\r\n550 b\r\n",
        ] {
            assert!(Reply::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Reply::parse(&vec![b'a'; REPLY_MAX + 1]).is_err());
    }

    #[test]
    fn enhanced_codes_are_read_only_where_they_fit() {
        assert_eq!(parse("550 5.1.1 no such user\r\n").label(), "550 5.1.1");
        assert_eq!(parse("550-5.7.26 x\r\n550 5.7.26 y\r\n").label(), "550 5.7.26");
        for text in
            ["550 4.1.1 odd\r\n", "550 10.0.0.1 blocked\r\n", "550 5.1 x\r\n", "550 no\r\n", "550\r\n"]
        {
            assert_eq!(parse(text).label(), "550", "{text}");
        }
    }

    #[test]
    fn extensions_are_read() {
        let reply = parse(
            "250-mx.example at your service\r\n250-SIZE 1000\r\n250-auth=LOGIN\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n",
        );
        let extensions = Extensions::read(&reply);
        assert_eq!(extensions.server, "mx.example");
        assert_eq!(extensions.size, Some(1000));
        assert_eq!(extensions.auth, ["LOGIN", "PLAIN"]);
        assert!(extensions.offers("PIPELINING") && !extensions.offers("STARTTLS"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However the bytes are cut into packets, nothing is read before it is all there.
        #[test]
        fn cut_anywhere_it_reads_the_same(lines in prop::collection::vec("[a-z ]{0,20}", 1..5), cut in 0usize..100) {
            let last = lines.len() - 1;
            let text: String = lines.iter().enumerate()
                .map(|(i, line)| format!("250{}{line}\r\n", if i == last { ' ' } else { '-' })).collect();
            let cut = cut % text.len();
            prop_assert_eq!(Reply::parse(&text.as_bytes()[..cut]), Ok(None));
            prop_assert_eq!(parse(&text).lines.len(), lines.len());
        }

        /// No bytes make it panic.
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reply::parse(&bytes);
        }
    }
}
