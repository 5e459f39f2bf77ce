//! What goes wrong at the other end: a shop that does not let us in or answers garbage, a mail server that refuses,
//! hangs or cuts. Each time: what the command says, how it ends, that nothing is sent twice, and that the daemon and
//! everything else go on.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use zyklus_model::{Delivery, DeliveryState};
use zyklus_tests::smtp_fault::{Act, SmtpFault, Stage};
use zyklus_tests::smtp_sink::SmtpSink;
use zyklus_tests::vendure::{OrderSpec, SUPERADMIN, Vendure};
use zyklus_tests::zyklus::Zyklus;

use crate::daemon::{stop, write_config};
use crate::operator::{FILES, Lives, PATIENCE, Seen, append, listed, order, until};

const OLD: &str = "old,old@example.com,2025-01-01T10:00:00Z,20.00\n";

/// A Vendure at an address, and the shop of files beside it.
fn write_shops(dir: &Path, vendure: &str, mail_port: u16) -> Zyklus {
    let shop = format!(
        "[connectors.shop]\ntype = \"vendure\"\nurl = \"{vendure}\"\nusername = \"{SUPERADMIN}\"\n\
         password = {{ env = \"SHOP_PASSWORD\" }}\nsync_every = \"1s\"\n{FILES}"
    );
    write_config(dir, &shop, mail_port);
    append(dir, "orders.csv", OLD);
    Zyklus::new(dir).unwrap().env("SHOP_PASSWORD", "wrong-horse")
}

