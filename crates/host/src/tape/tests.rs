//! Tests of recording and playing back.

use serde_json::json;
use zyklus_connect::HttpErrorKind;
use zyklus_connect::{Http, HttpRequest};

use super::*;
use crate::redact::Redactor;
use std::sync::Arc;

const SECRETS: [&str; 6] =
    ["hunter2-pass", "tok-123456", "sess-987654", "cookie-4711", "key-abcdef", "bearer-42x"];

fn login() -> HttpRequest {
    HttpRequest::post_json(
        "https://shop.example/admin-api?api_key=key-abcdef&page=1",
        &json!({"query": "mutation {\n login }", "variables": {"u": "admin", "p": "hunter2-pass"}, "n": 1.0}),
    )
    .header("authorization", "Bearer bearer-42x")
    .header("x-session-token", "sess-987654")
}

fn answers() -> ReplayHttp {
    ReplayHttp::new([
        Exchange::json(
            "POST",
            "/admin-api?page=1&api_key=key-abcdef",
            Some(json!({"variables": {"p": "hunter2-pass", "u": "admin"}, "query": "mutation { login }", "n": 1})),
            200,
            json!({"data": {"token": "tok-123456", "echo": "you said hunter2-pass", "total": 19.90}}),
        )
        .header("Set-Cookie", "id=cookie-4711"),
        Exchange::json("GET", "/page", None, 200, json!([1])),
        Exchange::json("GET", "/page", None, 200, json!([2])),
    ])
}

#[tokio::test]
async fn no_secret_reaches_the_files_and_the_recording_plays_back() {
    let dir = tempfile::tempdir().unwrap();
    let redactor = Redactor::new(["hunter2-pass".to_owned()]);
    let recording = RecordingHttp::new(Arc::new(answers()), dir.path(), redactor).unwrap();
    let first = recording.send(login()).await.unwrap();
    // What the connector gets is untouched.
    assert_eq!(first.json::<Value>().unwrap()["data"]["token"], "tok-123456");
    recording.send(HttpRequest::get("https://shop.example/page")).await.unwrap();
    recording.send(HttpRequest::get("https://shop.example/page")).await.unwrap();
    assert!(recording.send(HttpRequest::get("https://shop.example/absent")).await.is_err());

    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(
        names,
        ["0001-post-admin-api.json", "0002-get-page.json", "0003-get-page.json", "0004-get-absent.json"]
    );

    // Another password, another key: what was redacted fits anything.
    let replay = ReplayHttp::from_dir(dir.path(), Redactor::new(["another-pass".to_owned()])).unwrap();
    let mut again = login();
    again.body = Some(
        json!({"query": "mutation { login }", "variables": {"u": "admin", "p": "another-pass"}, "n": 1})
            .to_string()
            .into_bytes(),
    );
    let answer = replay.send(again).await.unwrap();
    assert_eq!(answer.json::<Value>().unwrap()["data"]["total"], 19.9);
    let absent = replay.send(HttpRequest::get("https://x.example/absent")).await.unwrap_err();
    assert_eq!(absent.kind, HttpErrorKind::NotRecorded);
    assert_eq!(replay.unused(), ["0002-get-page.json", "0003-get-page.json"]);

    // A second recording goes on counting.
    let more = RecordingHttp::new(Arc::new(answers()), dir.path(), Redactor::default()).unwrap();
    more.send(HttpRequest::get("https://shop.example/page")).await.unwrap();
    assert!(dir.path().join("0005-get-page.json").exists());
}

#[tokio::test]
async fn repeats_come_in_order_and_the_last_one_stays() {
    let replay = answers();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(replay.send(HttpRequest::get("http://any.example/page")).await.unwrap().body);
    }
    assert_eq!(seen, [b"[1]", b"[2]", b"[2]"]);
}

#[tokio::test]
async fn what_was_not_recorded_names_the_nearest() {
    let replay = ReplayHttp::new([
        Exchange::json(
            "POST",
            "/graphql",
            Some(json!({"query": "a", "variables": {"skip": 0}})),
            200,
            json!({}),
        ),
        Exchange::json("GET", "/orders?page=1", None, 200, json!([])),
    ]);
    let ask = |request| async { replay.send(request).await.unwrap_err().message };
    let body = json!({"query": "a", "variables": {"skip": 100}});
    insta::assert_snapshot!(
        [
            ask(HttpRequest::post_json("https://s.example/graphql", &body)).await,
            ask(HttpRequest::get("https://s.example/orders?page=2")).await,
        ]
        .join("\n")
    );
}

#[tokio::test]
async fn hand_made_recordings_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"{"request": {"method": "DELETE", "path": "/orders/17", "body": null},
        "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": {"id": 17}}}"#;
    std::fs::write(dir.path().join("25-trash-order.json"), text).unwrap();
    let replay = ReplayHttp::from_dir(dir.path(), Redactor::default()).unwrap();
    let mut request = HttpRequest::get("https://shop.example/orders/17");
    request.method = "DELETE".into();
    let answer = replay.send(request).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, br#"{"id":17}"#.as_slice()));
    assert_eq!(answer.headers["content-type"], "application/json");
    std::fs::write(dir.path().join("broken.json"), "[]").unwrap();
    assert!(matches!(
        ReplayHttp::from_dir(dir.path(), Redactor::default()),
        Err(TapeError::Malformed { .. })
    ));
}

#[test]
fn bodies_survive_in_every_form() {
    for bytes in [&b""[..], b"{\"a\":1}", b"null", b"<html>", b"\xff\xfe\x00"] {
        let text = serde_json::to_string(&Body::from_bytes(bytes)).unwrap();
        let body: Body = serde_json::from_str(&text).unwrap();
        assert_eq!(body.to_bytes(), bytes);
    }
}
