//! The store as of an instant equals what it said at that instant: for a random life with every kind of change in it,
//! and for each kind by itself. Never looks at the tables of the past.

use std::collections::{BTreeMap, BTreeSet};

use zyklus_model::{
    At, CustomerId, DeletedRecord, DeliveryState, Origin, ProductRecord, ReceiptKind, ReceiptRecord, Record,
    RefundRecord, RunState, SegmentState, Snapshot, SuppressionReason, TagChange, Withdrawal,
};
use zyklus_model::{Channel, Currency, Money, Rates, Suppression};
use zyklus_store::{AttemptEnd, Ingest, JourneyActivation, MoveCount, Store, StoreError};

use crate::common::Bed;
use crate::decide::{claim_all, completion, judge, mail, phase, quiet, run, transition};
use crate::make::{
    account, cart, customer, deleted, everybody, guest, minute, only, order, page, take_live, verified,
};
use crate::parity::{Dice, dump, record};

on_both![
    every_moment_of_a_random_life_is_told_as_it_was,
    profile_order_and_cart_are_told_as_they_were,
    run_delivery_phase_and_label_are_told_as_they_were,
    two_that_became_one_were_two,
    what_was_deleted_is_still_told_of_the_time_before,
    names_lead_to_whom_they_led_then,
    whoever_is_forgotten_is_forgotten_in_the_past_too,
    journeys_and_products_are_told_as_they_were,
    time_before_the_store_began_is_refused,
    past_is_kept_for_as_long_as_is_asked,
];

/// Everything of everybody, by customer. How often a customer was made due before they were first evaluated is not
/// kept of those who came in with history.
fn told(snapshots: Vec<Snapshot>) -> BTreeMap<CustomerId, Snapshot> {
    let blurred = |mut snapshot: Snapshot| {
        let mark = &mut snapshot.mark;
        if mark.evaluated_at.is_none() && mark.history_pending {
            (mark.seq, mark.live_pending, mark.due_at) = (0, false, At::MIN);
        }
        (snapshot.customer.id, snapshot)
    };
    snapshots.into_iter().map(blurred).collect()
}

async fn now(store: &Store) -> BTreeMap<CustomerId, Snapshot> {
    told(everybody(store).await)
}

async fn then(store: &Store, at: At) -> BTreeMap<CustomerId, Snapshot> {
    let past = store.as_of(at).await.unwrap();
    told(past.snapshots(&past.customer_ids(None, 10_000).await.unwrap()).await.unwrap())
}

/// Moves as a report counts them.
async fn moves(store: &Store, at: At, since: At) -> Vec<MoveCount> {
    let mut counts: BTreeMap<(Option<String>, String), (u64, u64)> = BTreeMap::new();
    for (_, moved) in store.transitions_page("shop", None, 10_000).await.unwrap() {
        if moved.at <= at {
            let count = counts.entry((moved.from, moved.to)).or_default();
            count.0 += 1;
            count.1 += u64::from(moved.at > since);
        }
    }
    let row = |((from, to), (ever, since))| MoveCount { from, to, ever, since };
    counts.into_iter().map(row).collect()
}

