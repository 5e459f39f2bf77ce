//! `--as-of` equals what was printed on that day: a shop's life, played day by day on a virtual clock with mails,
//! refunds, carts, consents, a receipt and a merge in it. On SQLite, on PostgreSQL, and through the built program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use zyklus_engine::why;
use zyklus_model::{
    At, CustomerId, DeliveryState, Origin, ReceiptKind, ReceiptRecord, Record, RunState, Snapshot,
};
use zyklus_runtime::learn::learn_if_due;
use zyklus_runtime::{Project, book_as_of, book_for_reading, prepare, report, report_as_of, starter_files};
use zyklus_store::{DeliveryFilter, Ingest, Lesson, Store};
use zyklus_tests::postgres;
use zyklus_tests::zyklus::Zyklus;

use crate::life::{World, at, mails};

const CONFIG: &str = r#"
[shop]
name = "Teehaus"
url = "https://teehaus.example"
currency = "EUR"
locale = "de"
time_zone = "Europe/Berlin"
legal_name = "Teehaus GmbH"
address_lines = ["Am Markt 1", "20095 Hamburg"]
email = "hallo@teehaus.example"

[consent]
existing_customers = true

[connectors.shop]
type = "csv"
[connectors.shop.customers]
path = "customers.csv"
[connectors.shop.orders]
path = "orders.csv"
currency = "EUR"
[connectors.shop.carts]
path = "carts.csv"
currency = "EUR"
[connectors.shop.consents]
path = "consents.csv"
[connectors.shop.products]
path = "products.csv"

[connectors.mail]
type = "maildir"
path = "mail"
"#;

/// A journey by what could be recommended, beside the starter set.
const GOES_WITH: &str = r#"
[journeys.goes-with]
label   = { en = "Goes well with", de = "Passt dazu" }
start   = { event = "order.placed" }
key     = "event.order_id"
when    = "recommend.count >= 2"
exit    = "recommend.count == 0"
steps   = [{ wait = "12d", until = "recommend.count > 2" }, { tag = "ideas", for = "5d" }]
"#;

/// What every order of a customer is of.
const PRODUCTS: [&str; 6] = ["tea", "pot", "cup", "tin", "spoon", "honey"];

/// Customers of the shop, and days of its life.
const PEOPLE: u32 = 8;
const DAYS: u32 = 40;

/// The n-th day, 2026-03-01 being the first, at a time of the day in UTC.
fn moment(day: u32, time: &str) -> String {
    let (month, day) = if day < 31 { (3, day + 1) } else { (4, day - 30) };
    format!("2026-{month:02}-{day:02}T{time}Z")
}

/// The end of a day in Hamburg; the clocks go forward on the 29th of March.
fn evening(day: u32) -> At {
    at(&moment(day, if day < 28 { "22:59:59.99999" } else { "21:59:59.99999" }))
}

fn day_of(day: u32) -> String {
    moment(day, "")[..10].to_owned()
}

/// What the shop exports on a day: everything as it stands.
fn write_day(dir: &Path, day: u32) {
    let write = |file: &str, head: &str, rows: Vec<String>| {
        std::fs::write(dir.join(file), format!("{head}\n{}\n", rows.join("\n"))).unwrap();
    };
    let (mut customers, mut orders, mut carts, mut consents) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for n in 0..PEOPLE {
        // One more every third day; the first two were there before.
        let begins = n.saturating_sub(1) * 3;
        if day < begins {
            continue;
        }
        let turned = (day + n) / 9;
        let tag = if (day + n) % 7 < 3 { "tea" } else { "coffee" };
        let since = moment(begins, "07:00:00");
        let updated = moment(day - (day + n) % 3 % (day + 1), "07:30:00");
        customers.push(format!("{n},c{n}@example.org,true,Name {turned},{tag},{since},{updated}"));
        let state = if day > 25 && n == 3 { "withdrawn" } else { "granted" };
        consents.push(format!("{n},granted,{since}"));
        if state == "withdrawn" {
            consents.push(format!("{n},withdrawn,{}", moment(25, "12:00:00")));
        }
        // Something that nobody else has, so that it says something what several have.
        orders.push(format!("{n}-own,{n},,{since},15.00,,,own-{n},own"));
        for (order, placed) in [begins + 1, begins + 8 + n].into_iter().enumerate() {
            if placed <= day {
                let is_refunded = order == 0 && n % 3 == 1 && day >= placed + 6;
                let back = if is_refunded { moment(placed + 5, "10:00:00") } else { String::new() };
                let amount = if is_refunded { "10.00" } else { "" };
                let placed_at = moment(placed, "09:00:00");
                for product in 0..=(n as usize % 3) {
                    let product = PRODUCTS[(product + order * 2 + n as usize / 4) % PRODUCTS.len()];
                    let amounts = format!("{}.00,{amount},{back}", 20 + n);
                    orders.push(format!("{n}-{order},{n},,{placed_at},{amounts},{product},{product}"));
                }
            }
        }
        if n % 2 == 0 && day >= begins + 3 {
            let changed = day - (day - begins) % 5;
            let is_open = (day - begins) % 5 < 3;
            carts.push(format!("k{n},{n},{},{}.00,{is_open}", moment(changed, "06:00:00"), 30 + changed));
        }
    }
    if day >= 5 {
        orders.push(format!("guest,,guest@example.org,{},35.00,,,tea,tea", moment(5, "11:00:00")));
    }
    if day >= 15 {
        // An account that later proves the guest's address as its own.
        let (since, proved) = (moment(15, "08:00:00"), moment(18, "08:00:00"));
        let (address, updated) =
            if day >= 18 { ("guest@example.org", &proved) } else { ("other@example.org", &since) };
        customers.push(format!("99,{address},true,Gast,,{since},{updated}"));
        orders.push(format!("99-0,99,,{since},12.00,,,cup,cup"));
    }
    // Each of them is sold out for a week, one after the other.
    let products = PRODUCTS.iter().zip(0..);
    let is_there = |n: u32| day / 7 != n;
    let products = products.map(|(id, n)| format!("{id},{id},{}", is_there(n))).collect();
    write("products.csv", "id,title,available", products);
    write("customers.csv", "id,email,email_verified,first_name,tags,created_at,updated_at", customers);
    write(
        "orders.csv",
        "id,customer_id,email,placed_at,total,refunded,refunded_at,line_product,line_title",
        orders,
    );
    write("carts.csv", "id,customer_id,updated_at,total,is_open", carts);
    write("consents.csv", "customer_id,state,at", consents);
}

