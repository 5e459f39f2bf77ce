//! What becomes of a shop's answer: amounts, guests, marks, and records that make no sense.

use serde_json::{Value, json};
use zyklus_connect::model::record::{CartRecord, OrderRecord, Record};
use zyklus_connect::model::{Money, OrderState};

use crate::shop::{Shop, list};

fn order(change: Value) -> Value {
    let mut order = json!({
        "id": "7", "code": "ABC", "state": "PaymentSettled", "active": false, "type": "Regular",
        "createdAt": "2026-01-01T09:00:00.000Z", "updatedAt": "2026-01-02T10:00:00.000Z",
        "orderPlacedAt": "2026-01-02T09:00:00.000Z", "currencyCode": "EUR", "couponCodes": ["SAVE"],
        "totalWithTax": 3260,
        "customer": { "id": "3", "firstName": "Ada", "lastName": "Guest", "emailAddress": "ada@example.org",
            "phoneNumber": null, "user": null },
        "shippingAddress": { "countryCode": "DE" }, "billingAddress": {},
        "lines": [{ "id": "1", "quantity": 2, "proratedLinePriceWithTax": 2770, "featuredAsset": null,
            "productVariant": { "id": "5", "sku": "TEA-1", "name": "Tea",
                "product": { "id": "2", "slug": "tea" } } }],
        "payments": [{ "id": "1", "state": "Settled", "amount": 3260,
            "createdAt": "2026-01-02T09:00:00.000Z", "updatedAt": "2026-01-02T09:00:01.000Z", "refunds": [] }],
        "fulfillments": [], "history": { "items": [] }
    });
    order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    order
}

async fn told(stream: &str, items: Value) -> (Vec<Record>, Vec<String>) {
    let shop = Shop::with_currency("EUR").await;
    shop.answer("list:", list(items)).await;
    let page = shop.read(stream, None).await.unwrap();
    (page.records, page.rejects.into_iter().map(|r| format!("{}: {}", r.place, r.message)).collect())
}

async fn one_order(change: Value) -> OrderRecord {
    let (records, rejects) = told("orders", json!([order(change)])).await;
    assert!(rejects.is_empty(), "{rejects:?}");
    match records.into_iter().next() {
        Some(Record::Order(order)) => order,
        other => panic!("no order but {other:?}"),
    }
}

fn money(minor: i64, currency: &str) -> Money {
    Money::new(minor, currency.parse().unwrap())
}

#[tokio::test]
async fn a_guests_order_names_them_by_address_and_ends_its_cart() {
    let (records, rejects) = told("orders", json!([order(json!({}))])).await;
    assert!(rejects.is_empty(), "{rejects:?}");
    let [Record::Order(order), Record::Cart(cart)] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(order.customer.email.as_deref(), Some("ada@example.org"));
    assert!(!order.customer.email_verified);
    let profile = order.profile.as_ref().unwrap();
    assert_eq!((profile.has_account, profile.country.as_deref()), (Some(false), Some("DE")));
    assert_eq!((order.total, order.coupons.as_slice()), (money(3260, "EUR"), &["SAVE".to_owned()][..]));
    assert_eq!((order.lines[0].quantity, order.lines[0].total_minor), (2, 2770));
    assert_eq!(
        (order.lines[0].product.as_deref(), order.lines[0].sku.as_deref()),
        (Some("2"), Some("TEA-1"))
    );
    assert_eq!((cart.external_id.as_str(), cart.is_open), ("7", false));
}

#[tokio::test]
async fn yen_and_dinars_get_their_own_decimals() {
    let unpaid =
        |currency| json!({ "currencyCode": currency, "totalWithTax": 500_000, "payments": [], "lines": [] });
    assert_eq!(one_order(unpaid("JPY")).await.total, money(5_000, "JPY"));
    assert_eq!(one_order(unpaid("KWD")).await.total, money(5_000_000, "KWD"));
    assert_eq!(one_order(unpaid("USD")).await.total, money(500_000, "USD"));
}

#[tokio::test]
async fn a_line_cancelled_and_paid_back_is_subtracted_once() {
    let refunds = json!([
        { "id": "4", "state": "Pending", "total": 890, "reason": "broken", "createdAt": "2026-01-03T00:00:00Z" },
        { "id": "5", "state": "Failed", "total": 999, "reason": null, "createdAt": "2026-01-03T00:00:00Z" }]);
    let payments = json!([
        { "id": "1", "state": "Settled", "amount": 3260, "refunds": refunds },
        { "id": "2", "state": "Declined", "amount": 3260, "refunds": [] }]);
    let order = one_order(json!({ "totalWithTax": 2370, "payments": payments })).await;
    let back: Vec<_> = order.refunds.iter().map(|r| (r.external_id.as_str(), r.amount_minor)).collect();
    assert_eq!((order.total, back), (money(3260, "EUR"), vec![("4", 890)]));
}

