//! Pages on their way in: what is stored, what a repeated or late record changes, and what is reported.

use std::collections::BTreeMap;

use serde_json::json;
use zyklus_model::{
    At, Channel, ConsentRecord, ConsentState, CouponRecord, Currency, DeliveryKind, EventRecord,
    FeedbackKind, FeedbackRecord, LegalBasis, LineRecord, MarkKind, Money, OrderState, Origin, ProductRecord,
    Purpose, Rates, ReceiptKind, ReceiptRecord, Record, RefundRecord,
};
use zyklus_store::{CursorUpdate, Ingest, NewReject};

use crate::common::Bed;
use crate::make::{
    account, cart, customer, deleted, everybody, guest, minute, of_order, only, order, page, take, take_late,
    take_live, verified,
};

on_both![
    unchanged_records_dirty_nothing,
    changed_fact_makes_its_customer_due,
    repeated_page_changes_nothing,
    notification_is_taken_once,
    notification_that_fails_may_come_again,
    record_read_before_a_change_does_not_undo_it,
    steps_of_an_order_keep_when_they_were_first_heard,
    cancelled_order_is_dated,
    order_moves_to_the_customer_the_shop_names_later,
    money_without_a_rate_is_reported,
    rate_that_appears_converts_what_is_read_again,
    each_fact_brings_its_event_once,
    live_customers_are_announced_and_history_is_not,
    closed_cart_is_no_cart_update,
    receipts_move_their_delivery,
    click_and_unsubscribe_reach_the_customer,
    receipt_of_another_connector_is_not_believed,
    catalogue_follows_the_shop,
    cursor_moves_with_its_page,
    page_that_fails_leaves_nothing,
    same_reject_is_kept_once,
    nul_and_line_breaks_do_not_get_in,
    many_records_of_one_new_customer_are_one,
];

/// Judged up to now: nobody is due before the end of time.
async fn settle(bed: &Bed) {
    crate::parity::run_sql(
        bed,
        "UPDATE evaluation SET due_at = {max}, live_pending = FALSE, history_pending = FALSE",
    )
    .await;
}

fn everything() -> Vec<Record> {
    let mut paid = order("1", account("1", "ann@example.com"), 0);
    paid.updated_at = Some(minute(5));
    paid.paid_at = Some(minute(4));
    vec![
        Record::Customer(zyklus_model::CustomerRecord {
            tags: Some(vec!["vip".into()]),
            first_name: Some("Ann".into()),
            ..customer(verified("1", "ann@example.com"))
        }),
        Record::Order(paid),
        Record::Order(order("2", guest("bob@example.com"), 1)),
        Record::Cart(cart("1", account("1", ""), 2)),
        Record::Product(product("1", "Soap")),
        Record::Coupon(coupon("1")),
        Record::Feedback(review("1", 5.0)),
        Record::Event(event(Some("7"), "page.viewed", 3)),
        Record::Event(event(None, "page.viewed", 4)),
        Record::Consent(consent(ConsentState::Granted, 4)),
        Record::Receipt(receipt("1", ReceiptKind::Delivered, "none such")),
    ]
}

fn product(id: &str, title: &str) -> ProductRecord {
    ProductRecord {
        external_id: id.into(),
        title: title.into(),
        url: None,
        image_url: None,
        price: Some(Money::new(490, Currency::EUR)),
        categories: vec!["care".into()],
        available: true,
        updated_at: None,
    }
}

fn coupon(id: &str) -> CouponRecord {
    CouponRecord {
        external_id: id.into(),
        code: Some("TEN".into()),
        name: "Ten per cent".into(),
        enabled: true,
        starts_at: Some(minute(0)),
        ends_at: None,
        percent: Some(10.0),
        amount: None,
        used: Some(3),
    }
}

pub(crate) fn review(id: &str, score: f64) -> FeedbackRecord {
    FeedbackRecord {
        external_id: id.into(),
        customer: account("1", ""),
        kind: FeedbackKind::Review,
        score: Some(score),
        text: Some("good\0".into()),
        product: Some("1".into()),
        at: minute(3),
    }
}

