//! Decisions, pure: (snapshot, playbook, now) -> decision + explanation. Never awaits, reads a clock, does I/O or draws randomness.

pub mod condition;
