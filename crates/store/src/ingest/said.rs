//! What customers say and do: feedback, consents, and events of the source's own. Never judges whether a consent
//! suffices: the engine's guards do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use uuid::Uuid;
use zyklus_model::address::clean_text;
use zyklus_model::{
    At, Channel, ConsentState, CustomerId, Email, EventId, FeedbackId, FeedbackRecord, LegalBasis, Purpose,
    Record, bucket_of,
};

use super::slots::{Fresh, Slots, Stored};
use super::{Batch, content_hash, json_text};
use crate::arg::{Arg, Stamp, args};
use crate::column::{Word, named};
use crate::error::Result;
use crate::identity::{Who, name_of};
use crate::suppress::{AddressWords, address_hash};
use crate::tx::{CHUNK, Sql, Tx};

const SELECT: &str = "SELECT id, customer_id, received_at, content_hash, written_at FROM feedback";
const HEAD: &str = "INSERT INTO feedback
    (bucket, customer_id, id, source_customer_id, system, external_id, kind, score, body, product, at, received_at,
     content_hash, written_at)";

named! {
    struct FeedbackRow {
        id: Uuid,
        customer_id: Uuid,
        received_at: Stamp,
        content_hash: i64,
        written_at: Stamp,
    }
}

impl Stored for FeedbackRow {
    fn id(&self) -> Uuid {
        self.id
    }
    fn customer(&self) -> CustomerId {
        CustomerId::from_uuid(self.customer_id)
    }
    fn written_at(&self) -> At {
        self.written_at.0
    }
}

struct FreshFeedback {
    id: FeedbackId,
    who: Who,
    system: String,
    record: FeedbackRecord,
    received_at: At,
    content_hash: i64,
}

impl Fresh for FreshFeedback {
    fn customer(&self) -> CustomerId {
        self.who.customer
    }

    fn row(self, written_at: At) -> Result<Vec<Arg<'static>>> {
        let record = self.record;
        Ok(args![
            bucket_of(self.who.customer),
            self.who.customer,
            self.id,
            self.who.source,
            self.system,
            record.external_id,
            record.kind.as_str(),
            record.score,
            record.text,
            record.product,
            record.at,
            self.received_at,
            self.content_hash,
            written_at,
        ])
    }
}

named! {
    /// What a system said before.
    struct SaidRow {
        source_customer_id: Uuid,
        channel: Word<Channel>,
        purpose: Word<Purpose>,
        state: Word<ConsentState>,
        at: Stamp,
        received_at: Stamp,
    }
}

/// One entry of the consent ledger, to be appended unless it is there.
pub(crate) struct NewConsent {
    pub(crate) who: Who,
    pub(crate) channel: Channel,
    pub(crate) purpose: Purpose,
    pub(crate) state: ConsentState,
    pub(crate) basis: LegalBasis,
    pub(crate) at: At,
    pub(crate) evidence: Value,
    /// The hash of the address it is about, where it names one.
    pub(crate) address: Option<String>,
}

