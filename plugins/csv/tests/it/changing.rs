//! Files that grow, are rewritten, appear, or are broken: what the next sync reads.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use zyklus_connect::{ErrorKind, Mode, Next};

use crate::support::{Shop, orders};

const ONE_A_ROW: &str = "[orders]\npath = \"orders\"\ncurrency = \"EUR\"";
const HEADER: &str = "id,customer_id,placed_at,total\n";
const LINES: &str = "id,customer_id,placed_at,line_title,line_total\n";

fn gz(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn row(id: u32) -> String {
    format!("{id},c{id},2026-01-01,{id}.50\n")
}

fn ids(from: u32, to: u32) -> Vec<String> {
    (from..=to).map(|id| format!("{id} c{id} {id}.50 EUR 0")).collect()
}

fn text(from: u32, to: u32) -> String {
    (from..=to).map(row).collect()
}

#[test]
fn appended_rows_are_read_once_and_new_files_in_order() {
    let shop = Shop::new(ONE_A_ROW).with("orders/b.csv", format!("{HEADER}{}", text(1, 3)));
    let first = shop.backfill("orders");
    assert_eq!(orders(&first.records), ids(1, 3));
    let again = shop.incremental("orders", first.cursor);
    assert!(again.records.is_empty());
    shop.append("orders/b.csv", &text(4, 5));
    shop.write("orders/c.csv", format!("{HEADER}{}", row(6)));
    let next = shop.incremental("orders", again.cursor);
    assert_eq!(orders(&next.records), ids(4, 6));
    shop.write("orders/a.csv.gz", gz(&format!("{HEADER}{}", row(7))));
    let last = shop.incremental("orders", next.cursor);
    assert_eq!(orders(&last.records), ids(7, 7));
    assert!(shop.incremental("orders", last.cursor).records.is_empty());
}

#[test]
fn a_rewritten_file_is_read_again() {
    let shop = Shop::new(ONE_A_ROW).with("orders/a.csv", format!("{HEADER}{}", text(1, 300)));
    let first = shop.backfill("orders");
    // Same length, one digit in the middle changed, and one row more: an export that was written anew.
    let changed = format!("{HEADER}{}", text(1, 301)).replace("\n100,c100,", "\n100,c999,");
    shop.write("orders/a.csv", changed);
    let second = shop.incremental("orders", first.cursor);
    assert_eq!(second.records.len(), 301);
    assert!(orders(&second.records).contains(&"100 c999 100.50 EUR 0".to_owned()));
    shop.write("orders/a.csv", format!("{HEADER}{}", row(1)));
    let third = shop.incremental("orders", second.cursor);
    assert_eq!(orders(&third.records), ids(1, 1));
}

#[test]
fn a_half_written_last_row_waits_until_the_file_is_quiet() {
    let shop = Shop::new(ONE_A_ROW).with("orders/a.csv", format!("{HEADER}{}", row(1)));
    let read = shop.backfill("orders");
    shop.append("orders/a.csv", "2,c2,2026-01-01,2");
    let read = shop.incremental("orders", read.cursor);
    assert!(read.records.is_empty() && read.rejects.is_empty(), "{read:?}");
    shop.append("orders/a.csv", ".50\n3,c3,2026-01-01,3.5");
    let read = shop.incremental("orders", read.cursor);
    assert_eq!(orders(&read.records), ids(2, 2));
    let quiet = shop.incremental("orders", read.cursor);
    assert_eq!(orders(&quiet.records), ids(3, 3));
    assert!(shop.incremental("orders", quiet.cursor.clone()).records.is_empty());
    // It was not finished after all: the whole row is given again.
    shop.append("orders/a.csv", "5\n");
    let grown = shop.incremental("orders", quiet.cursor);
    assert_eq!(orders(&grown.records), ["3 c3 3.55 EUR 0"]);
}

#[test]
fn a_backfill_takes_a_last_row_without_a_line_end() {
    let whole = format!("{HEADER}{}", text(1, 2));
    let shop = Shop::new(ONE_A_ROW).with("orders/a.csv", whole.trim_end());
    let read = shop.backfill("orders");
    assert_eq!(orders(&read.records), ids(1, 2));
    assert!(shop.incremental("orders", read.cursor).records.is_empty());
}

#[test]
fn an_order_whose_lines_arrive_later_is_given_whole() {
    let shop = Shop::new(ONE_A_ROW)
        .with("orders/a.csv", format!("{LINES}A,1,2026-01-01,Tea,10\nB,2,2026-01-01,Tea,10\n"));
    let read = shop.backfill("orders");
    assert_eq!(orders(&read.records), ["A 1 10.00 EUR 1", "B 2 10.00 EUR 1"]);
    shop.append("orders/a.csv", "B,2,2026-01-01,Cup,5\nC,3,2026-01-01,Cup,5\n");
    let next = shop.incremental("orders", read.cursor);
    assert_eq!(orders(&next.records), ["B 2 15.00 EUR 2", "C 3 5.00 EUR 1"]);
}

#[test]
fn rejected_rows_are_written_once_with_file_and_line() {
    let text = format!("{HEADER}{}9,,2026-01-01,1\nX,c,yesterday,1\n{}", row(1), row(2));
    let shop = Shop::new(ONE_A_ROW).with("orders/a.csv", text);
    let read = shop.backfill("orders");
    assert_eq!(orders(&read.records), ids(1, 2));
    let places: Vec<_> = read.rejects.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["a.csv:3", "a.csv:4"]);
    let file = shop.rejects_file("orders");
    assert!(file.starts_with("problem,file,line,row\n"), "{file}");
    assert!(file.contains(",a.csv,4,\"X,c,yesterday,1\"\n"), "{file}");
    shop.backfill("orders");
    let connector = shop.open();
    for _ in 0..2 {
        shop.page(&connector, "orders", None, Mode::Incremental, 100).unwrap();
    }
    assert_eq!(shop.rejects_file("orders"), file, "reading again repeats nothing");
    shop.append("orders/a.csv", "Y,c,tomorrow,1\n");
    shop.incremental("orders", read.cursor);
    assert_eq!(shop.rejects_file("orders").lines().count(), 4);
}

