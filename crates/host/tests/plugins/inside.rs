//! In the daemon's own process: a Rust library's panics are contained, wherever they happen; what blocks holds up itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zyklus_connect::{
    AudienceRef, AudienceSpec, ErrorKind, Keyed, Outcome, Received, Rejected, Subscription, WebhookRequest,
};
use zyklus_host::Opened;
use zyklus_model::At;

use crate::Case;
use crate::bench::{Bench, figure, logged, perform, read, read_late, run};

pub(crate) const CASES: &[Case] = &[
    ("a_panic_in_any_op_is_contained", panics),
    ("opening_that_panics_or_refuses_is_an_error", opening),
    ("what_blocks_holds_up_itself_alone", blocking),
    ("what_is_given_up_ends_and_what_is_done_is_not_forgotten", giving_up),
    ("services_of_the_host_are_there", services),
    ("webhooks_are_taken_and_rejected", webhooks),
    ("a_c_library_works_inside_too", c_inside),
    ("two_of_one_library_do_not_mix", two),
];

const BOTH: [&str; 2] = ["in-process", "process"];

fn lines(isolation: &str) -> String {
    format!("isolation = \"{isolation}\"\npassword = \"hunter2-pass\"")
}

async fn open(bench: &Bench, isolation: &str) -> Opened {
    bench.open(&lines(isolation)).await.unwrap()
}

fn request(body: &[u8]) -> WebhookRequest {
    let (method, path) = ("POST".into(), "/".into());
    WebhookRequest {
        method,
        path,
        headers: Default::default(),
        body: body.to_vec(),
        received_at: At::from_seconds(0),
    }
}

fn message() -> Keyed<zyklus_connect::Message> {
    serde_json::from_value(json!({"key": "k", "attempt": 1, "body": {
        "delivery": "d", "channel": "email", "purpose": "marketing", "to": {"phone": "+4915112345678"}, "text": ""
    }}))
    .unwrap()
}

fn panics() {
    for isolation in BOTH {
        let bench = Bench::new();
        bench.unruly();
        run(async {
            let opened = open(&bench, isolation).await;
            assert_eq!(opened.manifest().name, "Unruly x", "the opened one's own manifest");
            let error = read(&opened, "panic").await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Internal);
            let words = "the connector panicked: no reading with REDACTED at crates/host/examples/unruly.rs:";
            assert!(error.message.starts_with(words), "{}", error.message);
            let problem = opened.check().await.remove(0).problem.unwrap();
            assert!(problem.message.contains("panicked: no check with REDACTED"), "{}", problem.message);
            assert_eq!(perform(&opened, "panic").await.0, "unknown");
            let sent = opened.send(vec![message(), message()]).await;
            assert!(matches!(&sent[..], [Outcome::Unknown(_), Outcome::Unknown(_)]), "{sent:?}");
            let wanted = Subscription { url: String::new(), streams: Vec::new() };
            assert!(
                opened.reconcile_webhooks(wanted).await.unwrap_err().message.contains("no subscriptions")
            );
            assert!(opened.receive(&request(b"panic")).is_err());
            let audience = AudienceSpec { id: "a".into(), name: "A".into() };
            assert!(opened.ensure_audience(audience).await.unwrap_err().message.contains("no audience"));
            let member = json!({"key": "k", "attempt": 1, "body": {"add": true, "to": {"handle": "h"}}});
            let batch = vec![serde_json::from_value(member).unwrap()];
            let changed = opened.change_audience(AudienceRef("a".into()), batch).await;
            assert!(matches!(&changed[..], [Outcome::Unknown(_)]), "{changed:?}");
            assert_eq!(figure(&opened, "task").await, 7);
            assert_eq!(figure(&opened, "thread").await, 7);
            assert_eq!(figure(&opened, "fine").await, 7);
            // The library panics on closing, too.
            assert!(opened.close(Duration::from_secs(10)).await);
            assert!(!logged().contains("hunter2"), "a secret in the log");
            assert!(logged().contains("a panic at crates/host/examples/unruly.rs"), "{}", logged());
        });
    }
}

fn opening() {
    for isolation in BOTH {
        let bench = Bench::new();
        bench.unruly();
        run(async {
            for (open, words) in
                [("panic", "panicked: no opening with REDACTED"), ("field", "`open` is wrong")]
            {
                let error =
                    bench.open(&format!("{}\nopen = \"{open}\"", lines(isolation))).await.unwrap_err();
                let cause = std::error::Error::source(&error).unwrap().to_string();
                assert!(cause.contains(words), "{cause}");
            }
        });
    }
}

