//! Scores, the shop's model, the seed and contradictions.

use proptest::prelude::*;
use zyklus_insight::text::Language;
use zyklus_insight::text::sentiment::{
    Contradiction, Judge, Polarity, Probability, Review, Score, Sentiment, ShopModel, TrainError,
};
use zyklus_model::FeedbackKind;

use super::reviews::{Labelled, review, reviews};
use super::{MODEL, SEED, any_text, config};

#[test]
fn scores_have_their_own_scales() {
    let check =
        |kind, value, wanted| assert_eq!(Score::of(kind, value).map(|score| score.polarity()), wanted);
    check(FeedbackKind::Review, 1.0, Some(Polarity::Negative));
    check(FeedbackKind::Review, 2.5, Some(Polarity::Neutral));
    check(FeedbackKind::Review, 4.0, Some(Polarity::Positive));
    check(FeedbackKind::Review, 0.0, None);
    check(FeedbackKind::Review, 10.0, None);
    check(FeedbackKind::Nps, 0.0, Some(Polarity::Negative));
    check(FeedbackKind::Nps, 6.0, Some(Polarity::Negative));
    check(FeedbackKind::Nps, 7.0, Some(Polarity::Neutral));
    check(FeedbackKind::Nps, 9.0, Some(Polarity::Positive));
    check(FeedbackKind::Csat, 3.0, Some(Polarity::Neutral));
    check(FeedbackKind::Csat, f64::NAN, None);
    check(FeedbackKind::Comment, 5.0, None);
}

fn stars(value: f64) -> Option<Score> {
    Score::of(FeedbackKind::Review, value)
}

#[test]
fn the_score_speaks_first_and_contradictions_are_said() {
    let judge = Judge { seed: &SEED, shop: None };
    let check = |value, text: &str, language, wanted: Polarity, flag: Option<Contradiction>| {
        let found = judge.judge(stars(value), text, Some(language));
        assert_eq!(found, Sentiment::Score { polarity: wanted, contradiction: flag }, "{text}");
    };
    let angry = Some(Contradiction::GoodScoreAngryText);
    let kind = Some(Contradiction::BadScoreKindText);
    check(5.0, "Nie wieder! Ware kaputt, eine Frechheit.", Language::German, Polarity::Positive, angry);
    check(5.0, "Terrible, broken after a day, never again", Language::English, Polarity::Positive, angry);
    check(1.0, "Excellent quality, love it!", Language::English, Polarity::Negative, kind);
    check(1.0, "Super Qualität, bin begeistert", Language::German, Polarity::Negative, kind);
    check(5.0, "Schnelle Lieferung, gerne wieder", Language::German, Polarity::Positive, None);
    check(5.0, "Nicht schlecht, keine Probleme", Language::German, Polarity::Positive, None);
    check(1.0, "Good idea", Language::English, Polarity::Negative, None);
    check(3.0, "Terrible, never again", Language::English, Polarity::Neutral, None);
    check(1.0, "", Language::English, Polarity::Negative, None);
}

#[test]
fn every_answer_says_its_rung() {
    let model = &*MODEL;
    let english = Some(Language::English);
    let rung = |shop: Option<&ShopModel>, score, text: &str| {
        let found = Judge { seed: &SEED, shop }.judge(score, text, english);
        serde_json::to_value(&found).unwrap()["rung"].as_str().unwrap().to_owned()
    };
    assert_eq!(rung(Some(model), stars(4.0), "great"), "score");
    assert_eq!(rung(Some(model), None, "great quality"), "shop_model");
    assert_eq!(rung(Some(model), None, "outstanding"), "seed");
    assert_eq!(rung(None, None, "great quality"), "seed");
    assert_eq!(rung(None, None, "bought for my brother"), "unknown");
    assert_eq!(rung(Some(model), None, ""), "unknown");
}

#[test]
fn the_seed_understands_denials_and_phrases() {
    let praise = |text: &str, language| SEED.praise(text, Some(language)).map(|found| found.0.polarity());
    let check = |text: &str, language, wanted| assert_eq!(praise(text, language), Some(wanted), "{text}");
    check("not good", Language::English, Polarity::Negative);
    check("nicht schlecht", Language::German, Polarity::Positive);
    check("no problems", Language::English, Polarity::Positive);
    check("gefällt mir nicht", Language::German, Polarity::Negative);
    check("würde ich nie wieder bestellen", Language::German, Polarity::Negative);
    check("immer wieder gern", Language::German, Polarity::Positive);
    check("👍", Language::German, Polarity::Positive);
    assert_eq!(praise("Der Tisch ist aus Holz", Language::German), None);
    assert_eq!(praise("très bien", Language::French), None, "no list, no guess");
    let (_, words) = SEED.praise("Never again. Terrible quality", None).unwrap();
    assert_eq!(words, ["never again", "terrible"]);
}

