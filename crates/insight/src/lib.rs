//! Statistics and learning, pure. Never awaits, does I/O, reads a clock or draws randomness.

pub mod chart;
pub mod cohort;
pub mod experiment;
pub mod interval;
pub mod kpi;
pub mod survival;
