//! What stops a loop as a whole. What concerns one connector or one delivery is reported there instead.

/// What stops a loop as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The store failed.
    #[error("the store: {0}")]
    Store(#[from] zyklus_store::StoreError),
    /// The host could not be set up.
    #[error("the connectors' host could not be set up")]
    Host(#[from] zyklus_host::HostError),
    /// Somebody put another configuration in place since this one was.
    #[error("another configuration was put in place since this one was loaded; start again to go by it")]
    Superseded,
    /// Something was learned meanwhile that is to be decided by.
    #[error("the shop was learned of meanwhile; what is not decided yet is decided by that: try again")]
    Outdated,
    /// Work on another thread panicked; nothing of it was stored.
    #[error("{what} panicked; this is a defect in zyklus, please report it")]
    Panicked {
        /// What was being done.
        what: &'static str,
    },
    /// What was learned could not be written down.
    #[error(
        "what was learned of the shop could not be written down; this is a defect in zyklus, please report it"
    )]
    NotKept(#[source] serde_json::Error),
}
