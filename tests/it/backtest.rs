//! A backtest does what the daemon did: a shop's life is run day by day through sync, round and outbox, then replayed
//! from the same records, and every transition, run and message is the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zyklus_engine::Book;
use zyklus_model::{At, CustomerId, DeliveryState, Snapshot, Transition};
use zyklus_runtime::backtest::{goes_live, page, replay_customer};
use zyklus_runtime::learn::{learn, learn_if_due, put_learned_over};
use zyklus_runtime::{Window, backtest, prepare, starter_files};
use zyklus_tests::zyklus::Zyklus;

use crate::life::World;

const FROM: &str = "2026-01-05T06:00:00Z";
const DAYS: i64 = 200;
/// Enough of them order for what is learned to count (see `Learned::is_telling`).
const CUSTOMERS: u64 = 72;

fn at(text: &str) -> At {
    text.parse().unwrap()
}

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

[quiet]
email = { from = "21:00", until = "08:00" }

[connectors.shop]
type = "csv"
[connectors.shop.consents]
path = "consents.csv"
[connectors.shop.consents.map]
email = "email"
channel = "channel"
purpose = "purpose"
state = "state"
at = "at"
[connectors.shop.orders]
path = "orders.csv"
currency = "EUR"
[connectors.shop.orders.map]
id = "id"
email = "email"
placed_at = "placed_at"
total = "total"
state = "state"
delivered_at = "delivered_at"
cancelled_at = "cancelled_at"
line_product = "product"
line_title = "product"
[connectors.shop.products]
path = "products.csv"
[connectors.shop.carts]
path = "carts.csv"
currency = "EUR"
[connectors.shop.carts.map]
id = "id"
email = "email"
updated_at = "updated_at"
is_open = "is_open"
total = "total"
[connectors.shop.reviews]
path = "reviews.csv"
[connectors.shop.reviews.map]
id = "id"
email = "email"
kind = "kind"
score = "score"
at = "at"

[connectors.mail]
type = "maildir"
path = "mail"
"#;

/// Two journeys by what could be recommended, beside the starter set.
const GOES_WITH: &str = r#"
[journeys.goes-with]
label   = { en = "Goes well with", de = "Passt dazu" }
start   = { segment = "recommend.count >= 4" }
reenter = "always"
steps   = [
  { tag = "has-ideas", for = "20d" },
  { wait = "9d", until = "recommend.count < 3" },
  { if = "recommend.count >= 3", then = [{ tag = "still-has" }], else = [{ tag = "has-none" }] },
]

[journeys.ideas]
label   = { en = "Ideas", de = "Ideen" }
start   = { event = "order.placed" }
when    = "recommend.count >= 2"
key     = "event.order_id"
exit    = "recommend.count < 2"
steps   = [{ wait = "12d" }, { tag = "had-ideas" }]
"#;

fn write_shop(dir: &Path) -> PathBuf {
    for (path, bytes) in starter_files() {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    // A backtest lets every journey go live, so the daemon does.
    let sunset = dir.join("playbooks/10-sunset.toml");
    let text = std::fs::read_to_string(&sunset).unwrap();
    std::fs::write(sunset, text.replace("\"shadow\"", "\"live\"")).unwrap();
    // A backtest knows what is sold out now, not what was then: only what was learned of it has a past.
    let replenish = dir.join("playbooks/11-replenish.toml");
    let text = std::fs::read_to_string(&replenish).unwrap();
    let text = text.replace("!product(key).sold_out && ", "").replace("product(key).sold_out || ", "");
    std::fs::write(replenish, text).unwrap();
    std::fs::write(dir.join("playbooks/90-goes-with.toml"), GOES_WITH).unwrap();
    let file = dir.join("zyklus.toml");
    std::fs::write(&file, CONFIG).unwrap();
    file
}

/// Multiplies and adds (Knuth's constants): the same shop on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % end
    }
}

/// An order with what became of it.
struct Bought {
    placed_at: At,
    delivered_at: Option<At>,
    cancelled_at: Option<At>,
    cents: i64,
}

