//! How commands end, what they print for programs, and who can read the files they make. What they decide is tested
//! elsewhere.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use zyklus_tests::process::Ended;
use zyklus_tests::zyklus::Zyklus;

const SHOP: &str = "[shop]\nname = \"S\"\ncurrency = \"EUR\"\nurl = \"https://s.example\"\nemail = \"a@s.example\"\n\
                    legal_name = \"S\"\naddress_lines = [\"A\"]\ntime_zone = \"America/New_York\"\n\
                    [connectors.mail]\ntype = \"maildir\"\npath = \"mail\"\n";

/// A connector of files with one stream of orders.
fn files(name: &str) -> String {
    format!(
        "[connectors.{name}]\ntype = \"csv\"\n[connectors.{name}.orders]\npath = \"{name}.csv\"\ncurrency = \"EUR\"\n"
    )
}

fn orders(dir: &Path, name: &str, rows: &str) {
    std::fs::write(dir.join(format!("{name}.csv")), format!("id,email,placed_at,total\n{rows}")).unwrap();
}

fn write(dir: &Path, more: &str) -> Zyklus {
    std::fs::write(dir.join("zyklus.toml"), format!("{SHOP}{more}")).unwrap();
    Zyklus::new(dir).unwrap()
}

async fn ends(zyklus: &Zyklus, args: &[&str], code: i32) -> Ended {
    let ended = zyklus.run(args).await.unwrap();
    assert_eq!(ended.status.code(), Some(code), "{args:?}\n{}\n{}", ended.stdout, ended.stderr);
    ended
}

