//! What the operator reads when a shop answers nonsense, refuses, is too busy or has forgotten who we are.

use serde_json::json;
use wiremock::ResponseTemplate;
use zyklus_connect::{Check, Error, ErrorKind};

use crate::shop::{PASSWORD, Shop, channel, graphql_error, list, open, signed_in};

/// The one problem among the checks, which is the last of them: later ones are not tried.
fn problem(checks: &[Check]) -> (&str, &Error) {
    let bad: Vec<_> = checks.iter().filter_map(|c| Some((c.name.as_str(), c.problem.as_ref()?))).collect();
    assert_eq!(bad.len(), 1, "{checks:?}");
    assert!(checks.last().unwrap().problem.is_some(), "{checks:?}");
    bad[0]
}

fn html(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw("<html>Welcome to nginx!</html>", "text/html")
}

async fn answered(answer: ResponseTemplate) -> Error {
    let shop = Shop::bare().await;
    shop.answer("", answer).await;
    let checks = shop.connector.check().await;
    let (name, error) = problem(&checks);
    assert_eq!(name, "reachable");
    error.clone()
}

#[tokio::test]
async fn a_web_page_instead_of_an_answer_asks_whether_the_address_is_right() {
    let error = answered(html(200)).await;
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(error.message.contains("is the address right?"), "{error}");
    assert!(error.detail.unwrap().contains("Welcome to nginx!"));
}

