//! The key figures of a small shop in a store, each counted again by hand; and the page made of them, in both languages.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use zyklus_engine::outlook::day_of;
use zyklus_host::{ConfigOptions, Registry};
use zyklus_insight::rfm::History;
use zyklus_model::{
    At, Currency, CustomerRecord, CustomerRef, EventRecord, FeedbackKind, FeedbackRecord, Money, OrderRecord,
    Origin, Rates, Record,
};
use zyklus_runtime::kpis::{Measure, Why};
use zyklus_runtime::learn::{learned_by, validate};
use zyklus_runtime::page::{forecasts_page, page};
use zyklus_runtime::{Project, Report, evaluate, learn, prepare, report, report_as_of};
use zyklus_store::{Ingest, OpenOptions, Store};

/// 2026-06-30, noon.
const NOW: i64 = 1_782_820_800;

fn ago(days: i64) -> At {
    At::from_seconds(NOW).plus_days(-days)
}

/// Who bought for the first time so many days ago, after how many days again, and so on; each order in cents.
struct Buyer {
    name: String,
    orders: Vec<(i64, i64)>,
    source: Option<&'static str>,
}

/// Three new buyers every seven days: one never comes back, one does after some weeks, one every forty days.
fn shop() -> Vec<Buyer> {
    let buyer = |n: i64| {
        let first = 10 + 7 * (n / 3);
        let mut orders = vec![(first, 2_000 + 10 * n)];
        let second = first - 20 - 2 * (n % 9);
        if n % 3 > 0 && second >= 0 {
            orders.push((second, 3_000));
        }
        let third = second - 40;
        if n % 3 == 2 {
            orders.extend((0..=third).rev().step_by(40).map(|days| (days, 4_500 + n)));
        }
        let source = (n % 2 == 0).then_some("Newsletter ");
        Buyer { name: format!("c{n}"), orders, source }
    };
    (0..180).map(buyer).collect()
}

fn whom(name: &str) -> CustomerRef {
    let email = Some(format!("{name}@customer.example"));
    CustomerRef { external_id: Some(name.to_owned()), email, email_verified: true }
}

fn records(shop: &[Buyer]) -> Vec<Record> {
    let mut records = Vec::new();
    for (number, buyer) in shop.iter().enumerate() {
        let attributes = buyer.source.map(|source| ("utm_source".to_owned(), source.into()));
        records.push(Record::Customer(CustomerRecord {
            customer: whom(&buyer.name),
            created_at: Some(ago(buyer.orders[0].0)),
            attributes: attributes.into_iter().collect(),
            ..CustomerRecord::default()
        }));
        for (place, (days, minor)) in buyer.orders.iter().enumerate() {
            let id = format!("{}-{place}", buyer.name);
            let total = Money::new(*minor, Currency::EUR);
            records.push(Record::Order(OrderRecord {
                coupons: if place == 1 { vec!["WELCOME".to_owned()] } else { Vec::new() },
                ..OrderRecord::placed(id, whom(&buyer.name), ago(*days), total)
            }));
        }
        // Each tenth answers; who answers twice counts once, with the later answer.
        for (again, score) in [(0, 3.0), (1, 9.0)].into_iter().filter(|_| number % 10 == 0) {
            records.push(Record::Feedback(FeedbackRecord {
                external_id: format!("{number}-{again}"),
                customer: whom(&buyer.name),
                kind: FeedbackKind::Nps,
                score: Some(score),
                text: None,
                product: None,
                at: ago(5 - again),
            }));
        }
        for (name, second) in [("page.shown", 0), ("page.input", 20), ("page.hidden", 30 + number as i64)] {
            records.push(Record::Event(EventRecord {
                external_id: None,
                customer: whom(&buyer.name),
                name: name.to_owned(),
                at: ago(3).plus_seconds(second),
                data: [("visit".to_owned(), "one".into())].into_iter().collect(),
            }));
        }
    }
    records
}

const CONFIG: &str = r#"
[shop]
name = "Tea & <Co>"
url = "https://tea.example"
currency = "EUR"
locale = "LOCALE"
time_zone = "UTC"
legal_name = "Tea"
address_lines = ["A", "B"]
email = "tea@tea.example"

[store]
url = "sqlite:zyklus.db"

[lifecycle]
model = "simple"
"#;

/// Everybody is new, comes again, or stays away for a hundred days.
const LIFECYCLE: &str = r#"
label = { en = "Simple", de = "Einfach" }

[[phases]]
id = "gone"
label = { en = "Gone", de = "Fort" }
when = "orders.days_since_last >= 100"

