//! What a carrier's word means for a delivery: sent, failed, again and when, or not known. Never sends and never
//! writes.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use zyklus_connect::{Error, ErrorKind, Outcome};
use zyklus_model::{At, Delivery, DeliveryId, Purpose, Suppression, SuppressionReason};
use zyklus_store::AttemptEnd;

use crate::connectors::describe_connector;

/// Tries before a delivery is given up, about a day and a half of them.
const MAX_ATTEMPTS: i64 = 10;

/// Whether a carrier recognises what it was handed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    AreNoticed,
    AreNotNoticed,
}

/// Connectors that are stuck as a whole: until when they get nothing, and how often in a row.
#[derive(Debug, Default)]
pub(crate) struct Pauses(BTreeMap<String, (At, u32)>);

impl Pauses {
    pub(crate) fn is_paused(&self, connector: &str, now: At) -> bool {
        self.0.get(connector).is_some_and(|(until, _)| *until > now)
    }

    /// Gives a connector a rest: half a minute, then twice as long every time, an hour at most, or as long as it
    /// asked for.
    fn pause(&mut self, connector: &str, now: At, asked: i64) -> At {
        let (until, times) = self.0.entry(connector.to_owned()).or_insert((now, 0));
        if *until <= now {
            let rest = (30_000_000i64 << (*times).min(7)).min(3_600_000_000).max(asked);
            (*until, *times) = (now.plus_micros(rest), *times + 1);
        }
        *until
    }
}

/// How a try ends, and whether its address is never written to again.
pub(crate) fn end_of(
    delivery: &Delivery,
    connector: &str,
    outcome: Outcome<Option<String>>,
    repeats: Repeats,
    now: At,
    pauses: &mut Pauses,
) -> (AttemptEnd, Option<Suppression>) {
    let end = match outcome {
        Outcome::Done(provider_ref) => {
            pauses.0.remove(connector);
            AttemptEnd::Accepted { provider_ref }
        }
        Outcome::Rejected(error) => {
            let suppression = is_no_such_mailbox(&error).then_some(Suppression {
                channel: delivery.channel,
                all_purposes: true,
                reason: SuppressionReason::Bounced,
                at: now,
            });
            return (AttemptEnd::Failed { detail: words(&error) }, suppression);
        }
        Outcome::Retry(error) => again(delivery, connector, &error, now, pauses),
        Outcome::Unknown(error) if may_repeat(delivery, repeats) => {
            again(delivery, connector, &error, now, pauses)
        }
        Outcome::Unknown(error) => AttemptEnd::Unknown { detail: words(&error) },
    };
    (end, None)
}

/// How a try ends whose daemon died.
pub(crate) fn end_of_lost(
    delivery: &Delivery,
    handed_at: Option<At>,
    repeats: Repeats,
    now: At,
) -> AttemptEnd {
    if handed_at.is_none() {
        let detail = "the daemon stopped before handing it over".to_owned();
        return AttemptEnd::Release { due_at: now, detail };
    }
    let detail = "the daemon stopped between handing over and noting it".to_owned();
    if may_repeat(delivery, repeats) {
        AttemptEnd::Retry { due_at: now, detail }
    } else {
        AttemptEnd::Unknown { detail }
    }
}

/// Whether what may have arrived is handed over again: where the carrier recognises it, and where a second copy
/// does less harm than none, which is a receipt or a password and never advertising.
fn may_repeat(delivery: &Delivery, repeats: Repeats) -> bool {
    repeats == Repeats::AreNoticed || delivery.purpose == Purpose::Transactional
}

/// Another try later, or the end of trying.
fn again(delivery: &Delivery, connector: &str, error: &Error, now: At, pauses: &mut Pauses) -> AttemptEnd {
    let detail = words(error);
    let asked = error.retry_after_ms.map_or(0, |ms| i64::try_from(ms).unwrap_or(i64::MAX / 1_000) * 1_000);
    if matches!(
        error.kind,
        ErrorKind::Auth | ErrorKind::Permission | ErrorKind::Config | ErrorKind::RateLimited
    ) {
        return AttemptEnd::Release { due_at: pauses.pause(connector, now, asked), detail };
    }
    let due_at = now.plus_micros(backoff(delivery.id, delivery.attempt_count).max(asked));
    if delivery.attempt_count >= MAX_ATTEMPTS || due_at > delivery.expires_at {
        return AttemptEnd::Dead { detail };
    }
    AttemptEnd::Retry { due_at, detail }
}

fn words(error: &Error) -> String {
    match &error.code {
        Some(code) => format!("{code}: {}", describe_connector(error)),
        None => describe_connector(error),
    }
}

