//! The connector against a server that refuses, hangs, cuts and lies: what is said about each mail is true, and
//! no answer to one mail is ever taken for another's.

use std::time::{Duration, Instant};

use crate::common::{message, open, send, word};
use crate::server::{Faults, Server};
use serde_json::json;
use zyklus_connect::{Connector, Error, ErrorKind, Outcome};

#[tokio::test]
async fn each_fault_means_what_it_means() {
    let cases = [
        ("ok", "done"),
        ("split", "done"),
        ("many", "done"),
        ("rcpt550", "rejected Invalid 550 5.1.1"),
        ("rcpt451", "retry Transient 451 4.3.0"),
        ("rcpt421", "retry RateLimited 421 4.3.2"),
        ("rcptcut", "retry Transient -"),
        ("rcptweird", "retry Transient 220"),
        ("rcptgarbage", "retry Transient -"),
        ("data451", "retry Transient 451 4.3.0"),
        ("data250", "retry Transient 250"),
        ("twice354", "retry Transient 354"),
        ("early552", "rejected Invalid 552 5.3.4"),
        ("final550", "rejected Permission 550 5.7.26"),
        ("final451", "retry Transient 451 4.3.0"),
        ("final354", "unknown Internal 354"),
        ("final251", "unknown Internal 251"),
        ("finalgarbage", "unknown Transient -"),
        ("cut", "unknown Transient -"),
        ("hang", "unknown Transient -"),
    ];
    for offers in [vec![], vec!["PIPELINING", "SIZE 1000000"]] {
        let server = Server::start(Faults { offers: offers.clone(), ..Faults::default() }).await;
        let connector =
            open(server.port, json!({ "max_connections": 1, "data_timeout": "400ms" })).await.unwrap();
        for (name, expected) in cases {
            // A good mail after every bad one: it goes through and gets its own answer.
            let outcomes = send(&connector, &[name, "after"]).await;
            assert_eq!(word(&outcomes[0]), expected, "{name} with {offers:?}");
            assert_eq!(word(&outcomes[1]), "done", "the mail after {name} with {offers:?}");
        }
        let counts = server.counts();
        assert_eq!(counts["after@kunde.example"], cases.len());
        assert_eq!(counts.len(), 4, "{counts:?}");
    }
}

#[tokio::test]
async fn outcomes_come_in_order() {
    let server = Server::start(Faults::default()).await;
    let connector = open(server.port, json!({})).await.unwrap();
    let names = ["ok", "rcpt550", "split", "final451", "a", "final550", "b"];
    let words: Vec<String> = send(&connector, &names).await.iter().map(word).collect();
    let expected = [
        "done",
        "rejected Invalid 550 5.1.1",
        "done",
        "retry Transient 451 4.3.0",
        "done",
        "rejected Permission 550 5.7.26",
        "done",
    ];
    assert_eq!(words, expected);
}

#[tokio::test]
async fn a_refused_recipient_keeps_the_connection() {
    for offers in [vec![], vec!["PIPELINING"]] {
        let server = Server::start(Faults { offers, ..Faults::default() }).await;
        let connector = open(server.port, json!({ "max_connections": 1 })).await.unwrap();
        send(&connector, &["a", "rcpt550", "b", "final550", "rcpt451", "data451", "c"]).await;
        assert_eq!(server.opened(), 1);
        assert_eq!(server.taken().len(), 3);
        assert_eq!(server.commands().iter().filter(|c| *c == "RSET").count(), 3);
    }
}

#[tokio::test]
async fn our_sender_address_refused_is_not_the_mails_fault() {
    for offers in [vec![], vec!["PIPELINING"]] {
        let server = Server::start(Faults { offers, ..Faults::default() }).await;
        let connector = open(server.port, json!({ "bounce": "refused@shop.example" })).await.unwrap();
        let outcomes = send(&connector, &["a", "b"]).await;
        assert_eq!(outcomes.iter().map(word).collect::<Vec<_>>(), ["retry Permission 553 5.7.1"; 2]);
        assert!(server.taken().is_empty());
    }
}