fn parsed(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_for_programs_what_it_says_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write(dir.path(), &files("none"));
    let told = parsed(&ends(&zyklus, &["check", "--json"], 0).await);
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "sound",
            "problems",
            "tests",
            "failed_tests",
            "lifecycle",
            "phases",
            "journeys",
            "templates",
            "connectors",
            "failed_connectors",
            "holdout_percent"
        ]
    );
    assert_eq!(
        (&told["sound"], &told["lifecycle"], &told["connectors"]),
        (&json!(true), &json!("ecommerce"), &json!(2))
    );
    let doubt = &told["problems"][0];
    assert_eq!(
        (&doubt["severity"], &doubt["file"], &doubt["line"]),
        (&json!("warning"), &json!("zyklus.toml"), &json!(15))
    );
    assert!(doubt["message"].as_str().unwrap().contains("`none.csv` does not exist"), "{doubt}");

    // A library that is not there: read, but not sound.
    let lost = write(dir.path(), &format!("[connectors.lost]\nlibrary = \"lost.so\"\n{}", files("none")));
    let told = parsed(&ends(&lost, &["check", "--json"], 1).await);
    assert_eq!((&told["sound"], &told["failed_connectors"]), (&json!(false), &json!(1)));
    let listed = parsed(&ends(&lost, &["connector", "list", "--json"], 0).await);
    let lost = listed.as_array().unwrap().iter().find(|one| one["connector"] == "lost").unwrap();
    assert!(
        lost["failed"].as_str().unwrap().contains("the plugin folder ./plugins cannot be used"),
        "{lost}"
    );
    write(dir.path(), &files("none"));

    // A test that fails: read, but not sound.
    std::fs::create_dir(dir.path().join("playbooks")).unwrap();
    let playbook = "[journeys.j]\nlabel = { en = \"J\" }\nstart = { event = \"order.placed\" }\nsteps = [{ tag = \"t\" }]\n\
                    [[tests]]\nname = \"wrong\"\njourney = \"j\"\ngiven = [{ at = \"0h\", event = \"order.placed\" }]\n\
                    expect = [{ at = \"1d\", tag = \"t\" }]\n";
    std::fs::write(dir.path().join("playbooks/p.toml"), playbook).unwrap();
    let told = parsed(&ends(&zyklus, &["check", "--json"], 1).await);
    assert_eq!(
        (&told["sound"], &told["tests"], &told["failed_tests"][0]["name"]),
        (&json!(false), &json!(1), &json!("wrong"))
    );
    ends(&zyklus, &["check"], 1).await;

    // A mistake: not even read.
    std::fs::write(dir.path().join("zyklus.toml"), SHOP.replace("currency", "curency")).unwrap();
    let told = parsed(&ends(&zyklus, &["check", "--json"], 2).await);
    assert_eq!(told["sound"], json!(false));
    let problems = told["problems"].as_array().unwrap();
    let misspelt = problems.iter().find(|problem| problem["help"] == "did you mean `currency`?").unwrap();
    assert_eq!((&misspelt["severity"], &misspelt["line"]), (&json!("error"), &json!(3)));
    ends(&zyklus, &["check"], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_are_listed_and_checked_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    let off = "[connectors.off]\ntype = \"maildir\"\nenabled = false\npath = \"off\"\n";
    let zyklus = write(dir.path(), &format!("{off}{}", files("shop")));
    let listed = parsed(&ends(&zyklus, &["connector", "list", "--json"], 0).await);
    assert_eq!(
        listed[0],
        json!({ "connector": "mail", "type": "maildir", "enabled": true, "streams": [], "channel": "email", "actions": [], "failed": null })
    );
    assert_eq!((&listed[1]["connector"], &listed[1]["enabled"]), (&json!("off"), &json!(false)));
    assert!(listed[2]["streams"].as_array().unwrap().contains(&json!("orders")), "{listed}");

    let checked = parsed(&ends(&zyklus, &["connector", "check", "--json"], 1).await);
    let one = |checked: &Value, name: &str| -> Value {
        let all = checked.as_array().unwrap();
        all.iter().find(|check| check["connector"] == name).unwrap().clone()
    };
    assert_eq!(one(&checked, "mail")["fine"], json!(true));
    let shop = one(&checked, "shop");
    assert_eq!((&shop["check"], &shop["fine"]), (&json!("orders can be read"), &json!(false)));
    assert!(shop["problem"].as_str().unwrap().contains("does not exist"), "{shop}");
    orders(dir.path(), "shop", "1,a@c.example,2026-01-01,10.00\n");
    let checked = parsed(&ends(&zyklus, &["connector", "check", "shop", "--json"], 0).await);
    assert_eq!((checked.as_array().unwrap().len(), &checked[0]["problem"]), (1, &Value::Null));
    ends(&zyklus, &["connector", "check", "shpo"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_reads_each_connector_by_itself_and_ends_by_what_it_could_read() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write(dir.path(), &format!("{}{}", files("one"), files("two")));
    orders(dir.path(), "one", "1,a@c.example,2026-01-01,10.00\n");
    // One has no file: it stops, and the other is read.
    let ended = ends(&zyklus, &["sync"], 1).await;
    assert!(ended.stdout.contains("one orders: 1 records, 1 changed"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("two orders: 0 records") && ended.stdout.contains("  stopped: "),
        "{}",
        ended.stdout
    );
    orders(dir.path(), "two", "2,b@c.example,2026-01-01,20.00\n");
    let told = parsed(&ends(&zyklus, &["sync", "--json"], 0).await);
    // In the order of the file, each from where it had come to.
    assert_eq!(
        (&told["connectors"][0]["connector"], &told["connectors"][1]["connector"]),
        (&json!("one"), &json!("two"))
    );
    let read = |n: usize| told["connectors"][n]["streams"][0]["records"].clone();
    assert_eq!((read(0), read(1)), (json!(0), json!(1)));
    // A row that cannot be used is counted and no failure; a stream of nothing else is one.
    orders(
        dir.path(),
        "two",
        "2,b@c.example,2026-01-01,20.00\n3,c@c.example,someday,30.00\n4,d@c.example,2026-02-01,5.00\n",
    );
    let ended = ends(&zyklus, &["sync"], 0).await;
    assert!(ended.stdout.contains("1 rejected; csv"), "{}", ended.stdout);
    orders(dir.path(), "three", "5,e@c.example,someday,30.00\n");
    let zyklus = write(dir.path(), &files("three"));
    ends(&zyklus, &["sync"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_about_customers_end_with_one_for_nobody_and_with_two_for_wrong_words() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write(dir.path(), &files("shop"));
    orders(dir.path(), "shop", "1,a@c.example,2026-01-01,10.00\n");
    ends(&zyklus, &["sync"], 0).await;
    let consent =
        |who: &'static str, more: &[&'static str]| [&["customer", "consent", who][..], more].concat();
    for (args, code) in [
        (vec!["customer", "find", "a@c.example"], 0),
        (vec!["customer", "find", "nobody@c.example"], 1),
        (vec!["customer", "show", "a@c.example"], 0),
        (vec!["customer", "show", "nobody@c.example"], 1),
        (vec!["why", "nobody@c.example"], 1),
        (vec!["customer", "unsuppress", "a@c.example"], 1),
        (vec!["customer", "suppress", "nobody@c.example"], 1),
        (vec!["customer", "suppress", "a@c.example", "--reason", "mood"], 1),
        (vec!["customer", "suppress", "a@c.example"], 0),
        (vec!["customer", "unsuppress", "a@c.example"], 0),
        (consent("a@c.example", &["--grant", "--evidence", "letter"]), 0),
        (consent("a@c.example", &["--grant", "--evidence", " "]), 1),
        (consent("a@c.example", &["--grant", "--withdraw", "--evidence", "letter"]), 2),
        (consent("a@c.example", &["--evidence", "letter"]), 2),
        (consent("nobody@c.example", &["--withdraw", "--evidence", "letter"]), 1),
    ] {
        ends(&zyklus, &args, code).await;
    }
    // Instants where the shop is, and the next message.
    let told = ends(&zyklus, &["why", "a@c.example"], 0).await.stdout;
    assert!(told.contains("America/New_York") && told.contains("no message within 30 days"), "{told}");
    let is_utc = |word: &str| {
        let word = word.trim_end_matches([')', ',', ';']);
        word.strip_suffix('Z').is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_digit()))
    };
    assert!(!told.split_whitespace().any(is_utc), "{told}");
    let told = parsed(&ends(&zyklus, &["why", "a@c.example", "--json"], 0).await);
    assert!(told["phase"]["phase"].is_string() && told["next_message"].is_null(), "{told}");
}

/// Everything below a folder.
fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { [below(&path), vec![path]].concat() } else { vec![path] })
        .collect()
}

