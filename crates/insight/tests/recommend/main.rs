//! Recommendations against published and independent figures, and against what must always hold.
//!
//! `ZYKLUS_PROPTEST_CASES` sets how many cases each property is tried with (64 unless set).

mod learning;
mod lists;
mod neighbours;
mod pairings;
mod past;

use proptest::prelude::*;
use zyklus_insight::recommend::Line;

/// How often properties are tried.
fn config() -> ProptestConfig {
    let cases =
        std::env::var("ZYKLUS_PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn line(customer: u32, item: u32, day: i32) -> Line {
    Line { customer, item, day, quantity: 1 }
}

/// Lines of a small shop, crowded enough that things are bought together and again.
fn lines() -> impl Strategy<Value = Vec<Line>> {
    let one = (0..12u32, 0..10u32, 0..200i32, 0..4u32);
    let one =
        one.prop_map(|(customer, item, day, quantity)| Line { customer, item: item * 7, day, quantity });
    prop::collection::vec(one, 0..120)
}

/// Lines as a broken import might bring them.
fn wild_lines() -> impl Strategy<Value = Vec<Line>> {
    let key = prop_oneof![any::<u32>(), Just(0), Just(u32::MAX), 0..3u32];
    let day = prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), 0..3i32];
    let one = (key.clone(), key, day, any::<u32>());
    let one = one.prop_map(|(customer, item, day, quantity)| Line { customer, item, day, quantity });
    prop::collection::vec(one, 0..40)
}
