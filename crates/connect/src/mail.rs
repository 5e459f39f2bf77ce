//! Turns a rendered [`Message`] into the bytes of an e-mail (RFC 5322, MIME), for every connector that carries
//! mail. The same message gives the same bytes on every attempt. Never sends, reads no clock, and lets no text
//! from outside start a header line of its own.

use std::borrow::Cow;

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::headers::url::URL;
use mail_builder::mime::MimePart;
use zyklus_model::address::clean_text;
use zyklus_model::{Email, Purpose};

use crate::command::{ListUnsubscribe, Mailbox, Message, Recipient};
use crate::error::{Error, ErrorKind};

/// Longest shown name, in characters.
const NAME_MAX: usize = 120;
/// Longest subject, in characters.
const SUBJECT_MAX: usize = 400;
/// Longest delivery id; a MIME boundary made of it stays within RFC 2046's 70 characters.
const DELIVERY_MAX: usize = 60;
/// Longest address in a header: a line may hold 998 octets (RFC 5322, 2.1.1).
const URL_MAX: usize = 900;

/// From whom mails come unless a message says otherwise, as a connector's configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Shown sender.
    pub from: Mailbox,
    /// Where answers go, if not to the shown sender.
    pub reply_to: Option<Mailbox>,
    /// Where undeliverable mails come back to (the envelope's sender), if not to the shown sender.
    pub bounce: Option<String>,
}

impl Sender {
    /// Reads and checks the three configuration keys `from`, `reply_to` and `bounce`. A wrong one is
    /// [`ErrorKind::Config`], naming it.
    pub fn parse(from: &str, reply_to: Option<&str>, bounce: Option<&str>) -> Result<Self, Error> {
        let field = |name: &'static str| move |e: Error| Error { field: Some(name.into()), ..e };
        Ok(Sender {
            from: parse_mailbox(from).map_err(field("from"))?,
            reply_to: reply_to.map(parse_mailbox).transpose().map_err(field("reply_to"))?,
            bounce: bounce
                .map(|text| parse_mailbox(text).map(|m| m.email))
                .transpose()
                .map_err(field("bounce"))?,
        })
    }
}

/// An e-mail ready to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The mail: CRLF line ends, no line above 998 octets, no bare CR or LF, and ASCII throughout unless
    /// `needs_smtputf8`. Not dot-stuffed.
    pub bytes: Vec<u8>,
    /// `delivery@sender-domain`, without the angle brackets.
    pub message_id: String,
    /// The envelope's sender (`MAIL FROM`).
    pub envelope_from: String,
    /// The envelope's recipient (`RCPT TO`).
    pub envelope_to: String,
    /// Whether an address has a local part outside ASCII, so that only a server offering SMTPUTF8 (RFC 6531)
    /// can take it.
    pub needs_smtputf8: bool,
}

