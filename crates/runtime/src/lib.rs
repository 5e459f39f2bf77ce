//! The loops: sync, ingest, evaluate, dispatch, keep house. Never decides: the engine does.

pub mod clock;
pub mod connectors;
pub mod daemon;
pub mod dispatch;
mod error;
pub mod evaluate;
pub mod mail;
mod outcome;
pub mod plan;
pub mod project;
pub mod report;
pub mod round;
pub mod shop;
mod starter;
mod store_address;
pub mod sync;
pub mod template;

pub use clock::Clock;
pub use connectors::{Connectors, open_all};
pub use dispatch::{DispatchReport, Dispatcher};
pub use error::RuntimeError;
pub use evaluate::{EvaluateReport, book_for_reading, evaluate, prepare};
pub use plan::{Plan, plan};
pub use project::Project;
pub use report::{Report, report};
pub use round::{Round, round};
pub use shop::ShopSettings;
pub use starter::starter_files;
pub use sync::{StreamReport, SyncProgress, SyncReport, sync};