/// Whether the mailbox does not exist (RFC 3463: 5.1.x addresses; 5.1.6: it has moved away), which no later
/// message changes.
fn is_no_such_mailbox(error: &Error) -> bool {
    let code = error.code.as_deref().unwrap_or_default();
    let hard = ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"];
    error.kind == ErrorKind::Invalid && code.split_whitespace().any(|word| hard.contains(&word))
}

/// Full jitter: somewhere between nothing and 30 s doubled with every try, at most 6 hours; by hash, so that the
/// same try waits the same time.
fn backoff(delivery: DeliveryId, attempt: i64) -> i64 {
    let shift = u32::try_from(attempt - 1).unwrap_or(0).min(12);
    let ceiling = (30_000_000i64 << shift).min(6 * 3_600_000_000);
    let mut hash = Sha256::new();
    hash.update(delivery.uuid().as_bytes());
    hash.update(attempt.to_be_bytes());
    let digest = hash.finalize();
    let draw = i64::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]));
    let share = (i128::from(ceiling) * i128::from(draw)) >> 32;
    1_000_000 + i64::try_from(share).expect("a part of the ceiling, which is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_stay_below_their_ceiling_and_repeat() {
        let id = DeliveryId::derive(&[b"one"]);
        for attempt in 1..=20 {
            let wait = backoff(id, attempt);
            let ceiling = (30_000_000i64 << (attempt - 1).min(12)).min(6 * 3_600_000_000);
            assert!((1_000_000..=ceiling + 1_000_000).contains(&wait), "{attempt}: {wait}");
            assert_eq!(wait, backoff(id, attempt));
        }
    }

    #[test]
    fn only_a_missing_mailbox_is_suppressed() {
        let error = |code: &str| Error::new(ErrorKind::Invalid, "refused").with_code(code);
        assert!(is_no_such_mailbox(&error("550 5.1.1")));
        assert!(!is_no_such_mailbox(&error("550 5.7.1")));
        assert!(!is_no_such_mailbox(&error("552 5.2.2")));
    }

    fn delivery(purpose: Purpose, attempt_count: i64) -> Delivery {
        Delivery {
            id: DeliveryId::derive(&[b"one"]),
            customer: zyklus_model::CustomerId::derive(&[]),
            run: None,
            journey: "j".into(),
            step: "s".into(),
            kind: zyklus_model::DeliveryKind::Message,
            channel: Some(zyklus_model::Channel::Email),
            connector: None,
            target: "t".into(),
            purpose,
            capped: true,
            state: zyklus_model::DeliveryState::Sending,
            reason: None,
            outranked_by: None,
            created_at: At::MIN,
            due_at: At::MIN,
            expires_at: At::MAX,
            done_at: None,
            attempt_count,
            payload: serde_json::Value::Null,
        }
    }

    #[test]
    fn what_may_have_arrived_goes_again_only_where_that_does_no_harm() {
        let now = At::from_seconds(0);
        let lost = |purpose, repeats| end_of_lost(&delivery(purpose, 1), Some(now), repeats, now);
        assert!(matches!(lost(Purpose::Marketing, Repeats::AreNotNoticed), AttemptEnd::Unknown { .. }));
        assert!(matches!(lost(Purpose::Service, Repeats::AreNotNoticed), AttemptEnd::Unknown { .. }));
        assert!(matches!(lost(Purpose::Transactional, Repeats::AreNotNoticed), AttemptEnd::Retry { .. }));
        assert!(matches!(lost(Purpose::Marketing, Repeats::AreNoticed), AttemptEnd::Retry { .. }));
    }

    #[test]
    fn what_was_claimed_and_never_handed_over_goes_again() {
        let now = At::from_seconds(0);
        let end = end_of_lost(&delivery(Purpose::Marketing, 1), None, Repeats::AreNotNoticed, now);
        assert!(matches!(end, AttemptEnd::Release { due_at, .. } if due_at == now), "{end:?}");
    }

    #[test]
    fn tries_end_and_a_stuck_connector_rests_without_costing_tries() {
        let now = At::from_seconds(0);
        let mut pauses = Pauses::default();
        let mut end = |count, kind| {
            let error = Error::new(kind, "no");
            let outcome = Outcome::Retry(error);
            let one = delivery(Purpose::Marketing, count);
            end_of(&one, "mail", outcome, Repeats::AreNotNoticed, now, &mut pauses).0
        };
        assert!(matches!(end(MAX_ATTEMPTS - 1, ErrorKind::Transient), AttemptEnd::Retry { .. }));
        assert!(matches!(end(MAX_ATTEMPTS, ErrorKind::Transient), AttemptEnd::Dead { .. }));
        let AttemptEnd::Release { due_at, .. } = end(MAX_ATTEMPTS, ErrorKind::Auth) else {
            panic!("released")
        };
        assert_eq!(due_at, now.plus_seconds(30));
        assert!(pauses.is_paused("mail", now) && !pauses.is_paused("mail", due_at));
    }
}
