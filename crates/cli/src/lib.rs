//! The zyklus binary: arguments, configuration, wiring.