/// What the engine might decide.
async fn decide_something(store: &Store, dice: &mut Dice, now: At) {
    let decisions = everybody(store).await.into_iter().filter(|_| dice.roll(2) == 0).collect::<Vec<_>>();
    let mut all = Vec::new();
    for snapshot in &decisions {
        let mut decision = quiet(snapshot, now);
        decision.revisit_at = (dice.roll(2) == 0).then(|| now.plus_days(3));
        match dice.roll(7) {
            0 => {}
            1 => {
                decision.rewrites_history = dice.roll(2) == 0;
                decision.transitions.push(transition(snapshot, &format!("p{}", dice.roll(4)), now));
                decision.phase = Some(phase(&format!("p{}", dice.roll(4)), now));
            }
            2 => {
                let segment = SegmentState {
                    segment: "vip".to_owned(),
                    definition: "s1".to_owned(),
                    inside: dice.roll(2) == 0,
                    since: now,
                    live: true,
                };
                decision.segments = Some(vec![segment]);
            }
            3 => {
                let mut run = run(snapshot, &format!("o{}", dice.roll(3)), now);
                run.started_at = snapshot.runs.iter().find(|r| r.id == run.id).map_or(now, |r| r.started_at);
                run.position.step = Some(format!("s{}", dice.roll(5)));
                if dice.roll(3) == 0 {
                    (run.state, run.ended_at) = (RunState::Ended, Some(now));
                }
                decision.runs.push(run);
            }
            4 => {
                let pending = snapshot.deliveries.iter().find(|d| d.state == DeliveryState::Pending);
                decision.withdrawals.extend(pending.map(|d| Withdrawal {
                    delivery: d.id,
                    state: DeliveryState::Cancelled,
                    reason: None,
                    at: now,
                }));
            }
            5 => {
                let tag = format!("t{}", dice.roll(2));
                decision.tags.push(TagChange { tag, on: dice.roll(2) == 0, at: now, until: None });
            }
            _ => decision.deliveries.push(mail(snapshot, &format!("m{}", now.as_micros()), now)),
        }
        all.push(decision);
    }
    store.apply(all).await.unwrap();
}

async fn send_something(store: &Store, dice: &mut Dice, now: At) {
    for claim in claim_all(store, "a", now).await.claims {
        let end = match dice.roll(5) {
            0 => continue,
            1 => AttemptEnd::Failed { detail: "no".to_owned() },
            2 => AttemptEnd::Retry { due_at: now.plus_seconds(60), detail: "later".to_owned() },
            _ => AttemptEnd::Accepted { provider_ref: Some(claim.delivery.id.to_string()) },
        };
        let mut done = completion(&claim, now, end);
        done.suppress = (dice.roll(6) == 0).then_some(Suppression {
            channel: Some(Channel::Email),
            all_purposes: true,
            reason: SuppressionReason::Bounced,
            at: now,
        });
        store.complete(done).await.unwrap();
    }
}

/// What a provider and an operator might do.
async fn meddle(store: &Store, dice: &mut Dice, minutes: i64) {
    let all = everybody(store).await;
    for snapshot in &all {
        if dice.roll(3) > 0 {
            continue;
        }
        if let Some(delivery) = snapshot.deliveries.last() {
            match dice.roll(4) {
                0 => drop(store.retry_delivery(delivery.id, minute(minutes), "ann").await.unwrap()),
                1 => drop(store.cancel_delivery(delivery.id, minute(minutes), "ann").await.unwrap()),
                _ => {
                    let kinds = [ReceiptKind::Delivered, ReceiptKind::Bounced, ReceiptKind::Clicked];
                    let receipt = ReceiptRecord {
                        external_id: format!("r{}", dice.roll(1_000_000)),
                        delivery: Some(delivery.id.to_string()),
                        provider_ref: None,
                        kind: kinds[dice.roll(3) as usize],
                        detail: None,
                        at: minute(minutes),
                    };
                    take_live(store, "smtp", minutes, vec![Record::Receipt(receipt)]).await;
                }
            }
        }
        let merges = store.merges(snapshot.customer.id).await.unwrap();
        if let Some(merge) =
            merges.iter().rfind(|m| m.undone_at.is_none() && m.winner == snapshot.customer.id)
        {
            store.unmerge(merge.id, "operator", minute(minutes)).await.unwrap();
        }
    }
}

