//! A property of whole reads: where pages end and the daemon restarts changes nothing.

use proptest::prelude::*;
use zyklus_connect::{Mode, Next};

use crate::support::Shop;

/// A file of rows that are mostly fine: some broken, some quoted over lines, some of one order.
fn messy(picks: &[u8]) -> String {
    let mut text = String::from("\u{feff}id,customer_id,placed_at,total,line_title\n");
    for (i, pick) in picks.iter().enumerate() {
        let id = i / 2;
        text.push_str(&match pick % 8 {
            0 => format!("{id},c,2026-01-01,1,\"two\nlines\"\n"),
            1 => format!("{id},c,2026-01-01,1,\"open\n"),
            2 => format!("{id},c,2026-01-01\n"),
            3 => "\r\n".to_owned(),
            4 => format!("{id},,2026-01-01,1,x\r\n"),
            _ => format!("{id},c,2026-01-01,1,x{i}\n"),
        });
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn page_boundaries_and_restarts_change_no_record(
        picks in prop::collection::vec(any::<u8>(), 0..60),
        limit in 1u32..9,
        restart in any::<bool>(),
    ) {
        let shop = Shop::new("[orders]\npath = \"o\"\ncurrency = \"EUR\"")
            .with("o/a.csv", messy(&picks))
            .with("o/b.csv", messy(&picks[picks.len() / 2..]));
        let whole = shop.read(&shop.open(), "orders", None, Mode::Backfill { from: None }, 10_000);
        prop_assert_eq!(whole.pages, 1);
        let (mut connector, mut cursor) = (shop.open(), None);
        let (mut records, mut rejects) = (Vec::new(), Vec::new());
        loop {
            if restart {
                connector = shop.open();
            }
            let page = shop.page(&connector, "orders", cursor.take(), Mode::Backfill { from: None }, limit).unwrap();
            // At most one order's rows more than asked for.
            prop_assert!(page.records.len() + page.rejects.len() <= limit as usize + 12, "{}", page.records.len());
            records.extend(page.records);
            rejects.extend(page.rejects.into_iter().map(|r| (r.place, r.message)));
            cursor = Some(page.next.cursor().clone());
            if let Next::CaughtUp { .. } = page.next {
                break;
            }
        }
        prop_assert_eq!(&records, &whole.records);
        prop_assert_eq!(&rejects, &whole.rejects);
        let again = shop.incremental("orders", cursor);
        prop_assert!(again.records.is_empty() && again.rejects.is_empty());
    }
}