fn event(id: Option<&str>, name: &str, minutes: i64) -> EventRecord {
    EventRecord {
        external_id: id.map(str::to_owned),
        customer: account("1", ""),
        name: name.into(),
        at: minute(minutes),
        data: serde_json::Map::from_iter([("path".to_owned(), json!("/soap"))]),
    }
}

pub(crate) fn consent(state: ConsentState, minutes: i64) -> ConsentRecord {
    ConsentRecord {
        customer: account("1", ""),
        channel: Channel::Email,
        purpose: Purpose::Marketing,
        state,
        basis: LegalBasis::Consent,
        at: minute(minutes),
        undated: false,
        evidence: json!({ "form": "footer" }),
    }
}

fn receipt(id: &str, kind: ReceiptKind, reference: &str) -> ReceiptRecord {
    ReceiptRecord {
        external_id: id.into(),
        delivery: None,
        provider_ref: Some(reference.into()),
        kind,
        detail: Some("250 fine".into()),
        at: minute(30),
    }
}

async fn unchanged_records_dirty_nothing(bed: Bed) {
    take(&bed.store, "a", everything()).await;
    assert_eq!(bed.store.customers_due(minute(0), 10).await.unwrap().len(), 2);
    settle(&bed).await;
    let before = crate::parity::dump(&bed).await;
    let report = take_live(&bed.store, "a", 60, everything()).await;
    assert_eq!((report.seen, report.changed, report.new_customers), (11, 0, 0));
    assert!(bed.store.customers_due(minute(600), 10).await.unwrap().is_empty());
    assert_eq!(crate::parity::dump(&bed).await, before);
}

async fn changed_fact_makes_its_customer_due(bed: Bed) {
    let store = &bed.store;
    take(store, "a", everything()).await;
    settle(&bed).await;
    let mut changed = order("2", guest("bob@example.com"), 1);
    changed.total = Money::new(999, Currency::EUR);
    assert_eq!(take_live(store, "a", 60, vec![Record::Order(changed)]).await.changed, 1);
    let due = store.customers_due(minute(60), 10).await.unwrap();
    let bob = of_order(store, "2").await;
    assert_eq!(due, [bob.customer.id]);
    assert_eq!((bob.mark.seq, bob.mark.live_pending, bob.mark.history_pending), (2, true, false));
    assert_eq!(bob.mark.due_at, minute(60));
    let ann = of_order(store, "1").await;
    assert_eq!((ann.mark.seq, ann.mark.live_pending), (1, false));
    // What is read while history is caught up is marked as history.
    settle(&bed).await;
    take(store, "a", vec![deleted("feedback", "1")]).await;
    let ann = of_order(store, "1").await;
    assert!(ann.feedback.is_empty());
    assert_eq!((ann.mark.seq, ann.mark.live_pending, ann.mark.history_pending), (2, false, true));
}

async fn repeated_page_changes_nothing(bed: Bed) {
    let first = take(&bed.store, "a", everything()).await;
    assert_eq!(first.newest, Some(minute(30)));
    let before = crate::parity::dump(&bed).await;
    for _ in 0..2 {
        assert_eq!(take(&bed.store, "a", everything()).await.changed, 0);
    }
    assert_eq!(crate::parity::dump(&bed).await, before);
}

async fn notification_is_taken_once(bed: Bed) {
    let store = &bed.store;
    let notified = |connector: &str, minor: i64| {
        let mut order = order("1", account("1", ""), 0);
        order.total = Money::new(minor, Currency::EUR);
        page(connector, vec![Record::Order(order)])
    };
    let first = store.ingest_notification("msg_1", notified("a", 100)).await.unwrap().unwrap();
    assert_eq!((first.changed, first.new_customers), (1, 1));
    let before = crate::parity::dump(&bed).await;
    assert_eq!(store.ingest_notification("msg_1", notified("a", 200)).await.unwrap(), None);
    assert_eq!(crate::parity::dump(&bed).await, before);
    // Another connector's ids are its own, and another notification is news.
    assert!(store.ingest_notification("msg_1", notified("b", 100)).await.unwrap().is_some());
    let second = store.ingest_notification("msg_2", notified("a", 200)).await.unwrap().unwrap();
    assert_eq!((second.changed, second.new_customers), (1, 0));
    // Whatever a sender thinks of as an id.
    for id in [String::new(), "a\0b".to_owned(), "ü".repeat(200), "long".repeat(5_000)] {
        assert!(store.ingest_notification(&id, notified("a", 200)).await.unwrap().is_some());
        assert_eq!(store.ingest_notification(&id, notified("a", 200)).await.unwrap(), None, "{id:?}");
    }
    // Remembered for ninety days.
    for (days, is_taken) in [(89, false), (91, true)] {
        store.housekeep(minute(0).plus_days(days), 760).await.unwrap();
        let again = store.ingest_notification("msg_1", notified("a", 200)).await.unwrap();
        assert_eq!(again.is_some(), is_taken, "after {days} days");
    }
}