/// Composes the mail.
///
/// Headers of bulk mail (`List-Unsubscribe`, `List-Unsubscribe-Post`, `List-Id`) go on marketing only; mails
/// for service and transactions carry `Auto-Submitted: auto-generated` instead, which keeps vacation responders
/// quiet (RFC 3834). Marketing goes without it, as bulk senders do: `List-Id` has the same effect there.
/// The one-click header of RFC 8058 is added for an https address only.
///
/// Errors: [`ErrorKind::Unsupported`] for a recipient who is not a mailbox, [`ErrorKind::Invalid`] for an
/// address mail cannot carry, [`ErrorKind::Internal`] for a message without instant, text or usable id.
pub fn compose(message: &Message, sender: &Sender) -> Result<Composed, Error> {
    let Recipient::Email(to) = &message.to else {
        return Err(Error::new(ErrorKind::Unsupported, "this connector carries e-mail only"));
    };
    let to = checked(to, "the recipient's")?;
    let from = checked(message.from.as_ref().unwrap_or(&sender.from), "the sender's")?;
    let reply_to = message.reply_to.as_ref().or(sender.reply_to.as_ref());
    let reply_to = reply_to.map(|m| checked(m, "the reply")).transpose()?;
    let envelope_from = match &sender.bounce {
        Some(bounce) => checked(&Mailbox { name: None, email: bounce.clone() }, "the bounce")?.address,
        None => from.address.clone(),
    };
    let id = delivery_id(&message.delivery)?;
    let sent_at = message
        .sent_at
        .ok_or_else(|| Error::new(ErrorKind::Internal, "the message has no instant for its Date header"))?;
    let domain = from.address.rsplit_once('@').map_or("", |(_, domain)| domain).to_owned();
    let message_id = format!("{id}@{domain}");
    let needs_smtputf8 =
        [Some(&to), Some(&from), reply_to.as_ref()].into_iter().flatten().any(|m| !m.address.is_ascii())
            || !envelope_from.is_ascii();

    let mut builder = MessageBuilder::new()
        .header("From", from.header())
        .header("To", to.header())
        .header("Date", Date::new(sent_at.as_micros().div_euclid(1_000_000)))
        .header("Message-ID", MessageId::new(message_id.clone()));
    if let Some(reply_to) = &reply_to {
        builder = builder.header("Reply-To", reply_to.header());
    }
    let subject = clean_text(message.subject.as_deref().unwrap_or_default(), SUBJECT_MAX);
    if !subject.is_empty() {
        builder = builder.header("Subject", Text::new(subject));
    }
    if let Some(language) = message.locale.as_deref().and_then(language) {
        builder = builder.header("Content-Language", Raw::new(language));
    }
    match message.purpose {
        Purpose::Marketing => {
            builder = builder.header("List-Id", Raw::new(format!("<marketing.{domain}>")));
            if let Some(list) = &message.list_unsubscribe {
                builder = unsubscribe(builder, list)?;
            }
        }
        Purpose::Service | Purpose::Transactional => {
            builder = builder.header("Auto-Submitted", Raw::new("auto-generated"));
        }
    }
    if let Some(tag) = &message.tag {
        builder = builder.header("Feedback-ID", Raw::new(feedback_id(tag, message.purpose, &domain)));
    }
    let bytes = builder.body(body(message, &id)?).write_to_vec().map_err(|e| {
        Error::new(ErrorKind::Internal, "the mail could not be put together").with_detail(e.to_string())
    })?;
    Ok(Composed { bytes, message_id, envelope_from, envelope_to: to.address, needs_smtputf8 })
}

/// Reads `Shop <hello@shop.example>`, `"Shop, Inc." <hello@shop.example>` or a bare address.
/// Anything else is [`ErrorKind::Config`].
pub fn parse_mailbox(text: &str) -> Result<Mailbox, Error> {
    let text = text.trim();
    let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address.trim()),
        None => ("", text),
    };
    let name = match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => name.to_owned(),
    };
    let wrong = |why: String| {
        let mut error =
            Error::new(ErrorKind::Config, format!("{why}; write it as `Shop <hello@shop.example>`"));
        error.detail = Some(text.to_owned());
        error
    };
    let email = Email::parse(address).map_err(|e| wrong(e.to_string()))?;
    wire_address(&email).map_err(|why| wrong(why.to_owned()))?;
    let name = clean_text(&name, NAME_MAX);
    Ok(Mailbox { name: (!name.is_empty()).then_some(name), email: email.as_str().to_owned() })
}

/// A mailbox whose address may be written into headers and SMTP commands as it is.
struct Checked {
    name: Option<String>,
    address: String,
}

impl Checked {
    fn header(&self) -> Address<'_> {
        Address::new_address(self.name.as_deref(), self.address.as_str())
    }
}

fn checked(mailbox: &Mailbox, whose: &str) -> Result<Checked, Error> {
    let wrong = |why: &str| Error::new(ErrorKind::Invalid, format!("{whose} address cannot be used: {why}"));
    let email = Email::parse(&mailbox.email).map_err(|e| wrong(&e.to_string()))?;
    let address = wire_address(&email).map_err(wrong)?;
    let name = mailbox.name.as_deref().map(|name| clean_text(name, NAME_MAX)).filter(|name| !name.is_empty());
    Ok(Checked { name, address })
}

/// The address as it goes over the wire: a local part of RFC 5322 atoms as it is, one with dots in odd places
/// (some Japanese providers gave those out) as a quoted string.
fn wire_address(email: &Email) -> Result<String, &'static str> {
    let (local, domain) = email.as_str().rsplit_once('@').unwrap_or_default();
    let allowed = |c: char| {
        !c.is_control() && (!c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c))
    };
    if local.is_empty() || !local.chars().all(allowed) {
        return Err("the part before the @ contains characters no mail system in use allows");
    }
    if local.split('.').any(str::is_empty) {
        return Ok(format!("\"{local}\"@{domain}"));
    }
    Ok(format!("{local}@{domain}"))
}

