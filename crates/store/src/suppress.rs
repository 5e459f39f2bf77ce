//! Refusals of an address, kept under its hash so that they can be matched without keeping the address. Never
//! decides what a suppression forbids.

use sha2::{Digest, Sha256};
use zyklus_model::{At, Channel, Customer, EventId, SuppressionReason, bucket_of};

use crate::arg::args;
use crate::error::Result;
use crate::identity::Who;
use crate::tx::Tx;

/// The hash of a folded address: `suppression.address_hash`.
pub(crate) fn address_hash(address: &str) -> String {
    hex::encode(Sha256::digest(address.as_bytes()))
}

/// The hash of the address a channel reaches a customer at; `None` where it has no address that we know.
pub(crate) fn reached_at(channel: Option<Channel>, customer: &Customer) -> Option<String> {
    match channel? {
        Channel::Email => customer.email.as_ref().map(|email| address_hash(email.as_str())),
        Channel::Sms => customer.phone.as_ref().map(|phone| address_hash(phone.as_str())),
        Channel::Social | Channel::Push | Channel::Post => None,
    }
}

/// Never to write to this address again, whoever uses it.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) who: Who,
    pub(crate) channel: Option<Channel>,
    pub(crate) all_purposes: bool,
    pub(crate) reason: SuppressionReason,
    pub(crate) at: At,
    /// The hash of the address that was written to.
    pub(crate) address: Option<String>,
}

/// Notes refusals. The same one is noted once, whether a try or a receipt brought it.
pub(crate) async fn write(tx: &mut Tx, refusals: Vec<Refusal>, now: At) -> Result<()> {
    let rows = refusals.into_iter().map(|refusal| {
        let Refusal { who, channel, all_purposes, reason, at, address } = refusal;
        let channel = channel.map(Channel::as_str);
        let id = EventId::derive(&[
            b"suppression",
            who.source.uuid().as_bytes(),
            channel.unwrap_or_default().as_bytes(),
            reason.as_str().as_bytes(),
            address.as_deref().unwrap_or_default().as_bytes(),
        ]);
        let (bucket, reason) = (bucket_of(who.customer), reason.as_str());
        args![bucket, who.customer, id, who.source, address, channel, all_purposes, reason, at, now]
    });
    let head = "INSERT INTO suppression (bucket, customer_id, id, source_customer_id, address_hash, channel, \
                all_purposes, reason, at, written_at)";
    tx.insert(head, rows, " ON CONFLICT DO NOTHING").await.map(drop)
}
