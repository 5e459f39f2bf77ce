//! The two databases beside each other: the same stream of records leaves the same rows in every table, and the
//! two schemas have the same tables and columns.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Column as _, Connection as _, Row as _, TypeInfo as _, ValueRef as _};
use zyklus_model::{
    At, Channel, ConsentRecord, ConsentState, Currency, CustomerRecord, FeedbackKind, FeedbackRecord,
    LegalBasis, Money, Origin, Purpose, Rates, Record, RefundRecord,
};
use zyklus_store::Ingest;

use crate::common::{Bed, on_postgres, on_sqlite};
use crate::make::{account, cart, customer, deleted, everybody, guest, minute, order, page, verified};

/// Every row of every table as text, by table.
pub(crate) type Dump = BTreeMap<String, Vec<String>>;

/// Reads all tables. Instants become microseconds and ids hexadecimal digits, so that dumps compare.
pub(crate) async fn dump(bed: &Bed) -> Dump {
    let mut all = Dump::new();
    for (table, columns) in columns(bed).await {
        if table == "schema_migration" {
            continue;
        }
        let list = columns.join(", ");
        let sql = AssertSqlSafe(format!("SELECT {list} FROM {table}"));
        let mut rows: Vec<String> = if bed.store.is_sqlite() {
            let mut connection = sqlite(bed).await;
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| (0..row.len()).map(|n| sqlite_text(row, n)).collect()).collect()
        } else {
            let mut connection = sqlx::PgConnection::connect(&bed.url).await.unwrap();
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| (0..row.len()).map(|n| postgres_text(row, n)).collect()).collect()
        };
        rows.sort_unstable();
        all.insert(table, rows);
    }
    all
}

/// Runs a statement beside the store; `{max}` stands for the end of time, `{uuid:…}` for an id.
pub(crate) async fn run_sql(bed: &Bed, sql: &str) {
    let is_sqlite = bed.store.is_sqlite();
    let max = match is_sqlite {
        true => At::MAX.as_micros().to_string(),
        false => format!("TIMESTAMPTZ '{}'", At::MAX),
    };
    let mut sql = sql.replace("{max}", &max);
    while let Some((before, rest)) = sql.split_once("{uuid:") {
        let (id, after) = rest.split_once('}').unwrap();
        let id = if is_sqlite { format!("x'{id}'") } else { format!("UUID '{id}'") };
        sql = format!("{before}{id}{after}");
    }
    let sql = sqlx::raw_sql(AssertSqlSafe(sql));
    if is_sqlite {
        sql.execute(&mut sqlite(bed).await).await.unwrap();
    } else {
        sql.execute(&mut sqlx::PgConnection::connect(&bed.url).await.unwrap()).await.unwrap();
    }
}

async fn sqlite(bed: &Bed) -> sqlx::SqliteConnection {
    sqlx::SqliteConnection::connect(&bed.url).await.unwrap()
}

/// Tables and their columns, both in order.
async fn columns(bed: &Bed) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<(String, String)> = if bed.store.is_sqlite() {
        let sql = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
                   WHERE m.type = 'table' ORDER BY m.name, c.name";
        sqlx::query_as(sql).fetch_all(&mut sqlite(bed).await).await.unwrap()
    } else {
        let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns
                   WHERE table_schema = current_schema() ORDER BY table_name, column_name";
        let mut connection = sqlx::PgConnection::connect(&bed.url).await.unwrap();
        sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
    };
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in rows {
        tables.entry(table).or_default().push(column);
    }
    tables.values_mut().for_each(|columns| columns.sort_unstable());
    tables
}

fn sqlite_text(row: &sqlx::sqlite::SqliteRow, n: usize) -> String {
    let name = row.column(n).name();
    let value = row.try_get_raw(n).unwrap();
    if value.is_null() {
        return format!("{name}=- ");
    }
    let text = match value.type_info().name() {
        "BLOB" => hex::encode(row.get::<Vec<u8>, _>(n)),
        "TEXT" => row.get(n),
        "REAL" => row.get::<f64, _>(n).to_string(),
        "INTEGER" | "BOOLEAN" => row.get::<i64, _>(n).to_string(),
        other => panic!("{name} is {other}"),
    };
    format!("{name}={text} ")
}

fn postgres_text(row: &sqlx::postgres::PgRow, n: usize) -> String {
    let name = row.column(n).name();
    let value = row.try_get_raw(n).unwrap();
    if value.is_null() {
        return format!("{name}=- ");
    }
    let text = match value.type_info().name() {
        "UUID" => hex::encode(row.get::<uuid::Uuid, _>(n).as_bytes()),
        "TEXT" => row.get(n),
        "FLOAT8" => row.get::<f64, _>(n).to_string(),
        "INT8" => row.get::<i64, _>(n).to_string(),
        "INT2" => row.get::<i16, _>(n).to_string(),
        "BOOL" => i64::from(row.get::<bool, _>(n)).to_string(),
        "TIMESTAMPTZ" => {
            let bytes: [u8; 8] = value.as_bytes().unwrap().try_into().unwrap();
            // PostgreSQL counts from the year 2000.
            (i64::from_be_bytes(bytes) + 946_684_800_000_000).to_string()
        }
        other => panic!("{name} is {other}"),
    };
    format!("{name}={text} ")
}

/// A small generator of its own, so that a seed always means the same stream.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Puts things into an order that follows from the seed.
pub(crate) fn shuffle<T>(things: &mut [T], seed: u64) {
    let mut dice = Dice(seed);
    for n in (1..things.len()).rev() {
        things.swap(n, dice.roll(n as u64 + 1) as usize);
    }
}