#[test]
fn a_cut_gz_file_gives_its_rows_and_then_fails() {
    let bytes = gz(&format!("{HEADER}{}", text(1, 5000)));
    let shop = Shop::new(ONE_A_ROW).with("orders/a.csv.gz", &bytes[..bytes.len() / 2]);
    let connector = shop.open();
    let (mut cursor, mut count) = (None, 0);
    let error = loop {
        match shop.page(&connector, "orders", cursor.clone(), Mode::Incremental, 1000) {
            Ok(page) => {
                assert!(matches!(page.next, Next::More { .. }), "never caught up with half a file");
                count += page.records.len();
                cursor = Some(page.next.cursor().clone());
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(error.message.contains("damaged or still being written"), "{error}");
    assert!(count > 1000, "{count}");
    shop.write("orders/a.csv.gz", &bytes);
    let rest = shop.read(&connector, "orders", cursor, Mode::Incremental, 1000);
    assert_eq!(count + rest.records.len(), 5000, "goes on where it stopped");
}

#[test]
fn a_missing_file_says_what_to_do() {
    let shop = Shop::new("[orders]\npath = \"none.csv\"\ncurrency = \"EUR\"");
    let error = shop.page(&shop.open(), "orders", None, Mode::Incremental, 10).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(error.message, "`none.csv` does not exist; create it or correct `path`");
}

#[test]
fn other_settings_read_the_file_from_its_start() {
    let german = "id,customer_id,placed_at,total\n1,c1,2026-01-01,\"1,50\"\n2,c2,2026-01-01,\"2,50\"\n";
    let before = Shop::new(ONE_A_ROW).with("orders/a.csv", german);
    let first = before.backfill("orders");
    assert_eq!((first.records.len(), first.rejects.len()), (0, 2));
    let after = Shop::new(&format!("{ONE_A_ROW}\ndecimal = \",\"")).with("orders/a.csv", german);
    let mut second = after.incremental("orders", first.cursor);
    assert_eq!(orders(&second.records), ids(1, 2));
    second = after.incremental("orders", second.cursor);
    assert!(second.records.is_empty(), "and only once");
}
