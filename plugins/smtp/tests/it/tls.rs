//! Encryption is what the configuration says or nothing is sent: certificates are checked, and nobody in
//! between can talk the connector out of TLS or slip words in before it.

use std::io::Write;
use std::sync::Arc;

use crate::common::{open, send, word};
use crate::server::{Faults, Server};
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use zyklus_connect::{Connector, Error, ErrorKind};

/// A certificate for these names, as a server uses it and as a `ca_file`.
fn certificate(names: &[&str]) -> (TlsAcceptor, tempfile::NamedTempFile) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("certificate and key fit");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(made.cert.pem().as_bytes()).expect("it can be written");
    (TlsAcceptor::from(Arc::new(config)), file)
}

fn starttls(tls: TlsAcceptor) -> Faults {
    Faults {
        offers: vec!["STARTTLS", "AUTH PLAIN"],
        tls: Some(tls),
        login: Some("shop:geheim"),
        ..Faults::default()
    }
}

async fn problem(server: &Server, config: serde_json::Value) -> Error {
    let connector = open(server.port, config).await.expect("a configuration that fits");
    let outcome = send(&connector, &["a"]).await.remove(0);
    assert!(word(&outcome).starts_with("retry "), "{outcome:?}");
    assert!(server.taken().is_empty());
    assert!(!server.commands().iter().any(|c| c.starts_with("MAIL") || c.starts_with("AUTH")));
    connector.check().await.remove(0).problem.expect("a problem")
}

#[tokio::test]
async fn own_authority_is_trusted_only_when_named() {
    let (tls, ca) = certificate(&["localhost", "127.0.0.1"]);
    let implicit = Faults { implicit: true, ..starttls(tls.clone()) };
    for (faults, way) in [(starttls(tls), "starttls"), (implicit, "implicit")] {
        let server = Server::start(faults).await;
        let refused = problem(&server, json!({ "tls": way })).await;
        assert_eq!(
            (refused.kind, refused.field.as_deref()),
            (ErrorKind::Config, Some("ca_file")),
            "{refused:?}"
        );
        for host in ["localhost", "127.0.0.1"] {
            let config = json!({
                "tls": way, "host": host, "ca_file": ca.path(), "username": "shop", "password": "geheim",
            });
            let connector = open(server.port, config).await.unwrap();
            assert_eq!(word(&send(&connector, &["a"]).await[0]), "done");
            let check = connector.check().await.remove(0);
            assert!(check.problem.is_none() && check.found.contains("TLS, logged in"), "{check:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (tls, ca) = certificate(&["other.example"]);
    let server = Server::start(starttls(tls)).await;
    let refused = problem(&server, json!({ "tls": "starttls", "ca_file": ca.path() })).await;
    assert_eq!((refused.kind, refused.field.as_deref()), (ErrorKind::Config, Some("host")), "{refused:?}");
}

#[tokio::test]
async fn stripped_starttls_sends_nothing() {
    let server = Server::start(Faults { offers: vec!["AUTH PLAIN"], ..Faults::default() }).await;
    let config = json!({ "tls": "starttls", "username": "shop", "password": "geheim" });
    let refused = problem(&server, config).await;
    assert_eq!((refused.kind, refused.field.as_deref()), (ErrorKind::Config, Some("tls")));
}

#[tokio::test]
async fn words_slipped_in_before_tls_send_nothing() {
    let (tls, ca) = certificate(&["127.0.0.1"]);
    let injected = "250-evil.example\r\n250 AUTH PLAIN\r\n";
    let server = Server::start(Faults { injected, ..starttls(tls) }).await;
    let refused = problem(&server, json!({ "tls": "starttls", "ca_file": ca.path() })).await;
    assert!(refused.message.contains("before TLS had begun"), "{refused}");
}

#[tokio::test]
async fn tls_against_a_plain_server_is_said_so() {
    let server = Server::start(Faults::default()).await;
    let refused = problem(&server, json!({ "tls": "implicit" })).await;
    assert!(refused.message.contains("does not speak TLS"), "{refused:?}");
}

#[tokio::test]
async fn faults_after_the_final_dot_mean_the_same_over_tls() {
    let (tls, ca) = certificate(&["127.0.0.1"]);
    let server = Server::start(starttls(tls)).await;
    let config =
        json!({ "tls": "starttls", "ca_file": ca.path(), "max_connections": 1, "data_timeout": "400ms" });
    let connector = open(server.port, config).await.unwrap();
    for (name, expected) in [("cut", "unknown"), ("hang", "unknown"), ("rcptcut", "retry"), ("ok", "done")] {
        let outcome = send(&connector, &[name]).await.remove(0);
        assert_eq!(word(&outcome).split(' ').next(), Some(expected), "{outcome:?}");
    }
}
