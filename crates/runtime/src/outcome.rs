//! What a carrier's word means for a delivery: sent, failed, again and when, or not known. Never sends and never
//! writes.

use sha2::{Digest, Sha256};
use zyklus_connect::{Error, ErrorKind, Outcome};
use zyklus_model::{At, Delivery, DeliveryId, DeliveryKind, Purpose, Suppression, SuppressionReason};
use zyklus_store::{AttemptEnd, Lost};

use crate::breaker::{Breakers, LONGEST_ASKED};
use crate::connectors::describe_connector;

/// Tries before a delivery is given up, about a day and a half of them; most are over sooner, because they expire.
const MAX_ATTEMPTS: i64 = 20;
/// How often what may have arrived is handed over again at most, where the carrier would not notice.
const MAX_REPEATS: i64 = 2;
/// The shortest wait between two tries, in microseconds.
const SHORTEST_WAIT: i64 = 30_000_000;
/// The longest.
const LONGEST_WAIT: i64 = 6 * 3_600_000_000;

/// Whether a carrier recognises what it was handed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    AreNoticed,
    AreNotNoticed,
}

/// What was handed over, and what there is to know about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handed<'c> {
    pub(crate) delivery: &'c Delivery,
    /// How many tries before this one may have arrived.
    pub(crate) doubts: i64,
    pub(crate) repeats: Repeats,
}

/// How a try ends, and whether its address is never written to again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) end: AttemptEnd,
    pub(crate) suppress: Option<Suppression>,
}

impl From<AttemptEnd> for End {
    fn from(end: AttemptEnd) -> Self {
        End { end, suppress: None }
    }
}

/// How a batch ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// Each, in order.
    pub(crate) ends: Vec<End>,
    /// Refusals of earlier batches that are no longer believed, and when these deliveries are tried again.
    pub(crate) take_back: Option<(Vec<DeliveryId>, At)>,
}