async fn every_moment_of_a_random_life_is_told_as_it_was(bed: Bed) {
    let store = &bed.store;
    for seed in [7, 8] {
        let mut dice = Dice(seed);
        let mut diary = Vec::new();
        let start = seed as i64 * 100_000;
        for n in 0..60 {
            let minutes = start + n * 10;
            match dice.roll(6) {
                0..2 => {
                    // Nobody is forgotten: that takes names out of the past, too.
                    let count = dice.roll(20);
                    let records: Vec<Record> = (0..count).map(|_| record(&mut dice)).collect();
                    let is_kept = |r: &Record| !matches!(r, Record::Deleted(d) if d.kind == "customer");
                    let records = records.into_iter().filter(is_kept).collect();
                    let system = format!("{}{seed}", ["a", "b"][dice.roll(2) as usize]);
                    let origin = [Origin::History, Origin::Live][dice.roll(2) as usize];
                    let rates =
                        Rates { reporting: Currency::EUR, rates: BTreeMap::from([(Currency::USD, 0.9)]) };
                    let received_at = minute(minutes);
                    let ingest = Ingest { rates, origin, received_at, ..page(&system, records) };
                    store.ingest(ingest).await.unwrap();
                }
                2 => send_something(store, &mut dice, minute(minutes)).await,
                3 => meddle(store, &mut dice, minutes).await,
                4 if dice.roll(3) == 0 => drop(store.reconsider(minute(minutes)).await.unwrap()),
                _ => decide_something(store, &mut dice, minute(minutes)).await,
            }
            let (at, since) = (minute(minutes + 5), minute(minutes - 100));
            let people = now(store).await;
            if !people.is_empty() {
                diary.push((at, people, moves(store, at, since).await));
            }
        }
        let changed: BTreeSet<String> =
            diary.iter().map(|(_, people, _)| serde_json::to_string(people).unwrap()).collect();
        assert!(changed.len() > 30, "something happened: {}", changed.len());
        for (at, people, counts) in diary {
            let found = then(store, at).await;
            assert_eq!(found.keys().collect::<Vec<_>>(), people.keys().collect::<Vec<_>>(), "{at}");
            for (id, person) in &people {
                assert_eq!(found[id], *person, "seed {seed}, {id} as of {at}");
            }
            let past = store.as_of(at).await.unwrap();
            let mut found = past.moves("shop", at.plus_seconds(-105 * 60)).await.unwrap();
            found.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
            assert_eq!(found, counts, "seed {seed} as of {at}");
            let mut one_by_one: BTreeMap<(Option<String>, String), u64> = BTreeMap::new();
            for buckets in [(0, 300), (300, 1_024)] {
                let moved = past.moves_of("shop", buckets).await.unwrap();
                let ordered =
                    moved.windows(2).all(|two| two[0].customer != two[1].customer || two[0].at <= two[1].at);
                assert!(ordered, "seed {seed} as of {at}");
                moved.into_iter().for_each(|one| *one_by_one.entry((one.from, one.to)).or_default() += 1);
            }
            let ever = counts.iter().map(|count| ((count.from.clone(), count.to.clone()), count.ever));
            assert_eq!(one_by_one, ever.collect(), "seed {seed} as of {at}");
        }
    }
}

async fn profile_order_and_cart_are_told_as_they_were(bed: Bed) {
    let store = &bed.store;
    let who = || verified("1", "ann@example.com");
    let named = |name: &str, minutes| {
        let mut ann = customer(who());
        (ann.first_name, ann.updated_at) = (Some(name.to_owned()), Some(minute(minutes)));
        Record::Customer(ann)
    };
    take_live(store, "a", 0, vec![named("Ann", 0), Record::Order(order("1", who(), 0))]).await;
    take_live(store, "a", 1, vec![Record::Cart(cart("c", who(), 1))]).await;
    let before = now(store).await;
    let mut returned = order("1", who(), 0);
    let refund =
        RefundRecord { external_id: "r".into(), at: Some(minute(9)), amount_minor: 400, reason: None };
    returned.refunds.push(refund);
    let mut closed = cart("c", who(), 10);
    closed.is_open = false;
    let changed = vec![named("Anna", 10), Record::Order(returned), Record::Cart(closed)];
    take_live(store, "a", 10, changed).await;
    let after = now(store).await;
    assert_ne!(before, after);
    assert_eq!(then(store, minute(9)).await, before);
    let (_, ann) = then(store, minute(9)).await.pop_first().unwrap();
    assert_eq!(ann.customer.first_name.as_deref(), Some("Ann"));
    assert!(ann.orders[0].refunds.is_empty(), "what was sent back at minute 9 was heard of at minute 10");
    assert!(ann.carts[0].is_open);
    assert_eq!(then(store, minute(10)).await, after, "what was written at an instant was there at it");
}

