//! Who is to be evaluated, and when. Never evaluates.

use std::collections::HashSet;

use uuid::Uuid;
use zyklus_model::{At, CustomerId, bucket_of};

use crate::arg::{Stamp, args};
use crate::error::Result;
use crate::open::Store;
use crate::tx::{Sql, Tx, Wanted};

/// A customer who is to be evaluated, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Since when.
    pub at: At,
    /// Who.
    pub customer: CustomerId,
}

impl Store {
    /// Customers to be evaluated at an instant, longest due first.
    ///
    /// # Errors
    /// The database's.
    pub async fn customers_due(&self, now: At, limit: u32) -> Result<Vec<CustomerId>> {
        Ok(self.due_after(now, None, limit).await?.into_iter().map(|due| due.customer).collect())
    }

    /// The same from one of them on, for going through all of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn due_after(&self, now: At, after: Option<Due>, limit: u32) -> Result<Vec<Due>> {
        // The order is the index's own, so that a million customers due at once are not sorted for every batch.
        let mut tx = self.peek().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT due_at, customer_id FROM evaluation WHERE due_at <= ");
        sql.bind(now);
        if let Some(Due { at, customer }) = after {
            sql.push(" AND (due_at, bucket, customer_id) > (").bind(at).push(", ");
            sql.bind(bucket_of(customer)).push(", ").bind(customer).push(")");
        }
        sql.push(" ORDER BY due_at, bucket, customer_id LIMIT ").bind(i64::from(limit));
        let rows: Vec<(Stamp, Uuid)> = tx.rows(sql).await?;
        Ok(rows.into_iter().map(|(at, id)| Due { at: at.0, customer: CustomerId::from_uuid(id) }).collect())
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
        self.write(move |tx| Box::pin(reconsider(tx, now))).await
    }
}

/// The same inside a transaction.
pub(crate) async fn reconsider(tx: &mut Tx, now: At) -> Result<u64> {
    let sql = "SELECT COUNT(*) FROM evaluation WHERE due_at > $1";
    let (woken,): (i64,) = tx.first(sql, args![now]).await?.unwrap_or_default();
    let sql = "UPDATE evaluation SET seq = seq + 1, \
               due_at = CASE WHEN due_at > $1 THEN $1 ELSE due_at END, \
               marked_at = CASE WHEN marked_at < $1 THEN $1 ELSE marked_at END";
    tx.execute(sql, args![now]).await?;
    Ok(woken.unsigned_abs())
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