fn delivery_id(text: &str) -> Result<String, Error> {
    let fits = !text.is_empty()
        && text.len() <= DELIVERY_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !fits {
        return Err(Error::new(ErrorKind::Internal, "the delivery's id cannot become a Message-ID"));
    }
    Ok(text.to_owned())
}

/// A BCP 47 tag for `Content-Language`. The template variants `de-du` and `de-sie` tell tones of address apart,
/// not regions, so only the language is kept of them.
fn language(locale: &str) -> Option<String> {
    let locale = locale.replace('_', "-");
    let fits = (2..=35).contains(&locale.len())
        && locale
            .split('-')
            .all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()));
    let locale = match locale.split_once('-') {
        Some((language, "du" | "sie")) => language.to_owned(),
        _ => locale,
    };
    fits.then_some(locale)
}

fn unsubscribe<'x>(builder: MessageBuilder<'x>, list: &ListUnsubscribe) -> Result<MessageBuilder<'x>, Error> {
    let wrong = |what: &str| {
        Error::new(ErrorKind::Internal, format!("the unsubscribe {what} cannot stand in a header"))
    };
    let fits = |text: &str| {
        text.len() <= URL_MAX
            && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b',' | b'"'))
    };
    let mut ways: Vec<Cow<'x, str>> = Vec::new();
    let mut one_click = false;
    if let Some(url) = &list.url {
        one_click = url.starts_with("https://");
        if !fits(url) || !(one_click || url.starts_with("http://")) {
            return Err(wrong("address"));
        }
        ways.push(Cow::Owned(url.clone()));
    }
    if let Some(mailto) = &list.mailto {
        let bare = mailto.strip_prefix("mailto:").unwrap_or(mailto);
        if !fits(bare) || !bare.contains('@') {
            return Err(wrong("mailbox"));
        }
        ways.push(Cow::Owned(format!("mailto:{bare}")));
    }
    if ways.is_empty() {
        return Ok(builder);
    }
    let builder = builder.header("List-Unsubscribe", URL { url: ways });
    Ok(match one_click {
        true => builder.header("List-Unsubscribe-Post", Raw::new("List-Unsubscribe=One-Click")),
        false => builder,
    })
}

/// Google's form `campaign:kind:customer:sender`: the first says journey and step, the last is the same on all
/// mails of a sender and has 5 to 15 characters.
fn feedback_id(tag: &str, purpose: Purpose, domain: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() || "-_./".contains(c) { c } else { '_' };
    let campaign: String = tag.chars().take(60).map(word).collect();
    let mut sender: String = domain.chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    while sender.len() < 5 {
        sender.push('0');
    }
    format!("{campaign}:{purpose}:zyklus:{sender}")
}

fn body<'x>(message: &Message, id: &str) -> Result<MimePart<'x>, Error> {
    let text = plain_lines(&message.text);
    let html = message.html.as_deref().map(plain_lines).filter(|html| !html.trim().is_empty());
    let part = |kind: &'static str, text: String| {
        MimePart::new(ContentType::new(kind).attribute("charset", "utf-8"), text)
    };
    match (text.trim().is_empty(), html) {
        (true, None) => Err(Error::new(ErrorKind::Internal, "the message is empty")),
        (false, None) => Ok(part("text/plain", text)),
        (true, Some(html)) => Ok(part("text/html", html)),
        (false, Some(html)) => {
            let mut boundary = format!("=_{id}");
            while text.contains(&boundary) || html.contains(&boundary) {
                boundary.push('=');
            }
            if boundary.len() > 70 {
                return Err(Error::new(ErrorKind::Internal, "the text quotes the mail's own boundary"));
            }
            let kind = ContentType::new("multipart/alternative").attribute("boundary", boundary);
            Ok(MimePart::new(kind, vec![part("text/plain", text), part("text/html", html)]))
        }
    }
}

/// Line ends as LF (the encoders make CRLF of them), other control characters but tabs removed.
fn plain_lines(text: &str) -> String {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut kept: String = unified.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    if !kept.ends_with('\n') {
        kept.push('\n');
    }
    kept
}
