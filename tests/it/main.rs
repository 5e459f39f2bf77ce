//! End-to-end tests: one program, so that they link once. `cargo xtask test` runs them with everything
//! they need; tests/README.md says what starts what.

mod peers_smoke;
mod tidy;
