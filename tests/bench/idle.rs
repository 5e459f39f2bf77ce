//! The daemon with nothing to do: `zyklus run` as an operator starts it, with its connectors, after its shop was
//! read once. Watched from outside, through /proc.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use zyklus_model::At;
use zyklus_runtime::Clock;
use zyklus_tests::zyklus::{SHUTDOWN, Zyklus};

use crate::Scale;
use crate::people::Person;
use crate::stage::write_config;
use crate::system::{busy, memory, say};
use crate::table::Row;

/// Fills a shop with customers who have bought, reads it with `zyklus sync`, and watches `zyklus run`, which looks
/// at the shop once a minute. What it has to do first is not what is watched, and told apart: its first look at
/// everybody, what it learns of the shop a minute later, and everybody once more by that.
pub(crate) async fn measure(scale: Scale) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    write_config(folder.path())?;
    write_orders(folder.path(), scale.idle, Clock::System.now())?;
    let zyklus = Zyklus::new(folder.path())?;
    say(&format!("{} customers: zyklus sync", scale.idle));
    zyklus.succeed(&["sync"]).await?;
    let report: serde_json::Value = serde_json::from_str(&zyklus.succeed(&["report", "--json"]).await?)?;
    let found = report["customers"].as_u64().context("the report has no customers")?;
    ensure!(found == scale.idle, "{found} of {} customers were read", scale.idle);

    let log = folder.path().join("log.txt");
    let mut daemon = zyklus.spawn(&["run"], &log)?;
    daemon.ready(Duration::from_secs(60), |printed| printed.contains("running")).await?;
    let process = daemon.id();
    say(&format!("{} customers: the daemon finds itself for {:?}", scale.idle, scale.settle));
    tokio::time::sleep(scale.settle).await;
    let peak = memory(&process.to_string(), "VmHWM")?;
    say(&format!("{} customers: watching the daemon for {:?}", scale.idle, scale.watch));
    let (began, before) = (Instant::now(), busy(process)?);
    let mut resident: f64 = 0.0;
    while began.elapsed() < scale.watch {
        resident = resident.max(memory(&process.to_string(), "VmRSS")?);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let share = (busy(process)? - before).as_secs_f64() / began.elapsed().as_secs_f64();
    daemon.signal(Signal::TERM);
    let status = daemon.wait(SHUTDOWN).await?;
    ensure!(status.success(), "zyklus run: {status}\n{}", daemon.printed());
    ensure!(
        scale.small || daemon.printed().contains("learned of the shop"),
        "it never learned:\n{}",
        daemon.printed()
    );
    Ok(vec![
        Row::new(format!("idle daemon, {} customers, resident", scale.idle)).at_most(resident, 80.0, "MB", 1),
        Row::new(format!("  in the {} s before", scale.settle.as_secs()))
            .figure(format!("{:.1} CPU s, at most {peak:.1} MB", before.as_secs_f64())),
        Row::new(format!("  processor over {} s", scale.watch.as_secs())).below(share * 100.0, 1.0, "%", 2),
    ])
}

/// A file of orders in which so many customers occur.
fn write_orders(folder: &std::path::Path, customers: u64, now: At) -> Result<()> {
    let mut text = String::from("id,email,placed_at,total\n");
    let everybody = (0..).map(|number| Person::invent(number, now));
    for person in everybody.filter(|person| !person.purchases.is_empty()).take(customers.try_into()?) {
        for purchase in &person.purchases {
            let (whole, cents) = (purchase.cents / 100, purchase.cents % 100);
            writeln!(text, "{},{},{},{whole}.{cents:02}", purchase.id, person.email(), purchase.at)?;
        }
    }
    std::fs::write(folder.join("orders.csv"), text)?;
    Ok(())
}
