//! A shop's own model of praise and blame, learnt from its reviews and their scores. Never used unless it has shown on
//! reviews it had not seen that it can tell them apart.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::features::{Counts, hash, rarities};
use super::logistic::{self, Fit, Row};
use super::{Polarity, Probability, Seed};
use crate::text::language::Language;

/// A review to learn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Review<'a> {
    /// Its text.
    pub text: &'a str,
    /// Its language, as far as it is known.
    pub language: Option<Language>,
    /// What its score says. Neutral ones teach nothing.
    pub polarity: Polarity,
}

/// Why there is no model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// Too few different texts of one kind.
    #[error(
        "{praise} different texts with a good score and {blame} with a bad one; {least} of each are needed"
    )]
    TooFew {
        /// With a good score.
        praise: usize,
        /// With a bad one.
        blame: usize,
        /// The least of each.
        least: usize,
    },
    /// The texts do not say what the scores say.
    #[error("on reviews it had not seen the model was hardly better than guessing, so it is not used")]
    NoSkill,
}

/// What a model reached on reviews it had not seen: each fifth of them judged by what the other four taught.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// How many reviews.
    pub reviews: u32,
    /// The share with a good score: what always saying "praise" would reach.
    pub praise_share: f64,
    /// The share told right.
    pub accuracy: f64,
    /// The mean of the shares told right among the good and among the bad ones; .5 is guessing.
    pub balanced_accuracy: f64,
    /// The mean of the F1 of praise and of blame.
    pub macro_f1: f64,
    /// The mean squared difference between the probability and what was the case. (After calibration on the same
    /// scores, by two numbers: a trace too good.)
    pub brier: f64,
}

/// A shop's model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShopModel {
    /// Place of a feature, its rarity, its weight.
    features: Vec<(u32, f64, f64)>,
    /// The weight of what the seed words say.
    seed: f64,
    constant: f64,
    slope: f64,
    shift: f64,
    quality: Quality,
}

/// A text, counted, and whether it is praise.
struct Example {
    counts: Counts,
    seed: f64,
    praise: bool,
    fold: u64,
}

impl ShopModel {
    /// So many different texts of either kind are needed.
    pub const LEAST: usize = 25;
    /// The model has to be right so often among the good and among the bad ones, on the mean.
    const LEAST_SKILL: f64 = 0.6;
    /// What a review counts beside the penalty. Texts have length 1, so this is worth the same in every shop;
    /// between 1 and 16 it made less than a point of difference on rated product reviews.
    const COST: f64 = 4.0;
    const FOLDS: u64 = 5;