#[test]
fn too_few_or_senseless_reviews_make_no_model() {
    let reviews = reviews();
    let few: Vec<Review<'_>> = reviews[..20].iter().map(review).collect();
    assert!(matches!(ShopModel::train(&few, &SEED), Err(TrainError::TooFew { least: ShopModel::LEAST, .. })));
    assert!(matches!(ShopModel::train(&[], &SEED), Err(TrainError::TooFew { praise: 0, blame: 0, .. })));
    // The same two sentences over and over are two.
    let two = [("great", Polarity::Positive), ("bad", Polarity::Negative)].into_iter().cycle().take(500);
    let two: Vec<Review<'_>> =
        two.map(|(text, polarity)| Review { text, language: None, polarity }).collect();
    assert_eq!(
        ShopModel::train(&two, &SEED),
        Err(TrainError::TooFew { praise: 1, blame: 1, least: ShopModel::LEAST })
    );
    // Scores that have nothing to do with the texts: each text both ways.
    let both = reviews.iter().flat_map(|labelled: &Labelled| {
        [Polarity::Positive, Polarity::Negative].map(|polarity| Review { polarity, ..review(labelled) })
    });
    assert_eq!(ShopModel::train(&both.collect::<Vec<_>>(), &SEED), Err(TrainError::NoSkill));
}

#[test]
fn what_no_list_knows_is_learnt() {
    // A language of its own: "blorp" and what begins like it is praise, "zimt" blame, all else is the same in both.
    let text = |number: usize, praise: bool| {
        let thing = ["tavo", "merik", "sola", "pidun", "hest", "gorima", "luvat"][number % 7];
        let verb = ["esti", "fara", "noki", "wumo", "dalle"][number % 5];
        let mood = match (praise, number % 3) {
            (true, 0) => "blorp",
            (true, 1) => "blorpi",
            (true, _) => "blorpen",
            (false, 0) => "zimt",
            (false, 1) => "zimta",
            (false, _) => "zimtal",
        };
        format!("{thing} {verb} {mood} {number}")
    };
    let texts: Vec<(String, Polarity)> = (0..120)
        .flat_map(|number| {
            [(text(number, true), Polarity::Positive), (text(number, false), Polarity::Negative)]
        })
        .collect();
    let learnt: Vec<Review<'_>> =
        texts.iter().map(|(text, polarity)| Review { text, language: None, polarity: *polarity }).collect();
    let model = ShopModel::train(&learnt, &SEED).unwrap();
    assert!(model.quality().accuracy > 0.98, "{:?}", model.quality());
    // Forms that were never seen share their letters.
    let praise = |text: &str| model.praise(text, None, &SEED).unwrap().get();
    assert!(praise("sola fara blorpus") > 0.9 && praise("sola fara zimtus") < 0.1);
    assert_eq!(model.praise("quxx", None, &SEED), None);
}

#[test]
fn training_is_the_same_every_time_in_any_order_and_comes_back_from_json() {
    let reviews = reviews();
    let mut learnt: Vec<Review<'_>> = reviews.iter().map(review).collect();
    let model = &*MODEL;
    learnt.reverse();
    learnt.rotate_left(37);
    assert_eq!(ShopModel::train(&learnt, &SEED).unwrap(), *model);
    let back: ShopModel = serde_json::from_str(&serde_json::to_string(model).unwrap()).unwrap();
    let same = |labelled: &Labelled| {
        let ask = |model: &ShopModel| {
            model.praise(labelled.text, Some(labelled.language), &SEED).map(Probability::get)
        };
        (ask(model).unwrap() - ask(&back).unwrap()).abs() < 1e-9
    };
    assert!(reviews.iter().all(same));
}

#[test]
fn what_was_learnt_is_known_and_calibrated_to_what_was_not() {
    let reviews: Vec<Labelled> =
        reviews().into_iter().filter(|labelled| labelled.polarity() != Polarity::Neutral).collect();
    let model = &*MODEL;
    let quality = model.quality();
    println!("{quality:?}");
    assert_eq!(quality.reviews, u32::try_from(reviews.len()).unwrap());
    assert!(
        quality.accuracy > 0.7 && quality.balanced_accuracy > 0.7 && quality.macro_f1 > 0.7,
        "{quality:?}"
    );
    let guessing = quality.praise_share * (1.0 - quality.praise_share);
    assert!(quality.brier < guessing, "{quality:?}");
    let right = reviews.iter().filter(|labelled| {
        let praise = model.praise(labelled.text, Some(labelled.language), &SEED).unwrap().get();
        (praise >= 0.5) == (labelled.polarity() == Polarity::Positive)
    });
    assert!(right.count() * 100 >= reviews.len() * 98, "what was seen is told right");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_is_written_probabilities_are_probabilities(text in any_text(), value in any::<f64>()) {
        let judge = Judge { seed: &SEED, shop: None };
        for language in [None, Some(Language::German), Some(Language::Danish)] {
            match judge.judge(None, &text, language) {
                Sentiment::Seed { praise, words } => {
                    prop_assert!((0.0..=1.0).contains(&praise.get()) && !words.is_empty());
                }
                other => prop_assert_eq!(other, Sentiment::Unknown),
            }
            let score = Score::of(FeedbackKind::Nps, value);
            prop_assert_eq!(score.is_some(), (0.0..=10.0).contains(&value));
        }
    }
}
