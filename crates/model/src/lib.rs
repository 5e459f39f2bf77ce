//! Nouns: what the engine, the store and the connectors speak about.
//!
//! Everything here is plain data with its own small rules (an id's text form, a currency's exponent, how an
//! e-mail address is folded). Nothing here awaits, does I/O, reads a clock or draws randomness: instants and
//! random bytes are arguments.

pub mod address;
pub mod consent;
pub mod customer;
pub mod decision;
pub mod delivery;
pub mod event;
pub mod id;
pub mod journey;
pub mod money;
mod nearest;
pub mod order;
pub mod origin;
pub mod phase;
pub mod record;
pub mod snapshot;
pub mod time;

pub use address::{Email, EmailError, PhoneNumber};
pub use consent::{Channel, Consent, ConsentState, LegalBasis, Purpose, Suppression, SuppressionReason};
pub use customer::{Customer, Identity, IdentityKind, Merge};
pub use decision::{Decision, TagChange, Withdrawal};
pub use delivery::{
    Attempt, Delivery, DeliveryClass, DeliveryKind, DeliveryState, GuardReason, Receipt, ReceiptKind,
};
pub use event::{Event, Feedback, FeedbackKind};
pub use id::{
    AttemptId, CustomerId, DeliveryId, EventId, FeedbackId, MergeId, OrderId, ProductId, RunId, TransitionId,
    bucket_of,
};
pub use journey::{Holdout, Run, RunEnd, RunPosition, RunState};
pub use money::{Currency, Money, MoneyError, Rates};
pub use nearest::{nearest, nearest_within};
pub use order::{Cart, CartLine, Mark, MarkKind, Order, OrderLine, OrderState, Product, Refund};
pub use origin::Origin;
pub use phase::{Transition, TransitionCause};
pub use record::{
    CartRecord, ConsentRecord, CouponRecord, CustomerRecord, CustomerRef, DeletedRecord, EventRecord,
    FeedbackRecord, LineRecord, OrderRecord, ProductRecord, ReceiptRecord, Record, RefundRecord,
};
pub use snapshot::{PhaseState, SegmentState, Snapshot, Tag};
pub use time::{At, AtError, DAY_MICROS, HOUR_MICROS};
