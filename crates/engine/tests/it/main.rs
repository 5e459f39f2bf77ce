//! The engine from outside: books and snapshots in, decisions out. Never touches a store, a clock or a network.

mod definitions;
mod dispatch;
mod mistakes;
mod playtests;
mod properties;
mod sequences;
mod starts;
mod steps;
mod told;
mod world;
