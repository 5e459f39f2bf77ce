//! What other systems post to us: verified by their connector, stored once, and followed by reading what it hints at.
//! Never answers a request itself.

use std::sync::Arc;

use serde::Serialize;
use zyklus_connect::{Rejected, WebhookReply, WebhookRequest};
use zyklus_host::Opened;
use zyklus_model::Origin;
use zyklus_store::{Ingest, IngestReport, Store, StoreError};

use crate::clock::Clock;
use crate::project::Project;
use crate::sync::is_wanted;

/// The stream under which records of notifications, and what is wrong with them, are kept.
pub const STREAM: &str = "webhooks";

/// What became of a notification.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReceiveReport {
    /// Records in it.
    pub records: u64,
    /// Records that changed something.
    pub changed: u64,
    /// Customers seen for the first time.
    pub new_customers: u64,
    /// Records that could not be used.
    pub rejected: u64,
    /// Whether it was taken before; then nothing was done.
    pub is_repeat: bool,
    /// What the sender wants to be answered instead of an empty 200.
    pub reply: Option<WebhookReply>,
    /// Streams it says there is news in: to be read now (see [`crate::sync::follow_up`]).
    pub follow_up: Vec<String>,
}

/// Why a notification was not taken. The sender may try again.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It is not what the connector takes: to be answered with 401 or 400.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It could not be stored: to be answered with 503.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The connector's part of it ended in a way it should not: to be answered with 500.
    #[error("receiving panicked; this is a defect in zyklus, please report it")]
    Panicked,
}

/// Has a notification verified and read by its connector, and stores what it says. When this returns, its records are
/// stored: the sender can be told so. The same notification again, by the sender's own id, does nothing.
///
/// Until everything the connector reads has been read once, its notifications are history, which starts no journey:
/// what a shop posts about an order placed years ago is no news.
///
/// # Errors
/// A notification the connector does not accept, and the store's.
pub async fn receive(
    store: &Store,
    connector: &Arc<Opened>,
    project: &Project,
    clock: &Clock,
    request: WebhookRequest,
) -> Result<ReceiveReport, ReceiveError> {
    let now = clock.now();
    let origin = origin_of(store, connector).await?;
    // A plugin's process is waited for.
    let asked = Arc::clone(connector);
    let received = tokio::task::spawn_blocking(move || asked.receive(&request));
    let received = received.await.map_err(|_| ReceiveError::Panicked)??;
    let (id, rates) = (connector.id(), project.rates.clone());
    let ingest = Ingest::of(id, STREAM, received.records, origin, now, rates);
    let records = ingest.records.len() as u64;
    let taken = match &received.delivery_id {
        Some(id) => store.ingest_notification(id, ingest).await?,
        None if records == 0 => Some(IngestReport::default()),
        None => Some(store.ingest(ingest).await?),
    };
    let reply = received.reply;
    let Some(taken) = taken else {
        return Ok(ReceiveReport { records, is_repeat: true, reply, ..ReceiveReport::default() });
    };
    Ok(ReceiveReport {
        records,
        changed: taken.changed,
        new_customers: taken.new_customers,
        rejected: taken.rejected,
        is_repeat: false,
        reply,
        follow_up: received.follow_up,
    })
}

async fn origin_of(store: &Store, connector: &Opened) -> Result<Origin, StoreError> {
    let restored_at = store.restored_at().await?;
    for stream in connector.manifest().streams.iter().filter(|spec| is_wanted(connector, spec)) {
        let known = store.cursor(connector.id(), &stream.name).await?;
        let caught_up_at = known.and_then(|cursor| cursor.caught_up_at);
        if caught_up_at.is_none() || caught_up_at <= restored_at {
            return Ok(Origin::History);
        }
    }
    Ok(Origin::Live)
}
