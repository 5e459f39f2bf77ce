//! Taking records in: one transaction for rows, identities, merges, evaluation marks, rejects and the cursor, so
//! that a crash leaves a page wholly in or wholly out. Never reads a clock: the caller says when it is.
//!
//! A page is read in the order given, as if every record came alone, but in memory: what it names is loaded with
//! IN lists before, and written with many rows a statement after.

mod carts;
mod deleted;
mod mark;
mod orders;
pub(crate) mod receipts;
pub(crate) mod said;
mod slots;
mod tags;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zyklus_model::{At, Currency, CustomerId, CustomerRecord, EventId, Origin, Rates, Record, bucket_of};

use crate::arg::args;
use crate::error::{Result, StoreError};
use crate::identity::{People, Reference, Who, name_of};
use crate::open::Store;
use crate::past;
use crate::person::Profile;
use crate::tx::{CHUNK, Dialect, Sql, Tx};

/// How long a notification is remembered, so that it is not taken twice. Senders give up trying again after days.
pub const NOTIFICATION_DAYS: i64 = 90;

/// A page of records on its way in.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// The connector it came through: the `system` of its ids.
    pub connector: String,
    /// The stream of that connector.
    pub stream: String,
    /// What was read.
    pub records: Vec<Record>,
    /// What could not be read.
    pub rejects: Vec<NewReject>,
    /// Whether the records may start journeys.
    pub origin: Origin,
    /// When they arrived.
    pub received_at: At,
    /// Where reading goes on; stored with the records. `None` leaves the cursor alone (webhooks).
    pub next: Option<CursorUpdate>,
    /// Into the reporting currency.
    pub rates: Rates,
}

impl Ingest {
    /// Records of which all could be read, and which leave the cursor alone.
    pub fn of(
        connector: &str,
        stream: &str,
        records: Vec<Record>,
        origin: Origin,
        received_at: At,
        rates: Rates,
    ) -> Self {
        let (connector, stream) = (connector.to_owned(), stream.to_owned());
        Ingest { connector, stream, records, rejects: Vec::new(), origin, received_at, next: None, rates }
    }
}

/// Where reading goes on.
#[derive(Debug, Clone)]
pub struct CursorUpdate {
    /// The connector's own words.
    pub cursor: Value,
    /// `backfill` or `incremental`.
    pub mode: String,
    /// Whether there is nothing more to read for now.
    pub caught_up: bool,
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReject {
    /// What is wrong with it.
    pub problem: String,
    /// The record as it came.
    pub record: String,
}

/// What a page did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngestReport {
    /// Records given.
    pub seen: u64,
    /// Records that changed something.
    pub changed: u64,
    /// Customers not known before.
    pub new_customers: u64,
    /// Customers found to be one with another.
    pub merges: u64,
    /// Records refused, those the connector could not read included.
    pub rejected: u64,
    /// Orders and carts of this page whose amount has no rate, by currency.
    pub unrated: BTreeMap<Currency, u64>,
    /// The latest instant any record carries.
    pub newest: Option<At>,
}

impl Store {
    /// Takes a page in, in one transaction. The same page again changes nothing.
    ///
    /// # Errors
    /// The database; then nothing of the page is stored. Records that make no sense are no error: they are
    /// stored as rejects.
    pub async fn ingest(&self, ingest: Ingest) -> Result<IngestReport> {
        let ingest = Arc::new(ingest);
        self.write(move |tx| {
            let ingest = Arc::clone(&ingest);
            async move { Batch::run(tx, &ingest).await }.boxed()
        })
        .await
    }

    /// Takes in what a notification brought, unless the connector's notification of this id was taken before: then
    /// there is no report. Ids are remembered for [`NOTIFICATION_DAYS`] after they came; ids longer than 200 characters
    /// are told apart by a hash.
    ///
    /// # Errors
    /// As with [`Store::ingest`]; then the notification was not taken, and may come again.
    pub async fn ingest_notification(&self, id: &str, ingest: Ingest) -> Result<Option<IngestReport>> {
        let (id, ingest) = (notification_id(id), Arc::new(ingest));
        self.write(move |tx| {
            let (id, ingest) = (id.clone(), Arc::clone(&ingest));
            async move {
                let sql =
                    "INSERT INTO notification (connector, id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
                if tx.execute(sql, args![&ingest.connector, id, ingest.received_at]).await? == 0 {
                    return Ok(None);
                }
                Batch::run(tx, &ingest).await.map(Some)
            }
            .boxed()
        })
        .await
    }
}

