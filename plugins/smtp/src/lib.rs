//! The smtp connector.