/// How the tries of a batch end that was handed to one connector.
pub(crate) fn ends_of(
    batch: &[Handed<'_>],
    connector: &str,
    outcomes: Vec<Outcome<Option<String>>>,
    now: At,
    breakers: &mut Breakers,
) -> Ended {
    let mut ended = Ended::default();
    // What was refused and what got no answer since the last success.
    let (mut refused, mut silent) = (Vec::new(), 0);
    for (place, (handed, outcome)) in batch.iter().zip(outcomes).enumerate() {
        match &outcome {
            Outcome::Done(_) => {
                breakers.succeeded(connector);
                refused.clear();
                silent = 0;
            }
            Outcome::Rejected(_) if handed.delivery.kind == DeliveryKind::Message => refused.push(place),
            Outcome::Unknown(_) => silent += 1,
            Outcome::Rejected(_) | Outcome::Retry(_) => {}
        }
        ended.ends.push(end_of(handed, connector, outcome, now, breakers));
    }
    if breakers.silent(connector, silent) {
        let until = breakers.pause(connector, now, 0);
        tracing::error!(connector.id = connector, %until, "alarm: no answer several times in a row; it gets a rest");
    }
    if refused.is_empty() {
        return ended;
    }
    let ids: Vec<DeliveryId> = refused.iter().map(|place| batch[*place].delivery.id).collect();
    if let Some(earlier) = breakers.refused(connector, &ids) {
        let due_at = breakers.pause(connector, now, 0);
        let words = ended.ends[refused[0]].end.clone();
        tracing::error!(
            connector.id = connector, refused = ids.len() + earlier.len(), until = %due_at, end = ?words,
            "alarm: everything is refused, which is about the sender and not about the recipients; what was refused \
             stays in the outbox, and one message is tried after a rest"
        );
        for place in refused {
            let detail = match &ended.ends[place].end {
                AttemptEnd::Failed { detail } => detail.clone(),
                _ => String::new(),
            };
            ended.ends[place] = AttemptEnd::Release { due_at, detail }.into();
        }
        ended.take_back = Some((earlier, due_at));
    }
    ended
}

fn end_of(
    handed: &Handed<'_>,
    connector: &str,
    outcome: Outcome<Option<String>>,
    now: At,
    breakers: &mut Breakers,
) -> End {
    let delivery = handed.delivery;
    match outcome {
        Outcome::Done(provider_ref) => AttemptEnd::Accepted { provider_ref }.into(),
        Outcome::Rejected(error) => End {
            suppress: is_no_such_mailbox(&error).then_some(Suppression {
                channel: delivery.channel,
                all_purposes: true,
                reason: SuppressionReason::Bounced,
                at: now,
            }),
            end: AttemptEnd::Failed { detail: words(&error) },
        },
        Outcome::Retry(error) => again(delivery, connector, &error, now, breakers).into(),
        Outcome::Unknown(error) => doubtful(handed, words(&error), now).into(),
    }
}

/// How a try ends whose daemon did not come back.
pub(crate) fn end_of_lost(lost: &Lost, repeats: Repeats, now: At) -> AttemptEnd {
    let delivery = &lost.delivery;
    if lost.attempt.handed_at.is_none() {
        // It certainly did not go.
        let detail = "the daemon stopped before handing it over".to_owned();
        return AttemptEnd::Release { due_at: delivery.due_at, detail };
    }
    let detail = "the daemon stopped between handing over and noting it".to_owned();
    doubtful(&Handed { delivery, doubts: lost.doubts, repeats }, detail, now)
}

/// What may have arrived is handed over again where the carrier recognises it, and, twice at most, where a second
/// copy does less harm than none, which is a receipt or a password and never advertising.
fn doubtful(handed: &Handed<'_>, detail: String, now: At) -> AttemptEnd {
    let may_repeat = handed.repeats == Repeats::AreNoticed
        || (handed.delivery.purpose == Purpose::Transactional && handed.doubts < MAX_REPEATS);
    match next_try(handed.delivery, now, 0).filter(|_| may_repeat) {
        Some(due_at) => AttemptEnd::Repeat { due_at, detail },
        None => AttemptEnd::Unknown { detail },
    }
}

/// Another try later, or the end of trying.
fn again(
    delivery: &Delivery,
    connector: &str,
    error: &Error,
    now: At,
    breakers: &mut Breakers,
) -> AttemptEnd {
    let detail = words(error);
    let asked =
        error.retry_after_ms.map_or(0, |ms| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000));
    if error.is_connector_level() {
        return AttemptEnd::Release { due_at: breakers.pause(connector, now, asked), detail };
    }
    match next_try(delivery, now, asked.min(LONGEST_ASKED)) {
        Some(due_at) => AttemptEnd::Retry { due_at, detail },
        None => AttemptEnd::Dead { detail },
    }
}

/// When the next try is due; `None` = there is none.
fn next_try(delivery: &Delivery, now: At, asked: i64) -> Option<At> {
    if delivery.attempt_count >= MAX_ATTEMPTS {
        return None;
    }
    let wait = backoff(delivery.id, delivery.attempt_count).max(asked);
    let left = delivery.expires_at.micros_since(now);
    if wait < left {
        return Some(now.plus_micros(wait));
    }
    // The wait that was drawn ends too late: after half of what is left it is still worth something.
    (left / 2 >= SHORTEST_WAIT.max(asked)).then(|| now.plus_micros(left / 2))
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

/// Full jitter: somewhere between half a minute and a minute, and the upper end doubles with every try to 6 hours; by
/// hash, so that the same try waits the same time.
fn backoff(delivery: DeliveryId, attempt: i64) -> i64 {
    let shift = u32::try_from(attempt).unwrap_or(0).clamp(1, 12);
    let ceiling = (SHORTEST_WAIT << shift).min(LONGEST_WAIT);
    let mut hash = Sha256::new();
    hash.update(delivery.uuid().as_bytes());
    hash.update(attempt.to_be_bytes());
    let digest = hash.finalize();
    let draw = i64::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]));
    let share = (i128::from(ceiling - SHORTEST_WAIT) * i128::from(draw)) >> 32;
    SHORTEST_WAIT + i64::try_from(share).expect("a part of the ceiling, which is one")
}

#[cfg(test)]
mod tests {
    use zyklus_model::{Attempt, AttemptId, Channel, CustomerId, DeliveryState};

    use super::*;

    const NOW: At = At::from_seconds(0);

