//! Statistics and learning, pure. Never awaits, does I/O, reads a clock or draws randomness.

pub mod association;
pub mod recommend;
pub mod text;
