//! How often what happened, so that a property that never had anything to say is found out. Judges nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

static TALLY: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Once more.
pub(crate) fn count(what: impl Into<String>) {
    *TALLY.lock().unwrap_or_else(PoisonError::into_inner).entry(what.into()).or_default() += 1;
}

/// How often so far.
pub(crate) fn tally() -> BTreeMap<String, u64> {
    TALLY.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