    /// Learns from reviews, whatever their order; six fits, each of a few passes over all texts. What the seed words
    /// say of a text is one feature among the others, so that a model of few reviews does not forget them; how much
    /// that counts is learnt, too.
    ///
    /// # Errors
    /// [`TrainError`] when the reviews cannot teach it.
    pub fn train(reviews: &[Review<'_>], seed: &Seed) -> Result<Self, TrainError> {
        let mut sorted: Vec<&Review<'_>> =
            reviews.iter().filter(|review| review.polarity != Polarity::Neutral).collect();
        sorted.sort_by_key(|review| (review.text, review.polarity, review.language));
        let distinct = |polarity: Polarity| {
            let texts = sorted.iter().filter(|review| review.polarity == polarity).map(|review| review.text);
            texts.collect::<BTreeSet<&str>>().len()
        };
        let (praise, blame) = (distinct(Polarity::Positive), distinct(Polarity::Negative));
        let too_few = TrainError::TooFew { praise, blame, least: Self::LEAST };
        if praise < Self::LEAST || blame < Self::LEAST {
            return Err(too_few);
        }
        let examples: Vec<Example> = sorted
            .iter()
            .map(|review| Example {
                counts: Counts::of(review.text, review.language),
                seed: said(seed, review.text, review.language),
                praise: review.polarity == Polarity::Positive,
                // By its text, so that the same text is not learnt in one part and judged in another.
                fold: hash('f', review.text) % Self::FOLDS,
            })
            .collect();
        let mut unseen: Vec<(f64, bool)> = Vec::with_capacity(examples.len());
        for fold in 0..Self::FOLDS {
            let learnt: Vec<&Example> = examples.iter().filter(|example| example.fold != fold).collect();
            if !(learnt.iter().any(|one| one.praise) && learnt.iter().any(|one| !one.praise)) {
                return Err(too_few);
            }
            let model = Self::fit(&learnt);
            let judged = examples.iter().filter(|example| example.fold == fold);
            unseen.extend(
                judged.map(|one| (model.score(&one.counts, one.seed).unwrap_or(model.constant), one.praise)),
            );
        }
        let (slope, shift) = logistic::calibrate(&unseen);
        let quality = Quality::of(&unseen, slope, shift);
        let finite = slope.is_finite() && shift.is_finite();
        if !finite || slope <= 0.0 || quality.balanced_accuracy < Self::LEAST_SKILL {
            return Err(TrainError::NoSkill);
        }
        let all: Vec<&Example> = examples.iter().collect();
        Ok(Self { slope, shift, quality, ..Self::fit(&all) })
    }

    /// What it reached on reviews it had not seen.
    #[must_use]
    pub fn quality(&self) -> &Quality {
        &self.quality
    }

    /// How likely a text is praise; `None` when none of its words were in the reviews. `seed` are the words it was
    /// trained with.
    #[must_use]
    pub fn praise(&self, text: &str, language: Option<Language>, seed: &Seed) -> Option<Probability> {
        let score = self.score(&Counts::of(text, language), said(seed, text, language))?;
        Probability::of_log_odds(self.slope * score + self.shift)
    }

    fn feature(&self, place: u32) -> Option<(f64, f64)> {
        let found = self.features.binary_search_by_key(&place, |feature| feature.0).ok()?;
        Some((self.features[found].1, self.features[found].2))
    }

    fn score(&self, counts: &Counts, seed: f64) -> Option<f64> {
        if !counts.words.keys().any(|place| self.feature(*place).is_some()) {
            return None;
        }
        let vector = counts.vector(|place| self.feature(place).map(|feature| feature.0));
        let parts =
            vector.iter().filter_map(|(place, value)| self.feature(*place).map(|found| value * found.1));
        Some(self.constant + self.seed * seed + parts.sum::<f64>())
    }

    fn fit(examples: &[&Example]) -> Self {
        let rarities = rarities(examples.iter().map(|example| &example.counts));
        let places: BTreeMap<u32, usize> =
            rarities.keys().enumerate().map(|(place, feature)| (*feature, place)).collect();
        let number = |praise: bool| {
            examples.iter().fold(0.0, |sum, example| sum + f64::from(u8::from(example.praise == praise)))
        };
        let (good, bad) = (number(true), number(false));
        let row = |example: &&Example| {
            let vector = example.counts.vector(|place| rarities.get(&place).copied());
            let features = vector.iter().filter_map(|(feature, value)| Some((*places.get(feature)?, *value)));
            // Most reviews are good: both kinds weigh the same, and calibration puts the shares right again.
            let of_kind = if example.praise { good } else { bad };
            let cost = Self::COST * (good + bad) / (2.0 * of_kind);
            let features = features.chain([(places.len(), example.seed)]).collect();
            Row { features, praise: example.praise, cost }
        };
        let rows: Vec<Row> = examples.iter().map(row).collect();
        let Fit { mut weights, constant } = logistic::fit(&rows, places.len() + 1);
        let seed = weights.pop().unwrap_or(0.0);
        let features =
            rarities.into_iter().zip(weights).map(|((place, rarity), weight)| (place, rarity, weight));
        let quality = Quality::of(&[], 1.0, 0.0);
        Self { features: features.collect(), seed, constant, slope: 1.0, shift: 0.0, quality }
    }
}

/// What the seed words say of a text, from -1 to 1; 0 when they say nothing.
fn said(seed: &Seed, text: &str, language: Option<Language>) -> f64 {
    seed.praise(text, language).map_or(0.0, |(praise, _)| 2.0 * praise.get() - 1.0)
}

impl Quality {
    fn of(scores: &[(f64, bool)], slope: f64, shift: f64) -> Self {
        let (mut right_good, mut right_bad, mut wrong_good, mut wrong_bad) = (0.0, 0.0, 0.0, 0.0);
        let mut squares = 0.0;
        for (score, praise) in scores {
            let p = logistic::sigmoid(slope * score + shift);
            squares += (p - f64::from(u8::from(*praise))).powi(2);
            let counter = match (*praise, p >= 0.5) {
                (true, true) => &mut right_good,
                (true, false) => &mut wrong_good,
                (false, true) => &mut wrong_bad,
                (false, false) => &mut right_bad,
            };
            *counter += 1.0;
        }
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        let all = right_good + right_bad + wrong_good + wrong_bad;
        let f1 = |right: f64| share(2.0 * right, 2.0 * right + wrong_good + wrong_bad);
        let (of_good, of_bad) =
            (share(right_good, right_good + wrong_good), share(right_bad, right_bad + wrong_bad));
        Self {
            reviews: u32::try_from(scores.len()).unwrap_or(u32::MAX),
            praise_share: share(right_good + wrong_good, all),
            accuracy: share(right_good + right_bad, all),
            balanced_accuracy: f64::midpoint(of_good, of_bad),
            macro_f1: f64::midpoint(f1(right_good), f1(right_bad)),
            brier: share(squares, all),
        }
    }
}