pub(crate) fn record(dice: &mut Dice) -> Record {
    let (id, mail) = (dice.roll(30).to_string(), format!("m{}@example.com", dice.roll(20)));
    let who = match dice.roll(4) {
        0 => guest(&mail),
        1 => verified(&id, &mail),
        2 => account(&id, &mail),
        _ => account(&id, ""),
    };
    let at = dice.roll(10_000) as i64;
    let key = dice.roll(60).to_string();
    match dice.roll(12) {
        0..4 => {
            let mut record = order(&key, who, at);
            record.updated_at = Some(minute(at + dice.roll(50) as i64));
            record.total = Money::new(
                dice.roll(9_999) as i64,
                ["EUR", "JPY", "USD"][dice.roll(3) as usize].parse().unwrap(),
            );
            record.paid_at = (dice.roll(2) == 0).then(|| minute(at + 5));
            if dice.roll(4) == 0 {
                let refund =
                    RefundRecord { external_id: "r".into(), at: None, amount_minor: 5, reason: None };
                record.refunds.push(refund);
            }
            Record::Order(record)
        }
        4 | 5 => Record::Customer(CustomerRecord {
            first_name: (dice.roll(2) == 0).then(|| format!("Name {key}")),
            updated_at: Some(minute(at)),
            has_account: [None, Some(true), Some(false)][dice.roll(3) as usize],
            tags: (dice.roll(2) == 0).then(|| vec![format!("t{}", dice.roll(3))]),
            attributes: [("n".to_owned(), serde_json::json!(dice.roll(5)))].into(),
            ..customer(who)
        }),
        6 | 7 => {
            let mut record = cart(&key, who, at);
            record.is_open = dice.roll(3) > 0;
            Record::Cart(record)
        }
        8 => Record::Feedback(FeedbackRecord {
            external_id: key,
            customer: who,
            kind: FeedbackKind::Nps,
            score: Some(dice.roll(11) as f64),
            text: None,
            product: None,
            at: minute(at),
        }),
        9 | 10 => Record::Consent(ConsentRecord {
            customer: who,
            channel: Channel::Email,
            purpose: Purpose::Marketing,
            state: ConsentState::ALL[dice.roll(3) as usize],
            basis: LegalBasis::Consent,
            at: minute(at),
            undated: false,
            evidence: serde_json::json!({ "page": key }),
        }),
        _ => deleted(["customer", "order", "cart", "feedback"][dice.roll(4) as usize], &id),
    }
}

/// Takes a random stream in, with merges undone on the way, and reads everything back.
async fn live_through(bed: &Bed, seed: u64) -> (Dump, Vec<String>) {
    let mut dice = Dice(seed);
    let mut undone = 0;
    for n in 0..40 {
        let records = (0..dice.roll(25)).map(|_| record(&mut dice)).collect();
        let rates = Rates { reporting: Currency::EUR, rates: BTreeMap::from([(Currency::USD, 0.9)]) };
        let system = ["a", "b"][dice.roll(2) as usize];
        let origin = [Origin::History, Origin::Live][dice.roll(2) as usize];
        let ingest = Ingest { rates, origin, received_at: minute(n), ..page(system, records) };
        bed.store.ingest(ingest).await.unwrap();
        if n % 10 == 9 {
            for one in everybody(&bed.store).await.iter().take(8) {
                let merges = bed.store.merges(one.customer.id).await.unwrap();
                let last = merges.iter().rfind(|m| m.undone_at.is_none() && m.winner == one.customer.id);
                if let Some(merge) = last {
                    bed.store.unmerge(merge.id, "operator", minute(n)).await.unwrap();
                    undone += 1;
                }
            }
        }
    }
    assert!(undone > 0, "a stream without an undone merge proves little");
    let snapshots = everybody(&bed.store).await;
    (dump(bed).await, snapshots.iter().map(|s| serde_json::to_string(s).unwrap()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_end_up_the_same() {
    for seed in 1..=3 {
        let found = std::sync::Mutex::new(Vec::new());
        on_sqlite(async |bed: Bed| {
            let read = live_through(&bed, seed).await;
            found.lock().unwrap().push(read);
        })
        .await;
        on_postgres(async |bed: Bed| {
            let read = live_through(&bed, seed).await;
            found.lock().unwrap().push(read);
        })
        .await;
        let found = found.into_inner().unwrap();
        let [(sqlite, one), (postgres, other)] = found.try_into().unwrap();
        for (table, rows) in &sqlite {
            assert_eq!(rows, &postgres[table], "seed {seed}, table {table}");
        }
        for table in
            ["customer", "merge", "orders", "cart", "consent", "feedback", "event", "tag", "evaluation"]
        {
            assert!(!sqlite[table].is_empty(), "seed {seed} left {table} empty");
        }
        assert_eq!(one, other, "seed {seed}, snapshots");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_schemas_have_the_same_tables_and_columns() {
    let found = std::sync::Mutex::new(Vec::new());
    on_sqlite(async |bed: Bed| {
        let read = columns(&bed).await;
        found.lock().unwrap().push(read);
    })
    .await;
    on_postgres(async |bed: Bed| {
        let read = columns(&bed).await;
        found.lock().unwrap().push(read);
    })
    .await;
    let found = found.into_inner().unwrap();
    assert!(found[0].len() > 20);
    assert_eq!(found[0], found[1]);
}
