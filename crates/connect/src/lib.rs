//! The contract a connector implements, and what it is given to work with. Never knows a concrete connector.
