//! What is measured and what it was worth: intervals, survival, cohorts, key figures, experiments and charts, from outside
//! the crate. Never touches a store, a clock or a network; chance comes from fixed seeds.
//!
//! `ZYKLUS_SIMULATIONS` sets how many shops are simulated to see whether intervals hold the truth; 1,000 without it.

#![expect(clippy::unwrap_used, reason = "in a test that is how a failure is reported, helpers included")]

mod charts;
mod cohorts;
mod coverage;
mod dice;
mod experiments;
mod figures;
mod intervals;
mod laws;
mod survival;

/// Fails unless `found` is `expected` to nine digits.
fn near(found: f64, expected: f64) {
    within(found, expected, 1e-9);
}

/// Fails unless `found` is `expected` but for `share` of it, or of one if it is smaller.
fn within(found: f64, expected: f64, share: f64) {
    let off = (found - expected).abs();
    assert!(off <= share * expected.abs().max(1.0), "{found}, not {expected}: off by {off}");
}
