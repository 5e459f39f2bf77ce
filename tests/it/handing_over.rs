//! Handing mails over to servers that fail: nothing is lost that did not go, nothing is sent twice that may have gone,
//! and a server's trouble is not held against the deliveries. The clock is virtual where the daemon runs inside the
//! test.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;
use zyklus_engine::Book;
use zyklus_model::{At, Delivery, DeliveryState};
use zyklus_runtime::daemon::Daemon;
use zyklus_runtime::{Clock, DispatchReport, Dispatcher, prepare, round, starter_files};
use zyklus_store::DeliveryFilter;
use zyklus_tests::smtp_fault::{Act, SmtpFault, Stage};
use zyklus_tests::zyklus::{SHUTDOWN, Zyklus};

use crate::life::World;

const SOON: Duration = Duration::from_secs(30);
const START: &str = "2026-03-01T09:00:00Z";

/// A shop in a folder, whose orders are each answered with one mail.
struct Shop {
    dir: tempfile::TempDir,
    world: World,
    book: Arc<Book>,
}

/// Writes the configuration: one journey that answers every order, with the given words in its step, and the mail
/// server on a port, with the given keys.
fn write_config(dir: &Path, step: &str, port: u16, keys: &str) {
    for (path, bytes) in starter_files().iter().filter(|(path, _)| path.starts_with("templates/")) {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    // What is no advertising says so in its template, too.
    std::fs::create_dir_all(dir.join("templates/receipt")).unwrap();
    let receipt =
        "+++\nsubject = \"Ihr Beleg\"\nclass = \"service\"\n+++\nVielen Dank für Ihre Bestellung.\n";
    std::fs::write(dir.join("templates/receipt/de.txt"), receipt).unwrap();
    let template = if step.contains("transactional") { "receipt" } else { "welcome-1" };
    std::fs::create_dir_all(dir.join("playbooks")).unwrap();
    let playbook = format!(
        "[journeys.thanks]\nlabel = {{ en = \"Thanks\", de = \"Dank\" }}\nstart = {{ event = \"order.placed\" }}\n\
         reenter = \"always\"\nsteps = [{{ send = \"{template}\", cap = \"ignore\"{step} }}]\n"
    );
    std::fs::write(dir.join("playbooks/thanks.toml"), playbook).unwrap();
    let config = format!(
        "[shop]\nname = \"Teehaus\"\nurl = \"https://teehaus.example\"\ncurrency = \"EUR\"\nlocale = \"de\"\n\
         legal_name = \"Teehaus GmbH\"\naddress_lines = [\"Am Markt 1\", \"20095 Hamburg\"]\n\
         email = \"hallo@teehaus.example\"\n[consent]\nexisting_customers = true\n\
         [connectors.shop]\ntype = \"csv\"\nsync_every = \"1s\"\n[connectors.shop.orders]\npath = \"orders.csv\"\n\
         currency = \"EUR\"\n\
         [connectors.shop.orders.map]\nid = \"id\"\nemail = \"email\"\nplaced_at = \"placed_at\"\ntotal = \"total\"\n\
         [connectors.mail]\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
         from = \"Teehaus <hallo@teehaus.example>\"\n{keys}\n"
    );
    std::fs::write(dir.join("zyklus.toml"), config).unwrap();
}

fn write_orders(dir: &Path, count: usize, placed_at: At) {
    let row = |n| format!("{n},c{n}@example.org,{placed_at},40.00\n");
    let rows: String = (0..count).map(row).collect();
    std::fs::write(dir.join("orders.csv"), format!("id,email,placed_at,total\n{rows}")).unwrap();
}

impl Shop {
    /// A shop that was read when it was empty, and then had so many orders.
    async fn with_orders(count: usize, step: &str, port: u16, keys: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_config(dir.path(), step, port, keys);
        let now: At = START.parse().unwrap();
        write_orders(dir.path(), 0, now);
        let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
        let world = World::open(&dir.path().join("zyklus.toml"), &url, now).await;
        world.sync().await;
        let book = Arc::new(prepare(&world.store, &world.project, now, true).await.unwrap());
        world.clock.set(now.plus_seconds(3_600));
        write_orders(dir.path(), count, now.plus_seconds(1_800));
        world.sync().await;
        Shop { dir, world, book }
    }

    fn dispatcher(&self, owner: &str) -> Arc<Dispatcher> {
        Arc::new(Dispatcher::new(
            self.world.store.clone(),
            Arc::clone(&self.world.project),
            Arc::clone(&self.world.connectors),
            owner.to_owned(),
            self.world.clock.clone(),
            CancellationToken::new(),
        ))
    }

    async fn round(&self, dispatcher: &Dispatcher) -> DispatchReport {
        round(&self.world.store, &self.book, dispatcher, &self.world.clock).await.unwrap().handed
    }

    fn wait(&self, minutes: i64) {
        self.world.clock.set(self.world.clock.now().plus_seconds(60 * minutes));
    }

    async fn counts(&self) -> BTreeMap<DeliveryState, u64> {
        self.world.store.count_deliveries().await.unwrap()
    }

    async fn deliveries(&self) -> Vec<Delivery> {
        let filter = DeliveryFilter { limit: 1_000, ..DeliveryFilter::default() };
        self.world.store.deliveries(&filter).await.unwrap()
    }

    async fn suppressions(&self) -> usize {
        let ids = self.world.store.customer_ids(None, 1_000).await.unwrap();
        let all = self.world.store.snapshots(&ids).await.unwrap();
        all.iter().map(|snapshot| snapshot.suppressions.len()).sum()
    }
}

fn only(state: DeliveryState, count: u64) -> BTreeMap<DeliveryState, u64> {
    BTreeMap::from([(state, count)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_leaves_only_those_in_doubt_that_were_handed_over() {
    let server = SmtpFault::start().unwrap();
    let shop = Shop::with_orders(12, "", server.port(), "max_connections = 2\ndata_timeout = \"2s\"").await;
    server.fail_always(Stage::FinalDot, Act::Hang);
    let (dying, book) = (shop.dispatcher("dying"), Arc::clone(&shop.book));
    zyklus_runtime::evaluate(&shop.world.store, &book, shop.world.clock.now(), &|_| {}).await.unwrap();
    let task = tokio::spawn(async move { dying.dispatch(&book).await });
    server.wait_for(2, SOON).await.unwrap();
    task.abort();
    drop(task.await);
    server.recover();
    let next = shop.dispatcher("next");
    shop.wait(2);
    for _ in 0..3 {
        shop.round(&next).await;
    }
    let counts = shop.counts().await;
    assert_eq!(counts.get(&DeliveryState::Unknown), Some(&2), "{counts:?}");
    assert_eq!(counts.get(&DeliveryState::Accepted), Some(&10), "{counts:?}");
    assert_eq!(server.received().len(), 12, "each has reached the server once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_down_for_hours_costs_no_delivery_a_try() {
    let server = SmtpFault::start().unwrap();
    let shop = Shop::with_orders(8, "", server.port(), "").await;
    server.fail_always(Stage::Connect, Act::Cut);
    let dispatcher = shop.dispatcher("a");
    for _ in 0..50 {
        shop.round(&dispatcher).await;
        shop.wait(6);
    }
    assert_eq!(shop.counts().await, only(DeliveryState::Pending, 8));
    assert!(shop.deliveries().await.iter().all(|d| d.attempt_count == 0));
    assert!(server.connections() < 60, "it is left alone meanwhile: {}", server.connections());
    server.recover();
    shop.wait(20);
    let at = shop.world.clock.now();
    shop.round(&dispatcher).await;
    assert_eq!(shop.counts().await, only(DeliveryState::Accepted, 8));
    assert!(shop.deliveries().await.iter().all(|d| d.attempt_count == 1));
    // The mail is dated by when it went, not by when it was decided.
    let day = at.to_string();
    let time = &day[11..16];
    let date = server.received()[0].mail.header("date").unwrap();
    assert!(date.contains(time), "{date} is not {at}");
}

async fn refusals_of_everybody_are_held(stage: Stage, reply: &str) {
    let server = SmtpFault::start().unwrap();
    let shop = Shop::with_orders(14, "", server.port(), "max_connections = 3").await;
    server.fail_always(stage, Act::Reply(reply.to_owned()));
    let dispatcher = shop.dispatcher("a");
    for _ in 0..10 {
        shop.round(&dispatcher).await;
        shop.wait(3);
    }
    assert_eq!(shop.counts().await, only(DeliveryState::Pending, 14), "{reply}");
    assert_eq!(shop.suppressions().await, 0, "{reply}");
    assert!(server.connections() < 14, "{reply}: one at a time is tried after a rest");
    server.recover();
    shop.wait(20);
    for _ in 0..3 {
        shop.round(&dispatcher).await;
    }
    assert_eq!(shop.counts().await, only(DeliveryState::Accepted, 14), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whom_everybody_refuses_does_not_burn_the_campaign() {
    refusals_of_everybody_are_held(Stage::FinalDot, "554 5.7.26 unauthenticated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_nobody_suppresses_nobody() {
    refusals_of_everybody_are_held(Stage::Recipient, "550 5.1.1 no such user").await;
}

async fn never_answered(step: &str, times: usize) {
    let server = SmtpFault::start().unwrap();
    let shop = Shop::with_orders(1, step, server.port(), "data_timeout = \"200ms\"").await;
    server.fail_always(Stage::FinalDot, Act::Hang);
    let dispatcher = shop.dispatcher("a");
    for _ in 0..30 {
        shop.round(&dispatcher).await;
        shop.wait(30);
    }
    assert_eq!(shop.counts().await, only(DeliveryState::Unknown, 1));
    let received = server.received();
    assert_eq!(received.len(), times);
    let first = received[0].mail.header("date").unwrap();
    assert!(received.iter().all(|r| r.mail.header("date").unwrap() == first), "the same mail each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_never_answered_for_is_sent_three_times_at_most() {
    never_answered(", purpose = \"transactional\"", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn advertising_that_is_never_answered_for_is_sent_once() {
    never_answered("", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_mail_server_does_not_keep_the_daemon_from_deciding() {
    let server = SmtpFault::start().unwrap();
    let shop = Shop::with_orders(0, "", server.port(), "").await;
    server.fail_always(Stage::FinalDot, Act::Hang);
    write_orders(shop.dir.path(), 1, Clock::System.now().plus_seconds(-60));
    let stop = CancellationToken::new();
    let daemon = Daemon {
        project: Arc::clone(&shop.world.project),
        store: shop.world.store.clone(),
        connectors: Arc::clone(&shop.world.connectors),
        book: Arc::clone(&shop.book),
        clock: Clock::System,
        owner: "daemon".to_owned(),
        reload: None,
        give_back: || {},
    };
    let running = tokio::spawn(daemon.run(stop.clone()));
    server.wait_for(1, SOON).await.unwrap();
    write_orders(shop.dir.path(), 6, Clock::System.now().plus_seconds(-60));
    let mut decided = 0;
    for _ in 0..300 {
        decided = shop.counts().await.values().sum();
        if decided == 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(decided, 6, "the new orders are answered while the server hangs");
    stop.cancel();
    // It ends although the server never answers, and gives back at once what it has not begun.
    tokio::time::timeout(Duration::from_secs(30), running).await.unwrap().unwrap();
    let counts = shop.counts().await;
    assert_eq!(
        counts.get(&DeliveryState::Pending).copied().unwrap_or(0) + counts[&DeliveryState::Sending],
        6
    );
    assert!(counts[&DeliveryState::Sending] <= 4, "{counts:?}");
}

/// Runs a command until what it prints holds some words.
async fn until_prints(zyklus: &Zyklus, args: &[&str], words: &str) -> String {
    let mut last = String::new();
    for _ in 0..600 {
        if let Ok(printed) = zyklus.succeed(args).await {
            if printed.contains(words) {
                return printed;
            }
            last = printed;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{args:?} never said {words}: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_retries_and_cancels_while_the_daemon_runs() {
    let server = SmtpFault::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    write_config(dir.path(), "", server.port(), "data_timeout = \"200ms\"");
    write_orders(dir.path(), 1, START.parse().unwrap());
    let zyklus = Zyklus::new(dir.path()).unwrap();
    let mut daemon = zyklus.spawn(&["run"], &dir.path().join("daemon.log")).unwrap();
    until_prints(&zyklus, &["report"], "1").await;
    // The first reading is history; what comes now is answered, and the server does not say whether it has it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.fail_always(Stage::FinalDot, Act::Hang);
    let rows: String =
        (1..3).map(|n| format!("{n},c{n}@example.org,{},40.00\n", Clock::System.now())).collect();
    std::fs::write(dir.path().join("orders.csv"), format!("id,email,placed_at,total\n{rows}")).unwrap();
    server.wait_for(2, SOON).await.unwrap();
    let listed = until_prints(&zyklus, &["delivery", "list", "--state", "unknown"], "thanks").await;
    let id = listed.split_whitespace().next().unwrap().to_owned();
    server.recover();
    let before = server.received().len();
    let ended = zyklus.run(&["delivery", "cancel", &id]).await.unwrap();
    assert!(ended.stderr.contains("is not waiting"), "{}", ended.stderr);
    let said =
        zyklus.succeed(&["delivery", "retry", "--state", "unknown", "--journey", "thanks"]).await.unwrap();
    assert!(said.starts_with("2 deliveries go out again"), "{said}");
    let received = server.wait_for(before + 2, Duration::from_secs(60)).await.unwrap();
    assert!(received[before..].iter().all(|r| r.confirmed));
    daemon.signal(Signal::TERM);
    let status = daemon.wait(SHUTDOWN).await.unwrap();
    assert!(status.success(), "{status}\n{}", daemon.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_does_not_open_is_opened_as_soon_as_it_can_be() {
    let dir = tempfile::tempdir().unwrap();
    write_config(dir.path(), "", 25, "");
    let file = dir.path().join("zyklus.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let (before, _) = config.split_once("[connectors.mail]").unwrap();
    std::fs::write(&file, format!("{before}[connectors.mail]\ntype = \"maildir\"\npath = \"mail\"\n"))
        .unwrap();
    let folder = dir.path().join("mail");
    std::fs::write(&folder, "in the way").unwrap();
    write_orders(dir.path(), 1, START.parse().unwrap());
    let zyklus = Zyklus::new(dir.path()).unwrap();
    let mut daemon = zyklus.spawn(&["run"], &dir.path().join("daemon.log")).unwrap();
    daemon.ready(SOON, |printed| printed.contains("the connector could not be opened")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let row = format!("1,c1@example.org,{},40.00\n", Clock::System.now());
    std::fs::write(dir.path().join("orders.csv"), format!("id,email,placed_at,total\n{row}")).unwrap();
    until_prints(&zyklus, &["delivery", "list", "--state", "pending"], "thanks").await;
    std::fs::remove_file(&folder).unwrap();
    until_prints(&zyklus, &["delivery", "list", "--state", "accepted"], "thanks").await;
    assert_eq!(std::fs::read_dir(folder.join("new")).unwrap().count(), 1);
    daemon.signal(Signal::TERM);
    assert!(daemon.wait(SHUTDOWN).await.unwrap().success(), "{}", daemon.printed());
}