struct Person {
    email: String,
    /// Word and instant.
    consents: Vec<(&'static str, At)>,
    orders: Vec<Bought>,
    /// When the one cart was touched, and what was in it.
    carts: Vec<(At, i64)>,
    review: Option<(At, i64)>,
}

impl Person {
    fn invent(number: u64) -> Self {
        let mut dice = Dice(number.wrapping_mul(7_919) + 17);
        let from = at(FROM);
        let some = |days: i64, dice: &mut Dice| from.plus_seconds(dice.below(days * 86_400));
        // A third is known from before, a third comes in the window, the others a little before its end.
        let begin = match number % 3 {
            0 => some(250, &mut dice).plus_days(-260),
            1 => some(60, &mut dice),
            _ => some(190, &mut dice),
        };
        let mut orders = Vec::new();
        let mut placed_at = begin.plus_seconds(dice.below(9 * 86_400));
        for _ in 0..dice.below(6) {
            let after =
                |days: i64, dice: &mut Dice| placed_at.plus_seconds(3_600 + dice.below(days * 86_400));
            let cancelled_at = (dice.below(8) == 0).then(|| after(3, &mut dice));
            let delivered_at = (cancelled_at.is_none() && dice.below(3) > 0).then(|| after(6, &mut dice));
            orders.push(Bought { placed_at, delivered_at, cancelled_at, cents: 900 + dice.below(9_000) });
            placed_at = placed_at.plus_seconds(86_400 + dice.below(75 * 86_400));
        }
        let mut consents = Vec::new();
        if dice.below(4) > 0 {
            consents.push(("granted", begin));
            if dice.below(5) == 0 {
                consents.push(("withdrawn", begin.plus_seconds(dice.below(80 * 86_400) + 3_600)));
            }
        }
        let touched = begin.plus_seconds(dice.below(30 * 86_400));
        let carts = match dice.below(3) {
            0 => vec![(touched, 4_500), (touched.plus_seconds(5_400), 6_200), (touched.plus_days(40), 2_300)],
            1 => vec![(touched, 1_200)],
            _ => Vec::new(),
        };
        let review = (dice.below(3) == 0).then(|| (some(180, &mut dice).max(begin), dice.below(11)));
        Person { email: format!("c{number}@example.org"), consents, orders, carts, review }
    }
}

/// How many products the shop has; the first of each half are bought by many.
const PRODUCTS: i64 = 24;

/// What an order is of: of one half of the shop for every second customer.
fn products_of(number: usize, order: usize) -> impl Iterator<Item = i64> {
    let half = i64::try_from(number % 2).unwrap() * PRODUCTS / 2;
    let mut dice = Dice(number as u64 * 97 + order as u64 * 31 + 5);
    let lines = 1 + dice.below(3);
    (0..lines).map(move |_| half + dice.below(PRODUCTS / 2).min(dice.below(PRODUCTS / 2)))
}

/// Each product is sold out for some weeks, and then again.
fn is_available(product: i64, now: At) -> bool {
    let days = now.micros_since(at(FROM)) / 86_400_000_000;
    (days + product * 17) % 90 >= 25
}

/// The shop's files as they stand at an instant.
fn write_files(dir: &Path, people: &[Person], now: At) {
    let mut orders = "id,email,placed_at,total,state,delivered_at,cancelled_at,product\n".to_owned();
    let mut consents = "email,channel,purpose,state,at\n".to_owned();
    let mut carts = "id,email,updated_at,is_open,total\n".to_owned();
    let mut reviews = "id,email,kind,score,at\n".to_owned();
    let mut products = "id,title,available\n".to_owned();
    for product in 0..PRODUCTS {
        let _ = writeln!(products, "p{product},Tea {product},{}", is_available(product, now));
    }
    for (number, person) in people.iter().enumerate() {
        let email = &person.email;
        for (index, order) in person.orders.iter().enumerate().filter(|(_, o)| o.placed_at <= now) {
            let by_now =
                |at: Option<At>| at.filter(|at| *at <= now).map_or(String::new(), |at| at.to_string());
            let (delivered, cancelled) = (by_now(order.delivered_at), by_now(order.cancelled_at));
            let state = if cancelled.is_empty() { "placed" } else { "cancelled" };
            let total = format!("{}.{:02}", order.cents / 100, order.cents % 100);
            for product in products_of(number, index) {
                let _ = writeln!(
                    orders,
                    "o{number}-{index},{email},{},{total},{state},{delivered},{cancelled},p{product}",
                    order.placed_at
                );
            }
        }
        for (word, said) in person.consents.iter().filter(|(_, at)| *at <= now) {
            let _ = writeln!(consents, "{email},email,marketing,{word},{said}");
        }
        if let Some((touched, cents)) = person.carts.iter().rfind(|(at, _)| *at <= now) {
            let total = format!("{}.{:02}", cents / 100, cents % 100);
            let _ = writeln!(carts, "k{number},{email},{touched},true,{total}");
        }
        if let Some((said, score)) = person.review.filter(|(at, _)| *at <= now) {
            let _ = writeln!(reviews, "r{number},{email},nps,{score},{said}");
        }
    }
    for (file, text) in [
        ("orders.csv", orders),
        ("consents.csv", consents),
        ("carts.csv", carts),
        ("reviews.csv", reviews),
        ("products.csv", products),
    ] {
        std::fs::write(dir.join(file), text).unwrap();
    }
}

/// Runs the shop with a sync a day; the clock stops wherever something is due, as the daemon does.
async fn live(dir: &Path, world: &World, people: &[Person], window: Window) -> Arc<Book> {
    write_files(dir, people, window.from);
    world.sync().await;
    learn(&world.store, &world.project, window.from).await.unwrap();
    let mut book = Arc::new(prepare(&world.store, &world.project, window.from, true).await.unwrap());
    let dispatcher = world.dispatcher();
    world.round(&book, &dispatcher).await;
    let mut sync_at = window.from.plus_days(1);
    loop {
        let due = [world.store.next_due().await.unwrap(), world.store.next_delivery_due().await.unwrap()];
        let next = due.into_iter().flatten().fold(sync_at, At::min).max(world.clock.now());
        if next > window.to {
            break;
        }
        world.clock.set(next);
        if next == sync_at {
            write_files(dir, people, next);
            world.sync().await;
            sync_at = sync_at.plus_days(1);
            book = learn_if_due(&world.store, &world.project, &book, next).await.unwrap();
        }
        world.round(&book, &dispatcher).await;
    }
    book
}

async fn all_snapshots(world: &World) -> Vec<Snapshot> {
    let ids = world.store.customer_ids(None, 10_000).await.unwrap();
    world.store.snapshots(&ids).await.unwrap()
}

async fn all_transitions(world: &World) -> BTreeMap<CustomerId, Vec<Transition>> {
    let lifecycle = world.project.book.lifecycle.id.to_string();
    let mut all: BTreeMap<CustomerId, Vec<Transition>> = BTreeMap::new();
    for (customer, transition) in world.store.transitions_page(&lifecycle, None, 100_000).await.unwrap() {
        all.entry(customer).or_default().push(transition);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_does_what_the_daemon_did_record_for_record() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_shop(dir.path());
    let people: Vec<Person> = (0..CUSTOMERS).map(Person::invent).collect();
    write_files(dir.path(), &people, at(FROM));
    let window = Window { from: at(FROM), to: at(FROM).plus_days(DAYS) };
    let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
    let world = World::open(&config, &url, window.from).await;
    let book = live(dir.path(), &world, &people, window).await;

    let mut stored = all_transitions(&world).await;
    let (mut moves, mut runs, mut sent, mut refused) = (0, 0, 0, 0);
    let mut with_ideas: BTreeMap<String, usize> = BTreeMap::new();
    let mut replayed_book = world.project.book.clone();
    goes_live(&mut replayed_book, window);
    let books = std::slice::from_mut(&mut replayed_book);
    put_learned_over(&world.store, books, (window.from, window.to)).await.unwrap();
    let pairings = replayed_book.pairings.len();
    assert!((7..20).contains(&pairings), "{pairings} lessons of what goes together in {DAYS} days");
    let telling = replayed_book.learned.iter().filter(|(_, learned)| learned.is_telling()).count();
    assert!(telling > 4, "of {} models only {telling} tell customers apart", replayed_book.learned.len());
    assert_eq!(replayed_book.active_from, book.active_from);
    for lived in all_snapshots(&world).await {
        let who = lived.customer.email.as_ref().map(|e| e.as_str().to_owned()).unwrap();
        let mut replayed = replay_customer(&replayed_book, lived.clone(), window, &mut |_, _| {}).unwrap();
        let transitions = stored.get_mut(&lived.customer.id).unwrap();
        transitions.sort_by_key(|t| (t.at, t.id));
        replayed.transitions.sort_by_key(|t| (t.at, t.id));
        assert_eq!(*transitions, replayed.transitions, "{who}");
        assert_eq!(lived.runs, replayed.snapshot.runs, "{who}");
        assert_eq!(lived.deliveries, replayed.snapshot.deliveries, "{who}");
        assert_eq!((&lived.phase, &lived.segments), (&replayed.snapshot.phase, &replayed.snapshot.segments));
        let labels =
            |s: &Snapshot| s.tags.iter().map(|t| (t.tag.clone(), t.since, t.until)).collect::<Vec<_>>();
        assert_eq!(labels(&lived), labels(&replayed.snapshot), "{who}");
        moves += transitions.len();
        runs += lived.runs.len();
        for tag in lived.tags.iter().filter(|tag| GOES_WITH.contains(&tag.tag)) {
            *with_ideas.entry(tag.tag.clone()).or_default() += 1;
        }
        sent += lived.deliveries.iter().filter(|d| d.state == DeliveryState::Accepted).count();
        refused += lived.deliveries.iter().filter(|d| d.state == DeliveryState::Refused).count();
    }
    assert_eq!(with_ideas.len(), 4, "both journeys went every way: {with_ideas:?}");
    assert!(moves > 60 && runs > 40 && sent > 30 && refused > 5, "{moves} {runs} {sent} {refused}");

    // The sums are those of the records, and the same every time.
    let books = || vec![("playbooks".to_owned(), world.project.book.clone())];
    let found = backtest(&world.store, books(), window, &|_| {}).await.unwrap();
    let side = &found.sides[0];
    assert_eq!((side.messages, side.started), (sent as u64, runs as u64));
    assert_eq!(side.per_customer.iter().map(|s| s.messages * s.customers).sum::<u64>(), side.messages);
    assert_eq!(side.days.iter().map(|day| day.messages).sum::<u64>(), side.messages);
    let again = backtest(&world.store, books(), window, &|_| {}).await.unwrap();
    assert_eq!(serde_json::to_string(&found).unwrap(), serde_json::to_string(&again).unwrap());
    assert_eq!(page(&found), page(&again));
    let at_the_end: u64 = side.over_time.last().unwrap().phases.values().sum();
    assert_eq!(at_the_end, side.customers);
    world.connectors.close().await;
    world.store.close().await;

    the_program_compares_two_folders(dir.path(), side.messages).await;
}

/// The same from the command line, beside playbooks that send less.
async fn the_program_compares_two_folders(dir: &Path, messages: u64) {
    let other = dir.join("quieter");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(dir.join("playbooks/04-first-order.toml"), other.join("04-first-order.toml")).unwrap();
    let zyklus = Zyklus::new(dir).unwrap();
    let window = ["--from", FROM, "--to", "2026-07-24T06:00:00Z"];
    let run = |more: &'static [&'static str]| {
        let args: Vec<&str> = ["backtest"].into_iter().chain(window).chain(more.iter().copied()).collect();
        let zyklus = &zyklus;
        async move { zyklus.run(&args).await.unwrap() }
    };
    let ended = run(&["--playbook", "quieter", "--json", "--html", "page.html"]).await;
    assert!(ended.status.success(), "{}", ended.stderr);
    let found: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(found["sides"][0]["messages"], messages);
    assert!(found["sides"][1]["messages"].as_u64().unwrap() < messages);
    assert_eq!(found["sides"][0]["over_time"], found["sides"][1]["over_time"]);
    let html = std::fs::read_to_string(dir.join("page.html")).unwrap();
    assert!(html.contains("<svg") && html.contains("quieter"));
    assert!(!html.contains("http") && !html.contains("<script"), "it loads nothing");
    let ended = run(&["--playbook", "quieter", "--json"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ended.stdout).unwrap(), found);
    let ended = run(&[]).await;
    assert!(ended.stdout.contains("Phases by month"), "{}", ended.stdout);

    let ended = run(&["--playbook", "nowhere"]).await;
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("there is no such folder of playbooks"), "{}", ended.stderr);
    let ended = zyklus.run(&["backtest", "--from", "2026-02-01", "--to", "2026-01-01"]).await.unwrap();
    assert_eq!(ended.status.code(), Some(2));
}
