//! Refusals of an address, kept under its hash so that they can be matched without keeping the address. Never
//! decides what a suppression forbids.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use zyklus_model::{At, Channel, ConsentState, Customer, EventId, Purpose, SuppressionReason, bucket_of};

use crate::arg::{Stamp, args};
use crate::column::named;
use crate::error::Result;
use crate::identity::Who;
use crate::ingest::said::NewConsent;
use crate::past;
use crate::tx::{CHUNK, Sql, Tx};

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

named! {
    /// The last words of one state on advertising to an address.
    struct LastWord {
        address_hash: String,
        state: String,
        at: Stamp,
    }
}

/// Words on advertising that name an e-mail address. A withdrawal holds for the address, whichever customer uses
/// it, so it is noted as a refusal too; a later consent for the same address, with evidence, lifts it. Whatever
/// else an address is refused for (bounces, complaints, the operator's decision) stays.
#[derive(Debug, Default)]
pub(crate) struct AddressWords(BTreeMap<String, Who>);

impl AddressWords {
    /// Takes note of a new entry of the ledger. Returns the address it is stored under: none for a consent
    /// without evidence, which lifts nothing.
    pub(crate) fn note(&mut self, entry: &NewConsent) -> Option<String> {
        let is_proven = match &entry.evidence {
            serde_json::Value::Null => false,
            serde_json::Value::Object(parts) => !parts.is_empty(),
            serde_json::Value::String(text) => !text.trim().is_empty(),
            _ => true,
        };
        let counts = match entry.state {
            ConsentState::Withdrawn => true,
            ConsentState::Granted => is_proven,
            ConsentState::Pending => false,
        };
        let is_mail = entry.channel == Channel::Email && entry.purpose == Purpose::Marketing;
        let address = entry.address.clone().filter(|_| counts && is_mail)?;
        self.0.insert(address.clone(), entry.who);
        Some(address)
    }

    /// Brings the refusals of these addresses in line with the ledger, whatever order its entries came in.
    pub(crate) async fn write(self, tx: &mut Tx, now: At) -> Result<()> {
        let addresses: Vec<&String> = self.0.keys().collect();
        for some in addresses.chunks(CHUNK) {
            let mut sql = Sql::new(
                tx.dialect(),
                "SELECT address_hash, state, MAX(at) AS at FROM consent WHERE address_hash IN ",
            );
            sql.list(some.iter().copied());
            sql.push(" AND channel = 'email' AND purpose = 'marketing' GROUP BY address_hash, state");
            let mut last: BTreeMap<String, (Option<At>, Option<At>)> = BTreeMap::new();
            for word in tx.rows::<LastWord>(sql).await? {
                let (granted, withdrawn) = last.entry(word.address_hash).or_default();
                if word.state == ConsentState::Granted.as_str() {
                    *granted = Some(word.at.0);
                } else {
                    *withdrawn = Some(word.at.0);
                }
            }
            let mut refusals = Vec::new();
            for (address, words) in last {
                match words {
                    (Some(granted), withdrawn) if withdrawn.is_none_or(|at| at < granted) => {
                        past::remove(tx, "suppression", &["written_at"], now, |sql| {
                            sql.push(" WHERE address_hash = ").bind(&address);
                            sql.push(" AND channel = 'email' AND reason = 'unsubscribed' AND at < ")
                                .bind(granted);
                        })
                        .await?;
                    }
                    (_, Some(at)) => {
                        let Some(who) = self.0.get(&address).copied() else { continue };
                        refusals.push(Refusal {
                            who,
                            channel: Some(Channel::Email),
                            all_purposes: false,
                            reason: SuppressionReason::Unsubscribed,
                            at,
                            address: Some(address),
                        });
                    }
                    _ => {}
                }
            }
            write(tx, refusals, now).await?;
        }
        Ok(())
    }
}
