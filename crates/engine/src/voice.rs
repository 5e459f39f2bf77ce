//! What customers' words say: the topics that are looked for in them, and how praise is told from blame. Never keeps a
//! text, and never learns.
//!
//! One reading for all: conditions, and the report on feedback, which lives in the runtime, judge by the same functions.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use zyklus_insight::text::language::detect;
use zyklus_insight::text::sentiment::{Contradiction, Judge, Polarity, Score, Seed, Sentiment, ShopModel};
use zyklus_insight::text::topic::Topic;
use zyklus_insight::text::{Language, Lexicon, TopicError, Topics};
use zyklus_model::Feedback;

static SEED: LazyLock<Seed> = LazyLock::new(Seed::new);
static OURS: LazyLock<Arc<Subjects>> = LazyLock::new(|| {
    Arc::new(Subjects::with(Topics::default()).expect("a test of insight reads our topics"))
});

/// Our words of praise and blame, read once.
pub fn seed() -> &'static Seed {
    &SEED
}

/// The topics that are looked for in what customers write: ours and the operator's, ready for it.
#[derive(Clone)]
pub struct Subjects {
    topics: Topics,
    lexicon: Lexicon,
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids()).finish()
    }
}

impl PartialEq for Subjects {
    fn eq(&self, other: &Self) -> bool {
        // The lexicon follows from the topics.
        self.topics == other.topics
    }
}

impl Subjects {
    /// Our topics alone.
    pub fn ours() -> Arc<Self> {
        Arc::clone(&OURS)
    }

    /// Our topics and others beside them; one of ours that is named again gets the words of both.
    ///
    /// # Errors
    /// The first entry that could never be found.
    pub fn with(others: Topics) -> Result<Self, TopicError> {
        let topics = Topics::seed().with(others);
        let lexicon = Lexicon::new(&topics)?;
        Ok(Subjects { topics, lexicon })
    }

    /// The word lists and labels.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// The ids of all topics, in the order of the alphabet.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.topics.topics.keys().map(String::as_str)
    }

    /// The ids of the topics that a text is about.
    pub fn of(&self, text: &str, language: Option<Language>) -> BTreeSet<String> {
        self.lexicon.topics_of(text, language).into_iter().map(|mention| mention.topic).collect()
    }
}

/// Whether an entry of a word list means a word that could be found.
pub(crate) fn means_a_word(entry: &str, language: Language) -> bool {
    let words = [(language, vec![entry.to_owned()])].into();
    let topic = Topic { words, ..Topic::default() };
    Lexicon::new(&Topics { topics: [(String::new(), topic)].into() }).is_ok()
}

/// How a shop's own customers praise and blame, as a night's learning leaves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Voice {
    /// From how many reviews with text and stars, those in the middle left out, it was to be learned.
    pub reviews: u64,
    /// The model; none if they could not teach one.
    pub model: Option<ShopModel>,
}

impl Voice {
    /// What there is to judge by.
    fn judge(voice: Option<&Voice>) -> Judge<'_> {
        Judge { seed: &SEED, shop: voice.and_then(|voice| voice.model.as_ref()) }
    }
}

/// A piece of feedback, as far as it says anything.
#[derive(Debug, Clone, Copy)]
pub struct Said<'f> {
    /// The score, if it has one on its kind's scale.
    pub score: Option<Score>,
    /// The words, if there are any.
    pub words: Option<&'f str>,
}

impl<'f> Said<'f> {
    /// Of feedback that has a score or words; nothing of one that has neither.
    pub fn of(feedback: &'f Feedback) -> Option<Self> {
        let score = feedback.score.and_then(|score| Score::of(feedback.kind, score));
        let words = feedback.text.as_deref().map(str::trim).filter(|words| !words.is_empty());
        (score.is_some() || words.is_some()).then_some(Said { score, words })
    }

    /// The language of the words, if it can be told.
    pub fn language(&self) -> Option<Language> {
        detect(self.words?).language()
    }

    /// How the customer feels, who says so, and whether the words contradict the score. `language` is that of the words.
    pub fn sentiment(&self, voice: Option<&Voice>, language: Option<Language>) -> Sentiment {
        Voice::judge(voice).judge(self.score, self.words.unwrap_or_default(), language)
    }

    /// How the customer feels, if it is known: by the score, and only without one by the words.
    pub fn polarity(&self, voice: Option<&Voice>) -> Option<Polarity> {
        match self.score {
            Some(score) => Some(score.polarity()),
            None => self.sentiment(voice, self.language()).polarity(),
        }
    }

    /// Whether the words say the contrary of the score.
    pub fn contradiction(&self, voice: Option<&Voice>) -> Option<Contradiction> {
        // Without either there is nothing to contradict: no text is read for that.
        let (Some(_), Some(_)) = (self.score, self.words) else { return None };
        match self.sentiment(voice, self.language()) {
            Sentiment::Score { contradiction, .. } => contradiction,
            Sentiment::ShopModel { .. } | Sentiment::Seed { .. } | Sentiment::Unknown => None,
        }
    }
}
