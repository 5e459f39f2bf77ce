//! Brings connectors to life: the list of built-ins, their configuration and secrets, HTTP with its limits,
//! recordings, and calls that survive panics and hangs. Never decides what to send, never names a connector.
//!
//! The way of one connector: [`config::read_connector`] turns its table in `zyklus.toml` into a
//! [`ConnectorConfig`], [`Host::open`] opens it, and [`Opened`] is what the daemon calls from then on.
//!
//! ```
//! use std::time::Duration;
//! use zyklus_connect::context::ClockFn;
//! use zyklus_connect::{Keyed, Message, Mode, Outcome, ReadRequest};
//! use zyklus_host::{ConfigOptions, Host, HostOptions, Registry, Source, config};
//!
//! async fn once(registry: Registry, text: &str, clock: ClockFn, message: Message) -> Result<(), Box<dyn std::error::Error>> {
//!     let source = Source { file: "zyklus.toml", text };
//!     let connectors = match config::read_connectors(&source, &registry, &ConfigOptions::new(".")) {
//!         Ok(connectors) => connectors,
//!         Err(problems) => {
//!             problems.iter().for_each(|problem| eprintln!("{problem}"));
//!             return Err("the configuration is wrong".into());
//!         }
//!     };
//!     let host = Host::new(registry, HostOptions::new(clock, ".", "data"))?;
//!     for connector in connectors.iter().filter(|c| c.settings.enabled) {
//!         let opened = host.open(connector).await?;
//!         if let Some(stream) = opened.manifest().streams.first() {
//!             let mode = Mode::Backfill { from: None };
//!             let request = ReadRequest { stream: stream.name.clone(), cursor: None, mode, limit: 250 };
//!             let page = opened.read(request).await?;
//!             println!("{} records, go on at {:?}", page.records.len(), page.next.cursor());
//!         }
//!         if opened.manifest().channel.is_some() {
//!             let batch = vec![Keyed { key: message.delivery.clone(), attempt: 1, body: message.clone() }];
//!             match opened.send(batch).await.remove(0) {
//!                 Outcome::Done(receipt) => println!("accepted as {:?}", receipt.provider_ref),
//!                 Outcome::Rejected(error) => println!("never again: {error}"),
//!                 Outcome::Retry(error) => println!("not before {:?} ms: {error}", error.retry_after_ms),
//!                 Outcome::Unknown(error) => println!("perhaps sent: {error}"),
//!             }
//!         }
//!         opened.close(Duration::from_secs(20)).await;
//!     }
//!     Ok(())
//! }
//! ```

pub mod config;
mod error;
#[cfg(feature = "testkit")]
mod forms;
mod host;
pub mod http;
mod opened;
pub mod plugin;
mod redact;
mod registry;
pub mod tape;
mod task;

pub use config::{ConfigOptions, ConfigProblem, ConnectorConfig, HostSettings, Source};
pub use error::HostError;
#[cfg(feature = "testkit")]
pub use forms::HostForm;
pub use host::{Host, HostOptions};
pub use http::HostHttp;
pub use opened::{Limits, Opened};
pub use plugin::{Isolation, LibraryError, LibrarySettings, Plugin, PluginOptions};
pub use redact::Redactor;
pub use registry::{OpenFn, Opening, Registry};
pub use tape::{Exchange, RecordingHttp, ReplayHttp, TapeError};
