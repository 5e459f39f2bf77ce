//! All SQL, for SQLite and PostgreSQL. Never decides anything.

mod apply;
mod arg;
mod catalogue;
mod cursor;
mod customers;
mod deliveries;
mod detail;
mod error;
mod identity;
mod ingest;
mod journeys;
mod merge;
mod migrate;
mod open;
mod outbox;
mod person;
mod place;
mod snapshot;
mod suppress;
mod tx;
mod upkeep;
mod writer;

pub use apply::ApplyReport;
pub use cursor::{StoredCursor, StoredReject};
pub use deliveries::DeliveryFilter;
pub use error::{Result, StoreError};
pub use ingest::{CursorUpdate, Ingest, IngestReport, NewReject};
pub use journeys::JourneyActivation;
pub use open::{OpenOptions, Store};
pub use outbox::{AttemptEnd, Claim, ClaimRequest, Claimed, Completion, Judgement};
pub use upkeep::HousekeepReport;
