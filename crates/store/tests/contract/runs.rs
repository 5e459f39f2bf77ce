//! Runs as they are stored: every state and assignment, a turn that comes, two customers who become one and part again.

use zyklus_model::{Delivery, Holdout, Record, Run, RunEnd, RunState};

use crate::common::Bed;
use crate::decide::{judge, judged, mail, run};
use crate::make::{account, customer, everybody, minute, of_order, only, order, take_live, verified};

on_both![
    runs_of_every_kind_come_back_as_they_were,
    queued_run_begins_when_its_turn_has_come,
    runs_follow_a_merge_and_go_back_when_it_is_undone,
    what_a_run_is_about_to_send_goes_back_with_it,
];

async fn runs_of_every_kind_come_back_as_they_were(bed: Bed) {
    let store = &bed.store;
    let kinds = |snapshot: &zyklus_model::Snapshot| -> Vec<Run> {
        let base = |name: &str| run(snapshot, name, minute(10));
        let ended = |name: &str, end| Run {
            state: RunState::Ended,
            end: Some(end),
            end_reason: Some("a reason".into()),
            ended_at: Some(minute(12)),
            ..base(name)
        };
        let mut runs = vec![
            base("live"),
            Run { state: RunState::Queued, queued_at: Some(minute(9)), ..base("queued") },
            Run { state: RunState::Waiting, yielded_at: Some(minute(11)), ..base("waiting") },
            Run { held: Some(Holdout::Global), ..base("global") },
            Run { held: Some(Holdout::Journey), ghost: true, ..base("ghost") },
        ];
        runs.extend(RunEnd::ALL.iter().map(|end| ended(end.as_str(), *end)));
        runs.sort_by_key(|r| (r.started_at, r.id));
        runs
    };
    judged(store, 1, |s, d| d.runs = kinds(s)).await;
    let snapshot = only(store).await;
    assert_eq!(snapshot.runs, kinds(&snapshot));
}

async fn queued_run_begins_when_its_turn_has_come(bed: Bed) {
    let store = &bed.store;
    judged(store, 1, |s, d| {
        let queued = Run { state: RunState::Queued, queued_at: Some(minute(10)), ..run(s, "go", minute(10)) };
        d.runs = vec![queued];
    })
    .await;
    judge(store, minute(20), |s, d| {
        let begun = Run { state: RunState::Live, started_at: minute(20), ..s.runs[0].clone() };
        d.runs = vec![Run { held: Some(Holdout::Global), ..begun }];
    })
    .await;
    let begun = only(store).await.runs.remove(0);
    assert_eq!(
        (begun.state, begun.started_at, begun.queued_at),
        (RunState::Live, minute(20), Some(minute(10)))
    );
    assert_eq!(begun.held, Some(Holdout::Global), "drawn when it begins");
}

async fn runs_follow_a_merge_and_go_back_when_it_is_undone(bed: Bed) {
    let store = &bed.store;
    let first = Record::Customer(customer(verified("1", "ann@example.com")));
    take_live(store, "a", 0, vec![first, Record::Order(order("1", account("1", ""), 0))]).await;
    take_live(store, "a", 1, vec![Record::Order(order("2", account("2", ""), 1))]).await;
    judge(store, minute(10), |s, d| {
        let is_first = s.orders[0].external_id == "1";
        let started = minute(if is_first { 9 } else { 10 });
        let ghost = Run { held: Some(Holdout::Journey), ghost: true, ..run(s, "ghost", started) };
        d.runs = vec![run(s, "live", started), ghost];
    })
    .await;
    let ids = |s: &zyklus_model::Snapshot| s.runs.iter().map(|r| r.id).collect::<Vec<_>>();
    let before = (ids(&of_order(store, "1").await), ids(&of_order(store, "2").await));
    take_live(store, "a", 11, vec![Record::Customer(customer(verified("2", "ann@example.com")))]).await;
    let both = only(store).await;
    assert_eq!(both.runs.len(), 4);
    assert!(both.runs.iter().all(|r| r.customer == both.customer.id) && both.mark.live_pending);
    // The engine ends the younger ones (rule R20).
    judge(store, minute(12), |s, d| {
        let younger = s.runs.iter().filter(|r| r.started_at == minute(10)).cloned();
        d.runs = younger
            .map(|r| {
                let (end, ended_at) = (Some(RunEnd::Merged), Some(minute(12)));
                Run { state: RunState::Ended, end, ended_at, ..r }
            })
            .collect();
    })
    .await;
    let merge = store.merges(both.customer.id).await.unwrap().remove(0).id;
    store.unmerge(merge, "operator", minute(13)).await.unwrap();
    let (one, two) = (of_order(store, "1").await, of_order(store, "2").await);
    assert_eq!(everybody(store).await.len(), 2);
    assert_eq!((ids(&one), ids(&two)), before, "to whom they began for");
    assert!(one.runs.iter().all(|r| r.state == RunState::Live));
    assert!(two.runs.iter().all(|r| r.end == Some(RunEnd::Merged)), "what is over stays over");
}

/// Left with whom it was decided for, it would go to both: the run would decide its step once more.
async fn what_a_run_is_about_to_send_goes_back_with_it(bed: Bed) {
    let store = &bed.store;
    let first = Record::Customer(customer(verified("1", "ann@example.com")));
    take_live(store, "a", 0, vec![first, Record::Order(order("1", account("1", ""), 0))]).await;
    take_live(store, "a", 1, vec![Record::Order(order("2", account("2", ""), 1))]).await;
    judge(store, minute(10), |s, d| d.runs = vec![run(s, "live", minute(9))]).await;
    let ids = [of_order(store, "1").await.runs[0].id, of_order(store, "2").await.runs[0].id];
    take_live(store, "a", 11, vec![Record::Customer(customer(verified("2", "ann@example.com")))]).await;
    judge(store, minute(12), |s, d| {
        let of = |run: &Run| Delivery { run: Some(run.id), ..mail(s, &run.id.to_string(), minute(30)) };
        d.deliveries = s.runs.iter().map(of).collect();
    })
    .await;
    let both = only(store).await;
    assert_eq!(both.deliveries.len(), 2);
    let merge = store.merges(both.customer.id).await.unwrap().remove(0).id;
    store.unmerge(merge, "operator", minute(13)).await.unwrap();
    for (number, id) in ["1", "2"].into_iter().zip(ids) {
        let one = of_order(store, number).await;
        let runs: Vec<_> = one.deliveries.iter().map(|d| (d.customer, d.run)).collect();
        assert_eq!(runs, [(one.customer.id, Some(id))], "of order {number}");
        let judged = one.mark.evaluated_at.expect("both were judged");
        assert!(judged >= minute(12), "and what came while they were one is not judged again");
    }
}