async fn notification_that_fails_may_come_again(bed: Bed) {
    let store = &bed.store;
    let notified = || page("a", vec![Record::Order(order("1", account("1", ""), 0))]);
    crate::parity::run_sql(&bed, "ALTER TABLE orders RENAME TO orders_away").await;
    store.ingest_notification("msg_1", notified()).await.unwrap_err();
    crate::parity::run_sql(&bed, "ALTER TABLE orders_away RENAME TO orders").await;
    assert!(store.ingest_notification("msg_1", notified()).await.unwrap().is_some());
}

async fn record_read_before_a_change_does_not_undo_it(bed: Bed) {
    let store = bed.store;
    let at = |minutes: i64, minor: i64| {
        let mut order = order("1", account("1", ""), 0);
        order.updated_at = Some(minute(minutes));
        order.total = Money::new(minor, Currency::EUR);
        Record::Order(order)
    };
    take_late(&store, "a", vec![at(20, 2000)]).await;
    assert_eq!(take_late(&store, "a", vec![at(10, 1000)]).await.changed, 0);
    assert_eq!(only(&store).await.orders[0].total.amount_minor, 2000);
    // A refund does not bump the order in every shop: an equal instant is read again.
    assert_eq!(take_late(&store, "a", vec![at(20, 3000)]).await.changed, 1);
    assert_eq!(only(&store).await.orders[0].total.amount_minor, 3000);
}

async fn steps_of_an_order_keep_when_they_were_first_heard(bed: Bed) {
    let store = bed.store;
    let mut record = order("1", account("1", ""), 0);
    record.lines = vec![
        LineRecord { title: "Soap".into(), quantity: 2, total_minor: 700, ..LineRecord::default() },
        LineRecord { title: "Box".into(), quantity: 1, total_minor: 300, ..LineRecord::default() },
    ];
    record.paid_at = Some(minute(1));
    take(&store, "a", vec![Record::Order(record.clone())]).await;
    let refund = |id: &str, minor: i64| RefundRecord {
        external_id: id.into(),
        at: None,
        amount_minor: minor,
        reason: Some("broken".into()),
    };
    record.refunds.push(refund("r1", 300));
    record.shipped_at = Some(minute(50));
    take_live(&store, "a", 60, vec![Record::Order(record.clone())]).await;
    record.refunds.push(refund("r2", 700));
    take_live(&store, "a", 90, vec![Record::Order(record)]).await;
    let one = only(&store).await;
    let order = &one.orders[0];
    assert_eq!((order.origin, order.received_at, order.item_count), (Origin::History, minute(0), 3));
    let heard: Vec<(MarkKind, At, At, Origin)> =
        order.marks.iter().map(|m| (m.kind, m.at, m.received_at, m.origin)).collect();
    assert_eq!(
        heard,
        [
            (MarkKind::Paid, minute(1), minute(0), Origin::History),
            (MarkKind::Shipped, minute(50), minute(60), Origin::Live),
            (MarkKind::Refunded, minute(60), minute(60), Origin::Live),
            (MarkKind::Refunded, minute(90), minute(90), Origin::Live),
        ]
    );
    assert_eq!(order.refunds.iter().map(|r| r.at).collect::<Vec<_>>(), [minute(60), minute(90)]);
    assert_eq!(order.net_reporting_minor(), Some(0));
}

