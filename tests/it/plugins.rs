//! Our own connectors as libraries, and libraries in a running daemon: the same shop comes to the same figures in all
//! three forms; a broken one fails alone and is mended while the daemon runs; a pinned hash that changes reloads it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use zyklus_tests::zyklus::Zyklus;

use crate::daemon::stop;

/// Builds a connector as a library, as plugins/README.md says.
pub(crate) fn library(name: &str) -> PathBuf {
    zyklus_tests::library::build(name).unwrap()
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Puts a library into a folder's plugins.
pub(crate) fn install(library: &Path, dir: &Path, name: &str) {
    let plugins = dir.join("plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    chmod(&plugins, 0o755);
    // A name of its own first: a library that is mapped must not be written to.
    let new = plugins.join("new");
    std::fs::copy(library, &new).unwrap();
    chmod(&new, 0o644);
    std::fs::rename(new, plugins.join(name)).unwrap();
}

/// Compiles a plugin in C.
fn compile(dir: &Path, source: &str) {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/connect/include");
    let (file, built) = (dir.join("plugin.c"), dir.join("built.so"));
    std::fs::write(&file, source).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-I"]);
    let output = cc.arg(include).arg("-o").arg(&built).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    install(&built, dir, "shop.so");
}

/// A shop of one customer, whose first name is the version.
fn one_customer(version: &str) -> String {
    let text = r#"#include <string.h>
#include "zyklus_plugin.h"
static const zy_host *HOST;
static zy_bytes text(const char *s) { return (zy_bytes){(const uint8_t *)s, strlen(s)}; }
static zy_bytes manifest(void) {
  return text("{\"kind\":\"one\",\"name\":\"One\",\"description\":\"\",\"version\":\"VERSION\",\"contract\":[1,0],"
              "\"streams\":[{\"name\":\"customers\",\"backfill\":true,\"incremental\":true}],"
              "\"config_schema\":{\"type\":\"object\",\"additionalProperties\":false}}");
}
static void *create(const zy_host *host) { HOST = host; return &HOST; }
static void call(void *self, uint64_t id, zy_bytes op, zy_bytes body) {
  (void)self; (void)body;
  const char *answer = "{}";
  if (op.len == 11 && !memcmp(op.ptr, "source.read", 11))
    answer = "{\"records\":[{\"type\":\"customer\",\"external_id\":\"1\",\"email\":\"anna@example.com\","
             "\"first_name\":\"VERSION\"}],"
             "\"next\":{\"caught_up\":{\"cursor\":\"VERSION\"}}}";
  HOST->complete(HOST->ctx, id, ZY_OK, text(answer));
}
static void cancel(void *self, uint64_t id) { (void)self; (void)id; }
static void destroy(void *self) { (void)self; }
const zy_plugin *zyklus_plugin_v1(void) {
  static const zy_plugin TABLE = {ZYKLUS_PLUGIN_MAGIC, ZYKLUS_ABI_MAJOR, ZYKLUS_ABI_MINOR, sizeof(zy_plugin), 0,
                                  manifest, create, call, cancel, destroy};
  return &TABLE;
}
"#;
    text.replace("VERSION", version)
}

pub(crate) fn write_config(dir: &Path, connectors: &str) {
    let text = format!("[shop]\nname = \"S\"\ncurrency = \"USD\"\ntime_zone = \"UTC\"\n{connectors}");
    std::fs::write(dir.join("zyklus.toml"), text).unwrap();
}

const CDNOW: &str = "[connectors.shop.orders]\npath = \"CDNOW_master.txt.gz\"\ndelimiter = \" \"\n\
    date_format = \"%Y%m%d\"\ncurrency = \"USD\"\n[connectors.shop.orders.map]\ncustomer_id = \"customer_id\"\n\
    placed_at = \"date\"\nitem_count = \"number_of_cds\"\ntotal = \"dollar_value\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn csv_reads_the_same_shop_built_in_as_a_library_and_in_a_process() {
    let built = library("csv");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cdnow/CDNOW_master.txt.gz");
    let mut reports = Vec::new();
    for form in ["type = \"csv\"", "isolation = \"in-process\"", "isolation = \"process\""] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(&data, dir.path().join("CDNOW_master.txt.gz")).unwrap();
        let mut lines = form.to_owned();
        let zyklus = Zyklus::new(dir.path()).unwrap();
        if form.starts_with("isolation") {
            install(&built, dir.path(), "libzyklus_csv.so");
            lines += "\nlibrary = \"libzyklus_csv.so\"";
        }
        write_config(dir.path(), &format!("[connectors.shop]\n{lines}\n{CDNOW}"));
        if form.starts_with("isolation") {
            let unpinned = zyklus.run(&["sync"]).await.unwrap();
            assert!(unpinned.stderr.contains("is not pinned"), "{}", unpinned.stderr);
            zyklus.succeed(&["plugin", "lock"]).await.unwrap();
        }
        zyklus.succeed(&["check"]).await.unwrap();
        let begun = Instant::now();
        zyklus.succeed(&["sync", "--now", "1998-06-30"]).await.unwrap();
        println!("{form}: {:?}", begun.elapsed());
        let report = zyklus.succeed(&["report", "--now", "1998-06-30", "--json"]).await.unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((report["customers"].as_u64(), report["orders"].as_u64()), (Some(23_570), Some(69_659)));
        reports.push(report);
    }
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0], reports[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connector_of_ours_is_a_plugin_and_looks_the_same() {
    let dir = tempfile::tempdir().unwrap();
    write_config(dir.path(), "");
    let zyklus = Zyklus::new(dir.path()).unwrap();
    let registry = zyklus_cli::registry();
    for kind in registry.kinds() {
        let built = library(kind);
        install(&built, dir.path(), &format!("{kind}.so"));
        let said = zyklus.succeed(&["plugin", "check", &format!("plugins/{kind}.so")]).await.unwrap();
        let manifest = registry.manifest(kind).unwrap();
        for line in [format!("kind: {kind}\n"), format!("name: {} {}\n", manifest.name, manifest.version)] {
            assert!(said.contains(&line), "{said}");
        }
        let keys = manifest.config_schema["properties"].as_object().unwrap();
        let keys = keys.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        assert!(said.contains(&format!("keys: {keys}\n")), "{said}");
    }
    // What opens without another side is opened: with a runtime of its own, files of its own, and a live check.
    let both = "[connectors.a]\nlibrary = \"maildir.so\"\npath = \"a\"\n\
                [connectors.b]\nlibrary = \"maildir.so\"\nisolation = \"in-process\"\npath = \"b\"\n\
                [connectors.c]\nlibrary = \"smtp.so\"\nnetwork = true\nhost = \"127.0.0.1\"\nport = 9\ntls = \"none\"\n\
                from = \"a@b.example\"\n";
    write_config(dir.path(), both);
    zyklus.succeed(&["plugin", "lock"]).await.unwrap();
    let checked = zyklus.run(&["connector", "check"]).await.unwrap();
    for name in ["a", "b"] {
        let words = format!("{name} · the folder can be written: fine");
        assert!(checked.stdout.contains(&words), "{}\n{}", checked.stdout, checked.stderr);
        assert!(dir.path().join(name).join("new").is_dir());
    }
    assert!(checked.stdout.contains("c · connection and log-in: failed"), "{}", checked.stdout);
}

/// Waits until the log says so.
pub(crate) async fn said(log: &Path, words: &str, times: usize) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if text.matches(words).count() >= times {
            return;
        }
        assert!(Instant::now() < end, "never said: {words}\n{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_goes_on_beside_a_broken_plugin_mends_it_and_reloads_it() {
    let dir = tempfile::tempdir().unwrap();
    compile(dir.path(), &one_customer("Anna"));
    std::fs::write(dir.path().join("customers.csv"), "id,email,first_name\n7,otto@example.com,Otto\n")
        .unwrap();
    write_config(
        dir.path(),
        "[connectors.other]\ntype = \"csv\"\ncustomers = { path = \"customers.csv\" }\n\
         [connectors.shop]\nlibrary = \"shop.so\"\nsync_every = \"1s\"\n",
    );
    let zyklus = Zyklus::new(dir.path()).unwrap();
    let checked = zyklus.run(&["check"]).await.unwrap();
    assert_eq!(checked.status.code(), Some(1));
    assert!(
        checked.stderr.contains("connector `shop` does not work") && checked.stderr.contains("is not pinned")
    );
    let listed = zyklus.succeed(&["connector", "list"]).await.unwrap();
    assert!(listed.contains("shop  library  failed:") && listed.contains("other  csv"), "{listed}");

    let log = dir.path().join("log");
    let daemon = zyklus.spawn(&["run"], &log).unwrap();
    said(&log, "shop.so is not pinned", 1).await;
    said(&log, "connector.id=other changed=1", 1).await;
    // Pinning it is all it needs: the daemon sees that the lock file changed.
    zyklus.succeed(&["plugin", "lock"]).await.unwrap();
    said(&log, "connector.id=shop changed=1", 1).await;
    let found = zyklus.succeed(&["customer", "find", "anna@example.com"]).await.unwrap();
    assert!(found.contains("Anna"), "{found}");

    // Another library under the same name: the old one goes on until its hash is pinned, too.
    compile(dir.path(), &one_customer("Berta"));
    daemon.signal(Signal::HUP);
    said(&log, "not reloaded: it goes on as it was", 1).await;
    zyklus.succeed(&["plugin", "lock"]).await.unwrap();
    said(&log, "the connector was reloaded", 1).await;
    said(&log, "connector.id=shop changed=1", 2).await;
    let found = zyklus.succeed(&["customer", "find", "anna@example.com"]).await.unwrap();
    assert!(found.contains("Berta"), "{found}");
    // Asked for, it is reloaded though nothing changed.
    daemon.signal(Signal::HUP);
    said(&log, "the connector was reloaded", 2).await;
    stop(daemon).await;
}