/// What a notification is remembered by. Neither database takes a NUL in a text, nor PostgreSQL a long one in an index.
fn notification_id(id: &str) -> String {
    if id.chars().count() <= 200 && !id.contains('\0') {
        return id.to_owned();
    }
    format!("sha256:{}", hex::encode(Sha256::digest(id)))
}

/// Makes pages of several daemons wait for one another: two that learn of the same new customer at once would
/// otherwise make two. SQLite has one writer anyway.
pub(crate) async fn one_at_a_time(tx: &mut Tx) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        let sql = "SELECT value FROM meta WHERE name = 'ingest' FOR UPDATE";
        tx.fetch::<(String,)>(sql, args![]).await?;
    }
    Ok(())
}

/// A page while it is being taken in.
pub(crate) struct Batch<'i> {
    ingest: &'i Ingest,
    people: People,
    report: IngestReport,
    rejects: Vec<NewReject>,
    events: BTreeMap<EventId, NewEvent>,
    /// What shops say of labels, by whom it came in under.
    tags: BTreeMap<CustomerId, tags::TagWords>,
    /// Customers to be judged again: whether live and historic facts arrived.
    marks: BTreeMap<CustomerId, (bool, bool)>,
}

/// An event to be stored unless it is there.
struct NewEvent {
    who: Who,
    name: String,
    at: At,
    data: Map<String, Value>,
    /// Whether a record of its own brought it.
    is_record: bool,
}

/// What a record says of its customer.
#[derive(Default)]
struct About<'i> {
    reference: Reference,
    since: At,
    /// A guest's profile.
    profile: Option<&'i CustomerRecord>,
    is_named: bool,
}

impl<'i> Batch<'i> {
    pub(crate) fn new(ingest: &'i Ingest, people: People) -> Self {
        Batch {
            ingest,
            people,
            report: IngestReport { seen: ingest.records.len() as u64, ..IngestReport::default() },
            rejects: ingest.rejects.clone(),
            events: BTreeMap::new(),
            tags: BTreeMap::new(),
            marks: BTreeMap::new(),
        }
    }
}