#[tokio::test]
async fn json_that_is_not_graphql_asks_whether_this_is_a_vendure() {
    for body in [json!({ "ok": true }), json!([]), json!({ "data": null }), json!({ "data": { "a": 1 } })] {
        let error = answered(ResponseTemplate::new(200).set_body_json(&body)).await;
        assert_eq!(error.kind, ErrorKind::Internal, "{body}");
        assert!(error.message.contains("is this a Vendure Admin API?"), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_missing_page_and_a_redirect_blame_the_address() {
    for status in [301, 404, 405] {
        let error = answered(html(status).insert_header("location", "https://elsewhere.example/")).await;
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Config, Some("url")), "{status}");
        assert!(error.message.contains("admin_api_path"), "{error}");
    }
}

#[tokio::test]
async fn a_web_server_that_wants_its_own_login_is_told_from_vendure() {
    for status in [401, 403] {
        let error = answered(html(status)).await;
        assert_eq!(error.kind, ErrorKind::Auth);
        assert!(error.message.contains("before Vendure sees it"), "{error}");
        assert!(error.message.contains(&status.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_shop_that_is_not_there_names_its_host() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (connector, _folder) = open(&url, json!({})).await.unwrap();
    let checks = connector.check().await;
    let (name, error) = problem(&checks);
    assert_eq!((name, error.kind), ("reachable", ErrorKind::Transient));
    assert!(error.message.contains("no connection to 127.0.0.1"), "{error}");
}

#[tokio::test]
async fn too_many_requests_say_how_long_to_wait_and_lose_nothing() {
    let shop = Shop::with_currency("EUR").await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "120");
    shop.answer_times("list:promotions", busy, 1).await;
    shop.answer("list:promotions", list(json!([]))).await;
    let error = shop.read("coupons", None).await.unwrap_err();
    assert_eq!((error.kind, error.retry_after_ms), (ErrorKind::RateLimited, Some(120_000)));
    assert!(shop.read("coupons", None).await.is_ok());
}

#[tokio::test]
async fn a_shop_that_is_down_is_asked_again_and_then_reported() {
    let shop = Shop::with_currency("EUR").await;
    shop.answer_times("list:promotions", html(503), 4).await;
    shop.answer("list:promotions", list(json!([]))).await;
    let error = shop.read("coupons", None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(error.message.contains("503"), "{error}");
    assert_eq!(shop.asked("list:promotions").await, 4);
    assert!(shop.read("coupons", None).await.is_ok());
}

#[tokio::test]
async fn graphql_errors_are_told_apart() {
    let shop = Shop::with_currency("EUR").await;
    let told = [
        (
            "GRAPHQL_VALIDATION_FAILED",
            "Cannot query field",
            ErrorKind::Internal,
            "version does not know",
            None,
        ),
        (
            "USER_INPUT_ERROR",
            "Cannot take more than 100",
            ErrorKind::Config,
            "`page_size`",
            Some("page_size"),
        ),
        ("CHANNEL_NOT_FOUND", "No Channel", ErrorKind::Config, "no channel", Some("channel_token")),
        ("INTERNAL_SERVER_ERROR", "SQLITE_BUSY", ErrorKind::Transient, "failed inside", None),
        ("", "no code at all", ErrorKind::Transient, "failed inside", None),
    ];
    for (code, message, kind, words, field) in told {
        shop.answer_times("list:customers", graphql_error(code, message), 1).await;
        let error = shop.read("customers", None).await.unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (kind, field), "{code}");
        assert!(error.message.contains(words), "{error}");
        assert!(error.detail.unwrap().contains(message), "the shop's words are kept");
    }
}

#[tokio::test]
async fn an_ended_session_is_renewed_and_the_request_repeated() {
    let shop = Shop::with_currency("EUR").await;
    shop.answer_times("list:promotions", graphql_error("FORBIDDEN", "not authorized"), 1).await;
    shop.answer("list:promotions", list(json!([]))).await;
    assert!(shop.read("coupons", None).await.is_ok());
    assert_eq!(shop.asked("login(").await, 2);
}

#[tokio::test]
async fn a_right_that_lacks_is_named_and_does_not_sign_in_for_ever() {
    let shop = Shop::with_currency("EUR").await;
    shop.answer("list:orders", graphql_error("FORBIDDEN", "not authorized")).await;
    let error = shop.read("orders", None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Permission);
    assert!(error.message.contains("ReadOrder"), "{error}");
    assert_eq!(shop.asked("login(").await, 2);
}

#[tokio::test]
async fn streams_read_at_once_share_one_session() {
    let shop = Shop::with_currency("EUR").await;
    for stream in ["list:products", "list:customers", "list:orders", "list:promotions"] {
        shop.answer(stream, list(json!([]))).await;
    }
    let read = |stream| shop.read(stream, None);
    let (a, b, c, d) = tokio::join!(read("products"), read("customers"), read("orders"), read("coupons"));
    assert!([a, b, c, d].iter().all(Result::is_ok));
    assert_eq!(shop.asked("login(").await, 1);
}

#[tokio::test]
async fn wrong_credentials_say_so_and_are_tried_once() {
    let shop = Shop::bare().await;
    shop.answer("{activeChannel{code}}", graphql_error("FORBIDDEN", "not authorized")).await;
    let refused = json!({ "data": { "login": { "__typename": "InvalidCredentialsError",
        "errorCode": "INVALID_CREDENTIALS_ERROR", "message": "The provided credentials are invalid" } } });
    shop.answer("login(", ResponseTemplate::new(200).set_body_json(refused)).await;
    let checks = shop.connector.check().await;
    let (name, error) = problem(&checks);
    assert_eq!((name, error.kind), ("credentials", ErrorKind::Auth));
    assert!(error.message.contains("`username` and `password`"), "{error}");
    assert_eq!(shop.asked("login(").await, 1);
}

#[tokio::test]
async fn a_shop_that_only_sets_cookies_is_told_what_to_configure() {
    let shop = Shop::bare().await;
    let no_token = json!({ "data": { "login": { "__typename": "CurrentUser" } } });
    shop.answer("login(", ResponseTemplate::new(200).set_body_json(no_token)).await;
    let error = shop.read("orders", None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("authOptions.tokenMethod"), "{error}");
}

#[tokio::test]
async fn another_channel_than_the_configured_one_is_never_read() {
    let server = wiremock::MockServer::start().await;
    let (connector, folder) = open(&server.uri(), json!({ "channel_token": "other" })).await.unwrap();
    let shop = Shop::on(server, connector, folder);
    shop.answer("login(", signed_in("token")).await;
    shop.answer("activeChannel", ResponseTemplate::new(200).set_body_json(channel("EUR"))).await;
    let checks = shop.connector.check().await;
    let (name, error) = problem(&checks);
    assert_eq!((name, error.field.as_deref()), ("credentials", Some("channel_token")));
    assert!(shop.read("orders", None).await.is_err());
    assert_eq!(shop.asked("list:orders").await, 0);
}

#[tokio::test]
async fn a_shop_that_repeats_the_password_does_not_bring_it_into_a_message() {
    let shop = Shop::bare().await;
    let told = format!("bad login: robot/{PASSWORD}");
    shop.answer("login(", graphql_error("FORBIDDEN", &told)).await;
    let error = shop.read("orders", None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    let all = format!("{error:?} {error}");
    assert!(all.contains("bad login") && !all.contains(PASSWORD), "{all}");
}

#[tokio::test]
async fn a_cursor_of_something_else_is_refused() {
    let shop = Shop::with_currency("EUR").await;
    let cursor = zyklus_connect::Cursor(json!({ "from": 7 }));
    let error = shop.read("orders", Some(cursor)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("afresh"), "{error}");
}
