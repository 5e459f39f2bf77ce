//! In a process of its own a library can do nothing to the daemon: whatever it does, the call ends, the connector goes on
//! in another process, and no command is forgotten or done twice.

use std::time::{Duration, Instant};

use zyklus_connect::ErrorKind;
use zyklus_host::Opened;

use crate::Case;
use crate::bench::{Bench, figure, logged, perform, read, read_late, run};

pub(crate) const CASES: &[Case] = &[
    ("what_crashes_is_started_again", crashes),
    ("what_never_answers_is_ended", silence),
    ("endless_loops_end_by_their_processor_time", endless),
    ("memory_without_end_ends", hogs),
    ("answers_that_are_twice_late_or_nonsense_harm_nothing", answers),
    ("garbage_in_the_pipe_ends_the_process", garbage),
    ("a_hundred_megabytes_are_an_error", huge),
    ("requests_whose_answers_are_not_read_end_the_process", flood),
    ("nothing_is_inherited_and_there_is_no_network", bare),
    ("what_it_prints_and_logs_is_bounded_and_without_secrets", noise),
    ("http_and_threads_of_its_own_work", works),
    ("restarts_rest_longer_each_time", rests),
    ("other_connectors_do_not_notice", others),
];

/// Waits until it answers again.
async fn alive(opened: &Opened) {
    let end = Instant::now() + Duration::from_secs(20);
    while read(opened, "fine").await.is_err() {
        assert!(Instant::now() < end, "it does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn crashes() {
    let bench = Bench::new();
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("").await.unwrap();
        for (deed, words) in [
            ("do-abort", "signal 6 (abort)"),
            ("do-segv", "signal 11 (segmentation fault)"),
            ("do-overflow", "signal"),
            ("do-exit", "ended by itself with 0"),
        ] {
            let error = read(&opened, deed).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Transient);
            assert!(error.message.contains(words), "{deed}: {}", error.message);
            // While it rests, a command certainly does not reach it.
            assert_eq!(perform(&opened, "fine").await.0, "retry", "{deed}");
            alive(&opened).await;
            let (word, why) = perform(&opened, deed).await;
            assert!(word == "unknown" && why.contains(words), "{deed}: {word} {why}");
            alive(&opened).await;
            assert_eq!(perform(&opened, "fine").await.0, "done", "{deed}");
        }
        assert!(opened.close(Duration::from_secs(10)).await);
    });
}

fn silence() {
    let mut bench = Bench::new();
    bench.limits.read = Duration::from_millis(300);
    bench.limits.command = Duration::from_millis(300);
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("").await.unwrap();
        let error = read(&opened, "do-silent").await.unwrap_err();
        assert!(error.message.contains("took longer than"), "{}", error.message);
        assert_eq!(perform(&opened, "do-silent").await.0, "unknown");
        // It answers other calls meanwhile; after its grace it is ended, and comes back.
        assert_eq!(figure(&opened, "fine").await, 7);
        tokio::time::sleep(Duration::from_secs(6)).await;
        alive(&opened).await;
        let error = read(&opened, "do-block").await.unwrap_err();
        assert!(error.message.contains("took longer than"), "{}", error.message);
        tokio::time::sleep(Duration::from_secs(6)).await;
        alive(&opened).await;
        assert!(logged().contains("was not answered, nor given up when asked"));
        assert!(opened.close(Duration::from_secs(10)).await);
    });
}

fn endless() {
    let bench = Bench::new();
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("cpu_limit = \"1s\"").await.unwrap();
        let begun = Instant::now();
        let error = read(&opened, "do-loop").await.unwrap_err();
        assert!(error.message.contains("more than 1 s of processor time"), "{}", error.message);
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        alive(&opened).await;
        opened.close(Duration::from_secs(10)).await;
    });
}

fn hogs() {
    let bench = Bench::new();
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("memory_limit = \"64 MiB\"").await.unwrap();
        let error = read(&opened, "do-hog").await.unwrap_err();
        assert!(error.message.contains("signal 6 (abort)"), "{}", error.message);
        alive(&opened).await;
        opened.close(Duration::from_secs(10)).await;
    });
}

fn answers() {
    let mut bench = Bench::new();
    bench.limits.read = Duration::from_millis(500);
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("").await.unwrap();
        let process = figure(&opened, "process").await;
        assert_eq!(figure(&opened, "do-twice").await, 7);
        assert_eq!(perform(&opened, "do-twice").await.0, "done");
        assert_eq!(figure(&opened, "do-strangers").await, 7);
        read_late(&opened).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let error = read(&opened, "do-nonsense").await.unwrap_err();
        assert!(error.message.contains("makes no sense"), "{}", error.message);
        let error = read(&opened, "do-status").await.unwrap_err();
        assert!(error.message.contains("an odd status"), "{}", error.message);
        assert_eq!(perform(&opened, "do-nonsense").await.0, "unknown");
        assert_eq!(figure(&opened, "process").await, process, "the same one goes on");
        assert!(opened.close(Duration::from_secs(10)).await);
    });
}

