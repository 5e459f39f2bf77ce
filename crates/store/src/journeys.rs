//! Since when journeys are live, small notes of the daemon, and the audit trail.

use std::collections::BTreeMap;
use std::sync::Arc;

use zyklus_model::{At, AttemptId, CustomerId};

use crate::arg::{Stamp, args};
use crate::column::named;
use crate::error::Result;
use crate::open::Store;
use crate::tx::Tx;

/// A journey as it stands in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JourneyActivation {
    /// Its root id.
    pub id: String,
    /// Its mode.
    pub mode: String,
    /// The hash of its definition.
    pub definition: String,
    /// Whether it may start runs.
    pub enabled: bool,
}

named! {
    struct ActiveRow {
        id: String,
        active_from: Option<Stamp>,
    }
}

named! {
    struct TextRow {
        value: String,
    }
}

impl Store {
    /// Notes the journeys as they stand in the files. One that is enabled for the first time, or
    /// again after it was off or only shown (shadow), is live from now on (rule R3); one that was live before
    /// stays live from when it was. All that are live, with since when.
    ///
    /// What was noted while the clock was ahead is set back to now: otherwise no journey would start anything until
    /// the clock gets there.
    ///
    /// # Errors
    /// The database's.
    pub async fn activate(&self, journeys: &[JourneyActivation], now: At) -> Result<BTreeMap<String, At>> {
        let journeys = Arc::new(journeys.to_vec());
        self.write(move |tx| {
            let journeys = Arc::clone(&journeys);
            Box::pin(async move {
                for journey in active(tx).await?.into_iter().filter(|(_, from)| *from > now).map(|(id, _)| id)
                {
                    tracing::warn!(
                        journey,
                        "was noted as live from a future instant: it is live from now on"
                    );
                    tx.execute("UPDATE journey SET active_from = $1 WHERE id = $2", args![now, &journey])
                        .await?;
                }
                for journey in journeys.iter() {
                    tx.execute(
                        "INSERT INTO journey (id, mode, active_from, definition, updated_at, written_at) \
                         VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (id) DO UPDATE SET mode = excluded.mode, \
                         definition = excluded.definition, updated_at = excluded.updated_at, \
                         active_from = CASE WHEN journey.active_from IS NULL OR journey.mode = 'off' \
                         OR journey.mode = 'shadow' AND excluded.mode <> 'shadow' \
                         THEN excluded.active_from ELSE journey.active_from END, \
                         written_at = CASE WHEN journey.written_at < excluded.written_at \
                         THEN excluded.written_at ELSE journey.written_at END",
                        args![
                            &journey.id,
                            &journey.mode,
                            journey.enabled.then_some(now),
                            &journey.definition,
                            now
                        ],
                    )
                    .await?;
                }
                active(tx).await
            })
        })
        .await
    }

    /// Since when each journey is live.
    ///
    /// # Errors
    /// The database's.
    pub async fn journeys_active(&self) -> Result<BTreeMap<String, At>> {
        active(&mut self.peek().await?).await
    }

    /// Notes something small under a name.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_meta(&self, name: &str, value: &str) -> Result<()> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.write(move |tx| {
            let args = args![name.clone(), value.clone()];
            Box::pin(async move {
                tx.execute(
                    "INSERT INTO meta (name, value) VALUES ($1, $2) \
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    args,
                )
                .await
                .map(drop)
            })
        })
        .await
    }

    /// What was noted under a name.
    ///
    /// # Errors
    /// The database's.
    pub async fn get_meta(&self, name: &str) -> Result<Option<String>> {
        let mut tx = self.peek().await?;
        let row: Option<TextRow> = tx.first("SELECT value FROM meta WHERE name = $1", args![name]).await?;
        Ok(row.map(|r| r.value))
    }

    /// Notes who did what.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit(
        &self,
        at: At,
        actor: &str,
        what: &str,
        customer: Option<CustomerId>,
        detail: serde_json::Value,
    ) -> Result<()> {
        let (actor, what) = (actor.to_owned(), what.to_owned());
        self.write(move |tx| {
            let (actor, what, detail) = (actor.clone(), what.clone(), detail.clone());
            Box::pin(async move { write_audit(tx, at, &actor, &what, customer, &detail).await })
        })
        .await
    }
}

async fn active(tx: &mut Tx) -> Result<BTreeMap<String, At>> {
    let rows: Vec<ActiveRow> =
        tx.fetch("SELECT id, active_from FROM journey WHERE active_from IS NOT NULL", args![]).await?;
    Ok(rows.into_iter().filter_map(|r| Some((r.id, r.active_from?.0))).collect())
}

pub(crate) async fn write_audit(
    tx: &mut Tx,
    at: At,
    actor: &str,
    what: &str,
    customer: Option<CustomerId>,
    detail: &serde_json::Value,
) -> Result<()> {
    let text = detail.to_string();
    let who = customer.map(|c| c.to_string()).unwrap_or_default();
    let id = AttemptId::derive(&[
        b"audit",
        &at.as_micros().to_be_bytes(),
        actor.as_bytes(),
        what.as_bytes(),
        who.as_bytes(),
        text.as_bytes(),
    ]);
    tx.execute(
        "INSERT INTO audit (id, at, actor, what, customer_id, detail) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO NOTHING",
        args![id, at, actor, what, customer, text],
    )
    .await
    .map(drop)
}