async fn run_delivery_phase_and_label_are_told_as_they_were(bed: Bed) {
    let store = &bed.store;
    take_live(store, "a", 0, vec![Record::Order(order("1", account("1", ""), 0))]).await;
    judge(store, minute(10), |s, d| {
        d.phase = Some(phase("new", minute(10)));
        d.runs.push(run(s, "a", minute(10)));
        d.deliveries.push(mail(s, "hello", minute(10)));
        d.tags.push(TagChange { tag: "x".to_owned(), on: true, at: minute(10), until: None });
    })
    .await;
    let pending = now(store).await;
    let claims = claim_all(store, "a", minute(20)).await.claims;
    let sending = now(store).await;
    let accepted = AttemptEnd::Accepted { provider_ref: None };
    assert!(store.complete(completion(&claims[0], minute(21), accepted)).await.unwrap());
    let sent = now(store).await;
    judge(store, minute(30), |s, d| {
        d.phase = Some(phase("old", minute(30)));
        let ended = run(s, "a", minute(10));
        d.runs.push(zyklus_model::Run { state: RunState::Ended, ended_at: Some(minute(30)), ..ended });
        d.tags.push(TagChange { tag: "x".to_owned(), on: false, at: minute(30), until: None });
    })
    .await;
    let ended = now(store).await;
    for (at, what) in [(11, pending), (20, sending), (25, sent), (30, ended.clone()), (999, ended)] {
        assert_eq!(then(store, minute(at)).await, what, "as of minute {at}");
    }
    // A lease that is prolonged is no other state, and a clock that was set back makes nothing unreadable.
    judge(store, minute(15), |_, d| d.phase = Some(phase("back", minute(15)))).await;
    judge(store, minute(40), |_, d| d.phase = Some(phase("on", minute(40)))).await;
    assert_eq!(then(store, minute(35)).await.len(), 1);
    assert_eq!(then(store, minute(40)).await, now(store).await);
}

async fn two_that_became_one_were_two(bed: Bed) {
    let store = &bed.store;
    let first = Record::Customer(customer(verified("1", "ann@example.com")));
    take_live(store, "a", 0, vec![first, Record::Order(order("1", account("1", ""), 0))]).await;
    take_live(store, "a", 1, vec![Record::Order(order("2", account("2", ""), 1))]).await;
    judge(store, minute(10), |s, d| d.deliveries.push(mail(s, "hello", minute(10)))).await;
    let two = now(store).await;
    take_live(store, "a", 20, vec![Record::Customer(customer(verified("2", "ann@example.com")))]).await;
    let one = now(store).await;
    assert_eq!((two.len(), one.len()), (2, 1));
    let kept = only(store).await;
    let merge = store.merges(kept.customer.id).await.unwrap().remove(0);
    store.unmerge(merge.id, "operator", minute(30)).await.unwrap();
    let again = now(store).await;
    assert_eq!(again.len(), 2);
    for (at, what) in [(15, two), (25, one), (35, again)] {
        assert_eq!(then(store, minute(at)).await, what, "as of minute {at}");
    }
    // The id of one of them led to the other while they were one.
    for (at, id) in [(15, merge.loser), (25, merge.winner), (35, merge.loser)] {
        let past = store.as_of(minute(at)).await.unwrap();
        let found = past.find_customers(&merge.loser.to_string()).await.unwrap();
        assert_eq!(found, BTreeSet::from([id]), "as of minute {at}");
    }
}

