//! Notes and groups: done once, whatever the shop answers.

use serde_json::{Value, json};
use wiremock::ResponseTemplate;
use zyklus_connect::{Action, ErrorKind, Keyed, Outcome};

use crate::shop::{Shop, graphql_error};

fn data(data: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "data": data }))
}

async fn perform(shop: &Shop, name: &str, attempt: u32, input: Value) -> Outcome<Value> {
    let body = Action { name: name.into(), input, customer_external_id: Some("3".into()) };
    let outcomes = shop.connector.perform(vec![Keyed { key: "d-1".into(), attempt, body }]).await;
    outcomes.into_iter().next().unwrap()
}

async fn shop() -> Shop {
    let shop = Shop::bare().await;
    shop.sign_in_with("token").await;
    shop
}

#[tokio::test]
async fn a_note_that_may_have_been_written_is_looked_for_before_it_is_written_again() {
    let shop = shop().await;
    shop.answer("addNoteToCustomer", graphql_error("INTERNAL_SERVER_ERROR", "lost")).await;
    let first = perform(&shop, "note", 1, json!({ "text": "Called" })).await;
    assert!(matches!(first, Outcome::Unknown(_)), "{first:?}");
    let items = json!([{ "id": "1", "data": { "note": "Called (zyklus d-1)" } }]);
    shop.answer("history(", data(json!({ "customer": { "id": "3", "history": { "items": items } } }))).await;
    let second = perform(&shop, "note", 2, json!({ "text": "Called" })).await;
    assert!(matches!(second, Outcome::Done(_)), "{second:?}");
    assert_eq!(shop.asked("addNoteToCustomer").await, 1);
}

#[tokio::test]
async fn a_customer_is_put_into_a_group_that_is_made_when_it_lacks() {
    let shop = shop().await;
    shop.answer("groups{id name}", data(json!({ "customer": { "id": "3", "groups": [] } }))).await;
    shop.answer("customerGroups(", data(json!({ "customerGroups": { "items": [] } }))).await;
    shop.answer("createCustomerGroup", data(json!({ "createCustomerGroup": { "id": "9" } }))).await;
    shop.answer("addCustomersToGroup", data(json!({ "addCustomersToGroup": { "id": "9" } }))).await;
    let outcome = perform(&shop, "group.add", 1, json!({ "group": " vip " })).await;
    assert_eq!(outcome, Outcome::Done(json!({ "group": "9" })));
}

#[tokio::test]
async fn a_customer_who_is_in_the_group_already_is_left_there() {
    let shop = shop().await;
    let groups = json!([{ "id": "9", "name": "vip" }, { "id": "8", "name": "other" }]);
    shop.answer("groups{id name}", data(json!({ "customer": { "id": "3", "groups": groups } }))).await;
    let outcome = perform(&shop, "group.add", 1, json!({ "group": "vip" })).await;
    assert_eq!(outcome, Outcome::Done(json!({ "group": "9" })));
    shop.answer("removeCustomersFromGroup", graphql_error("USER_INPUT_ERROR", "does not belong")).await;
    let outcome = perform(&shop, "group.remove", 1, json!({ "group": "vip" })).await;
    assert_eq!(outcome, Outcome::Done(json!({})));
    assert_eq!(shop.asked("removeCustomersFromGroup").await, 1);
}

#[tokio::test]
async fn what_cannot_be_done_is_rejected_and_what_may_work_later_is_not() {
    let shop = shop().await;
    let wrong = perform(&shop, "note", 1, json!({ "txt": "x" })).await;
    assert!(matches!(&wrong, Outcome::Rejected(e) if e.kind == ErrorKind::Invalid), "{wrong:?}");
    let wrong = perform(&shop, "refund", 1, json!({})).await;
    assert!(matches!(&wrong, Outcome::Rejected(e) if e.kind == ErrorKind::Unsupported), "{wrong:?}");
    shop.answer("groups{id name}", data(json!({ "customer": null }))).await;
    let gone = perform(&shop, "group.add", 1, json!({ "group": "vip" })).await;
    assert!(matches!(&gone, Outcome::Rejected(e) if e.kind == ErrorKind::NotFound), "{gone:?}");
    shop.answer("addNoteToCustomer", graphql_error("FORBIDDEN", "no")).await;
    let forbidden = perform(&shop, "note", 1, json!({ "text": "x" })).await;
    assert!(matches!(&forbidden, Outcome::Retry(e) if e.kind == ErrorKind::Permission), "{forbidden:?}");
}
