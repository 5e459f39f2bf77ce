//! Tests of the connector through the host, against a shop that is not there: what a real Vendure cannot be
//! asked to do. The tests against a real one are in the workspace's `tests/it`.

#![expect(clippy::unwrap_used, reason = "in a test that is how a failure is reported, helpers included")]

mod actions;
mod faults;
mod paging;
mod records;
mod shop;
