//! Who is to be evaluated, and when. Never evaluates.

use std::collections::HashSet;

use uuid::Uuid;
use zyklus_model::{At, CustomerId};

use crate::arg::{Stamp, args};
use crate::error::Result;
use crate::open::Store;
use crate::tx::{Sql, Tx, Wanted};

impl Store {
    /// Customers to be evaluated at an instant, longest due first.
    ///
    /// # Errors
    /// The database's.
    pub async fn customers_due(&self, now: At, limit: u32) -> Result<Vec<CustomerId>> {
        // The order is the index's own, so that a million customers due at once are not sorted for every batch.
        let sql = "SELECT customer_id FROM evaluation WHERE due_at <= $1 \
                   ORDER BY due_at, bucket, customer_id LIMIT $2";
        let rows: Vec<(Uuid,)> = self.peek().await?.fetch(sql, args![now, i64::from(limit)]).await?;
        Ok(rows.into_iter().map(|(id,)| CustomerId::from_uuid(id)).collect())
    }

    /// Leaves customers for whom deciding failed alone until an instant. What is to be judged of them stays to be
    /// judged.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_aside(&self, customers: &[CustomerId], until: At) -> Result<()> {
        if customers.is_empty() {
            return Ok(());
        }
        let customers = customers.to_vec();
        self.write(move |tx| {
            let customers = customers.clone();
            Box::pin(async move {
                let mut sql = Sql::new(tx.dialect(), "UPDATE evaluation SET due_at = ");
                sql.bind(until).push(" WHERE (bucket, customer_id) IN (");
                sql.select(&Wanted::new(&customers)).push(")");
                tx.run(sql).await.map(drop)
            })
        })
        .await
    }

    /// When the next customer is to be evaluated; `None` = never, unless something is recorded.
    ///
    /// # Errors
    /// The database's.
    pub async fn next_due(&self) -> Result<Option<At>> {
        let sql = "SELECT due_at FROM evaluation ORDER BY due_at LIMIT 1";
        let row: Option<(Stamp,)> = self.peek().await?.first(sql, args![]).await?;
        Ok(row.map(|(due,)| due.0).filter(|at| *at < At::MAX))
    }

    /// Makes everybody due at `now`, because the configuration is another; how many were not due before. What is
    /// being decided meanwhile was decided by the old one: it is written, and its customers stay due.
    ///
    /// # Errors
    /// The database's.
    pub async fn reconsider(&self, now: At) -> Result<u64> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "SELECT COUNT(*) FROM evaluation WHERE due_at > $1";
                let (woken,): (i64,) = tx.first(sql, args![now]).await?.unwrap_or_default();
                let sql = "UPDATE evaluation SET seq = seq + 1, \
                           due_at = CASE WHEN due_at > $1 THEN $1 ELSE due_at END, \
                           marked_at = CASE WHEN marked_at < $1 THEN $1 ELSE marked_at END";
                tx.execute(sql, args![now]).await?;
                Ok(woken.unsigned_abs())
            })
        })
        .await
    }
}

/// Makes customers due, as after a new fact.
pub(crate) async fn touch(tx: &mut Tx, customers: &[CustomerId], at: At) -> Result<()> {
    let mut seen = HashSet::new();
    let unique: Vec<CustomerId> = customers.iter().copied().filter(|id| seen.insert(*id)).collect();
    if unique.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::new(tx.dialect(), "UPDATE evaluation SET seq = seq + 1, due_at = CASE WHEN due_at > ");
    sql.bind(at).push(" THEN ").bind(at).push(" ELSE due_at END, marked_at = CASE WHEN marked_at < ");
    sql.bind(at).push(" THEN ").bind(at).push(" ELSE marked_at END WHERE (bucket, customer_id) IN (");
    sql.select(&Wanted::new(&unique)).push(")");
    tx.run(sql).await.map(drop)
}
