//! Brings connectors to life: the list of built-ins, their configuration and secrets, HTTP with its limits,
//! recordings, and calls that survive panics and hangs. Never decides what to send, never names a connector.
//!
//! The way of one connector: [`config::read_connector`] turns its table in `zyklus.toml` into a
//! [`ConnectorConfig`], [`Host::open`] opens it, and [`Opened`] is what the daemon calls from then on.

pub mod config;
mod error;
mod host;
pub mod http;
mod opened;
mod redact;
mod registry;
pub mod tape;
mod task;

pub use config::{ConfigOptions, ConfigProblem, ConnectorConfig, HostSettings, Source};
pub use error::HostError;
pub use host::{Host, HostOptions};
pub use http::HostHttp;
pub use opened::{Limits, Opened};
pub use redact::Redactor;
pub use registry::{OpenFn, Opening, Registry};
pub use tape::{Exchange, RecordingHttp, ReplayHttp, TapeError};
