//! End-to-end tests: one program, so that they link once. `cargo xtask test` runs them with everything
//! they need; tests/README.md says what starts what.

#![expect(clippy::unwrap_used, reason = "in a test that is how a failure is reported, helpers included")]

mod as_of;
mod authors;
mod backtest;
mod cdnow;
mod changes;
mod commands;
mod daemon;
mod handing_over;
mod killed;
mod life;
mod operator;
mod outside;
mod peers_smoke;
mod playtests;
mod plugins;
mod program;
mod tidy;
mod trouble;
mod vendure_connector;
