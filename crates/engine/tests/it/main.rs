//! The engine from outside: books and snapshots in, decisions out. Never touches a store, a clock or a network.

mod backfill;
mod complaints;
mod definitions;
mod dispatch;
mod edits;
mod follow;
mod holdouts;
mod hours;
mod learning;
mod machine;
mod mistakes;
mod playtests;
mod properties;
mod recommend;
mod rhythm;
mod rules;
mod sequences;
mod starts;
mod steps;
mod told;
mod turns;
mod voice;
mod world;
