//! The store's contract: every test runs on SQLite and on PostgreSQL. Never looks into the store's code.

#[macro_use]
mod common;
mod identities;
mod ingest;
mod make;
mod parity;
