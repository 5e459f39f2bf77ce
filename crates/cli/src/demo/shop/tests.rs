//! The demo shop: the same everywhere, believable, and read by the csv connector without a reject.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zyklus_connect::model::{FeedbackKind, OrderState, Record};
use zyklus_connect::{
    Connector, Ctx, Cursor, Factory, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Mode, Next,
    ReadRequest,
};
use zyklus_csv::{CsvConfig, CsvConnector};

use super::*;

const STREAMS: [&str; 7] = ["products", "customers", "consents", "orders", "carts", "reviews", "events"];

fn newest() -> At {
    "2026-03-12T15:30:00Z".parse().unwrap()
}

fn shop() -> Shop {
    Shop::generate(SEED, newest(), Size::default())
}

struct NoHttp;

#[async_trait::async_trait]
impl Http for NoHttp {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError { kind: HttpErrorKind::Refused, message: "no network here".into() })
    }
}

/// A folder with the export in `shop`, read through [`csv_section`].
struct Reader {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    connector: CsvConnector,
    cursors: HashMap<&'static str, Cursor>,
}

impl Reader {
    fn new() -> Self {
        let dir = tempfile::TempDir::new().unwrap();
        let section: toml::Table = toml::from_str(csv_section()).unwrap();
        let mut section = section["connectors"]["shop"].as_table().unwrap().clone();
        assert_eq!(section.remove("type").unwrap().as_str(), Some("csv"));
        assert!(section.remove("sync_every").is_some());
        let config: CsvConfig = section.try_into().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let base = dir.path().to_owned();
        let ctx = Ctx::new("shop", Arc::new(NoHttp), Arc::new(newest), base.clone(), base.join("data"));
        let connector = runtime.block_on(CsvConnector::open(config, ctx)).unwrap();
        Reader { dir, runtime, connector, cursors: HashMap::new() }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("shop")
    }

    /// What is new in every stream; no row may be rejected.
    fn read(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        for stream in STREAMS {
            loop {
                let cursor = self.cursors.remove(stream);
                let mode = if cursor.is_some() { Mode::Incremental } else { Mode::Backfill { from: None } };
                let request = ReadRequest { stream: stream.into(), cursor, mode, limit: 500 };
                let source = self.connector.source().unwrap();
                let page = self.runtime.block_on(source.read(request)).unwrap();
                assert_eq!(page.rejects, [], "{stream}");
                records.extend(page.records);
                self.cursors.insert(stream, page.next.cursor().clone());
                if matches!(page.next, Next::CaughtUp { .. }) {
                    break;
                }
            }
        }
        records
    }
}

/// A text for each thing a record is about, to its latest record.
fn latest(records: &[Record]) -> BTreeMap<String, &Record> {
    let key = |record: &Record| match record {
        Record::Customer(r) => format!("customer {}", r.customer.external_id.as_deref().unwrap()),
        Record::Order(r) => format!("order {}", r.external_id),
        Record::Cart(r) => format!("cart {}", r.external_id),
        Record::Product(r) => format!("product {}", r.external_id),
        Record::Feedback(r) => format!("feedback {}", r.external_id),
        Record::Event(r) => format!("event {}", r.external_id.as_deref().unwrap()),
        Record::Consent(r) => format!("consent {:?} {} {}", r.customer, r.state, r.at),
        other => panic!("nothing of the demo shop: {other:?}"),
    };
    records.iter().map(|r| (key(r), r)).collect()
}

fn all_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn the_same_seed_gives_the_same_shop_on_every_machine() {
    let mut hash = Sha256::new();
    for (name, text) in export::files(&shop(), newest()) {
        hash.update(name);
        hash.update(text);
    }
    assert_eq!(
        hex::encode(hash.finalize()),
        "74e49f5d54d37ef50821475ad878782ce5c068a5659276cc92d568706a96ed83"
    );
    let other = Shop::generate(SEED + 1, newest(), Size::default());
    assert_ne!(export::files(&other, newest()), export::files(&shop(), newest()));
}

