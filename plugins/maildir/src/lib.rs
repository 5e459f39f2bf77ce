//! The maildir connector.
