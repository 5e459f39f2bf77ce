//! The Vendure connector against a real Vendure: what shoppers and staff do through Vendure's own APIs comes
//! out as records, nothing that changes meanwhile is missed, and what is wrong is said. What a real shop cannot
//! be asked to do is tested in `plugins/vendure/tests`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use zyklus_connect::{Check, Cursor, Error, ErrorKind, Mode, Next, ReadRequest};
use zyklus_host::{ConnectorConfig, Host, HostOptions, Opened, Registry};
use zyklus_model::record::{CartRecord, CustomerRecord, OrderRecord, Record};
use zyklus_model::{At, Money, OrderState};
use zyklus_tests::vendure::{Order, OrderSpec, SUPERADMIN, Vendure};
use zyklus_vendure::VendureConnector;

use crate::life::World;

fn now() -> At {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    At::from_micros(i64::try_from(since.as_micros()).unwrap())
}

fn euros(minor: i64) -> Money {
    Money::new(minor, "EUR".parse().unwrap())
}

/// The connector on a shop, signed in as its superadmin unless `more` says otherwise.
async fn open(url: &str, more: Value) -> (Opened, TempDir) {
    let mut config = json!({ "url": url, "username": SUPERADMIN, "password": SUPERADMIN });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let folder = tempfile::tempdir().unwrap();
    let options = HostOptions::new(Arc::new(now), folder.path(), folder.path());
    let host = Host::new(Registry::new().with::<VendureConnector>(), options).unwrap();
    let config = ConnectorConfig::new("shop", "vendure", config, []);
    (host.open(&config).await.unwrap(), folder)
}

/// Reads one page; whether more follows, and from where.
async fn page(connector: &Opened, stream: &str, cursor: Option<Cursor>) -> (Vec<Record>, Cursor, bool) {
    let mode = Mode::Backfill { from: None };
    let page = connector.read(ReadRequest { stream: stream.into(), cursor, mode, limit: 250 }).await.unwrap();
    assert!(page.rejects.is_empty(), "{:?}", page.rejects);
    let more = matches!(page.next, Next::More { .. });
    (page.records, page.next.cursor().clone(), more)
}

/// Reads a stream until nothing more follows.
async fn read(connector: &Opened, stream: &str, mut cursor: Option<Cursor>) -> (Vec<Record>, Option<Cursor>) {
    let mut records = Vec::new();
    loop {
        let (some, next, more) = page(connector, stream, cursor).await;
        records.extend(some);
        cursor = Some(next);
        if !more {
            return (records, cursor);
        }
    }
}

/// The last word on each order.
fn orders(records: Vec<Record>) -> BTreeMap<String, OrderRecord> {
    let orders = records.into_iter().filter_map(|r| match r {
        Record::Order(order) => Some((order.number.clone(), order)),
        _ => None,
    });
    orders.collect()
}

/// The last word on each customer, by address.
fn customers(records: &[Record]) -> BTreeMap<String, CustomerRecord> {
    let customers = records.iter().filter_map(|r| match r {
        Record::Customer(c) => Some((c.customer.email.clone().unwrap(), c.clone())),
        _ => None,
    });
    customers.collect()
}

fn carts(records: Vec<Record>) -> Vec<CartRecord> {
    let carts = records.into_iter().filter_map(|r| match r {
        Record::Cart(cart) => Some(cart),
        _ => None,
    });
    carts.collect()
}

