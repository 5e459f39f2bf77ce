//! Finding customers, and walking over all of them in constant memory. Never reads what belongs to them.

use std::collections::BTreeMap;

use uuid::Uuid;
use zyklus_model::{Customer, CustomerId, Email, bucket_of};

use crate::arg::args;
use crate::error::Result;
use crate::open::Store;
use crate::rows::{CUSTOMER_COLUMNS, CustomerRow};
use crate::tx::{Sql, Tx};

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
        let rows: Vec<(Uuid,)> = tx.rows(sql).await?;
        Ok(rows.into_iter().map(|(id,)| CustomerId::from_uuid(id)).collect())
    }

    /// How many customers there are.
    ///
    /// # Errors
    /// The database's.
    pub async fn customer_count(&self) -> Result<u64> {
        let sql = "SELECT COUNT(*) FROM customer WHERE merged_into IS NULL";
        let row: Option<(i64,)> = self.peek().await?.first(sql, args![]).await?;
        Ok(row.map_or(0, |(count,)| count.unsigned_abs()))
    }

    /// The customer an id leads to after merges; `None` if there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn resolve(&self, id: CustomerId) -> Result<Option<CustomerId>> {
        let mut tx = self.peek().await?;
        let mut id = id;
        // Merges point to the customer that remains; chains are short.
        for _ in 0..64 {
            let sql = "SELECT merged_into FROM customer WHERE bucket = $1 AND id = $2";
            let row: Option<(Option<Uuid>,)> = tx.first(sql, args![bucket_of(id), id]).await?;
            match row {
                None => return Ok(None),
                Some((None,)) => return Ok(Some(id)),
                Some((Some(next),)) => id = CustomerId::from_uuid(next),
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
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let mut found: Vec<CustomerId> = Vec::new();
        if let Ok(id) = text.parse::<CustomerId>() {
            found.extend(self.resolve(id).await?);
        } else {
            let folded = Email::parse(text).map_or_else(|_| text.to_lowercase(), |e| e.as_str().to_owned());
            let mut tx = self.peek().await?;
            // One statement for each way, so that each has its index.
            let ways = [
                ("SELECT id FROM customer WHERE email = $1 AND merged_into IS NULL", folded.as_str()),
                (
                    "SELECT customer_id FROM identity WHERE kind IN ('email', 'guest_email') AND value = $1",
                    &folded,
                ),
                ("SELECT customer_id FROM identity WHERE kind = 'external' AND value = $1", text),
                ("SELECT customer_id FROM orders WHERE number = $1", text),
            ];
            for (sql, value) in ways {
                let rows: Vec<(Uuid,)> = tx.fetch(sql, args![value]).await?;
                found.extend(rows.into_iter().map(|(id,)| CustomerId::from_uuid(id)));
            }
            if found.is_empty() {
                found = beginning_with(&mut tx, text, limit).await?;
            }
        }
        found.sort_unstable_by_key(|id| (bucket_of(*id), *id));
        found.dedup();
        found.truncate(limit as usize);
        let mut tx = self.peek().await?;
        let mut sql = Sql::wanted(tx.dialect(), &found);
        sql.push("SELECT ").push(CUSTOMER_COLUMNS).push(" FROM wanted JOIN customer c");
        sql.push(" ON c.bucket = wanted.bucket AND c.id = wanted.id ORDER BY c.bucket, c.id");
        Ok(tx.rows::<CustomerRow>(sql).await?.into_iter().map(CustomerRow::customer).collect())
    }

    /// How many customers stand in each phase of a lifecycle, as last evaluated.
    ///
    /// # Errors
    /// The database's.
    pub async fn phases(&self, lifecycle: &str) -> Result<BTreeMap<String, u64>> {
        let sql = "SELECT phase, COUNT(*) FROM evaluation \
                   WHERE lifecycle = $1 AND phase IS NOT NULL GROUP BY phase";
        let rows: Vec<(String, i64)> = self.peek().await?.fetch(sql, args![lifecycle]).await?;
        Ok(rows.into_iter().map(|(phase, count)| (phase, count.unsigned_abs())).collect())
    }
}

/// Customers whose address or name begins with a text, looking at everybody.
async fn beginning_with(tx: &mut Tx, text: &str, limit: u32) -> Result<Vec<CustomerId>> {
    let escaped: String = text
        .to_lowercase()
        .chars()
        .flat_map(|c| if matches!(c, '%' | '_' | '!') { vec!['!', c] } else { vec![c] })
        .collect();
    let sql = "SELECT id FROM customer WHERE merged_into IS NULL AND (email LIKE $1 ESCAPE '!' \
               OR lower(first_name) LIKE $1 ESCAPE '!' OR lower(last_name) LIKE $1 ESCAPE '!' \
               OR lower(coalesce(first_name, '') || ' ' || coalesce(last_name, '')) LIKE $1 ESCAPE '!') \
               ORDER BY bucket, id LIMIT $2";
    let rows: Vec<(Uuid,)> = tx.fetch(sql, args![format!("{escaped}%"), i64::from(limit)]).await?;
    Ok(rows.into_iter().map(|(id,)| CustomerId::from_uuid(id)).collect())
}
