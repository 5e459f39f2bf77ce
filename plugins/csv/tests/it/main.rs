//! The csv connector through its contract: a folder of files in, records, rejects and cursors out.
#![expect(clippy::unwrap_used, reason = "a test may fail here")]

mod cdnow;
mod changing;
mod config;
mod support;
mod values;
mod whole;