/// Staff hand the whole order to the parcel service, then move the parcel on.
async fn ship(shop: &Vendure, order: &Order, states: &[&str]) {
    let lines = shop
        .admin("query ($id: ID!) { order(id: $id) { lines { id quantity } } }", json!({ "id": order.id }))
        .await
        .unwrap();
    let lines: Vec<Value> = (lines["order"]["lines"].as_array().unwrap().iter())
        .map(|line| json!({ "orderLineId": line["id"], "quantity": line["quantity"] }))
        .collect();
    let by_hand = json!([{ "name": "method", "value": "Parcel" }, { "name": "trackingCode", "value": "1" }]);
    let input = json!({ "lines": lines, "handler": { "code": "manual-fulfillment", "arguments": by_hand } });
    let fulfil = "mutation ($i: FulfillOrderInput!) { addFulfillmentToOrder(input: $i) {
        ... on Fulfillment { id } ... on ErrorResult { message } } }";
    let parcel = shop.admin(fulfil, json!({ "i": input })).await.unwrap();
    for state in states {
        let id = &parcel["addFulfillmentToOrder"]["id"];
        let go = "mutation ($id: ID!, $to: String!) { transitionFulfillmentToState(id: $id, state: $to) {
            ... on Fulfillment { state } ... on ErrorResult { message } } }";
        let moved = shop.admin(go, json!({ "id": id, "to": state })).await.unwrap();
        assert_eq!(moved["transitionFulfillmentToState"]["state"], **state, "{parcel} {moved}");
    }
}

async fn rename(shop: &Vendure, id: &str, first: &str) {
    let query = "mutation ($i: UpdateCustomerInput!) { updateCustomer(input: $i) {
        ... on Customer { id } ... on ErrorResult { message } } }";
    let data = shop.admin(query, json!({ "i": { "id": id, "firstName": first } })).await.unwrap();
    assert_eq!(data["updateCustomer"]["id"], id);
}

