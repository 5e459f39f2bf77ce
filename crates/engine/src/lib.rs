//! Decisions, pure: (snapshot, book, now) → decision and explanation.
//!
//! The engine reads what the operator wrote (a lifecycle, playbooks, settings) and what is known of one customer,
//! and says what follows: phase moves, runs, deliveries, and when to look again. `plan`, `why`, the daemon and
//! later the backtest all run this code; they differ in the store they read and the clock they pass. It never
//! awaits, does I/O, reads a clock or draws randomness.

pub mod book;
pub mod change;
pub mod condition;
mod contend;
mod course;
pub mod decide;
mod definition;
pub mod experiment;
pub mod facts;
pub mod forecast;
pub mod guards;
pub mod holdout;
mod hours;
pub mod keys;
pub mod lifecycle;
pub mod lint;
pub mod outlook;
pub mod phase;
mod place;
pub mod playbook;
mod playbook_file;
pub mod playtest;
pub mod problem;
pub mod settings;
pub mod sim;
pub mod source;
mod steps;
pub mod voice;
pub mod wait;
pub mod why;
pub mod zone;

pub use book::Book;
pub use contend::outranked;
pub use decide::{candidates, decide};
pub use guards::{Permit, permits};
pub use lifecycle::Lifecycle;
pub use playbook::{Journey, Mode, Playbook};
pub use problem::Problem;
pub use settings::Settings;
pub use why::{Why, why};
