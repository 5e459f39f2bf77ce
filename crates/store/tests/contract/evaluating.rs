//! Decisions on their way into the store: what is written, and who is overtaken.

use zyklus_model::{
    At, DeliveryState, GuardReason, RunEnd, RunState, SegmentState, Snapshot, TagChange, Withdrawal,
};
use zyklus_store::JourneyActivation;

use crate::common::Bed;
use crate::decide::{judge, judged, mail, phase, quiet, run, transition};
use crate::make::{account, everybody, minute, only, order, take_live};
use crate::parity::dump;
use zyklus_model::Record;

on_both![
    decision_reads_back_as_it_was_decided,
    same_decision_twice_changes_nothing,
    stale_decision_changes_nothing,
    of_two_evaluators_one_is_applied,
    fact_that_came_in_between_keeps_the_customer_due,
    two_decisions_for_one_customer_in_one_batch_count_once,
    rewritten_history_replaces_the_old,
    only_what_is_pending_is_withdrawn,
    labels_come_and_go,
    due_customers_come_oldest_first,
    customers_set_aside_wait_with_what_is_to_be_judged,
    everybody_is_reconsidered,
    decision_by_the_old_configuration_does_not_end_reconsidering,
    many_decisions_are_applied_at_once,
    journey_stays_live_from_when_it_was_first_enabled,
];

fn sorted(mut snapshots: Vec<Snapshot>) -> Vec<Snapshot> {
    snapshots.sort_by_key(|s| s.customer.id);
    snapshots
}

async fn decision_reads_back_as_it_was_decided(bed: Bed) {
    let store = &bed.store;
    let segment = SegmentState {
        segment: "vip".to_owned(),
        definition: "s1".to_owned(),
        inside: true,
        since: minute(3),
        live: true,
    };
    let report = judged(store, 1, |s, d| {
        d.transitions.push(transition(s, "new", minute(1)));
        d.phase = Some(phase("new", minute(1)));
        d.segments = Some(vec![segment.clone()]);
        d.runs.push(run(s, "first", minute(10)));
        d.deliveries.push(mail(s, "hello", minute(10)));
        d.revisit_at = Some(minute(99));
    })
    .await;
    assert_eq!((report.applied, report.stale), (1, 0));
    assert_eq!((report.transitions, report.runs_started, report.deliveries), (1, 1, 1));
    let snapshot = only(store).await;
    assert_eq!(snapshot.phase, Some(phase("new", minute(1))));
    assert_eq!(snapshot.segments, [segment]);
    assert_eq!(snapshot.runs, [run(&snapshot, "first", minute(10))]);
    assert_eq!(snapshot.deliveries, [mail(&snapshot, "hello", minute(10))]);
    assert_eq!(snapshot.mark.evaluated_at, Some(minute(10)));
    assert_eq!(snapshot.mark.due_at, minute(99));
    assert!(!snapshot.mark.live_pending && !snapshot.mark.history_pending);
    assert_eq!(store.next_due().await.unwrap(), Some(minute(99)));
    let moves = store.transitions_page("shop", None, 10).await.unwrap();
    assert_eq!(moves, [(snapshot.customer.id, transition(&snapshot, "new", minute(1)))]);
    assert_eq!(store.transitions_page("other", None, 10).await.unwrap(), []);
    assert_eq!(store.phases("shop").await.unwrap().into_iter().collect::<Vec<_>>(), [("new".to_owned(), 1)]);
    // A run that goes on is the same run.
    let report = judge(store, minute(20), |s, d| {
        let mut ended = run(s, "first", minute(10));
        ended.state = RunState::Ended;
        ended.end = Some(RunEnd::Goal);
        ended.ended_at = Some(minute(20));
        d.runs.push(ended);
    })
    .await;
    assert_eq!((report.applied, report.runs_started), (1, 0));
    let snapshot = only(store).await;
    assert_eq!(snapshot.runs.len(), 1);
    assert_eq!((snapshot.runs[0].state, snapshot.runs[0].end), (RunState::Ended, Some(RunEnd::Goal)));
    assert_eq!(store.next_due().await.unwrap(), None, "never to be looked at again");
}

