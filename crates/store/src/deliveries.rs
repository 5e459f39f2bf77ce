//! Looking at deliveries, and what an operator does to them by hand. Claims and completes nothing.

use std::collections::BTreeMap;

use uuid::Uuid;
use zyklus_model::{At, Attempt, CustomerId, Delivery, DeliveryId, DeliveryState, bucket_of};

use crate::arg::{Stamp, args};
use crate::column::Word;
use crate::error::Result;
use crate::evaluation::touch;
use crate::journeys::write_audit;
use crate::open::Store;
use crate::past;
use crate::rows::{ATTEMPT_COLUMNS, AttemptRow, DELIVERY_COLUMNS, DeliveryRow};
use crate::tx::{Sql, Tx};

/// Which deliveries to list.
#[derive(Debug, Clone)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Of this journey.
    pub journey: Option<String>,
    /// Of this customer.
    pub customer: Option<CustomerId>,
    /// Due before.
    pub due_before: Option<At>,
    /// Those that follow this one in the list.
    pub after: Option<DeliveryId>,
    /// Latest due first.
    pub newest_first: bool,
    /// How many at most.
    pub limit: u32,
}

impl Default for DeliveryFilter {
    fn default() -> Self {
        DeliveryFilter {
            state: None,
            journey: None,
            customer: None,
            due_before: None,
            after: None,
            newest_first: false,
            limit: 100,
        }
    }
}

impl Store {
    /// When the next delivery may go; `None` = none is waiting.
    ///
    /// # Errors
    /// The database's.
    pub async fn next_delivery_due(&self) -> Result<Option<At>> {
        let sql = "SELECT due_at FROM delivery WHERE state = 'pending' ORDER BY due_at LIMIT 1";
        let row: Option<(Stamp,)> = self.peek().await?.first(sql, args![]).await?;
        Ok(row.map(|(due,)| due.0))
    }

    /// When the next delivery may go that may not go yet; `None` = none is waiting for its time.
    ///
    /// # Errors
    /// The database's.
    pub async fn next_delivery_after(&self, now: At) -> Result<Option<At>> {
        let sql =
            "SELECT due_at FROM delivery WHERE state = 'pending' AND due_at > $1 ORDER BY due_at LIMIT 1";
        let row: Option<(Stamp,)> = self.peek().await?.first(sql, args![now]).await?;
        Ok(row.map(|(due,)| due.0))
    }

    /// Deliveries, soonest due first unless the filter says otherwise.
    ///
    /// # Errors
    /// The database's.
    pub async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>> {
        let mut tx = self.peek().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT ");
        sql.push(DELIVERY_COLUMNS).push(" FROM delivery d WHERE 1 = 1");
        if let Some(state) = filter.state {
            // In the text, because an index over one state is only used for a state that is.
            sql.push(" AND d.state = '").push(state.as_str()).push("'");
        }
        if let Some(journey) = &filter.journey {
            sql.push(" AND d.journey = ").bind(journey);
        }
        if let Some(customer) = filter.customer {
            sql.push(" AND d.bucket = ").bind(bucket_of(customer));
            sql.push(" AND d.customer_id = ").bind(customer);
        }
        if let Some(before) = filter.due_before {
            sql.push(" AND d.due_at < ").bind(before);
        }
        if let Some(after) = filter.after {
            sql.push(" AND (d.due_at, d.id) ").push(if filter.newest_first { "<" } else { ">" });
            sql.push(" (SELECT due_at, id FROM delivery WHERE id = ");
            sql.bind(after).push(")");
        }
        sql.push(if filter.newest_first {
            " ORDER BY d.due_at DESC, d.id DESC LIMIT "
        } else {
            " ORDER BY d.due_at, d.id LIMIT "
        });
        sql.bind(i64::from(filter.limit));
        Ok(tx.rows::<DeliveryRow>(sql).await?.into_iter().map(DeliveryRow::delivery).collect())
    }

