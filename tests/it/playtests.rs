//! `zyklus test` and the tests' part of `zyklus check`, as an operator types them.

use zyklus_tests::zyklus::Zyklus;

#[tokio::test(flavor = "multi_thread")]
async fn the_starter_tests_pass_and_a_failing_one_makes_check_fail() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = Zyklus::new(dir.path()).unwrap();
    assert!(zyklus.run(&["init"]).await.unwrap().status.success());
    let ended = zyklus.run(&["test", "--json"]).await.unwrap();
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
    let results: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(results["passed"].as_u64().unwrap() >= 14, "{results}");
    assert_eq!(results["failed"], 0);

    let file = dir.path().join("playbooks/03-cart.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("{ wait = \"2h\" }", "{ wait = \"4h\" }")).unwrap();
    let line = text.lines().position(|line| line.contains("two mails remind of a cart")).unwrap() + 1;
    let ended = zyklus.run(&["check"]).await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    for words in [
        &format!("--> playbooks/03-cart.toml:{line}"),
        "send cart-1; it came on Mon 2026-03-02 14:00 (0d)",
        "wait:send:cart-1",
        "tests, 3 failed",
    ] {
        assert!(ended.stderr.contains(words), "{words}\n{}", ended.stderr);
    }
    let ended = zyklus.run(&["test", "cart"]).await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stdout.contains("FAILED  abandoned-cart: two mails remind of a cart"), "{}", ended.stdout);
    assert!(ended.stdout.contains("ok      abandoned-cart: a small cart"), "{}", ended.stdout);
    assert!(zyklus.run(&["test", "at-risk"]).await.unwrap().status.success(), "others still pass");
    assert_eq!(zyklus.run(&["test", "no such test"]).await.unwrap().status.code(), Some(1));
}