#[test]
fn every_row_is_read_by_the_connector() {
    let shop = shop();
    let mut reader = Reader::new();
    shop.write(&reader.folder(), newest()).unwrap();
    let records = reader.read();
    let of = |kind: &str| records.iter().filter(|r| r.kind() == kind).count();
    let counts = shop.counts(newest());
    println!("{counts:?}");
    assert_eq!(of("product"), counts.products);
    assert_eq!(of("order"), counts.orders);
    assert_eq!(of("cart"), counts.carts);
    assert_eq!(of("feedback"), counts.feedback);
    assert_eq!(of("consent"), counts.consents);
    assert_eq!(of("event"), counts.events);
    let mut people = HashSet::new();
    for record in &records {
        if let Record::Customer(_) | Record::Order(_) = record {
            people.insert(record.customer().unwrap().email.clone().unwrap());
        }
    }
    assert_eq!(people.len(), counts.customers);
    assert!(counts.customers >= 2_400 && counts.products >= 40, "{counts:?}");
    let granted = records.iter().find_map(|r| match r {
        Record::Consent(c) if c.state.as_str() == "granted" => Some(c),
        _ => None,
    });
    let evidence = &granted.unwrap().evidence;
    for key in ["source", "wording", "network", "requested_at"] {
        assert!(evidence[key].is_string(), "{evidence}");
    }
}

#[test]
fn facts_stand_in_the_order_in_which_they_happen() {
    for order in &shop().trade.orders {
        assert!(order.placed_at < order.paid_at);
        if let Fate::Delivered { shipped_at, delivered_at, refund } = &order.fate {
            assert!(order.paid_at < *shipped_at && shipped_at < delivered_at);
            let paid: i64 = order.lines.iter().map(|l| l.cents).sum();
            assert!(refund.as_ref().is_none_or(|r| r.at > *delivered_at && (1..=paid).contains(&r.cents)));
        }
    }
    let mut reader = Reader::new();
    shop().write(&reader.folder(), newest()).unwrap();
    let mut since = HashMap::new();
    for record in reader.read() {
        if let Record::Customer(customer) = &record {
            since.insert(customer.customer.external_id.clone().unwrap(), customer.created_at.unwrap());
        } else if let Some(id) = record.customer().and_then(|c| c.external_id.clone()) {
            let at = match &record {
                Record::Order(r) => r.placed_at,
                Record::Cart(r) => r.updated_at,
                Record::Feedback(r) => r.at,
                Record::Event(r) => r.at,
                Record::Consent(r) => r.at,
                other => panic!("{other:?}"),
            };
            assert!(since[&id] <= at && at <= newest(), "{record:?}");
        }
    }
}

