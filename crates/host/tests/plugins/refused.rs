//! What is not loaded, and in which words; and what is, though another version made it.

use std::time::Instant;

use crate::Case;
use crate::bench::{Bench, chmod, figure, run};

pub(crate) const CASES: &[Case] = &[
    ("unpinned_wrong_and_right_pins", pins),
    ("open_files_and_folders", open_files),
    ("broken_libraries_in_both_isolations", broken),
    ("crashing_and_hanging_while_loading", crashing),
    ("a_plugin_of_1_0_and_one_with_more_fields_work", versions),
    ("a_failed_one_opens_once_it_is_mended", mended),
    ("mistakes_in_its_table_are_named", mistakes),
];

fn pins() {
    let bench = Bench::strict();
    bench.hostile(&[]);
    let unpinned = bench.refusal("");
    let sha256 = bench.sha256();
    assert!(unpinned.contains("plugins/x.so is not pinned") && unpinned.contains(&sha256), "{unpinned}");
    let zeros = "0".repeat(64);
    let wrong = bench.refusal(&format!("sha256 = \"{zeros}\""));
    assert!(wrong.contains("is not the library that the configuration pins"), "{wrong}");
    assert!(wrong.contains(&sha256) && wrong.contains(&zeros), "{wrong}");
    assert!(bench.config(&format!("sha256 = \"{sha256}\"")).unwrap().failed.is_none());
    bench.lock(&zeros);
    assert!(bench.refusal("").contains("plugins.lock pins"));
    bench.lock(&sha256);
    assert!(bench.config("").unwrap().failed.is_none());
    // What the configuration says counts.
    assert!(bench.refusal(&format!("sha256 = \"{zeros}\"")).contains("the configuration pins"));
}

fn open_files() {
    let bench = Bench::new();
    let missing = bench.refusal("");
    assert!(missing.contains("no `x.so` in") && missing.contains("no library at all"), "{missing}");
    bench.hostile(&[]);
    chmod(&bench.path("plugins/x.so"), 0o666);
    assert!(bench.refusal("").contains("plugins/x.so can be written by more than its owner"));
    chmod(&bench.path("plugins/x.so"), 0o644);
    chmod(&bench.path("plugins"), 0o777);
    assert!(bench.refusal("").contains("plugins can be written by more than its owner"));
    chmod(&bench.path("plugins"), 0o755);
    assert!(bench.config("").unwrap().failed.is_none());
}

fn broken() {
    for isolation in ["process", "in-process"] {
        let refusal = |bench: &Bench| bench.refusal(&format!("isolation = \"{isolation}\""));
        for (macros, words) in [
            ("NO_SYMBOL", "does not export `zyklus_plugin_v1`"),
            ("MAGIC=7", "begins with 0x00000007"),
            ("MAJOR=2", "built for version 2 of the ABI"),
            ("SIZE=48", "has 48 bytes, and 56 are needed"),
            ("NO_MANIFEST", "it has no manifest"),
        ] {
            let bench = Bench::new();
            bench.hostile(&[macros]);
            let refused = refusal(&bench);
            assert!(refused.contains(words) && refused.contains(".so"), "{macros}: {refused}");
        }
        let bench = Bench::new();
        std::fs::write(bench.path("plugins/x.so"), "no library").unwrap();
        chmod(&bench.path("plugins/x.so"), 0o644);
        let refused = refusal(&bench);
        assert!(refused.contains("file too short") || refused.contains("invalid ELF"), "{refused}");
    }
}

fn crashing() {
    let bench = Bench::new();
    bench.hostile(&["ABORT_ON_LOAD"]);
    let refused = bench.refusal("");
    assert!(refused.contains("signal 6 (abort)"), "{refused}");
    bench.hostile(&["HANG_ON_LOAD"]);
    let begun = Instant::now();
    let refused = bench.refusal("");
    assert!(refused.contains("loading took longer than 10 s"), "{refused}");
    assert!(begun.elapsed().as_secs() < 40);
    bench.hostile(&["NO_INSTANCE"]);
    run(async {
        for isolation in ["process", "in-process"] {
            let error = bench.open(&format!("isolation = \"{isolation}\"")).await.unwrap_err();
            let why = format!("{error}: {}", std::error::Error::source(&error).unwrap());
            assert!(why.contains("create"), "{isolation}: {why}");
        }
    });
}

fn versions() {
    for isolation in ["process", "in-process"] {
        let bench = Bench::new();
        for appended in [false, true] {
            if appended {
                bench.hostile(&["APPENDED"])
            } else {
                bench.hostile_of_1_0()
            };
            let lines = format!("isolation = \"{isolation}\"");
            let config = bench.config(&lines).unwrap();
            let abi = config.plugin.unwrap_or_else(|| panic!("{:?}", config.failed)).abi();
            assert_eq!(abi, if appended { "1.9" } else { "1.0" });
            run(async {
                let opened = bench.open(&lines).await.unwrap();
                assert_eq!(figure(&opened, "fine").await, 7);
                assert!(opened.close(std::time::Duration::from_secs(10)).await);
            });
        }
    }
}

fn mended() {
    let bench = Bench::strict();
    let config = bench.config("").unwrap();
    run(async {
        let host = bench.host();
        let error = host.open(&config).await.unwrap_err().to_string();
        assert!(error.starts_with("connector `x` cannot be loaded: there is no `x.so`"), "{error}");
        bench.hostile(&[]);
        let error = host.open(&config).await.unwrap_err().to_string();
        assert!(error.contains("is not pinned"), "{error}");
        bench.lock(&bench.sha256());
        let opened = host.open(&config).await.unwrap();
        assert_eq!(figure(&opened, "fine").await, 7);
        opened.close(std::time::Duration::from_secs(10)).await;
    });
}

fn mistakes() {
    let bench = Bench::new();
    bench.hostile(&[]);
    for (lines, words) in [
        ("isolation = \"thread\"", "zyklus.toml:3:13: connectors.x.isolation: \"thread\" is not a kind"),
        ("sha256 = \"00\"", "connectors.x.sha256: \"00\" is not a hash"),
        ("colour = 5", "there is no key `colour`; the keys here are: open, password, type, enabled"),
        ("open = 5", "connectors.x.open: 5 is a whole number; a text is wanted"),
        ("type = \"csv\"", "the library is a connector of type \"hostile\""),
    ] {
        let problems = bench.config(lines).unwrap_err();
        assert!(problems.contains(words), "{lines}: {problems}");
    }
    let config = bench.config("type = \"hostile\"\npassword = \"hunter2-pass\"").unwrap();
    assert_eq!(config.redactor.scrub("it is hunter2-pass"), "it is REDACTED");
}