impl Batch<'_> {
    async fn run(tx: &mut Tx, ingest: &Ingest) -> Result<IngestReport> {
        one_at_a_time(tx).await?;
        past::begin(tx, ingest.received_at).await?;
        let system = &ingest.connector;
        let abouts: Vec<About<'_>> =
            ingest.records.iter().map(|record| about(record, system, ingest.received_at)).collect();
        let references = abouts.iter().map(|a| &a.reference);
        let people = People::load(tx, system, references, ingest.received_at).await?;
        let mut batch = Batch::new(ingest, people);
        let who = batch.resolve(tx, &abouts).await?;
        batch.write_people(tx).await?;
        batch.write_tags(tx).await?;
        batch.orders(tx, &who).await?;
        batch.carts(tx, &who).await?;
        batch.feedback(tx, &who).await?;
        batch.consents(tx, &who).await?;
        batch.record_events(&who);
        batch.receipts(tx).await?;
        crate::catalogue::write(tx, ingest, &mut batch.report).await?;
        batch.write_events(tx).await?;
        batch.write_marks(tx).await?;
        batch.report.rejected = batch.rejects.len() as u64;
        crate::cursor::write(tx, ingest, &batch.rejects, &batch.report).await?;
        Ok(batch.report)
    }

    /// Settles whom every record is about, in the records' order, and merges profiles.
    async fn resolve(&mut self, tx: &mut Tx, abouts: &[About<'_>]) -> Result<Vec<Option<Who>>> {
        let ingest = self.ingest;
        let mut whose = Vec::with_capacity(abouts.len());
        for (record, about) in ingest.records.iter().zip(abouts) {
            self.report.newest = self.report.newest.max(newest(record));
            if let Record::Deleted(gone) = record {
                self.forget(tx, gone).await?;
                whose.push(None);
                continue;
            }
            let who = self.people.resolve(tx, &about.reference, about.since).await?;
            if who.is_none() && about.is_named {
                self.reject("names no customer: it has neither an id nor a valid e-mail address", record);
            }
            let person = who.and_then(|who| Some((who, self.people.person(who.customer)?)));
            if let Some((who, person)) = person {
                let email = about.reference.email.as_ref();
                if let Record::Customer(record) = record {
                    if let Some(at) = record.created_at {
                        person.existed(at);
                    }
                    let before = std::mem::replace(&mut person.is_changed, false);
                    let wins =
                        person.learn(Profile::of(record, email), record.updated_at, ingest.received_at);
                    self.report.changed += u64::from(person.is_changed);
                    person.is_changed |= before;
                    if let Some(tags) = record.tags.as_ref().filter(|_| wins) {
                        let tags = tags.iter().filter_map(|tag| name_of(tag)).collect();
                        let since = record.updated_at.unwrap_or(ingest.received_at);
                        self.tags.insert(who.source, tags::TagWords { who, tags, since });
                    }
                } else if let Some(profile) = about.profile {
                    let own =
                        zyklus_model::Email::parse(profile.customer.email.as_deref().unwrap_or("")).ok();
                    person.fill(Profile::of(profile, email.or(own.as_ref())));
                }
            }
            whose.push(who);
        }
        Ok(whose)
    }

    fn reject(&mut self, problem: &str, record: &Record) {
        let record = serde_json::to_string(record).unwrap_or_default();
        self.rejects.push(NewReject { problem: problem.to_owned(), record });
    }

    async fn write_people(&mut self, tx: &mut Tx) -> Result<()> {
        let origin = self.ingest.origin;
        let pending = self.people.write(tx).await?;
        for (customer, (live, history)) in pending {
            let mark = self.marks.entry(customer).or_default();
            *mark = (mark.0 || live, mark.1 || history);
        }
        let mut remaining: Vec<_> =
            self.people.persons.values().filter(|p| p.merged_into.is_none()).collect();
        remaining.sort_unstable_by_key(|p| p.id);
        let mut created = Vec::new();
        let mut changed = Vec::new();
        for person in remaining {
            if person.is_changed || person.is_new {
                changed.push(person.id);
            }
            if person.is_new {
                self.report.new_customers += 1;
                if origin == Origin::Live {
                    created.push((person.id, person.created_at, person.profile.has_account));
                }
            }
        }
        changed.into_iter().for_each(|id| self.mark(id));
        for (id, at, has_account) in created {
            let data = Map::from_iter([("has_account".to_owned(), Value::Bool(has_account))]);
            let event = EventId::derive(&[b"customer.created", id.uuid().as_bytes()]);
            self.event(event, "customer.created", Who { customer: id, source: id }, at, data);
        }
        self.report.merges = self.people.folds.len() as u64;
        Ok(())
    }

    pub(crate) async fn write_marks(&self, tx: &mut Tx) -> Result<()> {
        let mut marks: BTreeMap<CustomerId, (bool, bool)> = BTreeMap::new();
        for (customer, (live, history)) in &self.marks {
            let mark = marks.entry(self.people.root(*customer)).or_default();
            *mark = (mark.0 || *live, mark.1 || *history);
        }
        mark::write(tx, &marks, self.ingest.received_at).await
    }

    /// A fact about the customer was stored: they have to be judged again.
    fn mark(&mut self, customer: CustomerId) {
        let mark = self.marks.entry(customer).or_default();
        match self.ingest.origin {
            Origin::Live => mark.0 = true,
            Origin::History => mark.1 = true,
        }
    }

    fn event(&mut self, id: EventId, name: &str, who: Who, at: At, data: Map<String, Value>) {
        let event = NewEvent { who, name: name.to_owned(), at, data, is_record: false };
        self.events.entry(id).or_insert(event);
    }

    pub(crate) async fn write_events(&mut self, tx: &mut Tx) -> Result<()> {
        let ids: Vec<EventId> = self.events.keys().copied().collect();
        for some in ids.chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), "SELECT id FROM event WHERE id IN ");
            sql.list(some.iter().copied());
            for (id,) in tx.rows::<(Uuid,)>(sql).await? {
                self.events.remove(&EventId::from_uuid(id));
            }
        }
        let (received_at, origin) = (self.ingest.received_at, self.ingest.origin.as_str());
        let mut rows = Vec::with_capacity(self.events.len());
        for (id, event) in std::mem::take(&mut self.events) {
            let Who { customer, source } = self.people.settled(event.who);
            let bucket = bucket_of(customer);
            let data = json_text(&event.data)?;
            let (name, at) = (event.name, event.at);
            rows.push(args![bucket, customer, id, source, name, at, received_at, origin, data, received_at]);
            self.mark(customer);
            self.report.changed += u64::from(event.is_record);
        }
        let head = "INSERT INTO event
            (bucket, customer_id, id, source_customer_id, name, occurred_at, received_at, origin, data,
             written_at)";
        tx.insert(head, rows, "").await.map(drop)
    }
}