async fn same_decision_twice_changes_nothing(bed: Bed) {
    let store = &bed.store;
    judged(store, 3, |_, _| {}).await;
    let before = everybody(store).await;
    let decisions: Vec<_> = before
        .iter()
        .map(|s| {
            let mut decision = quiet(s, minute(20));
            decision.transitions.push(transition(s, "new", minute(1)));
            decision.runs.push(run(s, "first", minute(20)));
            decision.deliveries.push(mail(s, "hello", minute(20)));
            decision
        })
        .collect();
    assert_eq!(store.apply(decisions.clone()).await.unwrap().applied, 3);
    let once = dump(&bed).await;
    let again = store.apply(decisions).await.unwrap();
    assert_eq!((again.applied, again.stale), (0, 3));
    assert_eq!((again.transitions, again.runs_started, again.deliveries), (0, 0, 0));
    assert_eq!(dump(&bed).await, once);
    // Decided anew with the same ids, it is still the same transition, run and delivery.
    let report = judge(store, minute(20), |s, d| {
        d.transitions.push(transition(s, "new", minute(1)));
        d.runs.push(run(s, "first", minute(20)));
        d.deliveries.push(mail(s, "hello", minute(20)));
    })
    .await;
    assert_eq!(report.applied, 3);
    assert_eq!((report.transitions, report.runs_started, report.deliveries), (0, 0, 0));
}

async fn stale_decision_changes_nothing(bed: Bed) {
    let store = &bed.store;
    judged(store, 1, |_, _| {}).await;
    let old = only(store).await;
    judge(store, minute(20), |_, d| d.revisit_at = Some(minute(500))).await;
    let before = dump(&bed).await;
    let mut late = quiet(&old, minute(30));
    late.rewrites_history = true;
    late.phase = Some(phase("wrong", minute(1)));
    late.transitions.push(transition(&old, "wrong", minute(1)));
    late.runs.push(run(&old, "wrong", minute(1)));
    late.deliveries.push(mail(&old, "wrong", minute(1)));
    late.tags.push(TagChange { tag: "wrong".to_owned(), on: true, at: minute(1), until: None });
    let report = store.apply(vec![late]).await.unwrap();
    assert_eq!((report.applied, report.stale), (0, 1));
    assert_eq!(dump(&bed).await, before);
}

async fn of_two_evaluators_one_is_applied(bed: Bed) {
    let store = &bed.store;
    judged(store, 40, |_, _| {}).await;
    let snapshots = everybody(store).await;
    let by = |name: &'static str| {
        let decisions: Vec<_> = snapshots
            .iter()
            .map(|s| {
                let mut decision = quiet(s, minute(20));
                decision.transitions.push(transition(s, name, minute(1)));
                decision
            })
            .collect();
        let store = store.clone();
        tokio::spawn(async move { store.apply(decisions).await.unwrap() })
    };
    let (one, other) = (by("one"), by("other"));
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    assert_eq!(one.applied + other.applied, 40);
    assert_eq!(one.stale + other.stale, 40);
    assert_eq!(store.transitions_page("shop", None, 1000).await.unwrap().len(), 40);
}

async fn fact_that_came_in_between_keeps_the_customer_due(bed: Bed) {
    let store = &bed.store;
    judged(store, 1, |_, _| {}).await;
    let old = only(store).await;
    let news = order("new", account("0", "c0@example.com"), 15);
    take_live(store, "shop", 15, vec![Record::Order(news)]).await;
    let mut decision = quiet(&old, minute(20));
    decision.transitions.push(transition(&old, "new", minute(1)));
    decision.revisit_at = Some(minute(900));
    assert_eq!(store.apply(vec![decision]).await.unwrap().applied, 1, "what was decided still holds");
    let now = only(store).await;
    assert_eq!(now.mark.evaluated_at, Some(minute(20)));
    assert_eq!(now.mark.due_at, minute(15));
    assert!(now.mark.live_pending);
    assert!(now.mark.seq > old.mark.seq);
    assert_eq!(store.customers_due(minute(20), 10).await.unwrap(), [now.customer.id]);
}

