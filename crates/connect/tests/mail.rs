//! The composed mail, read back by another library: what a mail program sees is what was meant, and no text
//! from outside adds a header.

use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;
use zyklus_connect::mail::{Composed, Sender, compose, parse_mailbox};
use zyklus_connect::model::{At, Channel, Purpose};
use zyklus_connect::{ErrorKind, ListUnsubscribe, Mailbox, Message, Recipient};

fn sender() -> Sender {
    Sender::parse("Läden & Co <hello@shop.example>", None, None).expect("a valid sender")
}

fn message(purpose: Purpose) -> Message {
    Message {
        delivery: "dlv_0198c1".into(),
        channel: Channel::Email,
        purpose,
        to: Recipient::Email(Mailbox {
            name: Some("Jörg Müller".into()),
            email: "joerg@kunde.example".into(),
        }),
        from: None,
        reply_to: None,
        subject: Some("Ihr Gutschein über 5 €".into()),
        html: Some("<p>Schöne Grüße</p>".into()),
        text: "Schöne Grüße\n.\nvon uns".into(),
        locale: Some("de-du".into()),
        list_unsubscribe: Some(ListUnsubscribe {
            url: Some("https://shop.example/u/abc".into()),
            mailto: Some("leave@shop.example".into()),
        }),
        tag: Some("welcome/step:1".into()),
        sent_at: Some("2026-03-01T10:00:00Z".parse::<At>().expect("an instant")),
    }
}

fn header_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let (head, _) = text.split_once("\r\n\r\n").expect("a header and a body");
    head.split("\r\n").map(str::to_owned).collect()
}

fn header_names(bytes: &[u8]) -> Vec<String> {
    let lines = header_lines(bytes);
    let starts = lines.iter().filter(|line| !line.starts_with([' ', '\t']));
    starts.map(|line| line.split_once(':').expect("a header line").0.to_owned()).collect()
}

fn check_wire(composed: &Composed) {
    let mut previous = 0;
    let mut length = 0;
    for &byte in &composed.bytes {
        assert_eq!(byte == b'\n', previous == b'\r', "bare CR or LF");
        length = if byte == b'\n' { 0 } else { length + 1 };
        assert!(length <= 998, "a line above 998 octets");
        assert!(byte != 0, "NUL");
        previous = byte;
    }
    assert!(composed.bytes.ends_with(b"\r\n"));
    assert!(composed.needs_smtputf8 || composed.bytes.is_ascii());
}

