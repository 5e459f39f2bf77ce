//! The purchase and spend models against published figures, hard shops, simulated ones and their own invariants. Never
//! reads anything but `tests/data`, and every random shop comes from a seed.
//!
//! `ZYKLUS_MODEL_BOOTSTRAPS` is how many refits of random parts of CDNOW are done, 60 if it is not set. The nightly size
//! is run as `ZYKLUS_MODEL_BOOTSTRAPS=1000 cargo test --release -p zyklus-insight --test models`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cdnow;
mod coverage;
mod edges;
mod holdout;
mod properties;
mod reference;
mod shop;
