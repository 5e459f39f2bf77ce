//! The csv connector.
