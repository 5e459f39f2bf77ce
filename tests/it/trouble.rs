//! What goes wrong on the operator's own machine: the store, the disk, a file, a template. Each time: what the
//! command says, how it ends, that nothing is lost, and that the daemon lives.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use zyklus_model::DeliveryState;
use zyklus_tests::postgres::fresh_database;
use zyklus_tests::process::run;
use zyklus_tests::smtp_sink::SmtpSink;
use zyklus_tests::zyklus::Zyklus;

use crate::daemon::{stop, write_config};
use crate::operator::{FILES, Lives, PATIENCE, Seen, append, caught_up, listed, order, until};

/// A shop of files whose mails go into a Maildir.
fn write_shop(dir: &Path, store: &str) -> Zyklus {
    write_config(dir, FILES, 25);
    let config = std::fs::read_to_string(dir.join("zyklus.toml")).unwrap();
    let (before, _) = config.split_once("[connectors.mail]").unwrap();
    let mail = "[connectors.mail]\ntype = \"maildir\"\npath = \"mail\"\n";
    std::fs::write(dir.join("zyklus.toml"), format!("[store]\nurl = \"{store}\"\n{before}{mail}")).unwrap();
    append(dir, "orders.csv", "old,old@example.com,2025-01-01T10:00:00Z,20.00\n");
    Zyklus::new(dir).unwrap()
}

fn file(dir: &Path, name: &str) -> String {
    format!("sqlite:{}", dir.join(name).display())
}

/// Who got mail: the addresses, each once.
fn mailed(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("mail/new")).into_iter().flatten();
    let mut people: Vec<String> = entries
        .map(|entry| {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
            to.trim().trim_matches(['<', '>']).to_owned()
        })
        .collect();
    people.sort();
    people
}

/// Every command leaves a store alone that a later version has written, and says so.
async fn newer_store_is_refused(zyklus: &Zyklus) {
    for command in ["run", "sync", "plan", "report"] {
        let ended = zyklus.run(&[command]).await.unwrap();
        assert_eq!(ended.status.code(), Some(1), "{command}: {}{}", ended.stdout, ended.stderr);
        let words = ["the store has version 99", "install the newer zyklus"];
        assert!(words.iter().all(|word| ended.stderr.contains(word)), "{command}: {}", ended.stderr);
    }
}

const FROM_THE_FUTURE: &str = "INSERT INTO schema_migration (version, name) VALUES (99, 'future')";

