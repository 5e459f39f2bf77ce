//! A record that changes while we read is never missed: random changes between the pages of a shop in memory
//! that filters, sorts and stamps as Vendure does on SQLite (whole seconds) and on PostgreSQL (microseconds,
//! told in milliseconds). That Vendure does so is tested against a real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::{Value, json};
use zyklus_connect::model::At;
use zyklus_connect::model::record::Record;
use zyklus_connect::{Cursor, Http, HttpError, HttpRequest, HttpResponse, Mode, Next, ReadRequest};
use zyklus_host::{ConnectorConfig, Host, HostOptions, Opened, Registry};
use zyklus_vendure::VendureConnector;

use crate::shop::channel;

const SECOND: i64 = 1_000_000;

/// Something that happens in the shop just before a request is answered.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// Time passes, in microseconds.
    Wait(i64),
    /// The nth customer changes, stamped so many microseconds ago: the transaction was slow.
    Touch(usize, i64),
    /// A customer comes.
    Insert,
    /// The nth goes.
    Delete(usize),
}

struct Row {
    stamp: i64,
    version: u64,
}

struct Memory {
    now: i64,
    /// How finely stamps are kept.
    grain: i64,
    rows: BTreeMap<u64, Row>,
    next: u64,
    /// What happens before each request.
    coming: Vec<Vec<Change>>,
}

impl Memory {
    fn apply(&mut self, change: Change) {
        let grain = self.grain;
        let nth = |rows: &BTreeMap<u64, Row>, n: usize| rows.keys().copied().nth(n % rows.len().max(1));
        match change {
            Change::Wait(micros) => self.now += micros,
            Change::Touch(n, ago) => {
                let stamp = (self.now - ago) / grain * grain;
                if let Some(row) = nth(&self.rows, n).and_then(|id| self.rows.get_mut(&id)) {
                    row.version += 1;
                    row.stamp = row.stamp.max(stamp);
                }
            }
            Change::Insert => {
                self.rows.insert(self.next, Row { stamp: self.now / grain * grain, version: 0 });
                self.next += 1;
            }
            Change::Delete(n) => {
                nth(&self.rows, n).and_then(|id| self.rows.remove(&id));
            }
        }
    }

    fn list(&self, options: &Value) -> Value {
        let limit = |name: &str| {
            let text = options.pointer(&format!("/filter/updatedAt/{name}"))?.as_str()?;
            Some(text.parse::<At>().unwrap().as_micros())
        };
        let named = options.pointer("/filter/id/in").and_then(Value::as_array);
        let mut rows: Vec<(&u64, &Row)> = (self.rows.iter())
            .filter(|(_, row)| limit("after").is_none_or(|after| row.stamp > after))
            .filter(|(_, row)| limit("before").is_none_or(|before| row.stamp < before))
            .filter(|(id, _)| named.is_none_or(|ids| ids.iter().any(|i| i.as_str() == Some(&id.to_string()))))
            .collect();
        if options.pointer("/sort/updatedAt").is_some() {
            // Rows of one stamp come in any order; this one is not the order of ids.
            rows.sort_by_key(|(id, row)| (row.stamp, *id % 3, *id));
        }
        let number = |name: &str| options.get(name).and_then(Value::as_u64).unwrap_or(0) as usize;
        let total = rows.len();
        let page: Vec<Value> = (rows.into_iter().skip(number("skip")).take(number("take")))
            .map(|(id, row)| {
                let told = At::from_micros(row.stamp / 1000 * 1000).to_string();
                json!({ "id": id.to_string(), "updatedAt": told, "firstName": format!("v{}", row.version),
                    "emailAddress": format!("c{id}@example.org"), "user": null })
            })
            .collect();
        json!({ "data": { "list": { "totalItems": total, "items": page } } })
    }
}

#[derive(Clone)]
struct Shop(Arc<Mutex<Memory>>);

#[async_trait]
impl Http for Shop {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let asked: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        let mut memory = self.0.lock().unwrap();
        let query = asked["query"].as_str().unwrap();
        let mut headers = BTreeMap::new();
        let answer = if query.contains("login(") {
            headers.insert("vendure-auth-token".to_owned(), "t".to_owned());
            json!({ "data": { "login": { "__typename": "CurrentUser" } } })
        } else if query.contains("globalSettings") {
            channel("EUR")
        } else {
            for change in memory.coming.pop().unwrap_or_default() {
                memory.apply(change);
            }
            memory.list(&asked["variables"]["o"])
        };
        Ok(HttpResponse { status: 200, headers, body: answer.to_string().into_bytes() })
    }
}

/// What we were told: the latest version of each customer, and who is gone.
#[derive(Debug, Default)]
struct Told {
    versions: BTreeMap<u64, u64>,
    gone: BTreeSet<u64>,
    records: usize,
}

