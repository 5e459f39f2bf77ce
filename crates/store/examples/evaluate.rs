//! Measures reading and writing back batches of 2,000 customers, as evaluating does: once with what a first
//! evaluation decides, once with decisions that change nothing. On a temporary SQLite file, and on PostgreSQL when
//! `ZYKLUS_TEST_POSTGRES` names a server. The decisions are made up here. Never part of the product.
//!
//! `cargo run --release -p zyklus-store --example evaluate [customers]`

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, raw_sql};
use zyklus_model::{
    At, Currency, CustomerRef, Decision, LineRecord, Money, OrderRecord, OrderState, Origin, PhaseState,
    Rates, Record, Snapshot, Transition, TransitionCause, TransitionId,
};
use zyklus_store::{Ingest, OpenOptions, Store};

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

const BATCH: u32 = 2_000;
const ORDERS: u32 = 3;

#[tokio::main]
async fn main() -> Done {
    let customers: u32 = std::env::args().nth(1).map_or(Ok(40_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("measure.db").display());
    measure("sqlite", &url, customers).await?;
    let Ok(server) = std::env::var("ZYKLUS_TEST_POSTGRES") else {
        println!("postgres: not measured, ZYKLUS_TEST_POSTGRES is not set");
        return Ok(());
    };
    let mut admin = PgConnection::connect(&format!("{server}/postgres")).await?;
    let name = format!("zyklus_measure_{}", std::process::id());
    admin.execute(raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))).await?;
    measure("postgres", &format!("{server}/{name}"), customers).await?;
    admin.execute(raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))).await?;
    Ok(())
}

async fn measure(name: &str, url: &str, customers: u32) -> Done {
    let store = Store::open(url, OpenOptions::default()).await?;
    store.migrate().await?;
    let began = Instant::now();
    fill(&store, customers).await?;
    println!("{name}: {customers} customers with {ORDERS} orders each in {:.1?}", began.elapsed());
    round(&format!("{name}, first"), &store, start().plus_seconds(10), first).await?;
    round(&format!("{name}, quiet"), &store, start().plus_days(31), quiet).await?;
    store.close().await;
    Ok(())
}

fn start() -> At {
    At::from_seconds(1_767_225_600)
}

async fn fill(store: &Store, customers: u32) -> Done {
    let mut records = Vec::new();
    for customer in 0..customers {
        records.extend((0..ORDERS).map(|n| order(customer, n)));
        if records.len() < 5_000 && customer + 1 < customers {
            continue;
        }
        let page = Ingest {
            connector: "shop".to_owned(),
            stream: "orders".to_owned(),
            records: std::mem::take(&mut records),
            rejects: Vec::new(),
            origin: Origin::History,
            received_at: start(),
            next: None,
            rates: Rates::only(Currency::EUR),
        };
        store.ingest(page).await?;
    }
    Ok(())
}

fn order(customer: u32, n: u32) -> Record {
    let placed_at = start().plus_days(-i64::from(n) * 40 - i64::from(customer % 30));
    let line = LineRecord {
        product: Some(format!("p{}", customer % 900)),
        title: "A thing".to_owned(),
        quantity: 2,
        total_minor: 2_495,
        ..LineRecord::default()
    };
    Record::Order(OrderRecord {
        external_id: format!("o{customer}-{n}"),
        number: format!("{customer}-{n}"),
        customer: CustomerRef {
            external_id: Some(format!("c{customer}")),
            email: Some(format!("c{customer}@shop.example")),
            email_verified: true,
        },
        profile: None,
        state: OrderState::Placed,
        placed_at,
        updated_at: None,
        paid_at: Some(placed_at.plus_seconds(60)),
        shipped_at: None,
        delivered_at: None,
        cancelled_at: None,
        total: Money::new(4_990, Currency::EUR),
        lines: vec![line],
        item_count: None,
        refunds: Vec::new(),
        coupons: Vec::new(),
        cart: None,
    })
}

async fn round(name: &str, store: &Store, now: At, decide: fn(&Snapshot, At) -> Decision) -> Done {
    let (mut due, mut read, mut write) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut batches = 0u32;
    loop {
        let began = Instant::now();
        let ids = store.customers_due(now, BATCH).await?;
        due += began.elapsed();
        if ids.is_empty() {
            break;
        }
        let began = Instant::now();
        let snapshots = store.snapshots(&ids).await?;
        read += began.elapsed();
        let decisions: Vec<Decision> = snapshots.iter().map(|s| decide(s, now)).collect();
        let began = Instant::now();
        let report = store.apply(decisions).await?;
        write += began.elapsed();
        if report.applied != ids.len() as u64 {
            return Err(format!("{} of {} decisions were applied", report.applied, ids.len()).into());
        }
        batches += 1;
    }
    let each = |total: Duration| total.as_secs_f64() * 1_000.0 / f64::from(batches.max(1));
    println!(
        "{name}: {batches} batches of {BATCH}: due {:.1} ms, snapshots {:.1} ms, apply {:.1} ms",
        each(due),
        each(read),
        each(write)
    );
    Ok(())
}

/// A decision that changes nothing but when to look again.
fn quiet(snapshot: &Snapshot, now: At) -> Decision {
    Decision {
        customer: snapshot.customer.id,
        seq: snapshot.mark.seq,
        evaluated_before: snapshot.mark.evaluated_at,
        now,
        rewrites_history: false,
        transitions: Vec::new(),
        phase: None,
        segments: None,
        runs: Vec::new(),
        deliveries: Vec::new(),
        withdrawals: Vec::new(),
        rewritten: Vec::new(),
        tags: Vec::new(),
        revisit_at: Some(now.plus_days(30)),
    }
}

/// What a first evaluation decides: a phase, and three moves that led there.
fn first(snapshot: &Snapshot, now: At) -> Decision {
    let phase = |n: u8| format!("phase{n}");
    let transitions = (0..3u8)
        .map(|n| Transition {
            id: TransitionId::derive(&[snapshot.customer.id.uuid().as_bytes(), &[n]]),
            lifecycle: "shop".to_owned(),
            from: (n > 0).then(|| phase(n - 1)),
            to: phase(n),
            at: now.plus_days(i64::from(n) - 90),
            recorded_at: now,
            cause: TransitionCause::Record,
            origin: Origin::History,
        })
        .collect();
    let standing = PhaseState {
        lifecycle: "shop".to_owned(),
        definition: "0123456789abcdef".to_owned(),
        phase: phase(2),
        since: now.plus_days(-88),
        previous: Some(phase(1)),
        moves: 3,
        has_live_moves: false,
        live: false,
    };
    Decision { transitions, phase: Some(standing), ..quiet(snapshot, now) }
}
