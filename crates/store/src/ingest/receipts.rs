//! What providers report about deliveries: states, clicks, and the refusals that follow from bounces, complaints
//! and unsubscribing. Never sends, and never ends an attempt: the dispatcher's completion does, so a receipt
//! that overtakes it leaves `sending` alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, json};
use sqlx::FromRow;
use uuid::Uuid;
use zyklus_model::address::clean_text;
use zyklus_model::{
    Channel, ConsentState, CustomerId, DeliveryId, DeliveryState, EventId, LegalBasis, Purpose, ReceiptKind,
    ReceiptRecord, Record, SuppressionReason, bucket_of,
};

use super::Batch;
use super::said::NewConsent;
use crate::arg::{Arg, args};
use crate::error::{Result, StoreError};
use crate::identity::{Who, name_of};
use crate::person::load_persons;
use crate::suppress::address_hash;
use crate::tx::{CHUNK, Sql, Tx};

#[derive(FromRow)]
struct DeliveryRow {
    id: Uuid,
    customer_id: Uuid,
    source_customer_id: Uuid,
    journey: String,
    step: String,
    channel: Option<String>,
    connector: Option<String>,
    state: String,
    provider_ref: Option<String>,
}

struct Reported {
    row: DeliveryRow,
    who: Who,
    channel: Option<Channel>,
    before: DeliveryState,
    state: DeliveryState,
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
        let mut found = self.deliveries(tx, &new).await?;
        let customers: BTreeSet<CustomerId> = found.values().map(|d| d.who.customer).collect();
        let customers = load_persons(tx, &customers.into_iter().collect::<Vec<_>>()).await?;
        let mut rows = Vec::new();
        let mut consents = Vec::new();
        let mut suppressions: BTreeMap<EventId, Vec<Arg>> = BTreeMap::new();
        // In the order they happened, so that the last word on a delivery counts.
        let mut ordered: Vec<(&String, &&ReceiptRecord)> = new.iter().collect();
        ordered.sort_by_key(|(id, receipt)| (receipt.at, *id));
        for (id, receipt) in ordered {
            let key = self.delivery_of(receipt, &found);
            let detail = receipt.detail.as_deref().map(|text| clean_text(text, 1000));
            let kind = receipt.kind.as_str();
            rows.push(args![
                &ingest.connector,
                id,
                key,
                kind,
                receipt.at,
                ingest.received_at,
                detail.as_deref()
            ]);
            self.report.changed += 1;
            let Some(delivery) = key.and_then(|key| found.get_mut(&key)) else { continue };
            let who = delivery.who;
            self.mark(who.customer);
            delivery.state = reported(delivery.state, receipt.kind);
            let refusal = match receipt.kind {
                ReceiptKind::Bounced => Some((SuppressionReason::Bounced, true)),
                ReceiptKind::Complained => Some((SuppressionReason::Complained, true)),
                ReceiptKind::Unsubscribed => Some((SuppressionReason::Unsubscribed, false)),
                ReceiptKind::Accepted
                | ReceiptKind::Delivered
                | ReceiptKind::Deferred
                | ReceiptKind::Clicked => None,
            };
            if let Some((reason, all_purposes)) = refusal {
                let person = customers.get(&who.customer);
                let address = person.and_then(|p| match delivery.channel {
                    Some(Channel::Email) => p.profile.email.as_deref(),
                    Some(Channel::Sms) => p.profile.phone.as_deref(),
                    Some(Channel::Social | Channel::Push | Channel::Post) | None => None,
                });
                let hash = address.map(address_hash);
                let channel = delivery.channel.map(Channel::as_str);
                let suppression = EventId::derive(&[
                    b"suppression",
                    who.source.uuid().as_bytes(),
                    channel.unwrap_or_default().as_bytes(),
                    reason.as_str().as_bytes(),
                    hash.as_deref().unwrap_or_default().as_bytes(),
                ]);
                let bucket = bucket_of(who.customer);
                let (customer, source, reason, at) = (who.customer, who.source, reason.as_str(), receipt.at);
                let row =
                    args![bucket, customer, suppression, source, hash, channel, all_purposes, reason, at];
                suppressions.entry(suppression).or_insert(row);
            }
            if receipt.kind == ReceiptKind::Unsubscribed {
                consents.push(NewConsent {
                    who,
                    channel: delivery.channel.unwrap_or(Channel::Email),
                    purpose: Purpose::Marketing,
                    state: ConsentState::Withdrawn,
                    basis: LegalBasis::Consent,
                    at: receipt.at,
                    evidence: json!({ "delivery": DeliveryId::from_uuid(delivery.row.id), "receipt": id }),
                });
            }
            if receipt.kind == ReceiptKind::Clicked {
                let data = Map::from_iter([
                    ("delivery_id".to_owned(), json!(DeliveryId::from_uuid(delivery.row.id))),
                    ("journey".to_owned(), json!(delivery.row.journey)),
                    ("step".to_owned(), json!(delivery.row.step)),
                    ("link".to_owned(), json!(detail)),
                ]);
                let event = EventId::derive(&[b"mail.clicked", ingest.connector.as_bytes(), id.as_bytes()]);
                self.event(event, "mail.clicked", who, receipt.at, data);
            }
        }
        let head = "INSERT INTO receipt (connector, external_id, delivery_id, kind, at, received_at, detail)";
        tx.insert(head, rows, "").await?;
        let head = "INSERT INTO suppression
            (bucket, customer_id, id, source_customer_id, address_hash, channel, all_purposes, reason, at)";
        tx.insert(head, suppressions.into_values(), " ON CONFLICT DO NOTHING").await?;
        self.append_consents(tx, consents).await?;
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
                sql.bind(state.as_str())
                    .push(" WHERE state IN ('accepted', 'unknown', 'delivered') AND id IN ");
                sql.list(some.iter().copied());
                tx.run(sql).await?;
            }
        }
        Ok(())
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

    /// The deliveries the receipts may be about.
    async fn deliveries(
        &self,
        tx: &mut Tx,
        new: &BTreeMap<String, &ReceiptRecord>,
    ) -> Result<HashMap<DeliveryId, Reported>> {
        const COLUMNS: &str =
            "SELECT id, customer_id, source_customer_id, journey, step, channel, connector, state,
            provider_ref FROM delivery WHERE ";
        let ids: BTreeSet<DeliveryId> =
            new.values().filter_map(|r| r.delivery.as_deref()?.parse().ok()).collect();
        let refs: BTreeSet<&str> = new.values().filter_map(|r| r.provider_ref.as_deref()).collect();
        let mut rows: Vec<DeliveryRow> = Vec::new();
        for some in ids.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), COLUMNS);
            sql.push("id IN ").list(some.iter().copied());
            rows.extend(tx.rows(sql).await?);
        }
        for some in refs.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), COLUMNS);
            sql.push("provider_ref IN ").list(some.iter().copied());
            rows.extend(tx.rows(sql).await?);
        }
        let mut found = HashMap::new();
        for row in rows {
            let state = DeliveryState::parse(&row.state)
                .ok_or_else(|| StoreError::unreadable("delivery state", &row.state))?;
            let who = Who {
                customer: CustomerId::from_uuid(row.customer_id),
                source: CustomerId::from_uuid(row.source_customer_id),
            };
            let channel = row.channel.as_deref().and_then(Channel::parse);
            found.insert(DeliveryId::from_uuid(row.id), Reported { row, who, channel, before: state, state });
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
        let wanted = receipt.provider_ref.as_deref()?;
        let connector = self.ingest.connector.as_str();
        let fits = |d: &&DeliveryRow| {
            d.provider_ref.as_deref() == Some(wanted) && d.connector.as_deref().is_none_or(|c| c == connector)
        };
        found.values().map(|d| &d.row).filter(fits).map(|d| DeliveryId::from_uuid(d.id)).min()
    }
}

/// A delivery's state after a receipt. What is not handed over yet is left alone.
fn reported(state: DeliveryState, kind: ReceiptKind) -> DeliveryState {
    use DeliveryState::{Accepted, Bounced, Complained, Delivered, Unknown};
    match (state, kind) {
        (Unknown, ReceiptKind::Accepted | ReceiptKind::Deferred) => Accepted,
        (Accepted | Unknown, ReceiptKind::Delivered | ReceiptKind::Clicked | ReceiptKind::Unsubscribed) => {
            Delivered
        }
        (Accepted | Unknown | Delivered, ReceiptKind::Bounced) => Bounced,
        (Accepted | Unknown | Delivered, ReceiptKind::Complained) => Complained,
        (state, _) => state,
    }
}