    /// One delivery and its tries.
    ///
    /// # Errors
    /// The database's.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<(Delivery, Vec<Attempt>)>> {
        let mut tx = self.reader().await?;
        let found = match delivery(&mut tx, id).await? {
            Some(delivery) => {
                let attempts = attempts(&mut tx, &delivery).await?;
                Some((delivery, attempts))
            }
            None => None,
        };
        tx.commit().await?;
        Ok(found)
    }

    /// How many deliveries there are, by state.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_deliveries(&self) -> Result<BTreeMap<DeliveryState, u64>> {
        let sql = "SELECT state, COUNT(*) FROM delivery GROUP BY state";
        let rows: Vec<(Word<DeliveryState>, i64)> = self.peek().await?.fetch(sql, args![]).await?;
        Ok(rows.into_iter().map(|(state, count)| (state.0, count.unsigned_abs())).collect())
    }

    /// Puts a delivery that failed, was given up or has no known end back into the outbox, with all its tries
    /// before it; one whose time has passed gets as much time as it had. `false`: it is in none of these states.
    ///
    /// # Errors
    /// The database's.
    pub async fn retry_delivery(&self, id: DeliveryId, now: At, actor: &str) -> Result<bool> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let actor = actor.clone();
            Box::pin(async move { retry(tx, id, now, &actor).await })
        })
        .await
    }

    /// Puts all deliveries back into the outbox, as [`Store::retry_delivery`] does, that failed, were given up or have
    /// no known end: those in one of these states, of one journey; `None` = any. How many.
    ///
    /// # Errors
    /// The database's; some of them may be done then.
    pub async fn retry_deliveries(
        &self,
        state: Option<DeliveryState>,
        journey: Option<&str>,
        now: At,
        actor: &str,
    ) -> Result<u64> {
        let mut tx = self.peek().await?;
        let mut sql =
            Sql::new(tx.dialect(), "SELECT id FROM delivery WHERE state IN ('failed', 'dead', 'unknown')");
        if let Some(state) = state {
            sql.push(" AND state = ").bind(state.as_str());
        }
        if let Some(journey) = journey {
            sql.push(" AND journey = ").bind(journey);
        }
        sql.push(" ORDER BY id");
        let ids: Vec<(Uuid,)> = tx.rows(sql).await?;
        drop(tx);
        let mut count = 0;
        // In short transactions: others wait for each.
        for some in ids.chunks(200) {
            let (some, actor) = (some.to_vec(), actor.to_owned());
            count += self
                .write(move |tx| {
                    let (some, actor) = (some.clone(), actor.clone());
                    Box::pin(async move {
                        let mut count = 0;
                        for (id,) in some {
                            count += u64::from(retry(tx, DeliveryId::from_uuid(id), now, &actor).await?);
                        }
                        Ok(count)
                    })
                })
                .await?;
        }
        Ok(count)
    }

    /// Puts refusals back into the outbox that turned out to be about the sender and not about the recipients, due at
    /// `due_at`, and lifts the suppressions that the same tries brought; how many.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_back(&self, ids: &[DeliveryId], due_at: At, now: At) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        let ids = ids.to_vec();
        self.write(move |tx| {
            let ids = ids.clone();
            Box::pin(async move { take_back(tx, &ids, due_at, now).await })
        })
        .await
    }

    /// Withdraws a delivery that is waiting. `false`: it is not.
    ///
    /// # Errors
    /// The database's.
    pub async fn cancel_delivery(&self, id: DeliveryId, now: At, actor: &str) -> Result<bool> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let actor = actor.clone();
            Box::pin(async move {
                let Some(found) = delivery(tx, id).await? else { return Ok(false) };
                let sql = "UPDATE delivery SET state = 'cancelled', done_at = $1, \
                           written_at = CASE WHEN written_at < $1 THEN $1 ELSE written_at END \
                           WHERE id = $2 AND state = 'pending'";
                if tx.execute(sql, args![now, id]).await? == 0 {
                    return Ok(false);
                }
                note(tx, &found, now, &actor, "delivery cancelled").await
            })
        })
        .await
    }
}

