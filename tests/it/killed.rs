//! A daemon that is killed without warning at random moments, again and again: while it reads, while it decides,
//! while it sends. Nothing that the shop says is lost or doubled, and nobody gets a mail twice.
//!
//! What SMTP cannot answer is allowed for: a mail that was being handed over at a kill is `unknown`, not sent again,
//! and there are never more of those than one batch a kill. With a Maildir, which recognises a repeat, there are
//! none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use zyklus_model::DeliveryState;
use zyklus_tests::mail::Mail;
use zyklus_tests::postgres::{Database, fresh_database};
use zyklus_tests::smtp_sink::SmtpSink;
use zyklus_tests::vendure::{OrderSpec, SUPERADMIN, Vendure};
use zyklus_tests::zyklus::Zyklus;

use crate::daemon::{stop, write_config};
use crate::operator::{Draw, FILES, Lives, Seen, append, caught_up, kill, order, until};

/// Connections to the mail server, and mails handed over together: as many as there are connections.
const CONNECTIONS: usize = 2;
const BATCH: usize = CONNECTIONS;

/// Every daemon that died left at most one batch in doubt, and what it had not begun to hand over it did not
/// lose. Returns how many tries were in doubt, and how many were claimed in vain.
fn lost_tries(seen: &Seen) -> (usize, usize) {
    let mut in_doubt: BTreeMap<&str, usize> = BTreeMap::new();
    let mut in_vain = 0;
    for (delivery, attempts) in &seen.deliveries {
        for (at, attempt) in attempts.iter().enumerate() {
            assert!(attempt.ended_at.is_some(), "{delivery:?} {attempt:?}");
            if attempt.outcome.as_deref() != Some("lost") {
                continue;
            }
            if attempt.handed_at.is_some() {
                *in_doubt.entry(&attempt.owner).or_default() += 1;
            } else {
                in_vain += 1;
                assert!(at + 1 < attempts.len(), "claimed in vain and not again: {delivery:?}");
            }
        }
    }
    assert!(in_doubt.values().all(|&count| count <= BATCH), "{in_doubt:?}");
    (in_doubt.values().sum(), in_vain)
}

/// Mails and deliveries agree: whatever is `accepted` arrived once, what is `unknown` at most once, nothing else did,
/// and nobody has two.
fn mails_fit(seen: &Seen, mails: &[Mail]) {
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    let mut people: BTreeMap<&str, usize> = BTreeMap::new();
    for mail in mails {
        let id = mail.header("message-id").unwrap();
        let id = id.trim_matches(['<', '>']).split('@').next().unwrap().to_owned();
        *arrived.entry(id).or_default() += 1;
        assert_eq!(mail.recipients.len(), 1);
        *people.entry(&mail.recipients[0]).or_default() += 1;
    }
    assert!(arrived.values().chain(people.values()).all(|&count| count == 1), "{arrived:?} {people:?}");
    for (delivery, attempts) in &seen.deliveries {
        let count = arrived.remove(&delivery.id.to_string()).unwrap_or(0);
        match delivery.state {
            DeliveryState::Accepted => assert_eq!(count, 1, "{delivery:?} {attempts:?}"),
            DeliveryState::Unknown => assert!(count <= 1),
            other => panic!("{other}: {delivery:?} {attempts:?}"),
        }
    }
    assert_eq!(arrived, BTreeMap::new(), "mails that no delivery explains");
}

