//! The hash an address is suppressed under, so that a refusal can be matched without keeping the address. Never
//! decides what a suppression forbids.

use sha2::{Digest, Sha256};

/// The hash of a folded address: `suppression.address_hash`.
pub(crate) fn address_hash(address: &str) -> String {
    hex::encode(Sha256::digest(address.as_bytes()))
}
