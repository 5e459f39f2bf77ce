//! The `zyklus` command. It only calls into the library beside it.

fn main() {}