/// Whom a record is about, cleaned.
fn about<'i>(record: &'i Record, system: &str, received_at: At) -> About<'i> {
    let (customer, since, profile, is_guest) = match record {
        Record::Customer(r) => {
            (&r.customer, r.created_at.unwrap_or(received_at), None, r.has_account == Some(false))
        }
        Record::Order(r) => (&r.customer, r.placed_at, r.profile.as_deref(), is_guest(r.profile.as_deref())),
        Record::Cart(r) => (&r.customer, r.updated_at, r.profile.as_deref(), is_guest(r.profile.as_deref())),
        Record::Feedback(r) => (&r.customer, r.at, None, false),
        Record::Event(r) => (&r.customer, r.at, None, false),
        // When it was said is not known: nor does it say since when they are a customer.
        Record::Consent(r) => (&r.customer, if r.undated { received_at } else { r.at }, None, false),
        Record::Deleted(r) if r.kind == "customer" => {
            let gone = zyklus_model::CustomerRef {
                external_id: name_of(&r.external_id),
                ..zyklus_model::CustomerRef::default()
            };
            return About { reference: Reference::new(&gone, system, false), ..About::default() };
        }
        Record::Product(_) | Record::Coupon(_) | Record::Receipt(_) | Record::Deleted(_) => {
            return About::default();
        }
    };
    let reference = Reference::new(customer, system, is_guest);
    About { reference, since: since.min(received_at), profile, is_named: true }
}

fn is_guest(profile: Option<&CustomerRecord>) -> bool {
    profile.is_some_and(|p| p.has_account == Some(false))
}

/// The latest instant a record carries.
fn newest(record: &Record) -> Option<At> {
    match record {
        Record::Customer(r) => r.updated_at.max(r.created_at),
        Record::Order(r) => r.updated_at.max(Some(r.placed_at)),
        Record::Cart(r) => Some(r.updated_at),
        Record::Product(r) => r.updated_at,
        Record::Coupon(_) => None,
        Record::Feedback(r) => Some(r.at),
        Record::Event(r) => Some(r.at),
        Record::Consent(r) => Some(r.at),
        Record::Receipt(r) => Some(r.at),
        Record::Deleted(r) => r.at,
    }
}

/// JSON for a column.
pub(crate) fn json_text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::unreadable("value", e))
}

/// What tells an unchanged record from a changed one.
pub(crate) fn content_hash(record: &impl serde::Serialize, reporting: Option<i64>) -> Result<i64> {
    let mut hash = Sha256::new();
    let text = serde_json::to_vec(record).map_err(|e| StoreError::unreadable("record", e))?;
    hash.update(&text);
    if let Some(minor) = reporting {
        hash.update(minor.to_be_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0u8; 8];
    bytes.copy_from_slice(&digest[..8]);
    Ok(i64::from_be_bytes(bytes))
}