/// Runs it as somebody whose shell makes files for everybody.
fn openhanded(zyklus: &Zyklus, args: &[&str]) {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(zyklus.program()).args(args);
    let output = command.current_dir(zyklus.folder()).output().unwrap();
    assert!(output.status.success(), "{args:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_made_is_its_users_alone_even_if_the_shell_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = Zyklus::new(dir.path()).unwrap();
    openhanded(&zyklus, &["demo", "--dir", "d"]);
    let demo = dir.path().join("d");
    let zyklus = Zyklus::new(&demo).unwrap();
    openhanded(&zyklus, &["db", "backup", "copy.db"]);
    let made = below(dir.path());
    let is_there = |name: &str| made.iter().any(|path| path.ends_with(name));
    assert!(
        is_there("zyklus.db") && is_there("mail/new") && is_there("copy.db") && made.len() > 150,
        "{}",
        made.len()
    );
    for path in &made {
        let about = std::fs::metadata(path).unwrap();
        let wanted = if about.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(about.mode() & 0o777, wanted, "{}", path.display());
    }
    // What was wider before stays as it is: the operator may mean it. `check` names it.
    std::fs::set_permissions(demo.join("zyklus.db"), std::fs::Permissions::from_mode(0o664)).unwrap();
    openhanded(&zyklus, &["sync"]);
    assert_eq!(std::fs::metadata(demo.join("zyklus.db")).unwrap().mode() & 0o777, 0o664);
    let ended = ends(&zyklus, &["check"], 0).await;
    assert!(ended.stderr.contains("`zyklus.db` (its mode is 0664)"), "{}", ended.stderr);
}
