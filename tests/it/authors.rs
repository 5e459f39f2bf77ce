//! The author's side: the example plugins and what `plugin new` writes are built outside the workspace and pass the kit in
//! both isolations, the examples work in a running daemon, and our own connectors pass the same cases in all three forms.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};
use zyklus_runtime::starter_files;
use zyklus_tests::process::Ended;
use zyklus_tests::smtp_sink::SmtpSink;
use zyklus_tests::vendure::{OrderSpec, SUPERADMIN, Vendure};
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

/// Writes files beside the configuration.
fn write(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let file = dir.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
}

/// A request as a service posts it.
fn posted(headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST /hooks HTTP/1.1\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// Hands a notification to a connector, while the daemon runs.
async fn notify(zyklus: &Zyklus, id: &str, request: &str) -> Ended {
    let file = zyklus.folder().join("notification.http");
    std::fs::write(&file, request).unwrap();
    zyklus.run(&["connector", "receive", id, "notification.http"]).await.unwrap()
}

/// Whoever comes in after the first sync is greeted once, through both.
const GREETED: &str = "[journeys.greet]\nstart = { event = \"customer.created\" }\n\
    steps = [\n{ call = \"one.ring\" },\n{ call = \"two.ring\" },\n{ send = \"hello\", via = \"sms\", purpose = \"service\" },\n]\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_c_example_is_built_outside_passes_the_kit_and_works_in_a_daemon() {
    let dir = example("plugin-c");
    succeed(Command::new("make").current_dir(dir.path()));
    passes(dir.path(), "libguestbook.so", &[]).await;

    install(&dir.path().join("libguestbook.so"), dir.path(), "libguestbook.so");
    let one = |id: &str, isolation: &str| {
        format!(
            "[connectors.{id}]\nlibrary = \"libguestbook.so\"\nisolation = \"{isolation}\"\npeople = \"people.txt\"\n\
             password = {{ env = \"BOOK\" }}\nsync_every = \"1s\"\n"
        )
    };
    let mail = "+++\nsubject = \"Hello\"\npreview = \"Hello.\"\nclass = \"service\"\n+++\n\
                <mjml><mj-head><mj-title>Hello</mj-title><mj-attributes><mj-all font-family=\"sans-serif\" /></mj-attributes></mj-head><mj-body><mj-section><mj-column><mj-text>Hello \
                {{ customer.first_name|default('you') }}</mj-text></mj-column></mj-section><mj-include path=\"footer-service\" /></mj-body></mjml>";
    for (name, bytes) in starter_files().iter().filter(|(name, _)| name.starts_with("templates/partials")) {
        write(dir.path(), &[(name, std::str::from_utf8(bytes).unwrap())]);
    }
    write(dir.path(), &[("playbooks/greet.toml", GREETED), ("templates/hello/en.mjml", mail)]);
    let other = "[quiet]\nsms = false\n[connectors.other]\ntype = \"csv\"\nsync_every = \"1s\"\ncustomers = { path = \"customers.csv\" }\n";
    std::fs::write(dir.path().join("customers.csv"), "id,email,phone,first_name\n").unwrap();
    let imprint = "url = \"https://s.example\"\nlegal_name = \"S Inc.\"\naddress_lines = [\"1 Main St\"]\nemail = \"hi@s.example\"\n";
    write_config(
        dir.path(),
        &(imprint.to_owned() + &one("one", "process") + &one("two", "in-process") + other),
    );
    let zyklus = Zyklus::new(dir.path()).unwrap().env("BOOK", "open sesame");
    zyklus.succeed(&["plugin", "lock"]).await.unwrap();
    zyklus.succeed(&["check"]).await.unwrap();
    let log = dir.path().join("log");
    let daemon = zyklus.spawn(&["run"], &log).unwrap();
    said(&log, "connector.id=one changed=3", 1).await;
    said(&log, "connector.id=two changed=3", 1).await;
    let found = zyklus.succeed(&["customer", "find", "ida@example.com"]).await.unwrap();
    assert!(found.contains("the brave"), "{found}");

    for id in ["one", "two"] {
        // The example's own signatures (kit.toml).
        let eva = "p-4;eva@example.com;Eva";
        let taken =
            notify(&zyklus, id, &posted(&[("X-Signature", "6a397bdc8c92d433"), ("X-Number", "17")], eva))
                .await;
        assert!(taken.stdout.contains("takes it: 1 records"), "{}{}", taken.stdout, taken.stderr);
        let again =
            notify(&zyklus, id, &posted(&[("X-Signature", "6a397bdc8c92d433"), ("X-Number", "17")], eva))
                .await;
        assert!(again.status.success() && again.stdout.contains("taken it before"), "{}", again.stdout);
        let forged =
            notify(&zyklus, id, &posted(&[("X-Signature", "6a397bdc8c92d433")], "p-5;eve@example.com;Eve"))
                .await;
        assert_eq!(forged.status.code(), Some(1));
        assert!(forged.stderr.contains("the signature does not fit"), "{}", forged.stderr);
        // Messages and actions of the operator's own, and through the daemon.
        let sent =
            zyklus.succeed(&["connector", "send", id, "+49 151 1", "--text", "by hand"]).await.unwrap();
        assert!(sent.contains("has taken it over"), "{sent}");
        let dry = zyklus.succeed(&["connector", "send", id, "+49 151 1", "--dry-run"]).await.unwrap();
        assert!(dry.contains("S can send messages through"), "{dry}");
        let wrong = zyklus.run(&["connector", "send", id, "nobody"]).await.unwrap();
        assert!(wrong.stderr.contains("is no telephone number"), "{}", wrong.stderr);
    }
    std::fs::write(
        dir.path().join("customers.csv"),
        "id,email,phone,first_name\n9,zoe@example.com,+4915112345678,Zoe\n",
    )
    .unwrap();
    let outbox = |id: &str| dir.path().join("connectors").join(id).join("outbox");
    let (first, second) = (outbox("one"), outbox("two"));
    // By hand; two bells for each of the two Evas and for Zoe, rung by either; and the message to her.
    let all = || [&first, &second].map(|file| std::fs::read_to_string(file).unwrap_or_default()).concat();
    let end = Instant::now() + Duration::from_secs(60);
    while all().lines().count() < 9 {
        assert!(Instant::now() < end, "{}\n{}", all(), std::fs::read_to_string(&log).unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop(daemon).await;
    let written = all();
    let count = |words: &str| written.lines().filter(|line| line.contains(words)).count();
    assert_eq!(
        (count("by hand"), count(" bell "), count("Hello Zoe"), written.lines().count()),
        (2, 6, 1, 9),
        "{written:?}"
    );
    assert!(zyklus.run(&["customer", "find", "eve@example.com"]).await.unwrap().stdout.is_empty());
}

/// The loyalty service of the Rust example: members, and points given once for each key.
async fn points_service(members: Value) -> MockServer {
    let server = MockServer::start().await;
    let signed = || header("authorization", "Bearer points-key");
    let empty = json!({"members": [], "more": false});
    let page = json!({"members": members, "more": false});
    for (after, body) in [("", page), ("m-2", empty)] {
        Mock::given(method("GET"))
            .and(path("/members"))
            .and(query_param("after", after))
            .and(signed())
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&server)
            .await;
    }
    Mock::given(method("POST"))
        .and(path("/grants"))
        .and(signed())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"points": 10})))
        .mount(&server)
        .await;
    server
}

