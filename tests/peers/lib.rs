//! The servers that the end-to-end tests and benchmarks run against, and the built `zyklus` itself.
//!
//! Each is real (PostgreSQL, Postfix's smtp-sink, Vendure) but for [`smtp_fault`], which breaks in ways
//! no real server can be asked to. Every value here is one running thing: dropping it ends it. None of
//! them outlives the test, even one that is killed. Nothing here decides what is right; tests do.

pub mod library;
pub mod mail;
pub mod postgres;
pub mod process;
pub mod smtp_fault;
pub mod smtp_sink;
pub mod vendure;
pub mod zyklus;