async fn cancelled_order_is_dated(bed: Bed) {
    let store = bed.store;
    let mut record = order("1", account("1", ""), 0);
    record.state = OrderState::Cancelled;
    take_live(&store, "a", 60, vec![Record::Order(record)]).await;
    let one = only(&store).await;
    let marks: Vec<(MarkKind, At)> = one.orders[0].marks.iter().map(|m| (m.kind, m.at)).collect();
    assert_eq!(marks, [(MarkKind::Cancelled, minute(60))]);
}

async fn order_moves_to_the_customer_the_shop_names_later(bed: Bed) {
    let store = bed.store;
    take(&store, "a", vec![Record::Order(order("1", guest("ann@example.com"), 0))]).await;
    take_live(&store, "a", 9, vec![Record::Order(order("1", account("5", ""), 0))]).await;
    let all = everybody(&store).await;
    assert_eq!(all.len(), 2);
    let holder = of_order(&store, "1").await;
    assert_eq!(holder.identities[0].value, "5");
    let other = all.iter().find(|s| s.customer.id != holder.customer.id).unwrap();
    assert_eq!((other.orders.len(), other.mark.seq), (0, 2), "who lost it is judged again too");
}

async fn money_without_a_rate_is_reported(bed: Bed) {
    let store = bed.store;
    let yen: Currency = "JPY".parse().unwrap();
    let mut foreign = order("1", account("1", ""), 0);
    foreign.total = Money::new(5000, yen);
    let mut basket = cart("1", account("1", ""), 0);
    basket.total = Money::new(100, yen);
    let report = take(
        &store,
        "a",
        vec![Record::Order(foreign), Record::Cart(basket), Record::Order(order("2", account("1", ""), 1))],
    )
    .await;
    assert_eq!(report.unrated, BTreeMap::from([(yen, 2)]));
    assert_eq!(store.unrated().await.unwrap(), BTreeMap::from([(yen, 2)]));
    let one = only(&store).await;
    assert_eq!(one.orders[0].total_reporting_minor, None);
    assert_eq!(one.orders[1].total_reporting_minor, Some(1000));
    assert_eq!(one.carts[0].total_reporting_minor, None);
}

async fn rate_that_appears_converts_what_is_read_again(bed: Bed) {
    let store = bed.store;
    let yen: Currency = "JPY".parse().unwrap();
    let mut foreign = order("1", account("1", ""), 0);
    foreign.total = Money::new(5000, yen);
    take(&store, "a", vec![Record::Order(foreign.clone())]).await;
    let rates = Rates { reporting: Currency::EUR, rates: BTreeMap::from([(yen, 0.006)]) };
    let report = store.ingest(Ingest { rates, ..page("a", vec![Record::Order(foreign)]) }).await.unwrap();
    assert_eq!(report.changed, 1);
    assert_eq!(only(&store).await.orders[0].total_reporting_minor, Some(3000));
    assert!(store.unrated().await.unwrap().is_empty());
}

async fn each_fact_brings_its_event_once(bed: Bed) {
    let store = bed.store;
    take_late(&store, "a", everything()).await;
    let mut names: Vec<String> = of_order(&store, "1").await.events.iter().map(|e| e.name.clone()).collect();
    names.sort_unstable();
    assert_eq!(names, ["cart.updated", "consent.granted", "feedback.received", "page.viewed", "page.viewed"]);
    let more = vec![
        Record::Event(event(Some("7"), "page.viewed", 99)),
        Record::Cart(cart("1", account("1", ""), 20)),
        Record::Feedback(review("1", 4.0)),
        Record::Consent(consent(ConsentState::Pending, 1)),
        Record::Consent(consent(ConsentState::Withdrawn, 9)),
    ];
    take_live(&store, "a", 60, more).await;
    let one = of_order(&store, "1").await;
    assert_eq!(one.events.iter().filter(|e| e.name == "page.viewed").count(), 2);
    assert_eq!(one.events.iter().filter(|e| e.name == "feedback.received").count(), 1);
    let carts: Vec<_> = one.events.iter().filter(|e| e.name == "cart.updated").collect();
    assert_eq!(
        carts.iter().map(|e| (e.occurred_at, e.origin)).collect::<Vec<_>>(),
        [(minute(2), Origin::History), (minute(20), Origin::Live),]
    );
    assert_eq!(carts[1].data["cart_id"], "1");
    assert_eq!(carts[1].data["total"], 25.0);
    assert_eq!(one.feedback[0].score, Some(4.0));
    let states: Vec<ConsentState> = one.consents.iter().map(|c| c.state).collect();
    assert_eq!(states, [ConsentState::Pending, ConsentState::Granted, ConsentState::Withdrawn]);
    assert!(one.events.iter().any(|e| e.name == "consent.requested" && e.data["channel"] == "email"));
    assert!(one.events.iter().any(|e| e.name == "consent.withdrawn" && e.data["purpose"] == "marketing"));
}

