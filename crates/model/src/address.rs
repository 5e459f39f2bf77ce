//! Addresses people are reached at, folded so that equal ones compare equal. Never contacts anybody.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An e-mail address in folded form: NFC, lower case, the domain in its ASCII (IDNA) form.
///
/// The local part is folded to lower case too: no mailbox provider in use tells `Ann@` from `ann@`, and two
/// customers who differ only in that are one person.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

/// Why a text is not an e-mail address we would write to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// No `@`, or nothing on one side of it.
    #[error("not an e-mail address: it needs a name, an @ and a domain")]
    Shape,
    /// White space or control characters.
    #[error("not an e-mail address: it contains white space or control characters")]
    Characters,
    /// The domain is not a host name with a dot.
    #[error("not an e-mail address: `{0}` is not a domain that mail can be sent to")]
    Domain(String),
    /// Longer than SMTP carries (RFC 5321, 4.5.3.1).
    #[error("not an e-mail address: longer than 254 characters")]
    Length,
}

impl Email {
    /// Folds and checks an address. Address literals (`a@[127.0.0.1]`) and bare hosts (`a@localhost`) are
    /// refused.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';')) {
            return Err(EmailError::Characters);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Shape)?;
        if local.is_empty() || domain.is_empty() || local.contains('@') {
            return Err(EmailError::Shape);
        }
        let ascii = idna::domain_to_ascii_strict(domain.trim_end_matches('.'))
            .map_err(|_| EmailError::Domain(domain.to_owned()))?;
        let named = ascii.contains('.')
            && !ascii.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if !named {
            return Err(EmailError::Domain(domain.to_owned()));
        }
        let folded = format!("{}@{ascii}", local.to_lowercase());
        if folded.len() > 254 || local.len() > 64 {
            return Err(EmailError::Length);
        }
        Ok(Email(folded))
    }

    /// An address that was folded before it was stored.
    pub fn from_folded(text: String) -> Self {
        Email(text)
    }

    /// The folded address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`, in ASCII.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    /// Keeps the address out of logs: only the domain is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…@{}", self.domain())
    }
}

impl Serialize for Email {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Email::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A telephone number as the shop has it, with only digits and a leading plus kept. Never a reason to merge
/// two customers, because shops do not verify it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Keeps digits and a leading plus; `None` when fewer than five digits are left.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut folded = String::with_capacity(text.len());
        if text.starts_with('+') {
            folded.push('+');
        } else if let Some(rest) = text.strip_prefix("00") {
            return Self::parse(&format!("+{rest}"));
        }
        folded.extend(text.chars().filter(char::is_ascii_digit));
        (folded.len() >= 5).then_some(PhoneNumber(folded))
    }

    /// The folded number.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("+…")
    }
}

/// Removes control characters (line breaks become spaces) and cuts at `max` characters: what every text from
/// outside passes before it is stored, so that no name can break a mail's header.
pub fn clean_text(text: &str, max: usize) -> String {
    let spaced = text.chars().map(|c| if matches!(c, '\r' | '\n' | '\t') { ' ' } else { c });
    let kept: String = spaced.filter(|c| !c.is_control() && *c != '\u{feff}').take(max).collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_mailboxes_fold_to_one_text() {
        for text in ["Ann@Example.COM", " ann@example.com ", "ann@example.com."] {
            assert_eq!(Email::parse(text).unwrap().as_str(), "ann@example.com");
        }
        assert_eq!(Email::parse("jö@Bücher.example").unwrap().as_str(), "jö@xn--bcher-kva.example");
    }

    #[test]
    fn what_mail_cannot_be_sent_to_is_refused() {
        for text in ["", "ann", "@example.com", "ann@", "a@localhost", "a@[127.0.0.1]", "a@127.0.0.1"] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
        for text in ["a b@example.com", "a\r\nBcc: x@example.com", "<a@example.com>", "a@b@example.com"] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_keeps_the_address_out_of_logs() {
        assert_eq!(format!("{:?}", Email::parse("ann@example.com").unwrap()), "…@example.com");
    }

    #[test]
    fn control_characters_do_not_survive() {
        assert_eq!(clean_text("Eve\r\nBcc: x\0y", 80), "Eve  Bcc: xy");
        assert_eq!(clean_text("ÄÖÜ", 2), "ÄÖ");
    }

    #[test]
    fn phone_numbers_keep_digits_only() {
        assert_eq!(PhoneNumber::parse("0049 (170) 123-4567").unwrap().as_str(), "+491701234567");
        assert!(PhoneNumber::parse("n/a").is_none());
    }
}
