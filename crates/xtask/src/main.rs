//! `cargo xtask`: sets up what the tests need and runs them. Never part of the product.

fn main() {}