#[tokio::test]
async fn no_answer_after_the_final_dot_is_unknown_in_time() {
    let server = Server::start(Faults::default()).await;
    let connector = open(server.port, json!({ "data_timeout": "300ms" })).await.unwrap();
    let started = Instant::now();
    assert_eq!(word(&send(&connector, &["hang"]).await[0]), "unknown Transient -");
    assert!((Duration::from_millis(300)..Duration::from_secs(3)).contains(&started.elapsed()));
}

#[tokio::test]
async fn a_dropped_send_goes_on_and_its_answer_stays_its_own() {
    let server = Server::start(Faults::default()).await;
    let connector = open(server.port, json!({ "max_connections": 1 })).await.unwrap();
    send(&connector, &["before"]).await;
    let dropped = async {
        let _ = connector.channel().unwrap().send(vec![message("held550"), message("queued")]).await;
        panic!("it was to be dropped first");
    };
    tokio::select! {
        () = dropped => {}
        () = server.a_mail_is_held() => {}
    }
    // The first mail's 550 is still to come; the next one must not read it as its own, nor the other way round.
    let (outcomes, ()) = tokio::join!(send(&connector, &["next"]), async { server.release() });
    assert_eq!(word(&outcomes[0]), "done");
    let taken: Vec<String> = server.taken().into_iter().map(|(to, _)| to).collect();
    assert_eq!(taken, ["before@kunde.example", "queued@kunde.example", "next@kunde.example"]);
    assert_eq!(server.opened(), 1, "the refusal was read in its turn, so the connection lives");
}

#[tokio::test]
async fn two_hundred_mails_share_four_connections() {
    let faults = Faults { works_for: Duration::from_millis(2), ..Faults::default() };
    let server = Server::start(faults).await;
    let connector = open(server.port, json!({})).await.unwrap();
    let names: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (first, second) = tokio::join!(send(&connector, &names[..100]), send(&connector, &names[100..]));
    assert!(first.iter().chain(&second).all(|outcome| word(outcome) == "done"));
    assert_eq!((server.opened(), server.peak()), (4, 4));
    let counts = server.counts();
    assert!(counts.len() == 200 && counts.values().all(|n| *n == 1), "{counts:?}");
    connector.close().await;
    assert_eq!(server.commands().iter().filter(|c| *c == "QUIT").count(), 4);
    assert_eq!(word(&send(&connector, &["late"]).await[0]), "retry Cancelled -");
}

#[tokio::test]
async fn a_connection_that_died_while_idle_costs_nothing() {
    let hangs_up = Faults { hangs_up_after: Some(1), ..Faults::default() };
    let tires = Faults { tires_after: Some(2), offers: vec!["PIPELINING"], ..Faults::default() };
    for (faults, connections) in [(hangs_up, 6), (tires, 3)] {
        let server = Server::start(faults).await;
        let connector = open(server.port, json!({ "max_connections": 1 })).await.unwrap();
        let outcomes = send(&connector, &["a", "b", "c", "d", "e", "f"]).await;
        assert!(outcomes.iter().all(|outcome| word(outcome) == "done"), "{outcomes:?}");
        assert_eq!((server.opened(), server.taken().len()), (connections, 6));
    }
}

#[tokio::test]
async fn small_writes_do_not_wait_for_acknowledgements() {
    let server = Server::start(Faults::default()).await;
    let connector = open(server.port, json!({ "max_connections": 1 })).await.unwrap();
    let started = Instant::now();
    let outcomes = send(&connector, &["x"; 100]).await;
    assert!(outcomes.iter().all(|outcome| word(outcome) == "done"));
    // With Nagle's algorithm each mail waits 40 ms, 4 s together.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_mail_arrives_as_it_was_composed() {
    let server = Server::start(Faults::default()).await;
    let connector = open(server.port, json!({})).await.unwrap();
    let outcomes = send(&connector, &["ok"]).await;
    let Outcome::Done(receipt) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(receipt.provider_ref.as_deref(), Some("dlv_ok@shop.example"));
    let sender = zyklus_connect::mail::Sender::parse("Shop <hello@shop.example>", None, None).unwrap();
    let composed = zyklus_connect::mail::compose(&message("ok").body, &sender).unwrap();
    assert_eq!(server.taken(), [("ok@kunde.example".to_owned(), composed.bytes)]);
}

