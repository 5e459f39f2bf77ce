//! The daemon as an operator runs it: a real shop, a real mail server, stopping and being killed.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use zyklus_runtime::starter_files;
use zyklus_tests::process::Running;
use zyklus_tests::smtp_sink::SmtpSink;
use zyklus_tests::vendure::{OrderSpec, SUPERADMIN, Vendure};
use zyklus_tests::zyklus::{SHUTDOWN, Zyklus};

use crate::operator::{caught_up, until};

const SOON: Duration = Duration::from_secs(60);

/// A folder with the starter templates, one journey that answers every order, and the given connector `shop`.
pub(crate) fn write_config(dir: &Path, shop: &str, mail_port: u16) {
    for (path, bytes) in starter_files().iter().filter(|(path, _)| path.starts_with("templates/")) {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::create_dir_all(dir.join("playbooks")).unwrap();
    let playbook = "[journeys.thanks]\nlabel = { en = \"Thanks\", de = \"Dank\" }\n\
                    start = { event = \"order.placed\" }\nreenter = \"always\"\n\
                    steps = [{ send = \"welcome-1\", cap = \"ignore\" }]\n";
    std::fs::write(dir.join("playbooks/thanks.toml"), playbook).unwrap();
    let config = format!(
        "[shop]\nname = \"Teehaus\"\nurl = \"https://teehaus.example\"\ncurrency = \"EUR\"\nlocale = \"de\"\n\
         legal_name = \"Teehaus GmbH\"\naddress_lines = [\"Am Markt 1\", \"20095 Hamburg\"]\n\
         email = \"hallo@teehaus.example\"\n[consent]\nexisting_customers = true\n{shop}\n\
         [connectors.mail]\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {mail_port}\ntls = \"none\"\n\
         from = \"Teehaus <hallo@teehaus.example>\"\n"
    );
    std::fs::write(dir.join("zyklus.toml"), config).unwrap();
}

/// Waits until the store holds so many customers, each in a phase.
async fn known(zyklus: &Zyklus, customers: u64) {
    for _ in 0..600 {
        if let Ok(report) = zyklus.succeed(&["report", "--json"]).await {
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            let placed: u64 =
                report["phases"].as_array().unwrap().iter().map(|p| p["customers"].as_u64().unwrap()).sum();
            if placed >= customers {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{customers} customers were not known after a minute");
}

pub(crate) async fn stop(mut daemon: Running) {
    daemon.signal(Signal::TERM);
    let status = daemon.wait(SHUTDOWN).await.unwrap();
    assert!(status.success(), "{status}\n{}", daemon.printed());
}

/// The shop as `[connectors.shop]`, asked for news so often.
fn connector(shop: &Vendure, every: &str) -> String {
    format!(
        "[connectors.shop]\ntype = \"vendure\"\nurl = \"{}\"\nusername = \"{SUPERADMIN}\"\n\
         password = {{ env = \"SHOP_PASSWORD\" }}\nsync_every = \"{every}\"",
        shop.url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn vendure_order_placed_while_the_daemon_runs_moves_its_customer_and_is_answered() {
    let (shop, sink) = (Vendure::start().await.unwrap(), SmtpSink::start().await.unwrap());
    let sku = "ESP-250";
    shop.place_order(OrderSpec::guest("early@example.com", sku)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let connector = connector(&shop, "1s");
    write_config(dir.path(), &connector, sink.port());
    let zyklus = Zyklus::new(dir.path()).unwrap().env("SHOP_PASSWORD", SUPERADMIN);
    zyklus.succeed(&["check"]).await.unwrap();
    let daemon = zyklus.spawn(&["run"], &dir.path().join("daemon.log")).unwrap();
    known(&zyklus, 1).await;
    // The first sync is history; what comes now is answered.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let order = shop.place_order(OrderSpec::guest("late@example.com", sku)).await.unwrap();
    let mails = sink.wait_for(1, SOON).await.unwrap();
    assert_eq!(mails[0].recipients, ["late@example.com"]);
    assert!(mails[0].header("list-unsubscribe").is_some() && mails[0].header("message-id").is_some());
    let why = zyklus.succeed(&["why", &order.code, "--json"]).await.unwrap();
    let why: serde_json::Value = serde_json::from_str(&why).unwrap();
    assert_eq!(why["phase"]["phase"], "develop", "{why:#}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(sink.messages().unwrap().len(), 1, "once, and nobody from history");
    stop(daemon).await;
}

/// What `zyklus customer show` says of one customer.
async fn shown(zyklus: &Zyklus, email: &str) -> Value {
    let told = zyklus.succeed(&["customer", "show", email]).await.unwrap();
    serde_json::from_str::<Value>(&told).unwrap()[0].take()
}

/// The totals of all elements of a list, in cents, and their currencies.
fn totals(list: &Value) -> Vec<(i64, &str)> {
    let total = |one: &'_ Value| one["total"]["amount_minor"].as_i64().unwrap();
    let list = list.as_array().unwrap().iter();
    list.map(|one| (total(one), one["total"]["currency"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn vendure_accounts_guests_carts_and_refunds_are_in_the_store_with_their_amounts() {
    let (shop, sink) = (Vendure::start().await.unwrap(), SmtpSink::start().await.unwrap());
    shop.create_coupon("TEN", 10).await.unwrap();
    shop.create_customer("ann@example.com", "Ann", "Lee", Some("secret-42")).await.unwrap();
    shop.create_customer("looker@example.com", "Lou", "Ker", Some("secret-42")).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = "refund_sweep_every = 0\ncatalog_every = 0\nreread_every = 0";
    write_config(dir.path(), &format!("{}\n{settings}", connector(&shop, "1s")), sink.port());
    let zyklus = Zyklus::new(dir.path()).unwrap().env("SHOP_PASSWORD", SUPERADMIN);
    let daemon = zyklus.spawn(&["run"], &dir.path().join("daemon.log")).unwrap();
    known(&zyklus, 2).await;
    // All of this happens while the daemon runs. 2 x 8.90 less 10 %, and 4.90 for each parcel.
    let account = OrderSpec {
        login: Some("secret-42"),
        coupon: Some("TEN"),
        quantity: 2,
        ..OrderSpec::guest("ann@example.com", "ESP-250")
    };
    shop.place_order(account).await.unwrap();
    let guest = shop.place_order(OrderSpec::guest("guest@example.com", "GRI-1")).await.unwrap();
    let left = OrderSpec { complete: false, ..OrderSpec::guest("left@example.com", "CON-1") };
    shop.place_order(left).await.unwrap();
    known(&zyklus, 4).await;
    shop.refund(&guest, 3_000).await.unwrap();
    let guest = until("the refund is known", async || {
        let guest = shown(&zyklus, "guest@example.com").await;
        guest["orders"][0]["refunds"].as_array().is_some_and(|all| !all.is_empty()).then_some(guest)
    })
    .await;
    let left = until("the cart is known", async || {
        let left = shown(&zyklus, "left@example.com").await;
        left["carts"].as_array().is_some_and(|all| !all.is_empty()).then_some(left)
    })
    .await;
    let (ann, looker) = (shown(&zyklus, "ann@example.com").await, shown(&zyklus, "looker@example.com").await);
    assert_eq!(totals(&ann["orders"]), [(1_602 + 490, "EUR")]);
    assert_eq!(ann["orders"][0]["coupons"], json!(["TEN"]));
    assert_eq!(ann["customer"]["has_account"], true);
    assert_eq!(totals(&guest["orders"]), [(7_900 + 490, "EUR")]);
    assert_eq!(guest["customer"]["has_account"], false);
    let refunds = guest["orders"][0]["refunds"].as_array().unwrap();
    assert_eq!(refunds.iter().map(|r| r["amount_minor"].as_i64().unwrap()).collect::<Vec<_>>(), [3_000]);
    assert_eq!(
        (totals(&left["carts"]), left["carts"][0]["is_open"].as_bool()),
        (vec![(2_450, "EUR")], Some(true))
    );
    assert_eq!((totals(&left["orders"]), totals(&looker["orders"])), (vec![], vec![]));
    let report: Value = serde_json::from_str(&zyklus.succeed(&["report", "--json"]).await.unwrap()).unwrap();
    let counts = ["customers", "buyers", "orders"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [4, 2, 2]);
    assert_eq!(report["revenue_minor"], 2_092 + 8_390 - 3_000);
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vendure_order_is_answered_within_one_sync_interval() {
    let (shop, sink) = (Vendure::start().await.unwrap(), SmtpSink::start().await.unwrap());
    let dir = tempfile::tempdir().unwrap();
    write_config(dir.path(), &connector(&shop, "10s"), sink.port());
    let zyklus = Zyklus::new(dir.path()).unwrap().env("SHOP_PASSWORD", SUPERADMIN);
    let daemon = zyklus.spawn(&["run"], &dir.path().join("daemon.log")).unwrap();
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    caught_up(&url, &["orders"]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    shop.place_order(OrderSpec::guest("late@example.com", "ESP-250")).await.unwrap();
    let placed = std::time::Instant::now();
    sink.wait_for(1, SOON).await.unwrap();
    let waited = placed.elapsed();
    eprintln!("answered after {waited:?}");
    // One interval, and as much again for a busy machine to read, decide and send.
    assert!(waited < Duration::from_secs(10 + 10), "{waited:?}");
    stop(daemon).await;
}
