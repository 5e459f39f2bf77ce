//! What is bought most often. Counts only; whom to show it is not decided here.

use std::collections::HashMap;

use uuid::Uuid;
use zyklus_model::{At, CustomerId, OrderId, Product};

use crate::column::{Doc, columns};
use crate::detail::OrderDetail;
use crate::error::Result;
use crate::open::Store;
use crate::report::page;
use crate::tx::Sql;

/// Orders looked at in one statement.
const PAGE: u32 = 2_000;
/// Products looked up in one go.
const SOME: usize = 200;

columns!(Row {
    customer_id: Uuid,
    id: Uuid,
    system: String,
    detail: Doc<OrderDetail>,
});

impl Store {
    /// Products that can be bought, by how many orders placed after `since` and not after `until` have them, those
    /// in most orders first. Cancelled orders do not count; a product nobody ordered is none of them.
    ///
    /// # Errors
    /// The database.
    pub async fn best_sellers(&self, since: At, until: At, limit: usize) -> Result<Vec<Product>> {
        let mut counts: HashMap<(String, String), u64> = HashMap::new();
        let mut after: Option<(CustomerId, OrderId)> = None;
        loop {
            let mut tx = self.peek().await?;
            let head =
                "SELECT customer_id, id, system, detail FROM orders WHERE state = 'placed' AND placed_at > ";
            let mut sql = Sql::new(tx.dialect(), head);
            sql.bind(since).push(" AND placed_at <= ").bind(until);
            page(&mut sql, after, PAGE);
            let rows: Vec<Row> = tx.rows(sql).await?;
            let Some(last) = rows.last() else { break };
            after = Some((CustomerId::from_uuid(last.customer_id), OrderId::from_uuid(last.id)));
            for row in rows {
                let mut products: Vec<String> =
                    row.detail.0.lines.into_iter().filter_map(|line| line.product).collect();
                products.sort();
                products.dedup();
                for product in products {
                    *counts.entry((row.system.clone(), product)).or_default() += 1;
                }
            }
        }
        let mut ranked: Vec<((String, String), u64)> = counts.into_iter().collect();
        ranked.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        let mut best = Vec::new();
        for some in ranked.chunks(SOME) {
            let ids: Vec<(String, String)> = some.iter().map(|(id, _)| id.clone()).collect();
            best.extend(self.products(&ids).await?.into_iter().filter(|product| product.available));
            if best.len() >= limit {
                break;
            }
        }
        best.truncate(limit);
        Ok(best)
    }
}
