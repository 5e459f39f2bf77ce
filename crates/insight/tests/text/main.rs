//! What is read out of customers' words, on small cases and on the reviews in tests/data.
//!
//! `ZYKLUS_PROPTEST_CASES` sets how many cases each property is tried with (32 unless set).

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod language;
mod reviews;
mod sentiment;
mod tokens;
mod topic;
mod trend;

use std::sync::LazyLock;

use proptest::prelude::*;
use zyklus_insight::text::sentiment::{Review, Seed, ShopModel};
use zyklus_insight::text::{Lexicon, Topics};

/// Our own word lists, read once.
static SEED: LazyLock<Seed> = LazyLock::new(Seed::new);
static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new(&Topics::seed()).unwrap());
/// What all labelled reviews teach.
static MODEL: LazyLock<ShopModel> = LazyLock::new(|| {
    let reviews = reviews::reviews();
    ShopModel::train(&reviews.iter().map(reviews::review).collect::<Vec<Review<'_>>>(), &SEED).unwrap()
});

/// How often properties are tried.
fn config() -> ProptestConfig {
    let cases =
        std::env::var("ZYKLUS_PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Anything somebody might type.
fn any_text() -> impl Strategy<Value = String> {
    let letters = prop_oneof![
        any::<char>(),
        prop::char::range('a', 'z'),
        prop::sample::select("äöüßÄÖÜẞe İ.,!?'’-:;()n\u{308}\u{301}👍😡".chars().collect::<Vec<_>>()),
        Just(' '),
    ];
    prop::collection::vec(letters, 0..60).prop_map(String::from_iter)
}
