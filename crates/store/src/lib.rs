//! All SQL, for SQLite and PostgreSQL. Never decides anything.

mod arg;
mod detail;
mod error;
mod migrate;
mod open;
mod place;
mod tx;
mod writer;

pub use error::{Result, StoreError};
pub use open::{OpenOptions, Store};
