//! Identifiers: a UUID in a type of its own, shown with a three-letter prefix (`cus_…`).
//!
//! Two ways to make one, neither of which draws randomness: [`CustomerId::v7`] from an instant and random
//! bytes the caller drew, and [`CustomerId::derive`] from the facts that make the thing unique, so that
//! deciding the same thing twice gives the same id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::time::At;

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form {prefix}_ followed by 32 hexadecimal digits")]
pub struct IdError {
    /// What was given.
    pub text: String,
    /// The prefix that was expected.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the text form.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID that was stored before.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID, for storing.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// A time-ordered id (UUID version 7) from an instant and ten random bytes.
            pub fn v7(at: At, random: [u8; 10]) -> Self {
                let millis = u64::try_from(at.as_micros().max(0) / 1000).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// An id that follows from its parts (UUID version 8 over SHA-256): the same parts give the
            /// same id, other parts another.
            pub fn derive(parts: &[&[u8]]) -> Self {
                Self(derive_uuid($prefix, parts))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = || IdError { text: text.to_owned(), prefix: $prefix };
                let hex = text.strip_prefix(concat!($prefix, "_")).ok_or_else(error)?;
                if hex.len() != 32 {
                    return Err(error());
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| error())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One resolved person.
    CustomerId, "cus"
);
id!(
    /// One order.
    OrderId, "ord"
);
id!(
    /// One product.
    ProductId, "prd"
);
id!(
    /// One thing that happened.
    EventId, "evt"
);
id!(
    /// One review, survey answer or rating.
    FeedbackId, "fbk"
);
id!(
    /// One change of phase.
    TransitionId, "trn"
);
id!(
    /// One customer's run through a journey.
    RunId, "run"
);
id!(
    /// One message or action, decided for one customer.
    DeliveryId, "dlv"
);
id!(
    /// One try of a delivery.
    AttemptId, "att"
);
id!(
    /// One merge of two customers.
    MergeId, "mrg"
);

fn derive_uuid(kind: &str, parts: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(kind.as_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

/// The customer's bucket, 0 to 1023: the first part of every large table's key, so that work can be leased
/// by bucket and a distributed database can shard by it.
pub fn bucket_of(customer: CustomerId) -> i16 {
    let digest = Sha256::digest(customer.0.as_bytes());
    i16::from_be_bytes([digest[0] & 0b11, digest[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_names_its_kind() {
        let id = CustomerId::v7(At::from_micros(1_700_000_000_000_000), [7; 10]);
        let text = id.to_string();
        assert!(text.starts_with("cus_"));
        assert_eq!(text.parse::<CustomerId>(), Ok(id));
        assert!(text.parse::<RunId>().is_err());
    }

    #[test]
    fn derived_ids_follow_from_their_parts_only() {
        let one = RunId::derive(&[b"journey", b"customer"]);
        assert_eq!(one, RunId::derive(&[b"journey", b"customer"]));
        assert_ne!(one, RunId::derive(&[b"journeyc", b"ustomer"]));
        assert_ne!(one.uuid(), DeliveryId::derive(&[b"journey", b"customer"]).uuid());
    }

    #[test]
    fn buckets_stay_in_range_and_spread() {
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..20_000u32 {
            let id = CustomerId::derive(&[&n.to_be_bytes()]);
            let bucket = bucket_of(id);
            assert!((0..1024).contains(&bucket));
            seen.insert(bucket);
        }
        assert_eq!(seen.len(), 1024);
    }
}
