//! A mail as a server received it. Reads only what tests ask for; never parses MIME.

/// One transaction: the envelope and the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The address of MAIL FROM, without angle brackets; empty for a bounce.
    pub from: String,
    /// The addresses of RCPT TO, in order, without angle brackets.
    pub recipients: Vec<String>,
    /// Header and body with LF line ends, dot-stuffing undone, without the trace lines of the receiver.
    pub raw: Vec<u8>,
}

impl Mail {
    /// The message as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// The first header of this name (case does not matter), unfolded; encoded words stay encoded.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = self.text();
        let mut found: Option<String> = None;
        for line in text.lines().take_while(|line| !line.is_empty()) {
            match (&mut found, line.split_once(':')) {
                (Some(value), _) if line.starts_with([' ', '\t']) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                (Some(_), _) => break,
                (None, Some((key, value))) if key.eq_ignore_ascii_case(name) => {
                    found = Some(value.trim().to_owned());
                }
                (None, _) => {}
            }
        }
        found
    }

    /// What follows the header, still encoded.
    pub fn body(&self) -> String {
        self.text().split_once("\n\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

/// The address of a `MAIL FROM:<a@b> SIZE=1` or `RCPT TO:<a@b>` argument.
pub(crate) fn address(argument: &str) -> String {
    let inside = argument.split_once('<').map_or(argument, |(_, rest)| rest);
    inside.split('>').next().unwrap_or_default().trim().to_owned()
}
