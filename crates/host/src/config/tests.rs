//! Tests of reading connector tables.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use zyklus_connect::schemars::{self, JsonSchema};
use zyklus_connect::{Check, Connector, Ctx, Error, ErrorKind, Factory, Manifest, Secret, StreamSpec};

use super::*;

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only the schema and the parsing are tested")]
struct ShopConfig {
    url: String,
    password: Secret,
    #[serde(default)]
    token: Option<Secret>,
    #[schemars(range(min = 1, max = 250))]
    #[serde(default)]
    page_size: Option<u32>,
    #[serde(default)]
    retry: Option<Retry>,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    tls: Option<Tls>,
    #[serde(default)]
    timeout: Option<u16>,
}

#[derive(Deserialize, JsonSchema)]
struct Retry {
    attempts: u8,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema and the parsing are tested")]
enum File {
    Local { path: String },
    Remote { address: String, key: Secret },
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Tls {
    Starttls,
    Implicit,
}

struct Shop;

#[async_trait]
impl Connector for Shop {
    fn manifest(&self) -> &Manifest {
        unreachable!("never opened")
    }
    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }
}

#[async_trait]
impl Factory for Shop {
    type Config = ShopConfig;
    const KIND: &'static str = "shop";
    fn manifest() -> Manifest {
        let stream = |name: &str| StreamSpec {
            name: name.into(),
            backfill: true,
            incremental: true,
            deletes: false,
            scopes: Vec::new(),
        };
        Manifest {
            kind: "shop".into(),
            name: "Shop".into(),
            description: "A shop.".into(),
            version: "1".into(),
            contract: zyklus_connect::CONTRACT,
            streams: vec![stream("customers"), stream("orders")],
            channel: None,
            actions: Vec::new(),
            hosts: Vec::new(),
            url_fields: vec!["url".into()],
            rate_limit: None,
            max_in_flight: 1,
            config_schema: Value::Null,
        }
    }
    fn validate(config: &ShopConfig, base_dir: &std::path::Path) -> Vec<Error> {
        let tries = config.retry.as_ref().map_or(1, |retry| retry.attempts);
        assert!(tries < 200, "a defect in a connector");
        let mut problems = Vec::new();
        if tries == 0 {
            problems.push(Error::config(
                "retry.attempts",
                format!("no try at all with {}", config.password.expose()),
            ));
        }
        if config.timeout == Some(0) {
            problems.push(Error::config("timeout", "no time at all"));
        }
        if !base_dir.join("shop").exists() {
            let missing = Error::new(ErrorKind::NotFound, "the folder `shop` is not there yet");
            problems.push(Error { field: Some("labels.folder".into()), ..missing });
        }
        problems
    }
    async fn open(_: ShopConfig, _: Ctx) -> zyklus_connect::Result<Self> {
        Ok(Shop)
    }
}

fn options(dir: &std::path::Path) -> ConfigOptions {
    let credentials = dir.join("credentials").display().to_string();
    ConfigOptions {
        env: Arc::new(move |name| match name {
            "SHOP_PASSWORD" => Some("hunter2-from-env".into()),
            "CREDENTIALS_DIRECTORY" => Some(credentials.clone()),
            _ => None,
        }),
        ..ConfigOptions::new(dir)
    }
}

fn read(text: &str, options: &ConfigOptions) -> Result<Vec<ConnectorConfig>, Vec<ConfigProblem>> {
    let registry = Registry::new().with::<Shop>();
    read_connectors(&Source { file: "zyklus.toml", text }, &registry, options)
}

fn problems(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let problems = read(text, &options(dir.path())).expect_err("the configuration is wrong");
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(unix)]
fn write(path: &std::path::Path, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn every_problem_names_its_place_and_what_to_do() {
    insta::assert_snapshot!(problems(
        r#"
[store]
url = "sqlite:zyklus.db"

[connectors.shop]
type = "shop"
ulr = "https://shop.example"
page_size = 900
password = { env = "NO_SUCH_VARIABLE" }
streams = ["customer"]
sync_every = "often"
tls = "startls"
retry = { atempts = 3 }
labels = { any = "key is fine", but = 3 }
files = [{ kind = "local", path = "a.csv" }, { kind = "remote", addres = "x", key = "plain" }]

[connectors.typo]
type = "shopp"

[connectors.bare]

[connectors.erp]
library = "libacme_erp.so"
sha256 = "00"

[connectors.wrong]
type = "shop"
url = 5
password = "hunter2"
page_size = "many"
colour = "red"
allow_hosts = ["http://x.example"]
rate_limit = { per_second = -1 }
allow_private_network = "yes"
"#
    ));
}

#[test]
fn what_is_not_toml_is_one_problem() {
    insta::assert_snapshot!(problems("[connectors.shop]\ntype = \"shop\"\nurl = \"x\npage = 1\n"));
}

#[test]
#[cfg(unix)]
fn secrets_come_from_env_file_and_credential_and_stay_unseen() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("secrets/token"), "s3cr3t-from-file\n", 0o600);
    write(&dir.path().join("credentials/key"), "s3cr3t-credential", 0o400);
    let text = r#"
        [connectors.shop]
        type = "shop"
        url = "https://shop.example"
        sync_every = "5m"
        streams = ["orders"]
        rate_limit = 2.5
        allow_hosts = ["*.cdn.example"]
        timeout = 7
        password = { env = "SHOP_PASSWORD" }
        token = { file = "secrets/token" }
        files = [{ kind = "remote", address = "x", key = { credential = "key" } }]
    "#;
    let configs = read(text, &options(dir.path())).unwrap();
    let shop = &configs[0];
    // `timeout` is one of the connector's own keys here, so the host leaves it alone.
    insta::assert_json_snapshot!(shop.config);
    insta::assert_debug_snapshot!(shop);
    assert_eq!(shop.redactor.scrub("at s3cr3t-from-file: no"), "at REDACTED: no");
}