async fn live_customers_are_announced_and_history_is_not(bed: Bed) {
    let store = bed.store;
    take(&store, "a", vec![Record::Customer(customer(account("1", "")))]).await;
    assert!(only(&store).await.events.is_empty());
    let records = vec![
        Record::Customer(customer(account("1", "ann@example.com"))),
        Record::Customer(customer(account("2", ""))),
        Record::Order(order("5", account("2", ""), 3)),
    ];
    take_live(&store, "a", 10, records).await;
    let all = everybody(&store).await;
    let announced: Vec<_> =
        all.iter().flat_map(|s| &s.events).map(|e| (e.name.as_str(), e.occurred_at)).collect();
    assert_eq!(announced, [("customer.created", minute(3))], "the second one, who existed when they ordered");
}

async fn closed_cart_is_no_cart_update(bed: Bed) {
    let store = bed.store;
    let mut closed = cart("1", account("1", ""), 5);
    closed.is_open = false;
    take_late(&store, "a", vec![Record::Cart(cart("1", account("1", ""), 2)), Record::Cart(closed)]).await;
    let one = only(&store).await;
    assert!(!one.carts[0].is_open);
    assert_eq!(one.events.iter().map(|e| e.occurred_at).collect::<Vec<_>>(), [minute(2)]);
    take_late(&store, "a", vec![Record::Cart(cart("1", account("1", ""), 3))]).await;
    assert!(!only(&store).await.carts[0].is_open, "a page read earlier does not open it again");
}

/// A customer with one delivery in a state, known to the provider as `m1`.
async fn delivered(bed: &Bed, state: &str) {
    take(&bed.store, "a", vec![Record::Customer(customer(verified("1", "ann@example.com")))]).await;
    let id = "11111111111111111111111111111111";
    let insert = format!(
        "INSERT INTO delivery (bucket, customer_id, id, source_customer_id, run_id, journey, step, kind, channel,
             connector, target, purpose, capped, state, created_at, due_at, expires_at, attempt_count, provider_ref,
             payload, written_at)
         SELECT bucket, id, {{uuid:{id}}}, id, NULL, 'welcome', 'send:one', '{}', 'email', 'mail', 'one',
             'marketing', TRUE, '{state}', {{max}}, {{max}}, {{max}}, 1, 'm1', '{{{{}}}}', written_at FROM customer",
        DeliveryKind::Message
    );
    crate::parity::run_sql(bed, &insert.replace("{{}}", "{}")).await;
    settle(bed).await;
}

async fn receipts_move_their_delivery(bed: Bed) {
    delivered(&bed, "accepted").await;
    let store = &bed.store;
    let state = async || only(store).await.deliveries[0].state.as_str();
    take_live(store, "mail", 60, vec![Record::Receipt(receipt("1", ReceiptKind::Delivered, "m1"))]).await;
    assert_eq!(state().await, "delivered");
    assert_eq!(store.customers_due(minute(60), 9).await.unwrap().len(), 1);
    take_live(store, "mail", 61, vec![Record::Receipt(receipt("2", ReceiptKind::Accepted, "m1"))]).await;
    assert_eq!(state().await, "delivered", "an earlier word that comes late takes nothing back");
    let own = ReceiptRecord {
        delivery: Some("dlv_11111111111111111111111111111111".into()),
        provider_ref: None,
        ..receipt("3", ReceiptKind::Bounced, "")
    };
    take_live(store, "mail", 62, vec![Record::Receipt(own.clone())]).await;
    assert_eq!(state().await, "bounced");
    let suppressed = only(store).await.suppressions;
    assert_eq!(suppressed.len(), 1);
    assert!(suppressed[0].all_purposes);
    assert_eq!(suppressed[0].channel, Some(Channel::Email));
    assert_eq!(take_live(store, "mail", 63, vec![Record::Receipt(own)]).await.changed, 0);
}

