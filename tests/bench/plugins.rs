//! What a connector costs as a library, in the daemon's process and in one of its own, against the same connector built
//! in: a call that does nothing, a page of 250 orders, and a whole sync; and what a library that misbehaves costs others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use zyklus_cli::registry;
use zyklus_connect::testkit::{Form, Living};
use zyklus_connect::{Mode, ReadRequest};
use zyklus_host::plugin::ChildCommand;
use zyklus_host::{HostForm, Isolation};
use zyklus_model::At;
use zyklus_runtime::{Clock, open_all, sync};
use zyklus_store::{OpenOptions, Store};
use zyklus_tests::library;
use zyklus_tests::zyklus::Zyklus;

use crate::Scale;
use crate::stage::load;
use crate::system::say;
use crate::table::Row;

const PAGE: u32 = 250;
/// Calls before those that are timed.
const WARM_UP: usize = 50;
/// Customers among whom the orders of a sync are spread.
const CUSTOMERS: u64 = 30_000;

/// The connector in each form, beginning with the one the others are compared with.
const FORMS: [&str; 3] = ["built in", "in-process", "in a process of its own"];

pub(crate) async fn measure(scale: Scale) -> Result<Vec<Row>> {
    say("building the csv connector as a library");
    let built = library::build("csv")?;
    let folder = tempfile::tempdir()?;
    let (calls, orders) = if scale.small { (200, 2_000) } else { (2_000, 100_000) };
    write_orders(&folder.path().join("orders.csv"), orders)?;
    let mut rows = calls_of(folder.path(), &built, calls).await?;
    rows.extend(syncs(folder.path(), &built, orders, scale.rounds).await?);
    rows.push(beside_a_loop(folder.path(), orders, scale.rounds).await?);
    Ok(rows)
}

