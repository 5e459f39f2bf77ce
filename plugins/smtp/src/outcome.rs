//! What an SMTP failure means: whether the mail certainly did not go, and whose fault it is. Decides only.

use zyklus_connect::{Error, ErrorKind, Outcome};
use zyklus_model::Receipt;

use crate::reply::Reply;
use crate::wire::Broken;

/// How long to hold back after a server said it is too much, in milliseconds.
const HOLD_BACK: u64 = 60_000;

/// Where in the conversation something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The server's first word.
    Greeting,
    /// `EHLO`.
    Hello,
    /// `STARTTLS`.
    StartTls,
    /// `AUTH`.
    LogIn,
    /// `RSET` between two mails.
    Reset,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`.
    Data,
    /// The mail itself, up to its final dot.
    Body,
    /// After the final dot.
    Final,
}

impl Stage {
    /// What was asked, to go after "the mail server refuses".
    fn subject(self) -> &'static str {
        match self {
            Stage::Greeting => "the connection",
            Stage::Hello => "our greeting; set `hello_name` to a name it accepts",
            Stage::StartTls => "to start TLS",
            Stage::LogIn => "the log-in; check `username` and `password`",
            Stage::Reset => "to go on with a next mail",
            Stage::Sender => {
                "our sender address; check that `from` and `bounce` may be used with these credentials"
            }
            Stage::Recipient => "the recipient",
            Stage::Data | Stage::Body | Stage::Final => "the message",
        }
    }
}

/// Why a mail was not, or perhaps not, taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server says no.
    #[error("the mail server refused")]
    Refused(Stage, Reply),
    /// The line broke, or the server said something out of turn, before the final dot had left.
    #[error("the conversation broke before the mail was handed over")]
    Before(Stage, #[source] Broken),
    /// The server answered with a code that has no place there, before the final dot had left.
    #[error("the mail server answered out of turn")]
    OutOfTurn(Stage, Reply),
    /// The line broke after the final dot had (perhaps partly) left.
    #[error("no answer after the mail was handed over")]
    After(#[source] Broken),
    /// After the final dot came an answer that is neither 250 nor a refusal.
    #[error("an answer without meaning after the mail was handed over")]
    Meaningless(Reply),
    /// The mail is larger than the server takes.
    #[error("the mail is too large")]
    TooLarge {
        /// What it takes, in bytes.
        limit: u64,
    },
    /// The address needs SMTPUTF8, which the server does not offer.
    #[error("the address needs SMTPUTF8")]
    NoSmtpUtf8,
}

impl Failure {
    /// Whether the connection can take another mail: only when the server gave a proper refusal in its turn.
    pub(crate) fn keeps_connection(&self) -> bool {
        match self {
            // In the middle of a mail the server still waits for its end.
            Failure::Refused(stage, reply) => *stage != Stage::Body && reply.code != 421,
            Failure::TooLarge { .. } | Failure::NoSmtpUtf8 => true,
            Failure::Before(..) | Failure::OutOfTurn(..) | Failure::After(_) | Failure::Meaningless(_) => {
                false
            }
        }
    }

    /// Whether a connection that had been idle turned out to be dead: the mail may simply go over a fresh one.
    pub(crate) fn is_stale(&self) -> bool {
        match self {
            Failure::Before(stage, _) => matches!(stage, Stage::Reset | Stage::Sender),
            Failure::Refused(stage, reply) => {
                matches!(stage, Stage::Reset) || (matches!(stage, Stage::Sender) && reply.code == 421)
            }
            Failure::OutOfTurn(stage, _) => matches!(stage, Stage::Reset),
            Failure::After(_) | Failure::Meaningless(_) | Failure::TooLarge { .. } | Failure::NoSmtpUtf8 => {
                false
            }
        }
    }

    /// What it means for the mail. `recipient` is taken out of the server's words.
    pub(crate) fn outcome(self, recipient: &str) -> Outcome<Receipt> {
        let hide = |text: String| text.replace(recipient, "<recipient>");
        match self {
            Failure::Refused(stage, reply) => refused(stage, &reply, hide(reply.to_string())),
            Failure::Before(_, broken) => Outcome::Retry(broken_line(&broken)),
            Failure::OutOfTurn(_, reply) => Outcome::Retry(
                Error::new(ErrorKind::Transient, "the mail server answered out of turn; the mail was not handed over")
                    .with_code(reply.label())
                    .with_detail(hide(reply.to_string())),
            ),
            Failure::After(broken) => Outcome::Unknown(
                Error::new(
                    ErrorKind::Transient,
                    "the mail server did not answer after the whole mail was handed over; it may have been sent",
                )
                .with_detail(describe(&broken)),
            ),
            Failure::Meaningless(reply) => Outcome::Unknown(
                Error::new(
                    ErrorKind::Internal,
                    "the mail server's answer to the whole mail is neither yes nor no; it may have been sent",
                )
                .with_code(reply.label())
                .with_detail(hide(reply.to_string())),
            ),
            Failure::TooLarge { limit } => Outcome::Rejected(Error::new(
                ErrorKind::Invalid,
                format!("the mail is larger than the {limit} bytes the mail server takes; make its template smaller"),
            )),
            Failure::NoSmtpUtf8 => Outcome::Rejected(Error::new(
                ErrorKind::Invalid,
                "the address has letters outside ASCII before the @, which this mail server does not take \
                 (it offers no SMTPUTF8)",
            )),
        }
    }
}

/// A connection that could not be made or broke before anything was handed over.
pub(crate) fn broken_line(broken: &Broken) -> Error {
    let message = match broken {
        Broken::Io(_) => "the connection to the mail server failed",
        Broken::Closed => "the mail server closed the connection",
        Broken::TimedOut(_) => "the mail server did not answer in time",
        Broken::Malformed(_) => "what answers there does not speak SMTP; check `host`, `port` and `tls`",
    };
    Error::new(ErrorKind::Transient, message).with_detail(describe(broken))
}

fn describe(broken: &Broken) -> String {
    match broken {
        Broken::Io(cause) => cause.to_string(),
        Broken::Closed | Broken::TimedOut(_) | Broken::Malformed(_) => broken.to_string(),
    }
}

/// What a refusal means for the connector while it is being opened, or for the mail.
pub(crate) fn refusal(stage: Stage, reply: &Reply, words: String) -> Error {
    let kind = refusal_kind(stage, reply);
    let message = match (stage, kind) {
        (_, ErrorKind::RateLimited) => "the mail server asks us to slow down".to_owned(),
        (Stage::Recipient | Stage::Data | Stage::Body | Stage::Final, ErrorKind::Permission) => format!(
            "the mail server's policy refuses {}; check this sender's SPF, DKIM and reputation, not the recipient",
            stage.subject()
        ),
        _ if reply.is_permanent() => format!("the mail server refuses {}", stage.subject()),
        _ => format!("the mail server does not take {} at the moment", stage.subject()),
    };
    let error = Error::new(kind, message).with_code(reply.label()).with_detail(words);
    let greylisted = stage == Stage::Recipient && matches!(reply.enhanced(), Some((4, 7, _)));
    if kind == ErrorKind::RateLimited || greylisted { error.after(HOLD_BACK) } else { error }
}

/// Whose fault a refusal is. Two things hang on it: 5.7.x and 5.3.x are about us and must never make anybody
/// suppress the recipient, and one full mailbox must not stop the connector.
fn refusal_kind(stage: Stage, reply: &Reply) -> ErrorKind {
    let about = reply.enhanced().map(|(_, subject, detail)| (subject, detail));
    let too_large = reply.code == 552 || matches!(about, Some((2, 3) | (3, 4)));
    match reply.code {
        421 => ErrorKind::RateLimited,
        530 | 534 | 535 | 538 => ErrorKind::Auth,
        400..=499 => match (stage, about) {
            (Stage::LogIn, _) => ErrorKind::Transient,
            // Greylisting concerns this recipient only and must not hold up the others.
            (Stage::Recipient, Some((7, _))) => ErrorKind::Transient,
            (_, Some((7, _))) => ErrorKind::RateLimited,
            (Stage::Recipient, Some((1 | 2, _))) => ErrorKind::Invalid,
            _ => ErrorKind::Transient,
        },
        _ if stage == Stage::LogIn => ErrorKind::Auth,
        _ if too_large || matches!(about, Some((6, _))) => ErrorKind::Invalid,
        _ if matches!(about, Some((3 | 7, _))) => ErrorKind::Permission,
        _ if matches!(stage, Stage::Recipient | Stage::Data | Stage::Body | Stage::Final) => match reply.code
        {
            500..=504 => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        },
        _ => ErrorKind::Permission,
    }
}

/// A refusal for good is [`Outcome::Rejected`], unless it is about us (log-in, sender address) rather than this
/// mail: then the mail waits until the operator has put it right.
fn refused(stage: Stage, reply: &Reply, words: String) -> Outcome<Receipt> {
    let error = refusal(stage, reply, words);
    let about_us =
        error.kind == ErrorKind::Auth || (stage == Stage::Sender && error.kind == ErrorKind::Permission);
    if reply.is_permanent() && !about_us { Outcome::Rejected(error) } else { Outcome::Retry(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(stage: Stage, code: u16, text: &str) -> (&'static str, ErrorKind, String) {
        let reply = Reply { code, lines: vec![text.into()] };
        let outcome = Failure::Refused(stage, reply).outcome("ann@kunde.example");
        let error = outcome.error().unwrap().clone();
        let word = match outcome {
            Outcome::Done(_) => "done",
            Outcome::Rejected(_) => "rejected",
            Outcome::Retry(_) => "retry",
            Outcome::Unknown(_) => "unknown",
        };
        (word, error.kind, error.code.unwrap())
    }

    #[test]
    fn refusals_mean_what_their_codes_say() {
        use ErrorKind::{Auth, Internal, Invalid, Permission, RateLimited, Transient};
        let cases = [
            (Stage::Recipient, 550, "5.1.1 unknown", ("rejected", Invalid, "550 5.1.1")),
            (Stage::Recipient, 550, "5.1.10 null MX", ("rejected", Invalid, "550 5.1.10")),
            (Stage::Recipient, 550, "no", ("rejected", Invalid, "550")),
            (Stage::Recipient, 554, "5.7.1 relay access denied", ("rejected", Permission, "554 5.7.1")),
            (Stage::Recipient, 450, "4.2.2 mailbox full", ("retry", Invalid, "450 4.2.2")),
            (Stage::Recipient, 451, "try again", ("retry", Transient, "451")),
            (Stage::Recipient, 451, "4.7.1 greylisted", ("retry", Transient, "451 4.7.1")),
            (Stage::Recipient, 501, "5.5.4 syntax", ("rejected", Internal, "501 5.5.4")),
            (Stage::Sender, 530, "5.7.0 log in first", ("retry", Auth, "530 5.7.0")),
            (Stage::Sender, 553, "5.7.1 not yours", ("retry", Permission, "553 5.7.1")),
            (Stage::Sender, 552, "5.3.4 too big", ("rejected", Invalid, "552 5.3.4")),
            (Stage::Sender, 421, "4.3.2 closing", ("retry", RateLimited, "421 4.3.2")),
            (Stage::Final, 554, "5.7.26 DMARC", ("rejected", Permission, "554 5.7.26")),
            (Stage::Final, 550, "5.6.0 content", ("rejected", Invalid, "550 5.6.0")),
            (Stage::Final, 452, "4.3.1 no space", ("retry", Transient, "452 4.3.1")),
            (Stage::Final, 421, "bye", ("retry", RateLimited, "421")),
        ];
        for (stage, code, text, (word, kind, label)) in cases {
            assert_eq!(meaning(stage, code, text), (word, kind, label.to_owned()), "{stage:?} {code} {text}");
        }
    }

    #[test]
    fn being_told_to_slow_down_says_for_how_long() {
        let reply = Reply { code: 421, lines: vec!["4.7.0 too many".into()] };
        assert_eq!(refusal(Stage::Greeting, &reply, String::new()).retry_after_ms, Some(60_000));
        let greylisted = Reply { code: 450, lines: vec!["4.7.1 greylisted".into()] };
        assert_eq!(refusal(Stage::Recipient, &greylisted, String::new()).retry_after_ms, Some(60_000));
    }

    #[test]
    fn the_recipient_is_not_in_the_error() {
        let reply = Reply { code: 550, lines: vec!["5.1.1 <ann@kunde.example> unknown".into()] };
        let outcome = Failure::Refused(Stage::Recipient, reply).outcome("ann@kunde.example");
        assert!(!format!("{outcome:?}").contains("ann@kunde"), "{outcome:?}");
    }
}