async fn click_and_unsubscribe_reach_the_customer(bed: Bed) {
    delivered(&bed, "accepted").await;
    let store = &bed.store;
    let records = vec![
        Record::Receipt(receipt("1", ReceiptKind::Clicked, "m1")),
        Record::Receipt(receipt("2", ReceiptKind::Unsubscribed, "m1")),
        Record::Receipt(receipt("3", ReceiptKind::Deferred, "m1")),
    ];
    assert_eq!(take_live(store, "mail", 60, records).await.changed, 3);
    let one = only(store).await;
    let names: Vec<&str> = one.events.iter().map(|e| e.name.as_str()).collect();
    assert!(names.contains(&"mail.clicked") && names.contains(&"consent.withdrawn"), "{names:?}");
    assert_eq!(one.consents.len(), 1);
    assert_eq!((one.consents[0].state, one.consents[0].at), (ConsentState::Withdrawn, minute(30)));
    assert_eq!(one.suppressions.len(), 1);
    assert!(!one.suppressions[0].all_purposes, "service mails still go");
    assert_eq!(one.deliveries[0].state.as_str(), "delivered");
}

async fn receipt_of_another_connector_is_not_believed(bed: Bed) {
    delivered(&bed, "sending").await;
    let store = &bed.store;
    take_live(store, "other", 60, vec![Record::Receipt(receipt("1", ReceiptKind::Complained, "m1"))]).await;
    assert!(only(store).await.suppressions.is_empty());
    take_live(store, "mail", 61, vec![Record::Receipt(receipt("1", ReceiptKind::Delivered, "m1"))]).await;
    assert_eq!(
        only(store).await.deliveries[0].state.as_str(),
        "sending",
        "only its completion ends an attempt"
    );
    take_live(store, "mail", 62, vec![Record::Receipt(receipt("2", ReceiptKind::Complained, "m1"))]).await;
    assert_eq!(only(store).await.suppressions.len(), 1);
}

async fn catalogue_follows_the_shop(bed: Bed) {
    let store = bed.store;
    let newer = ProductRecord { updated_at: Some(minute(5)), ..product("2", "Brush") };
    let gone = ProductRecord { available: false, ..product("3", "Comb") };
    let records = vec![
        Record::Product(product("1", "Soap")),
        Record::Product(newer.clone()),
        Record::Product(gone),
        Record::Coupon(coupon("1")),
    ];
    assert_eq!(take_late(&store, "a", records).await.changed, 4);
    let stale = ProductRecord { updated_at: Some(minute(4)), ..product("2", "Old brush") };
    assert_eq!(take_late(&store, "a", vec![Record::Product(stale)]).await.changed, 0);
    assert_eq!(take_late(&store, "a", vec![Record::Product(product("1", "Nice soap"))]).await.changed, 1);
    let key = |id: &str| ("a".to_owned(), id.to_owned());
    let found =
        store.products(&[key("2"), key("9"), key("1"), ("b".to_owned(), "1".to_owned())]).await.unwrap();
    let titles: Vec<&str> = found.iter().map(|p| p.title.as_str()).collect();
    assert_eq!(titles, ["Brush", "Nice soap"]);
    assert_eq!(found[0].price, Some(Money::new(490, Currency::EUR)));
    assert_eq!(found[0].categories, ["care"]);
    let newest: Vec<String> = store.newest_products(5).await.unwrap().into_iter().map(|p| p.title).collect();
    assert_eq!(newest, ["Brush", "Nice soap"], "what cannot be bought is left out");
    assert_eq!(store.on_offer().await.unwrap(), [key("1"), key("2")].into());
    assert_eq!(
        take_late(&store, "a", vec![deleted("product", "1"), deleted("product", "1")]).await.changed,
        1
    );
    assert_eq!(store.newest_products(5).await.unwrap().len(), 1);
}