/// Who has deliveries, each one.
fn written_to(seen: &Seen) -> BTreeSet<String> {
    let mut people = BTreeSet::new();
    for person in seen.people.iter().filter(|person| !person.deliveries.is_empty()) {
        let email = person.customer.email.as_ref().unwrap().to_string();
        assert_eq!(person.deliveries.len(), 1, "{email}: {:?}", person.deliveries);
        people.insert(email);
    }
    people
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_ten_times_a_vendure_shop_is_complete_and_nobody_is_mailed_twice() {
    let mut draw = Draw::new();
    let (shop, sink) = (Vendure::start().await.unwrap(), SmtpSink::with_options(&["-w", "1"]).await.unwrap());
    for number in 0..5 {
        shop.place_order(OrderSpec::guest(&format!("old{number}@example.com"), "PAP-40")).await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let connector = format!(
        "[connectors.shop]\ntype = \"vendure\"\nurl = \"{}\"\nusername = \"{SUPERADMIN}\"\n\
         password = {{ env = \"SHOP_PASSWORD\" }}\nsync_every = \"1s\"",
        shop.url()
    );
    write_config(dir.path(), &connector, sink.port());
    append(dir.path(), "zyklus.toml", &format!("max_connections = {CONNECTIONS}\n"));
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    let zyklus = Zyklus::new(dir.path()).unwrap().env("SHOP_PASSWORD", SUPERADMIN);
    let mut lives = Lives::new(&zyklus, dir.path());
    let daemon = lives.begin().await;
    caught_up(&url, &["products", "customers", "orders", "carts", "coupons"]).await;
    kill(daemon).await;
    // Vendure dates orders to the second; journeys answer what came after the daemon first ran.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;

    let buy = async |number: usize| {
        let email = format!("new{number}@example.com");
        let mut order = OrderSpec::guest(&email, ["ESP-250", "GRI-1", "CON-1"][number % 3]);
        if number.is_multiple_of(3) {
            shop.create_customer(&email, "New", "Customer", Some("secret-42")).await.unwrap();
            order.login = Some("secret-42");
        }
        shop.place_order(order).await.unwrap();
    };
    let buying = async {
        for number in 0..40 {
            buy(number).await;
        }
    };
    let killing = async {
        for _ in 0..9 {
            let daemon = lives.begin().await;
            tokio::time::sleep(draw.below(3_000)).await;
            kill(daemon).await;
        }
    };
    tokio::join!(buying, killing);
    let daemon = lives.begin().await;
    for number in 40..44 {
        buy(number).await;
    }
    let seen = until("every order is answered", async || {
        let seen = Seen::at(&url).await?;
        (seen.orders() == 49 && seen.deliveries.len() >= 44 && seen.is_quiet()).then_some(seen)
    })
    .await;
    // Asked before the daemon signs out, which ends every session of the user.
    let query = "{ orders(options: { take: 100 }) { items { code totalWithTax active } }
        customers(options: { take: 100 }) { items { emailAddress } } }";
    let told = shop.admin(query, json!({})).await.unwrap();
    stop(daemon).await;
    let items = |what: &str| told[what]["items"].as_array().unwrap().clone();
    let mut sold: Vec<(String, i64)> = (items("orders").iter())
        .filter(|order| order["active"] == Value::Bool(false))
        .map(|order| (order["code"].as_str().unwrap().to_owned(), order["totalWithTax"].as_i64().unwrap()))
        .collect();
    let orders = seen.people.iter().flat_map(|person| &person.orders);
    let mut known: Vec<(String, i64)> = orders.map(|o| (o.number.clone(), o.total.amount_minor)).collect();
    sold.sort();
    known.sort();
    assert_eq!(known, sold, "every order once, with its amount");
    let mut shoppers: Vec<String> =
        items("customers").iter().map(|c| c["emailAddress"].as_str().unwrap().to_owned()).collect();
    let mut customers: Vec<String> =
        seen.people.iter().map(|person| person.customer.email.as_ref().unwrap().to_string()).collect();
    shoppers.sort();
    customers.sort();
    assert_eq!(customers, shoppers, "every customer once");

    let expected: BTreeSet<String> = (0..44).map(|number| format!("new{number}@example.com")).collect();
    assert_eq!(written_to(&seen), expected, "every new order is answered once, history is not");
    mails_fit(&seen, &sink.messages().unwrap());
    let (in_doubt, in_vain) = lost_tries(&seen);
    eprintln!("{in_doubt} in doubt, {in_vain} claimed in vain");
    assert!(in_doubt > 0, "no kill hit a hand-over: this run proves little");
    assert_eq!(seen.count(DeliveryState::Unknown), in_doubt);
    assert!(seen.count(DeliveryState::Accepted) >= 4);
}

/// The customers of the file that is there from the start, with two orders each, and those who come later.
const OLD: usize = 5_000;
const NEW: usize = 4 * NEWS;
/// Orders that come at once.
const NEWS: usize = 300;

fn write_history(dir: &Path) {
    let mut rows = "id,email,placed_at,total\n".to_owned();
    for order in 0..2 * OLD {
        let (person, day) = (order % OLD, order / 400 + 1);
        writeln!(rows, "{order},old{person}@example.com,2025-01-{day:02}T10:00:00Z,{}.50", order % 90)
            .unwrap();
    }
    std::fs::write(dir.join("orders.csv"), rows).unwrap();
}

fn write_news(dir: &Path, numbers: std::ops::Range<usize>) {
    let rows = numbers.map(|n| order(&format!("new{n}")));
    append(dir, "orders.csv", &rows.collect::<String>());
}

/// Kills the daemon five times in the first big sync and five times while it decides and sends; `arrived` counts the
/// mails. Returns what the store says when it is quiet.
async fn killed_with_a_folder_of_files(
    dir: &Path,
    mail: &str,
    arrived: impl Fn() -> usize,
    database: Option<&Database>,
) -> Seen {
    let mut draw = Draw::new();
    write_history(dir);
    write_config(dir, FILES, 25);
    let config = std::fs::read_to_string(dir.join("zyklus.toml")).unwrap();
    let (before, _) = config.split_once("[connectors.mail]").unwrap();
    let file = format!("sqlite:{}", dir.join("zyklus.db").display());
    let url = database.map_or(file, Database::url);
    std::fs::write(
        dir.join("zyklus.toml"),
        format!("[store]\nurl = \"{url}\"\n{before}[connectors.mail]\n{mail}"),
    )
    .unwrap();
    let zyklus = Zyklus::new(dir).unwrap();
    let mut lives = Lives::new(&zyklus, dir);
    // In PostgreSQL a claim of the dead holds for a minute; this is how they pass.
    let time_passes = || {
        if let Some(database) = database {
            let sql = "UPDATE delivery SET lease_until = now() WHERE state = 'sending'";
            database.ask(sql).unwrap();
        }
    };
    let daemon = lives.start();
    tokio::time::sleep(draw.below(400)).await;
    kill(daemon).await;
    for _ in 0..4 {
        let daemon = lives.begin().await;
        tokio::time::sleep(draw.below(1_000)).await;
        kill(daemon).await;
    }
    let daemon = lives.begin().await;
    caught_up(&url, &["orders"]).await;
    let seen = until("the history is judged", async || {
        let seen = Seen::at(&url).await?;
        seen.people.iter().all(|person| person.phase.is_some()).then_some(seen)
    })
    .await;
    assert_eq!((seen.people.len(), seen.orders(), seen.deliveries.len()), (OLD, 2 * OLD, 0));
    kill(daemon).await;

    for life in 0..4 {
        write_news(dir, life * NEWS..(life + 1) * NEWS);
        // The later ones are aimed, so that every run kills in the middle of sending; one that falls between two
        // hand-overs is followed by another.
        for _ in 0..10 {
            let before = arrived();
            let daemon = lives.begin().await;
            if life > 0 {
                until("mails arrive", async || (arrived() > before).then_some(())).await;
            }
            tokio::time::sleep(draw.below(if life > 0 { 100 } else { 800 })).await;
            kill(daemon).await;
            let left = Seen::at(&url).await.unwrap();
            time_passes();
            let has_hit = left.count(DeliveryState::Sending) > 0;
            if life == 0 || has_hit || left.count(DeliveryState::Pending) == 0 {
                break;
            }
        }
    }
    let daemon = lives.begin().await;
    let seen = until("every new order is answered", async || {
        let seen = Seen::at(&url).await?;
        (seen.orders() >= 2 * OLD + NEW && seen.deliveries.len() >= NEW && seen.is_quiet()).then_some(seen)
    })
    .await;
    stop(daemon).await;

    assert_eq!((seen.people.len(), seen.orders()), (OLD + NEW, 2 * OLD + NEW));
    let ids: BTreeSet<&str> =
        seen.people.iter().flat_map(|p| &p.orders).map(|o| o.external_id.as_str()).collect();
    assert_eq!(ids.len(), 2 * OLD + NEW, "every row once");
    let cents: i64 = seen.people.iter().flat_map(|p| &p.orders).map(|o| o.total.amount_minor).sum();
    let in_file: i64 = (0..2 * OLD).map(|order| (order % 90) as i64 * 100 + 50).sum();
    assert_eq!(cents, in_file + NEW as i64 * 3_000);
    let expected: BTreeSet<String> = (0..NEW).map(|number| format!("new{number}@example.com")).collect();
    assert_eq!(written_to(&seen), expected, "every new order is answered once, history is not");
    seen
}

async fn killed_with_a_mail_server(dir: &Path, database: Option<&Database>) {
    let sink = SmtpSink::start().await.unwrap();
    let mail = format!(
        "type = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nmax_connections = {CONNECTIONS}\n\
         from = \"Teehaus <hallo@teehaus.example>\"\n",
        sink.port()
    );
    let arrived = || sink.messages().unwrap().len();
    let seen = killed_with_a_folder_of_files(dir, &mail, arrived, database).await;
    mails_fit(&seen, &sink.messages().unwrap());
    let (in_doubt, in_vain) = lost_tries(&seen);
    eprintln!("{in_doubt} in doubt, {in_vain} claimed in vain");
    assert!(in_doubt + in_vain > 0, "no kill hit a hand-over: this run proves little");
    assert_eq!(seen.count(DeliveryState::Unknown), in_doubt);
    assert_eq!(seen.count(DeliveryState::Accepted), NEW - in_doubt);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_ten_times_a_file_is_complete_and_nobody_is_mailed_twice_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    killed_with_a_mail_server(dir.path(), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_ten_times_a_file_is_complete_and_nobody_is_mailed_twice_on_postgres() {
    let dir = tempfile::tempdir().unwrap();
    let database = fresh_database().unwrap();
    killed_with_a_mail_server(dir.path(), Some(&database)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_ten_times_a_maildir_that_notices_repeats_misses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mail = "type = \"maildir\"\npath = \"mail\"\n";
    let folder = dir.path().join("mail/new");
    let arrived = || std::fs::read_dir(&folder).into_iter().flatten().count();
    let seen = killed_with_a_folder_of_files(dir.path(), mail, arrived, None).await;
    assert_eq!(seen.count(DeliveryState::Accepted), NEW);
    let tries = seen.deliveries.iter().flat_map(|(_, attempts)| attempts);
    let lost = tries.filter(|attempt| attempt.outcome.as_deref() == Some("lost")).count();
    assert!(lost > 0, "no kill hit a hand-over: this run proves little");
    let mut people = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
        assert!(people.insert(to.trim().trim_matches(['<', '>']).to_owned()), "{to} twice");
    }
    assert_eq!(people, written_to(&seen));
}