#[test]
#[cfg(unix)]
fn a_secret_that_cannot_be_had_is_a_problem_without_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("open"), "visible-to-all", 0o644);
    write(&dir.path().join("empty"), "\n", 0o600);
    let check = |secret: &str| {
        let text = format!("[connectors.s]\ntype = \"shop\"\nurl = \"http://x\"\npassword = {secret}\n");
        let problems = read(&text, &options(dir.path())).expect_err("no secret");
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    };
    let all = [
        "\"literal-secret\"",
        "{ env = \"MISSING\" }",
        "{ file = \"open\" }",
        "{ file = \"empty\" }",
        "{ file = \"nowhere\" }",
        "{ credential = \"../etc/passwd\" }",
        "{ vault = \"x\" }",
        "{ env = \"A\", file = \"B\" }",
        "7",
    ]
    .map(check)
    .join("\n");
    assert!(!all.contains("visible-to-all") && !all.contains("literal-secret"), "{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn values_from_the_environment_in_a_wrong_place_are_told_apart() {
    insta::assert_snapshot!(problems(
        r#"
[connectors.shop]
type = "shop"
url = { env = "SHOP_URL" }
password = "${SHOP_PASSWORD}"
labels = { greeting = "Hello ${NAME}", price = "$ {5}" }

[connectors.two]
type = "shop"
url = "${SHOP_URL}/api"
password = { env = "SHOP_PASSWORD" }

[connectors."../x"]
type = "shop"
url = "shop.example"
password = { env = "SHOP_PASSWORD" }

[connectors.three]
type = "shop"
url = "https://me:pw@shop.example"
password = { env = "SHOP_PASSWORD" }

[connectors.four]
type = "shop"
url = "me:pw@shop.example"
password = { env = "SHOP_PASSWORD" }
"#
    ));
}

#[test]
fn a_disabled_connector_needs_no_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[connectors.s]\ntype = \"shop\"\nenabled = false\nurl = \"http://x\"\npassword = { env = \"NOT_HERE\" }\n";
    assert!(!read(text, &options(dir.path())).unwrap()[0].settings.enabled);
    assert_eq!(read(&text.replace("false", "true"), &options(dir.path())).unwrap_err().len(), 1);
}

#[test]
fn literal_secrets_need_permission_and_checking_needs_no_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let literal = "[connectors.s]\ntype = \"shop\"\nurl = \"http://x\"\npassword = \"plain-text\"\n";
    let allowed = ConfigOptions { allow_literal_secrets: true, ..options(dir.path()) };
    let configs = read(literal, &allowed).unwrap();
    assert_eq!(configs[0].config["password"], "plain-text");
    assert!(!format!("{configs:?}").contains("plain-text"));

    let absent = literal.replace("\"plain-text\"", "{ env = \"NOT_HERE\" }");
    let checking = ConfigOptions { resolve_secrets: false, ..options(dir.path()) };
    assert_eq!(read(&absent, &checking).unwrap().len(), 1);
    assert!(read(literal, &checking).is_err());
}

const VALID: &str = "[connectors.shop]\ntype = \"shop\"\nurl = \"https://shop.example\"\npassword = { env = \"SHOP_PASSWORD\" }\n";

#[test]
fn what_a_connector_says_of_its_configuration_has_a_place_and_no_secret() {
    let said = problems(&format!("{VALID}timeout = 0\nretry = {{ attempts = 0 }}\n"));
    assert_eq!(
        said,
        "zyklus.toml:5:11: connectors.shop.timeout: no time at all\n\
         zyklus.toml:6:22: connectors.shop.retry.attempts: no try at all with REDACTED"
    );
}

#[test]
fn what_is_missing_is_a_doubt_with_its_place_and_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let labels = "labels = { folder = \"shop\" }\ntoken = { env = \"NO_SUCH_VARIABLE\" }\n";
    let options = ConfigOptions { resolve_secrets: false, ..options(dir.path()) };
    let read = read(&format!("{VALID}{labels}"), &options).unwrap();
    let doubts: Vec<String> = read[0].warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        doubts,
        [
            "zyklus.toml:6:9: connectors.shop.token: the environment variable NO_SUCH_VARIABLE is not set; set \
             NO_SUCH_VARIABLE before starting zyklus",
            "zyklus.toml:5:21: connectors.shop.labels.folder: the folder `shop` is not there yet",
        ]
    );
}

#[test]
fn a_connector_that_panics_over_its_configuration_is_a_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let read = read(&format!("{VALID}retry = {{ attempts = 201 }}\n"), &options(dir.path())).unwrap();
    assert!(
        read[0].warnings[0].message.contains("panicked: a defect in the connector"),
        "{:?}",
        read[0].warnings
    );
}