/// With a shop that cannot be read, `sync` says so and takes what it can; the daemon answers who buys elsewhere.
/// Returns what `connector check` and the daemon said.
async fn the_others_go_on(dir: &Path, zyklus: &Zyklus, sink: &SmtpSink) -> (String, String) {
    let checked = zyklus.run(&["connector", "check"]).await.unwrap();
    assert_eq!(checked.status.code(), Some(1), "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains("shop · ") && checked.stdout.contains("failed: "), "{}", checked.stdout);
    assert!(checked.stdout.contains("mail · connection and log-in: fine"), "{}", checked.stdout);
    let synced = zyklus.run(&["sync"]).await.unwrap();
    assert_eq!(synced.status.code(), Some(1), "{}{}", synced.stdout, synced.stderr);
    assert!(synced.stdout.contains("files orders: 1 records, 1 changed"), "{}", synced.stdout);
    assert!(synced.stdout.contains("  stopped: "), "{}", synced.stdout);
    let mut daemon = Lives::new(zyklus, dir).begin().await;
    daemon.ready(PATIENCE, |printed| printed.contains("the stream stopped")).await.unwrap();
    append(dir, "orders.csv", &order("new"));
    let mails = sink.wait_for(1, PATIENCE).await.unwrap();
    assert_eq!(mails[0].recipients, ["new@example.com"]);
    assert!(daemon.ended().unwrap().is_none(), "{}", daemon.printed());
    let said = daemon.printed();
    stop(daemon).await;
    for text in [&checked.stdout, &checked.stderr, &synced.stdout, &synced.stderr, &said] {
        assert!(!text.contains("wrong-horse"), "{text}");
    }
    (checked.stdout, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn vendure_that_does_not_let_us_in_is_said_so_and_keeps_nobody_else() {
    let (shop, sink) = (Vendure::start().await.unwrap(), SmtpSink::start().await.unwrap());
    shop.place_order(OrderSpec::guest("ann@example.com", "ESP-250")).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write_shops(dir.path(), &shop.url(), sink.port());
    let (checked, said) = the_others_go_on(dir.path(), &zyklus, &sink).await;
    for text in [&checked, &said] {
        assert!(text.contains("`username` and `password`"), "{text}");
    }
    // With the right password everything is there, as history.
    let zyklus = zyklus.env("SHOP_PASSWORD", SUPERADMIN);
    let synced = zyklus.succeed(&["sync"]).await.unwrap();
    assert!(synced.contains("shop orders: ") && !synced.contains("stopped"), "{synced}");
    let seen = Seen::at(&format!("sqlite:{}", dir.path().join("zyklus.db").display())).await.unwrap();
    assert_eq!((seen.people.len(), seen.orders(), seen.deliveries.len()), (3, 3, 1));
    assert_eq!(sink.messages().unwrap().len(), 1);
}

/// A server that answers every request with something else that is no answer.
struct Garbage {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Garbage {
    fn start() -> Self {
        let http = |body: &str| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
        };
        let answers = [
            http("<html><body>Sorry, we are having a bad day</body></html>"),
            http("{\"data\": {\"login\": 5, \"orders\": [], \"customers\": {\"items\": 7}}}"),
            http("{\"data\": "),
            http("null"),
            b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{\"data\"".to_vec(),
            vec![0xFF; 4_000],
            Vec::new(),
        ];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 65_536];
                drop(stream.read(&mut request));
                let answer = &answers[count.fetch_add(1, Ordering::SeqCst) % answers.len()];
                drop(stream.write_all(answer));
            }
        });
        Self { port, asked }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shop_that_answers_garbage_keeps_nobody_else() {
    let (garbage, sink) = (Garbage::start(), SmtpSink::start().await.unwrap());
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write_shops(dir.path(), &format!("http://127.0.0.1:{}", garbage.port), sink.port());
    the_others_go_on(dir.path(), &zyklus, &sink).await;
    assert!(garbage.asked.load(Ordering::SeqCst) > 7, "every kind of garbage was tried");
    let seen = Seen::at(&format!("sqlite:{}", dir.path().join("zyklus.db").display())).await.unwrap();
    assert_eq!((seen.people.len(), seen.orders()), (2, 2), "only what the files say");
    assert!(seen.cursors.iter().all(|cursor| cursor.connector == "files"), "{:?}", seen.cursors);
}

/// The files' shop alone, with a mail server that is given up on soon.
fn write_mail_shop(dir: &Path, mail_port: u16) -> Zyklus {
    write_config(dir, FILES, mail_port);
    append(dir, "zyklus.toml", "max_connections = 1\ncommand_timeout = \"2s\"\ndata_timeout = \"2s\"\n");
    append(dir, "orders.csv", OLD);
    Zyklus::new(dir).unwrap()
}

/// Waits until so many deliveries are over.
async fn over(zyklus: &Zyklus, count: usize) -> Vec<Delivery> {
    until("the delivery is over", async || {
        let deliveries = listed(zyklus).await;
        (deliveries.iter().filter(|d| d.state.is_final()).count() >= count).then_some(deliveries)
    })
    .await
}

/// The state of everybody's one delivery, by the order's name.
async fn states(dir: &Path) -> BTreeMap<String, DeliveryState> {
    let seen = Seen::at(&format!("sqlite:{}", dir.join("zyklus.db").display())).await.unwrap();
    let mut states = BTreeMap::new();
    for person in &seen.people {
        let name = person.orders[0].external_id.clone();
        assert!(person.deliveries.len() <= 1, "{name}");
        states.extend(person.deliveries.first().map(|delivery| (name, delivery.state)));
    }
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_mail_server_leaves_its_own_state_and_no_second_mail() {
    use DeliveryState::{Accepted, Failed, Unknown};
    let server = SmtpFault::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write_mail_shop(dir.path(), server.port());
    zyklus.succeed(&["sync"]).await.unwrap();
    let mut lives = Lives::new(&zyklus, dir.path());
    let daemon = lives.begin().await;
    let refused = || Act::Reply("550 5.7.1 not from you".to_owned());
    let later = || Act::Reply("451 4.3.0 come back later".to_owned());
    let cases = [
        ("fine", None, Accepted),
        ("gone", Some((Stage::Recipient, Act::Reply("550 5.1.1 nobody here".to_owned()))), Failed),
        ("banned", Some((Stage::FinalDot, refused())), Failed),
        ("cut", Some((Stage::FinalDot, Act::Cut)), Unknown),
        ("hung", Some((Stage::FinalDot, Act::Hang)), Unknown),
        // Certainly not sent, so it is sent again, in a minute at most.
        ("late", Some((Stage::Data, later())), Accepted),
        ("silent", Some((Stage::Mail, Act::Hang)), Accepted),
    ];
    for (count, (name, fault, _)) in cases.iter().enumerate() {
        if let Some((stage, act)) = fault.clone() {
            server.fail_once(stage, act);
        }
        append(dir.path(), "orders.csv", &order(name));
        over(&zyklus, count + 1).await;
    }
    stop(daemon).await;
    let expected: BTreeMap<String, DeliveryState> =
        cases.iter().map(|(name, _, state)| ((*name).to_owned(), *state)).collect();
    assert_eq!(states(dir.path()).await, expected);

    // The next daemon sees no reason to send any of it again.
    let daemon = lives.begin().await;
    append(dir.path(), "orders.csv", &order("after"));
    over(&zyklus, cases.len() + 1).await;
    stop(daemon).await;
    let mut arrived: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for mail in server.received() {
        let name = mail.mail.recipients[0].split('@').next().unwrap().to_owned();
        let known = arrived.entry(name).or_default();
        *known = (known.0 + 1, mail.confirmed);
    }
    let told = ["after", "banned", "cut", "fine", "hung", "late", "silent"];
    let expected = told.map(|name| (name.to_owned(), (1, !["banned", "cut", "hung"].contains(&name))));
    assert_eq!(arrived, BTreeMap::from(expected), "each once; `gone` never got that far");

    let unknown = zyklus.succeed(&["delivery", "list", "--state", "unknown", "--json"]).await.unwrap();
    let unknown: Value = serde_json::from_str(&unknown).unwrap();
    assert_eq!(unknown.as_array().unwrap().len(), 2);
    let shown = zyklus.succeed(&["delivery", "show", unknown[0]["id"].as_str().unwrap()]).await.unwrap();
    assert!(shown.contains("may have been sent"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_mail_server_that_refuses_everybody_fails_deliveries_not_the_daemon() {
    let sink = SmtpSink::with_options(&["-f", "RCPT"]).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write_mail_shop(dir.path(), sink.port());
    zyklus.succeed(&["sync"]).await.unwrap();
    let mut daemon = Lives::new(&zyklus, dir.path()).begin().await;
    for name in ["ann", "ben"] {
        append(dir.path(), "orders.csv", &order(name));
    }
    let deliveries = over(&zyklus, 2).await;
    assert!(deliveries.iter().all(|d| d.state == DeliveryState::Failed), "{deliveries:?}");
    assert!(daemon.ended().unwrap().is_none() && sink.messages().unwrap().is_empty());
    assert!(daemon.printed().contains("not delivered"), "{}", daemon.printed());
    let shown = zyklus.succeed(&["delivery", "show", &deliveries[0].id.to_string()]).await.unwrap();
    assert!(shown.contains("500"), "{shown}");
    stop(daemon).await;
}

/// Processor time a process has used so far, in hundredths of a second.
fn used(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_rests_while_nobody_carries_what_is_due() {
    let server = SmtpFault::start().unwrap();
    server.fail_always(Stage::Connect, Act::Reply("421 4.7.0 too much of you today".to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write_mail_shop(dir.path(), server.port());
    zyklus.succeed(&["sync"]).await.unwrap();
    let mut daemon = Lives::new(&zyklus, dir.path()).begin().await;
    append(dir.path(), "orders.csv", &order("first"));
    daemon.ready(PATIENCE, |printed| printed.contains("not delivered")).await.unwrap();
    // The server is left alone for a while now; this one is due at once and has to wait.
    append(dir.path(), "orders.csv", &order("second"));
    until("both wait", async || (listed(&zyklus).await.len() == 2).then_some(())).await;
    let before = used(daemon.id());
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let used = used(daemon.id()) - before;
    assert!(used < 60, "{used} hundredths of a second in four seconds");
    assert!(server.connections() < 5, "{}", server.connections());
    let deliveries = listed(&zyklus).await;
    assert!(deliveries.iter().all(|d| d.state == DeliveryState::Pending), "{deliveries:?}");
    stop(daemon).await;
}