/// A sync of a well-behaved connector while a library's process computes without end, against one left alone.
async fn beside_a_loop(folder: &Path, orders: u64, rounds: usize) -> Result<Row> {
    let shop = folder.join("beside");
    std::fs::create_dir_all(shop.join("plugins"))?;
    std::fs::copy(folder.join("orders.csv"), shop.join("orders.csv"))?;
    compile_hostile(&shop.join("plugins/hostile.so"))?;
    let hostile = "[connectors.bad]\nlibrary = \"hostile.so\"\n";
    std::fs::write(shop.join("zyklus.toml"), zyklus_toml("type = \"csv\"") + hostile)?;
    Zyklus::new(&shop)?.succeed(&["plugin", "lock"]).await?;
    let project = load(&shop.join("zyklus.toml"))?;
    let connectors = open_all(&project, registry(), &Clock::System).await?;
    let (csv, bad) = (connectors.find("shop").context("csv is open")?, connectors.find("bad"));
    let bad = Arc::clone(bad.with_context(|| format!("it is open: {:?}", connectors.failed))?);
    let mut took: [Vec<Duration>; 2] = Default::default();
    for n in 0..rounds {
        for (at, has_loop) in [false, true].into_iter().enumerate() {
            say(&format!("syncing beside {} loop, {} of {rounds}", if has_loop { "a" } else { "no" }, n + 1));
            let mode = Mode::Backfill { from: None };
            let endless = ReadRequest { stream: "do-loop".to_owned(), cursor: None, mode, limit: PAGE };
            let store = Store::open(
                &format!("sqlite:{}", shop.join(format!("{n}-{at}.db")).display()),
                OpenOptions::default(),
            )
            .await?;
            store.migrate().await?;
            // After the last round's end its process rests before it is there again.
            for _ in 0..600 {
                let mode = Mode::Backfill { from: None };
                let fine = ReadRequest { stream: "fine".to_owned(), cursor: None, mode, limit: PAGE };
                if bad.read(fine).await.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let bad = Arc::clone(&bad);
            let running = has_loop.then(|| tokio::spawn(async move { bad.read(endless).await }));
            tokio::time::sleep(Duration::from_millis(200)).await;
            let began = Instant::now();
            let report = sync(&store, csv, &project, &Clock::System, &|_| {}).await;
            took[at].push(began.elapsed());
            ensure!(report.is_complete() && report.changed() == orders, "{report:?}");
            if let Some(running) = running {
                ensure!(!running.is_finished(), "the loop had ended");
                // The host ends the process, and starts it again for the next round.
                ensure!(running.await?.is_err(), "an endless loop gave a page");
            }
            store.close().await;
        }
    }
    connectors.close().await;
    let [alone, beside] = took.each_mut().map(|took| middle(took));
    Ok(Row::new("sync beside a library that loops without end, against one left alone").at_most(
        beside / alone,
        1.5,
        "x",
        2,
    ))
}

/// The library of the host's own tests that does whatever it is asked to.
fn compile_hostile(to: &Path) -> Result<()> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the tests lie in the repository")?
        .join("crates");
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-I"])
        .arg(crates.join("connect/include"));
    let output = cc.arg("-o").arg(to).arg(crates.join("host/tests/plugins/hostile.c")).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A shop of one file, its connector in some form.
fn zyklus_toml(form: &str) -> String {
    format!(
        "[shop]\nname = \"S\"\ncurrency = \"EUR\"\ntime_zone = \"UTC\"\n[connectors.shop]\n{form}\n\
         [connectors.shop.orders]\npath = \"orders.csv\"\ncurrency = \"EUR\"\n[connectors.shop.orders.map]\n\
         id = \"id\"\nemail = \"email\"\nplaced_at = \"placed_at\"\ntotal = \"total\"\n"
    )
}

fn write_orders(file: &Path, orders: u64) -> Result<()> {
    let mut text = String::from("id,email,placed_at,total\n");
    for n in 0..orders {
        // A stride without a common factor spreads them.
        let customer = n.wrapping_mul(7_919) % CUSTOMERS;
        let at = At::from_seconds(1_700_000_000 + i64::try_from(n)? * 300);
        text += &format!("o{n},c{customer}@shop.example,{at},{}.{:02}\n", 5 + n % 90, n % 100);
    }
    Ok(std::fs::write(file, text)?)
}

fn config() -> Value {
    let map = json!({"id": "id", "email": "email", "placed_at": "placed_at", "total": "total"});
    json!({"orders": {"path": "orders.csv", "currency": "EUR", "map": map}})
}

async fn open(form: &str, folder: &Path, built: &Path, zyklus: &Path) -> Result<Living> {
    let command = ChildCommand { program: zyklus.to_path_buf(), args: vec!["plugin-process".into()] };
    let form: Arc<dyn Form> = match form {
        "built in" => Arc::new(HostForm::built_in(registry(), "csv")?),
        "in-process" => Arc::new(HostForm::library(built, Isolation::InProcess, false, command)?),
        _ => Arc::new(HostForm::library(built, Isolation::Process, false, command)?),
    };
    form.open(config(), folder, None, At::from_seconds(1_767_225_600))
        .await
        .map_err(|e| anyhow!("{e}: {:?}", e.detail))
}

/// The middle of what calls take, in each form: calls that are refused at once, and pages.
async fn calls_of(folder: &Path, built: &Path, calls: usize) -> Result<Vec<Row>> {
    let zyklus = Zyklus::new(folder)?.program().to_path_buf();
    let mut rows = Vec::new();
    let mut base = (0.0, 0.0);
    for form in FORMS {
        say(&format!("{calls} calls of the csv connector {form}"));
        let living = open(form, folder, built, &zyklus).await?;
        let source = living.connector.source().context("csv reads")?;
        let request = |stream: &str| ReadRequest {
            stream: stream.to_owned(),
            cursor: None,
            mode: Mode::Backfill { from: None },
            limit: PAGE,
        };
        let (mut round_trips, mut pages) = (Vec::new(), Vec::new());
        for n in 0..WARM_UP + calls {
            let began = Instant::now();
            ensure!(source.read(request("none")).await.is_err(), "there is no stream `none`");
            let round_trip = began.elapsed();
            // Pages take longer, and need fewer to be told apart.
            let is_page = n < WARM_UP || n % 10 == 0;
            let began = Instant::now();
            if is_page {
                let page = source.read(request("orders")).await.map_err(|e| anyhow!("{e}"))?;
                ensure!(page.records.len() == PAGE as usize, "{} records in a page", page.records.len());
            }
            let page = began.elapsed();
            if n >= WARM_UP {
                round_trips.push(round_trip);
                if is_page {
                    pages.push(page);
                }
            }
        }
        let (round_trip, page) = (middle(&mut round_trips), middle(&mut pages));
        let against = |figure: f64, base: f64| {
            if form == FORMS[0] { String::new() } else { format!(" ({:.2} x built in)", figure / base) }
        };
        if form == FORMS[0] {
            base = (round_trip, page);
        }
        let figure = format!("{:.1} µs", round_trip * 1e6);
        rows.push(Row::new(format!("a call of a connector {form}")).figure(figure));
        let figure = format!("{:.2} ms{}", page * 1e3, against(page, base.1));
        rows.push(Row::new(format!("  a page of {PAGE} orders")).figure(figure));
        living.connector.close().await;
    }
    Ok(rows)
}

fn middle(figures: &mut [Duration]) -> f64 {
    figures.sort_unstable();
    figures[figures.len() / 2].as_secs_f64()
}

/// `zyklus sync` of everything into a fresh store, in turn.
async fn syncs(folder: &Path, built: &Path, orders: u64, rounds: usize) -> Result<Vec<Row>> {
    let mut took: [Vec<Duration>; 3] = Default::default();
    for n in 0..rounds {
        for (at, form) in FORMS.into_iter().enumerate() {
            say(&format!("syncing {orders} orders, the connector {form}, {} of {rounds}", n + 1));
            let shop = folder.join(format!("shop-{n}-{at}"));
            took[at].push(sync_once(&shop, folder, built, form, orders).await?);
        }
    }
    let [built_in, in_process, process] = took.each_mut().map(|took| middle(took));
    let ratio = |figure: f64| figure / built_in;
    Ok(vec![
        Row::new(format!("zyklus sync of {orders} orders, csv built in")).figure(format!("{built_in:.2} s")),
        Row::new("  in-process").figure(format!("{:.2} x", ratio(in_process))),
        Row::new("  in a process of its own").at_most(ratio(process), 1.5, "x", 2),
    ])
}

async fn sync_once(shop: &Path, folder: &Path, built: &Path, form: &str, orders: u64) -> Result<Duration> {
    std::fs::create_dir_all(shop.join("plugins"))?;
    std::fs::copy(folder.join("orders.csv"), shop.join("orders.csv"))?;
    let kind = match form {
        "built in" => "type = \"csv\"".to_owned(),
        _ => {
            std::fs::copy(built, shop.join("plugins/csv.so"))?;
            let isolation = if form == "in-process" { form } else { "process" };
            format!("library = \"csv.so\"\nisolation = \"{isolation}\"")
        }
    };
    std::fs::write(shop.join("zyklus.toml"), zyklus_toml(&kind))?;
    let zyklus = Zyklus::new(PathBuf::from(shop))?;
    if form != FORMS[0] {
        zyklus.succeed(&["plugin", "lock"]).await?;
    }
    let began = Instant::now();
    zyklus.succeed(&["sync"]).await?;
    let took = began.elapsed();
    let report: Value = serde_json::from_str(&zyklus.succeed(&["report", "--json"]).await?)?;
    ensure!(report["orders"].as_u64() == Some(orders), "{} orders arrived, not {orders}", report["orders"]);
    std::fs::remove_dir_all(shop)?;
    Ok(took)
}
