//! Brings connectors to life: registry, HTTP, secrets, limits. Never decides what to send.
