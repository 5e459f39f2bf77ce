//! The shares that splits have learned, by the instants they hold from, and the runs they are learned from. Never learns.

use zyklus_model::{At, CustomerId, Run, RunId};

use crate::arg::{Stamp, args};
use crate::as_of::AsOf;
use crate::error::Result;
use crate::open::Store;
use crate::report::page;
use crate::rows::{RUN_COLUMNS, RunRow};
use crate::tx::Sql;

impl Store {
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

    /// Keeps the shares that hold from an instant on.
    ///
    /// # Errors
    /// The database's; then nothing was kept.
    pub async fn keep_shares(&self, at: At, body: &str) -> Result<()> {
        let body = body.to_owned();
        self.write(move |tx| {
            let args = args![at, &body];
            Box::pin(async move {
                let sql = "INSERT INTO learned_shares (at, body) VALUES ($1, $2) \
                           ON CONFLICT (at) DO UPDATE SET body = excluded.body";
                tx.execute(sql, args).await.map(drop)
            })
        })
        .await
    }

    /// Since when the shares hold that hold last.
    ///
    /// # Errors
    /// The database's.
    pub async fn shares_at(&self) -> Result<Option<At>> {
        let sql = "SELECT at FROM learned_shares ORDER BY at DESC LIMIT 1";
        let row: Option<(Stamp,)> = self.peek().await?.first(sql, args![]).await?;
        Ok(row.map(|(at,)| at.0))
    }

    /// The shares that held at an instant, and since when.
    ///
    /// # Errors
    /// The database's.
    pub async fn shares_by(&self, at: At) -> Result<Option<(At, String)>> {
        let sql = "SELECT at, body FROM learned_shares WHERE at <= $1 ORDER BY at DESC LIMIT 1";
        let row: Option<(Stamp, String)> = self.peek().await?.first(sql, args![at]).await?;
        Ok(row.map(|(at, body)| (at.0, body)))
    }

    /// All shares there were, earliest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn all_shares(&self) -> Result<Vec<(At, String)>> {
        let sql = "SELECT at, body FROM learned_shares ORDER BY at";
        let rows: Vec<(Stamp, String)> = self.peek().await?.fetch(sql, args![]).await?;
        Ok(rows.into_iter().map(|(at, body)| (at.0, body)).collect())
    }
}

impl AsOf {
    /// The shares that held then, and since when.
    ///
    /// # Errors
    /// The database's.
    pub async fn shares(&self) -> Result<Option<(At, String)>> {
        self.store().shares_by(self.at()).await
    }
}
