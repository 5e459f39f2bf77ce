//! All SQL, for SQLite and PostgreSQL. Never decides anything.

mod apply;
mod arg;
mod customers;
mod detail;
mod error;
mod journeys;
mod migrate;
mod open;
mod outbox;
mod place;
mod snapshot;
mod tx;
mod upkeep;
mod writer;

pub use apply::ApplyReport;
pub use error::{Result, StoreError};
pub use journeys::JourneyActivation;
pub use open::{OpenOptions, Store};
pub use outbox::{AttemptEnd, Claim, ClaimRequest, Claimed, Completion, DeliveryFilter, Judgement};
pub use upkeep::HousekeepReport;
