//! Finding customers, and walking over all of them in constant memory.

use std::collections::BTreeMap;

use sqlx::FromRow;
use uuid::Uuid;
use zyklus_model::{Customer, CustomerId, Run, RunId, Transition, TransitionId, bucket_of};

use crate::apply::IdRow;
use crate::arg::{Stamp, args};
use crate::error::{Result, StoreError};
use crate::open::Store;
use crate::snapshot::{CUSTOMER_COLUMNS, CustomerRow, RUN_COLUMNS, RunRow, word};
use crate::tx::Sql;

#[derive(FromRow)]
struct CountRow {
    name: Option<String>,
    count: i64,
}

#[derive(FromRow)]
struct MergedRow {
    id: Uuid,
    merged_into: Option<Uuid>,
}

#[derive(FromRow)]
struct TransitionRow {
    customer_id: Uuid,
    id: Uuid,
    lifecycle: String,
    from_phase: Option<String>,
    to_phase: String,
    at: Stamp,
    recorded_at: Stamp,
    cause: String,
    origin: String,
}

impl Store {
    /// Customers in the order of their keys, after one of them; those merged into others are left out.
    ///
    /// # Errors
    /// The database's.
    pub async fn customer_ids(&self, after: Option<CustomerId>, limit: u32) -> Result<Vec<CustomerId>> {
        let mut tx = self.peek().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT id FROM customer WHERE merged_into IS NULL");
        if let Some(after) = after {
            sql.push(" AND (bucket, id) > (").bind(bucket_of(after)).push(", ").bind(after).push(")");
        }
        sql.push(" ORDER BY bucket, id LIMIT ").bind(i64::from(limit));
        Ok(tx.rows::<IdRow>(sql).await?.into_iter().map(|r| CustomerId::from_uuid(r.id)).collect())
    }

    /// How many customers there are.
    ///
    /// # Errors
    /// The database's.
    pub async fn customer_count(&self) -> Result<u64> {
        let mut tx = self.peek().await?;
        let row: Option<CountRow> = tx
            .first("SELECT NULL AS name, COUNT(*) AS count FROM customer WHERE merged_into IS NULL", args![])
            .await?;
        Ok(row.and_then(|r| u64::try_from(r.count).ok()).unwrap_or(0))
    }