#[tokio::test(flavor = "multi_thread")]
async fn store_of_a_newer_version_is_left_alone_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write_shop(dir.path(), &file(dir.path(), "zyklus.db"));
    zyklus.succeed(&["db", "migrate"]).await.unwrap();
    let path = dir.path().join("zyklus.db");
    let ended = run("sqlite3", [path.as_os_str(), FROM_THE_FUTURE.as_ref()]).unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    let before = std::fs::read(&path).unwrap();
    newer_store_is_refused(&zyklus).await;
    assert!(before == std::fs::read(&path).unwrap(), "it was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_of_a_newer_version_is_left_alone_on_postgres() {
    let dir = tempfile::tempdir().unwrap();
    let database = fresh_database().unwrap();
    let zyklus = write_shop(dir.path(), &database.url());
    zyklus.succeed(&["db", "migrate"]).await.unwrap();
    database.ask(FROM_THE_FUTURE).unwrap();
    newer_store_is_refused(&zyklus).await;
    assert_eq!(database.ask("SELECT COUNT(*) FROM sync_cursor").unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_daemon_on_the_same_file_ends_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let url = file(dir.path(), "zyklus.db");
    let zyklus = write_shop(dir.path(), &url);
    let daemon = Lives::new(&zyklus, dir.path()).begin().await;
    caught_up(&url, &["orders"]).await;
    for command in ["run", "sync"] {
        let ended = zyklus.run(&[command]).await.unwrap();
        assert_eq!(ended.status.code(), Some(1), "{command}: {}{}", ended.stdout, ended.stderr);
        let words = format!("is in use by another zyklus (process {})", daemon.id());
        assert!(ended.stderr.contains(&words), "{command}: {}", ended.stderr);
    }
    append(dir.path(), "orders.csv", &order("new"));
    until("the first one answers", async || (!mailed(dir.path()).is_empty()).then_some(())).await;
    stop(daemon).await;
    assert_eq!(mailed(dir.path()), ["new@example.com"]);
}

/// A disk that is soon full. It goes with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(at: &Path, megabytes: u32) -> Self {
        std::fs::create_dir(at).unwrap();
        let options = format!("size={megabytes}m");
        let mounted = run("mount", ["-t", "tmpfs", "-o", &options, "tmpfs", at.to_str().unwrap()]).unwrap();
        assert!(
            mounted.status.success(),
            "this test needs a small disk of its own and may not mount one: run it as root, in a container if need \
             be, with CAP_SYS_ADMIN\n{}",
            mounted.stderr
        );
        Self(at.to_owned())
    }

    /// Takes all the space there is.
    fn fill(&self) {
        use std::io::Write;
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        for size in [4_096, 1] {
            let block = vec![1; size];
            while ballast.write_all(&block).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(run("umount", ["--lazy".as_ref(), self.0.as_os_str()]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_outlives_a_full_disk_and_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::new(&dir.path().join("small"), 6);
    outlives_a_full_disk(dir.path(), &file(dir.path(), "small/zyklus.db"), &disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_outlives_a_full_disk_of_postgres() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let database = fresh_database().unwrap();
    // An empty database is some 8 MB; the server's own log lies elsewhere, and never fills.
    let disk = SmallDisk::new(&dir.path().join("small"), 24);
    let (server, space) = (fresh_database().unwrap(), format!("small_{}", std::process::id()));
    let theirs = std::fs::metadata(server.ask("SHOW data_directory").unwrap()).unwrap();
    let at = disk.0.join("space");
    std::fs::create_dir(&at).unwrap();
    std::os::unix::fs::chown(&at, Some(theirs.uid()), Some(theirs.gid())).unwrap();
    for folder in [dir.path(), &disk.0] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    server.ask(&format!("CREATE TABLESPACE {space} LOCATION '{}'", at.display())).unwrap();
    let url = database.url();
    let name = url.rsplit('/').next().unwrap();
    server.ask(&format!("ALTER DATABASE {name} SET TABLESPACE {space}")).unwrap();
    outlives_a_full_disk(dir.path(), &url, &disk).await;
    drop(database);
    server.ask(&format!("DROP TABLESPACE {space}")).unwrap();
}

/// A daemon whose store, at `url`, lies on a disk that fills up and is free again.
async fn outlives_a_full_disk(dir: &Path, url: &str, disk: &SmallDisk) {
    let zyklus = write_shop(dir, url);
    let mut daemon = Lives::new(&zyklus, dir).begin().await;
    caught_up(url, &["orders"]).await;
    disk.fill();
    // More than fits into what the log has reserved already; old orders, which nobody is written to for.
    let mut rows: String =
        (0..1_500).map(|n| format!("b{n},b{n}@example.com,2025-02-01T10:00:00Z,10.00\n")).collect();
    (0..8).for_each(|n| rows += &order(&format!("new{n}")));
    append(dir, "orders.csv", &rows);
    daemon
        .ready(PATIENCE, |printed| printed.contains("the disk that holds the store is full"))
        .await
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(daemon.ended().unwrap().is_none(), "{}", daemon.printed());
    let seen = Seen::at(url).await.unwrap();
    assert_eq!((seen.orders() - 1) % 1_000, 0, "pages are wholly in or wholly out");
    assert!(seen.orders() < 1_500 && seen.people.len() == seen.orders());
    disk.free();
    let seen = until("everything is in and answered", async || {
        let seen = Seen::at(url).await?;
        (seen.orders() == 1_509 && seen.count(DeliveryState::Accepted) == 8).then_some(seen)
    })
    .await;
    assert_eq!(seen.people.len(), 1_509);
    stop(daemon).await;
    let expected: Vec<String> = (0..8).map(|n| format!("new{n}@example.com")).collect();
    assert_eq!(mailed(dir), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_while_the_disk_was_full_is_noted_when_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::new(&dir.path().join("small"), 6);
    let url = file(dir.path(), "small/zyklus.db");
    let sink = SmtpSink::with_options(&["-w", "3"]).await.unwrap();
    write_config(dir.path(), &format!("{FILES}\n[store]\nurl = \"{url}\"\n"), sink.port());
    let zyklus = Zyklus::new(dir.path()).unwrap();
    append(dir.path(), "orders.csv", "old,old@example.com,2025-01-01T10:00:00Z,20.00\n");
    let mut daemon = Lives::new(&zyklus, dir.path()).begin().await;
    caught_up(&url, &["orders"]).await;
    append(dir.path(), "orders.csv", &order("new"));
    // Before a mail goes, the store notes that it is handed over; on a full disk it could not, and the mail would wait.
    until("the mail is on its way", async || {
        let seen = Seen::at(&url).await?;
        seen.deliveries.iter().flat_map(|(_, tries)| tries).find_map(|attempt| attempt.handed_at)
    })
    .await;
    let state = async |wanted| {
        until("the delivery moves on", async || (Seen::at(&url).await?.count(wanted) == 1).then_some(()))
            .await;
    };
    state(DeliveryState::Sending).await;
    disk.fill();
    sink.wait_for(1, PATIENCE).await.unwrap();
    daemon
        .ready(PATIENCE, |printed| printed.contains("the store cannot take what became of a delivery"))
        .await
        .unwrap();
    assert_eq!(Seen::at(&url).await.unwrap().count(DeliveryState::Sending), 1);
    disk.free();
    state(DeliveryState::Accepted).await;
    stop(daemon).await;
    assert_eq!(sink.messages().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_hangs_up_again_and_again_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (database, sink) = (fresh_database().unwrap(), SmtpSink::start().await.unwrap());
    let url = database.url();
    write_config(dir.path(), &format!("{FILES}\n[store]\nurl = \"{url}\"\n"), sink.port());
    let zyklus = Zyklus::new(dir.path()).unwrap();
    append(dir.path(), "orders.csv", "old,old@example.com,2025-01-01T10:00:00Z,20.00\n");
    let mut daemon = Lives::new(&zyklus, dir.path()).begin().await;
    caught_up(&url, &["orders"]).await;
    let hang_up = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for time in 0..5 {
        let rows: String = (0..20).map(|n| order(&format!("new{time}-{n}"))).collect();
        append(dir.path(), "orders.csv", &rows);
        tokio::time::sleep(std::time::Duration::from_millis(170 * (1 + time))).await;
        database.ask(hang_up).unwrap();
    }
    until("everybody is answered", async || {
        let seen = Seen::at(&url).await?;
        (seen.orders() == 101 && seen.count(DeliveryState::Accepted) == 100).then_some(())
    })
    .await;
    assert!(daemon.ended().unwrap().is_none());
    stop(daemon).await;
    let mails = sink.messages().unwrap();
    let people: BTreeSet<&str> = mails.iter().map(|mail| mail.recipients[0].as_str()).collect();
    assert_eq!((mails.len(), people.len()), (100, 100), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_rows_are_named_kept_and_keep_nothing_else_out() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write_shop(dir.path(), &file(dir.path(), "zyklus.db"));
    append(
        dir.path(),
        "orders.csv",
        "a,a@example.com,2025-01-32T10:00:00Z,20.00\nb,b@example.com,2025-01-02T10:00:00Z,dear\n\
         c,c@example.com,2025-01-03T10:00:00Z\nd,d@example.com,2025-01-04T10:00:00Z,9.999\n\
         e,e@example.com,2025-01-05T10:00:00Z,12.50\n",
    );
    let told = zyklus.succeed(&["sync"]).await.unwrap();
    assert!(told.contains("files orders: 2 records, 2 changed, 2 new customers, 4 rejected"), "{told}");
    let rejects = std::fs::read_to_string(dir.path().join("connectors/files/rejects/orders.csv")).unwrap();
    for (line, word) in [(3, "placed_at"), (4, "total"), (5, "3 fields"), (6, "total")] {
        let place = format!("orders.csv:{line}");
        let words = told.lines().find(|told| told.contains(&place));
        assert!(words.is_some_and(|words| words.contains(word)), "{place}: {told}");
        assert!(rejects.contains(&format!(",orders.csv,{line},")), "{rejects}");
    }
    let told = zyklus.succeed(&["sync"]).await.unwrap();
    assert!(told.contains("files orders: 0 records, 0 changed, 0 new customers, 0 rejected"), "{told}");
    let kept = std::fs::read_to_string(dir.path().join("connectors/files/rejects/orders.csv")).unwrap();
    assert_eq!(kept, rejects, "each is kept once");
    let seen = Seen::at(&file(dir.path(), "zyklus.db")).await.unwrap();
    assert_eq!(seen.orders(), 2);
}

/// Puts a sentence of its own into every language of the mail.
fn write_into_template(dir: &Path, text: &str) {
    for entry in std::fs::read_dir(dir.join("templates/welcome-1")).unwrap() {
        let path = entry.unwrap().path();
        let template = std::fs::read_to_string(&path).unwrap();
        let more = format!("</mj-text><mj-text>{text}</mj-text>");
        std::fs::write(&path, template.replacen("</mj-text>", &more, 1)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn template_that_loops_too_deep_is_found_by_check() {
    let dir = tempfile::tempdir().unwrap();
    let zyklus = write_shop(dir.path(), &file(dir.path(), "zyklus.db"));
    let inner = "{% for c in products %}x{% endfor %}";
    write_into_template(
        dir.path(),
        &format!("{{% for a in products %}}{{% for b in products %}}{inner}{{% endfor %}}{{% endfor %}}"),
    );
    let ended = zyklus.run(&["check"]).await.unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}{}", ended.stdout, ended.stderr);
    let template = std::fs::read_to_string(dir.path().join("templates/welcome-1/en.mjml")).unwrap();
    let line = template.lines().position(|line| line.contains("for c in")).unwrap() + 1;
    let place = format!("welcome-1/en.mjml:{line}:");
    assert!(ended.stderr.contains(&place), "{place}\n{}", ended.stderr);
    assert!(ended.stderr.contains("loops are nested too deep"), "{}", ended.stderr);
    assert!(!dir.path().join("zyklus.db").exists(), "nothing was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn template_that_does_not_end_for_one_customer_costs_that_mail_only() {
    let dir = tempfile::tempdir().unwrap();
    let url = file(dir.path(), "zyklus.db");
    let zyklus = write_shop(dir.path(), &url);
    // Two loops over the order's lines: nothing for the invented customers of `check`, far too much for a hundred.
    let inner = "{% for b in order.lines %}{% if a.title == b.title %}x{% endif %}{% endfor %}";
    write_into_template(
        dir.path(),
        &format!(
            "{{% if order %}}{{% for a in order.lines %}}{}{{% endfor %}}{{% endif %}}",
            inner.repeat(5)
        ),
    );
    let lines = "line_title = \"line_title\"\nline_quantity = \"line_quantity\"\n";
    let config = std::fs::read_to_string(dir.path().join("zyklus.toml")).unwrap();
    let map = format!(
        "currency = \"EUR\"\n[connectors.files.orders.map]\nid = \"id\"\nemail = \"email\"\n\
                       placed_at = \"placed_at\"\ntotal = \"total\"\n{lines}"
    );
    let config = config.replacen(
        "path = \"orders.csv\"\ncurrency = \"EUR\"\n",
        &format!("path = \"orders.csv\"\n{map}"),
        1,
    );
    std::fs::write(dir.path().join("zyklus.toml"), config).unwrap();
    std::fs::write(dir.path().join("orders.csv"), "id,email,placed_at,total,line_title,line_quantity\n")
        .unwrap();
    zyklus.succeed(&["check"]).await.unwrap();
    let mut daemon = Lives::new(&zyklus, dir.path()).begin().await;
    caught_up(&url, &["orders"]).await;
    let bought = |name: &str, lines: usize| {
        let head = order(name).trim_end().to_owned();
        (0..lines).map(|n| format!("{head},thing {n},1\n")).collect::<String>()
    };
    append(dir.path(), "orders.csv", &(bought("many", 100) + &bought("few", 1)));
    until("both are over", async || {
        let deliveries = listed(&zyklus).await;
        (deliveries.len() == 2 && deliveries.iter().all(|d| d.state.is_final())).then_some(())
    })
    .await;
    append(dir.path(), "orders.csv", &bought("later", 1));
    until("the daemon goes on", async || (mailed(dir.path()).len() == 2).then_some(())).await;
    assert!(daemon.ended().unwrap().is_none());
    stop(daemon).await;
    assert_eq!(mailed(dir.path()), ["few@example.com", "later@example.com"]);
    let failed: Vec<_> =
        listed(&zyklus).await.into_iter().filter(|d| d.state == DeliveryState::Failed).collect();
    let [failed] = failed.as_slice() else { panic!("{failed:?}") };
    let shown = zyklus.succeed(&["delivery", "show", &failed.id.to_string()]).await.unwrap();
    assert!(shown.contains("welcome-1/") && shown.contains("did not end within"), "{shown}");
}