async fn cursor_moves_with_its_page(bed: Bed) {
    let store = bed.store;
    assert_eq!(store.cursor("a", "all").await.unwrap(), None);
    let next = |n: i64, caught_up| {
        Some(CursorUpdate { cursor: json!({ "page": n }), mode: "backfill".into(), caught_up })
    };
    let orders =
        vec![Record::Order(order("1", account("1", ""), 0)), Record::Order(order("2", guest("x"), 0))];
    store.ingest(Ingest { next: next(1, true), ..page("a", orders) }).await.unwrap();
    let later = Ingest { received_at: minute(9), next: next(2, false), ..page("a", Vec::new()) };
    store.ingest(later).await.unwrap();
    take(&store, "a", vec![Record::Order(order("3", account("1", ""), 0))]).await;
    let cursor = store.cursor("a", "all").await.unwrap().unwrap();
    assert_eq!(cursor.cursor, json!({ "page": 2 }));
    assert_eq!((cursor.caught_up_at, cursor.updated_at), (Some(minute(0)), minute(9)));
    assert_eq!((cursor.record_count, cursor.reject_count), (2, 1));
    assert_eq!(store.cursors().await.unwrap(), [cursor]);
}

async fn page_that_fails_leaves_nothing(bed: Bed) {
    let store = &bed.store;
    take(store, "a", vec![Record::Order(order("1", account("1", ""), 0))]).await;
    let before = crate::parity::dump(&bed).await;
    // The last statement of a page is the cursor's: without its table the page must not be there at all.
    crate::parity::run_sql(&bed, "ALTER TABLE sync_cursor RENAME TO elsewhere").await;
    let next = Some(CursorUpdate { cursor: json!(1), mode: "backfill".into(), caught_up: false });
    let failing = Ingest { next, ..page("a", vec![Record::Order(order("2", account("2", ""), 0))]) };
    assert!(store.ingest(failing.clone()).await.is_err());
    crate::parity::run_sql(&bed, "ALTER TABLE elsewhere RENAME TO sync_cursor").await;
    assert_eq!(crate::parity::dump(&bed).await, before);
    store.ingest(failing).await.unwrap();
    assert_eq!(everybody(store).await.len(), 2);
}

async fn same_reject_is_kept_once(bed: Bed) {
    let store = bed.store;
    let reject = NewReject { problem: "no date".into(), record: "1;\0x".into() };
    for minutes in [1, 2] {
        let ingest =
            Ingest { rejects: vec![reject.clone()], received_at: minute(minutes), ..page("a", Vec::new()) };
        assert_eq!(store.ingest(ingest).await.unwrap().rejected, 1);
    }
    let kept = store.rejects(10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].at, kept[0].record.as_str(), kept[0].stream.as_str()), (minute(2), "1;x", "all"));
}

async fn nul_and_line_breaks_do_not_get_in(bed: Bed) {
    let store = bed.store;
    let mut dirty = order("1\0", account("5\0", ""), 0);
    dirty.number = "A\r\nB\0".into();
    dirty.lines = vec![LineRecord { title: "So\0ap".into(), ..LineRecord::default() }];
    dirty.coupons = vec!["\0".into(), "TEN\0".into()];
    let mut spoken = event(None, "page\0.Viewed", 1);
    spoken.customer = account("5", "");
    spoken.data.insert("nul".into(), json!("a\0b"));
    take(&store, "a", vec![Record::Order(dirty), Record::Event(spoken)]).await;
    let one = only(&store).await;
    let order = &one.orders[0];
    assert_eq!((order.external_id.as_str(), order.number.as_str()), ("1", "A  B"));
    assert_eq!((order.lines[0].title.as_str(), order.coupons.as_slice()), ("Soap", &["TEN".to_owned()][..]));
    assert_eq!(one.events[0].name, "page.viewed");
}

async fn many_records_of_one_new_customer_are_one(bed: Bed) {
    let store = bed.store;
    let orders = (0..1200).map(|n| Record::Order(order(&n.to_string(), account("1", ""), n))).collect();
    let report = take(&store, "a", orders).await;
    assert_eq!((report.seen, report.changed, report.new_customers), (1200, 1200, 1));
    let one = only(&store).await;
    assert_eq!((one.orders.len(), one.mark.seq), (1200, 1), "a page raises the mark once");
    assert_eq!(one.customer.created_at, minute(0));
}
