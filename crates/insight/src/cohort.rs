//! Customers by the month of their first order, and what became of each month's. Never averages rows of unequal size,
//! and marks what is not over yet.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::interval::{Figure, Level, Moments, Tally, Unknown, figure, mean, share};

/// One order that counts, as the caller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purchase {
    /// Whose it is; one number a resolved customer.
    pub customer: u64,
    /// The calendar month in the shop's zone, counted from any month the caller likes (year × 12 + month − 1).
    pub month: i32,
    /// What it is worth, net of tax, shipping and refunds, in minor units.
    pub net_minor: i64,
}

/// The customers of one month, in the heat map's row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The month of their first order.
    pub month: i32,
    /// How many they are.
    pub customers: u64,
    /// Cell k is the k-th month after the first order; cell 0 the month itself.
    pub cells: Vec<Cell>,
}

/// What a month's customers did k months later.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// The share of them that ordered in that month.
    #[serde(serialize_with = "figure")]
    pub ordering: Figure,
    /// What they have spent up to and with that month, in minor units.
    pub revenue_minor: i64,
    /// The same for each original customer, in minor units.
    #[serde(serialize_with = "figure")]
    pub revenue_each: Figure,
    /// Whether the month is over. If not, the cell is to be hatched.
    pub complete: bool,
}

/// A customer's months and what they spent in each, refunds and all.
type Life = BTreeMap<i32, i64>;

fn lives(purchases: &[Purchase], now: i32) -> BTreeMap<u64, Life> {
    let mut lives: BTreeMap<u64, Life> = BTreeMap::new();
    for purchase in purchases.iter().filter(|purchase| purchase.month <= now) {
        let spent = lives.entry(purchase.customer).or_default().entry(purchase.month).or_default();
        *spent = spent.saturating_add(purchase.net_minor);
    }
    lives
}

fn born(life: &Life) -> i32 {
    *life.keys().next().expect("a life begins with its first order")
}

/// What the life has brought in within `age` months after the first one.
fn spent(life: &Life, age: u32) -> i64 {
    let last = born(life).saturating_add_unsigned(age);
    life.range(..=last).fold(0, |sum, (_, spent)| sum.saturating_add(*spent))
}

/// One row a month with new customers, oldest first, each until the month `now`, which is not over. Orders of a later
/// month are not looked at; at most `ages` months after the first are.
pub fn retention(purchases: &[Purchase], now: i32, ages: u32, level: Level) -> Vec<Row> {
    let lives = lives(purchases, now);
    let mut rows: BTreeMap<i32, Vec<&Life>> = BTreeMap::new();
    for life in lives.values() {
        rows.entry(born(life)).or_default().push(life);
    }
    let row = |(month, lives): (i32, Vec<&Life>)| {
        let oldest = now.abs_diff(month).min(ages);
        let cell = |age: u32| {
            let at = month.saturating_add_unsigned(age);
            let each = Moments::of(lives.iter().map(|life| spent(life, age) as f64));
            Cell {
                ordering: share(Tally::count(lives.iter().map(|life| life.contains_key(&at))), level),
                revenue_minor: lives.iter().fold(0, |sum: i64, life| sum.saturating_add(spent(life, age))),
                revenue_each: mean(&each, level),
                complete: at < now,
            }
        };
        Row { month, customers: lives.len() as u64, cells: (0..=oldest).map(cell).collect() }
    };
    rows.into_iter().map(row).collect()
}

/// What customers of one kind have brought in, on average, by a given age.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Realised<K> {
    /// The kind: a month, a source.
    pub key: K,
    /// Months after the month of the first order, which is counted in.
    pub age: u32,
    /// Minor units a customer; only of those who have reached that age, the ones who never came back among them.
    #[serde(serialize_with = "figure")]
    pub value_minor: Figure,
}

/// Realised customer value at `age` by the month of the first order.
pub fn realised_by_month(purchases: &[Purchase], now: i32, age: u32, level: Level) -> Vec<Realised<i32>> {
    let lives = lives(purchases, now);
    realised(lives.values().map(|life| (born(life), life)), now, age, level)
}

/// Realised customer value at `age` by where the customer came from. Who is not in `sources` is of the source `None`,
/// which is shown like any other.
pub fn realised_by_source<'a>(
    purchases: &[Purchase],
    sources: &BTreeMap<u64, &'a str>,
    now: i32,
    age: u32,
    level: Level,
) -> Vec<Realised<Option<&'a str>>> {
    let lives = lives(purchases, now);
    realised(lives.iter().map(|(customer, life)| (sources.get(customer).copied(), life)), now, age, level)
}

fn realised<'a, K: Ord + Clone>(
    lives: impl Iterator<Item = (K, &'a Life)>,
    now: i32,
    age: u32,
    level: Level,
) -> Vec<Realised<K>> {
    let mut kinds: BTreeSet<K> = BTreeSet::new();
    let mut known: BTreeMap<K, Moments> = BTreeMap::new();
    for (key, life) in lives {
        kinds.insert(key.clone());
        if born(life).saturating_add_unsigned(age) < now {
            let moments = known.entry(key).or_default();
            *moments = moments.with(spent(life, age) as f64);
        }
    }
    let value = |key: &K| known.get(key).map_or(Err(Unknown::Empty), |moments| mean(moments, level));
    kinds.into_iter().map(|key| Realised { value_minor: value(&key), key, age }).collect()
}