#[tokio::test]
async fn vendure_sales_carts_and_refunds_become_records() {
    let shop = Vendure::start().await.unwrap();
    shop.create_coupon("TEN", 10).await.unwrap();
    shop.create_customer("ann@example.com", "Ann", "Lee", Some("secret-42")).await.unwrap();
    // 2 x 8.90 less 10 %, and 4.90 for the parcel.
    let account = OrderSpec {
        login: Some("secret-42"),
        coupon: Some("TEN"),
        quantity: 2,
        ..OrderSpec::guest("ann@example.com", "ESP-250")
    };
    let account = shop.place_order(account).await.unwrap();
    let guest = shop.place_order(OrderSpec::guest("guest@example.com", "GRI-1")).await.unwrap();
    let left = OrderSpec { complete: false, ..OrderSpec::guest("left@example.com", "CON-1") };
    let left = shop.place_order(left).await.unwrap();
    let refund = shop.refund(&guest, 3000).await.unwrap();
    let begun = now().plus_seconds(-60);

    let (connector, _folder) =
        open(&shop.url(), json!({ "storefront_url": "https://teehaus.example" })).await;
    let (records, _) = read(&connector, "customers", None).await;
    let people = customers(&records);
    assert_eq!(
        people.keys().map(String::as_str).collect::<Vec<_>>(),
        ["ann@example.com", "guest@example.com", "left@example.com"]
    );
    let ann = &people["ann@example.com"];
    assert_eq!((ann.first_name.as_deref(), ann.last_name.as_deref()), (Some("Ann"), Some("Lee")));
    assert_eq!((ann.has_account, ann.customer.email_verified), (Some(true), true));
    let unknown = &people["guest@example.com"];
    assert_eq!((unknown.has_account, unknown.customer.email_verified), (Some(false), false));
    assert_eq!(unknown.first_name.as_deref(), Some("guest"));

    let (records, _) = read(&connector, "orders", None).await;
    let all = orders(records);
    assert_eq!(all.len(), 2);
    let of_ann = &all[&account.code];
    assert_eq!((of_ann.total, account.total_minor), (euros(1602 + 490), 1602 + 490));
    assert_eq!(
        (of_ann.customer.external_id.as_ref(), of_ann.coupons.as_slice()),
        (ann.customer.external_id.as_ref(), &["TEN".to_owned()][..])
    );
    let [line] = of_ann.lines.as_slice() else { panic!("{:?}", of_ann.lines) };
    assert_eq!((line.sku.as_deref(), line.quantity, line.total_minor), (Some("ESP-250"), 2, 1602));
    assert_eq!(line.url.as_deref(), Some("https://teehaus.example/product/house-espresso"));
    assert_eq!(of_ann.state, OrderState::Placed);
    assert!(of_ann.paid_at.is_some_and(|at| at > begun) && of_ann.placed_at > begun);
    assert_eq!((of_ann.shipped_at, of_ann.delivered_at, of_ann.cancelled_at), (None, None, None));
    let of_guest = &all[&guest.code];
    assert_eq!(
        (of_guest.total, of_guest.customer.email.as_deref()),
        (euros(7900 + 490), Some("guest@example.com"))
    );
    assert_eq!(of_guest.profile.as_ref().and_then(|p| p.country.as_deref()), Some("DE"));
    let [back] = of_guest.refunds.as_slice() else { panic!("{:?}", of_guest.refunds) };
    assert_eq!((back.external_id.as_str(), back.amount_minor), (refund.as_str(), 3000));
    assert_eq!(back.reason.as_deref(), Some("returned"));
    assert!(back.at.is_some_and(|at| at > begun));

    let (records, _) = read(&connector, "carts", None).await;
    let open_carts = carts(records);
    let [cart] = open_carts.as_slice() else { panic!("{open_carts:?}") };
    assert_eq!((cart.external_id.as_str(), cart.is_open, cart.total), (left.id.as_str(), true, euros(2450)));
    assert_eq!(cart.customer.email.as_deref(), Some("left@example.com"));
    assert_eq!(cart.lines[0].title, "Pour-over Cone");

    let (records, _) = read(&connector, "coupons", None).await;
    let [Record::Coupon(coupon)] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((coupon.code.as_deref(), coupon.percent, coupon.enabled), (Some("TEN"), Some(10.0), true));
    let (records, _) = read(&connector, "products", None).await;
    let prices: BTreeMap<&str, Option<Money>> = (records.iter())
        .map(|r| match r {
            Record::Product(product) if product.available => (product.title.as_str(), product.price),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(prices.len(), 6);
    assert_eq!(prices["House Espresso"], Some(euros(890)), "its cheapest variant");
    assert!(connector.close(std::time::Duration::from_secs(10)).await);
}

#[tokio::test]
async fn vendure_shipments_refunds_and_cancellations_are_heard_of_though_no_date_shows_them() {
    let shop = Vendure::start().await.unwrap();
    let sell = async |email, sku, quantity| {
        shop.place_order(OrderSpec { quantity, ..OrderSpec::guest(email, sku) }).await.unwrap()
    };
    let shipped = sell("ann@example.com", "GRI-1", 1).await;
    let returned = sell("ben@example.com", "CON-1", 2).await;
    let cancelled = sell("eve@example.com", "PAP-40", 1).await;
    let (connector, _folder) = open(&shop.url(), json!({ "refund_sweep_every": 0 })).await;
    let (records, cursor) = read(&connector, "orders", None).await;
    let before = orders(records);

    ship(&shop, &shipped, &["Shipped", "Delivered"]).await;
    shop.refund(&returned, 2450).await.unwrap();
    shop.cancel(&cancelled).await.unwrap();
    let (records, cursor) = read(&connector, "orders", cursor).await;
    let after = orders(records);

    let (old, new) = (&before[&shipped.code], &after[&shipped.code]);
    assert_eq!(old.updated_at, new.updated_at, "Vendure does not date the order anew");
    assert_eq!((old.shipped_at, old.delivered_at), (None, None));
    assert!(new.shipped_at.is_some() && new.shipped_at <= new.delivered_at, "{new:?}");
    let (old, new) = (&before[&returned.code], &after[&returned.code]);
    assert_eq!(old.updated_at, new.updated_at, "Vendure does not date the order anew");
    assert_eq!((new.total, new.refunds.len(), new.refunds[0].amount_minor), (old.total, 1, 2450));
    let new = &after[&cancelled.code];
    assert_eq!((new.state, new.total), (OrderState::Cancelled, euros(320 + 490)), "what was paid, still");
    assert!(new.cancelled_at.is_some_and(|at| at >= new.placed_at));

    // Staff take one of two pieces off the order: it shrinks, and the refund comes besides.
    let line = "query ($id: ID!) { order(id: $id) { lines { id } } }";
    let line = shop.admin(line, json!({ "id": returned.id })).await.unwrap();
    let lines = json!([{ "orderLineId": line["order"]["lines"][0]["id"], "quantity": 1 }]);
    let cancel = "mutation ($i: CancelOrderInput!) { cancelOrder(input: $i) {
        ... on Order { totalWithTax } ... on ErrorResult { message } } }";
    let less = shop.admin(cancel, json!({ "i": { "orderId": returned.id, "lines": lines } })).await.unwrap();
    assert_eq!(less["cancelOrder"]["totalWithTax"], 2450 + 490);
    let (records, _) = read(&connector, "orders", cursor).await;
    let new = &orders(records)[&returned.code];
    assert_eq!((new.total, new.lines[0].quantity), (euros(2 * 2450 + 490), 1));
}

