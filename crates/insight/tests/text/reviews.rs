//! The reviews of tests/data/reviews.tsv, and what must be reached on them.

use std::collections::BTreeSet;

use zyklus_insight::text::sentiment::{Judge, Polarity, Review, Score, Sentiment, ShopModel};
use zyklus_insight::text::{Language, language};
use zyklus_model::FeedbackKind;

use super::{LEXICON, SEED};

pub(crate) struct Labelled {
    pub(crate) language: Language,
    pub(crate) stars: f64,
    pub(crate) topics: BTreeSet<&'static str>,
    pub(crate) text: &'static str,
}

impl Labelled {
    pub(crate) fn polarity(&self) -> Polarity {
        Score::of(FeedbackKind::Review, self.stars).unwrap().polarity()
    }
}

pub(crate) fn reviews() -> Vec<Labelled> {
    let mut reviews = Vec::new();
    for line in include_str!("../data/reviews.tsv").lines().skip(1) {
        let [language, stars, topics, text] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        reviews.push(Labelled {
            language: if language == "de" { Language::German } else { Language::English },
            stars: stars.parse().unwrap(),
            topics: topics.split(',').filter(|topic| *topic != "-").collect(),
            text,
        });
    }
    assert_eq!(reviews.len(), 160);
    reviews
}

/// A share of cases, for messages and bounds.
pub(crate) fn share(right: usize, of: usize) -> f64 {
    f64::from(u32::try_from(right).unwrap()) / f64::from(u32::try_from(of).unwrap())
}

#[test]
fn languages_are_told_or_left_open() {
    let (mut right, mut open, mut wrong) = (0, 0, Vec::new());
    let reviews = reviews();
    for review in &reviews {
        match language::detect(review.text).language() {
            Some(found) if found == review.language => right += 1,
            Some(found) => wrong.push((found, review.text)),
            None => {
                open += 1;
                println!("open: {}", review.text);
            }
        }
    }
    println!("language: {right} right, {open} open, wrong {wrong:?}");
    assert!(wrong.len() <= 2, "{wrong:?}");
    assert!(share(right, reviews.len()) >= 0.85, "{right} right, {open} open");
    let among = [Language::English, Language::German];
    let right = reviews
        .iter()
        .filter(|review| language::detect_among(review.text, &among).language() == Some(review.language));
    let right = right.count();
    println!("language among two: {right} right");
    assert!(share(right, reviews.len()) >= 0.9);
}

#[test]
fn topics_are_found() {
    let (mut hit, mut missed, mut false_alarms) = (0, Vec::new(), Vec::new());
    for review in &reviews() {
        let found = LEXICON.topics_of(review.text, Some(review.language));
        let names: BTreeSet<&str> = found.iter().map(|mention| mention.topic.as_str()).collect();
        hit += review.topics.iter().filter(|topic| names.contains(**topic)).count();
        missed.extend(
            review.topics.iter().filter(|topic| !names.contains(**topic)).map(|topic| (*topic, review.text)),
        );
        let wrong = found.iter().filter(|mention| !review.topics.contains(mention.topic.as_str()));
        false_alarms.extend(wrong.map(|mention| (mention.clone(), review.text)));
    }
    println!("missed {missed:#?}\nnot labelled {false_alarms:#?}");
    let (recall, precision) = (share(hit, hit + missed.len()), share(hit, hit + false_alarms.len()));
    println!("topics: recall {recall:.3}, precision {precision:.3}");
    assert!(recall >= 0.8 && precision >= 0.8, "recall {recall}, precision {precision}");
}

#[test]
fn the_seed_tells_praise_from_blame() {
    let judge = Judge { seed: &SEED, shop: None };
    let (mut right, mut open, mut wrong) = (0, 0, Vec::new());
    for review in reviews().iter().filter(|review| review.polarity() != Polarity::Neutral) {
        match judge.judge(None, review.text, Some(review.language)) {
            Sentiment::Unknown => open += 1,
            found if found.polarity() == Some(review.polarity()) => right += 1,
            found => wrong.push((found, review.text)),
        }
    }
    println!("seed: {right} right, {open} open, wrong {wrong:#?}");
    assert!(share(right, right + wrong.len()) >= 0.9, "{right} right, {} wrong", wrong.len());
    assert!(share(open, 148) <= 0.3, "{open} open");
}

#[test]
fn a_shop_learns_from_half_of_its_reviews_what_the_other_half_says() {
    let reviews: Vec<Labelled> =
        reviews().into_iter().filter(|review| review.polarity() != Polarity::Neutral).collect();
    let (mut right, mut all) = (0, 0);
    for parity in 0..2 {
        let half = |own: bool| reviews.iter().skip(usize::from(own == (parity == 0))).step_by(2);
        let learnt: Vec<Review<'_>> = half(true).map(review).collect();
        let model = ShopModel::train(&learnt, &SEED).unwrap();
        println!("{:?}", model.quality());
        for review in half(false) {
            let praise = model.praise(review.text, Some(review.language), &SEED);
            all += 1;
            right += usize::from(
                praise.map(|praise| praise.get() >= 0.5) == Some(review.polarity() == Polarity::Positive),
            );
        }
    }
    println!("shop model: {right} of {all}");
    assert_eq!(all, reviews.len());
    assert!(share(right, all) >= 0.8, "{right} of {all}");
}

pub(crate) fn review(labelled: &Labelled) -> Review<'_> {
    Review { text: labelled.text, language: Some(labelled.language), polarity: labelled.polarity() }
}
