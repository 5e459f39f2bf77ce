//! Learning how a shop's customers praise and blame, from their own stars. Never keeps a text.
//!
//! It is not learned anew each night: a model that hears a few words otherwise every morning would move customers to and
//! fro for nothing. It is when a tenth more reviews have come, or a quarter of a year has passed and any have.

use std::cmp::Reverse;

use zyklus_engine::voice::{Said, Voice, seed};
use zyklus_insight::text::language::detect;
use zyklus_insight::text::sentiment::{Polarity, Review, ShopModel, TrainError};
use zyklus_model::{At, DAY_MICROS, FeedbackId, FeedbackKind};
use zyklus_store::{Lesson, Store};

use crate::error::RuntimeError;
use crate::learn::{text, versions};

/// Feedback read at a time.
pub(super) const PAGE: u32 = 5_000;
/// So many reviews teach, the latest: more would teach hardly better, and take memory.
const MOST: usize = 20_000;
/// After so many days a few new reviews are enough.
const STALE_DAYS: i64 = 90;

/// A review with text and clear stars.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Starred {
    at: At,
    id: FeedbackId,
    text: String,
    polarity: Polarity,
}

/// What there is to learn from.
#[derive(Debug, Default)]
pub(super) struct Lessons {
    /// The latest reviews.
    starred: Vec<Starred>,
    /// How many there are in all.
    pub(super) reviews: u64,
}

impl Lessons {
    fn add(&mut self, review: Starred) {
        self.reviews += 1;
        self.starred.push(review);
        if self.starred.len() >= 2 * MOST {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        self.starred.sort_unstable_by_key(|review| Reverse((review.at, review.id)));
        self.starred.truncate(MOST);
    }

    /// Reads the reviews there were by `now`. Stars in the middle teach nothing, and whether somebody would recommend a
    /// shop is another question than how a purchase was.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn read(store: &Store, now: At) -> Result<Self, RuntimeError> {
        let mut lessons = Lessons::default();
        let mut after = None;
        loop {
            let page = store.feedback_page(now, after, PAGE).await?;
            let Some((customer, last)) = page.last() else { break };
            after = Some((*customer, last.id));
            for (_, feedback) in &page {
                if !matches!(feedback.kind, FeedbackKind::Review | FeedbackKind::Csat) {
                    continue;
                }
                let Some(Said { score: Some(score), words: Some(words) }) = Said::of(feedback) else {
                    continue;
                };
                let polarity = score.polarity();
                if polarity != Polarity::Neutral {
                    lessons.add(Starred {
                        at: feedback.at,
                        id: feedback.id,
                        text: words.to_owned(),
                        polarity,
                    });
                }
            }
        }
        lessons.shorten();
        Ok(lessons)
    }

    /// Learns, which may take long.
    ///
    /// # Errors
    /// That they cannot teach it.
    pub(super) fn learn(&self) -> Result<ShopModel, TrainError> {
        let mut reviews = Vec::with_capacity(self.starred.len());
        for Starred { text, polarity, .. } in &self.starred {
            reviews.push(Review { text, language: detect(text).language(), polarity: *polarity });
        }
        ShopModel::train(&reviews, seed())
    }
}

/// Learns if there is enough news: from how many reviews, and what is to be kept; nothing if it stays at what was known.
///
/// # Errors
/// The store's.
pub(crate) async fn listen(store: &Store, now: At) -> Result<Option<(u64, String)>, RuntimeError> {
    let kept = store.learned_by(Lesson::Voice, now).await?;
    let was_kept = kept.is_some();
    let known = versions::<Voice>(kept);
    let lessons = Lessons::read(store, now).await?;
    let reviews = lessons.reviews;
    if let Some((at, voice)) = known.last()
        && !is_news(voice.reviews, reviews, now.micros_since(*at))
    {
        return Ok(None);
    }
    let learning = tokio::task::spawn_blocking(move || lessons.learn());
    let model = learning.await.map_err(|_| RuntimeError::Panicked { what: "learning" })?.ok();
    if model.is_none() && !was_kept {
        return Ok(None);
    }
    Ok(Some((reviews, text(&Voice { reviews, model })?)))
}

/// Whether so many more reviews, after so long, are worth learning anew. Fewer are, too: somebody's were taken back.
fn is_news(known: u64, there_are: u64, micros: i64) -> bool {
    let grown = there_are.abs_diff(known) >= (known / 10).max(1);
    grown || (there_are != known && micros >= STALE_DAYS * DAY_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_more_is_news_and_a_little_is_after_a_while() {
        let day = DAY_MICROS;
        assert!(is_news(0, 1, 0) && is_news(100, 110, day) && is_news(100, 90, day));
        assert!(!is_news(100, 109, day) && !is_news(100, 100, 1_000 * day) && !is_news(5, 5, day));
        assert!(is_news(100, 101, STALE_DAYS * day));
    }
}
