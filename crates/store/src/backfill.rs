//! Who is let into a journey from before it went live, and on which day (rule R18): a few a day, however many daemons
//! ask. Never chooses them: the runtime does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;
use zyklus_model::{At, CustomerId, SegmentState, bucket_of};

use crate::arg::{Stamp, args};
use crate::error::{Result, StoreError};
use crate::evaluation::touch;
use crate::open::Store;
use crate::tx::{Dialect, Sql, Tx};

/// How long it is remembered who was let in on which day: longer than a daemon is down for.
const REMEMBERED_DAYS: i64 = 7;
/// How many rows are read at a time.
const PAGE: i64 = 10_000;

/// Customers to be let into a journey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The journey's root id.
    pub journey: String,
    /// The day that counts.
    pub day: String,
    /// How many may come on that day.
    pub per_day: u32,
    /// Who, in this order.
    pub customers: Vec<CustomerId>,
}

impl Store {
    /// Lets customers in as long as the day has places, and makes them due; how many places are left. Whoever was let
    /// in on that day before takes no second place.
    ///
    /// # Errors
    /// The database's; then nobody was let in.
    pub async fn admit(&self, admission: Admission, now: At) -> Result<u32> {
        let admission = Arc::new(admission);
        self.write(move |tx| {
            let admission = Arc::clone(&admission);
            Box::pin(async move { admit(tx, &admission, now).await })
        })
        .await
    }

    /// Who was let into which journey (by root id) within the last days.
    ///
    /// # Errors
    /// The database's.
    pub async fn admitted(&self) -> Result<BTreeMap<String, BTreeSet<CustomerId>>> {
        let sql = "SELECT journey, customer_id FROM admission";
        let rows: Vec<(String, Uuid)> = self.peek().await?.fetch(sql, args![]).await?;
        let mut admitted: BTreeMap<String, BTreeSet<CustomerId>> = BTreeMap::new();
        for (journey, customer) in rows {
            admitted.entry(journey).or_default().insert(CustomerId::from_uuid(customer));
        }
        Ok(admitted)
    }

    /// Customers who stood in a phase when they were last evaluated and came there at an instant or later; whoever
    /// came last is first.
    ///
    /// # Errors
    /// The database's.
    pub async fn standing_in(&self, lifecycle: &str, phase: &str, since: At) -> Result<Vec<CustomerId>> {
        let sql = "SELECT customer_id FROM evaluation WHERE lifecycle = $1 AND phase = $2 AND phase_since >= $3 \
                   ORDER BY phase_since DESC, customer_id";
        let rows: Vec<(Uuid,)> = self.peek().await?.fetch(sql, args![lifecycle, phase, since]).await?;
        Ok(rows.into_iter().map(|(id,)| CustomerId::from_uuid(id)).collect())
    }

    /// The same for a segment that starts a journey.
    ///
    /// # Errors
    /// The database's, and rows another program has made unreadable.
    pub async fn inside_segment(&self, segment: &str, since: At) -> Result<Vec<CustomerId>> {
        let mut tx = self.peek().await?;
        let mut found: Vec<(At, CustomerId)> = Vec::new();
        let mut after: Option<CustomerId> = None;
        loop {
            let head = "SELECT customer_id, segments FROM evaluation WHERE segments <> '[]'";
            let mut sql = Sql::new(tx.dialect(), head);
            if let Some(after) = after {
                sql.push(" AND (bucket, customer_id) > (")
                    .bind(bucket_of(after))
                    .push(", ")
                    .bind(after)
                    .push(")");
            }
            sql.push(" ORDER BY bucket, customer_id LIMIT ").bind(PAGE);
            let rows: Vec<(Uuid, String)> = tx.rows(sql).await?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(CustomerId::from_uuid(*last));
            for (id, segments) in &rows {
                let states: Vec<SegmentState> =
                    serde_json::from_str(segments).map_err(|e| StoreError::unreadable("segments", e))?;
                let inside = states.iter().find(|s| s.segment == segment && s.inside && s.since >= since);
                found.extend(inside.map(|s| (s.since, CustomerId::from_uuid(*id))));
            }
        }
        found.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(found.into_iter().map(|(_, customer)| customer).collect())
    }
}

async fn admit(tx: &mut Tx, admission: &Admission, now: At) -> Result<u32> {
    let Admission { journey, day, per_day, customers } = admission;
    // One after the other, so that two daemons do not fill the same place.
    let mut lock = Sql::new(tx.dialect(), "SELECT active_from FROM journey WHERE id = ");
    lock.bind(journey);
    if tx.dialect() == Dialect::Postgres {
        lock.push(" FOR UPDATE");
    }
    if tx.rows::<(Option<Stamp>,)>(lock).await?.is_empty() {
        return Err(StoreError::Refused(format!("there is no journey `{journey}`")));
    }
    let sql = "DELETE FROM admission WHERE journey = $1 AND at < $2";
    tx.execute(sql, args![journey, now.plus_days(-REMEMBERED_DAYS)]).await?;
    let sql = "SELECT customer_id FROM admission WHERE journey = $1 AND day = $2";
    let rows: Vec<(Uuid,)> = tx.fetch(sql, args![journey, day]).await?;
    let known: BTreeSet<CustomerId> = rows.into_iter().map(|(id,)| CustomerId::from_uuid(id)).collect();
    let places = (*per_day as usize).saturating_sub(known.len());
    let mut chosen: Vec<CustomerId> = customers.iter().copied().filter(|c| !known.contains(c)).collect();
    chosen.truncate(places);
    let rows: Vec<_> = chosen.iter().map(|c| args![journey, day, *c, now]).collect();
    tx.insert("INSERT INTO admission (journey, day, customer_id, at)", rows, "").await?;
    touch(tx, &chosen, now).await?;
    Ok(u32::try_from(places - chosen.len()).unwrap_or(u32::MAX))
}