async fn two_decisions_for_one_customer_in_one_batch_count_once(bed: Bed) {
    let store = &bed.store;
    judged(store, 1, |_, _| {}).await;
    let snapshot = only(store).await;
    let report = store.apply(vec![quiet(&snapshot, minute(20)), quiet(&snapshot, minute(21))]).await.unwrap();
    assert_eq!((report.applied, report.stale), (1, 1));
}

async fn rewritten_history_replaces_the_old(bed: Bed) {
    let store = &bed.store;
    judged(store, 2, |s, d| d.transitions.push(transition(s, "old", minute(1)))).await;
    let snapshots = everybody(store).await;
    let mut decision = quiet(&snapshots[0], minute(20));
    decision.rewrites_history = true;
    decision.phase = Some(phase("new", minute(2)));
    decision.transitions.push(transition(&snapshots[0], "new", minute(2)));
    store.apply(vec![decision]).await.unwrap();
    let moves = store.transitions_page("shop", None, 10).await.unwrap();
    let of = |s: &Snapshot| {
        moves.iter().filter(|(c, _)| *c == s.customer.id).map(|(_, t)| t.to.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(&snapshots[0]), ["new"]);
    assert_eq!(of(&snapshots[1]), ["old"]);
}

async fn only_what_is_pending_is_withdrawn(bed: Bed) {
    let store = &bed.store;
    judged(store, 1, |s, d| {
        d.deliveries.push(mail(s, "waiting", minute(10)));
        let mut sent = mail(s, "sent", minute(10));
        sent.state = DeliveryState::Accepted;
        d.deliveries.push(sent);
    })
    .await;
    judge(store, minute(20), |s, d| {
        d.withdrawals = s
            .deliveries
            .iter()
            .map(|delivery| Withdrawal {
                delivery: delivery.id,
                state: DeliveryState::Refused,
                reason: Some(GuardReason::Suppressed),
                at: minute(20),
            })
            .collect();
    })
    .await;
    let snapshot = only(store).await;
    let by = |step: &str| snapshot.deliveries.iter().find(|d| d.step == step).unwrap();
    assert_eq!(by("waiting").state, DeliveryState::Refused);
    assert_eq!(by("waiting").reason, Some(GuardReason::Suppressed));
    assert_eq!(by("waiting").done_at, Some(minute(20)));
    assert_eq!(by("sent").state, DeliveryState::Accepted);
}

async fn labels_come_and_go(bed: Bed) {
    let store = &bed.store;
    let change =
        |tag: &str, on: bool, until: Option<At>| TagChange { tag: tag.to_owned(), on, at: minute(10), until };
    judged(store, 1, |_, d| {
        d.tags = vec![change("a", true, None), change("b", true, Some(minute(50))), change("c", true, None)];
    })
    .await;
    judge(store, minute(20), |_, d| d.tags = vec![change("a", false, None), change("c", true, None)]).await;
    let tags = only(store).await.tags;
    let seen: Vec<_> = tags.iter().map(|t| (t.tag.as_str(), t.until, t.source.as_str())).collect();
    assert_eq!(seen, [("b", Some(minute(50)), "journey"), ("c", None, "journey")]);
}

async fn due_customers_come_oldest_first(bed: Bed) {
    let store = &bed.store;
    judged(store, 3, |s, d| {
        let email = s.customer.email.as_ref().unwrap().as_str().to_owned();
        d.revisit_at = Some(match email.as_str() {
            "c0@example.com" => minute(30),
            "c1@example.com" => minute(20),
            _ => minute(40),
        });
    })
    .await;
    let names = |ids: Vec<zyklus_model::CustomerId>| async move {
        let found = store.snapshots(&ids).await.unwrap();
        found.iter().map(|s| s.customer.email.as_ref().unwrap().as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(store.customers_due(minute(19), 10).await.unwrap()).await, Vec::<String>::new());
    assert_eq!(
        names(store.customers_due(minute(30), 10).await.unwrap()).await,
        ["c1@example.com", "c0@example.com"]
    );
    assert_eq!(names(store.customers_due(minute(99), 1).await.unwrap()).await, ["c1@example.com"]);
    assert_eq!(store.next_due().await.unwrap(), Some(minute(20)));
}

async fn everybody_is_reconsidered(bed: Bed) {
    let store = &bed.store;
    judged(store, 3, |_, d| d.revisit_at = Some(minute(1000))).await;
    assert_eq!(store.reconsider(minute(20)).await.unwrap(), 3);
    assert_eq!(store.customers_due(minute(20), 10).await.unwrap().len(), 3);
    assert_eq!(store.reconsider(minute(30)).await.unwrap(), 0, "they are due before");
}

async fn decision_by_the_old_configuration_does_not_end_reconsidering(bed: Bed) {
    let store = &bed.store;
    judged(store, 2, |_, d| d.revisit_at = Some(minute(1000))).await;
    let news = order("new", account("0", "c0@example.com"), 15);
    take_live(store, "shop", 15, vec![Record::Order(news)]).await;
    // One was due before, one was not; both are being decided.
    let in_flight: Vec<_> = everybody(store).await.iter().map(|s| quiet(s, minute(20))).collect();
    assert_eq!(store.reconsider(minute(20)).await.unwrap(), 1);
    assert_eq!(store.apply(in_flight).await.unwrap().applied, 2);
    assert_eq!(store.customers_due(minute(20), 10).await.unwrap().len(), 2, "both are decided anew");
    let again: Vec<_> = everybody(store).await.iter().map(|s| quiet(s, minute(21))).collect();
    assert_eq!(store.apply(again).await.unwrap().applied, 2);
    assert_eq!(store.next_due().await.unwrap(), None);
}

async fn many_decisions_are_applied_at_once(bed: Bed) {
    let store = &bed.store;
    let report = judged(store, 1_300, |s, d| {
        d.transitions.push(transition(s, "new", minute(1)));
        d.phase = Some(phase("new", minute(1)));
        d.deliveries.push(mail(s, "hello", minute(10)));
        d.revisit_at = Some(minute(20));
    })
    .await;
    assert_eq!((report.applied, report.transitions, report.deliveries), (1_300, 1_300, 1_300));
    assert_eq!(store.phases("shop").await.unwrap()["new"], 1_300);
    for snapshot in sorted(everybody(store).await) {
        assert_eq!(snapshot.mark.due_at, minute(20));
        assert_eq!(snapshot.deliveries, [mail(&snapshot, "hello", minute(10))]);
    }
}

async fn journey_stays_live_from_when_it_was_first_enabled(bed: Bed) {
    let store = &bed.store;
    let journey = |id: &str, enabled: bool, definition: &str| JourneyActivation {
        id: id.to_owned(),
        mode: "live".to_owned(),
        definition: definition.to_owned(),
        enabled,
    };
    let live = store.activate(&[journey("a", true, "1"), journey("b", false, "2")], minute(1)).await.unwrap();
    assert_eq!(live.into_iter().collect::<Vec<_>>(), [("a".to_owned(), minute(1))]);
    let live = store.activate(&[journey("a", false, "3"), journey("b", true, "2")], minute(2)).await.unwrap();
    let expected = [("a".to_owned(), minute(1)), ("b".to_owned(), minute(2))];
    assert_eq!(live.into_iter().collect::<Vec<_>>(), expected);
    let live = store.activate(&[journey("a", true, "4")], minute(3)).await.unwrap();
    assert_eq!(live.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(store.journeys_active().await.unwrap().into_iter().collect::<Vec<_>>(), expected);
}

async fn customers_set_aside_wait_with_what_is_to_be_judged(bed: Bed) {
    let store = &bed.store;
    take_live(store, "shop", 1, vec![Record::Order(order("1", account("1", ""), 0))]).await;
    let id = only(store).await.customer.id;
    store.set_aside(&[], minute(90)).await.unwrap();
    store.set_aside(&[id], minute(90)).await.unwrap();
    assert!(store.customers_due(minute(60), 10).await.unwrap().is_empty());
    assert_eq!(store.customers_due(minute(90), 10).await.unwrap(), [id]);
    assert!(only(store).await.mark.live_pending);
}