#[test]
fn the_shop_is_believable() {
    let shop = shop();
    let mut reader = Reader::new();
    shop.write(&reader.folder(), newest()).unwrap();
    let records = reader.read();
    let (mut by_buyer, mut by_month, mut by_hour) = (HashMap::new(), [0; 13], [0; 24]);
    let (mut orders, mut revenue, mut refunds, mut cancelled, mut guests) = (0, 0, 0, 0, 0);
    let (mut german, mut english, mut open_carts) = (0, 0, 0);
    let (mut stars, mut scores, mut consents) = (Vec::new(), Vec::new(), BTreeMap::new());
    for record in &records {
        match record {
            Record::Customer(r) => match r.locale.as_deref().unwrap() {
                de if de.starts_with("de") => german += 1,
                _ => english += 1,
            },
            Record::Order(r) if r.state == OrderState::Cancelled => cancelled += 1,
            Record::Order(r) => {
                orders += 1;
                revenue += r.total.amount_minor;
                refunds += r.refunds.len();
                guests += usize::from(r.customer.external_id.is_none());
                *by_buyer.entry(r.customer.email.clone()).or_insert(0) += 1;
                let local = r.placed_at.timestamp().to_zoned(jiff::tz::TimeZone::get(TIME_ZONE).unwrap());
                // Two whole years: every month counts twice.
                by_month[local.month() as usize] += 1;
                by_hour[local.hour() as usize] += 1;
            }
            Record::Cart(r) => open_carts += usize::from(r.is_open),
            Record::Feedback(r) if r.kind == FeedbackKind::Nps => scores.push(r.score.unwrap()),
            Record::Feedback(r) => stars.push(r.score.unwrap()),
            Record::Consent(r) => *consents.entry(r.state.as_str()).or_insert(0) += 1,
            _ => {}
        }
    }
    let share = |part: usize, whole: usize| part * 1000 / whole;
    let once = share(by_buyer.values().filter(|n| **n == 1).count(), by_buyer.len());
    let loyal = share(by_buyer.values().filter(|n| **n >= 5).count(), by_buyer.len());
    let mean = revenue / orders as i64;
    println!(
        "{orders} orders of {} buyers, {mean} cents each, {once} ‰ once, {loyal} ‰ five or more",
        by_buyer.len()
    );
    println!("{refunds} refunds, {cancelled} cancelled, {guests} as guests, {open_carts} open carts");
    println!("months {by_month:?}, hours {by_hour:?}, {german} German, {english} English");
    println!("consents {consents:?}, {} reviews, {} answers", stars.len(), scores.len());
    assert!((550..=650).contains(&once), "{once}");
    assert!((60..=160).contains(&loyal), "{loyal}");
    assert!((2_500..=6_500).contains(&mean), "{mean}");
    assert!(by_month[12] > 2 * by_month[7], "{by_month:?}");
    assert!(by_hour[20] > 5 * by_hour[4], "{by_hour:?}");
    assert!(german > 2 * english && english > 200, "{german} {english}");
    assert!((30..=90).contains(&share(refunds, orders)), "{refunds}");
    assert!(cancelled > 20 && open_carts > 30 && guests > 200, "{cancelled} {open_carts} {guests}");
    assert!(stars.iter().sum::<f64>() / stars.len() as f64 > 4.0 && stars.contains(&1.0));
    assert!(scores.iter().any(|s| *s >= 9.0) && scores.iter().any(|s| *s <= 6.0));
    assert!(consents["pending"] > consents["granted"] && consents["granted"] > 5 * consents["withdrawn"]);
    assert!(consents["withdrawn"] > 50);
}

#[test]
fn lapsed_and_returned_and_brand_new_customers_exist() {
    let shop = shop();
    let mut by_person: HashMap<usize, Vec<At>> = HashMap::new();
    for order in &shop.trade.orders {
        by_person.entry(order.person).or_default().push(order.placed_at);
    }
    let days = |from: At, to: At| to.micros_since(from) / zyklus_model::time::DAY_MICROS;
    let lapsed = by_person.values().filter(|o| days(*o.last().unwrap(), newest()) > 365).count();
    let returned = by_person.values().filter(|o| o.windows(2).any(|w| days(w[0], w[1]) > 180)).count();
    let cut = newest().plus_days(-3);
    let first_in_days = by_person.values().filter(|o| o[0] > cut).count();
    let people = &shop.trade.people;
    let never =
        (0..people.len()).filter(|i| people[*i].listed_at.is_some() && !by_person.contains_key(i)).count();
    let live = shop.moments(cut).len();
    println!(
        "{lapsed} lapsed, {returned} returned, {first_in_days} new in three days, {never} never ordered"
    );
    println!("{live} moments in the last three days; {:?}", shop.counts(cut));
    assert!(lapsed > 300 && returned > 60 && first_in_days >= 3 && never > 200 && live > 60);
}

