//! All SQL, for SQLite and PostgreSQL. Never decides anything.
