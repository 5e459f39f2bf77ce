//! Words, topics and moods over time.

use std::collections::BTreeSet;

use proptest::prelude::*;
use zyklus_insight::text::Language;
use zyklus_insight::text::sentiment::Polarity;
use zyklus_insight::text::tokens::tokens;
use zyklus_insight::text::trend::{
    Change, Comment, KeyOptions, Month, Share, WordCounts, complaints, displeased, keys, months,
};

use super::config;

fn counted(texts: &[(&str, usize)]) -> WordCounts {
    let mut counts = WordCounts::default();
    for (text, times) in texts {
        for _ in 0..*times {
            counts.add(&tokens(text, Some(Language::English)));
        }
    }
    counts
}

#[test]
fn words_that_became_more_and_less() {
    let before = counted(&[("good coffee", 80), ("a good leaking pot pot pot", 5), ("slow", 15)]);
    let now = counted(&[("good coffee", 70), ("the pot leaks", 30), ("not good", 20)]);
    let found = keys(&before, &now, &KeyOptions::default());
    let words: Vec<(&str, u64, u64)> =
        found.iter().map(|key| (key.word.as_str(), key.before, key.now)).collect();
    // "pot" was in 5 comments although 15 times; "good" and "not good" are two words.
    assert!(
        words.contains(&("pot", 5, 30))
            && words.contains(&("not good", 0, 20))
            && words.contains(&("slow", 15, 0))
    );
    let pot = found.iter().find(|key| key.word == "pot").unwrap();
    // 30 of 120 against 5 of 100.
    assert!((pot.log_ratio - 5f64.log2()).abs() < 1e-12);
    assert!((pot.g2 - zyklus_insight::association::g2(30, 90, 5, 95)).abs() < 1e-12);
    let slow = found.iter().find(|key| key.word == "slow").unwrap();
    assert!(slow.log_ratio < 0.0 && slow.log_ratio.is_finite());
    assert!(found.windows(2).all(|pair| pair[0].g2 >= pair[1].g2));
}

#[test]
fn without_a_before_nothing_has_changed() {
    let (none, some) = (WordCounts::default(), counted(&[("late", 50)]));
    assert!(keys(&none, &some, &KeyOptions::default()).is_empty());
    assert!(keys(&some, &none, &KeyOptions::default()).is_empty());
    assert!(keys(&some, &some, &KeyOptions::default()).is_empty());
}

fn comment(month: u8, topics: &[&str], polarity: Option<Polarity>) -> Comment {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    Comment { month: Month::new(2026, month).unwrap(), topics, polarity }
}

fn many(number: usize, month: u8, topics: &[&str], polarity: Option<Polarity>) -> Vec<Comment> {
    vec![comment(month, topics, polarity); number]
}

#[test]
fn complaints_that_became_more_come_first() {
    let (bad, good) = (Some(Polarity::Negative), Some(Polarity::Positive));
    let before =
        [many(5, 9, &["delivery"], bad), many(20, 9, &["price"], bad), many(75, 9, &["delivery"], good)]
            .concat();
    let now = [
        many(30, 10, &["delivery"], bad),
        many(3, 10, &["price"], bad),
        many(2, 10, &["fit"], bad),
        many(65, 10, &[], good),
    ]
    .concat();
    let found = complaints(&before, &now);
    let told: Vec<(&str, Change, u64, u64)> = found
        .iter()
        .map(|one| (one.topic.as_str(), one.shift.change, one.shift.before.count, one.shift.now.count))
        .collect();
    assert_eq!(
        told,
        [("delivery", Change::More, 5, 30), ("price", Change::Less, 20, 3), ("fit", Change::Unclear, 0, 2)]
    );
    assert!((found[0].shift.difference.middle - 0.25).abs() < 1e-12);
    // 25 of 100 before, 35 of 100 now: it may be chance. Ten times as many are not.
    let mood = displeased(&before, &now).unwrap();
    assert_eq!((mood.before.count, mood.now.count, mood.change), (25, 35, Change::Unclear));
    let tenfold = |comments: &[Comment]| comments.iter().cycle().take(1000).cloned().collect::<Vec<_>>();
    assert_eq!(displeased(&tenfold(&before), &tenfold(&now)).unwrap().change, Change::More);
    assert_eq!(displeased(&before, &many(5, 10, &[], None)), None);
    let written = serde_json::to_value(&found).unwrap();
    assert_eq!(
        (written[0]["topic"].as_str(), written[0]["change"].as_str()),
        (Some("delivery"), Some("more"))
    );
    assert!(complaints(&[], &now).is_empty() && complaints(&before, &[]).is_empty());
}