async fn what_was_deleted_is_still_told_of_the_time_before(bed: Bed) {
    let store = &bed.store;
    let who = || account("1", "");
    let records = vec![Record::Order(order("1", who(), 0)), Record::Cart(cart("c", who(), 0))];
    take_live(store, "a", 0, records).await;
    let before = now(store).await;
    take_live(store, "a", 10, vec![deleted("order", "1"), deleted("cart", "c")]).await;
    let after = now(store).await;
    take_live(store, "a", 20, vec![Record::Order(order("1", who(), 0))]).await;
    for (at, what) in [(5, before), (15, after), (20, now(store).await)] {
        assert_eq!(then(store, minute(at)).await, what, "as of minute {at}");
    }
}

async fn names_lead_to_whom_they_led_then(bed: Bed) {
    let store = &bed.store;
    let at_address = |address: &str, minutes| {
        let mut ann = customer(account("77", address));
        ann.updated_at = Some(minute(minutes));
        Record::Customer(ann)
    };
    take_live(store, "a", 0, vec![at_address("old@example.com", 0)]).await;
    take_live(store, "a", 10, vec![at_address("new@example.com", 10)]).await;
    take_live(store, "a", 20, vec![Record::Order(order("9", account("77", ""), 20))]).await;
    let ann = BTreeSet::from([only(store).await.customer.id]);
    for (text, from, until) in
        [("Old@example.com", 0, 9), ("new@example.com", 10, 99), ("77", 0, 99), ("N9", 20, 99)]
    {
        for at in [0, 9, 10, 19, 20, 99] {
            let found = store.as_of(minute(at)).await.unwrap().find_customers(text).await.unwrap();
            let expected = if (from..=until).contains(&at) { ann.clone() } else { BTreeSet::new() };
            assert_eq!(found, expected, "{text} as of minute {at}");
        }
    }
}

async fn whoever_is_forgotten_is_forgotten_in_the_past_too(bed: Bed) {
    let store = &bed.store;
    for (minutes, email) in [(0, "first@example.com"), (10, "second@example.com")] {
        let mut ann = customer(verified("1", email));
        (ann.phone, ann.updated_at) = (Some(format!("+4940123456{minutes:02}")), Some(minute(minutes)));
        take_live(store, "a", minutes, vec![Record::Customer(ann)]).await;
    }
    take_live(store, "a", 11, vec![Record::Order(order("1", account("1", ""), 11))]).await;
    let gone = DeletedRecord { kind: "customer".to_owned(), external_id: "1".to_owned(), at: None };
    take_live(store, "a", 20, vec![Record::Deleted(gone)]).await;
    let rows: String = dump(&bed)
        .await
        .into_iter()
        .filter(|(table, _)| table.ends_with("_past"))
        .fold(String::new(), |text, (_, rows)| text + &rows.join("\n"));
    assert!(rows.contains("passed_at="), "there is a past");
    assert!(!rows.contains("example.com") && !rows.contains("+49"), "{rows}");
    // Figures of the time before stay as they were.
    assert_eq!(then(store, minute(15)).await.into_values().next().unwrap().orders.len(), 1);
}

