//! The daemon as an operator runs it: a real shop, a real mail server, stopping and being killed.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use zyklus_runtime::starter_files;
use zyklus_tests::process::Running;
use zyklus_tests::smtp_sink::SmtpSink;
use zyklus_tests::vendure::{OrderSpec, Vendure};
use zyklus_tests::zyklus::{SHUTDOWN, Zyklus};

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

#[tokio::test(flavor = "multi_thread")]
async fn vendure_order_placed_while_the_daemon_runs_moves_its_customer_and_is_answered() {
    let (shop, sink) = (Vendure::start().await.unwrap(), SmtpSink::start().await.unwrap());
    let sku = "ESP-250";
    shop.place_order(OrderSpec::guest("early@example.com", sku)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let login = zyklus_tests::vendure::SUPERADMIN;
    let connector = format!(
        "[connectors.shop]\ntype = \"vendure\"\nurl = \"{}\"\nusername = \"{login}\"\n\
         password = {{ env = \"SHOP_PASSWORD\" }}\nsync_every = \"1s\"",
        shop.url()
    );
    write_config(dir.path(), &connector, sink.port());
    let zyklus = Zyklus::new(dir.path()).unwrap().env("SHOP_PASSWORD", login);
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