#[test]
fn marketing_reads_back_as_it_was_meant() {
    let composed = compose(&message(Purpose::Marketing), &sender()).unwrap();
    check_wire(&composed);
    let mail = MessageParser::default().parse(&composed.bytes).unwrap();
    assert_eq!(mail.subject(), Some("Ihr Gutschein über 5 €"));
    assert_eq!(mail.from().unwrap().first().unwrap().name(), Some("Läden & Co"));
    assert_eq!(mail.to().unwrap().first().unwrap().name(), Some("Jörg Müller"));
    assert_eq!(mail.to().unwrap().first().unwrap().address(), Some("joerg@kunde.example"));
    assert_eq!(mail.message_id(), Some("dlv_0198c1@shop.example"));
    assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-03-01T10:00:00Z");
    assert_eq!(mail.content_type().unwrap().subtype(), Some("alternative"));
    assert_eq!(mail.body_text(0).unwrap().trim_end(), "Schöne Grüße\r\n.\r\nvon uns".replace("\r\n", "\n"));
    assert_eq!(mail.body_html(0).unwrap().trim_end(), "<p>Schöne Grüße</p>");
    let lines = header_lines(&composed.bytes).join("\n");
    assert!(lines.contains("List-Unsubscribe: <https://shop.example/u/abc>"), "{lines}");
    assert!(lines.contains("<mailto:leave@shop.example>"), "{lines}");
    assert!(lines.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{lines}");
    assert!(lines.contains("Content-Language: de\n"), "{lines}");
    assert!(lines.contains("Feedback-ID: welcome/step_1:marketing:zyklus:shopexample"), "{lines}");
    assert!(!lines.contains("Auto-Submitted"), "{lines}");
}

#[test]
fn service_mail_has_no_bulk_headers() {
    let composed = compose(&message(Purpose::Service), &sender()).unwrap();
    let names = header_names(&composed.bytes);
    assert!(names.contains(&"Auto-Submitted".to_owned()));
    assert!(!names.iter().any(|name| name.starts_with("List-")), "{names:?}");
}

#[test]
fn every_attempt_gives_the_same_bytes() {
    let first = compose(&message(Purpose::Marketing), &sender()).unwrap();
    assert_eq!(first, compose(&message(Purpose::Marketing), &sender()).unwrap());
}

#[test]
fn plain_http_gets_no_one_click_header() {
    let mut message = message(Purpose::Marketing);
    message.list_unsubscribe =
        Some(ListUnsubscribe { url: Some("http://localhost/u/1".into()), mailto: None });
    let names = header_names(&compose(&message, &sender()).unwrap().bytes);
    assert!(names.contains(&"List-Unsubscribe".to_owned()));
    assert!(!names.contains(&"List-Unsubscribe-Post".to_owned()));
}

#[test]
fn unsubscribe_address_that_would_break_the_header_is_refused() {
    for url in
        ["https://a.example/\r\nBcc: x@y.example", "https://a.example/> <b", "javascript:x", "https://a b"]
    {
        let mut message = message(Purpose::Marketing);
        message.list_unsubscribe = Some(ListUnsubscribe { url: Some(url.into()), mailto: None });
        assert_eq!(compose(&message, &sender()).unwrap_err().kind, ErrorKind::Internal, "{url}");
    }
}

#[test]
fn mail_without_html_is_plain_text() {
    let mut message = message(Purpose::Transactional);
    message.html = None;
    let composed = compose(&message, &sender()).unwrap();
    let mail = MessageParser::default().parse(&composed.bytes).unwrap();
    assert_eq!(mail.content_type().unwrap().subtype(), Some("plain"));
    assert_eq!(mail.parts.len(), 1);
}

#[test]
fn long_html_lines_are_wrapped() {
    let mut message = message(Purpose::Service);
    message.html = Some("<td>ä</td>".repeat(5_000));
    let composed = compose(&message, &sender()).unwrap();
    check_wire(&composed);
    let longest = composed.bytes.split(|b| *b == b'\n').map(<[u8]>::len).max();
    assert!(longest <= Some(79), "{longest:?}");
    let mail = MessageParser::default().parse(&composed.bytes).unwrap();
    assert_eq!(mail.body_html(0).unwrap().trim_end(), "<td>ä</td>".repeat(5_000));
}

#[test]
fn local_part_outside_ascii_asks_for_smtputf8() {
    let mut message = message(Purpose::Service);
    message.to = Recipient::Email(Mailbox { name: None, email: "jörg@bücher.example".into() });
    let composed = compose(&message, &sender()).unwrap();
    assert!(composed.needs_smtputf8);
    assert_eq!(composed.envelope_to, "jörg@xn--bcher-kva.example");
}

#[test]
fn odd_dots_are_quoted_and_impossible_addresses_refused() {
    let mut message = message(Purpose::Service);
    message.to = Recipient::Email(Mailbox { name: None, email: "jo..hn.@docomo.example".into() });
    assert_eq!(compose(&message, &sender()).unwrap().envelope_to, "\"jo..hn.\"@docomo.example");
    for email in
        ["a@localhost", "a@[127.0.0.1]", "a(b)@x.example", "a\"b@x.example", "a b@x.example", "", "@"]
    {
        message.to = Recipient::Email(Mailbox { name: None, email: email.into() });
        assert_eq!(compose(&message, &sender()).unwrap_err().kind, ErrorKind::Invalid, "{email}");
    }
    message.to = Recipient::Phone("+491701234567".into());
    assert_eq!(compose(&message, &sender()).unwrap_err().kind, ErrorKind::Unsupported);
}

#[test]
fn bounces_and_answers_go_where_configured() {
    let sender =
        Sender::parse("hello@shop.example", Some("Help <help@shop.example>"), Some("b@bounce.shop.example"))
            .unwrap();
    let composed = compose(&message(Purpose::Service), &sender).unwrap();
    assert_eq!(composed.envelope_from, "b@bounce.shop.example");
    let mail = MessageParser::default().parse(&composed.bytes).unwrap();
    assert_eq!(mail.reply_to().unwrap().first().unwrap().address(), Some("help@shop.example"));
    let wrong = Sender::parse("hello@shop.example", Some("nobody"), None).unwrap_err();
    assert_eq!((wrong.kind, wrong.field.as_deref()), (ErrorKind::Config, Some("reply_to")));
}

#[test]
fn sender_forms_are_read() {
    let cases = [
        ("hello@shop.example", None),
        ("<hello@shop.example>", None),
        ("Shop <hello@shop.example>", Some("Shop")),
        ("\"Shop, \\\"the\\\" one\" <Hello@Shop.Example>", Some("Shop, \"the\" one")),
    ];
    for (text, name) in cases {
        let mailbox = parse_mailbox(text).unwrap();
        assert_eq!((mailbox.name.as_deref(), mailbox.email.as_str()), (name, "hello@shop.example"), "{text}");
    }
    for text in ["", "Shop", "Shop <>", "Shop <a@b@c.example>", "a@localhost"] {
        assert_eq!(parse_mailbox(text).unwrap_err().kind, ErrorKind::Config, "{text}");
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        "\0",
        "Bcc: x@evil.example",
        "\r\nBcc: x@evil.example\r\n",
        "=?utf-8?q?=0d=0aBcc:?=",
        "\"",
        "\\",
        "<",
        ">",
        ",",
        ":",
        ";",
        "(",
        "\u{2028}",
        "\u{85}",
        "\u{202e}",
        "\u{feff}",
        "ä",
        "日本語",
        "🎁",
        " ",
        "\t",
        "--=_dlv_0198c1",
        "\r\n.\r\n",
        "\r\n\r\n",
    ]);
    let piece = prop_oneof![nasty.prop_map(str::to_owned), any::<String>(), "[ -~]{0,90}"];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Whatever stands in names, subject, tag, locale and body, the mail has exactly the headers it should have.
    #[test]
    fn no_text_adds_a_header(
        to in any_text(), from in any_text(), reply in any_text(), subject in any_text(), tag in any_text(),
        locale in any_text(), text in any_text(), html in any_text(),
    ) {
        let mailbox = |name: &str, email: &str| Mailbox { name: Some(name.into()), email: email.into() };
        let mut subject_message = message(Purpose::Marketing);
        let expected: Vec<String> = header_names(&compose(&subject_message, &sender()).unwrap().bytes);
        subject_message.to = Recipient::Email(mailbox(&to, "to@kunde.example"));
        subject_message.from = Some(mailbox(&from, "from@shop.example"));
        subject_message.reply_to = Some(mailbox(&reply, "reply@shop.example"));
        subject_message.subject = Some(format!("s{subject}"));
        subject_message.tag = Some(tag);
        subject_message.locale = Some(locale);
        subject_message.text = format!("x{text}");
        subject_message.html = Some(format!("x{html}"));
        let composed = compose(&subject_message, &sender()).unwrap();
        check_wire(&composed);
        let mut names = header_names(&composed.bytes);
        names.retain(|name| name != "Reply-To" && name != "Content-Language");
        let expected: Vec<String> = expected.into_iter().filter(|name| name != "Content-Language").collect();
        prop_assert_eq!(names, expected);

        let mail = MessageParser::default().parse(&composed.bytes).unwrap();
        prop_assert_eq!(mail.to().unwrap().iter().count(), 1);
        prop_assert_eq!(mail.to().unwrap().first().unwrap().address(), Some("to@kunde.example"));
        prop_assert_eq!(mail.from().unwrap().first().unwrap().address(), Some("from@shop.example"));
        prop_assert!(mail.bcc().is_none());
        prop_assert_eq!(mail.parts.len(), 3, "text and HTML in one multipart, and nothing else");
    }

    /// Whatever stands in an address, it is refused or arrives as one mailbox.
    #[test]
    fn no_address_adds_a_recipient(email in any_text(), local in "[ -~]{1,12}") {
        for email in [email, format!("{local}@kunde.example")] {
            let mut message = message(Purpose::Service);
            message.to = Recipient::Email(Mailbox { name: None, email });
            if let Ok(composed) = compose(&message, &sender()) {
                check_wire(&composed);
                prop_assert!(!composed.envelope_to.contains([' ', '<', '>', '\r', '\n']));
                let mail = MessageParser::default().parse(&composed.bytes).unwrap();
                prop_assert_eq!(mail.to().unwrap().iter().count(), 1);
            }
        }
    }
}