fn blocking() {
    let mut bench = Bench::new();
    bench.limits.read = Duration::from_millis(500);
    bench.hostile(&[]);
    run(async {
        // A C library that blocks in `call` itself.
        let blocked = bench.open("isolation = \"in-process\"").await.unwrap();
        let other = bench.open("isolation = \"in-process\"").await.unwrap();
        assert!(read(&blocked, "do-block").await.unwrap_err().message.contains("took longer than"));
        assert!(read(&blocked, "fine").await.is_err(), "its calls wait behind it");
        let begun = Instant::now();
        assert_eq!(figure(&other, "fine").await, 7);
        assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
        assert!(other.close(Duration::from_secs(10)).await);
        assert!(!blocked.close(Duration::from_millis(100)).await, "what never ends is left as it is");
    });
}

fn giving_up() {
    let mut bench = Bench::new();
    bench.limits.read = Duration::from_millis(300);
    bench.limits.command = Duration::from_millis(300);
    bench.unruly();
    run(async {
        let opened = open(&bench, "in-process").await;
        assert!(read(&opened, "hang").await.unwrap_err().message.contains("took longer than"));
        // A command that was given up keeps its slot: of two, both hang, and a third certainly never begins.
        for _ in 0..2 {
            assert_eq!(perform(&opened, "hang").await.0, "unknown");
        }
        assert_eq!(perform(&opened, "fine").await.0, "retry");
        // What was read and given up has ended, and keeps none.
        for _ in 0..5 {
            assert!(read(&opened, "hang").await.is_err());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(figure(&opened, "fine").await, 7);
    });
}

fn services() {
    for isolation in BOTH {
        let bench = Bench::new();
        bench.unruly();
        run(async {
            let opened = open(&bench, isolation).await;
            assert_eq!(figure(&opened, "http").await, 204);
            assert_eq!(figure(&opened, "now").await, 7_000_000, "the host's clock");
            assert_eq!(figure(&opened, "token").await, 7);
            let stored = std::fs::read_to_string(bench.path("connectors/x/tokens.json")).unwrap();
            assert!(stored.contains("a-new-token"), "{stored}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            let log = logged();
            assert!(log.contains("the token is REDACTED") && !log.contains("a-new-token"), "{log}");
            assert!(log.contains("opened") && !log.contains("never seen"), "the host's level counts");
            let error = read(&opened, "secret").await.unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Auth, "REDACTED is wrong"));
            opened.close(Duration::from_secs(10)).await;
        });
    }
}

fn webhooks() {
    for isolation in BOTH {
        let bench = Bench::new();
        bench.unruly();
        run(async {
            let opened = open(&bench, isolation).await;
            let good = Received { delivery_id: Some("1".into()), ..Received::default() };
            assert_eq!(opened.receive(&request(b"good")), Ok(good));
            assert_eq!(opened.receive(&request(b"\xff")), Err(Rejected::Malformed("not a text".into())));
            assert_eq!(opened.receive(&request(b"")), Err(Rejected::Signature("it is missing".into())));
            opened.close(Duration::from_secs(10)).await;
        });
    }
}

fn c_inside() {
    let mut bench = Bench::new();
    bench.limits.read = Duration::from_secs(1);
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("isolation = \"in-process\"").await.unwrap();
        assert_eq!(figure(&opened, "http").await, 1);
        assert_eq!(figure(&opened, "later").await, 9);
        assert_eq!(figure(&opened, "do-twice").await, 7);
        assert_eq!(figure(&opened, "do-strangers").await, 7);
        assert_eq!(perform(&opened, "fine").await.0, "done");
        let error = read(&opened, "do-huge").await.unwrap_err();
        assert!(error.message.contains("64 MiB at most"), "{}", error.message);
        read_late(&opened).await;
        let wanted = Subscription { url: String::new(), streams: Vec::new() };
        assert_eq!(opened.reconcile_webhooks(wanted).await.unwrap_err().kind, ErrorKind::Unsupported);
        for _ in 0..10_000 {
            assert_eq!(figure(&opened, "fine").await, 7);
        }
        assert!(opened.close(Duration::from_secs(10)).await);
    });
}

fn two() {
    let bench = Bench::new();
    bench.unruly();
    run(async {
        let (one, other) = tokio::join!(open(&bench, "in-process"), open(&bench, "in-process"));
        let cursor = async |opened: &Opened, mark: u64| {
            let request = zyklus_connect::ReadRequest {
                stream: "fine".into(),
                cursor: Some(zyklus_connect::Cursor(mark.into())),
                mode: zyklus_connect::Mode::Incremental,
                limit: 1,
            };
            opened.read(request).await.unwrap().next.cursor().0.clone()
        };
        for mark in 0..200 {
            let both = tokio::join!(cursor(&one, mark), cursor(&other, mark + 1_000));
            assert_eq!(both, (Value::from(mark), Value::from(mark + 1_000)));
        }
        one.close(Duration::from_secs(10)).await;
        assert_eq!(figure(&other, "fine").await, 7);
        other.close(Duration::from_secs(10)).await;
    });
}
