//! Tests of the host's HTTP against a real server on the loopback device.

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};
use zyklus_connect::RateLimit;
use zyklus_model::At;

use super::*;

fn manifest() -> Manifest {
    serde_json::from_value(json!({
        "kind": "t", "name": "T", "description": "", "version": "1", "contract": [1, 0],
        "url_fields": ["url"], "hosts": ["localhost"]
    }))
    .unwrap()
}

fn http_for(url: &str, change: impl FnOnce(&mut ConnectorConfig, &mut Manifest)) -> HostHttp {
    let mut manifest = manifest();
    let mut config = ConnectorConfig::new("t", "t", json!({ "url": url }), ["s3cr3t-key".to_owned()]);
    change(&mut config, &mut manifest);
    let clock: ClockFn = Arc::new(|| At::from_seconds(1_700_000_000));
    HostHttp::new(Clients::new("zyklus-test").unwrap(), &manifest, &config, clock).unwrap()
}

fn plain(url: &str) -> HostHttp {
    http_for(url, |_, _| {})
}

fn small(http: HostHttp, largest: usize) -> HostHttp {
    let mut inner = Arc::into_inner(http.inner).unwrap();
    inner.largest = largest;
    HostHttp { inner: Arc::new(inner) }
}

async fn mount(server: &MockServer, verb: &str, place: &str, answer: ResponseTemplate) {
    Mock::given(method(verb)).and(path(place)).respond_with(answer).mount(server).await;
}

async fn hits(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn an_address_from_the_configuration_may_be_private_and_answers() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(201).insert_header("X-Total", "3").set_body_string("hello");
    mount(&server, "POST", "/a", answer).await;
    let request = HttpRequest::post_json(format!("{}/a", server.uri()), &json!({"a": 1}));
    let response = plain(&server.uri()).send(request).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (201, b"hello".as_slice()));
    assert_eq!(response.headers["x-total"], "3");
    let received = server.received_requests().await.unwrap();
    assert_eq!(received[0].body, br#"{"a":1}"#);
    assert_eq!(received[0].headers["user-agent"], "zyklus-test");
}

#[tokio::test]
async fn a_foreign_host_is_refused_before_anything_leaves() {
    let server = MockServer::start().await;
    let other = MockServer::start().await;
    let http = http_for("https://shop.example", |_, _| {});
    let error = http.send(HttpRequest::get(other.uri())).await.unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::Refused);
    assert!(
        error.message.contains("127.0.0.1") && error.message.contains("`allow_hosts`"),
        "{}",
        error.message
    );
    // The operator's own word is enough.
    let http = http_for(&server.uri(), |config, _| config.settings.allow_hosts = vec!["127.0.0.1".into()]);
    assert_eq!(http.send(HttpRequest::get(other.uri())).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_manifests_host_with_a_private_address_is_refused_by_the_resolver() {
    let server = MockServer::start().await;
    let url = format!("http://localhost:{}/x", server.address().port());
    let error = plain("https://shop.example").send(HttpRequest::get(&url)).await.unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::Refused, "{}", error.message);
    assert!(error.message.contains("allow_private_network"), "{}", error.message);
    assert_eq!(hits(&server).await, 0);
    let open = http_for("https://shop.example", |config, _| config.settings.allow_private_network = true);
    assert_eq!(open.send(HttpRequest::get(&url)).await.unwrap().status, 404);
    // The same name, written by the operator.
    let own = http_for(&url, |_, manifest| manifest.hosts.clear());
    assert_eq!(own.send(HttpRequest::get(&url)).await.unwrap().status, 404);
}

