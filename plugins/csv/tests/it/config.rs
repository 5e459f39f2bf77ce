//! Wrong configuration is refused with the key and the nearest right name.

use zyklus_connect::{Connector, ErrorKind, Factory, Mode};
use zyklus_csv::CsvConnector;

use crate::support::Shop;

fn refused(config: &str) -> (String, String) {
    let error = Shop::new(config).try_open().err().expect("a wrong configuration is refused");
    assert_eq!(error.kind, ErrorKind::Config);
    (error.field.unwrap(), error.message)
}

#[test]
fn wrong_keys_and_values_name_the_field() {
    let (field, message) = refused("[orders]\npath = \"f.csv\"\nmap = { emial = \"E-Mail\" }");
    assert_eq!(field, "orders.map.emial");
    assert!(message.contains("did you mean `email`?"), "{message}");
    assert_eq!(refused("[orders]\npath = \"f.csv\"\ntime_zone = \"Berlin\"").0, "orders.time_zone");
    assert_eq!(refused("[orders]\npath = \"f.csv\"\ndelimiter = \"||\"").0, "orders.delimiter");
    assert_eq!(refused("[orders]\npath = \"f.csv\"\nheader = false").0, "orders.columns");
    assert_eq!(refused("[orders]\npath = \"f.csv\"\ncurrency = \"Euro\"").0, "orders.currency");
    assert!(refused("").1.contains("no stream is configured"));
}

#[test]
fn a_header_without_a_mapped_column_stops_with_the_nearest_name() {
    let config = "[customers]\npath = \"f.csv\"\nmap = { email = \"EMail\" }";
    let shop = Shop::new(config).with("f.csv", "id,E-Mail\n1,a@b.example\n");
    let problem = shop.check()[0].problem.clone().unwrap();
    assert_eq!(problem.field.as_deref(), Some("customers.map.email"));
    assert!(problem.message.contains("did you mean `E-Mail`?"), "{}", problem.message);
    let page = shop.page(&shop.open(), "customers", None, Mode::Incremental, 10);
    assert_eq!(page.unwrap_err().kind, ErrorKind::Config);
}

#[test]
fn amounts_without_any_currency_are_refused() {
    let shop = Shop::new("[orders]\npath = \"f.csv\"").with("f.csv", "customer_id,placed_at,total\n");
    let problem = shop.check()[0].problem.clone().unwrap();
    assert_eq!(problem.field.as_deref(), Some("orders.currency"));
}

#[test]
fn check_tells_what_was_found_or_missing() {
    let shop =
        Shop::new("[products]\npath = \"p.csv\"\n[customers]\npath = \"c\"\n[reviews]\npath = \"r-*.csv\"")
            .with("c/a.csv", "id\n1\n")
            .with("c/b.csv", "id\n2\n3\n");
    let checks = shop.check();
    assert_eq!(checks[0].problem.as_ref().unwrap().kind, ErrorKind::NotFound);
    assert_eq!(checks[1].found, "2 files, first 3 rows fine");
    assert_eq!(checks[2].found, "no file yet");
    shop.write("p.csv", b"\xff\xfei\0d\0\n\0");
    assert!(shop.check()[0].problem.as_ref().unwrap().message.contains("UTF-16"));
    shop.write("p.csv", "id,title,price\n1,Tea,cheap\n");
    assert!(shop.check()[0].problem.as_ref().unwrap().field.as_deref() == Some("products.currency"));
}

#[test]
fn the_manifest_of_an_open_connector_has_only_configured_streams() {
    let all: Vec<_> = <CsvConnector as Factory>::manifest().streams.into_iter().map(|s| s.name).collect();
    assert_eq!(all, ["products", "customers", "consents", "orders", "carts", "reviews", "events"]);
    let shop = Shop::new("[events]\npath = \"e\"\n[customers]\npath = \"c\"");
    let own: Vec<_> = shop.open().manifest().streams.iter().map(|s| s.name.clone()).collect();
    assert_eq!(own, ["customers", "events"]);
}

#[test]
fn the_schema_refuses_unknown_keys() {
    let schema = <CsvConnector as Factory>::manifest().config_schema;
    assert_eq!(schema["additionalProperties"], false);
    assert!(toml::from_str::<zyklus_csv::CsvConfig>("[orders]\npath = \"a\"\ndelimeter = \";\"").is_err());
}

#[test]
fn check_fails_and_counts_when_rows_are_broken() {
    let shop = Shop::new("[orders]\npath = \"f.csv\"\ncurrency = \"EUR\"").with(
        "f.csv",
        "id,customer_id,placed_at,total\n1,c,2026-01-01,1.50\n2,c,yesterday,1\n3,c,2026-01-01,\n",
    );
    let problem = shop.check()[0].problem.clone().unwrap();
    assert!(
        problem
            .message
            .starts_with("2 of the first 3 rows of `f.csv` cannot be read: f.csv:3: column `placed_at`"),
        "{}",
        problem.message
    );
}
