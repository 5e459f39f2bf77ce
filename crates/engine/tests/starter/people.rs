//! Thirty customers, and where a person would say they stand in each lifecycle. Computes nothing.

use zyklus_model::{ConsentState, FeedbackKind, Snapshot};

use crate::person::{Told, ago, now, signed_up, somebody};

/// Who, and the phase in each of [`MODELS`].
pub(crate) fn people() -> Vec<(&'static str, Snapshot, [&'static str; 5])> {
    let monthly: Vec<i64> = (0..6).map(|n| 160 - 30 * n).collect();
    let nps = |s: Snapshot, score| s.says(FeedbackKind::Nps, score, ago(5));
    let review = |s: Snapshot, score, days| s.says(FeedbackKind::Review, score, ago(days));
    vec![
        // ecommerce, reach-to-advocate, acquisition-to-win-back, awareness-to-loyalty, awareness-to-reactivation
        (
            "never bought, an address only",
            somebody(400),
            ["reach", "reach", "acquisition", "awareness", "awareness"],
        ),
        (
            "signed up three days ago",
            signed_up(3),
            ["acquire", "acquire", "acquisition", "consideration", "consideration"],
        ),
        (
            "signed up a month ago",
            signed_up(30),
            ["convert", "acquire", "conversion", "consideration", "consideration"],
        ),
        ("signed up a year ago", signed_up(365), ["reach", "reach", "acquisition", "awareness", "awareness"]),
        (
            "waits for the confirmation of the sign-up",
            somebody(1).consent(ago(1), ConsentState::Pending),
            ["reach", "reach", "acquisition", "awareness", "awareness"],
        ),
        (
            "left a cart an hour ago",
            signed_up(3).cart(now().plus_seconds(-3_600)),
            ["convert", "acquire", "conversion", "decision", "consideration"],
        ),
        (
            "left a cart two weeks ago",
            somebody(14).cart(ago(14)),
            ["convert", "acquire", "conversion", "consideration", "consideration"],
        ),
        (
            "left a cart two months ago",
            somebody(60).cart(ago(60)),
            ["reach", "reach", "acquisition", "awareness", "awareness"],
        ),
        (
            "one order three days ago",
            somebody(3).orders(&[3]),
            ["develop", "develop", "retention", "usage", "purchase"],
        ),
        (
            "one order 100 days ago",
            somebody(100).orders(&[100]),
            ["at-risk", "develop", "retention", "usage", "reactivation"],
        ),
        (
            "one order 200 days ago",
            somebody(200).orders(&[200]),
            ["lapsed", "reach", "win-back", "awareness", "reactivation"],
        ),
        (
            "one order 400 days ago",
            somebody(400).orders(&[400]),
            ["lapsed", "reach", "win-back", "awareness", "churn"],
        ),
        (
            "one order 400 days ago, and a cart today",
            somebody(400).orders(&[400]).cart(ago(0)),
            ["lapsed", "acquire", "win-back", "decision", "churn"],
        ),
        (
            "six orders, one a month",
            somebody(160).orders(&monthly),
            ["retain", "retain", "retention", "loyalty", "loyalty"],
        ),
        (
            "six monthly orders, then 70 days nothing",
            somebody(230).orders(&monthly.iter().map(|d| d + 60).collect::<Vec<_>>()),
            ["at-risk", "retain", "retention", "usage", "reactivation"],
        ),
        (
            "six monthly orders, then 140 days nothing",
            somebody(290).orders(&monthly.iter().map(|d| d + 130).collect::<Vec<_>>()),
            ["lapsed", "reach", "win-back", "awareness", "reactivation"],
        ),
        (
            "six monthly orders, then a year nothing",
            somebody(530).orders(&monthly.iter().map(|d| d + 365).collect::<Vec<_>>()),
            ["lapsed", "reach", "win-back", "awareness", "churn"],
        ),
        (
            "buys every week, and last 30 days ago",
            somebody(51).orders(&[51, 44, 37, 30]),
            ["retain", "retain", "retention", "loyalty", "loyalty"],
        ),
        (
            "buys every Christmas, and last 70 days ago",
            somebody(800).orders(&[800, 435, 70]),
            ["retain", "retain", "retention", "loyalty", "loyalty"],
        ),
        (
            "two orders of one evening, 100 days ago",
            somebody(100).orders(&[100, 100]),
            ["at-risk", "develop", "retention", "usage", "reactivation"],
        ),
        (
            "sent their only order back a month ago",
            somebody(40).orders(&[40]).refunded(0, 30),
            ["convert", "acquire", "conversion", "consideration", "consideration"],
        ),
        (
            "sent their only order back a year ago",
            somebody(400).orders(&[400]).refunded(0, 390),
            ["reach", "reach", "acquisition", "awareness", "awareness"],
        ),
        (
            "sent one order of six back",
            somebody(160).orders(&monthly).refunded(2, 90),
            ["retain", "retain", "retention", "loyalty", "loyalty"],
        ),
        (
            "six orders and 10 of 10",
            nps(somebody(160).orders(&monthly), 10.0),
            ["advocate", "advocate", "retention", "loyalty", "loyalty"],
        ),
        (
            "two orders and two reviews of 5 stars",
            review(review(somebody(60).orders(&[60, 20]), 5.0, 30), 5.0, 6),
            ["advocate", "advocate", "retention", "usage", "purchase"],
        ),
        (
            "two orders and one review of 5 stars",
            review(somebody(60).orders(&[60, 20]), 5.0, 6),
            ["develop", "develop", "retention", "usage", "purchase"],
        ),
        (
            "good reviews, but 3 of 10",
            nps(review(review(somebody(160).orders(&monthly), 5.0, 60), 5.0, 40), 3.0),
            ["retain", "retain", "retention", "loyalty", "loyalty"],
        ),
        (
            "came back after 300 days, a week ago",
            somebody(400).orders(&[340, 307, 7]),
            ["won-back", "retain", "retention", "loyalty", "loyalty"],
        ),
        (
            "came back after 300 days, and bought again",
            somebody(400).orders(&[340, 307, 20, 2]),
            ["retain", "retain", "retention", "loyalty", "loyalty"],
        ),
        (
            "came back after 300 days, three months ago",
            somebody(500).orders(&[430, 400, 100]),
            ["retain", "retain", "retention", "loyalty", "loyalty"],
        ),
    ]
}
