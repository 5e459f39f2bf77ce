//! The author's side: the example plugins and what `plugin new` writes are built outside the workspace and pass the kit in
//! both isolations, the examples work in a running daemon, and our own connectors pass the same cases in all three forms.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use zyklus_tests::smtp_sink::SmtpSink;
use zyklus_tests::zyklus::Zyklus;

use crate::daemon::stop;
use crate::plugins::{install, library, said, write_config};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().canonicalize().unwrap()
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let words =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}\n{words}");
}

/// Where projects outside the workspace are built: once for all of them, and for every run.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().join("outside")
}

/// Tests and builds a Rust project with the workspace's own versions of everything, and gives the library.
fn cargo(project: &Path, name: &str) -> PathBuf {
    std::fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    for what in ["test", "build"] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args([what, "--quiet", "--offline"]).current_dir(project).env("CARGO_TARGET_DIR", target());
        succeed(&mut command);
    }
    target().join("debug").join(format!("lib{name}.so"))
}

/// Copies an example's files out of the workspace.
fn example(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = root().join("examples").join(name);
    for file in
        ["Cargo.toml", "Makefile", "kit.toml", "guestbook.c", "people.txt", "src/lib.rs", "tests/kit.rs"]
    {
        if let Ok(text) = std::fs::read_to_string(from.join(file)) {
            let to = dir.path().join(file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            let sdk = root().join("crates/connect").display().to_string();
            std::fs::write(to, text.replace("../../crates/connect", &sdk)).unwrap();
        }
    }
    dir
}

/// The kit over a library in both isolations.
async fn passes(dir: &Path, library: &str, more: &[&str]) {
    let zyklus = Zyklus::new(dir).unwrap();
    let said = zyklus.succeed(&[&["plugin", "test", library], more].concat()).await.unwrap();
    for case in ["in-process::the_manifest_is_whole", "process::pages_end_and_no_record_comes_twice"] {
        assert!(said.contains(case), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_c_example_is_built_outside_passes_the_kit_and_works_in_a_daemon() {
    let dir = example("plugin-c");
    succeed(Command::new("make").current_dir(dir.path()));
    passes(dir.path(), "libguestbook.so", &[]).await;

    install(&dir.path().join("libguestbook.so"), dir.path(), "libguestbook.so");
    let one = |id: &str, isolation: &str| {
        format!(
            "[connectors.{id}]\nlibrary = \"libguestbook.so\"\nisolation = \"{isolation}\"\npeople = \"people.txt\"\n\
             password = {{ env = \"BOOK\" }}\n"
        )
    };
    write_config(dir.path(), &(one("one", "process") + &one("two", "in-process")));
    let zyklus = Zyklus::new(dir.path()).unwrap().env("BOOK", "open sesame");
    zyklus.succeed(&["plugin", "lock"]).await.unwrap();
    let log = dir.path().join("log");
    let daemon = zyklus.spawn(&["run"], &log).unwrap();
    said(&log, "connector.id=one changed=3", 1).await;
    said(&log, "connector.id=two changed=3", 1).await;
    let found = zyklus.succeed(&["customer", "find", "ida@example.com"]).await.unwrap();
    assert!(found.contains("the brave"), "{found}");
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_example_is_built_outside_and_passes_the_kit() {
    let dir = example("plugin-rust");
    let built = cargo(dir.path(), "loyalty");
    passes(dir.path(), built.to_str().unwrap(), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_project_builds_and_passes_the_kit_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = Zyklus::new(dir.path()).unwrap();
    zyklus.succeed(&["plugin", "new", "my-book", "--lang", "c"]).await.unwrap();
    let book = dir.path().join("my-book");
    succeed(Command::new("make").current_dir(&book));
    passes(&book, "libmy_book.so", &[]).await;

    let sdk = root().join("crates/connect");
    zyklus.succeed(&["plugin", "new", "acme-points", "--sdk", sdk.to_str().unwrap()]).await.unwrap();
    let points = dir.path().join("acme-points");
    let built = cargo(&points, "acme_points");
    passes(&points, built.to_str().unwrap(), &[]).await;

    let again = zyklus.run(&["plugin", "new", "my-book", "--lang", "c"]).await.unwrap();
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let wrong = zyklus.run(&["plugin", "new", "../x", "--lang", "c"]).await.unwrap();
    assert!(wrong.stderr.contains("cannot be a connector's name"), "{}", wrong.stderr);
}

/// The kit over one of ours: built in, and as a library in both isolations.
async fn ours_pass(dir: &Path, kind: &str, kit: &str) {
    std::fs::write(dir.join("kit.toml"), kit).unwrap();
    let zyklus = Zyklus::new(dir).unwrap();
    let said = zyklus.succeed(&["plugin", "test", kind]).await.unwrap();
    assert!(said.contains("built-in::the_manifest_is_whole"), "{said}");
    let name = format!("{kind}.so");
    install(&library(kind), dir, &name);
    passes(dir, &format!("plugins/{name}"), &["--network"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_maildir_and_smtp_pass_the_kit_in_all_three_forms() {
    let dir = tempfile::tempdir().unwrap();
    let people: String = (1..=5).map(|n| format!("{n},c{n}@example.com\n")).collect();
    std::fs::write(dir.path().join("customers.csv"), format!("id,email\n{people}")).unwrap();
    let csv = "[config.customers]\npath = \"customers.csv\"\n[streams.customers]\nrecords = 5\n\
        [[refused]]\nfield = \"customers.delimiter\"\n\
        config = { customers = { path = \"customers.csv\", delimiter = \";;\" } }\n";
    ours_pass(dir.path(), "csv", csv).await;

    let messages = "[[message]]\nfrom = { email = \"shop@example.com\" }\n\
        to = { email = { email = \"anna@example.com\" } }\nsubject = \"Hello\"\ntext = \"Hello\"\n\
        [[message]]\nfrom = { email = \"shop@example.com\" }\nto = { phone = \"+4915112345678\" }\ntext = \"Hello\"\n\
        expect = \"rejected\"\n";
    let maildir = "[config]\npath = \"mails\"\n[[refused]]\nconfig = { path = 7 }\nfield = \"path\"\n";
    ours_pass(dir.path(), "maildir", &(maildir.to_owned() + messages)).await;

    let sink = SmtpSink::start().await.unwrap();
    let smtp = format!(
        "[config]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"shop@example.com\"\n\
         [[refused]]\nconfig = {{ port = \"many\" }}\nfield = \"port\"\n",
        sink.port()
    );
    ours_pass(dir.path(), "smtp", &(smtp + messages)).await;
    assert!(!sink.messages().unwrap().is_empty());
}
