//! The store's contract: every test runs on SQLite and on PostgreSQL. Never looks into the store's code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[macro_use]
mod common;
mod as_of;
mod changed;
mod decide;
mod evaluating;
mod handing;
mod identities;
mod ingest;
mod learned;
mod make;
mod merged;
mod outbox;
mod pages;
mod parity;
mod reading;
mod receipts;
mod restoring;
mod runs;
mod upkeep;
mod words;
