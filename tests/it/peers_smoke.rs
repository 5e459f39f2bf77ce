//! Each server that the tests rely on starts, does its one job and ends. Nothing of Zyklus is tested here.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use zyklus_tests::postgres::fresh_database;
use zyklus_tests::smtp_fault::{Act, SmtpFault, Stage};
use zyklus_tests::smtp_sink::SmtpSink;
use zyklus_tests::vendure::{OrderSpec, Vendure};

const SOON: Duration = Duration::from_secs(10);

/// Speaks SMTP line by line; each line waits for the answer to the one before. Ends when the server does.
fn speak(port: u16, lines: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_read_timeout(Some(SOON)).expect("a socket takes a time-out");
    let mut answers = BufReader::new(stream.try_clone().expect("a socket can be shared"));
    let mut heard = Vec::new();
    for line in std::iter::once(None).chain(lines.iter().map(|&line| Some(line))) {
        if let Some(line) = line {
            write!(stream, "{line}\r\n").expect("the server reads");
        }
        loop {
            let mut answer = String::new();
            if answers.read_line(&mut answer).expect("the server answers in time") == 0 {
                return heard;
            }
            let last = answer.as_bytes().get(3) != Some(&b'-');
            if last {
                heard.push(answer.trim_end().chars().take(3).collect());
                break;
            }
        }
    }
    heard
}

const DIALOGUE: [&str; 6] = [
    "EHLO test.example",
    "MAIL FROM:<shop@example.com>",
    "RCPT TO:<ann@example.com>",
    "RCPT TO:<ben@example.com>",
    "DATA",
    "Subject: Hello\r\n there\r\n\r\nFirst.\r\n..hidden\r\n.",
];

#[tokio::test]
async fn smtp_sink_keeps_what_it_was_sent() {
    let sink = SmtpSink::start().await.unwrap();
    assert_eq!(sink.messages().unwrap(), []);
    assert_eq!(speak(sink.port(), &DIALOGUE), ["220", "250", "250", "250", "250", "354", "250"]);
    let mails = sink.wait_for(1, SOON).await.unwrap();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].from, "shop@example.com");
    assert_eq!(mails[0].recipients, ["ann@example.com", "ben@example.com"]);
    assert_eq!(mails[0].text(), "Subject: Hello\n there\n\nFirst.\n.hidden\n");
    assert_eq!(mails[0].header("subject").as_deref(), Some("Hello there"));
}

#[tokio::test]
async fn smtp_sink_refuses_when_told_to() {
    let sink = SmtpSink::with_options(&["-f", "RCPT"]).await.unwrap();
    assert_eq!(speak(sink.port(), &DIALOGUE[..3]), ["220", "250", "250", "500"]);
    assert_eq!(sink.messages().unwrap(), []);
}

#[tokio::test]
async fn smtp_fault_fails_where_it_was_told_to_and_counts() {
    let server = SmtpFault::start().unwrap();
    server.fail_once(Stage::FinalDot, Act::Cut);
    server.fail_once(Stage::Recipient, Act::Reply("550 5.1.1 unknown".to_owned()));
    assert_eq!(
        speak(server.port(), &DIALOGUE),
        ["220", "250", "250", "250", "250", "354"],
        "cut after the dot"
    );
    assert_eq!(speak(server.port(), &DIALOGUE[..3]), ["220", "250", "250", "550"], "recipient refused");
    assert_eq!(speak(server.port(), &DIALOGUE), ["220", "250", "250", "250", "250", "354", "250"]);
    let received = server.wait_for(2, SOON).await.unwrap();
    assert_eq!(received.iter().map(|one| one.confirmed).collect::<Vec<_>>(), [false, true]);
    assert_eq!(received[0].mail, received[1].mail);
    assert_eq!(received[0].mail.text(), "Subject: Hello\n there\n\nFirst.\n.hidden\n");
    assert_eq!(server.connections(), 3);
}

#[test]
fn postgres_gives_every_test_a_database_and_takes_it_back() {
    let kept = fresh_database().unwrap();
    let dropped = fresh_database().unwrap();
    assert_ne!(kept.url(), dropped.url());
    assert_eq!(kept.ask("SELECT 1").unwrap(), "1");
    let name = dropped.url().rsplit('/').next().unwrap().to_owned();
    drop(dropped);
    let left = kept.ask(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")).unwrap();
    assert_eq!(left, "0");
}

#[tokio::test]
async fn vendure_sells_refunds_and_cancels() {
    let mut shop = Vendure::start().await.unwrap();
    shop.create_coupon("TEN", 10).await.unwrap();
    shop.create_customer("ann@example.com", "Ann", "Lee", Some("secret-42")).await.unwrap();
    let known = shop.create_customer("ann@example.com", "Ann", "Lee", None).await;
    assert!(known.unwrap_err().to_string().contains("EMAIL_ADDRESS_CONFLICT_ERROR"));

    // 2 x 8.90 less 10 %, and 4.90 for the parcel.
    let account = OrderSpec {
        login: Some("secret-42"),
        coupon: Some("TEN"),
        quantity: 2,
        ..OrderSpec::guest("ann@example.com", "ESP-250")
    };
    let account = shop.place_order(account).await.unwrap();
    assert_eq!((account.state.as_str(), account.currency.as_str()), ("PaymentSettled", "EUR"));
    assert_eq!(account.total_minor, 1602 + 490);

    let guest = shop.place_order(OrderSpec::guest("guest@example.com", "GRI-1")).await.unwrap();
    assert_eq!(guest.total_minor, 7900 + 490);

    let cart = OrderSpec { complete: false, ..OrderSpec::guest("left@example.com", "CON-1") };
    let cart = shop.place_order(cart).await.unwrap();
    assert_eq!((cart.state.as_str(), cart.total_minor), ("AddingItems", 2450));

    shop.refund(&account, 500).await.unwrap();
    assert_eq!(shop.cancel(&guest).await.unwrap().state, "Cancelled");

    shop.pause().await.unwrap();
    shop.resume().await.unwrap();
    let query = "{ orders(options: { sort: { id: ASC } }) { items { id state active customer { emailAddress user { id } }
        payments { refunds { total state } } } } }";
    let orders = shop.admin(query, json!({})).await.unwrap();
    let orders = orders["orders"]["items"].as_array().unwrap();
    let seen: Vec<_> = orders
        .iter()
        .map(|order| {
            let customer = &order["customer"];
            (customer["emailAddress"].as_str().unwrap(), !customer["user"].is_null(), order["active"] == true)
        })
        .collect();
    let expected = [
        ("ann@example.com", true, false),
        ("guest@example.com", false, false),
        ("left@example.com", false, true),
    ];
    assert_eq!(seen, expected);
    assert_eq!(orders[0]["payments"][0]["refunds"], json!([{ "total": 500, "state": "Settled" }]));
}
