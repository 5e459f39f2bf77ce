//! Mistakes that show when the whole folder is read: each with its message, as `zyklus check` has it.