fn garbage() {
    let bench = Bench::new();
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("").await.unwrap();
        let error = read(&opened, "do-pipe").await.unwrap_err();
        assert!(error.message.contains("nonsense into its pipe"), "{}", error.message);
        alive(&opened).await;
        assert_eq!(perform(&opened, "do-pipe").await.0, "unknown");
        alive(&opened).await;
        opened.close(Duration::from_secs(10)).await;
    });
}

fn huge() {
    let bench = Bench::new();
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("").await.unwrap();
        let error = read(&opened, "do-huge").await.unwrap_err();
        assert!(error.message.contains("104857600 bytes; 64 MiB at most"), "{}", error.message);
        assert_eq!(figure(&opened, "fine").await, 7);
        opened.close(Duration::from_secs(10)).await;
    });
}

fn flood() {
    let bench = Bench::new();
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("").await.unwrap();
        let error = read(&opened, "do-flood").await.unwrap_err();
        assert!(error.message.contains("does not read the answers"), "{}", error.message);
        alive(&opened).await;
        opened.close(Duration::from_secs(10)).await;
    });
}

fn bare() {
    let bench = Bench::new();
    bench.hostile(&[]);
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = format!("connect-{}", server.local_addr().unwrap().port());
    // Something a careless daemon would hand down: a descriptor, a variable.
    assert!(std::env::vars().count() > 5);
    run(async {
        let opened = bench.open("").await.unwrap();
        assert!(figure(&opened, "env").await <= 5);
        // Standard streams, and its two pipes.
        assert_eq!(figure(&opened, "descriptors").await, 5);
        assert_eq!(figure(&opened, &stream).await, 0, "it has no network");
        opened.close(Duration::from_secs(10)).await;
        let opened = bench.open("network = true").await.unwrap();
        assert_eq!(figure(&opened, &stream).await, 1, "it has one");
        opened.close(Duration::from_secs(10)).await;
    });
}

fn noise() {
    let bench = Bench::new();
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("password = \"hunter2-pass\"").await.unwrap();
        assert_eq!(figure(&opened, "do-print").await, 7);
        assert_eq!(figure(&opened, "do-log").await, 7);
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert_eq!(figure(&opened, "do-log").await, 7);
        // What it prints is read beside its answers, so that it may come a little later.
        let end = Instant::now() + Duration::from_secs(20);
        let said = ["garbage to standard output", "the password is REDACTED", "the plugin logs too much"];
        while !said.iter().all(|words| logged().contains(words)) {
            assert!(Instant::now() < end, "not all of it is in the log");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = logged();
        assert!(!log.contains("hunter2"), "a secret in the log");
        let lines = log.matches("the password is").count();
        assert!(lines < 1_000, "{lines}");
        opened.close(Duration::from_secs(10)).await;
    });
}

fn works() {
    let bench = Bench::new();
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("").await.unwrap();
        assert_eq!(figure(&opened, "http").await, 1);
        let begun = Instant::now();
        let both = tokio::join!(figure(&opened, "later"), figure(&opened, "later"));
        assert_eq!(both, (9, 9));
        assert!(begun.elapsed() < Duration::from_millis(580), "one beside the other: {:?}", begun.elapsed());
        assert!(opened.check().await.is_empty());
        opened.close(Duration::from_secs(10)).await;
    });
}

fn rests() {
    let mut bench = Bench::new();
    bench.limits.rest = Duration::from_millis(200);
    bench.hostile(&[]);
    run(async {
        let opened = bench.open("").await.unwrap();
        let mut waits = Vec::new();
        for _ in 0..4 {
            assert!(read(&opened, "do-abort").await.is_err());
            let resting = read(&opened, "fine").await.unwrap_err();
            assert!(resting.unreachable, "{resting:?}");
            let begun = Instant::now();
            alive(&opened).await;
            waits.push(begun.elapsed());
        }
        assert!(
            waits[3] > Duration::from_millis(1_300) && waits[0] < Duration::from_millis(900),
            "{waits:?}"
        );
        opened.close(Duration::from_secs(10)).await;
    });
}

fn others() {
    let bench = Bench::new();
    bench.hostile(&[]);
    run(async {
        let (bad, good) = tokio::join!(bench.open("cpu_limit = \"2s\""), bench.open(""));
        let (bad, good) = (bad.unwrap(), good.unwrap());
        let work = async || {
            let begun = Instant::now();
            for _ in 0..500 {
                assert_eq!(figure(&good, "fine").await, 7);
            }
            begun.elapsed()
        };
        work().await;
        let alone = work().await;
        let (beside, looped) = tokio::join!(work(), read(&bad, "do-loop"));
        assert!(looped.is_err());
        // Two cores: one burns. Loose, for the machine has others to serve.
        assert!(beside < alone * 3 + Duration::from_millis(200), "{alone:?} alone, {beside:?} beside a loop");
        for deed in ["do-abort", "do-segv", "do-pipe", "do-hog"] {
            let (_, fine) = tokio::join!(read(&bad, deed), figure(&good, "fine"));
            assert_eq!(fine, 7, "{deed}");
        }
        good.close(Duration::from_secs(10)).await;
        bad.close(Duration::from_secs(10)).await;
    });
}
