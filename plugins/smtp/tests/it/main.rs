//! The connector as the host uses it, against servers of this process. Nothing leaves the machine.

mod common;
mod faults;
mod server;
mod tls;
