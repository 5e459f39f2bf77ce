//! Statistics and learning, pure. Never awaits, does I/O, reads a clock or draws randomness.

pub mod association;
pub mod cadence;
pub mod chart;
pub mod cohort;
pub mod experiment;
pub mod interval;
pub mod kpi;
pub mod learned;
mod matrix;
mod optimise;
pub mod predict;
pub mod purchase;
pub mod recommend;
pub mod rfm;
pub mod span;
mod special;
pub mod spend;
pub mod survival;
pub mod text;
pub mod validate;
