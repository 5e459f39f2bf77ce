//! End-to-end tests: one program, so that they link once. `cargo xtask test` runs them with everything
//! they need; tests/README.md says what starts what.

#![expect(clippy::unwrap_used, reason = "in a test that is how a failure is reported, helpers included")]

mod as_of;
mod cdnow;
mod daemon;
mod life;
mod peers_smoke;
mod program;
mod tidy;
mod vendure_connector;
