//! Statistics and learning, pure. Never awaits, does I/O, reads a clock or draws randomness.
