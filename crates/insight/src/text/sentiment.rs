//! How a customer feels: first by the score they gave, then by their words. Never overrules a score, and never makes a
//! mood out of words it does not know.
//!
//! The rungs, from the surest down: the score; the shop's own model ([`ShopModel`]), learnt from its reviews' stars;
//! our seed words ([`Seed`]); and "unknown". Which one spoke is part of the answer. What may be expected of each is
//! in [`crate::text`]; a shop's model also carries what it reached on reviews it had not seen ([`Quality`]).

mod features;
mod logistic;
mod seed;
mod shop;

pub use seed::Seed;
pub use shop::{Quality, Review, ShopModel, TrainError};

use serde::{Deserialize, Serialize};
use zyklus_model::FeedbackKind;

use super::language::Language;

/// The direction of a feeling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Polarity {
    /// Blame.
    Negative,
    /// Neither, or both.
    Neutral,
    /// Praise.
    Positive,
}

/// A score on its own scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    value: f64,
    /// From here down it is blame.
    blame: f64,
    /// From here up it is praise.
    praise: f64,
}

impl Score {
    /// A score of feedback of a kind: stars and satisfaction from 1 to 5, recommendation from 0 to 10, fractions
    /// allowed. `None` for one outside its scale, and for a mere comment.
    #[must_use]
    pub fn of(kind: FeedbackKind, value: f64) -> Option<Self> {
        let (scale, blame, praise) = match kind {
            FeedbackKind::Review | FeedbackKind::Csat => (1.0..=5.0, 2.0, 4.0),
            FeedbackKind::Nps => (0.0..=10.0, 6.0, 9.0),
            FeedbackKind::Comment => return None,
        };
        scale.contains(&value).then_some(Self { value, blame, praise })
    }

    /// Stars and satisfaction: 1 and 2 are blame, 4 and 5 praise. Recommendation: 0 to 6 are blame, 9 and 10 praise,
    /// as F. Reichheld, "The One Number You Need to Grow", Harvard Business Review 12/2003, draws the lines.
    #[must_use]
    pub fn polarity(&self) -> Polarity {
        if self.value <= self.blame {
            Polarity::Negative
        } else if self.value >= self.praise {
            Polarity::Positive
        } else {
            Polarity::Neutral
        }
    }
}

/// A probability: finite, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

impl Probability {
    /// `None` for what is none.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// That of log-odds, which must be a number.
    fn of_log_odds(odds: f64) -> Option<Self> {
        Self::new(logistic::sigmoid(odds))
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// What a text with this probability of being praise is called: between .4 and .6 it is neither.
    #[must_use]
    pub fn polarity(self) -> Polarity {
        if self.0 <= 0.4 {
            Polarity::Negative
        } else if self.0 >= 0.6 {
            Polarity::Positive
        } else {
            Polarity::Neutral
        }
    }
}

impl TryFrom<f64> for Probability {
    type Error = &'static str;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("a probability lies between 0 and 1")
    }
}

impl From<Probability> for f64 {
    fn from(probability: Probability) -> Self {
        probability.0
    }
}

/// A score and a text that do not go together: somebody should read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contradiction {
    /// A good score over an angry text: perhaps the scale was misread, perhaps irony.
    GoodScoreAngryText,
    /// A bad score over a friendly text: perhaps the scale was misread, perhaps the blame is for somebody else.
    BadScoreKindText,
}

/// How a customer feels, and who says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rung", rename_all = "snake_case")]
pub enum Sentiment {
    /// The score says so.
    Score {
        /// The direction.
        polarity: Polarity,
        /// Whether the text says the contrary, and is sure of it.
        contradiction: Option<Contradiction>,
    },
    /// There is no score; the shop's model says so.
    ShopModel {
        /// How likely the text is praise.
        praise: Probability,
    },
    /// There is no score and no model that knows the words; our seed words say so.
    Seed {
        /// How likely the text is praise: a rough figure, the words are not of this shop.
        praise: Probability,
        /// The words that spoke.
        words: Vec<String>,
    },
    /// Nobody can say.
    Unknown,
}

impl Sentiment {
    /// The direction, when it is known.
    #[must_use]
    pub fn polarity(&self) -> Option<Polarity> {
        match self {
            Self::Score { polarity, .. } => Some(*polarity),
            Self::ShopModel { praise } | Self::Seed { praise, .. } => Some(praise.polarity()),
            Self::Unknown => None,
        }
    }
}

/// What there is to judge by.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// Our words.
    pub seed: &'a Seed,
    /// The shop's model, once there is one.
    pub shop: Option<&'a ShopModel>,
}

impl Judge<'_> {
    /// A text contradicts a score when the shop's model is at least so sure of the contrary.
    const SURE: f64 = 0.8;
    /// Or the seed words: one plain word of praise in a complaint is not enough.
    const SURE_BY_SEED: f64 = 0.87;

    /// Judges a piece of feedback: its score, if it has one, and its text in its language, as far as that is known.
    #[must_use]
    pub fn judge(&self, score: Option<Score>, text: &str, language: Option<Language>) -> Sentiment {
        let by_text = self.by_text(text, language);
        let Some(score) = score else { return by_text };
        let text = match &by_text {
            Sentiment::ShopModel { praise } => Some((praise.get(), Self::SURE)),
            Sentiment::Seed { praise, .. } => Some((praise.get(), Self::SURE_BY_SEED)),
            Sentiment::Score { .. } | Sentiment::Unknown => None,
        };
        let polarity = score.polarity();
        let contradiction = text.and_then(|(praise, sure)| match polarity {
            Polarity::Positive if 1.0 - praise >= sure => Some(Contradiction::GoodScoreAngryText),
            Polarity::Negative if praise >= sure => Some(Contradiction::BadScoreKindText),
            Polarity::Positive | Polarity::Neutral | Polarity::Negative => None,
        });
        Sentiment::Score { polarity, contradiction }
    }

    fn by_text(&self, text: &str, language: Option<Language>) -> Sentiment {
        if let Some(praise) = self.shop.and_then(|shop| shop.praise(text, language, self.seed)) {
            return Sentiment::ShopModel { praise };
        }
        match self.seed.praise(text, language) {
            Some((praise, words)) => Sentiment::Seed { praise, words },
            None => Sentiment::Unknown,
        }
    }
}
