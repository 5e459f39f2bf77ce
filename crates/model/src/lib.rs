//! Nouns: what the engine, the store and the connectors speak about. Never awaits, reads a clock or draws randomness.
