//! The public CDNOW log of examples/cdnow through the connector, as its own configuration reads it.

use std::path::Path;
use std::time::Instant;

use zyklus_connect::Mode;
use zyklus_connect::model::Record;

use crate::support::Shop;

#[test]
fn cdnow_is_read_to_the_last_cent() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cdnow");
    let config = std::fs::read_to_string(example.join("zyklus.toml")).unwrap();
    let config: toml::Table = toml::from_str(&config).unwrap();
    let mut table = config["connectors"]["cdnow"].as_table().unwrap().clone();
    assert_eq!(table.remove("type").unwrap().as_str(), Some("csv"));
    let shop = Shop::new(&toml::to_string(&table).unwrap());
    let data = std::fs::read(example.join("CDNOW_master.txt.gz")).unwrap();
    shop.write("CDNOW_master.txt.gz", data);
    let started = Instant::now();
    let read = shop.read(&shop.open(), "orders", None, Mode::Backfill { from: None }, 1000);
    let took = started.elapsed();
    println!("{} orders in {} pages, {took:?}", read.records.len(), read.pages);
    assert_eq!(read.rejects, []);
    assert_eq!(read.records.len(), 69_659);
    let (mut customers, mut cents, mut discs) = (std::collections::HashSet::new(), 0, 0);
    for record in &read.records {
        let Record::Order(order) = record else { panic!("not an order: {record:?}") };
        customers.insert(order.customer.external_id.clone().unwrap());
        cents += order.total.amount_minor;
        discs += order.item_count.unwrap();
    }
    assert_eq!(customers.len(), 23_570);
    // Summed with awk from the uncompressed file.
    assert_eq!((cents, discs), (250_031_563, 167_881));
    let Record::Order(first) = &read.records[0] else { panic!() };
    assert_eq!(first.external_id, "CDNOW_master.txt:2");
    assert_eq!(first.placed_at.to_string(), "1997-01-01T00:00:00Z");
    assert_eq!((first.total.to_string().as_str(), first.item_count), ("11.77 USD", Some(1)));
}