async fn retry(tx: &mut Tx, id: DeliveryId, now: At, actor: &str) -> Result<bool> {
    let Some(found) = delivery(tx, id).await? else { return Ok(false) };
    let span = found.expires_at.micros_since(found.created_at).max(1);
    let is_late = found.expires_at <= now;
    let expires_at = if is_late { now.plus_micros(span) } else { found.expires_at };
    let sql = "UPDATE delivery SET state = 'pending', reason = NULL, done_at = NULL, due_at = $1, \
               expires_at = $2, attempt_count = 0, \
               written_at = CASE WHEN written_at < $1 THEN $1 ELSE written_at END \
               WHERE id = $3 AND state IN ('failed', 'dead', 'unknown')";
    if tx.execute(sql, args![now, expires_at, id]).await? == 0 {
        return Ok(false);
    }
    note(tx, &found, now, actor, "delivery retried").await
}

/// Puts refusals back into the outbox that turned out to be about the sender, and lifts the suppressions that the
/// same tries brought.
async fn take_back(tx: &mut Tx, ids: &[DeliveryId], due_at: At, now: At) -> Result<u64> {
    let mut sql = Sql::new(tx.dialect(), "SELECT ");
    sql.push(DELIVERY_COLUMNS).push(" FROM delivery d WHERE d.state = 'failed' AND d.id IN ");
    sql.list(ids.iter().copied());
    let found: Vec<Delivery> =
        tx.rows::<DeliveryRow>(sql).await?.into_iter().map(DeliveryRow::delivery).collect();
    for delivery in &found {
        let (bucket, customer) = (bucket_of(delivery.customer), delivery.customer);
        past::remove(tx, "suppression", &["written_at"], now, |sql| {
            sql.push(" WHERE bucket = ").bind(bucket).push(" AND customer_id = ").bind(customer);
            sql.push(" AND reason = 'bounced' AND at = ").bind(delivery.done_at);
        })
        .await?;
        let head = "UPDATE delivery SET state = 'pending', done_at = NULL, attempt_count = attempt_count - 1, due_at = ";
        let mut sql = Sql::new(tx.dialect(), head);
        sql.bind(due_at);
        past::written(&mut sql, now);
        sql.push(" WHERE bucket = ").bind(bucket).push(" AND customer_id = ").bind(customer);
        sql.push(" AND id = ").bind(delivery.id);
        tx.run(sql).await?;
        note(tx, delivery, now, "zyklus", "refusal taken back").await?;
    }
    Ok(found.len() as u64)
}

/// What an operator did is remembered, and the customer's runs are looked at again.
async fn note(tx: &mut Tx, delivery: &Delivery, now: At, actor: &str, what: &str) -> Result<bool> {
    touch(tx, &[delivery.customer], now).await?;
    let detail = serde_json::json!({ "delivery": delivery.id });
    write_audit(tx, now, actor, what, Some(delivery.customer), &detail).await?;
    Ok(true)
}

async fn delivery(tx: &mut Tx, id: DeliveryId) -> Result<Option<Delivery>> {
    let mut sql = Sql::new(tx.dialect(), "SELECT ");
    sql.push(DELIVERY_COLUMNS).push(" FROM delivery d WHERE d.id = ").bind(id);
    Ok(tx.rows::<DeliveryRow>(sql).await?.into_iter().next().map(DeliveryRow::delivery))
}

async fn attempts(tx: &mut Tx, delivery: &Delivery) -> Result<Vec<Attempt>> {
    let mut sql = Sql::new(tx.dialect(), "SELECT ");
    sql.push(ATTEMPT_COLUMNS).push(" FROM delivery_attempt a WHERE a.bucket = ");
    sql.bind(bucket_of(delivery.customer)).push(" AND a.delivery_id = ").bind(delivery.id);
    sql.push(" ORDER BY a.number");
    Ok(tx.rows::<AttemptRow>(sql).await?.into_iter().map(AttemptRow::attempt).collect())
}