#[tokio::test]
async fn what_the_server_cannot_take_is_not_sent() {
    let server = Server::start(Faults { offers: vec!["SIZE 200"], ..Faults::default() }).await;
    let connector = open(server.port, json!({})).await.unwrap();
    assert_eq!(word(&send(&connector, &["big"]).await[0]), "rejected Invalid -");
    let server = Server::start(Faults::default()).await;
    let connector = open(server.port, json!({})).await.unwrap();
    assert_eq!(word(&send(&connector, &["jörg"]).await[0]), "rejected Invalid -");
    assert!(server.taken().is_empty());
    let server = Server::start(Faults { offers: vec!["SMTPUTF8", "8BITMIME"], ..Faults::default() }).await;
    let connector = open(server.port, json!({})).await.unwrap();
    assert_eq!(word(&send(&connector, &["jörg"]).await[0]), "done");
    assert!(server.commands().iter().any(|c| c.starts_with("MAIL") && c.ends_with(" SMTPUTF8")));
}

/// The problem `check` reports, which must be the one a mail meets too, as a retry.
async fn problem(faults: Faults, config: serde_json::Value) -> Error {
    let server = Server::start(faults).await;
    let connector = open(server.port, config).await.expect("a configuration that fits");
    let problem = connector.check().await.remove(0).problem.expect("a problem");
    match &send(&connector, &["a"]).await[0] {
        Outcome::Retry(error) => assert_eq!((error.kind, &error.message), (problem.kind, &problem.message)),
        other => panic!("{other:?}"),
    }
    problem
}

#[tokio::test]
async fn a_server_that_does_not_want_us_is_the_connectors_problem() {
    let greeting = |greeting| Faults { greeting: Some(greeting), ..Faults::default() };
    let busy = problem(greeting("421 4.7.0 too many connections\r\n"), json!({})).await;
    assert_eq!((busy.kind, busy.retry_after_ms), (ErrorKind::RateLimited, Some(60_000)));
    assert_eq!(problem(greeting("554 5.7.1 go away\r\n"), json!({})).await.kind, ErrorKind::Permission);
    let http = problem(greeting("HTTP/1.1 400 Bad Request\r\n"), json!({})).await;
    assert!(http.message.contains("does not speak SMTP"), "{http}");
    let early = problem(greeting("220 hello\r\n250 surprise\r\n"), json!({})).await;
    assert_eq!(early.kind, ErrorKind::Transient);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_never_speaks_is_said_so() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let connector = open(port, json!({ "command_timeout": "200ms" })).await.unwrap();
    assert_eq!(word(&send(&connector, &["a"]).await[0]), "retry Transient -");
    drop(silent);
    let outcomes = send(&connector, &["a"]).await;
    assert!(outcomes[0].error().unwrap().message.contains("no connection to `127.0.0.1`"), "{outcomes:?}");
}

#[tokio::test]
async fn log_in_works_both_ways_and_its_failure_is_the_connectors() {
    for offers in [vec!["AUTH LOGIN PLAIN"], vec!["AUTH=LOGIN"]] {
        let faults = Faults { offers, login: Some("shop:geheim"), ..Faults::default() };
        let server = Server::start(faults.clone()).await;
        let connector = open(server.port, json!({ "username": "shop", "password": "geheim" })).await.unwrap();
        assert_eq!(word(&send(&connector, &["a"]).await[0]), "done");
        let check = connector.check().await.remove(0);
        assert!(check.problem.is_none() && check.found.starts_with("fault.example"), "{check:?}");

        let wrong = problem(faults, json!({ "username": "shop", "password": "falsch" })).await;
        assert_eq!((wrong.kind, wrong.code.as_deref()), (ErrorKind::Auth, Some("535 5.7.8")));
        // Neither as it is nor in Base64, alone or after the name.
        for secret in ["falsch", "ZmFsc2No", "AHNob3AAZmFsc2No"] {
            assert!(!format!("{wrong:?}").contains(secret), "{wrong:?}");
        }
    }
    let none = problem(Faults::default(), json!({ "username": "u", "password": "p" })).await;
    assert_eq!((none.kind, none.field.as_deref()), (ErrorKind::Config, Some("username")));
}
