//! What all customers said, page by page, and what was learned of how they say it. Never reads what it means.

use std::sync::Arc;

use zyklus_model::{At, CustomerId, Feedback, FeedbackId};

use crate::arg::{Stamp, args};
use crate::as_of::AsOf;
use crate::error::Result;
use crate::open::Store;
use crate::report::page;
use crate::rows::FeedbackRow;
use crate::tx::Sql;

impl Store {
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

    /// Keeps what was learned of how customers praise and blame, as of an instant.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep_voice(&self, at: At, body: String) -> Result<()> {
        let body = Arc::new(body);
        self.write(move |tx| {
            let body = Arc::clone(&body);
            Box::pin(async move {
                let sql = "INSERT INTO voice (at, body) VALUES ($1, $2) \
                           ON CONFLICT (at) DO UPDATE SET body = excluded.body";
                tx.execute(sql, args![at, &*body]).await.map(drop)
            })
        })
        .await
    }

    /// When that was learned last.
    ///
    /// # Errors
    /// The database's.
    pub async fn voice_at(&self) -> Result<Option<At>> {
        let sql = "SELECT at FROM voice ORDER BY at DESC LIMIT 1";
        let row: Option<(Stamp,)> = self.peek().await?.first(sql, args![]).await?;
        Ok(row.map(|(at,)| at.0))
    }

    /// What was learned of it last, and as of when.
    ///
    /// # Errors
    /// The database's.
    pub async fn voice(&self) -> Result<Option<(At, String)>> {
        self.voice_by(At::MAX).await
    }

    async fn voice_by(&self, at: At) -> Result<Option<(At, String)>> {
        let sql = "SELECT at, body FROM voice WHERE at <= $1 ORDER BY at DESC LIMIT 1";
        let row: Option<(Stamp, String)> = self.peek().await?.first(sql, args![at]).await?;
        Ok(row.map(|(at, body)| (at.0, body)))
    }
}

impl AsOf {
    /// What had been learned by then of how customers praise and blame, and as of when.
    ///
    /// # Errors
    /// The database's.
    pub async fn voice(&self) -> Result<Option<(At, String)>> {
        self.store().voice_by(self.at()).await
    }
}
