//! What conditions read of what a customer said: how they felt last, what they had trouble with, and whether score and
//! words go together. Texts are read only when a condition asks, and once a view.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use zyklus_insight::text::sentiment::Polarity;
use zyklus_model::{At, DAY_MICROS};

use super::View;
use crate::book::counting;
use crate::condition::{Timed, Value};
use crate::voice::{Said, Subjects, Voice};

/// Trouble is remembered for so many days.
const TROUBLE_DAYS: i64 = 90;

/// What was found out already.
#[derive(Debug, Default)]
pub(super) struct Heard {
    sentiment: OnceCell<Timed>,
    contradicts: OnceCell<Timed>,
    topics: OnceCell<Timed>,
}

/// The words that conditions know a mood by.
pub(crate) const MOODS: [&str; 3] =
    [word(Polarity::Positive), word(Polarity::Neutral), word(Polarity::Negative)];

const fn word(polarity: Polarity) -> &'static str {
    match polarity {
        Polarity::Positive => "positive",
        Polarity::Neutral => "neutral",
        Polarity::Negative => "negative",
    }
}

impl<'s> View<'s> {
    /// What is known of the shop's customers' ways at this view's instant, and when that is replaced.
    fn voice(&self) -> (Option<&'s Voice>, Option<At>) {
        counting(self.book.map_or(&[], |book| &book.voice), self.at)
    }

    /// The latest thing said that has a score or words.
    fn said_last(&self) -> Option<Said<'s>> {
        self.feedback().rev().find_map(Said::of)
    }

    /// `feedback.sentiment`.
    pub(super) fn sentiment(&self) -> Timed {
        let judge = || {
            let Some(said) = self.said_last() else { return Value::Absent.into() };
            let (voice, next) = self.voice();
            let polarity = said.polarity(voice).map(word);
            // A score stays what it is, whatever is learned.
            Timed::until(Value::maybe_text(polarity), next.filter(|_| said.score.is_none()))
        };
        self.heard.sentiment.get_or_init(judge).clone()
    }

    /// `feedback.contradicts`.
    pub(super) fn contradicts(&self) -> Timed {
        let judge = || {
            let said = self.said_last().filter(|said| said.score.is_some() && said.words.is_some());
            let Some(said) = said else { return Value::Bool(false).into() };
            let (voice, next) = self.voice();
            Timed::until(Value::Bool(said.contradiction(voice).is_some()), next)
        };
        self.heard.contradicts.get_or_init(judge).clone()
    }

    /// `feedback.topics`.
    pub(super) fn troubles(&self) -> Timed {
        let judge = || {
            let window = TROUBLE_DAYS * DAY_MICROS;
            let after = self.at.plus_micros(-window);
            let (voice, next) = self.voice();
            let ours;
            let subjects: &Subjects = match self.book {
                Some(book) => &book.settings.topics,
                None => {
                    ours = Subjects::ours();
                    &ours
                }
            };
            let mut topics = BTreeSet::new();
            let mut turns: Option<At> = None;
            let mut turn = |at: At| turns = Some(turns.map_or(at, |first| first.min(at)));
            for feedback in self.feedback().filter(|feedback| feedback.at > after) {
                let Some(said) = Said::of(feedback) else { continue };
                let Some(words) = said.words else { continue };
                if said.score.is_none() {
                    // Tomorrow's learning may hear it otherwise.
                    next.into_iter().for_each(&mut turn);
                }
                if said.polarity(voice) != Some(Polarity::Negative) {
                    continue;
                }
                let about = subjects.of(words, said.language());
                if !about.is_empty() {
                    turn(feedback.at.plus_micros(window));
                    topics.extend(about);
                }
            }
            Timed::until(Value::texts(topics), turns)
        };
        self.heard.topics.get_or_init(judge).clone()
    }
}
