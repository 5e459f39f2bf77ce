//! Looking at deliveries, and what an operator does to them by hand. Claims and completes nothing.

use std::collections::BTreeMap;

use sqlx::FromRow;
use zyklus_model::{At, Attempt, CustomerId, Delivery, DeliveryId, DeliveryState, bucket_of};

use crate::apply::touch;
use crate::arg::args;
use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::outbox::{attempts, delivery};
use crate::snapshot::{DELIVERY_COLUMNS, DeliveryRow};
use crate::tx::Sql;

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
    /// How many at most.
    pub limit: u32,
}

impl Default for DeliveryFilter {
    fn default() -> Self {
        DeliveryFilter { state: None, journey: None, customer: None, due_before: None, limit: 100 }
    }
}

#[derive(FromRow)]
struct StateRow {
    state: String,
    count: i64,
}

impl Store {
    /// Deliveries, soonest due first.
    ///
    /// # Errors
    /// The database's.
    pub async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>> {
        let mut tx = self.peek().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT ");
        sql.push(DELIVERY_COLUMNS).push(" FROM delivery d WHERE 1 = 1");
        if let Some(state) = filter.state {
            sql.push(" AND d.state = ").bind(state.as_str());
        }
        if let Some(journey) = &filter.journey {
            sql.push(" AND d.journey = ").bind(journey);
        }
        if let Some(customer) = filter.customer {
            sql.push(" AND d.bucket = ")
                .bind(bucket_of(customer))
                .push(" AND d.customer_id = ")
                .bind(customer);
        }
        if let Some(before) = filter.due_before {
            sql.push(" AND d.due_at < ").bind(before);
        }
        sql.push(" ORDER BY d.due_at, d.id LIMIT ").bind(i64::from(filter.limit));
        tx.rows::<DeliveryRow>(sql).await?.into_iter().map(DeliveryRow::delivery).collect()
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
        let mut tx = self.peek().await?;
        let rows: Vec<StateRow> =
            tx.fetch("SELECT state, COUNT(*) AS count FROM delivery GROUP BY state", args![]).await?;
        rows.into_iter()
            .map(|r| {
                let state = DeliveryState::parse(&r.state)
                    .ok_or_else(|| StoreError::unreadable("delivery's state", &r.state))?;
                Ok((state, u64::try_from(r.count).unwrap_or(0)))
            })
            .collect()
    }

    /// Puts a delivery that failed, was given up or has no known end back into the outbox. `false`: it is in none
    /// of these states.
    ///
    /// # Errors
    /// The database's.
    pub async fn retry_delivery(&self, id: DeliveryId, now: At, actor: &str) -> Result<bool> {
        let change = "UPDATE delivery SET state = 'pending', reason = NULL, done_at = NULL, due_at = $1 \
                      WHERE id = $2 AND state IN ('failed', 'dead', 'unknown')";
        self.operate(id, now, actor, "delivery retried", change).await
    }

    /// Withdraws a delivery that is waiting. `false`: it is not.
    ///
    /// # Errors
    /// The database's.
    pub async fn cancel_delivery(&self, id: DeliveryId, now: At, actor: &str) -> Result<bool> {
        let change =
            "UPDATE delivery SET state = 'cancelled', done_at = $1 WHERE id = $2 AND state = 'pending'";
        self.operate(id, now, actor, "delivery cancelled", change).await
    }

    async fn operate(
        &self,
        id: DeliveryId,
        now: At,
        actor: &str,
        what: &'static str,
        change: &'static str,
    ) -> Result<bool> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let actor = actor.clone();
            Box::pin(async move {
                let Some(delivery) = delivery(tx, id).await? else { return Ok(false) };
                if tx.execute(change, args![now, id]).await? == 0 {
                    return Ok(false);
                }
                touch(tx, &[delivery.customer], now).await?;
                let detail = serde_json::json!({ "delivery": id.to_string() });
                crate::journeys::write_audit(tx, now, &actor, what, Some(delivery.customer), &detail).await?;
                Ok(true)
            })
        })
        .await
    }
}
