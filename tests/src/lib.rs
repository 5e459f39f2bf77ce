//! Shared help for the end-to-end tests and benchmarks.