#[tokio::test]
async fn redirects_stay_within_the_allow_list_and_lose_credentials_elsewhere() {
    let server = MockServer::start().await;
    let other = MockServer::start().await;
    let to = |url: String| ResponseTemplate::new(302).insert_header("location", url);
    mount(&server, "GET", "/same", to("/end".into())).await;
    mount(&server, "GET", "/other", to(format!("http://localhost:{}/end", other.address().port()))).await;
    mount(&server, "GET", "/metadata", to("http://169.254.169.254/latest".into())).await;
    mount(&server, "GET", "/round", to("/round".into())).await;
    mount(&server, "POST", "/post", to("/end".into())).await;
    mount(&server, "GET", "/end", ResponseTemplate::new(200)).await;
    mount(&other, "GET", "/end", ResponseTemplate::new(200)).await;
    let http = http_for(&server.uri(), |config, _| config.settings.allow_private_network = true);
    let get = |place: &str| {
        let request = HttpRequest::get(format!("{}{place}", server.uri()));
        http.send(
            request.header("authorization", "Bearer x").header("x-shop", "s3cr3t-key").header("x-page", "1"),
        )
    };

    assert_eq!(get("/same").await.unwrap().status, 200);
    assert!(server.received_requests().await.unwrap()[1].headers.contains_key("authorization"));
    assert_eq!(get("/other").await.unwrap().status, 200);
    let elsewhere = other.received_requests().await.unwrap()[0].headers.clone();
    assert!(!elsewhere.contains_key("authorization") && !elsewhere.contains_key("x-shop"));
    assert_eq!(elsewhere["x-page"], "1");
    for place in ["/metadata", "/round"] {
        assert_eq!(get(place).await.unwrap_err().kind, HttpErrorKind::Refused, "{place}");
    }
    let post = HttpRequest::post_json(format!("{}/post", server.uri()), &json!(1));
    assert_eq!(http.send(post).await.unwrap().status, 302);

    // Without `allow_private_network`, the manifest's `localhost` is out of reach of a redirect.
    let error =
        plain(&server.uri()).send(HttpRequest::get(format!("{}/other", server.uri()))).await.unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::Refused);
    // And a port of the operator's machine that the operator never named.
    mount(&server, "GET", "/port", to(format!("{}/end", other.uri()))).await;
    let error =
        plain(&server.uri()).send(HttpRequest::get(format!("{}/port", server.uri()))).await.unwrap_err();
    assert!(error.message.starts_with("redirected, but"), "{}", error.message);
}

#[tokio::test]
async fn only_what_is_harmless_to_repeat_is_repeated() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(503).insert_header("retry-after", "0");
    Mock::given(method("GET")).respond_with(busy.clone()).up_to_n_times(2).mount(&server).await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    Mock::given(method("POST")).respond_with(busy).mount(&server).await;
    let http = plain(&server.uri());
    assert_eq!(http.send(HttpRequest::get(server.uri())).await.unwrap().status, 200);
    assert_eq!(hits(&server).await, 3);
    let post = HttpRequest::post_json(server.uri(), &json!(1));
    assert_eq!(http.send(post.clone()).await.unwrap().status, 503);
    assert_eq!(hits(&server).await, 4);
    assert_eq!(http.send(post.idempotent()).await.unwrap().status, 503);
    assert_eq!(hits(&server).await, 8);
}

#[tokio::test]
async fn too_large_an_answer_is_an_error_and_never_cut() {
    let server = MockServer::start().await;
    mount(&server, "GET", "/", ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 1001])).await;
    let get = HttpRequest::get(server.uri());
    let error = small(plain(&server.uri()), 1000).send(get.clone()).await.unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::TooLarge);
    assert_eq!(small(plain(&server.uri()), 1001).send(get).await.unwrap().body.len(), 1001);
    assert_eq!(hits(&server).await, 2);
}

#[tokio::test]
async fn silence_is_no_answer_and_a_closed_port_is_no_connection() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(30));
    mount(&server, "POST", "/", slow).await;
    let mut post = HttpRequest::post_json(server.uri(), &json!(1));
    post.timeout_ms = Some(100);
    let error = plain(&server.uri()).send(post).await.unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::NoAnswer);

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/?key=s3cr3t-key");
    let error = plain(&url).send(HttpRequest::post_json(&url, &json!(1))).await.unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::Connect);
    assert!(!error.message.contains("s3cr3t"), "{}", error.message);
}

#[tokio::test]
async fn a_request_not_to_be_repeated_is_sent_in_full_though_nobody_waits() {
    let server = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(Duration::from_millis(200));
    Mock::given(method("POST")).respond_with(late).expect(1).mount(&server).await;
    let http = plain(&server.uri());
    let send = http.send(HttpRequest::post_json(server.uri(), &json!(1)));
    // Polled once, then dropped.
    assert!(tokio::time::timeout(Duration::ZERO, send).await.is_err());
    tokio::time::timeout(Duration::from_secs(10), async {
        while hits(&server).await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the request arrives");
}

#[tokio::test]
async fn the_pace_is_kept() {
    let server = MockServer::start().await;
    mount(&server, "GET", "/", ResponseTemplate::new(200)).await;
    let http = http_for(&server.uri(), |config, _| {
        config.settings.rate_limit = Some(RateLimit { per_second: 20.0, burst: 1 });
    });
    let begun = Instant::now();
    for _ in 0..4 {
        http.send(HttpRequest::get(server.uri())).await.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(140), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pause_the_other_system_asked_for_holds_everyone() {
    let pace = Pace::new(None);
    pace.pause(Duration::from_secs(9));
    let begun = tokio::time::Instant::now();
    pace.wait().await;
    assert!(begun.elapsed() >= Duration::from_secs(9));
}