#[test]
fn every_address_is_reserved_and_unique() {
    let shop = shop();
    let emails: HashSet<&str> = shop.trade.people.iter().map(|p| p.email.as_str()).collect();
    assert_eq!(emails.len(), shop.trade.people.len());
    for email in emails {
        let domain = email.split_once('@').unwrap().1;
        let reserved = ["example.com", "example.org", "example.net"].contains(&domain);
        assert!(reserved || domain.ends_with(".example"), "{email}");
        assert!(zyklus_model::Email::parse(email).is_ok(), "{email}");
    }
    assert!(URL.ends_with(".example") && EMAIL.ends_with(".example"));
}

#[test]
fn a_later_export_contains_everything_of_an_earlier_one() {
    let shop = shop();
    let (early, late) = (newest().plus_days(-40), newest());
    let read = |at| {
        let mut reader = Reader::new();
        shop.write(&reader.folder(), at).unwrap();
        reader.read()
    };
    let (early, late) = (read(early), read(late));
    let (early, late) = (latest(&early), latest(&late));
    assert!(early.len() < late.len());
    for (key, record) in early {
        let later = late.get(&key).unwrap_or_else(|| panic!("{key} is gone"));
        match (record, later) {
            (Record::Event(a), Record::Event(b)) => assert_eq!(a, b),
            (Record::Consent(a), Record::Consent(b)) => assert_eq!(a, b),
            (Record::Feedback(a), Record::Feedback(b)) => assert_eq!(a, b),
            (Record::Order(a), Record::Order(b)) => {
                assert_eq!((a.placed_at, a.total, &a.lines), (b.placed_at, b.total, &b.lines));
                assert!(a.updated_at <= b.updated_at && a.refunds.len() <= b.refunds.len());
            }
            (Record::Cart(a), Record::Cart(b)) => {
                assert!(a.updated_at <= b.updated_at && a.is_open >= b.is_open)
            }
            _ => {}
        }
    }
}

#[test]
fn live_days_read_step_by_step_end_as_the_last_export_read_at_once() {
    let shop = shop();
    let cut = newest().plus_days(-3);
    let mut reader = Reader::new();
    shop.write(&reader.folder(), cut).unwrap();
    let mut records = reader.read();
    let history = records.len();
    assert_eq!(reader.read(), [], "nothing changed, nothing is read");
    for step in shop.moments(cut).chunks(60) {
        assert!(shop.write(&reader.folder(), *step.last().unwrap()).unwrap() > 0);
        records.extend(reader.read());
    }
    println!("{history} records of history, {} more in steps", records.len() - history);
    assert!(records.len() < 2 * history, "only what changed is read again, not every month at every step");
    let mut whole = Reader::new();
    shop.write(&whole.folder(), newest()).unwrap();
    let expected = whole.read();
    assert_eq!(latest(&records), latest(&expected));
}

#[test]
fn writing_again_changes_nothing_and_going_back_is_the_earlier_export() {
    let shop = shop();
    let dir = tempfile::TempDir::new().unwrap();
    let early = newest().plus_days(-60);
    shop.write(dir.path(), early).unwrap();
    let before = all_files(dir.path());
    assert_eq!(shop.write(dir.path(), early).unwrap(), 0);
    assert_eq!(all_files(dir.path()), before);
    assert!(shop.write(dir.path(), newest()).unwrap() > 0);
    assert!(shop.write(dir.path(), early).unwrap() > 0);
    assert_eq!(all_files(dir.path()), before);
}

#[test]
fn a_second_run_goes_on_with_the_same_shop() {
    let dir = tempfile::TempDir::new().unwrap();
    assert!(Shop::resume(dir.path()).unwrap().is_none());
    let small = Shop::generate(7, newest(), Size { customers: 60, months: 6 });
    let cut = newest().plus_days(-2);
    small.write(dir.path(), cut).unwrap();
    let (again, written) = Shop::resume(dir.path()).unwrap().unwrap();
    assert_eq!((written, again.until()), (cut, newest()));
    assert_eq!(export::files(&again, newest()), export::files(&small, newest()));
    fs::write(dir.path().join("shop.json"), "{}").unwrap();
    assert!(Shop::resume(dir.path()).is_err());
}
