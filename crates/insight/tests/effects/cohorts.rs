//! Cohorts by the month of the first order, on a shop small enough to count by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zyklus_insight::cohort::{Purchase, realised_by_month, realised_by_source, retention};
use zyklus_insight::interval::{Level, Unknown};

use super::near;

const L: Level = Level::P95;

fn shop() -> Vec<Purchase> {
    let rows = [
        // Three of month 0: one comes back in month 1 and 2, one in month 2, one never.
        (1, 0, 1_000),
        (1, 1, 500),
        (1, 2, 500),
        (2, 0, 2_000),
        (2, 2, 1_000),
        (3, 0, 3_000),
        // Two of month 1, one of whom orders twice in it and has a refund later.
        (4, 1, 1_000),
        (4, 1, 1_000),
        (4, 2, -300),
        (5, 1, 4_000),
        // Later than now.
        (5, 3, 9_999),
        (6, 3, 9_999),
    ];
    rows.map(|(customer, month, net_minor)| Purchase { customer, month, net_minor }).to_vec()
}

#[test]
fn a_row_is_a_month_and_its_last_cell_is_not_over() {
    let rows = retention(&shop(), 2, 12, L);
    let shape: Vec<_> = rows.iter().map(|row| (row.month, row.customers, row.cells.len())).collect();
    assert_eq!(shape, [(0, 3, 3), (1, 2, 2)]);
    let cells = &rows[0].cells;
    near(cells[0].ordering.unwrap().value(), 1.0);
    near(cells[1].ordering.unwrap().value(), 1.0 / 3.0);
    near(cells[2].ordering.unwrap().value(), 2.0 / 3.0);
    assert_eq!([0, 1, 2].map(|at: usize| cells[at].revenue_minor), [6_000, 6_500, 8_000]);
    near(cells[2].revenue_each.unwrap().value(), 8_000.0 / 3.0);
    assert_eq!([0, 1, 2].map(|at: usize| cells[at].complete), [true, true, false]);
    assert_eq!(rows[1].cells[1].revenue_minor, 5_700);
    assert_eq!(retention(&shop(), 2, 1, L)[0].cells.len(), 2);
    assert_eq!(retention(&[], 2, 12, L), []);
}

/// A month with a refund and no order counts as one with an order: rows are orders net of refunds, booked when ordered.
#[test]
fn realised_value_is_of_those_who_are_old_enough() {
    let found = realised_by_month(&shop(), 2, 1, L);
    assert_eq!(found.len(), 2);
    near(found[0].value_minor.unwrap().value(), 6_500.0 / 3.0);
    assert_eq!(found[1].value_minor, Err(Unknown::Empty));
    let sources = BTreeMap::from([(1, "search"), (2, "search"), (4, "friend")]);
    let found = realised_by_source(&shop(), &sources, 3, 1, L);
    let keys: Vec<_> = found.iter().map(|one| one.key).collect();
    assert_eq!(keys, [None, Some("friend"), Some("search")]);
    near(found[2].value_minor.unwrap().value(), (1_500.0 + 2_000.0) / 2.0);
    // 3 of month 0 and 5 of month 1; 6 is of the month that is not over.
    near(found[0].value_minor.unwrap().value(), (3_000.0 + 4_000.0) / 2.0);
    assert_eq!(found[1].value_minor, Err(Unknown::TooFew { n: 1, needed: 2 }));
}

#[test]
fn a_figure_that_is_missing_is_written_as_its_reason() {
    let found = realised_by_month(&shop(), 2, 1, L);
    let text = serde_json::to_string(&found[1]).unwrap();
    assert_eq!(text, r#"{"key":1,"age":1,"value_minor":{"unknown":"empty"}}"#);
    let rows = serde_json::to_value(retention(&shop(), 2, 12, L)).unwrap();
    let cell = &rows[0]["cells"][0]["ordering"];
    assert_eq!(
        (cell["value"].as_f64(), cell["n"].as_u64(), cell["weak"].as_bool()),
        (Some(1.0), Some(3), Some(true))
    );
}

fn purchase() -> impl Strategy<Value = Purchase> {
    (0_u64..12, -3_i32..9, -500_i64..5_000).prop_map(|(customer, month, net_minor)| Purchase {
        customer,
        month,
        net_minor,
    })
}

proptest! {
    #[test]
    fn cohorts_lose_nobody_and_no_money(mut purchases in proptest::collection::vec(purchase(), 0..60)) {
        let rows = retention(&purchases, 6, 99, L);
        let past: Vec<&Purchase> = purchases.iter().filter(|one| one.month <= 6).collect();
        let customers: std::collections::BTreeSet<u64> = past.iter().map(|one| one.customer).collect();
        prop_assert_eq!(rows.iter().map(|row| row.customers).sum::<u64>(), customers.len() as u64);
        let revenue: i64 = rows.iter().map(|row| row.cells[row.cells.len() - 1].revenue_minor).sum();
        prop_assert_eq!(revenue, past.iter().map(|one| one.net_minor).sum::<i64>());
        for row in &rows {
            prop_assert_eq!(row.cells[0].ordering.unwrap().value(), 1.0);
            prop_assert_eq!(row.cells.iter().filter(|cell| !cell.complete).count(), 1);
        }
        purchases.reverse();
        prop_assert_eq!(rows, retention(&purchases, 6, 99, L));
    }
}