    /// The customer an id leads to after merges; `None` if there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn resolve(&self, id: CustomerId) -> Result<Option<CustomerId>> {
        let mut tx = self.peek().await?;
        let mut id = id.uuid();
        // Merges point to the customer that remains; chains are short.
        for _ in 0..64 {
            let row: Option<MergedRow> =
                tx.first("SELECT id, merged_into FROM customer WHERE id = $1", args![id]).await?;
            match row {
                None => return Ok(None),
                Some(MergedRow { id, merged_into: None }) => return Ok(Some(CustomerId::from_uuid(id))),
                Some(MergedRow { merged_into: Some(next), .. }) => id = next,
            }
        }
        Ok(None)
    }

    /// Customers by what an operator has at hand: our id, an e-mail address, another system's id, an order number;
    /// failing these, the beginning of an address or name.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_customers(&self, text: &str, limit: u32) -> Result<Vec<Customer>> {
        let text = text.trim();
        if let Ok(id) = text.parse::<CustomerId>() {
            let found = self.resolve(id).await?;
            return match found {
                Some(id) => Ok(self.snapshots(&[id]).await?.into_iter().map(|s| s.customer).collect()),
                None => Ok(Vec::new()),
            };
        }
        let folded =
            zyklus_model::Email::parse(text).map_or_else(|_| text.to_lowercase(), |e| e.as_str().to_owned());
        let mut tx = self.peek().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT ");
        sql.push(CUSTOMER_COLUMNS).push(" FROM customer c WHERE c.merged_into IS NULL AND (c.email = ");
        sql.bind(&folded);
        sql.push(" OR c.id IN (SELECT i.customer_id FROM identity i WHERE i.kind <> 'email' AND i.value = ");
        sql.bind(text)
            .push(") OR c.id IN (SELECT i.customer_id FROM identity i WHERE i.value = ")
            .bind(&folded);
        sql.push(") OR c.id IN (SELECT o.customer_id FROM orders o WHERE o.number = ").bind(text);
        sql.push(")) ORDER BY c.bucket, c.id LIMIT ").bind(i64::from(limit));
        let mut rows: Vec<CustomerRow> = tx.rows(sql).await?;
        if rows.is_empty() && !text.is_empty() {
            let escaped: String = text
                .to_lowercase()
                .chars()
                .flat_map(|c| if ['%', '_', '!'].contains(&c) { vec!['!', c] } else { vec![c] })
                .collect();
            let pattern = format!("{escaped}%");
            let mut sql = Sql::new(tx.dialect(), "SELECT ");
            sql.push(CUSTOMER_COLUMNS);
            sql.push(" FROM customer c WHERE c.merged_into IS NULL AND (LOWER(c.email) LIKE ").bind(&pattern);
            sql.push(" ESCAPE '!' OR LOWER(c.first_name) LIKE ").bind(&pattern);
            sql.push(" ESCAPE '!' OR LOWER(c.last_name) LIKE ").bind(&pattern);
            sql.push(" ESCAPE '!') ORDER BY c.bucket, c.id LIMIT ").bind(i64::from(limit));
            rows = tx.rows(sql).await?;
        }
        rows.into_iter().map(CustomerRow::customer).collect()
    }

    /// How many customers stand in each phase of a lifecycle, as last evaluated.
    ///
    /// # Errors
    /// The database's.
    pub async fn phases(&self, lifecycle: &str) -> Result<BTreeMap<String, u64>> {
        let mut tx = self.peek().await?;
        let rows: Vec<CountRow> = tx
            .fetch(
                "SELECT phase AS name, COUNT(*) AS count FROM evaluation WHERE lifecycle = $1 GROUP BY phase",
                args![lifecycle],
            )
            .await?;
        Ok(rows.into_iter().filter_map(|r| Some((r.name?, u64::try_from(r.count).unwrap_or(0)))).collect())
    }

    /// Transitions of a lifecycle in the order of the customers' keys.
    ///
    /// # Errors
    /// The database's.
    pub async fn transitions_page(
        &self,
        lifecycle: &str,
        after: Option<(CustomerId, TransitionId)>,
        limit: u32,
    ) -> Result<Vec<(CustomerId, Transition)>> {
        let mut tx = self.peek().await?;
        let mut sql = Sql::new(
            tx.dialect(),
            "SELECT customer_id, id, lifecycle, from_phase, to_phase, at, recorded_at, cause, origin \
             FROM transition WHERE lifecycle = ",
        );
        sql.bind(lifecycle);
        if let Some((customer, id)) = after {
            sql.push(" AND (bucket, customer_id, id) > (").bind(bucket_of(customer)).push(", ");
            sql.bind(customer).push(", ").bind(id).push(")");
        }
        sql.push(" ORDER BY bucket, customer_id, id LIMIT ").bind(i64::from(limit));
        let mut page = Vec::new();
        for row in tx.rows::<TransitionRow>(sql).await? {
            page.push((
                CustomerId::from_uuid(row.customer_id),
                Transition {
                    id: TransitionId::from_uuid(row.id),
                    lifecycle: row.lifecycle,
                    from: row.from_phase,
                    to: row.to_phase,
                    at: row.at.0,
                    recorded_at: row.recorded_at.0,
                    cause: word!(zyklus_model::TransitionCause, row.cause),
                    origin: word!(zyklus_model::Origin, row.origin),
                },
            ));
        }
        Ok(page)
    }

    /// Runs in the order of the customers' keys.
    ///
    /// # Errors
    /// The database's.
    pub async fn runs_page(&self, after: Option<(CustomerId, RunId)>, limit: u32) -> Result<Vec<Run>> {
        let mut tx = self.peek().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT ");
        sql.push(RUN_COLUMNS).push(" FROM run r WHERE 1 = 1");
        if let Some((customer, id)) = after {
            sql.push(" AND (r.bucket, r.customer_id, r.id) > (").bind(bucket_of(customer)).push(", ");
            sql.bind(customer).push(", ").bind(id).push(")");
        }
        sql.push(" ORDER BY r.bucket, r.customer_id, r.id LIMIT ").bind(i64::from(limit));
        tx.rows::<RunRow>(sql).await?.into_iter().map(RunRow::run).collect()
    }
}
