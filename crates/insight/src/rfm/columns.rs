//! The summaries of all customers at once, out of columns: what a nightly job reads of ten million orders.
//!
//! Orders may come in any order: those sorted by customer need one pass, those day by day, as a shop exports them, a place
//! for each customer and one pass, all others are moved and sorted. Beside what it gives back it takes at most 48 bytes an
//! order, and none when they come sorted by customer.

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

/// Orders are first told apart by so many of the highest bits of their customers' keys: more groups than that, and moving
/// orders into them costs more than sorting them.
const GROUP_BITS: u32 = 10;

/// With up to so many keys per order, most of them may be nobody's, each key is given a place.
const PLACES_PER_ORDER: usize = 2;

/// An order on its way to its customer.
#[derive(Clone, Copy, Default)]
struct Order {
    minor: i64,
    customer: u32,
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
    if largest / PLACES_PER_ORDER < customers.len() && days.is_sorted() {
        return Ok(day_by_day(customers, days, minors, until, largest));
    }
    Ok(gathered(customers, days, minors, until))
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

/// For columns sorted by day whose keys are close enough together for a place each.
fn day_by_day(
    customers: &[u32],
    days: &[Day],
    minors: &[i64],
    until: Day,
    largest: usize,
) -> Vec<(u32, Rfm)> {
    let ended = days.partition_point(|day| *day <= until);
    let mut tallies: Vec<Option<Tally>> = vec![None; largest + 1];
    let mut ordered = 0;
    for ((&customer, &day), &minor) in customers.iter().zip(days).zip(minors).take(ended) {
        match &mut tallies[customer as usize] {
            Some(tally) => tally.push(day, minor),
            place @ None => {
                *place = Some(Tally::first(day));
                ordered += 1;
            }
        }
    }
    let mut found = Vec::with_capacity(ordered);
    found.extend((0..).zip(tallies).filter_map(|(customer, tally)| Some((customer, tally?.rfm(until)))));
    found
}

/// For columns in any order: each order is moved to a group of customers with neighbouring keys, small enough to be sorted
/// in a processor's cache.
fn gathered(customers: &[u32], days: &[Day], minors: &[i64], until: Day) -> Vec<(u32, Rfm)> {
    let largest = customers.iter().copied().max().unwrap_or(0);
    let shift = (u32::BITS - largest.leading_zeros()).saturating_sub(GROUP_BITS);
    let group_of = |customer: u32| (customer >> shift) as usize;
    let mut ends = vec![0_usize; group_of(largest) + 1];
    for (&customer, &day) in customers.iter().zip(days) {
        ends[group_of(customer)] += usize::from(day <= until);
    }
    let mut total = 0;
    for end in &mut ends {
        // The start for now: filling the group's place moves it to the end.
        total += std::mem::replace(end, total);
    }
    let mut orders = vec![Order::default(); total];
    for ((&customer, &day), &minor) in customers.iter().zip(days).zip(minors) {
        if day <= until {
            let place = &mut ends[group_of(customer)];
            orders[*place] = Order { minor, customer, day };
            *place += 1;
        }
    }
    let mut found = Vec::new();
    let mut start = 0;
    for end in ends {
        let group = &mut orders[start..end];
        start = end;
        group.sort_unstable_by_key(|order| (order.customer, order.day));
        for own in group.chunk_by(|one, next| one.customer == next.customer) {
            if let Some((first, later)) = own.split_first() {
                let mut tally = Tally::first(first.day);
                later.iter().for_each(|order| tally.push(order.day, order.minor));
                found.push((first.customer, tally.rfm(until)));
            }
        }
    }
    found
}
