//! Short ways to write records and pages. Never asserts anything.

use zyklus_model::{
    At, CartRecord, Currency, CustomerId, CustomerRecord, CustomerRef, DeletedRecord, Money, OrderRecord,
    Origin, Rates, Record, Snapshot,
};
use zyklus_store::{Ingest, IngestReport, Store};

/// 2026-01-01T00:00:00Z and so many minutes.
pub(crate) fn minute(minutes: i64) -> At {
    At::from_seconds(1_767_225_600 + minutes * 60)
}

pub(crate) fn page(connector: &str, records: Vec<Record>) -> Ingest {
    Ingest {
        connector: connector.to_owned(),
        stream: "all".to_owned(),
        records,
        rejects: Vec::new(),
        origin: Origin::History,
        received_at: minute(0),
        next: None,
        rates: Rates::only(Currency::EUR),
    }
}

pub(crate) async fn take(store: &Store, connector: &str, records: Vec<Record>) -> IngestReport {
    store.ingest(page(connector, records)).await.unwrap()
}

/// The same, as history that arrives late enough for the instants the tests write.
pub(crate) async fn take_late(store: &Store, connector: &str, records: Vec<Record>) -> IngestReport {
    store.ingest(Ingest { received_at: minute(50), ..page(connector, records) }).await.unwrap()
}

/// The same, as live records that arrive so many minutes later.
pub(crate) async fn take_live(
    store: &Store,
    connector: &str,
    minutes: i64,
    records: Vec<Record>,
) -> IngestReport {
    let ingest = Ingest { origin: Origin::Live, received_at: minute(minutes), ..page(connector, records) };
    store.ingest(ingest).await.unwrap()
}

/// Somebody with an id, whose address nobody verified.
pub(crate) fn account(id: &str, email: &str) -> CustomerRef {
    CustomerRef { external_id: Some(id.to_owned()), email: text(email), email_verified: false }
}

/// Somebody with an id and a verified address.
pub(crate) fn verified(id: &str, email: &str) -> CustomerRef {
    CustomerRef { email_verified: true, ..account(id, email) }
}

/// Somebody with only an address.
pub(crate) fn guest(email: &str) -> CustomerRef {
    CustomerRef { external_id: None, email: text(email), email_verified: false }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

pub(crate) fn customer(customer: CustomerRef) -> CustomerRecord {
    CustomerRecord { customer, ..CustomerRecord::default() }
}

/// An order of ten euros.
pub(crate) fn order(id: &str, customer: CustomerRef, minutes: i64) -> OrderRecord {
    OrderRecord {
        number: format!("N{id}"),
        ..OrderRecord::placed(id, customer, minute(minutes), Money::new(1000, Currency::EUR))
    }
}

pub(crate) fn cart(id: &str, customer: CustomerRef, minutes: i64) -> CartRecord {
    CartRecord {
        external_id: id.to_owned(),
        customer,
        profile: None,
        is_open: true,
        updated_at: minute(minutes),
        total: Money::new(2500, Currency::EUR),
        lines: Vec::new(),
        url: None,
    }
}

pub(crate) fn deleted(kind: &str, id: &str) -> Record {
    Record::Deleted(DeletedRecord { kind: kind.to_owned(), external_id: id.to_owned(), at: None })
}

/// Everybody who was not folded into somebody else.
pub(crate) async fn everybody(store: &Store) -> Vec<Snapshot> {
    let ids: Vec<CustomerId> = store.customer_ids(None, 10_000).await.unwrap();
    store.snapshots(&ids).await.unwrap()
}

/// The one customer there is.
pub(crate) async fn only(store: &Store) -> Snapshot {
    let mut all = everybody(store).await;
    assert_eq!(all.len(), 1, "one customer was expected: {all:#?}");
    all.remove(0)
}

/// The customer that holds an order.
pub(crate) async fn of_order(store: &Store, external_id: &str) -> Snapshot {
    let all = everybody(store).await;
    let mut holders = all.into_iter().filter(|s| s.orders.iter().any(|o| o.external_id == external_id));
    let holder = holders.next().unwrap_or_else(|| panic!("nobody has the order {external_id}"));
    assert!(holders.next().is_none(), "two customers have the order {external_id}");
    holder
}