/// What was printed in an evening.
struct Page {
    at: At,
    day: String,
    report: String,
    why: BTreeMap<CustomerId, String>,
    shown: BTreeMap<CustomerId, Snapshot>,
}

/// JSON as the program prints it.
macro_rules! text {
    ($value:expr) => {
        serde_json::to_string_pretty($value).unwrap()
    };
}

async fn print_all(world: &World, day: u32) -> Page {
    let (store, now) = (&world.store, evening(day));
    let book = book_for_reading(store, &world.project).await.unwrap();
    let ids = store.customer_ids(None, 1_000).await.unwrap();
    let snapshots = store.snapshots(&ids).await.unwrap();
    Page {
        at: now,
        day: day_of(day),
        report: text!(&report(store, &world.project, &book, now).await.unwrap()),
        why: snapshots.iter().map(|s| (s.customer.id, text!(&why(&book, s, now)))).collect(),
        shown: snapshots.into_iter().map(|s| (s.customer.id, s)).collect(),
    }
}

/// A provider's word about the first mail that was accepted.
async fn hear_of_a_click(world: &World) {
    let filter = DeliveryFilter { state: Some(DeliveryState::Accepted), ..DeliveryFilter::default() };
    let sent = world.store.deliveries(&filter).await.unwrap();
    let receipt = ReceiptRecord {
        external_id: "r1".to_owned(),
        delivery: Some(sent[0].id.to_string()),
        provider_ref: None,
        kind: ReceiptKind::Clicked,
        at: world.clock.now(),
        detail: None,
    };
    let page = Ingest {
        connector: "mail".to_owned(),
        stream: "receipts".to_owned(),
        records: vec![Record::Receipt(receipt)],
        rejects: Vec::new(),
        origin: Origin::Live,
        received_at: world.clock.now(),
        next: None,
        rates: world.project.rates.clone(),
    };
    assert_eq!(world.store.ingest(page).await.unwrap().changed, 1);
}