async fn journeys_and_products_are_told_as_they_were(bed: Bed) {
    let store = &bed.store;
    let product = |available, minutes| {
        Record::Product(ProductRecord {
            external_id: "tea".to_owned(),
            title: "Tea".to_owned(),
            available,
            price: Some(Money::new(500 + minutes, Currency::EUR)),
            updated_at: Some(minute(minutes)),
            url: None,
            image_url: None,
            categories: Vec::new(),
        })
    };
    for (minutes, available) in [(0, true), (10, false), (20, true)] {
        take_live(store, "a", minutes, vec![product(available, minutes)]).await;
    }
    take_live(store, "a", 30, vec![deleted("product", "tea")]).await;
    for (at, is_sold_out) in [(5, false), (10, true), (19, true), (20, false), (40, false)] {
        let found = store.as_of(minute(at)).await.unwrap().sold_out().await.unwrap();
        assert_eq!(found.contains("tea"), is_sold_out, "as of minute {at}");
    }
    let activation = |mode: &str, definition: &str| JourneyActivation {
        id: "welcome".to_owned(),
        mode: mode.to_owned(),
        definition: definition.to_owned(),
        enabled: mode != "off",
    };
    store.activate(&[activation("live", "d1")], minute(10)).await.unwrap();
    store.activate(&[activation("off", "d2")], minute(20)).await.unwrap();
    store.activate(&[activation("live", "d2")], minute(30)).await.unwrap();
    for (at, live, definition) in [(10, minute(10), "d1"), (25, minute(10), "d2"), (30, minute(30), "d2")] {
        let found = store.as_of(minute(at)).await.unwrap().journeys().await.unwrap();
        assert_eq!(found["welcome"], (Some(live), definition.to_owned()), "as of minute {at}");
    }
    assert!(store.as_of(minute(5)).await.unwrap().journeys().await.unwrap().is_empty());
}

async fn time_before_the_store_began_is_refused(bed: Bed) {
    let store = &bed.store;
    let refused = store.as_of(minute(5)).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooEarly { from: None, .. }), "{refused:?}");
    assert!(refused.to_string().contains("has taken nothing in yet"), "{refused}");
    take_live(store, "a", 10, vec![Record::Customer(customer(guest("ann@example.com")))]).await;
    let refused = store.as_of(minute(9)).await.unwrap_err();
    let text = "the store knows how things stood from 2026-01-01T00:10:00Z on";
    assert!(refused.to_string().contains(text), "{refused}");
    assert_eq!(then(store, minute(10)).await, now(store).await);
}

async fn past_is_kept_for_as_long_as_is_asked(bed: Bed) {
    let store = &bed.store;
    let day = |days: i64| minute(days * 1_440);
    for days in [0, 50, 100] {
        let mut ann = customer(account("1", ""));
        (ann.first_name, ann.updated_at) = (Some(format!("Ann {days}")), Some(day(days)));
        take_live(store, "a", days * 1_440, vec![Record::Customer(ann)]).await;
    }
    let recent = then(store, day(99)).await;
    let mut gone = 0;
    for hour in 0..24 {
        gone += store.housekeep(day(120).plus_seconds(hour * 3_600), 30).await.unwrap().past;
    }
    assert!(gone > 0);
    let refused = store.as_of(day(89)).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooEarly { from: Some(from), .. } if from > day(90)), "{refused}");
    assert_eq!(then(store, day(99)).await, recent, "what passed later is kept");
    assert_eq!(dump(&bed).await["customer_past"].len(), 1);
}

/// A change that does not say when it was made would overwrite the past in silence.
#[test]
fn every_update_says_when() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = ["", "ingest"].map(|sub| std::fs::read_dir(folder.join(sub)).unwrap());
    let mut updates = 0;
    for path in files.into_iter().flatten().map(|entry| entry.unwrap().path()).filter(|p| p.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let kept = ["customer", "delivery", "evaluation", "run", "tag", "orders", "cart", "transition"];
        for table in kept {
            for (place, _) in text.match_indices(&format!("UPDATE {table} SET")) {
                let rest: String = text[place..].chars().take(1_500).collect();
                let says = ["written", "marked_at", "stood_at", "lease_until = \")"]
                    .iter()
                    .any(|w| rest.contains(w));
                assert!(says, "{}: {}", path.display(), &rest[..80.min(rest.len())]);
                updates += 1;
            }
        }
    }
    assert!(updates > 8, "{updates}");
}
