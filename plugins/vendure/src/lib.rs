//! The vendure connector.
