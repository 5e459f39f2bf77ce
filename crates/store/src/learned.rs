//! What is learned of the shop as a whole: what learning reads, and what it leaves. Never learns.

use std::sync::Arc;

use futures::executor::block_on;
use uuid::Uuid;
use zyklus_model::{At, CustomerId, Feedback, FeedbackId, OrderId, Run, RunId};

use crate::arg::{Stamp, args};
use crate::as_of::AsOf;
use crate::column::{Doc, columns};
use crate::detail::OrderDetail;
use crate::error::Result;
use crate::evaluation::reconsider;
use crate::open::Store;
use crate::report::page;
use crate::rows::{FeedbackRow, RUN_COLUMNS, RunRow};
use crate::tx::{Dialect, Load, Sql};

/// Something that is learned of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// Who will order again, and what orders are worth.
    Shop,
    /// All of the shop's products, as mails need it; the past of it is not kept.
    Goods,
    /// Which products go together, as conditions need it.
    Pairings,
    /// How customers praise and blame.
    Voice,
    /// The shares of splits that learn.
    Shares,
}

impl Lesson {
    fn as_str(self) -> &'static str {
        match self {
            Lesson::Shop => "shop",
            Lesson::Goods => "goods",
            Lesson::Pairings => "pairings",
            Lesson::Voice => "voice",
            Lesson::Shares => "shares",
        }
    }
}

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

    /// What was said until an instant, in the order of the customers' keys, after one of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn feedback_page(
        &self,
        until: At,
        after: Option<(CustomerId, FeedbackId)>,
        limit: u32,
    ) -> Result<Vec<(CustomerId, Feedback)>> {
        let mut tx = self.peek().await?;
        let head = "SELECT customer_id, id, kind, score, body, product, at FROM feedback WHERE at <= ";
        let mut sql = Sql::new(tx.dialect(), head);
        sql.bind(until);
        page(&mut sql, after, limit);
        let rows: Vec<FeedbackRow> = tx.rows(sql).await?;
        Ok(rows.into_iter().map(|row| (CustomerId::from_uuid(row.customer_id), row.feedback())).collect())
    }

    /// Runs of some journeys (by root id) in the order of the customers' keys, after one of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn runs_of_page(
        &self,
        journeys: &[&str],
        after: Option<(CustomerId, RunId)>,
        limit: u32,
    ) -> Result<Vec<Run>> {
        if journeys.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.peek().await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT ");
        sql.push(RUN_COLUMNS).push(" FROM run r WHERE r.journey IN ");
        sql.list(journeys.iter().copied());
        page(&mut sql, after, limit);
        Ok(tx.rows::<RunRow>(sql).await?.into_iter().map(RunRow::run).collect())
    }

    /// The rows of one statement, by the shortest way there is.
    async fn rows_of<T: Load + 'static>(&self, build: impl FnOnce(Dialect) -> Sql) -> Result<Vec<T>> {
        use crate::tx::Rows as _;
        if let Some(direct) = self.direct() {
            let sql = build(Dialect::Sqlite);
            return direct.read(move |reader| block_on(reader.rows(sql))).await;
        }
        let mut tx = self.peek().await?;
        let sql = build(tx.dialect());
        tx.rows(sql).await
    }

    /// Keeps what was learned as of an instant, all of it together. If it `wakes`, everybody is due then, as after
    /// [`Store::reconsider`].
    ///
    /// # Errors
    /// The database's; then nothing of it was kept.
    pub async fn keep_learned(&self, at: At, lessons: Vec<(Lesson, String)>, wakes: bool) -> Result<()> {
        let lessons = Arc::new(lessons);
        self.write(move |tx| {
            let lessons = Arc::clone(&lessons);
            Box::pin(async move {
                for (lesson, body) in &*lessons {
                    if *lesson == Lesson::Goods {
                        let sql = "DELETE FROM learned WHERE kind = $1";
                        tx.execute(sql, args![lesson.as_str()]).await?;
                    }
                    let sql = "INSERT INTO learned (kind, at, body) VALUES ($1, $2, $3) \
                               ON CONFLICT (kind, at) DO UPDATE SET body = excluded.body";
                    tx.execute(sql, args![lesson.as_str(), at, body]).await?;
                }
                if wakes { reconsider(tx, at).await.map(drop) } else { Ok(()) }
            })
        })
        .await
    }

    /// What had been learned last by an instant, and as of when.
    ///
    /// # Errors
    /// The database's.
    pub async fn learned_by(&self, lesson: Lesson, at: At) -> Result<Option<(At, String)>> {
        let sql = "SELECT at, body FROM learned WHERE kind = $1 AND at <= $2 ORDER BY at DESC LIMIT 1";
        let args = args![lesson.as_str(), at];
        let row: Option<(Stamp, String)> = self.peek().await?.first(sql, args).await?;
        Ok(row.map(|(at, body)| (at.0, body)))
    }

    /// When that was.
    ///
    /// # Errors
    /// The database's.
    pub async fn learned_at(&self, lesson: Lesson, at: At) -> Result<Option<At>> {
        let sql = "SELECT at FROM learned WHERE kind = $1 AND at <= $2 ORDER BY at DESC LIMIT 1";
        let row: Option<(Stamp,)> = self.peek().await?.first(sql, args![lesson.as_str(), at]).await?;
        Ok(row.map(|(at,)| at.0))
    }

    /// All that had been learned by an instant and is kept, earliest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn learned_until(&self, lesson: Lesson, at: At) -> Result<Vec<(At, String)>> {
        let sql = "SELECT at, body FROM learned WHERE kind = $1 AND at <= $2 ORDER BY at";
        let args = args![lesson.as_str(), at];
        let rows: Vec<(Stamp, String)> = self.peek().await?.fetch(sql, args).await?;
        Ok(rows.into_iter().map(|(at, body)| (at.0, body)).collect())
    }
}

impl AsOf {
    /// All that had been learned by then and is kept, earliest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn learned_until(&self, lesson: Lesson) -> Result<Vec<(At, String)>> {
        self.store().learned_until(lesson, self.at()).await
    }
}