#[tokio::test]
async fn vendure_changes_made_between_pages_are_never_missed() {
    let shop = Vendure::start().await.unwrap();
    let mut ids = Vec::new();
    for number in 0..9 {
        let email = format!("c{number}@example.com");
        ids.push(shop.create_customer(&email, "before", "Lee", None).await.unwrap());
    }
    let (connector, _folder) = open(&shop.url(), json!({ "page_size": 2, "reread_every": 0 })).await;
    let (mut records, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let (some, next, more) = page(&connector, "customers", cursor).await;
        records.extend(some);
        cursor = Some(next);
        pages += 1;
        match pages {
            // One that was read, one that was not; a new one; one that goes.
            1 => {
                let read = customers(&records).into_values().next().unwrap().customer.external_id.unwrap();
                rename(&shop, &read, "again").await;
            }
            2 => rename(&shop, &ids[8], "later").await,
            3 => drop(shop.create_customer("new@example.com", "new", "Lee", None).await.unwrap()),
            _ => assert!(pages < 60, "reading does not end"),
        }
        if !more {
            break;
        }
    }
    assert!(pages > 4, "the changes came between the pages");
    let told = customers(&records);
    assert_eq!(told.len(), 10);
    let named = |told: &BTreeMap<String, CustomerRecord>, first: &str| {
        told.values().filter(|c| c.first_name.as_deref() == Some(first)).count()
    };
    assert_eq!((named(&told, "again"), named(&told, "later"), named(&told, "new")), (1, 1, 1));

    // Twice in what may be the same second, with a read in between; and one goes.
    rename(&shop, &ids[4], "first").await;
    let (records, cursor) = read(&connector, "customers", cursor).await;
    assert_eq!(named(&customers(&records), "first"), 1);
    rename(&shop, &ids[4], "second").await;
    let delete = "mutation ($id: ID!) { deleteCustomer(id: $id) { result } }";
    shop.admin(delete, json!({ "id": ids[5] })).await.unwrap();
    let (records, _) = read(&connector, "customers", cursor).await;
    assert_eq!(named(&customers(&records), "second"), 1);
    let gone: BTreeSet<&str> = (records.iter())
        .filter_map(|r| match r {
            Record::Deleted(gone) => Some(gone.external_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(gone, BTreeSet::from([ids[5].as_str()]));
}

#[tokio::test]
async fn vendure_session_that_was_ended_is_renewed_unseen() {
    let mut shop = Vendure::start().await.unwrap();
    shop.create_customer("ann@example.com", "Ann", "Lee", None).await.unwrap();
    let (connector, _folder) = open(&shop.url(), json!({})).await;
    let (records, cursor) = read(&connector, "customers", None).await;
    assert_eq!(records.len(), 1);
    // Signing out one session of a user ends all of theirs.
    shop.admin("mutation { logout { success } }", json!({})).await.unwrap();
    let refused = shop.admin("{ me { id } }", json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("FORBIDDEN"), "{refused}");
    let (records, _) = read(&connector, "coupons", None).await;
    assert!(records.is_empty());

    // While the shop is down nothing is lost, and afterwards reading goes on where it stood.
    shop.pause().await.unwrap();
    let request = |cursor: Option<Cursor>| ReadRequest {
        stream: "customers".into(),
        cursor,
        mode: Mode::Incremental,
        limit: 250,
    };
    let error = connector.read(request(cursor.clone())).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(error.message.contains("no connection to 127.0.0.1"), "{error}");
    shop.resume().await.unwrap();
    shop.create_customer("ben@example.com", "Ben", "Lee", None).await.unwrap();
    let (records, _) = read(&connector, "customers", cursor).await;
    assert!(customers(&records).contains_key("ben@example.com"));
}

/// The first check that failed: its name, and what the operator is told.
fn problem(checks: Vec<Check>) -> (String, Error) {
    let told = format!("all is well: {checks:?}");
    checks.into_iter().find_map(|c| Some((c.name, c.problem?))).expect(&told)
}

#[tokio::test]
async fn vendure_checks_say_what_is_wrong() {
    let shop = Vendure::start().await.unwrap();
    let check = async |more: Value| open(&shop.url(), more).await.0.check().await;
    let checks = check(json!({})).await;
    assert!(checks.iter().all(|c| c.problem.is_none()), "{checks:?}");
    let found: Vec<&str> = checks.iter().map(|c| c.found.as_str()).collect();
    assert_eq!(
        found,
        [
            "an Admin API answers",
            "channel __default_channel__, EUR, amounts with 2 decimals",
            "6 products",
            "0 customers",
            "0 orders and carts",
            "0 promotions"
        ]
    );

    let (name, error) = problem(check(json!({ "password": "wrong-horse" })).await);
    assert_eq!((name.as_str(), error.kind), ("credentials", ErrorKind::Auth));
    assert!(error.message.contains("`username` and `password`"), "{error}");
    assert!(!format!("{error:?}").contains("wrong-horse"), "{error:?}");
    let (name, error) = problem(check(json!({ "admin_api_path": "nowhere" })).await);
    assert_eq!((name.as_str(), error.field.as_deref()), ("reachable", Some("url")));
    assert!(error.message.contains("404"), "{error}");
    let key = json!({ "api_key": "1:abc", "username": null, "password": null });
    let (name, error) = problem(check(key).await);
    assert_eq!((name.as_str(), error.kind), ("credentials", ErrorKind::Auth));
    assert!(error.message.contains("`api_key`"), "{error}");

    // With a single channel Vendure takes any token for it; with two it refuses.
    let wrong = json!({ "channel_token": "nope" });
    let (name, error) = problem(check(wrong.clone()).await);
    assert_eq!((name.as_str(), error.field.as_deref()), ("credentials", Some("channel_token")));
    let mut zones = shop.admin("{ zones { items { id } } }", json!({})).await.unwrap();
    let zone = zones["zones"]["items"][0]["id"].take();
    let input = json!({ "code": "japan", "token": "japan-token", "defaultLanguageCode": "en",
        "pricesIncludeTax": true, "defaultCurrencyCode": "JPY", "availableCurrencyCodes": ["JPY"],
        "defaultTaxZoneId": zone, "defaultShippingZoneId": zone });
    let create = "mutation ($i: CreateChannelInput!) { createChannel(input: $i) {
        ... on Channel { id } ... on ErrorResult { message } } }";
    let japan = shop.admin(create, json!({ "i": input })).await.unwrap();
    assert!(japan["createChannel"]["id"].is_string(), "{japan}");
    let (name, error) = problem(check(wrong).await);
    assert_eq!((name.as_str(), error.field.as_deref()), ("reachable", Some("channel_token")));
    let checks = check(json!({ "channel_token": "japan-token" })).await;
    assert_eq!(checks[1].found, "channel japan, JPY, amounts with 2 decimals", "{checks:?}");

    // A member of staff who may see customers only.
    let role = "mutation ($i: CreateRoleInput!) { createRole(input: $i) { id } }";
    let input = json!({ "code": "robot", "description": "robot", "permissions": ["ReadCustomer"] });
    let role = shop.admin(role, json!({ "i": input })).await.unwrap()["createRole"]["id"].take();
    let staff = "mutation ($i: CreateAdministratorInput!) { createAdministrator(input: $i) { id } }";
    let input = json!({ "firstName": "R", "lastName": "B", "emailAddress": "robot@example.com",
        "password": "robot-42", "roleIds": [role] });
    shop.admin(staff, json!({ "i": input })).await.unwrap();
    let checks = check(json!({ "username": "robot@example.com", "password": "robot-42" })).await;
    let refused: Vec<_> = checks.iter().filter(|c| c.problem.is_some()).map(|c| c.name.as_str()).collect();
    assert_eq!(refused, ["products can be read", "orders can be read", "coupons can be read"], "{checks:?}");
    let (_, error) = problem(checks);
    assert_eq!(error.kind, ErrorKind::Permission);
    assert!(error.message.contains("ReadCatalog or ReadProduct"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn vendure_shop_comes_into_the_store_once_however_often_it_is_read() {
    let shop = Vendure::start().await.unwrap();
    shop.place_order(OrderSpec::guest("ann@example.com", "GRI-1")).await.unwrap();
    let second = shop.place_order(OrderSpec::guest("ann@example.com", "CON-1")).await.unwrap();
    let left = OrderSpec { complete: false, ..OrderSpec::guest("ann@example.com", "PAP-40") };
    shop.place_order(left).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in zyklus_runtime::starter_files() {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let password = folder.path().join("password");
    std::fs::write(&password, SUPERADMIN).unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = folder.path().join("zyklus.toml");
    let text = format!(
        r#"
[shop]
name = "Teehaus"
url = "https://teehaus.example"
currency = "EUR"
locale = "de"
time_zone = "Europe/Berlin"
legal_name = "Teehaus GmbH"
address_lines = ["Am Markt 1", "20095 Hamburg"]
email = "hallo@teehaus.example"

[connectors.shop]
type = "vendure"
url = "{}"
username = "{SUPERADMIN}"
password = {{ file = "password" }}
refund_sweep_every = 0
catalog_every = 0
reread_every = 0

[connectors.mail]
type = "maildir"
path = "mail"
"#,
        shop.url()
    );
    std::fs::write(&config, text).unwrap();
    let url = format!("sqlite:{}", folder.path().join("zyklus.db").display());
    let world = World::open(&config, &url, now()).await;
    for round in 0..3 {
        if round == 2 {
            shop.refund(&second, 1000).await.unwrap();
        }
        world.clock.set(now());
        world.sync().await;
        let ids = world.store.customer_ids(None, 10).await.unwrap();
        let [ann] = ids.as_slice() else { panic!("{ids:?}") };
        let snapshot = world.store.snapshots(&[*ann]).await.unwrap().remove(0);
        let totals: Vec<i64> = snapshot.orders.iter().map(|o| o.total.amount_minor).collect();
        assert_eq!(totals, [7900 + 490, 2450 + 490], "round {round}");
        assert_eq!(snapshot.carts.iter().filter(|c| c.is_open).count(), 1, "round {round}");
        let refunded: i64 = snapshot.orders.iter().map(|o| o.refunded_minor()).sum();
        assert_eq!(refunded, if round == 2 { 1000 } else { 0 });
    }
    world.connectors.close().await;
    world.store.close().await;
}
