//! What an operator records by hand about a customer: refusals, their end, and words on being contacted that came
//! by letter, telephone or mail. Each with a row that says who did it. Never decides what follows: the guards do.

use futures::FutureExt;
use serde_json::{Value, json};
use zyklus_model::{
    At, Channel, ConsentState, Currency, CustomerId, LegalBasis, Origin, Purpose, Rates, SuppressionReason,
    bucket_of,
};

use crate::error::Result;
use crate::evaluation::touch;
use crate::identity::{People, Who};
use crate::ingest::said::NewConsent;
use crate::ingest::{Batch, Ingest};
use crate::journeys::write_audit;
use crate::open::Store;
use crate::past;
use crate::person::load_persons;
use crate::suppress::{self, Refusal, address_hash};
use crate::tx::{Sql, Tx};

/// The source of consents that an operator records.
const OPERATOR: &str = "operator";

/// A word on being contacted, as an operator heard it.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorWord {
    /// The way.
    pub channel: Channel,
    /// What for.
    pub purpose: Purpose,
    /// What was said.
    pub state: ConsentState,
    /// What proves it, in the operator's words.
    pub evidence: String,
}

impl Store {
    /// Never to write to a customer again: on one channel, or on all. Holds for the address they have, whoever uses
    /// it, and for every purpose, unless the customer only `unsubscribed` (no advertising any more). `false`: there
    /// is no such customer.
    ///
    /// # Errors
    /// The database's.
    pub async fn suppress(
        &self,
        customer: CustomerId,
        channel: Option<Channel>,
        reason: SuppressionReason,
        now: At,
        actor: &str,
    ) -> Result<bool> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let actor = actor.clone();
            async move {
                let Some(addresses) = addresses(tx, customer).await? else { return Ok(false) };
                let who = Who { customer, source: customer };
                let all_purposes = reason != SuppressionReason::Unsubscribed;
                let refusal =
                    |channel, address| Refusal { who, channel, all_purposes, reason, at: now, address };
                let mut refusals: Vec<Refusal> = addresses
                    .into_iter()
                    .filter(|(its, _)| channel.is_none_or(|channel| channel == *its))
                    .map(|(its, address)| refusal(Some(its), Some(address)))
                    .collect();
                // On their name too, whatever address they take; but who unsubscribes an address may subscribe it
                // again, and a consent lifts what is said of an address.
                if all_purposes || channel.is_none() || refusals.is_empty() {
                    refusals.push(refusal(channel, None));
                }
                suppress::write(tx, refusals, now).await?;
                touch(tx, &[customer], now).await?;
                let detail = json!({ "channel": channel, "reason": reason });
                write_audit(tx, now, &actor, "customer.suppressed", Some(customer), &detail).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }

    /// Takes back every refusal of a customer and of the addresses they have: on one channel, or all. Returns how
    /// many there were.
    ///
    /// # Errors
    /// The database's.
    pub async fn unsuppress(
        &self,
        customer: CustomerId,
        channel: Option<Channel>,
        now: At,
        actor: &str,
    ) -> Result<u64> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let actor = actor.clone();
            async move {
                let mut count = lift(tx, now, |sql| {
                    sql.push(" WHERE bucket = ").bind(bucket_of(customer)).push(" AND customer_id = ");
                    sql.bind(customer);
                    if let Some(channel) = channel {
                        sql.push(" AND channel = ").bind(channel.as_str());
                    }
                })
                .await?;
                for (its, address) in addresses(tx, customer).await?.into_iter().flatten() {
                    if channel.is_none_or(|channel| channel == its) {
                        count += lift(tx, now, |sql| {
                            sql.push(" WHERE address_hash = ").bind(&address);
                        })
                        .await?;
                    }
                }
                if count > 0 {
                    touch(tx, &[customer], now).await?;
                    let detail = json!({ "channel": channel, "count": count });
                    write_audit(tx, now, &actor, "customer.unsuppressed", Some(customer), &detail).await?;
                }
                Ok(count)
            }
            .boxed()
        })
        .await
    }

    /// Notes what a customer said about being contacted, in the ledger of consents, as a connector's record would be:
    /// a withdrawal of advertising by e-mail holds for their address too, and a later consent lifts that. `false`:
    /// there is no such customer.
    ///
    /// # Errors
    /// The database's.
    pub async fn record_consent(
        &self,
        customer: CustomerId,
        word: OperatorWord,
        now: At,
        actor: &str,
    ) -> Result<bool> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let (actor, word) = (actor.clone(), word.clone());
            async move {
                let Some(addresses) = addresses(tx, customer).await? else { return Ok(false) };
                let address =
                    addresses.into_iter().find(|(its, _)| *its == word.channel).map(|(_, hash)| hash);
                let OperatorWord { channel, purpose, state, evidence } = word;
                let detail =
                    json!({ "channel": channel, "purpose": purpose, "state": state, "evidence": evidence });
                let evidence: Value = json!({ "note": evidence, "by": actor });
                let who = Who { customer, source: customer };
                let basis = LegalBasis::Consent;
                let said = NewConsent { who, channel, purpose, state, basis, at: now, evidence, address };
                let ingest = Ingest {
                    connector: OPERATOR.to_owned(),
                    stream: String::new(),
                    records: Vec::new(),
                    rejects: Vec::new(),
                    origin: Origin::Live,
                    received_at: now,
                    next: None,
                    rates: Rates::only(Currency::EUR),
                };
                let mut batch = Batch::new(&ingest, People::nobody(now));
                batch.append_consents(tx, vec![said]).await?;
                batch.write_events(tx).await?;
                batch.write_marks(tx).await?;
                write_audit(tx, now, &actor, "customer.consent", Some(customer), &detail).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }
}

/// The hashes of a customer's addresses by channel; `None`: there is no such customer.
async fn addresses(tx: &mut Tx, customer: CustomerId) -> Result<Option<Vec<(Channel, String)>>> {
    let found = load_persons(tx, &[customer]).await?.remove(&customer);
    let Some(person) = found.filter(|person| person.merged_into.is_none()) else { return Ok(None) };
    let email = person.profile.email.map(|text| (Channel::Email, address_hash(&text)));
    let phone = person.profile.phone.map(|text| (Channel::Sms, address_hash(&text)));
    Ok(Some(email.into_iter().chain(phone).collect()))
}

/// Takes refusals back; how many there were.
async fn lift(tx: &mut Tx, now: At, which: impl Fn(&mut Sql)) -> Result<u64> {
    let mut sql = Sql::new(tx.dialect(), "SELECT COUNT(*) FROM suppression");
    which(&mut sql);
    let count: Vec<(i64,)> = tx.rows(sql).await?;
    past::remove(tx, "suppression", &["written_at"], now, which).await?;
    Ok(count.first().map_or(0, |(count,)| count.unsigned_abs()))
}