/// Lives through all days and writes down what every evening printed.
async fn live(dir: &Path, store_url: &str) -> (World, Vec<Page>) {
    for (path, bytes) in starter_files() {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::write(dir.join("playbooks/90-goes-with.toml"), GOES_WITH).unwrap();
    std::fs::write(dir.join("zyklus.toml"), CONFIG).unwrap();
    write_day(dir, 0);
    let world = World::open(&dir.join("zyklus.toml"), store_url, at(&moment(0, "08:00:00"))).await;
    world.sync().await;
    let mut diary = Vec::new();
    // The daemon begins: what is there is history.
    let mut book = Arc::new(prepare(&world.store, &world.project, world.clock.now(), true).await.unwrap());
    let dispatcher = world.dispatcher();
    for day in 0..DAYS {
        write_day(dir, day);
        for hour in ["08:10:00", "12:00:00", "18:00:00"] {
            world.clock.set(at(&moment(day, hour)));
            world.sync().await;
            // Each night, as the daemon does.
            book = learn_if_due(&world.store, &world.project, &book, world.clock.now()).await.unwrap();
            if day == 30 && hour == "12:00:00" {
                hear_of_a_click(&world).await;
            }
            world.round(&book, &dispatcher).await;
        }
        diary.push(print_all(&world, day).await);
    }
    (world, diary)
}

async fn look_back(store: &Store, project: &Project, page: &Page) {
    let past = store.as_of(page.at).await.unwrap();
    let (book, others) = book_as_of(&past, project).await.unwrap();
    assert!(others.is_empty(), "{others:?}");
    let (figures, strangers) = report_as_of(&past, project, &book).await.unwrap();
    assert_eq!(strangers, 0);
    assert_eq!(text!(&figures), page.report, "report as of {}", page.day);
    let ids = past.customer_ids(None, 1_000).await.unwrap();
    let snapshots = past.snapshots(&ids).await.unwrap();
    assert_eq!(snapshots.len(), page.shown.len(), "customers as of {}", page.day);
    for snapshot in snapshots {
        let id = snapshot.customer.id;
        assert_eq!(text!(&snapshot), text!(&page.shown[&id]), "customer {id} as of {}", page.day);
        assert_eq!(text!(&why(&book, &snapshot, page.at)), page.why[&id], "why {id} as of {}", page.day);
    }
}

async fn every_day_is_told_as_it_was_told_then(dir: &Path, store_url: &str) -> Vec<Page> {
    let (world, diary) = live(dir, store_url).await;
    // The life had in it what it is to be proved with.
    let all = || diary.iter().flat_map(|page| page.shown.values());
    assert!(mails(dir).len() > 20, "mails went out: {}", mails(dir).len());
    assert!(all().any(|s| s.orders.iter().any(|o| !o.refunds.is_empty())), "something was sent back");
    assert!(all().any(|s| s.runs.iter().any(|r| r.state == RunState::Live)), "journeys went on");
    assert!(all().any(|s| s.runs.iter().any(|r| r.state == RunState::Ended)), "journeys ended");
    assert!(all().any(|s| s.carts.iter().any(|c| !c.is_open)), "carts were closed");
    assert!(all().any(|s| s.events.iter().any(|e| e.name == "mail.clicked")), "a mail was clicked");
    let lessons = world.store.learned_until(Lesson::Pairings, At::MAX).await.unwrap();
    assert!(lessons.len() > 3, "what goes together was learned {} times", lessons.len());
    let counts: BTreeSet<&str> = diary
        .iter()
        .flat_map(|page| page.why.values())
        .flat_map(|why| why.split("\"text\": \"recommend.count\",").skip(1))
        .filter_map(|told| told.split("\"value\": ").nth(1)?.split([',', '\n']).next())
        .collect();
    let went = all().any(|s| s.runs.iter().any(|run| run.journey == "goes-with"));
    assert!(went, "somebody has products that go with what they bought");
    assert!(counts.len() > 1, "{counts:?} could be recommended");
    let mut merges = 0;
    for id in diary[DAYS as usize - 1].shown.keys() {
        merges += world.store.merges(*id).await.unwrap().len();
    }
    assert_eq!(merges, 1, "a guest and an account became one");
    for page in &diary {
        look_back(&world.store, &world.project, page).await;
    }
    world.connectors.close().await;
    world.store.close().await;
    diary
}

#[tokio::test(flavor = "multi_thread")]
async fn every_day_is_told_as_it_was_told_then_on_postgres() {
    let dir = tempfile::tempdir().unwrap();
    let database = postgres::fresh_database().unwrap();
    every_day_is_told_as_it_was_told_then(dir.path(), &database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_day_is_told_as_it_was_told_then_on_sqlite_and_by_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    let diary = every_day_is_told_as_it_was_told_then(dir.path(), &url).await;
    let zyklus = Zyklus::new(dir.path()).unwrap();
    for page in [&diary[3], &diary[20], &diary[35]] {
        let ended = zyklus.run(&["report", "--as-of", &page.day, "--json"]).await.unwrap();
        assert_eq!((ended.stdout.trim_end(), ended.stderr.as_str()), (page.report.as_str(), ""));
        let (id, shown) = page.shown.first_key_value().unwrap();
        let address = shown.customer.email.as_ref().unwrap().as_str();
        for name in [id.to_string().as_str(), address] {
            let ended = zyklus.run(&["why", name, "--as-of", &page.day, "--json"]).await.unwrap();
            let mut told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
            // The program looks ahead besides, by the folder as it is.
            assert!(told.as_object_mut().unwrap().remove("next_message").is_some());
            assert_eq!((text!(&told).as_str(), ended.stderr.as_str()), (page.why[id].as_str(), ""));
        }
        let told = zyklus.succeed(&["customer", "show", address, "--as-of", &page.day]).await.unwrap();
        assert_eq!(told.trim_end(), text!(&[shown]));
    }
    let ended = zyklus.run(&["report", "--as-of", "2026-02-28"]).await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let words = "the store knows how things stood from 2026-03-01T08:00:00Z on";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    let ended = zyklus.run(&["why", "c7@example.org", "--as-of", "2026-03-05"]).await.unwrap();
    assert!(ended.stderr.contains("nobody could be found by `c7@example.org`"), "{}", ended.stderr);
    // Another lifecycle in the folder tells of that time what it would have told, and says so.
    let lifecycle = dir.path().join("lifecycles/ecommerce.toml");
    let body = std::fs::read_to_string(&lifecycle).unwrap();
    std::fs::write(&lifecycle, body.replace("days_since_last >= 180", "days_since_last >= 181")).unwrap();
    let ended = zyklus.run(&["report", "--as-of", "2026-03-20", "--json"]).await.unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stderr.contains("the lifecycle was another one then"), "{}", ended.stderr);
}
