//! Short ways to write decisions and to bring a delivery into the outbox. Never asserts anything.

use serde_json::json;
use zyklus_model::{
    At, Channel, Decision, Delivery, DeliveryId, DeliveryKind, DeliveryState, Origin, PhaseState, Purpose,
    Record, Run, RunId, RunPosition, RunState, Snapshot, Transition, TransitionCause, TransitionId,
};
use zyklus_store::{ApplyReport, ClaimRequest, Claimed, Completion, Judgement, Store};

use crate::make::{account, everybody, minute, order, take};

/// A decision that changes nothing but when to look again: never.
pub(crate) fn quiet(snapshot: &Snapshot, now: At) -> Decision {
    Decision {
        customer: snapshot.customer.id,
        seq: snapshot.mark.seq,
        evaluated_before: snapshot.mark.evaluated_at,
        now,
        rewrites_history: false,
        transitions: Vec::new(),
        phase: None,
        segments: None,
        runs: Vec::new(),
        deliveries: Vec::new(),
        withdrawals: Vec::new(),
        rewritten: Vec::new(),
        tags: Vec::new(),
        revisit_at: None,
    }
}

pub(crate) fn transition(snapshot: &Snapshot, to: &str, at: At) -> Transition {
    Transition {
        id: TransitionId::derive(&[snapshot.customer.id.uuid().as_bytes(), to.as_bytes()]),
        lifecycle: "shop".to_owned(),
        from: None,
        to: to.to_owned(),
        at,
        recorded_at: at,
        cause: TransitionCause::Record,
        origin: Origin::Live,
    }
}

pub(crate) fn phase(name: &str, since: At) -> PhaseState {
    PhaseState {
        lifecycle: "shop".to_owned(),
        definition: "d1".to_owned(),
        phase: name.to_owned(),
        since,
        previous: Some("before".to_owned()),
        moves: 2,
        has_live_moves: true,
        live: false,
    }
}

pub(crate) fn run(snapshot: &Snapshot, occurrence: &str, now: At) -> Run {
    Run {
        id: RunId::derive(&[snapshot.customer.id.uuid().as_bytes(), occurrence.as_bytes()]),
        customer: snapshot.customer.id,
        began_for: snapshot.customer.id,
        journey: "welcome".to_owned(),
        key: String::new(),
        occurrence: occurrence.to_owned(),
        definition: "d1".to_owned(),
        epoch: 0,
        ghost: false,
        held: None,
        state: RunState::Live,
        end: None,
        end_reason: None,
        started_at: now,
        ended_at: None,
        queued_at: None,
        yielded_at: None,
        position: RunPosition { step: Some("mail".to_owned()), reached_at: now, due_at: None },
        acted: vec![("mail".to_owned(), "decided".to_owned())],
        event: serde_json::Map::from_iter([("total".to_owned(), json!(12.5))]),
    }
}

/// A marketing mail, due at once and worth sending for a day.
pub(crate) fn mail(snapshot: &Snapshot, name: &str, due_at: At) -> Delivery {
    Delivery {
        id: DeliveryId::derive(&[snapshot.customer.id.uuid().as_bytes(), name.as_bytes()]),
        customer: snapshot.customer.id,
        run: None,
        journey: "welcome".to_owned(),
        step: name.to_owned(),
        kind: DeliveryKind::Message,
        channel: Some(Channel::Email),
        connector: Some("smtp".to_owned()),
        target: "hello".to_owned(),
        purpose: Purpose::Marketing,
        capped: true,
        state: DeliveryState::Pending,
        reason: None,
        outranked_by: None,
        created_at: due_at,
        due_at,
        expires_at: due_at.plus_days(1),
        done_at: None,
        attempt_count: 0,
        payload: json!({ "with": { "n": 1 } }),
    }
}

/// So many customers, each with an order, all of them judged at minute 10 with what `decide` adds.
pub(crate) async fn judged(
    store: &Store,
    customers: u32,
    decide: impl Fn(&Snapshot, &mut Decision),
) -> ApplyReport {
    let records: Vec<Record> = (0..customers)
        .map(|n| {
            Record::Order(order(&n.to_string(), account(&n.to_string(), &format!("c{n}@example.com")), 0))
        })
        .collect();
    take(store, "shop", records).await;
    judge(store, minute(10), decide).await
}

/// Everybody judged now.
pub(crate) async fn judge(store: &Store, now: At, decide: impl Fn(&Snapshot, &mut Decision)) -> ApplyReport {
    let decisions = everybody(store)
        .await
        .iter()
        .map(|snapshot| {
            let mut decision = quiet(snapshot, now);
            decide(snapshot, &mut decision);
            decision
        })
        .collect();
    store.apply(decisions).await.unwrap()
}

/// So many customers with one mail each in the outbox, due at minute 10.
pub(crate) async fn outbox(store: &Store, customers: u32) {
    judged(store, customers, |s, d| d.deliveries.push(mail(s, "hello", minute(10)))).await;
}

pub(crate) fn request(owner: &str, now: At, limit: u32) -> ClaimRequest {
    ClaimRequest { owner: owner.to_owned(), now, lease_micros: 60_000_000, limit, connectors: None }
}

pub(crate) async fn claim_all(store: &Store, owner: &str, now: At) -> Claimed {
    store.claim(request(owner, now, 100), |_, _| Judgement::Send).await.unwrap()
}

pub(crate) fn completion(claim: &zyklus_store::Claim, at: At, end: zyklus_store::AttemptEnd) -> Completion {
    Completion {
        delivery: claim.delivery.id,
        attempt: claim.attempt.number,
        owner: claim.attempt.owner.clone(),
        at,
        end,
        suppress: None,
    }
}
