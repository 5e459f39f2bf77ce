//! What providers report about deliveries: states, clicks, and the refusals that follow from bounces, complaints
//! and unsubscribing. Never sends, and never ends an attempt: the dispatcher's completion does, and takes in
//! what was reported before it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zyklus_model::address::clean_text;
use zyklus_model::{
    At, Channel, ConsentState, Currency, CustomerId, DeliveryId, DeliveryState, EventId, LegalBasis, Origin,
    Purpose, Rates, ReceiptKind, ReceiptRecord, Record, SuppressionReason, bucket_of,
};

use super::said::NewConsent;
use super::{Batch, Ingest};
use crate::arg::{Stamp, args};
use crate::column::{Word, named};
use crate::error::Result;
use crate::identity::{People, Who, name_of};
use crate::past;
use crate::suppress::{self, Refusal};
use crate::tx::{CHUNK, Dialect, Sql, Tx};

named! {
    struct DeliveryRow {
        id: Uuid,
        customer_id: Uuid,
        source_customer_id: Uuid,
        journey: String,
        step: String,
        channel: Option<Word<Channel>>,
        connector: Option<String>,
        state: Word<DeliveryState>,
        provider_ref: Option<String>,
    }
}

const SELECT: &str = "SELECT id, customer_id, source_customer_id, journey, step, channel, connector, state, \
                      provider_ref FROM delivery WHERE ";

/// A delivery that is reported about.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    id: DeliveryId,
    pub(crate) who: Who,
    journey: String,
    step: String,
    channel: Option<Channel>,
    connector: Option<String>,
    provider_ref: Option<String>,
    before: DeliveryState,
    state: DeliveryState,
    /// Whether it was ever handed over, or may have been.
    was_tried: bool,
    /// The hash of the address it was last written to.
    address: Option<String>,
}

impl From<DeliveryRow> for Reported {
    fn from(row: DeliveryRow) -> Self {
        Reported {
            id: DeliveryId::from_uuid(row.id),
            who: Who {
                customer: CustomerId::from_uuid(row.customer_id),
                source: CustomerId::from_uuid(row.source_customer_id),
            },
            journey: row.journey,
            step: row.step,
            channel: row.channel.map(|c| c.0),
            connector: row.connector,
            provider_ref: row.provider_ref,
            before: row.state.0,
            state: row.state.0,
            was_tried: false,
            address: None,
        }
    }
}

impl Reported {
    /// Reads a delivery; nobody else changes it until this transaction ends.
    pub(crate) async fn lock(tx: &mut Tx, id: DeliveryId) -> Result<Option<Self>> {
        let mut sql = Sql::new(tx.dialect(), SELECT);
        sql.push("id IN ").list([id]);
        Ok(locked(tx, sql).await?.pop())
    }

    /// A try of it ended so, that was addressed so.
    pub(crate) fn ends(&mut self, state: DeliveryState, address: Option<String>) {
        (self.state, self.address, self.was_tried) = (state, address, true);
    }

    /// Whether a provider's reference is to be believed from this connector: its own deliveries, and those left
    /// to the channel's default one.
    fn is_of(&self, connector: &str) -> bool {
        self.connector.as_deref().is_none_or(|own| own == connector)
    }

    /// The state after a receipt. What was not handed over yet is left alone.
    fn hear(&mut self, kind: ReceiptKind) {
        use DeliveryState::{Accepted, Bounced, Complained, Delivered, Pending, Unknown};
        self.state = match (self.state, kind) {
            (Pending, _) if !self.was_tried => Pending,
            (Unknown | Pending, ReceiptKind::Accepted | ReceiptKind::Deferred) => Accepted,
            (
                Accepted | Unknown | Pending,
                ReceiptKind::Delivered | ReceiptKind::Clicked | ReceiptKind::Unsubscribed,
            ) => Delivered,
            (Accepted | Unknown | Pending | Delivered, ReceiptKind::Bounced) => Bounced,
            (Accepted | Unknown | Pending | Delivered, ReceiptKind::Complained) => Complained,
            (state, _) => state,
        };
    }
}