#[test]
fn months_are_counted_and_written() {
    let comments = [
        comment(10, &["fit"], Some(Polarity::Negative)),
        comment(9, &[], None),
        comment(10, &["fit", "price"], Some(Polarity::Positive)),
        comment(10, &[], None),
    ];
    let found = months(&comments);
    assert_eq!(found.iter().map(|month| month.month.to_string()).collect::<Vec<_>>(), ["2026-09", "2026-10"]);
    assert_eq!(found[0].negative, None, "no mood is known, so there is no share");
    assert_eq!(found[0].topics["fit"].mentions.count, 0, "a month without a mention is a nought and no gap");
    let october = &found[1];
    assert_eq!((october.comments, october.negative.unwrap().of), (3, 2));
    assert_eq!((october.topics["fit"].mentions.count, october.topics["fit"].complaints.count), (2, 1));
    let written = serde_json::to_string(&found).unwrap();
    assert!(written.contains(r#""month":"2026-09""#));
    assert_eq!(
        serde_json::from_str::<Vec<zyklus_insight::text::trend::MonthTrend>>(&written).unwrap().len(),
        2
    );
    assert!(months(&[]).is_empty());
}

#[test]
fn months_are_read_strictly() {
    assert_eq!("2026-11".parse::<Month>().unwrap(), Month::new(2026, 11).unwrap());
    for wrong in ["2026-13", "2026-00", "2026-1", "26-11", "2026-11-01", "+026-11", ""] {
        assert!(wrong.parse::<Month>().is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn shares_lie_in_their_intervals_which_shrink_with_more_cases(count in 0..500u64, of in 0..500u64) {
        let Some(share) = Share::new(count, of) else { prop_assert_eq!(of, 0); return Ok(()) };
        prop_assert!(0.0 <= share.share.low && share.share.low <= share.share.middle);
        prop_assert!(share.share.middle <= share.share.high && share.share.high <= 1.0);
        let more = Share::new(10 * share.count, 10 * of).unwrap();
        prop_assert!(more.share.high - more.share.low < share.share.high - share.share.low);
    }

    #[test]
    fn swapping_periods_swaps_the_answer(
        was in prop::collection::vec((0..3usize, 0..3usize), 1..60),
        is in prop::collection::vec((0..3usize, 0..3usize), 1..60),
    ) {
        let moods = [Some(Polarity::Negative), Some(Polarity::Positive), None];
        let comments = |raw: &[(usize, usize)]| -> Vec<Comment> {
            raw.iter().map(|(topic, mood)| comment(5, &[["a", "b", "c"][*topic]], moods[*mood])).collect()
        };
        let (was, is) = (comments(&was), comments(&is));
        let (forth, back) = (complaints(&was, &is), complaints(&is, &was));
        prop_assert_eq!(forth.len(), back.len());
        for one in &forth {
            let other = back.iter().find(|other| other.topic == one.topic).unwrap();
            prop_assert!((one.shift.difference.low + other.shift.difference.high).abs() < 1e-12);
            prop_assert!(-1.0 <= one.shift.difference.low && one.shift.difference.high <= 1.0);
            let turned = match one.shift.change {
                Change::More => Change::Less,
                Change::Less => Change::More,
                Change::Unclear => Change::Unclear,
            };
            prop_assert_eq!(turned, other.shift.change);
        }
        let mut mixed = is.clone();
        mixed.reverse();
        prop_assert_eq!(&complaints(&was, &mixed), &forth);
        let topics: BTreeSet<&String> = forth.iter().map(|one| &one.topic).collect();
        prop_assert_eq!(topics.len(), forth.len());
    }
}
