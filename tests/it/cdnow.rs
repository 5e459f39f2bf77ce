//! The public CDNOW log through connector, store, engine and report, against figures computed here from the raw file.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use zyklus_cli::registry;
use zyklus_engine::why;
use zyklus_host::ConfigOptions;
use zyklus_model::{At, CustomerId};
use zyklus_runtime::{Project, evaluate, prepare, report};

use zyklus_tests::zyklus::Zyklus;

use crate::life::World;

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/cdnow")
}

/// The example in a folder of its own: connectors get folders beside it.
fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["zyklus.toml", "CDNOW_master.txt.gz"] {
        std::fs::copy(example().join(file), dir.path().join(file)).unwrap();
    }
    dir
}

/// Customer, day (as text) and cents of every row.
fn raw() -> Vec<(String, String, i64)> {
    let file = std::fs::File::open(example().join("CDNOW_master.txt.gz")).unwrap();
    BufReader::new(flate2::read::GzDecoder::new(file))
        .lines()
        .map(|line| line.unwrap())
        .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let (whole, cents) = parts[3].split_once('.').unwrap();
            let cents = whole.parse::<i64>().unwrap() * 100 + cents.parse::<i64>().unwrap();
            (parts[0].to_owned(), parts[1].to_owned(), cents)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cdnow_report_agrees_with_the_raw_file() {
    let dir = copy();
    let url = format!("sqlite:{}", dir.path().join("cdnow.db").display());
    let now: At = "1998-06-30T23:59:59.999999Z".parse().unwrap();
    let world = World::open(&dir.path().join("zyklus.toml"), &url, now).await;
    world.sync().await;
    let rows = raw();
    assert_eq!(rows.len(), 69_659);
    let mut customers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (customer, day, _) in &rows {
        customers.entry(customer).or_default().push(day);
    }
    assert_eq!(customers.len(), 23_570);
    assert_eq!(world.store.customer_count().await.unwrap(), 23_570);

    for model in [
        "ecommerce",
        "reach-to-advocate",
        "acquisition-to-win-back",
        "awareness-to-loyalty",
        "awareness-to-reactivation",
    ] {
        let text = std::fs::read_to_string(example().join("zyklus.toml")).unwrap();
        let file = dir.path().join(format!("{model}.toml"));
        std::fs::write(&file, text.replace("model = \"ecommerce\"", &format!("model = \"{model}\"")))
            .unwrap();
        let project = Project::load(&file, &registry(), &ConfigOptions::new(dir.path())).unwrap();
        let book = prepare(&world.store, &project, now, true).await.unwrap();
        evaluate(&world.store, &book, now, &|_| {}).await.unwrap();
        let stored: u64 = world.store.phases(model).await.unwrap().values().sum();
        assert_eq!(stored, 23_570, "{model}: every customer stands in exactly one phase");
        let report = report(&world.store, &project, &book, now).await.unwrap();
        assert_eq!(report.phases.iter().map(|p| p.customers).sum::<u64>(), 23_570, "{model}");
        assert_eq!((report.customers, report.buyers, report.orders), (23_570, 23_570, 69_659));
        assert_eq!(report.revenue_minor, rows.iter().map(|r| r.2).sum::<i64>());
        assert_eq!(world.store.count_deliveries().await.unwrap().len(), 0);
        if model == "ecommerce" {
            let repeaters = customers.values().filter(|days| days.len() > 1).count();
            let rate = repeaters as f64 / customers.len() as f64;
            assert!((report.repeat_rate.unwrap() - rate).abs() < 1e-12);
            let lapsed = report.phases.iter().find(|p| p.phase == "lapsed").unwrap();
            assert_eq!(lapsed.customers, lapsed_by_hand(&customers));
            why_agrees(&world, &book, &customers, now).await;
        }
    }
    world.store.close().await;
}

/// Repeat rates and the average order, from the raw rows: orders of one day are one purchase, as all have the same time.
fn key_figures_agree(kpis: &serde_json::Value, rows: &[(String, String, i64)]) {
    let mut lives: BTreeMap<&str, std::collections::BTreeSet<i64>> = BTreeMap::new();
    for (customer, day, _) in rows {
        lives.entry(customer).or_default().insert(day_number(day));
    }
    let today = day_number("19980630");
    for row in kpis["buying"]["repeat"].as_array().unwrap() {
        let within = row["within_days"].as_i64().unwrap();
        let came = |life: &&std::collections::BTreeSet<i64>| {
            let mut days = life.iter();
            let first = days.next().unwrap();
            days.next().is_some_and(|second| second - first <= within)
        };
        let old: Vec<_> = lives.values().filter(|life| life.first().unwrap() + within <= today).collect();
        let share = old.iter().filter(|life| came(life)).count() as f64 / old.len() as f64;
        assert!((row["share"]["value"].as_f64().unwrap() - share).abs() < 1e-12, "{row}");
        assert_eq!(row["share"]["n"], old.len());
    }
    let recent = || rows.iter().filter(|row| day_number(&row.1) > today - 365);
    let mean = recent().map(|row| row.2 as f64).sum::<f64>() / recent().count() as f64;
    let found = &kpis["buying"]["order_mean_minor"];
    assert!((found["value"].as_f64().unwrap() - mean).abs() < 1e-6, "{found}");
    assert_eq!(kpis["buying"]["orders"], recent().count());
    assert_eq!(kpis["predicted"]["mean_minor"]["unknown"], "not_learned");
}

/// Days since 1970 of a day written as 19970101.
fn day_number(day: &str) -> i64 {
    let date: At = format!("{}-{}-{}T00:00:00Z", &day[..4], &day[4..6], &day[6..]).parse().unwrap();
    date.as_micros() / 86_400_000_000
}

/// Whether a customer is lapsed on 1998-06-30 by the shipped lifecycle's thresholds: four times the mean gap between
/// the first and last order, within 120 to 540 days, or 180 days without a gap of at least a day.
fn is_lapsed(days: &[&str]) -> bool {
    let mut numbers: Vec<i64> = days.iter().map(|day| day_number(day)).collect();
    numbers.sort_unstable();
    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
    let idle = (day_number("19980630") - last) as f64;
    let gap = if numbers.len() > 1 { (last - first) as f64 / (numbers.len() - 1) as f64 } else { 0.0 };
    let limit = if gap >= 1.0 { (4.0 * gap).clamp(120.0, 540.0) } else { 180.0 };
    idle >= limit
}

fn lapsed_by_hand(customers: &BTreeMap<&str, Vec<&str>>) -> u64 {
    customers.values().filter(|days| is_lapsed(days)).count() as u64
}

async fn why_agrees(
    world: &World,
    book: &zyklus_engine::Book,
    customers: &BTreeMap<&str, Vec<&str>>,
    now: At,
) {
    for (name, days) in customers.iter().step_by(1_500) {
        let found = world.store.find_customers(name, 10).await.unwrap();
        let ids: Vec<CustomerId> = found.iter().map(|c| c.id).collect();
        assert_eq!(ids.len(), 1, "{name}");
        let snapshot = world.store.snapshots(&ids).await.unwrap().remove(0);
        assert_eq!(snapshot.orders.len(), days.len(), "{name}");
        let phase = why(book, &snapshot, now).phase.unwrap();
        assert_eq!(phase.phase == "lapsed", is_lapsed(days), "{name}: {phase:?}");
        assert_eq!(phase.rule.phase, phase.phase, "{name}");
        assert!(phase.lost.iter().all(|rule| !rule.explained.value.is_true()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_reports_on_cdnow_as_of_a_day() {
    let dir = copy();
    let zyklus = Zyklus::new(dir.path()).unwrap();
    let ended = zyklus.run(&["sync", "--now", "1998-06-30"]).await.unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    let ended = zyklus.run(&["report", "--now", "1998-06-30", "--json"]).await.unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    let figures: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let rows = raw();
    let cents: i64 = rows.iter().map(|r| r.2).sum();
    assert_eq!(figures["at"], "1998-06-30T23:59:59.99999Z");
    assert_eq!(figures["customers"], 23_570);
    assert_eq!(figures["orders"], rows.len());
    assert_eq!(figures["revenue"], format!("{}.{:02}", cents / 100, cents % 100));
    let ended = zyklus.run(&["plan", "--now", "1998-06-30", "--fail-above", "0"]).await.unwrap();
    assert!(ended.status.success(), "history mails nobody: {}", ended.stderr);
    let ended = zyklus.run(&["plan", "--now", "1998-06-30", "--json"]).await.unwrap();
    let planned: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        planned["moves"],
        serde_json::json!([]),
        "what was decided is dated no later than the day asked for"
    );
    let ended = zyklus.run(&["report", "--now", "last summer"]).await.unwrap();
    assert_eq!(ended.status.code(), Some(2));
    key_figures_agree(&figures["kpis"], &rows);
    let file = dir.path().join("report.html");
    let ended =
        zyklus.run(&["report", "--now", "1998-06-30", "--html", file.to_str().unwrap()]).await.unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    let nowhere = dir.path().join("nowhere/report.html");
    let ended = zyklus.run(&["report", "--html", nowhere.to_str().unwrap()]).await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("the page cannot be written to"), "{}", ended.stderr);
}
