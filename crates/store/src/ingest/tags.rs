//! The labels a shop puts on its customers: what the shop says last replaces what it said before. Never touches
//! the labels that journeys put on.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;
use zyklus_model::{At, CustomerId, bucket_of};

use super::Batch;
use crate::arg::args;
use crate::error::Result;
use crate::identity::Who;
use crate::past;
use crate::tx::{CHUNK, Sql, Tx};

/// The labels of one source, and since when new ones hold.
pub(super) struct TagWords {
    pub(super) who: Who,
    pub(super) tags: BTreeSet<String>,
    pub(super) since: At,
}

impl Batch<'_> {
    pub(super) async fn write_tags(&mut self, tx: &mut Tx) -> Result<()> {
        let words: BTreeMap<CustomerId, TagWords> = std::mem::take(&mut self.tags)
            .into_iter()
            .map(|(source, words)| (source, TagWords { who: self.people.settled(words.who), ..words }))
            .collect();
        let customers: Vec<CustomerId> =
            words.values().map(|w| w.who.customer).collect::<BTreeSet<_>>().into_iter().collect();
        let mut stored: BTreeMap<CustomerId, BTreeSet<String>> = BTreeMap::new();
        for some in customers.chunks(CHUNK) {
            let mut sql = Sql::wanted(tx.dialect(), some);
            sql.push(
                "SELECT tag.source_customer_id, tag.tag FROM wanted
                 JOIN tag ON tag.bucket = wanted.bucket AND tag.customer_id = wanted.id WHERE tag.source = 'shop'",
            );
            for (source, tag) in tx.rows::<(Uuid, String)>(sql).await? {
                stored.entry(CustomerId::from_uuid(source)).or_default().insert(tag);
            }
        }
        let none = BTreeSet::new();
        let mut gone = Vec::new();
        let mut rows = Vec::new();
        for (source, words) in &words {
            let before = stored.get(source).unwrap_or(&none);
            let Who { customer, .. } = words.who;
            if *before == words.tags {
                continue;
            }
            self.mark(customer);
            self.report.changed += 1;
            for tag in before.difference(&words.tags) {
                gone.push(args![bucket_of(customer), customer, "shop", tag, *source]);
            }
            for tag in words.tags.difference(before) {
                let now = self.ingest.received_at;
                rows.push(args![bucket_of(customer), customer, "shop", tag, *source, words.since, now]);
            }
        }
        let key = "bucket, customer_id, source, tag, source_customer_id";
        past::remove_rows(tx, "tag", key, gone, self.ingest.received_at).await?;
        let head =
            "INSERT INTO tag (bucket, customer_id, source, tag, source_customer_id, since, written_at)";
        tx.insert(head, rows, "").await.map(drop)
    }
}