async fn read_to_the_end(connector: &Opened, mut cursor: Option<Cursor>, told: &mut Told) -> Cursor {
    for _ in 0..2_000 {
        let request = ReadRequest {
            stream: "customers".into(),
            cursor: cursor.clone(),
            mode: Mode::Backfill { from: None },
            limit: 250,
        };
        let page = connector.read(request.clone()).await.unwrap();
        assert!(page.rejects.is_empty(), "{:?}", page.rejects);
        for record in page.records {
            match record {
                Record::Customer(c) => {
                    let id = c.customer.external_id.unwrap().parse().unwrap();
                    let version = c.first_name.unwrap()[1..].parse().unwrap();
                    told.versions.insert(id, version);
                    told.gone.remove(&id);
                    told.records += 1;
                }
                Record::Deleted(deleted) => {
                    told.gone.insert(deleted.external_id.parse().unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
        match page.next {
            Next::More { cursor: next } => cursor = Some(next),
            Next::CaughtUp { cursor, .. } => return cursor,
        }
    }
    panic!("reading does not end");
}

async fn open(shop: &Shop, reread_every: u32, page_size: u32) -> (Opened, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let memory = Arc::clone(&shop.0);
    let clock = move || At::from_micros(memory.lock().unwrap().now);
    let options = HostOptions::new(Arc::new(clock), folder.path(), folder.path());
    let host = Host::new(Registry::new().with::<VendureConnector>(), options).unwrap();
    let config = json!({ "url": "https://shop.example", "username": "robot", "password": "p",
        "page_size": page_size, "reread_every": reread_every });
    let config = ConnectorConfig::new("shop", "vendure", config, []);
    (host.open_on(&config, Arc::new(shop.clone())).await.unwrap(), folder)
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (0..2 * SECOND).prop_map(Change::Wait),
        // Half of the overlap: a transaction that takes longer is the operator's to allow for.
        4 => (any::<usize>(), 0..2 * SECOND).prop_map(|(n, ago)| Change::Touch(n, ago)),
        2 => Just(Change::Insert),
        1 => any::<usize>().prop_map(Change::Delete),
    ]
}

fn shop(grain: i64, spread: i64, rows: u64, coming: Vec<Vec<Change>>) -> Shop {
    let now = 1_780_000_000 * SECOND;
    let stamp = |id: u64| (now - spread + (id as i64 * 7_919_113) % spread.max(1)) / grain * grain;
    let rows: BTreeMap<u64, Row> = (1..=rows).map(|id| (id, Row { stamp: stamp(id), version: 0 })).collect();
    let next = rows.len() as u64 + 1;
    Shop(Arc::new(Mutex::new(Memory { now, grain, rows, next, coming })))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_is_missed_whenever_it_happens(
        grain in prop_oneof![Just(1), Just(SECOND)],
        spread in prop_oneof![Just(1), Just(3 * SECOND), Just(600 * SECOND)],
        rows in 0u64..40,
        page_size in 2u32..12,
        sweeps in any::<bool>(),
        coming in prop::collection::vec(prop::collection::vec(change(), 0..5), 0..40),
    ) {
        let shop = shop(grain, spread, rows, coming);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let reread_every = if sweeps { 0 } else { u32::MAX };
            let (connector, _folder) = open(&shop, reread_every, page_size).await;
            let (mut told, mut cursor) = (Told::default(), None);
            while !shop.0.lock().unwrap().coming.is_empty() {
                cursor = Some(read_to_the_end(&connector, cursor, &mut told).await);
            }
            cursor = Some(read_to_the_end(&connector, cursor, &mut told).await);
            let now: BTreeMap<u64, u64> =
                shop.0.lock().unwrap().rows.iter().map(|(id, row)| (*id, row.version)).collect();
            for (id, version) in &now {
                assert_eq!(told.versions.get(id), Some(version), "customer {id}");
                assert!(!told.gone.contains(id), "customer {id} is there");
            }
            if sweeps {
                let gone: BTreeSet<u64> =
                    told.versions.keys().filter(|id| !now.contains_key(id)).copied().collect();
                assert_eq!(told.gone, gone);
            } else {
                // Nothing changed since, and time has passed: nothing is told again and again.
                shop.0.lock().unwrap().now += 3600 * SECOND;
                let cursor = read_to_the_end(&connector, cursor, &mut told).await;
                let before = told.records;
                read_to_the_end(&connector, Some(cursor), &mut told).await;
                assert_eq!(told.records, before, "a quiet shop has no news");
            }
        });
    }
}

#[tokio::test]
async fn a_shop_imported_in_one_second_is_read_whole_page_by_page() {
    let shop = shop(SECOND, 1, 500, Vec::new());
    let (connector, _folder) = open(&shop, u32::MAX, 20).await;
    let mut told = Told::default();
    read_to_the_end(&connector, None, &mut told).await;
    assert_eq!((told.versions.len(), told.records), (500, 500), "each is told once");
}

#[tokio::test]
async fn a_shop_that_lost_most_of_its_customers_at_once_is_not_believed() {
    let shop = shop(SECOND, 600 * SECOND, 60, Vec::new());
    let (connector, _folder) = open(&shop, 0, 20).await;
    let cursor = read_to_the_end(&connector, None, &mut Told::default()).await;
    shop.0.lock().unwrap().rows.retain(|id, _| *id > 40);
    let mut cursor = Some(cursor);
    let mut doubts = Vec::new();
    loop {
        let request = ReadRequest { stream: "customers".into(), cursor, mode: Mode::Incremental, limit: 250 };
        let page = connector.read(request).await.unwrap();
        assert!(!page.records.iter().any(|r| matches!(r, Record::Deleted(_))));
        doubts.extend(page.rejects);
        match page.next {
            Next::More { cursor: next } => cursor = Some(next),
            Next::CaughtUp { .. } => break,
        }
    }
    assert_eq!(doubts.len(), 1);
    assert!(doubts[0].message.contains("40 of 60"), "{}", doubts[0].message);
}

#[tokio::test]
async fn rows_of_one_stamp_are_not_skipped_when_rows_before_them_go() {
    let shop = shop(SECOND, 1, 80, vec![vec![Change::Delete(0); 4]; 12]);
    let (connector, _folder) = open(&shop, u32::MAX, 10).await;
    let mut told = Told::default();
    read_to_the_end(&connector, None, &mut told).await;
    let left: Vec<u64> = shop.0.lock().unwrap().rows.keys().copied().collect();
    assert!(left.len() < 60, "rows went while we read");
    let missed: Vec<&u64> = left.iter().filter(|id| !told.versions.contains_key(id)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}
