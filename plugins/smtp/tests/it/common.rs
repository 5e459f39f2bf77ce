//! What the tests of this connector share: a host's context without a host, and messages. Never a server.

use std::sync::Arc;

use async_trait::async_trait;
use zyklus_connect::model::{At, Channel, Purpose, Receipt};
use zyklus_connect::{
    Connector, Ctx, Factory, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Keyed, Mailbox,
    Message, Outcome, Recipient, Result,
};
use zyklus_smtp::SmtpConnector;

struct NoHttp;

#[async_trait]
impl Http for NoHttp {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError { kind: HttpErrorKind::Refused, message: "no HTTP in this test".into() })
    }
}

/// Opens the connector against a port of this machine, with further configuration keys.
pub(crate) async fn open(port: u16, more: serde_json::Value) -> Result<SmtpConnector> {
    let mut config = serde_json::json!({
        "host": "127.0.0.1", "port": port, "tls": "none", "from": "Shop <hello@shop.example>",
        "command_timeout": "5s", "data_timeout": "5s",
    });
    config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let clock = Arc::new(|| At::from_seconds(1_772_359_200));
    let ctx = Ctx::new("mail", Arc::new(NoHttp), clock, "/".into(), "/nowhere".into());
    SmtpConnector::open(serde_json::from_value(config).expect("a configuration"), ctx).await
}

/// A small message to `name@kunde.example`.
pub(crate) fn message(name: &str) -> Keyed<Message> {
    let delivery = format!("dlv_{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
    Keyed {
        key: delivery.clone(),
        attempt: 1,
        body: Message {
            delivery,
            channel: Channel::Email,
            purpose: Purpose::Service,
            to: Recipient::Email(Mailbox { name: None, email: format!("{name}@kunde.example") }),
            from: None,
            reply_to: None,
            subject: Some("Danke".into()),
            html: Some("<p>Danke</p>".into()),
            text: "Danke\n.\n.. und Grüße".into(),
            locale: Some("de".into()),
            list_unsubscribe: None,
            tag: None,
            sent_at: Some(At::from_seconds(1_772_359_200)),
        },
    }
}

/// Sends messages to these names.
pub(crate) async fn send(connector: &SmtpConnector, names: &[&str]) -> Vec<Outcome<Receipt>> {
    let batch = names.iter().map(|name| message(name)).collect();
    connector.channel().expect("it is a channel").send(batch).await
}

/// An outcome in one line: word, kind and code.
pub(crate) fn word(outcome: &Outcome<Receipt>) -> String {
    let (word, error) = match outcome {
        Outcome::Done(_) => return "done".into(),
        Outcome::Rejected(error) => ("rejected", error),
        Outcome::Retry(error) => ("retry", error),
        Outcome::Unknown(error) => ("unknown", error),
    };
    format!("{word} {:?} {}", error.kind, error.code.as_deref().unwrap_or("-"))
}
