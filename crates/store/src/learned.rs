//! What is learned of the shop as a whole: what learning reads, and what it leaves. Never learns.

use std::sync::Arc;

use futures::executor::block_on;
use uuid::Uuid;
use zyklus_model::{At, CustomerId, OrderId};

use crate::arg::{Stamp, args};
use crate::as_of::AsOf;
use crate::column::{Doc, columns};
use crate::detail::OrderDetail;
use crate::direct::Direct;
use crate::error::Result;
use crate::open::Store;
use crate::report::page;
use crate::tx::{Dialect, Sql};

/// What learning needs of an order that was placed and not cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// Whose.
    pub customer: CustomerId,
    /// Our id.
    pub id: OrderId,
    /// When it was placed.
    pub placed_at: At,
    /// What remains of it after refunds, in minor units of the reporting currency; `None` while there is no rate.
    pub net_reporting: Option<i64>,
    /// The system the products are of.
    pub system: String,
    /// Products of its lines, each with how many pieces.
    pub products: Vec<(String, i64)>,
}

columns!(PurchaseRow {
    customer_id: Uuid,
    id: Uuid,
    placed_at: Stamp,
    net_reporting_minor: Option<i64>,
    system: String,
    detail: Doc<OrderDetail>,
});

impl Store {
    /// Orders placed until an instant that were not cancelled, in the order of the customers' keys, after one of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn purchases_page(
        &self,
        until: At,
        after: Option<(CustomerId, OrderId)>,
        limit: u32,
    ) -> Result<Vec<Purchase>> {
        let head = "SELECT customer_id, id, placed_at, net_reporting_minor, system, detail FROM orders \
                    WHERE state = 'placed' AND placed_at <= ";
        let build = |dialect| {
            let mut sql = Sql::new(dialect, head);
            sql.bind(until);
            page(&mut sql, after, limit);
            sql
        };
        let rows: Vec<PurchaseRow> = self.rows_of(build).await?;
        let purchase = |row: PurchaseRow| Purchase {
            customer: CustomerId::from_uuid(row.customer_id),
            id: OrderId::from_uuid(row.id),
            placed_at: row.placed_at.0,
            net_reporting: row.net_reporting_minor,
            system: row.system,
            products: row
                .detail
                .0
                .lines
                .into_iter()
                .filter_map(|line| Some((line.product?, line.quantity)))
                .collect(),
        };
        Ok(rows.into_iter().map(purchase).collect())
    }

    /// The rows of one statement, by the shortest way there is.
    async fn rows_of<T: Direct + 'static>(&self, build: impl FnOnce(Dialect) -> Sql) -> Result<Vec<T>> {
        use crate::tx::Rows as _;
        if let Some(direct) = self.direct() {
            let sql = build(Dialect::Sqlite);
            return direct.read(move |reader| block_on(reader.rows(sql))).await;
        }
        let mut tx = self.peek().await?;
        let sql = build(tx.dialect());
        tx.rows(sql).await
    }

    /// Keeps what was learned as of an instant. What was learned of its products takes the place of what was known of
    /// them.
    ///
    /// # Errors
    /// The database's; then nothing of it was kept.
    pub async fn keep_learned(&self, at: At, body: String, goods: String) -> Result<()> {
        let kept = Arc::new((body, goods));
        self.write(move |tx| {
            let kept = Arc::clone(&kept);
            Box::pin(async move {
                tx.execute("UPDATE learned SET goods = NULL WHERE goods IS NOT NULL", args![]).await?;
                let sql = "INSERT INTO learned (at, body, goods) VALUES ($1, $2, $3) \
                           ON CONFLICT (at) DO UPDATE SET body = excluded.body, goods = excluded.goods";
                tx.execute(sql, args![at, &kept.0, &kept.1]).await.map(drop)
            })
        })
        .await
    }

    /// What was learned in a stretch of time, earliest first, and before that what was in place when it began.
    ///
    /// # Errors
    /// The database's.
    pub async fn learned_between(&self, from: At, to: At) -> Result<Vec<(At, String)>> {
        let sql = "SELECT at, body FROM learned WHERE at <= $2 \
                   AND at >= coalesce((SELECT max(at) FROM learned WHERE at <= $1), $1) ORDER BY at";
        let rows: Vec<(Stamp, String)> = self.peek().await?.fetch(sql, args![from, to]).await?;
        Ok(rows.into_iter().map(|(at, body)| (at.0, body)).collect())
    }

    /// When the shop was learned of last.
    ///
    /// # Errors
    /// The database's.
    pub async fn learned_at(&self) -> Result<Option<At>> {
        let sql = "SELECT at FROM learned ORDER BY at DESC LIMIT 1";
        let row: Option<(Stamp,)> = self.peek().await?.first(sql, args![]).await?;
        Ok(row.map(|(at,)| at.0))
    }

    /// What was learned last of the products, and as of when.
    ///
    /// # Errors
    /// The database's.
    pub async fn learned_goods(&self) -> Result<Option<(At, String)>> {
        let sql = "SELECT at, goods FROM learned WHERE goods IS NOT NULL ORDER BY at DESC LIMIT 1";
        let row: Option<(Stamp, String)> = self.peek().await?.first(sql, args![]).await?;
        Ok(row.map(|(at, goods)| (at.0, goods)))
    }

    /// What was learned last, and as of when.
    ///
    /// # Errors
    /// The database's.
    pub async fn learned(&self) -> Result<Option<(At, String)>> {
        self.learned_by(At::MAX).await
    }

    async fn learned_by(&self, at: At) -> Result<Option<(At, String)>> {
        let sql = "SELECT at, body FROM learned WHERE at <= $1 ORDER BY at DESC LIMIT 1";
        let row: Option<(Stamp, String)> = self.peek().await?.first(sql, args![at]).await?;
        Ok(row.map(|(at, body)| (at.0, body)))
    }
}

impl AsOf {
    /// What had been learned last by then, and as of when.
    ///
    /// # Errors
    /// The database's.
    pub async fn learned(&self) -> Result<Option<(At, String)>> {
        self.store().learned_by(self.at()).await
    }
}
