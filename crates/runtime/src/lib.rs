//! The loops: sync, ingest, evaluate, dispatch, keep house. Never decides: the engine does.

mod backfill;
pub mod backtest;
mod breaker;
pub mod clock;
pub mod connectors;
pub mod daemon;
mod definitions;
pub mod dispatch;
mod error;
pub mod evaluate;
mod handing;
pub mod journeys;
pub mod mail;
mod outcome;
pub mod plan;
pub mod plan_runs;
pub mod project;
pub mod report;
pub mod round;
pub mod shop;
mod starter;
pub mod sync;
pub mod template;

pub use backtest::{Backtest, Window, backtest};
pub use clock::Clock;
pub use connectors::{Connectors, open_all};
pub use dispatch::{DispatchReport, Dispatcher};
pub use error::RuntimeError;
pub use evaluate::{EvaluateReport, book_as_of, book_for_reading, evaluate, prepare};
pub use plan::{Plan, plan};
pub use project::Project;
pub use report::{Report, report, report_as_of};
pub use round::{Round, round};
pub use shop::ShopSettings;
pub use starter::starter_files;
pub use sync::{StreamReport, SyncProgress, SyncReport, sync};
