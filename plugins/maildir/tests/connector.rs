//! The connector as the daemon uses it: real messages in, mails a mail program can read out.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mail_parser::MessageParser;
use serde_json::json;
use zyklus_connect::{
    Connector, Ctx, ErrorKind, Factory, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Keyed,
    Message, Outcome, Result,
};
use zyklus_maildir::MaildirConnector;
use zyklus_model::At;

struct NoHttp;

#[async_trait]
impl Http for NoHttp {
    async fn send(&self, _: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        Err(HttpError { kind: HttpErrorKind::Refused, message: "no HTTP in this test".into() })
    }
}

async fn open(base: &Path, config: serde_json::Value) -> Result<MaildirConnector> {
    let clock = Arc::new(|| At::from_seconds(1_772_359_200));
    let ctx = Ctx::new("mail", Arc::new(NoHttp), clock, base.into(), base.join("data"));
    MaildirConnector::open(serde_json::from_value(config).expect("a configuration"), ctx).await
}

fn message(delivery: &str, attempt: u32, to: serde_json::Value) -> Keyed<Message> {
    serde_json::from_value(json!({
        "key": delivery, "attempt": attempt, "body": {
            "delivery": delivery, "channel": "email", "purpose": "marketing", "to": to,
            "subject": "Schön, dass Sie da sind", "text": "Grüße\n.\n", "html": "<p>Grüße</p>", "locale": "de",
            "list_unsubscribe": {"url": "https://shop.example/u/abc"}
        }
    }))
    .expect("a message")
}

fn ann() -> serde_json::Value {
    json!({"email": {"name": "Ann", "email": "ann@kunde.example"}})
}

fn mails(base: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(base.join("post/new")).expect("a Maildir");
    entries.map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a mail")).collect()
}

#[tokio::test]
async fn a_mail_program_reads_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let connector =
        open(dir.path(), json!({"path": "post", "from": "Teehaus <hallo@teehaus.example>"})).await.unwrap();
    assert!(connector.check().await.iter().all(|check| check.problem.is_none()));
    let outcomes = connector.channel().unwrap().send(vec![message("dlv_1", 1, ann())]).await;
    assert!(matches!(&outcomes[..], [Outcome::Done(_)]), "{outcomes:?}");
    let mails = mails(dir.path());
    let mail = MessageParser::default().parse(&mails[0]).unwrap();
    assert_eq!(mail.subject(), Some("Schön, dass Sie da sind"));
    assert_eq!(mail.message_id(), Some("dlv_1@teehaus.example"));
    assert_eq!(mail.to().unwrap().first().unwrap().address(), Some("ann@kunde.example"));
    assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), "Grüße\n.\n");
    assert!(mail.body_html(0).unwrap().contains("<p>Grüße</p>"));
    assert!(mail.header_raw("List-Unsubscribe-Post").unwrap().contains("One-Click"));
}

#[tokio::test]
async fn the_same_delivery_again_after_a_crash_is_no_second_mail() {
    let dir = tempfile::tempdir().unwrap();
    let mut receipts = Vec::new();
    for attempt in 1..=3 {
        // A new process each time.
        let connector = open(dir.path(), json!({"path": "post"})).await.unwrap();
        let batch = vec![message("dlv_1", attempt, ann()), message("dlv_2", attempt, ann())];
        receipts.push(connector.channel().unwrap().send(batch).await);
    }
    assert_eq!(mails(dir.path()).len(), 2);
    assert!(receipts[0].iter().all(|outcome| matches!(outcome, Outcome::Done(_))));
    assert_eq!(receipts[0], receipts[2]);
}

#[tokio::test]
async fn one_bad_message_does_not_spoil_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let connector = open(dir.path(), json!({"path": "post"})).await.unwrap();
    let batch = vec![
        message("dlv_1", 1, json!({"phone": "+4915112345678"})),
        message("dlv_2", 1, json!({"email": {"email": "nobody"}})),
        message("dlv_3", 1, ann()),
    ];
    let outcomes = connector.channel().unwrap().send(batch).await;
    let kinds: Vec<Option<ErrorKind>> = outcomes.iter().map(|o| o.error().map(|e| e.kind)).collect();
    assert_eq!(kinds, [Some(ErrorKind::Unsupported), Some(ErrorKind::Invalid), None]);
    assert!(matches!(&outcomes[0], Outcome::Rejected(_)) && matches!(&outcomes[1], Outcome::Rejected(_)));
    assert_eq!(mails(dir.path()).len(), 1);
}

#[tokio::test]
async fn a_folder_that_vanished_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let connector = open(dir.path(), json!({"path": "post"})).await.unwrap();
    std::fs::remove_dir_all(dir.path().join("post")).unwrap();
    let outcomes = connector.channel().unwrap().send(vec![message("dlv_1", 1, ann())]).await;
    assert!(matches!(&outcomes[..], [Outcome::Retry(e)] if e.kind == ErrorKind::Transient), "{outcomes:?}");
    assert!(connector.check().await[0].problem.is_some());
}

#[tokio::test]
async fn wrong_settings_name_their_key() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    for (config, field) in [
        (json!({"path": ""}), "path"),
        (json!({"path": "file/below"}), "path"),
        (json!({"path": "post", "from": "Teehaus"}), "from"),
    ] {
        let error = open(dir.path(), config).await.err().unwrap();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Config, Some(field)));
    }
}