[[phases]]
id = "regular"
label = { en = "Regular", de = "Stammkunde" }
when = "orders.count >= 2"

[[phases]]
id = "new"
label = { en = "New <1>", de = "Neu <1>" }
when = "true"
"#;

struct Bed {
    _dir: tempfile::TempDir,
    project: Project,
    store: Store,
}

async fn bed(locale: &str, shop: &[Buyer]) -> Bed {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lifecycles")).unwrap();
    std::fs::write(dir.path().join("lifecycles/simple.toml"), LIFECYCLE).unwrap();
    let file = dir.path().join("zyklus.toml");
    std::fs::write(&file, CONFIG.replace("LOCALE", locale)).unwrap();
    let project = match Project::load(&file, &Registry::new(), &ConfigOptions::new(dir.path())) {
        Ok(project) => project,
        Err(problems) => panic!("{problems:?}"),
    };
    let store = Store::open(&project.store_url, OpenOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    let records = records(shop);
    if !records.is_empty() {
        let ingest = Ingest::of("shop", "all", records, Origin::History, ago(0), Rates::only(Currency::EUR));
        store.ingest(ingest).await.unwrap();
    }
    let book = prepare(&store, &project, ago(0), false).await.unwrap();
    evaluate(&store, &book, ago(0), &|_| {}).await.unwrap();
    Bed { _dir: dir, project, store }
}

impl Bed {
    async fn report(&self) -> Report {
        let book = prepare(&self.store, &self.project, ago(0), false).await.unwrap();
        report(&self.store, &self.project, &book, ago(0)).await.unwrap()
    }
}

#[track_caller]
fn is(measure: Measure, value: f64, n: u64) {
    let found = measure.get().unwrap();
    assert!((found.value() - value).abs() < 1e-6 * value.abs().max(1.0), "{} is not {value}", found.value());
    assert_eq!(found.n(), n);
    assert!(found.low() <= found.value() && found.value() <= found.high());
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_buying_are_what_one_counts_by_hand() {
    let shop = shop();
    let bed = bed("en", &shop).await;
    let kpis = bed.report().await.kpis;

    for row in &kpis.buying.repeat {
        let old: Vec<&Buyer> = shop.iter().filter(|b| b.orders[0].0 >= row.within_days).collect();
        let came = |b: &&&Buyer| b.orders.get(1).is_some_and(|o| b.orders[0].0 - o.0 <= row.within_days);
        let share = old.iter().filter(came).count() as f64 / old.len() as f64;
        is(row.share, share, old.len() as u64);
        assert_eq!(row.too_young, (shop.len() - old.len()) as u64);
    }
    let recent: Vec<f64> =
        shop.iter().flat_map(|b| &b.orders).filter(|o| o.0 <= 365).map(|o| o.1 as f64).collect();
    let buyers = shop.iter().filter(|b| b.orders.iter().any(|o| o.0 <= 365)).count() as u64;
    is(kpis.buying.order_mean_minor, mean(&recent), buyers);
    let mut sorted = recent.clone();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let median =
        if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) };
    is(kpis.buying.order_median_minor, median, recent.len() as u64);
    let strictly = shop.iter().flat_map(|b| &b.orders).filter(|o| o.0 < 365).count() as f64;
    let active = shop.iter().filter(|b| b.orders.iter().any(|o| o.0 < 365)).count() as u64;
    is(kpis.buying.frequency, strictly / active as f64, active);
    let second = shop.iter().filter(|b| b.orders.get(1).is_some_and(|o| o.0 <= 365)).count() as f64;
    is(kpis.buying.with_coupon, second / recent.len() as f64, recent.len() as u64);
    assert_eq!(kpis.buying.discount.get(), Err(Why::NotRecorded));

    // The month of the first order, and the month after it.
    let month = |days: i64| ago(days).to_string()[..7].to_owned();
    let newest = shop.iter().filter(|b| month(b.orders[0].0) == "2026-03").collect::<Vec<_>>();
    let row = kpis.cohorts.retention.iter().find(|row| row.month == "2026-03").unwrap();
    assert_eq!(row.customers, newest.len() as u64);
    let april = newest.iter().filter(|b| b.orders.iter().any(|o| month(o.0) == "2026-04")).count();
    is(row.cells[1].ordering, april as f64 / newest.len() as f64, newest.len() as u64);
    assert!(row.cells[1].complete && !row.cells[3].complete);

    // What a customer has brought in by the third month after the first one's, by source, lower case and trimmed.
    let number = |days: i64| {
        let month = month(days);
        month[..4].parse::<i64>().unwrap() * 12 + month[5..].parse::<i64>().unwrap()
    };
    for (source, name) in [(Some("Newsletter "), "newsletter"), (None, "unknown")] {
        let ripe = shop.iter().filter(|b| b.source == source && number(b.orders[0].0) + 3 < number(0));
        let spent = |b: &Buyer| {
            let last = number(b.orders[0].0) + 3;
            b.orders.iter().filter(|o| number(o.0) <= last).map(|o| o.1 as f64).sum::<f64>()
        };
        let values: Vec<f64> = ripe.map(spent).collect();
        let found = kpis.cohorts.by_source.iter().find(|row| row.of == name && row.months == 3).unwrap();
        assert_eq!(found.customers, 90);
        is(found.value_minor, mean(&values), values.len() as u64);
    }
    bed.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_phases_voices_and_visits_are_what_one_counts_by_hand() {
    let shop = shop();
    let bed = bed("en", &shop).await;
    let kpis = bed.report().await.kpis;

    // Stays in `new` that began within a year: how long, and whether the second order ended it (or staying away for a
    // hundred days; everybody comes back sooner than that or never).
    let spell = |b: &Buyer| match b.orders.get(1) {
        Some(second) => (b.orders[0].0 - second.0, Some(true)),
        None if b.orders[0].0 >= 100 => (100, Some(false)),
        None => (b.orders[0].0, None),
    };
    let spells: Vec<(i64, Option<bool>)> = shop.iter().filter(|b| b.orders[0].0 <= 365).map(spell).collect();
    // Aalen and Johansen, term by term.
    let came_by = |days: i64| {
        let (mut staying, mut came) = (1.0, 0.0);
        for day in 0..=days {
            let there = spells.iter().filter(|s| s.0 >= day).count() as f64;
            let left = |how: bool| spells.iter().filter(|s| **s == (day, Some(how))).count() as f64;
            came += staying * left(true) / there;
            staying *= 1.0 - (left(true) + left(false)) / there;
        }
        came
    };
    let row =
        kpis.phases.conversions.iter().find(|row| (&*row.from, &*row.to) == ("new", "regular")).unwrap();
    let count = |how| spells.iter().filter(|s| s.1 == how).count() as u64;
    assert_eq!(
        (row.entered, row.arrived, row.elsewhere, row.waiting),
        (spells.len() as u64, count(Some(true)), count(Some(false)), count(None))
    );
    for within in &row.within[..2] {
        is(within.share, came_by(i64::from(within.days)), spells.len() as u64);
    }
    let times = kpis.phases.times.iter().find(|row| row.phase == "new").unwrap();
    assert_eq!(times.n, spells.len() as u64);

    // Where everybody was ninety days ago and is now.
    let phase = |b: &Buyer, at: i64| {
        let past: Vec<i64> = b.orders.iter().map(|o| o.0).filter(|days| *days >= at).collect();
        let last = past.last()?;
        Some(if last - at >= 100 {
            "gone"
        } else if past.len() > 1 {
            "regular"
        } else {
            "new"
        })
    };
    let mut flow: BTreeMap<(Option<&str>, Option<&str>), u64> = BTreeMap::new();
    for buyer in &shop {
        *flow.entry((phase(buyer, 90), phase(buyer, 0))).or_default() += 1;
    }
    let rows = kpis.phases.flow.rows.iter();
    let found: BTreeMap<_, _> = rows.map(|r| ((r.from.as_deref(), r.to.as_deref()), r.customers)).collect();
    assert_eq!(found, flow);

    // New customers of the quarter that ended ninety days ago, worth as much more as those who were
    // regular then have spent more since.
    let link = kpis.phases.links.ranked.iter().find(|l| (&*l.from, &*l.to) == ("new", "regular")).unwrap();
    let asked: Vec<&Buyer> = shop.iter().filter(|b| b.orders[0].0 <= 180 && b.orders[0].0 > 90).collect();
    let came = asked.iter().filter(|b| b.orders.len() > 1).count() as f64;
    assert!((link.now - came / asked.len() as f64).abs() < 1e-9);
    let spent = |standing: &str| {
        let theirs = shop.iter().filter(|b| phase(b, 90) == Some(standing));
        let since = |b: &Buyer| b.orders.iter().filter(|o| o.0 < 90).map(|o| o.1 as f64).sum::<f64>();
        mean(&theirs.map(since).collect::<Vec<_>>())
    };
    assert_eq!(link.value_minor, (spent("regular") - spent("new")).round() as i64);
    assert_eq!((link.customers, link.weak), (spells.len() as u64, false));

    assert_eq!(kpis.voices.nps.get().unwrap().n(), 18);
    assert_eq!((kpis.voices.promoters, kpis.voices.passives, kpis.voices.detractors), (18, 0, 0));
    // The median of 30 to 50 seconds and no more: attention lasts thirty after the last input.
    let mut seconds: Vec<f64> = (0..180).map(|n| 20.0 + f64::from((10 + n).min(30))).collect();
    seconds.sort_by(f64::total_cmp);
    is(kpis.visits.active_seconds, f64::midpoint(seconds[89], seconds[90]), 180);
    assert_eq!(kpis.messages.complained.get().unwrap_err().word(), "empty");
    assert_eq!(kpis.voices.response.get(), Err(Why::NotAsked));
    assert_eq!(kpis.effects.overall.get(), Err(Why::NotHeld));
    bed.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_says_what_buyers_will_bring_in_and_as_of_says_the_same() {
    let shop = shop();
    let bed = bed("en", &shop).await;
    let before = bed.report().await.kpis.predicted;
    assert_eq!((before.learned_at, before.customers, before.sum_minor), (None, 0, None));
    assert_eq!(before.mean_minor.get(), Err(Why::NotLearned));

    learn(&bed.store, &bed.project, ago(0)).await.unwrap().unwrap();
    let figures = bed.report().await;
    let (_, learned) = learned_by(&bed.store, ago(0)).await.unwrap().unwrap();
    let zone = &bed.project.shop.zone;
    let value = |b: &Buyer| {
        let days = b.orders.iter().map(|o| (day_of(ago(o.0), zone), o.1)).collect();
        learned.value(&History::new(days).unwrap().rfm(day_of(ago(0), zone)).unwrap()).unwrap()
    };
    let values: Vec<f64> = shop.iter().map(value).collect();
    let found = &figures.kpis.predicted;
    assert!((found.sum_minor.unwrap() - values.iter().sum::<f64>()).abs() < 1e-3);
    is(found.mean_minor, mean(&values), 180);
    assert_eq!(found.bins.iter().map(|bin| bin.customers).sum::<u64>() + found.beyond, 180);
    assert!(figures.kpis.churn.by_model.get().is_ok());

    let book = prepare(&bed.store, &bed.project, ago(0), false).await.unwrap();
    let past = bed.store.as_of(ago(0)).await.unwrap();
    let (then, _) = report_as_of(&past, &bed.project, &book).await.unwrap();
    let text = |report: &Report| serde_json::to_string_pretty(report).unwrap();
    assert_eq!(text(&then), text(&figures));
    bed.store.close().await;
}

/// Nothing in a page comes from elsewhere, and no text of the shop becomes markup.
fn stands_alone(text: &str, locale: &str) {
    for forbidden in [
        "<script",
        "javascript:",
        " src=",
        " href=",
        "url(http",
        "@import",
        " onload",
        "New <1>",
        "<Co>",
        "NaN",
    ] {
        assert!(!text.contains(forbidden), "{locale}: {forbidden}");
    }
    assert_eq!(text.matches("<h1>").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_stands_alone_in_both_languages() {
    let shop: Vec<Buyer> = shop().into_iter().step_by(3).collect();
    for locale in ["en", "de-AT"] {
        let bed = bed(locale, &shop).await;
        learn(&bed.store, &bed.project, ago(0)).await.unwrap().unwrap();
        let text = page(&bed.report().await, &bed.project.shop);
        let found = validate(&bed.store, &bed.project, ago(0), Some(60), 3).await.unwrap().unwrap();
        let forecasts = forecasts_page(&found, &bed.project.shop, ago(0));
        bed.store.close().await;
        stands_alone(&text, locale);
        insta::assert_snapshot!(format!("page.{locale}"), text);
        stands_alone(&forecasts, locale);
        assert_eq!(
            forecasts.matches("<circle").count(),
            found.cutoffs[2].all.calibration.len()
                + found.cutoffs[2].one_time.calibration.len()
                + found.cutoffs[2].repeat.calibration.len()
        );
        insta::assert_snapshot!(format!("forecasts.{locale}"), forecasts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_without_customers_gets_a_page_that_says_so() {
    let bed = bed("en", &[]).await;
    let figures = bed.report().await;
    let text = page(&figures, &bed.project.shop);
    assert!(text.contains("No customers are known yet"), "{text}");
    assert!(!text.contains("NaN") && !text.contains("<table"));
    let json = serde_json::to_value(&figures).unwrap();
    assert_eq!(json["kpis"]["buying"]["repeat"][0]["share"]["unknown"], "empty");
    bed.store.close().await;
}
