//! The summaries of all customers at once, out of columns: what a nightly job reads of ten million orders.
//!
//! Orders may come in any order. Never holds more than one copy of the columns, and none when they come sorted.

use super::{Day, Rfm, Tally};

/// Why columns cannot be summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsError {
    /// One column is shorter than another.
    #[error(
        "the columns have {customers} customers, {days} days and {minors} amounts; they must be equally long"
    )]
    Lengths {
        /// Entries of the first column.
        customers: usize,
        /// Entries of the second.
        days: usize,
        /// Entries of the third.
        minors: usize,
    },
}

/// An order on its way to its customer.
#[derive(Clone, Copy, Default)]
struct Order {
    minor: i64,
    day: Day,
}

/// Sums up every customer who ordered up to and with the day `until`, by ascending key. The columns belong together:
/// the customer's key, the order's day, its amount in minor units.
///
/// # Errors
/// If the columns are not equally long.
pub fn summarise(
    customers: &[u32],
    days: &[Day],
    minors: &[i64],
    until: Day,
) -> Result<Vec<(u32, Rfm)>, ColumnsError> {
    if customers.len() != days.len() || customers.len() != minors.len() {
        let (customers, days, minors) = (customers.len(), days.len(), minors.len());
        return Err(ColumnsError::Lengths { customers, days, minors });
    }
    let pairs = customers.iter().zip(days);
    if pairs.clone().zip(pairs.skip(1)).all(|(one, next)| one <= next) {
        return Ok(in_order(customers, days, minors, until));
    }
    let largest = customers.iter().copied().max().unwrap_or(0) as usize;
    if largest / 8 > customers.len() {
        // Keys far apart: as many counters as keys would be mostly empty.
        let mut keys = customers.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let dense: Vec<u32> =
            customers.iter().map(|key| keys.partition_point(|other| other < key) as u32).collect();
        let mut found = scattered(&dense, keys.len(), days, minors, until);
        found.iter_mut().for_each(|(key, _)| *key = keys[*key as usize]);
        return Ok(found);
    }
    Ok(scattered(customers, largest + 1, days, minors, until))
}

/// For columns sorted by customer and day: one pass.
fn in_order(customers: &[u32], days: &[Day], minors: &[i64], until: Day) -> Vec<(u32, Rfm)> {
    let mut found = Vec::new();
    let mut current: Option<(u32, Tally)> = None;
    for ((&customer, &day), &minor) in customers.iter().zip(days).zip(minors) {
        if day > until {
            continue;
        }
        match &mut current {
            Some((key, tally)) if *key == customer => tally.push(day, minor),
            _ => {
                found.extend(current.take().map(|(key, tally)| (key, tally.rfm(until))));
                current = Some((customer, Tally::first(day)));
            }
        }
    }
    found.extend(current.map(|(key, tally)| (key, tally.rfm(until))));
    found
}

/// For keys below `count` in any order: each order is moved to its customer's place, then each customer's few orders
/// are sorted by day.
fn scattered(customers: &[u32], count: usize, days: &[Day], minors: &[i64], until: Day) -> Vec<(u32, Rfm)> {
    let mut ends = vec![0_usize; count];
    for (&customer, &day) in customers.iter().zip(days) {
        ends[customer as usize] += usize::from(day <= until);
    }
    let mut total = 0;
    let mut known = 0;
    for end in &mut ends {
        known += usize::from(*end > 0);
        // The start for now: filling the customer's place moves it to the end.
        total += std::mem::replace(end, total);
    }
    let mut orders = vec![Order::default(); total];
    for ((&customer, &day), &minor) in customers.iter().zip(days).zip(minors) {
        if day <= until {
            let place = &mut ends[customer as usize];
            orders[*place] = Order { minor, day };
            *place += 1;
        }
    }
    let mut found = Vec::with_capacity(known);
    let mut start = 0;
    for (customer, &end) in (0_u32..).zip(&ends) {
        let own = &mut orders[start..end];
        start = end;
        own.sort_unstable_by_key(|order| order.day);
        if let Some((first, later)) = own.split_first() {
            let mut tally = Tally::first(first.day);
            later.iter().for_each(|order| tally.push(order.day, order.minor));
            found.push((customer, tally.rfm(until)));
        }
    }
    found
}
