//! All SQL, for SQLite and PostgreSQL. Never decides anything.

mod apply;
mod arg;
#[cfg(feature = "bench")]
pub mod bench;
mod catalogue;
mod column;
mod complete;
mod cursor;
mod customers;
mod deliveries;
mod detail;
mod error;
mod evaluation;
mod identity;
mod ingest;
mod journeys;
mod merge;
mod migrate;
mod open;
mod operator;
mod outbox;
mod person;
mod place;
mod report;
mod rows;
mod snapshot;
mod suppress;
mod tx;
mod upkeep;
mod writer;

pub use apply::ApplyReport;
pub use complete::{AttemptEnd, Completion};
pub use cursor::{StoredCursor, StoredReject};
pub use deliveries::DeliveryFilter;
pub use error::{Result, StoreError};
pub use ingest::{CursorUpdate, Ingest, IngestReport, NewReject};
pub use journeys::JourneyActivation;
pub use open::{OpenOptions, Store};
pub use operator::OperatorWord;
pub use outbox::{Claim, ClaimRequest, Claimed, Judgement};
pub use report::OrderRow;
pub use upkeep::HousekeepReport;
