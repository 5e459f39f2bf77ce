//! Adds up what customers said, one after another in the order of their keys. Keeps figures, not texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use zyklus_engine::Settings;
use zyklus_engine::voice::{Said, Subjects, Voice};
use zyklus_insight::text::language::{Detected, detect};
use zyklus_insight::text::sentiment::{Polarity, Sentiment};
use zyklus_insight::text::tokens::tokens;
use zyklus_insight::text::trend::{
    Comment, KeyOptions, Month, Share, WordCounts, complaints, displeased, keys, months,
};
use zyklus_model::{At, CustomerId, DAY_MICROS, Feedback};

use super::{Contradictory, Count, Ears, FeedbackReport, Judged, Languages, TopicReport};

/// One of the two stretches of time.
#[derive(Debug, Default)]
struct Stretch {
    count: Count,
    /// The customer who spoke last: a customer's words come together.
    last: Option<CustomerId>,
    /// What has words.
    texts: Vec<Comment>,
    /// What has none, of which only the mood counts.
    scores: Vec<Comment>,
    words: WordCounts,
}

/// What was added up so far.
#[derive(Debug)]
pub(super) struct Tally {
    voice: Voice,
    subjects: Arc<Subjects>,
    zone: TimeZone,
    now: At,
    from: At,
    before_from: At,
    ever: u64,
    is_older: bool,
    period: Stretch,
    before: Stretch,
    judged: Judged,
    languages: Languages,
    contradictions: Vec<Contradictory>,
}

impl Tally {
    /// Of the last so many days before `now`, and so many before those.
    pub(super) fn new(voice: Voice, settings: &Settings, now: At, days: u32, before_days: u32) -> Self {
        let back = |at: At, days: u32| at.plus_micros(-i64::from(days).saturating_mul(DAY_MICROS));
        let from = back(now, days);
        Tally {
            voice,
            subjects: Arc::clone(&settings.topics),
            zone: settings.zone.clone(),
            now,
            from,
            before_from: back(from, before_days),
            ever: 0,
            is_older: false,
            period: Stretch::default(),
            before: Stretch::default(),
            judged: Judged::default(),
            languages: Languages::default(),
            contradictions: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, customer: CustomerId, feedback: &Feedback) {
        let Some(said) = Said::of(feedback) else { return };
        self.ever += 1;
        if feedback.at <= self.before_from {
            self.is_older = true;
            return;
        }
        let is_recent = feedback.at > self.from;
        let detected = said.words.map(detect);
        let language = detected.and_then(Detected::language);
        let sentiment = said.sentiment(Some(&self.voice), language);
        if is_recent {
            self.judge(customer, feedback, &sentiment);
            match detected {
                Some(Detected::Is(language)) => *self.languages.known.entry(language).or_default() += 1,
                Some(Detected::TooShort) => self.languages.too_short += 1,
                Some(Detected::Unsure) => self.languages.unsure += 1,
                None => {}
            }
        }
        let Some(month) = month_of(feedback.at, &self.zone) else { return };
        let topics = said.words.map(|words| self.subjects.of(words, language)).unwrap_or_default();
        let comment = Comment { month, topics, polarity: sentiment.polarity() };
        let stretch = if is_recent { &mut self.period } else { &mut self.before };
        stretch.count.all += 1;
        stretch.count.customers += u64::from(stretch.last != Some(customer));
        stretch.last = Some(customer);
        match said.words {
            Some(words) => {
                stretch.count.texts += 1;
                stretch.words.add(&tokens(words, language));
                stretch.texts.push(comment);
            }
            None => stretch.scores.push(comment),
        }
    }

    fn judge(&mut self, customer: CustomerId, feedback: &Feedback, sentiment: &Sentiment) {
        let judged = &mut self.judged;
        match sentiment {
            Sentiment::Score { contradiction, .. } => {
                judged.score += 1;
                if let Some((what, score)) = contradiction.zip(feedback.score) {
                    let Feedback { id, kind, at, .. } = *feedback;
                    self.contradictions.push(Contradictory { customer, feedback: id, kind, at, score, what });
                }
            }
            Sentiment::ShopModel { .. } => judged.shop_model += 1,
            Sentiment::Seed { .. } => judged.seed += 1,
            Sentiment::Unknown => judged.unknown += 1,
        }
    }

    pub(super) fn report(mut self, ears: Ears) -> FeedbackReport {
        let mut words = keys(&self.before.words, &self.period.words, &KeyOptions::default());
        words.retain(|key| key.log_ratio > 0.0);
        self.contradictions.sort_unstable_by_key(|one| (std::cmp::Reverse(one.at), one.feedback));
        let topics = self.topics();
        let complaints = complaints(&self.before.texts, &self.period.texts);
        let first = month_of(self.before_from, &self.zone).filter(|_| self.is_older);
        let Tally { period, before, .. } = self;
        let all: Vec<Comment> = before.texts.iter().chain(&period.texts).cloned().collect();
        let mut months = months(&all);
        months.retain(|month| Some(month.month) != first);
        let everything = |stretch: Stretch| -> (Count, Vec<Comment>) {
            (stretch.count, stretch.texts.into_iter().chain(stretch.scores).collect())
        };
        let (before_count, before) = everything(before);
        let (period_count, period) = everything(period);
        FeedbackReport {
            at: self.now,
            from: self.from,
            before_from: self.before_from,
            ever: self.ever,
            period: period_count,
            before: before_count,
            ears,
            judged: self.judged,
            languages: self.languages,
            topics,
            displeased: displeased(&before, &period),
            complaints,
            words,
            contradictions: self.contradictions,
            months,
        }
    }

    fn topics(&self) -> Vec<TopicReport> {
        let mut found: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
        for comment in &self.period.texts {
            for topic in &comment.topics {
                let (texts, known, unhappy) = found.entry(topic).or_default();
                *texts += 1;
                *known += u64::from(comment.polarity.is_some());
                *unhappy += u64::from(comment.polarity == Some(Polarity::Negative));
            }
        }
        let label = |topic: &str| {
            let known = self.subjects.topics().topics.get(topic);
            known.map(|topic| topic.label.clone()).unwrap_or_default()
        };
        let mut topics: Vec<TopicReport> = found
            .into_iter()
            .map(|(topic, (texts, known, unhappy))| TopicReport {
                topic: topic.to_owned(),
                label: label(topic),
                texts,
                unhappy: Share::new(unhappy, known),
            })
            .collect();
        topics.sort_by(|a, b| b.texts.cmp(&a.texts).then_with(|| a.topic.cmp(&b.topic)));
        topics
    }
}

/// The month of the shop's calendar in which an instant lies.
fn month_of(at: At, zone: &TimeZone) -> Option<Month> {
    let date = at.timestamp().to_zoned(zone.clone()).date();
    Month::new(u16::try_from(date.year()).ok()?, u8::try_from(date.month()).ok()?).ok()
}
