//! The program as a newcomer types it: `init` and `check`, the demo once and again, looking around, a backup.

use std::path::Path;

use zyklus_tests::zyklus::Zyklus;

async fn run(zyklus: &Zyklus, args: &[&str]) -> String {
    let ended = zyklus.run(args).await.unwrap();
    assert!(ended.status.success(), "{args:?}\n{}\n{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// Name and content of every mail.
fn mails(dir: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(dir.join("mail/new")).unwrap().map(|entry| entry.unwrap());
    let mut mails: Vec<(String, String)> = entries
        .map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(e.path()).unwrap()))
        .collect();
    mails.sort();
    mails
}

#[tokio::test(flavor = "multi_thread")]
async fn what_init_writes_is_sound_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = Zyklus::new(dir.path()).unwrap();
    run(&zyklus, &["init"]).await;
    let checked = run(&zyklus, &["check"]).await;
    assert!(checked.contains("The configuration is sound: lifecycle ecommerce"), "{checked}");
    run(&zyklus, &["sync"]).await;
    let ended = zyklus.run(&["init"]).await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("exists already; nothing was written"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_configuration_end_with_two_and_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = Zyklus::new(dir.path()).unwrap();
    let good = "[shop]\nname = \"S\"\ncurrency = \"EUR\"\n";
    for (text, place, words) in [
        ("[shop]\nname = \"S\"\ncurency = \"EUR\"\n", "zyklus.toml:3:1", "did you mean `currency`?"),
        ("[shop]\nname = 5\ncurrency = \"EUR\"\n", "zyklus.toml:2:8", "is a whole number, not a text"),
        ("[shop\n", "zyklus.toml:1", "error"),
        (
            &format!("{good}[lifecycle]\nmodel = \"ecomerce\"\n"),
            "zyklus.toml:5:9",
            "did you mean \"ecommerce\"?",
        ),
        (&format!("{good}[connectors.x]\ntype = \"smpt\"\n"), "zyklus.toml:5", "did you mean \"smtp\"?"),
    ] {
        std::fs::write(dir.path().join("zyklus.toml"), text).unwrap();
        let ended = zyklus.run(&["check"]).await.unwrap();
        assert_eq!(ended.status.code(), Some(2), "{text}");
        assert!(ended.stderr.contains(place) && ended.stderr.contains(words), "{text}\n{}", ended.stderr);
    }
    std::fs::remove_file(dir.path().join("zyklus.toml")).unwrap();
    let ended = zyklus.run(&["check"]).await.unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("does not exist"), "{}", ended.stderr);
    assert_eq!(zyklus.run(&["frobnicate"]).await.unwrap().status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_mails_once_and_can_be_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = Zyklus::new(dir.path()).unwrap();
    let told = run(&zyklus, &["demo", "--dir", "d"]).await;
    assert!(told.contains("Messages in the outbox: 0."), "{told}");
    let demo = dir.path().join("d");
    let first = mails(&demo);
    assert!(first.len() > 50, "{}", first.len());
    let german = first.iter().filter(|(_, mail)| mail.contains("Abmelden")).count();
    assert!(german > 10 && german < first.len(), "both languages: {german} of {}", first.len());
    // Best sellers are named, and lead to the shop.
    let best: Vec<_> =
        first.iter().filter(|(_, mail)| mail.contains("Subject: What others like best")).collect();
    assert!(!best.is_empty());
    for (name, mail) in best {
        let text = mail.split("text/html").next().unwrap();
        assert_eq!(text.matches("https://lindenmoos.example/produkt/").count(), 4, "{name}\n{text}");
    }
    run(&zyklus, &["demo", "--dir", "d"]).await;
    assert_eq!(first, mails(&demo), "running it again sends nothing");

    let zyklus = Zyklus::new(&demo).unwrap();
    let listed =
        run(&zyklus, &["delivery", "list", "--state", "accepted", "--limit", "1000", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), first.len());
    let customer = listed[0]["customer"].as_str().unwrap();
    let told = run(&zyklus, &["why", customer]).await;
    assert!(told.contains("phase ") && told.contains("because") && told.contains("not in journey"), "{told}");
    let shown = run(&zyklus, &["customer", "show", customer]).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let email = shown[0]["customer"]["email"].as_str().unwrap();
    assert!(run(&zyklus, &["customer", "find", email]).await.contains(customer));
    let id = listed[0]["id"].as_str().unwrap();
    assert!(run(&zyklus, &["delivery", "show", id]).await.contains("\"accepted\""));
    let ended = zyklus.run(&["delivery", "cancel", id]).await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "what was sent cannot be cancelled");
    assert!(run(&zyklus, &["connector", "list"]).await.contains("shop  csv"));
    assert!(run(&zyklus, &["connector", "check"]).await.contains("mail"));

    let report = run(&zyklus, &["report", "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    // Figures move with the clock: the same instant before and after.
    let same = ["report", "--now", report["at"].as_str().unwrap(), "--json"];
    let before = run(&zyklus, &same).await;
    run(&zyklus, &["db", "backup", "copy.db"]).await;
    std::fs::remove_file(demo.join("zyklus.db")).unwrap();
    run(&zyklus, &["db", "restore", "copy.db"]).await;
    assert_eq!(before, run(&zyklus, &same).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_reaches_no_other_machine() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = Zyklus::new(dir.path()).unwrap();
    let config = "# zyklus demo: mine\n[shop]\nname = \"S\"\ncurrency = \"EUR\"\nurl = \"https://s.example\"\n\
                  email = \"a@s.example\"\nlegal_name = \"S\"\naddress_lines = [\"A\"]\n[connectors.mail]\n\
                  type = \"smtp\"\nhost = \"127.0.0.1\"\nport = 1\ntls = \"none\"\nfrom = \"S <a@s.example>\"\n";
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("d/zyklus.toml"), config).unwrap();
    let ended = zyklus.run(&["demo", "--dir", "d"]).await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("could reach other machines"), "{}", ended.stderr);
}
