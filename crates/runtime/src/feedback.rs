//! What a shop's customers say: what about, how they feel, what they complain about more than before, and whose score and
//! words do not go together. Reads; never sends, never writes, and never gives a text away.

use std::collections::BTreeMap;

use serde::Serialize;
use zyklus_engine::Book;
use zyklus_engine::voice::Voice;
use zyklus_insight::text::Language;
use zyklus_insight::text::sentiment::{Contradiction, Quality, TrainError};
use zyklus_insight::text::trend::{Comparison, Key, MonthTrend, Share, Shift};
use zyklus_model::{At, CustomerId, FeedbackId, FeedbackKind};
use zyklus_store::{Lesson, Store};

use crate::error::RuntimeError;
use crate::learn::versions;

pub(crate) mod listen;
mod tally;

use listen::{Lessons, PAGE};
use tally::Tally;

/// What the period is held against: the time before it, so many days.
const BEFORE_DAYS: u32 = 365;

/// What customers said in a period, held against the year before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeedbackReport {
    /// As of when; here the period ends.
    pub at: At,
    /// Where it begins.
    pub from: At,
    /// Where the year before it begins.
    pub before_from: At,
    /// All that was ever said, scores without words, too.
    pub ever: u64,
    /// The period's.
    pub period: Count,
    /// The year's before it.
    pub before: Count,
    /// By what words are judged.
    pub ears: Ears,
    /// Who judged what was said in the period.
    pub judged: Judged,
    /// The languages of the period's texts.
    pub languages: Languages,
    /// The period's topics, those mentioned most first.
    pub topics: Vec<TopicReport>,
    /// Whether customers are unhappy more, or less, often than before, scores without words, too; nothing if in one of
    /// the two nobody's mood is known.
    pub displeased: Option<Shift>,
    /// What texts complain about more, or less, than before; what became more first. Empty when one of the two has no
    /// texts.
    pub complaints: Vec<Comparison>,
    /// Words that stand in more of the period's texts than before, the surest first. `before` is 0 for new ones.
    pub words: Vec<Key>,
    /// Whose score and words do not go together in the period, the latest first.
    pub contradictions: Vec<Contradictory>,
    /// Month by month what was written; the month in which the year before begins is left out where it is not whole.
    pub months: Vec<MonthTrend>,
}

/// How much was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// All of it.
    pub all: u64,
    /// What has words.
    pub texts: u64,
    /// By how many customers.
    pub customers: u64,
}

/// By what words are judged where there is no score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Ears {
    /// By a model learned from the shop's own reviews; words it does not know, by ours.
    ShopModel {
        /// From so many reviews with text and clear stars, of which the latest teach.
        reviews: u64,
        /// What it reaches on reviews it has not seen.
        quality: Quality,
    },
    /// By our words alone.
    SeedWords {
        /// Why there is no model.
        because: Untaught,
    },
}

/// Why a shop's reviews teach no model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Untaught {
    /// Too few different texts of one kind.
    TooFew {
        /// With a good score.
        praise: usize,
        /// With a bad one.
        blame: usize,
        /// The least of each.
        least: usize,
    },
    /// The texts do not say what the scores say.
    NoSkill,
    /// They would: the next night does.
    NotYet,
}

/// Who judged how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The score.
    pub score: u64,
    /// The shop's model.
    pub shop_model: u64,
    /// Our words.
    pub seed: u64,
    /// Nobody.
    pub unknown: u64,
}

/// Which languages texts are in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Languages {
    /// Those that can be told.
    pub known: BTreeMap<Language, u64>,
    /// Texts of too few words.
    pub too_short: u64,
    /// Texts that could be several, or are none we know.
    pub unsure: u64,
}

/// One topic in the period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicReport {
    /// Its id.
    pub topic: String,
    /// What people call it, by language.
    pub label: BTreeMap<Language, String>,
    /// Texts about it.
    pub texts: u64,
    /// How many of those whose mood is known are unhappy; none known is no share.
    pub unhappy: Option<Share>,
}

/// A score and words that do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Contradictory {
    /// Whose.
    pub customer: CustomerId,
    /// Which; `zyklus customer show` has its words.
    pub feedback: FeedbackId,
    /// What kind.
    pub kind: FeedbackKind,
    /// When it was given.
    pub at: At,
    /// The score.
    pub score: f64,
    /// Which way.
    pub what: Contradiction,
}

/// What was said in the last so many days before `now`, in a book's topics.
///
/// # Errors
/// The store's.
pub async fn feedback(
    store: &Store,
    book: &Book,
    now: At,
    days: u32,
) -> Result<FeedbackReport, RuntimeError> {
    // Conditions go by what was learned last: so does this.
    let kept = versions::<Voice>(store.learned_by(Lesson::Voice, now).await?);
    let kept = kept.last().map(|(_, voice)| Voice::clone(voice));
    let (ears, voice) = match kept {
        Some(Voice { reviews, model: Some(model) }) => {
            (Ears::ShopModel { reviews, quality: *model.quality() }, Voice { reviews, model: Some(model) })
        }
        _ => {
            let lessons = Lessons::read(store, now).await?;
            let reviews = lessons.reviews;
            let because = match elsewhere(move || lessons.learn()).await? {
                Ok(_) => Untaught::NotYet,
                Err(TrainError::TooFew { praise, blame, least }) => Untaught::TooFew { praise, blame, least },
                Err(TrainError::NoSkill) => Untaught::NoSkill,
            };
            (Ears::SeedWords { because }, Voice { reviews, model: None })
        }
    };
    let mut tally = Tally::new(voice, &book.settings, now, days, BEFORE_DAYS);
    let mut after = None;
    loop {
        let page = store.feedback_page(now, after, PAGE).await?;
        let Some((customer, last)) = page.last() else { break };
        after = Some((*customer, last.id));
        tally = elsewhere(move || {
            page.iter().for_each(|(customer, feedback)| tally.add(*customer, feedback));
            tally
        })
        .await?;
    }
    elsewhere(move || tally.report(ears)).await
}

/// Does what takes long on a thread of its own.
async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RuntimeError> {
    let work = tokio::task::spawn_blocking(work);
    work.await.map_err(|_| RuntimeError::Panicked { what: "reading what customers say" })
}