#[tokio::test]
async fn marks_are_the_first_of_their_kind_in_the_orders_history() {
    let step = |at: &str, to: &str| json!({ "createdAt": format!("2026-01-{at}T08:00:00.000Z"), "data": { "to": to } });
    let history = json!({ "items": [
        step("02", "PaymentSettled"), step("03", "Modifying"), step("04", "PaymentSettled"),
        step("05", "Shipped"), step("06", "Delivered")] });
    let order = one_order(json!({ "state": "Delivered", "history": history })).await;
    let day = |n: u8| Some(format!("2026-01-0{n}T08:00:00Z").parse().unwrap());
    assert_eq!((order.paid_at, order.shipped_at, order.delivered_at), (day(2), day(5), day(6)));
    assert_eq!((order.state, order.cancelled_at), (OrderState::Placed, None));
    let history = json!({ "items": [step("02", "PaymentSettled"), step("04", "Cancelled")] });
    let order = one_order(json!({ "state": "Cancelled", "totalWithTax": 0, "history": history })).await;
    assert_eq!((order.state, order.cancelled_at), (OrderState::Cancelled, day(4)));
    assert_eq!(order.total, money(3260, "EUR"), "what was paid, though Vendure calls it 0");
}

#[tokio::test]
async fn without_history_the_dates_of_payments_and_shipments_serve() {
    let fulfilled = |state| {
        json!([{ "id": "1", "state": state, "createdAt": "2026-01-05T00:00:00Z",
            "updatedAt": "2026-01-06T00:00:00Z" }])
    };
    let order = one_order(json!({ "state": "Shipped", "fulfillments": fulfilled("Shipped") })).await;
    assert_eq!(order.paid_at, Some("2026-01-02T09:00:01Z".parse().unwrap()));
    assert_eq!((order.shipped_at, order.delivered_at), (Some("2026-01-06T00:00:00Z".parse().unwrap()), None));
    let order = one_order(json!({ "state": "Delivered", "fulfillments": fulfilled("Delivered") })).await;
    assert_eq!(order.shipped_at, Some("2026-01-05T00:00:00Z".parse().unwrap()));
    assert_eq!(order.delivered_at, Some("2026-01-06T00:00:00Z".parse().unwrap()));
    let order = one_order(json!({ "state": "PartiallyShipped", "fulfillments": fulfilled("Shipped") })).await;
    assert_eq!(order.shipped_at, None, "part of it is still here");
}

#[tokio::test]
async fn what_cannot_be_told_is_reported_by_its_id_and_the_rest_is_told() {
    let items = json!([
        order(json!({ "id": "8", "customer": null })),
        order(json!({ "id": "9", "currencyCode": "EURO" })),
        order(json!({ "id": "10", "currencyCode": "JPY", "totalWithTax": 3201, "payments": [] })),
        { "id": "11", "updatedAt": "2026-01-02T10:00:00.000Z" },
        order(json!({ "id": "12" })),
        order(json!({ "id": "13", "type": "Seller" }))]);
    let (records, rejects) = told("orders", items).await;
    let ids = records.iter().filter_map(|r| match r {
        Record::Order(order) => Some(order.external_id.as_str()),
        _ => None,
    });
    assert_eq!(ids.collect::<Vec<_>>(), ["12"]);
    let expected = [
        ("orders 8", "no customer"),
        ("orders 9", "EURO"),
        ("orders 10", "JPY"),
        ("orders 11", "understood"),
    ];
    assert_eq!(rejects.len(), expected.len(), "{rejects:?}");
    for (reject, (place, words)) in rejects.iter().zip(expected) {
        assert!(reject.starts_with(place) && reject.contains(words), "{reject}");
    }
}

#[tokio::test]
async fn a_cart_is_open_while_it_is_active_and_holds_something() {
    let cart = |change: Value| {
        let mut cart =
            json!({ "orderPlacedAt": null, "active": true, "state": "AddingItems", "payments": null });
        cart.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        order(cart)
    };
    let items = json!([
        cart(json!({ "id": "1" })),
        cart(json!({ "id": "2", "lines": [] })),
        cart(json!({ "id": "3", "active": false })),
        cart(json!({ "id": "4", "customer": null }))
    ]);
    let (records, rejects) = told("carts", items).await;
    assert!(rejects.is_empty(), "{rejects:?}");
    let carts: Vec<&CartRecord> = records
        .iter()
        .map(|r| match r {
            Record::Cart(cart) => cart,
            other => panic!("{other:?}"),
        })
        .collect();
    let told: Vec<_> = carts.iter().map(|c| (c.external_id.as_str(), c.is_open)).collect();
    assert_eq!(told, [("1", true), ("2", false), ("3", false)]);
    assert_eq!(carts[0].total, money(3260, "EUR"));
}

#[tokio::test]
async fn promotions_tell_a_discount_only_when_it_is_all_they_do() {
    let promotion = |id: &str, actions: Value| {
        json!({ "id": id, "updatedAt": "2026-01-02T10:00:00.000Z", "name": "Sale", "couponCode": "SALE",
            "enabled": true, "startsAt": null, "endsAt": "2026-12-31T23:00:00.000Z", "actions": actions })
    };
    let action =
        |code: &str, value: &str| json!({ "code": code, "args": [{ "name": "discount", "value": value }] });
    let items = json!([
        promotion("1", json!([action("order_percentage_discount", "12.5")])),
        promotion("2", json!([action("order_fixed_discount", "1000")])),
        promotion(
            "3",
            json!([action("order_fixed_discount", "1"), action("order_percentage_discount", "5")])
        )
    ]);
    let (records, rejects) = told("coupons", items).await;
    assert!(rejects.is_empty(), "{rejects:?}");
    let told: Vec<_> = (records.iter())
        .map(|r| match r {
            Record::Coupon(coupon) => (coupon.percent, coupon.amount),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(Some(12.5), None), (None, Some(money(1000, "EUR"))), (None, None)]);
}
