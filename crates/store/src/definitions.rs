//! What journeys and templates say, kept under the hash of it, so that runs can stay on what they began with and
//! go on from where they stood (rule R10). Never reads what it keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use zyklus_model::At;

use crate::arg::args;
use crate::error::Result;
use crate::open::Store;
use crate::tx::{CHUNK, Sql};

/// Something kept under the hash of what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The hash.
    pub hash: String,
    /// What it is: `journey`, `templates` (a list of files) or `template` (one of them).
    pub kind: &'static str,
    /// What it says.
    pub body: String,
}

impl Store {
    /// Keeps definitions. One that is there already says what it said last: what a hash does not cover (the
    /// templates a journey was last used with) may be another.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep_definitions(&self, definitions: Vec<Definition>, now: At) -> Result<()> {
        let definitions = Arc::new(definitions);
        self.write(move |tx| {
            let definitions = Arc::clone(&definitions);
            Box::pin(async move {
                let mut sorted: Vec<&Definition> = definitions.iter().collect();
                sorted.sort_by(|a, b| a.hash.cmp(&b.hash));
                sorted.dedup_by(|a, b| a.hash == b.hash);
                let rows = sorted.into_iter().map(|d| args![&d.hash, d.kind, &d.body, now]);
                let tail = " ON CONFLICT (hash) DO UPDATE SET body = excluded.body";
                tx.insert("INSERT INTO definition (hash, kind, body, at)", rows.collect::<Vec<_>>(), tail)
                    .await
                    .map(drop)
            })
        })
        .await
    }

    /// All that journeys ever were, by hash.
    ///
    /// # Errors
    /// The database's.
    pub async fn journey_definitions(&self) -> Result<BTreeMap<String, String>> {
        let sql = "SELECT hash, body FROM definition WHERE kind = 'journey'";
        let rows: Vec<(String, String)> = self.peek().await?.fetch(sql, args![]).await?;
        Ok(rows.into_iter().collect())
    }

    /// What is kept under some hashes; those not known are missing.
    ///
    /// # Errors
    /// The database's.
    pub async fn definitions(&self, hashes: &[&str]) -> Result<BTreeMap<String, String>> {
        let mut tx = self.peek().await?;
        let mut found = BTreeMap::new();
        for some in hashes.chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), "SELECT hash, body FROM definition WHERE hash IN ");
            sql.list(some.iter().copied());
            found.extend(tx.rows::<(String, String)>(sql).await?);
        }
        Ok(found)
    }
}