/// The points given so far: whom, how many, and by which key.
async fn grants(server: &MockServer) -> Vec<(String, Value)> {
    let asked = server.received_requests().await.unwrap();
    let grants = asked.iter().filter(|request| request.url.path() == "/grants");
    grants
        .map(|request| {
            let key = request.headers["idempotency-key"].to_str().unwrap().to_owned();
            (key, serde_json::from_slice(&request.body).unwrap())
        })
        .collect()
}

/// Signs as Standard Webhooks describes: HMAC-SHA-256 (RFC 2104) over id, instant and body.
fn signed(id: &str, body: &str, key: &[u8]) -> String {
    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|n| key.get(n).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::digest([pad(0x36), format!("{id}.{at}.{body}").into_bytes()].concat());
    let outer = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
    let signature = format!("v1,{}", STANDARD.encode(outer));
    let at = at.to_string();
    posted(&[("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", &signature)], body)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_example_is_built_outside_passes_the_kit_and_works_in_a_daemon() {
    let dir = example("plugin-rust");
    let built = cargo(dir.path(), "loyalty");
    passes(dir.path(), built.to_str().unwrap(), &[]).await;

    let dir = tempfile::tempdir().unwrap();
    install(&built, dir.path(), "libloyalty.so");
    let secret = b"points service 24 bytes.";
    let member = |n: u8, name: &str| json!({"id": format!("m-{n}"), "email": format!("{name}@example.com"), "points": 40});
    let mut services = Vec::new();
    let mut connectors = String::new();
    for (id, isolation, names) in
        [("one", "process", ["anna", "otto"]), ("two", "in-process", ["ida", "emil"])]
    {
        let service = points_service(json!([member(1, names[0]), member(2, names[1])])).await;
        connectors += &format!(
            "[connectors.{id}]\nlibrary = \"libloyalty.so\"\nisolation = \"{isolation}\"\nurl = \"{}\"\n\
             api_key = {{ env = \"POINTS\" }}\nwebhook_secret = {{ env = \"HOOK\" }}\nsync_every = \"1s\"\n",
            service.uri()
        );
        let playbook = format!(
            "[journeys.greet-{id}]\nstart = {{ event = \"customer.created\" }}\n\
             steps = [{{ call = \"{id}.grant\", with = {{ points = 10 }} }}]\n"
        );
        write(dir.path(), &[(&format!("playbooks/{id}.toml"), &playbook)]);
        services.push((id, service));
    }
    write_config(dir.path(), &connectors);
    let zyklus = Zyklus::new(dir.path()).unwrap();
    let zyklus = zyklus.env("POINTS", "points-key").env("HOOK", format!("whsec_{}", STANDARD.encode(secret)));
    zyklus.succeed(&["plugin", "lock"]).await.unwrap();
    zyklus.succeed(&["check"]).await.unwrap();
    let log = dir.path().join("log");
    let daemon = zyklus.spawn(&["run"], &log).unwrap();
    for (id, _) in &services {
        said(&log, &format!("connector.id={id} changed=2"), 1).await;
    }
    for (id, service) in &services {
        let body = member(9, &format!("zoe-{id}")).to_string();
        let taken = notify(&zyklus, id, &signed("msg_1", &body, secret)).await;
        assert!(
            taken.stdout.contains("takes it: 1 records, 1 changed, 1 new"),
            "{}{}",
            taken.stdout,
            taken.stderr
        );
        let again = notify(&zyklus, id, &signed("msg_1", &body, secret)).await;
        assert!(again.stdout.contains("taken it before"), "{}", again.stdout);
        let forged = notify(&zyklus, id, &signed("msg_2", &body, b"another")).await;
        assert_eq!(forged.status.code(), Some(1));
        assert!(forged.stderr.contains("the signature does not fit"), "{}", forged.stderr);
        let empty = notify(&zyklus, id, &signed("msg_3", "{}", secret)).await;
        assert!(empty.stderr.contains("the body cannot be read"), "{}", empty.stderr);
        // Whom the notification brought gets points, once; those of the first sync are history and get none.
        let end = Instant::now() + Duration::from_secs(60);
        while grants(service).await.is_empty() {
            assert!(Instant::now() < end, "no points: {}", std::fs::read_to_string(&log).unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    stop(daemon).await;
    for (id, service) in &services {
        let given = grants(service).await;
        let (key, body) = &given[0];
        assert_eq!((given.len(), body), (1, &json!({"member": "m-9", "points": 10})), "{id}");
        assert!(key.starts_with("dlv_"), "{key}");
    }
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

    let nowhere = zyklus.run(&["plugin", "new", "acme-alone"]).await.unwrap();
    assert!(
        nowhere.stderr.contains("add --sdk FOLDER") && !dir.path().join("acme-alone").exists(),
        "{nowhere:?}"
    );
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

/// A row too long is no customer, and the kit wants to be told of it.
async fn a_kit_counts_what_makes_no_sense(dir: &Path, people: &str, kit: &str) {
    let zyklus = Zyklus::new(dir).unwrap();
    let case = ["plugin", "test", "csv", "pages_end"];
    std::fs::write(dir.join("customers.csv"), format!("id,email\n{people}6,c6@example.com,more\n")).unwrap();
    let silent = zyklus.run(&case).await.unwrap();
    assert!(format!("{silent:?}").contains("say `rejects = 1` in [streams.customers]"), "{silent:?}");
    std::fs::write(dir.join("kit.toml"), kit.replace("records = 5\n", "records = 5\nrejects = 1\n")).unwrap();
    let told = zyklus.succeed(&case).await.unwrap();
    assert!(told.contains("1 passed"), "{told}");
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
    a_kit_counts_what_makes_no_sense(dir.path(), &people, csv).await;

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

/// A shop of its own, because the kit writes into it.
#[tokio::test(flavor = "multi_thread")]
async fn vendure_passes_the_kit_in_all_three_forms_on_a_real_shop() {
    let mut shop = Vendure::start().await.unwrap();
    let mut ids = Vec::new();
    for name in ["anna", "otto", "ida", "emil"] {
        let email = format!("{name}@example.com");
        ids.push(shop.create_customer(&email, name, "Kit", None).await.unwrap());
    }
    for email in ["gerd@example.com", "lina@example.com", "nora@example.com"] {
        shop.place_order(OrderSpec::guest(email, "GRI-1")).await.unwrap();
    }
    shop.place_order(OrderSpec { complete: false, ..OrderSpec::guest("walt@example.com", "GRI-1") })
        .await
        .unwrap();
    shop.create_coupon("KIT10", 10).await.unwrap();
    let count = "{ products { totalItems } customers { totalItems } }";
    let count = shop.admin(count, json!({})).await.unwrap();
    let (products, customers) = (&count["products"]["totalItems"], &count["customers"]["totalItems"]);
    // What is younger than the connector's overlap is read twice, and rightly so.
    tokio::time::sleep(Duration::from_secs(8)).await;

    let dir = tempfile::tempdir().unwrap();
    let (url, id) = (shop.url(), &ids[0]);
    let kit = format!(
        "live = true\nlimit = 3\n[config]\nurl = \"{url}\"\nusername = \"{SUPERADMIN}\"\npassword = \"{SUPERADMIN}\"\n\
         [[refused]]\nconfig = {{ url = \"shop\" }}\nfield = \"url\"\n\
         [[refused]]\nconfig = {{ page_size = 1 }}\nfield = \"page_size\"\n\
         [streams]\nproducts.records = {products}\ncustomers.records = {customers}\norders.records = 6\n\
         carts.records = 1\ncoupons.records = 1\n\
         [[action]]\nname = \"note\"\ncustomer = \"{id}\"\ninput = {{ text = \"by the kit\" }}\n\
         [[action]]\nname = \"note\"\ncustomer = \"{id}\"\ninput = {{ words = \"by the kit\" }}\nexpect = \"rejected\"\nkind = \"invalid\"\n\
         [[action]]\nname = \"note\"\ncustomer = \"999999\"\ninput = {{ text = \"to nobody\" }}\nexpect = \"rejected\"\n\
         [[action]]\nname = \"group.add\"\ncustomer = \"{id}\"\ninput = {{ group = \"kit\" }}\n\
         [[action]]\nname = \"group.remove\"\ncustomer = \"{id}\"\ninput = {{ group = \"kit\" }}\n"
    );
    ours_pass(dir.path(), "vendure", &kit).await;
    // Vendure ends all sessions of a user who signs out, ours with the connector's.
    shop.pause().await.unwrap();
    shop.resume().await.unwrap();
    let notes = "query ($id: ID!) { customer(id: $id) { history { items { type } } groups { name } } }";
    let noted = shop.admin(notes, json!({ "id": id })).await.unwrap();
    let items = noted["customer"]["history"]["items"].as_array().unwrap();
    assert!(items.iter().any(|item| item["type"] == "CUSTOMER_NOTE"), "{noted}");
}