impl Batch<'_> {
    pub(super) async fn feedback(&mut self, tx: &mut Tx, whose: &[Option<Who>]) -> Result<()> {
        let ingest = self.ingest;
        let system = ingest.connector.as_str();
        let ids = ingest.records.iter().filter_map(|record| match record {
            Record::Feedback(r) => Some(feedback_id(system, &r.external_id).uuid()),
            Record::Deleted(r) if r.kind == "feedback" => Some(feedback_id(system, &r.external_id).uuid()),
            _ => None,
        });
        let mut slots: Slots<FeedbackRow, FreshFeedback> = match ids.collect::<Vec<_>>() {
            none if none.is_empty() => return Ok(()),
            ids => Slots::load(tx, SELECT, ids.into_iter()).await?,
        };
        for (record, who) in ingest.records.iter().zip(whose) {
            let (feedback, who) = match (record, who) {
                (Record::Deleted(r), _) if r.kind == "feedback" => {
                    slots.remove(feedback_id(system, &r.external_id).uuid());
                    continue;
                }
                (Record::Feedback(feedback), Some(who)) => (feedback, self.people.settled(*who)),
                _ => continue,
            };
            let Some(external_id) = name_of(&feedback.external_id) else {
                self.reject("feedback without an id", record);
                continue;
            };
            let hash = content_hash(feedback, None)?;
            let id = feedback_id(system, &external_id);
            let slot = slots.get(id.uuid());
            let known = match (&slot.fresh, &slot.stored) {
                (Some(fresh), _) => Some((fresh.content_hash, fresh.received_at)),
                (None, Some(stored)) if !slot.is_gone => Some((stored.content_hash, stored.received_at.0)),
                _ => None,
            };
            if known.is_some_and(|(old, _)| old == hash) {
                continue;
            }
            let record = FeedbackRecord {
                external_id,
                text: feedback.text.as_deref().map(|t| clean_text(t, 10_000)).filter(|t| !t.is_empty()),
                product: feedback.product.as_deref().and_then(name_of),
                ..feedback.clone()
            };
            let data = Map::from_iter([
                ("feedback_id".to_owned(), json!(record.external_id)),
                ("kind".to_owned(), json!(record.kind)),
                ("score".to_owned(), json!(record.score)),
                ("product".to_owned(), json!(record.product)),
            ]);
            let received_at = known.map_or(ingest.received_at, |(_, at)| at);
            slot.fresh = Some(FreshFeedback {
                id,
                who,
                system: system.to_owned(),
                record,
                received_at,
                content_hash: hash,
            });
            let event = EventId::derive(&[b"feedback.received", id.uuid().as_bytes()]);
            self.event(event, "feedback.received", who, feedback.at, data);
        }
        let (whose, count) = slots.write(tx, "feedback", HEAD, ingest.received_at).await?;
        whose.into_iter().for_each(|customer| self.mark(customer));
        self.report.changed += count;
        Ok(())
    }

    pub(super) async fn consents(&mut self, tx: &mut Tx, whose: &[Option<Who>]) -> Result<()> {
        let records = self.ingest.records.iter().zip(whose);
        let mut said: Vec<(NewConsent, bool)> = Vec::new();
        for (record, who) in records {
            let (Record::Consent(r), Some(who)) = (record, who) else { continue };
            let word = NewConsent {
                who: self.people.settled(*who),
                channel: r.channel,
                purpose: r.purpose,
                state: r.state,
                basis: r.basis,
                at: r.at,
                evidence: r.evidence.clone(),
                address: (r.customer.email.as_deref().filter(|_| r.channel == Channel::Email))
                    .and_then(|text| Email::parse(text).ok())
                    .map(|email| address_hash(email.as_str())),
            };
            said.push((word, r.undated));
        }
        let said = self.dated(tx, said).await?;
        let count = self.append_consents(tx, said).await?;
        self.report.changed += count;
        Ok(())
    }

    /// Words with their instants: one that the system does not date is left out when it is what the system said last,
    /// and is said now when it is another.
    async fn dated(&self, tx: &mut Tx, said: Vec<(NewConsent, bool)>) -> Result<Vec<NewConsent>> {
        type About = (CustomerId, Channel, Purpose);
        let about = |word: &NewConsent| -> About { (word.who.source, word.channel, word.purpose) };
        let undated: BTreeSet<CustomerId> =
            said.iter().filter(|(_, undated)| *undated).map(|(word, _)| word.who.customer).collect();
        let mut last: BTreeMap<About, (At, At, ConsentState)> = BTreeMap::new();
        for some in undated.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
            let mut sql = Sql::new(
                tx.dialect(),
                "SELECT source_customer_id, channel, purpose, state, at, received_at FROM consent WHERE source = ",
            );
            sql.bind(self.ingest.connector.as_str()).push(" AND (bucket, customer_id) IN (");
            sql.values(some.iter().map(|id| args![bucket_of(*id), *id])).push(")");
            for row in tx.rows::<SaidRow>(sql).await? {
                let source = CustomerId::from_uuid(row.source_customer_id);
                let word = (row.at.0, row.received_at.0, row.state.0);
                let known = last.entry((source, row.channel.0, row.purpose.0)).or_insert(word);
                *known = word.max(*known);
            }
        }
        let heard = self.ingest.received_at;
        let mut dated = Vec::with_capacity(said.len());
        for (mut word, undated) in said {
            let before = last.get(&about(&word)).copied();
            if undated && let Some((at, _, state)) = before {
                if state == word.state {
                    continue;
                }
                word.at = heard.max(at);
            }
            let new = (word.at, heard, word.state);
            last.insert(about(&word), before.map_or(new, |before| before.max(new)));
            dated.push(word);
        }
        Ok(dated)
    }

    /// Appends entries to the consent ledger, with their events. Returns how many were new.
    pub(crate) async fn append_consents(&mut self, tx: &mut Tx, said: Vec<NewConsent>) -> Result<u64> {
        let system = self.ingest.connector.as_str();
        let mut entries: BTreeMap<EventId, NewConsent> = BTreeMap::new();
        for entry in said {
            let id = EventId::derive(&[
                b"consent",
                system.as_bytes(),
                entry.who.source.uuid().as_bytes(),
                entry.channel.as_str().as_bytes(),
                entry.purpose.as_str().as_bytes(),
                entry.state.as_str().as_bytes(),
                entry.basis.as_str().as_bytes(),
                &entry.at.as_micros().to_be_bytes(),
            ]);
            entries.entry(id).or_insert(entry);
        }
        let ids: Vec<EventId> = entries.keys().copied().collect();
        for some in ids.chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), "SELECT id FROM consent WHERE id IN ");
            sql.list(some.iter().copied());
            for (id,) in tx.rows::<(Uuid,)>(sql).await? {
                entries.remove(&EventId::from_uuid(id));
            }
        }
        let count = entries.len() as u64;
        let mut rows = Vec::with_capacity(entries.len());
        let mut words = AddressWords::default();
        for (id, entry) in entries {
            let Who { customer, source } = entry.who;
            let address = words.note(&entry);
            let [channel, purpose, state, basis] =
                [entry.channel.as_str(), entry.purpose.as_str(), entry.state.as_str(), entry.basis.as_str()];
            let evidence = json_text(&entry.evidence)?;
            // Nobody says anything later than it is heard: a clock that is ahead must not keep a withdrawal
            // from counting, nor let an earlier consent outlast it.
            let heard = self.ingest.received_at;
            let at = entry.at.min(heard);
            let bucket = bucket_of(customer);
            rows.push(args![
                bucket, customer, id, source, channel, purpose, state, basis, at, system, address, evidence,
                heard, heard
            ]);
            let name = match entry.state {
                ConsentState::Granted => "consent.granted",
                ConsentState::Pending => "consent.requested",
                ConsentState::Withdrawn => "consent.withdrawn",
            };
            let data = Map::from_iter([
                ("channel".to_owned(), json!(channel)),
                ("purpose".to_owned(), json!(purpose)),
                ("basis".to_owned(), json!(basis)),
            ]);
            let event = EventId::derive(&[b"consent", id.uuid().as_bytes()]);
            self.event(event, name, entry.who, at, data);
            self.mark(customer);
        }
        let head = "INSERT INTO consent
            (bucket, customer_id, id, source_customer_id, channel, purpose, state, basis, at, source, address_hash,
             evidence, received_at, written_at)";
        tx.insert(head, rows, "").await?;
        words.write(tx, self.ingest.received_at).await?;
        Ok(count)
    }

    /// Notes events of the source's own; a repeated one is one event.
    pub(super) fn record_events(&mut self, whose: &[Option<Who>]) {
        let ingest = self.ingest;
        let system = ingest.connector.as_bytes();
        for (record, who) in ingest.records.iter().zip(whose) {
            let (Record::Event(event), Some(who)) = (record, who) else { continue };
            let Some(name) = name_of(&event.name).map(|name| name.to_lowercase()) else {
                self.reject("an event without a name", record);
                continue;
            };
            let id = match event.external_id.as_deref().and_then(name_of) {
                Some(external_id) => EventId::derive(&[b"event", system, external_id.as_bytes()]),
                None => {
                    let source = who.source.uuid();
                    let at = event.at.as_micros().to_be_bytes();
                    EventId::derive(&[b"event", system, name.as_bytes(), source.as_bytes(), &at])
                }
            };
            let who = self.people.settled(*who);
            let new = super::NewEvent { who, name, at: event.at, data: event.data.clone(), is_record: true };
            self.events.entry(id).or_insert(new);
        }
    }
}

fn feedback_id(system: &str, external_id: &str) -> FeedbackId {
    FeedbackId::derive(&[system.as_bytes(), clean_text(external_id, 255).as_bytes()])
}