/// Deliveries of a statement that ends in its condition, locked until the transaction ends.
async fn locked(tx: &mut Tx, mut sql: Sql) -> Result<Vec<Reported>> {
    sql.push(" ORDER BY id");
    if tx.dialect() == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    Ok(tx.rows::<DeliveryRow>(sql).await?.into_iter().map(Reported::from).collect())
}

/// The provider's name for a message; PostgreSQL stores no NUL in texts.
fn reference(receipt: &ReceiptRecord) -> Option<&str> {
    receipt.provider_ref.as_deref().filter(|text| !text.contains('\0'))
}

named! {
    /// What is said of a delivery.
    struct Heard {
        connector: String,
        external_id: String,
        kind: Word<ReceiptKind>,
        at: Stamp,
        detail: Option<String>,
        is_new: bool,
    }
}

/// Makes whoever ends a try under a reference and whoever reports under it wait for one another, so that neither
/// misses the other. SQLite has one writer anyway.
pub(crate) async fn hold<'r>(tx: &mut Tx, references: impl IntoIterator<Item = &'r str>) -> Result<()> {
    // Few locks for however many references; in order, so that two who take several do not block one another.
    let slots: BTreeSet<i16> =
        references.into_iter().map(|text| i16::from(Sha256::digest(text.as_bytes())[0] % 64)).collect();
    if tx.dialect() == Dialect::Postgres && !slots.is_empty() {
        let sql = "SELECT pg_advisory_xact_lock(8820693000000 + u.n) FROM unnest($1::int2[]) AS u (n)";
        tx.execute(sql, vec![crate::arg::Arg::Buckets(slots.into_iter().collect())]).await?;
    }
    Ok(())
}

/// What was reported of a delivery before its try ended: since the try began, or under a reference that nobody
/// knew yet. Returns the state it comes to.
pub(crate) async fn catch_up(
    tx: &mut Tx,
    mut told: Reported,
    since: At,
    reference: Option<&str>,
    now: At,
) -> Result<DeliveryState> {
    let mut sql = Sql::new(
        tx.dialect(),
        "SELECT connector, external_id, kind, at, detail, FALSE AS is_new FROM receipt WHERE delivery_id = ",
    );
    sql.bind(told.id).push(" AND received_at >= ").bind(since);
    let mut words: Vec<Heard> = tx.rows(sql).await?;
    if let Some(reference) = reference {
        let sql = "SELECT connector, external_id, kind, at, detail, TRUE AS is_new FROM receipt \
                   WHERE delivery_id IS NULL AND provider_ref IS NOT NULL AND provider_ref = $1";
        let found: Vec<Heard> = tx.fetch(sql, args![reference]).await?;
        words.extend(found.into_iter().filter(|word| told.is_of(&word.connector)));
    }
    words.sort_by(|a, b| (a.at.0, &a.external_id).cmp(&(b.at.0, &b.external_id)));
    let mut news: BTreeMap<&str, Vec<&Heard>> = BTreeMap::new();
    for word in &words {
        told.hear(word.kind.0);
        if word.is_new {
            news.entry(&word.connector).or_default().push(word);
        }
    }
    for (connector, words) in news {
        let ingest = Ingest {
            connector: connector.to_owned(),
            stream: String::new(),
            records: Vec::new(),
            rejects: Vec::new(),
            origin: Origin::Live,
            received_at: now,
            next: None,
            rates: Rates::only(Currency::EUR),
        };
        let mut batch = Batch::new(&ingest, People::nobody(now));
        let mut said = Said::default();
        for word in words {
            batch.follow(&told, word, &mut said);
            let sql = "UPDATE receipt SET delivery_id = $1 WHERE connector = $2 AND external_id = $3";
            tx.execute(sql, args![told.id, connector, &word.external_id]).await?;
        }
        batch.write_said(tx, said).await?;
        batch.write_events(tx).await?;
        batch.write_marks(tx).await?;
    }
    Ok(told.state)
}

/// What follows from receipts besides states.
#[derive(Default)]
struct Said {
    consents: Vec<NewConsent>,
    refusals: Vec<Refusal>,
}