    #[test]
    fn waits_grow_stay_below_their_ceiling_and_repeat() {
        let id = DeliveryId::derive(&[b"one"]);
        for attempt in 1..=20 {
            let wait = backoff(id, attempt);
            let ceiling = (30_000_000i64 << attempt.min(12)).min(6 * 3_600_000_000);
            assert!((30_000_000..=ceiling).contains(&wait), "{attempt}: {wait}");
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

    fn delivery(name: &str, purpose: Purpose, attempt_count: i64) -> Delivery {
        Delivery {
            id: DeliveryId::derive(&[name.as_bytes()]),
            customer: CustomerId::derive(&[]),
            run: None,
            journey: "j".into(),
            step: "s".into(),
            kind: DeliveryKind::Message,
            channel: Some(Channel::Email),
            connector: None,
            target: "t".into(),
            purpose,
            capped: true,
            state: DeliveryState::Sending,
            reason: None,
            outranked_by: None,
            created_at: At::MIN,
            due_at: At::MIN,
            expires_at: NOW.plus_days(3),
            done_at: None,
            attempt_count,
            payload: serde_json::Value::Null,
        }
    }

    fn lost(purpose: Purpose, handed_at: Option<At>, doubts: i64) -> Lost {
        let delivery = delivery("one", purpose, doubts + 1);
        let attempt = Attempt {
            id: AttemptId::derive(&[]),
            delivery: delivery.id,
            number: doubts + 1,
            owner: "dead".into(),
            started_at: NOW,
            handed_at,
            ended_at: None,
            outcome: None,
            detail: None,
        };
        Lost { delivery, attempt, doubts }
    }

    #[test]
    fn what_was_only_reserved_goes_back_for_every_purpose() {
        for purpose in [Purpose::Marketing, Purpose::Service, Purpose::Transactional] {
            let end = end_of_lost(&lost(purpose, None, 0), Repeats::AreNotNoticed, NOW);
            assert!(matches!(end, AttemptEnd::Release { due_at: At::MIN, .. }), "{end:?}");
        }
    }

    #[test]
    fn what_may_have_arrived_goes_again_only_where_that_does_no_harm() {
        let end = |purpose, repeats| end_of_lost(&lost(purpose, Some(NOW), 0), repeats, NOW);
        assert!(matches!(end(Purpose::Marketing, Repeats::AreNotNoticed), AttemptEnd::Unknown { .. }));
        assert!(matches!(end(Purpose::Service, Repeats::AreNotNoticed), AttemptEnd::Unknown { .. }));
        let AttemptEnd::Repeat { due_at, .. } = end(Purpose::Transactional, Repeats::AreNotNoticed) else {
            panic!("repeated")
        };
        assert!(due_at >= NOW.plus_seconds(30), "with a wait before it");
        assert!(matches!(end(Purpose::Marketing, Repeats::AreNoticed), AttemptEnd::Repeat { .. }));
    }

    #[test]
    fn what_never_gets_an_answer_is_repeated_twice_and_then_not_known() {
        let end = |doubts| {
            end_of_lost(&lost(Purpose::Transactional, Some(NOW), doubts), Repeats::AreNotNoticed, NOW)
        };
        assert!(matches!(end(0), AttemptEnd::Repeat { .. }));
        assert!(matches!(end(1), AttemptEnd::Repeat { .. }));
        assert!(matches!(end(2), AttemptEnd::Unknown { .. }));
        let mut late = lost(Purpose::Transactional, Some(NOW), 0);
        late.delivery.expires_at = NOW.plus_seconds(10);
        assert!(matches!(end_of_lost(&late, Repeats::AreNoticed, NOW), AttemptEnd::Unknown { .. }));
    }

    fn ends(
        deliveries: &[Delivery],
        outcomes: Vec<Outcome<Option<String>>>,
        breakers: &mut Breakers,
    ) -> Ended {
        let batch: Vec<Handed<'_>> = deliveries
            .iter()
            .map(|delivery| Handed { delivery, doubts: 0, repeats: Repeats::AreNotNoticed })
            .collect();
        ends_of(&batch, "mail", outcomes, NOW, breakers)
    }

    fn one(delivery: Delivery, error: Error, breakers: &mut Breakers) -> AttemptEnd {
        ends(&[delivery], vec![Outcome::Retry(error)], breakers).ends.remove(0).end
    }

    #[test]
    fn tries_end_and_a_stuck_connector_rests_without_costing_tries() {
        let mut breakers = Breakers::default();
        let of = |count| delivery("one", Purpose::Marketing, count);
        let error = |kind| Error::new(kind, "no");
        let transient = || error(ErrorKind::Transient);
        assert!(matches!(one(of(MAX_ATTEMPTS - 1), transient(), &mut breakers), AttemptEnd::Retry { .. }));
        assert!(matches!(one(of(MAX_ATTEMPTS), transient(), &mut breakers), AttemptEnd::Dead { .. }));
        for error in [error(ErrorKind::Auth), transient().unreachable()] {
            let mut breakers = Breakers::default();
            let AttemptEnd::Release { due_at, .. } = one(of(MAX_ATTEMPTS), error, &mut breakers) else {
                panic!("released")
            };
            assert_eq!(due_at, NOW.plus_seconds(30));
            assert_eq!(breakers.paused_until("mail", NOW), Some(due_at));
        }
    }

    #[test]
    fn a_try_is_never_put_beyond_expiry_and_not_given_up_before_it() {
        let mut short = delivery("one", Purpose::Marketing, 12);
        short.expires_at = NOW.plus_seconds(600);
        let end = |delivery: &Delivery, asked: u64| {
            let error = Error::new(ErrorKind::Transient, "no").after(asked);
            one(delivery.clone(), error, &mut Breakers::default())
        };
        let AttemptEnd::Retry { due_at, .. } = end(&short, 0) else { panic!("ten minutes are left") };
        assert!(due_at < short.expires_at);
        assert!(matches!(end(&short, 900_000), AttemptEnd::Dead { .. }), "it is not wanted before that");
        short.expires_at = NOW.plus_seconds(30);
        assert!(matches!(end(&short, 0), AttemptEnd::Dead { .. }));
    }

    #[test]
    fn an_endless_retry_after_is_an_hour() {
        let error = Error::new(ErrorKind::Transient, "no").after(u64::MAX);
        let end = one(delivery("one", Purpose::Marketing, 1), error, &mut Breakers::default());
        assert!(
            matches!(end, AttemptEnd::Retry { due_at, .. } if due_at == NOW.plus_seconds(3_600)),
            "{end:?}"
        );
    }

    fn refusal(code: &str) -> Outcome<Option<String>> {
        let kind = if code.contains("5.7") { ErrorKind::Permission } else { ErrorKind::Invalid };
        Outcome::Rejected(Error::new(kind, "refused").with_code(code))
    }

    #[test]
    fn refusals_of_everybody_are_released_and_suppress_nobody() {
        let all: Vec<Delivery> = (0..7).map(|n| delivery(&n.to_string(), Purpose::Marketing, 1)).collect();
        for code in ["550 5.1.1", "554 5.7.26"] {
            let mut breakers = Breakers::default();
            let first = ends(&all[..3], (0..3).map(|_| refusal(code)).collect(), &mut breakers);
            assert!(first.ends.iter().all(|e| matches!(e.end, AttemptEnd::Failed { .. })));
            assert_eq!(first.ends[0].suppress.is_some(), code.contains("5.1.1"));
            let second = ends(&all[3..], (0..4).map(|_| refusal(code)).collect(), &mut breakers);
            for end in &second.ends {
                assert!(matches!(end.end, AttemptEnd::Release { .. }) && end.suppress.is_none(), "{end:?}");
            }
            let (earlier, due_at) = second.take_back.unwrap();
            assert_eq!(earlier, all[..3].iter().map(|d| d.id).collect::<Vec<_>>());
            assert_eq!(breakers.paused_until("mail", NOW), Some(due_at));
        }
    }

    #[test]
    fn a_success_between_refusals_shows_that_they_are_about_the_recipients() {
        let all: Vec<Delivery> = (0..9).map(|n| delivery(&n.to_string(), Purpose::Marketing, 1)).collect();
        let mut outcomes: Vec<_> = (0..9).map(|_| refusal("550 5.1.1")).collect();
        outcomes[4] = Outcome::Done(None);
        let mut breakers = Breakers::default();
        let ended = ends(&all, outcomes, &mut breakers);
        assert_eq!(ended.ends.iter().filter(|e| e.suppress.is_some()).count(), 8);
        assert!(ended.take_back.is_none() && breakers.paused_until("mail", NOW).is_none());
    }
}