impl Batch<'_> {
    pub(super) async fn receipts(&mut self, tx: &mut Tx) -> Result<()> {
        let ingest = self.ingest;
        let mut new: BTreeMap<String, &ReceiptRecord> = BTreeMap::new();
        for record in &ingest.records {
            let Record::Receipt(receipt) = record else { continue };
            match name_of(&receipt.external_id) {
                Some(id) => drop(new.entry(id).or_insert(receipt)),
                None => self.reject("a receipt without an id", record),
            }
        }
        self.drop_known(tx, &mut new).await?;
        if new.is_empty() {
            return Ok(());
        }
        hold(tx, new.values().filter_map(|r| reference(r))).await?;
        let mut found = self.deliveries(tx, &new).await?;
        let mut rows = Vec::new();
        let mut said = Said::default();
        // In the order they happened, so that the last word on a delivery counts.
        let mut ordered: Vec<(&String, &&ReceiptRecord)> = new.iter().collect();
        ordered.sort_by_key(|(id, receipt)| (receipt.at, *id));
        for (id, receipt) in ordered {
            let key = self.delivery_of(receipt, &found);
            let detail = receipt.detail.as_deref().map(|text| clean_text(text, 1000));
            rows.push(args![
                &ingest.connector,
                id,
                key,
                reference(receipt),
                receipt.kind.as_str(),
                receipt.at,
                ingest.received_at,
                detail.clone()
            ]);
            self.report.changed += 1;
            let Some(delivery) = key.and_then(|key| found.get_mut(&key)) else { continue };
            self.mark(delivery.who.customer);
            delivery.hear(receipt.kind);
            let word = Heard {
                connector: ingest.connector.clone(),
                external_id: id.clone(),
                kind: Word(receipt.kind),
                at: Stamp(receipt.at),
                detail,
                is_new: true,
            };
            self.follow(delivery, &word, &mut said);
        }
        let head = "INSERT INTO receipt
            (connector, external_id, delivery_id, provider_ref, kind, at, received_at, detail)";
        tx.insert(head, rows, "").await?;
        self.write_said(tx, said).await?;
        let mut states: BTreeMap<DeliveryState, Vec<DeliveryId>> = BTreeMap::new();
        for (id, delivery) in found {
            if delivery.state != delivery.before {
                states.entry(delivery.state).or_default().push(id);
            }
        }
        for (state, mut ids) in states {
            ids.sort_unstable();
            for some in ids.chunks(CHUNK) {
                let mut sql = Sql::new(tx.dialect(), "UPDATE delivery SET state = ");
                sql.bind(state.as_str()).push(", done_at = coalesce(done_at, ").bind(ingest.received_at);
                sql.push(")");
                past::written(&mut sql, ingest.received_at);
                sql.push(" WHERE state IN ('accepted', 'unknown', 'delivered', 'pending') AND id IN ");
                sql.list(some.iter().copied());
                tx.run(sql).await?;
            }
        }
        Ok(())
    }

    /// What a receipt brings besides a state: refusals, a withdrawn consent, a click.
    fn follow(&mut self, delivery: &Reported, word: &Heard, said: &mut Said) {
        let Reported { who, channel, .. } = *delivery;
        let at = word.at.0;
        let refusal = match word.kind.0 {
            ReceiptKind::Bounced => Some((SuppressionReason::Bounced, true)),
            ReceiptKind::Complained => Some((SuppressionReason::Complained, true)),
            ReceiptKind::Unsubscribed => Some((SuppressionReason::Unsubscribed, false)),
            ReceiptKind::Accepted | ReceiptKind::Delivered | ReceiptKind::Deferred | ReceiptKind::Clicked => {
                None
            }
        };
        if let Some((reason, all_purposes)) = refusal {
            let address = delivery.address.clone();
            let at = at.min(self.ingest.received_at);
            said.refusals.push(Refusal { who, channel, all_purposes, reason, at, address });
        }
        if word.kind.0 == ReceiptKind::Unsubscribed {
            said.consents.push(NewConsent {
                who,
                channel: channel.unwrap_or(Channel::Email),
                purpose: Purpose::Marketing,
                state: ConsentState::Withdrawn,
                basis: LegalBasis::Consent,
                at,
                evidence: json!({ "delivery": delivery.id, "receipt": word.external_id }),
                address: delivery.address.clone(),
            });
        }
        if word.kind.0 == ReceiptKind::Clicked {
            let data = Map::from_iter([
                ("delivery_id".to_owned(), json!(delivery.id)),
                ("journey".to_owned(), json!(delivery.journey)),
                ("step".to_owned(), json!(delivery.step)),
                ("link".to_owned(), json!(word.detail)),
            ]);
            let parts = [b"mail.clicked", word.connector.as_bytes(), word.external_id.as_bytes()];
            self.event(EventId::derive(&parts), "mail.clicked", who, at, data);
        }
        self.mark(who.customer);
    }

    async fn write_said(&mut self, tx: &mut Tx, said: Said) -> Result<()> {
        suppress::write(tx, said.refusals, self.ingest.received_at).await?;
        self.append_consents(tx, said.consents).await.map(drop)
    }

    async fn drop_known(&self, tx: &mut Tx, new: &mut BTreeMap<String, &ReceiptRecord>) -> Result<()> {
        let ids: Vec<String> = new.keys().cloned().collect();
        for some in ids.chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), "SELECT external_id FROM receipt WHERE connector = ");
            sql.bind(&self.ingest.connector).push(" AND external_id IN ").list(some.iter());
            for (id,) in tx.rows::<(String,)>(sql).await? {
                new.remove(&id);
            }
        }
        Ok(())
    }

    /// The deliveries the receipts may be about, locked, with where they were last written to.
    async fn deliveries(
        &self,
        tx: &mut Tx,
        new: &BTreeMap<String, &ReceiptRecord>,
    ) -> Result<HashMap<DeliveryId, Reported>> {
        let ids: BTreeSet<DeliveryId> =
            new.values().filter_map(|r| r.delivery.as_deref()?.parse().ok()).collect();
        let refs: BTreeSet<&str> = new.values().filter_map(|r| reference(r)).collect();
        let mut found = HashMap::new();
        for some in ids.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), SELECT);
            sql.push("id IN ").list(some.iter().copied());
            found.extend(locked(tx, sql).await?.into_iter().map(|d| (d.id, d)));
        }
        for some in refs.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), SELECT);
            sql.push("provider_ref IN ").list(some.iter().copied());
            found.extend(locked(tx, sql).await?.into_iter().map(|d| (d.id, d)));
        }
        let keys: Vec<_> = found.values().map(|d| args![bucket_of(d.who.customer), d.id]).collect();
        for some in keys.chunks(CHUNK) {
            let head = "SELECT a.delivery_id, a.address_hash FROM delivery_attempt a \
                        WHERE (a.bucket, a.delivery_id) IN (";
            let mut sql = Sql::new(tx.dialect(), head);
            sql.values(some.iter().cloned()).push(") ORDER BY a.number");
            for (id, address) in tx.rows::<(Uuid, Option<String>)>(sql).await? {
                if let Some(delivery) = found.get_mut(&DeliveryId::from_uuid(id)) {
                    delivery.was_tried = true;
                    delivery.address = address.or(delivery.address.take());
                }
            }
        }
        Ok(found)
    }

    /// Which of them a receipt is about: our own id first; a provider's reference counts only for deliveries
    /// of that connector (or of the channel's default one).
    fn delivery_of(
        &self,
        receipt: &ReceiptRecord,
        found: &HashMap<DeliveryId, Reported>,
    ) -> Option<DeliveryId> {
        let own = receipt.delivery.as_deref().and_then(|text| text.parse().ok());
        if let Some(id) = own.filter(|id| found.contains_key(id)) {
            return Some(id);
        }
        let wanted = reference(receipt)?;
        let connector = self.ingest.connector.as_str();
        let fits = |d: &&Reported| d.provider_ref.as_deref() == Some(wanted) && d.is_of(connector);
        found.values().filter(fits).map(|d| d.id).min()
    }
}
